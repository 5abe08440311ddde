"""The harness itself: whoever looks at a VPP that has died is told how it died, and the end of its log."""

import os
import signal
import threading
import unittest

from maglev_harness import Vapi
from vpp_process import VppError, VppProcess, find_vpp


@unittest.skipIf(find_vpp() is None, "no VPP found")
class TestHarness(unittest.TestCase):
    """A VPP without the plugin, that is made to crash"""

    def setUp(self):
        self.process = VppProcess("harness", maglev=False)
        self.addCleanup(self.process.remove)
        self.process.start()

    def crash(self, number=signal.SIGSEGV):
        """Ends VPP by a signal."""
        self.process.proc.send_signal(number)
        return self.process.wait_exit()

    def told(self, call, *arguments):
        """What a call says of the dead VPP."""
        with self.assertRaises(VppError) as caught:
            call(*arguments)
        text = str(caught.exception)
        self.assertRegex(text, r"^VPP (died|crashed): killed by SIG(SEGV|ABRT)\n")
        self.assertIn("--- vpp.log\n", text)
        # What VPP itself logs of its end.
        self.assertIn("received signal SIGSEGV", text)

    def test_all_that_look_are_told(self):
        """vppctl, a CLI command, a message, a new start: each tells the signal and the log"""
        vapi = Vapi(self.process)
        self.process.check_no_crash()
        self.assertLess(self.crash(), 0)
        self.told(self.process.vppctl, "show version")
        self.told(self.process.cli, "show version")
        self.told(self.process.check_alive)
        self.told(self.process.check_no_crash)
        self.told(vapi.papi.show_version)
        self.told(vapi.show_version)
        self.told(vapi.cli, "show version")
        self.told(self.process.start)

    def test_a_crash_in_the_middle_of_a_command(self):
        """VPP dies while vppctl waits: the answer that was cut off is not taken for one"""
        timer = threading.Timer(0.5, self.process.proc.send_signal, [signal.SIGSEGV])
        timer.start()
        self.addCleanup(timer.join)
        self.told(self.process.cli, "wait 10")

    def test_an_end_of_ours_is_no_crash(self):
        """kill() and stop() end it, and it can be started again"""
        self.process.kill()
        self.process.check_no_crash()
        self.process.start()
        self.assertEqual(self.process.stop(), 0)
        self.process.check_no_crash()
        self.process.start()
        self.assertIn("vpp v", self.process.cli("show version"))

    def test_a_core_is_kept(self):
        """Where VPP left a core its folder stays, else it goes"""
        core = self.process.path("core")
        with open(core, "w", encoding="utf-8"):
            pass
        self.process.remove()
        self.assertTrue(os.path.exists(core))
        os.unlink(core)
        self.process.remove()
        self.assertEqual(os.path.exists(self.process.rundir), bool(os.environ.get("MAGLEV_KEEP")))


@unittest.skipIf(find_vpp() is None or len(os.sched_getaffinity(0)) < 2, "no VPP found, or one CPU alone")
class TestPriority(unittest.TestCase):
    """A VPP with a worker and the plugin"""

    def policies(self, **more):
        """{name of a thread: its scheduling}"""
        process = VppProcess("priority", workers=1, **more)
        self.addCleanup(process.remove)
        process.stanzas.append("maglev { config %s state-file %s }" % (process.path("none.yaml"), process.path("state.json")))
        process.start()
        out = {}
        for thread in os.listdir("/proc/%d/task" % process.proc.pid):
            with open("/proc/%s/comm" % thread, encoding="utf-8") as f:
                out[f.read().strip()] = os.sched_getscheduler(int(thread))
        return out

    def test_a_worker_goes_first(self):
        """Workers go before all others, or a busy machine makes VPP abort; main and the plugin's threads do not"""
        found = self.policies()
        self.assertEqual(found.pop("vpp_wk_0"), os.SCHED_RR)
        self.assertTrue([n for n in found if n.startswith("maglev")], found)
        self.assertEqual(set(found.values()), {os.SCHED_OTHER}, found)

    def test_one_that_never_sleeps_goes_with_the_others(self):
        """Without pauses VPP would leave the CPUs to nobody"""
        self.assertEqual(set(self.policies(poll_sleep_usec=0).values()), {os.SCHED_OTHER})


if __name__ == "__main__":
    unittest.main()
