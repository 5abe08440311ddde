"""The wall clock of the host steps: it is only shown, and nothing is decided by it."""

import mmap
import os
import struct
import subprocess
import time
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from faults_case import WANTED, ADDRESS, FaultsCase
from maglev_case import WEB
from vpp_process import wrapper

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stepped_clock.c")
HOUR, DAY = 3600, 86400
# Ahead, behind, to within a day of the beginning of time, into another century, and back.
STEPS = (HOUR, -HOUR, 400 * DAY, DAY - int(time.time()), 40000 * DAY, 0)


@unittest.skipIf(wrapper(), "what is loaded first must be the sanitizer's, or valgrind's")
class TestMaglevFaultsClock(FaultsCase):
    """A wall clock that steps"""

    @classmethod
    def setUpConstants(cls):
        library = os.path.join(cls.tempdir, "stepped_clock.so")
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE, "-ldl"], check=True
        )
        path = os.path.join(cls.tempdir, "clock")
        with open(path, "wb") as f:
            f.write(bytes(8))
        with open(path, "r+b") as f:
            cls.clock = mmap.mmap(f.fileno(), 8)
        cls.addClassCleanup(cls.clock.close)
        for name, value in ("LD_PRELOAD", library), ("MAGLEV_WALL_CLOCK", path):
            os.environ[name] = value
            cls.addClassCleanup(os.environ.pop, name, None)
        super().setUpConstants()

    def step(self, seconds):
        self.clock[:8] = struct.pack("=q", seconds)
        self.addCleanup(self.clock.__setitem__, slice(8), bytes(8))

    def test_the_wall_clock_steps(self):
        """Ahead and back by an hour, a year, a century: probes go on, nobody's state changes, deaths are seen as ever"""
        for seconds in STEPS:
            with self.subTest(seconds=seconds):
                before, began = self.views(), self.now()
                self.step(seconds)
                # It is what VPP sees, or the test shows nothing.
                self.do("maglev set backend talk drain")
                self.do("maglev set backend talk ready")
                told = self.show("events")["events"][-1]["at_ms"] / 1000 - time.time()
                self.assertLess(abs(told - seconds), 5)
                self.wait_weights(WEB, WANTED)
                self.during(2)
                took = self.now() - began
                for name, view in self.views().items():
                    self.assertEqual(view["state"], "up", view)
                    if name != "talk":
                        self.assertEqual(view["transitions"], before[name]["transitions"], "nothing has happened to it")
                    # 300 ms from start to start, with a tenth of jitter; no pause, and no burst.
                    passes = view["passes"] - before[name]["passes"]
                    self.assertTrue(0.5 * took / 0.33 < passes < took / 0.27 + 3, (took, passes, view))
                status = self.show("status")
                self.assertEqual((status["state"], status["prober"]["main_stalls"]), ("running", 0), status)
                self.assertIsNone(status["state_file"]["error"])
                # Whatever is shown with an age is shown.
                for words in "backends", "backend tcp", "events", "status", "counters":
                    self.do("maglev show " + words)
                self.network["tcp"].kill()
                began = self.now()
                self.wait_weights(WEB, dict(WANTED, **{ADDRESS["tcp"]: 0}))
                self.assertLess(self.now() - began, 10)
                self.network["tcp"].start()
                self.wait_weights(WEB, WANTED)
        self.healed()


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
