"""What others can make large has a limit: VPP lives, whatever a file, a server or a reader of the CLI does.

VPP's main heap has 256 MiB, and there are 20,000 backends.
"""

import json
import os
import re
import subprocess
import sys
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from maglev_case import wait_until
from process_case import ProcessCase
from vpp_process import HERE, die_with_parent

MIB = 1 << 20
STALLING, HONEST = 47801, 47802
BODY = 64 << 10
N_STALLING, N_HONEST, N_ALL = 4000, 20, 20000
# Bytes of VPP's main heap that are left free when it is called nearly full: above the reserve, and less than one answer.
LEFT = 22 * MIB


def address(n):
    return "127.%d.%d.%d" % (1 + n // 60000, n // 250 % 240, n % 250 + 1)


def check(port, **more):
    """Slow enough that 4,000 of them leave the machine to others."""
    params = {"response-regexp": "hello"}
    times = {"interval": "10s", "fast-interval": "10s", "down-interval": "10s", "timeout": "8s"}
    return {"type": "http", "port": port, "params": params, **times, **more}


def config():
    backends = {}
    for n in range(N_ALL):
        backends["backend-with-a-name-%05d" % n] = {"address": address(n)}
        if n < N_STALLING + N_HONEST:
            kind = "stalling" if n < N_STALLING else "honest"
            backends["backend-with-a-name-%05d" % n]["healthcheck"] = kind
    out = {
        "healthchecker": {"max-in-flight": 8000},
        "vpp": {"lb": {"ipv4-src-address": "192.0.2.1"}},
        "healthchecks": {
            "stalling": check(STALLING),
            "honest": check(HONEST, **{"interval": "1s", "fast-interval": "500ms", "timeout": "5s"}),
        },
        "backends": backends,
        "frontends": {},
    }
    return out


def large_expressions(path, n):
    """A file of so many expressions, each as large as one may be, or nearly so."""
    with open(path, "w", encoding="utf-8") as f:
        f.write("maglev:\n  backends: {}\n  frontends: {}\n  healthchecks:\n")
        for i in range(n):
            params = "{response-regexp: '\\w{16}x%d'}" % i
            f.write("    h%d: {type: http, port: 80, params: %s}\n" % (i, params))


class TestMaglevMemory(ProcessCase):
    """Memory that others can take"""

    @classmethod
    def setUpClass(cls):
        cls.configure("memory", config())
        cls.server = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "stalling_server.py"), str(STALLING), str(HONEST), str(BODY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=die_with_parent,
        )
        cls.addClassCleanup(cls.server.wait)
        cls.addClassCleanup(cls.server.stdin.close)
        cls.addClassCleanup(cls.server.stdout.close)
        cls.server.stdout.readline()
        cls.start(30, main_heap="256m")

    def budget(self, name):
        return next(b for b in self.status()["memory"]["budgets"] if b["name"] == name)

    def vpp_heap(self):
        """Bytes of VPP's main heap: used, free."""
        text = self.process.cli("show memory main-heap", 60)
        total, used, free = re.search(r"total: ([\d.]+)(\w?), used: ([\d.]+)(\w?), free: ([\d.]+)(\w?)", text).group(1, 3, 5)
        units = re.search(r"total: [\d.]+(\w?), used: [\d.]+(\w?), free: [\d.]+(\w?)", text).groups()
        scale = {"": 1, "K": 1 << 10, "M": MIB, "G": 1 << 30}
        self.assertGreater(float(total), 0, text)
        return float(used) * scale[units[1]], float(free) * scale[units[2]]

    def test_1_own_heap(self):
        """20,000 backends take next to nothing of VPP's main heap; status tells what the plugin's own has"""
        used, _ = self.vpp_heap()
        heap = self.status()["memory"]["heap"]
        if heap is None:
            self.skipTest("built with `process-heap`")
        self.assertLess(used, 100 * MIB)
        print("%d backends: %d MiB of VPP's heap, %d MiB of the own one" % (N_ALL, used / MIB, heap["used"] / MIB))
        # 7 KiB each (docs/configuration.md, "Memory"), and what threads keep.
        self.assertTrue(10 * MIB < heap["used"] < 192 * MIB, heap)
        text = self.process.cli("maglev show status", 60)
        self.assertRegex(text, r"(?m)^heap +own, \d+ MiB mapped, at most \d+ MiB$")
        self.assertRegex(text, r"(?m)^memory +expressions \d+ \w+ of 128 MiB")

    def test_2_expressions(self):
        """`config check` of a file of 1,000 large expressions is an error in words, and leaves nothing behind"""
        path = self.process.path("expressions.yaml")
        large_expressions(path, 1000)
        before = self.budget("expressions")["used"]
        for _ in range(2):
            answer = self.process.cli("maglev config check " + path, 120)
            self.assertIn("all regular expressions together take more than 64 MiB", answer[:2000])
            self.assertEqual(answer.count("together take more"), 1, answer[:2000])
        wait_until(lambda: self.budget("expressions")["used"] == before, "they are still counted")
        large_expressions(path, 20)
        self.assertNotIn("error", self.process.cli("maglev config check " + path, 60))

    def test_3_bodies(self):
        """4,000 servers that send 64 KiB of body and stall: those that find no room are faults of our own, and what honest
        servers send has room all the same"""
        honest = ["backend-with-a-name-%05d" % n for n in range(N_STALLING, N_STALLING + N_HONEST)]

        def full():
            bodies = self.budget("bodies")
            self.assertLessEqual(bodies["used"], bodies["limit"])
            return bodies["refused"] > 100

        wait_until(full, lambda: "never full: %s" % self.budget("bodies"), timeout=120)
        self.assertGreater(self.budget("bodies")["most"], 60 * MIB)
        events = json.loads(self.process.cli("maglev show events json", 120))["events"]
        faults = [e["text"] for e in events if e["kind"] == "probe-fault"]
        self.assertTrue(any("budget `bodies`" in text for text in faults), faults[-3:])
        for name in honest:
            view = json.loads(self.process.cli("maglev show backends %s json" % name))
            self.assertEqual((view["state"], view["sockerrs"], view["failures"]), ("up", 0, 0), view)

    def reader(self):
        """A session that asks for all backends and does not read."""
        return self.session().ask("maglev show backends json")

    def test_4_readers(self):
        """Readers of the CLI that do not read hold nothing in VPP's heap, and more than there is room for are refused; one that
        reads late gets all of it"""
        used, _ = self.vpp_heap()
        readers = [self.reader() for _ in range(12)]
        wait_until(lambda: self.budget("answers")["refused"] > 0, "none was refused", timeout=300)
        self.assertLessEqual(self.budget("answers")["used"], 128 * MIB)
        self.assertLess(self.vpp_heap()[0], used + 4 * MIB)
        whole = readers[0].read()
        views = json.loads(whole[whole.index("[{") : whole.rindex("}]") + 2])
        self.assertEqual(len(views), N_ALL)
        for r in readers:
            r.close()
        wait_until(lambda: self.budget("answers")["used"] == 0, "who has gone is still waited for", timeout=120)

    def test_5_binary_api(self):
        """What is too long for a message of the binary API is an error in words"""
        from maglev_harness import Vapi

        vapi = Vapi(self.process)
        self.addCleanup(vapi.disconnect)
        answer = vapi.cli("maglev show backends json")
        self.assertRegex(answer, r"^error: the answer has \d+ MiB, more than the 4 MiB .* over the binary API")

    def test_6_full_heap(self):
        """All of it in a main heap that is nearly full: answers come whole, or end with the reason"""
        _, free = self.vpp_heap()
        # By somebody else's hand: of ours no more tables are made than leave VPP its reserve.
        vips = int((free - LEFT) / (65536 * 4 + 4096))
        script = self.process.path("fill.cli")
        with open(script, "w", encoding="utf-8") as f:
            for i in range(vips):
                f.write("lb vip 198.18.%d.%d/32 encap gre4 new_len 65536\n" % (i // 250, i % 250 + 1))
        self.process.cli("exec " + script, 60)
        wait_until(
            lambda: self.vpp_heap()[1] < LEFT + 12 * MIB,
            lambda: "lb did not fill the heap with %d tables: %s" % (vips, self.vpp_heap()),
            timeout=60,
        )
        for command in ("show backends json", "show backends", "show status", "show config", "show counters json"):
            answer = self.process.cli("maglev " + command, 60)
            self.assertTrue(answer.endswith("\n"))
            if "main heap is nearly full" not in answer and command == "show backends json":
                self.assertEqual(len(json.loads(answer)), N_ALL)
        readers = [self.reader() for _ in range(6)]
        self.test_2_expressions()
        for r in readers:
            r.close()
        self.assertEqual(self.status()["state"], "running")


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
