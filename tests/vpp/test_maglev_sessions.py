"""Sessions of VPP's CLI whose client types on, or leaves, while a command of ours waits or prints."""

import json
import threading
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from cli_session import CliSession
from maglev_case import wait_until
from process_case import ProcessCase

N_ALL = 5000
LONG = "maglev show backends json"
# Sessions of each kind that leave, all in all and at a time.
LEAVE, AT_A_TIME = 200, 4


def config():
    return {
        "vpp": {"lb": {"ipv4-src-address": "192.0.2.1"}},
        "backends": {"backend-with-a-name-%05d" % n: {"address": "10.%d.%d.1" % (n // 250, n % 250)} for n in range(N_ALL)},
        "frontends": {},
    }


class TestMaglevSessions(ProcessCase):
    """Clients of the CLI that do not wait"""

    @classmethod
    def setUpClass(cls):
        cls.configure("sessions", config())
        cls.start(60)

    def test_1_typed_meanwhile(self):
        """What a client sends while its command prints is carried out after it, and nothing of it is lost"""
        for _ in range(5):
            typist = self.session().ask(LONG)
            typist.read_some(1000)
            typist.ask("show version")
            # Others move what VPP has on its heap meanwhile.
            others = [self.session().ask(LONG) for _ in range(3)]
            for other in others:
                other.read_some(1000)
                other.close()
            rest = typist.read(b"vpp v")
            self.assertIn("backend-with-a-name-%05d" % (N_ALL - 1), rest)
            self.assertEqual(rest.count("unknown input"), 0, rest[-1000:])
            typist.close()

    def test_2_braces(self):
        """The same with the command in VPP's braces"""
        typist = self.session().ask("maglev show { backends json }")
        typist.read_some(1000)
        typist.ask("show version")
        self.assertIn("backend-with-a-name-%05d" % (N_ALL - 1), typist.read(b"vpp v"))

    def test_3_leave(self):
        """Sessions that leave in the middle of a long list: VPP lives, its heap is sound, and the sessions are gone"""
        failed = []

        def leave(n):
            try:
                session = CliSession(self.process).ask((LONG, "maglev show config", "maglev { show backends json }")[n % 3])
                for _ in range(n % 4):
                    session.read_some(4096)
                session.close()
            except OSError as e:
                failed.append(e)

        for first in range(0, LEAVE * 3, AT_A_TIME):
            threads = [threading.Thread(target=leave, args=(n,)) for n in range(first, first + AT_A_TIME)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if first % (25 * AT_A_TIME) == 0:
                # VPP walks all of its heap for this.
                self.assertIn("used", self.process.cli("show memory main-heap", 60))
        self.assertEqual(failed, [])
        wait_until(lambda: self.process.cli("show cli-sessions").count("unix-cli-local") <= 1, "sessions stay", timeout=60)
        budgets = {b["name"]: b["used"] for b in self.status()["memory"]["budgets"]}
        self.assertEqual(budgets["answers"], 0)

    def test_4_leave_while_it_waits(self):
        """A client that leaves while a command waits for `lb` is waited for no more, and VPP goes on"""
        name = "backend-with-a-name-00000"
        for n in range(LEAVE):
            verb = ("disable", "enable")[n % 2]
            CliSession(self.process).ask("maglev set backend %s %s" % (name, verb), "maglev sync").close()
        wait_until(lambda: self.process.cli("show cli-sessions").count("unix-cli-local") <= 1, "sessions stay", timeout=60)
        self.assertIn("used", self.process.cli("show memory main-heap", 60))
        self.process.cli("maglev set backend %s disable" % name)
        self.assertEqual(json.loads(self.process.cli("maglev show backends %s json" % name))["state"], "disabled")

    def test_5_exec(self):
        """Within `exec` in a session a command does not wait, and the rest of the file is carried out"""
        script = self.process.path("script.cli")
        with open(script, "w", encoding="utf-8") as f:
            f.write("maglev set backend backend-with-a-name-00001 disable\nmaglev sync\n")
            f.write("maglev set backend backend-with-a-name-00002 disable\n")
        others = [self.session().ask(LONG) for _ in range(4)]
        self.process.cli("exec " + script, 60)
        for name in ("00001", "00002"):
            view = json.loads(self.process.cli("maglev show backends backend-with-a-name-%s json" % name))
            self.assertEqual(view["state"], "disabled", view)
        for other in others:
            self.assertIn("backend-with-a-name-%05d" % (N_ALL - 1), other.read())


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
