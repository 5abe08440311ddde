"""The files that VPP is given: a state file that another VPP has, paths that are none, a configuration that is being
written, and one that would take most of what there is away."""

import json
import os
import threading
import time
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from maglev_case import WEB, base_config, frontend, pool, wait_until
from restart_case import RestartCase
from vpp_process import VppProcess

MANY = 30


class TestMaglevFiles(RestartCase):
    """The configuration and the state file"""

    def config(self, frontends=MANY):
        """Backends that nobody probes, each in a frontend of its own; the first one is WEB's."""
        address = lambda n: (WEB[0], WEB[1]) if n == 0 else ("192.0.2.%d" % (100 + n), 80)
        return base_config(
            self.network,
            healthchecks={},
            backends={"b%d" % n: {"address": "10.77.9.%d" % (n + 1)} for n in range(MANY)},
            frontends={
                ("web" if n == 0 else "f%d" % n): frontend(address(n), pool("only", **{"b%d" % n: None}))
                for n in range(frontends)
            },
        )

    def running(self, process=None):
        """Until it runs."""
        process = process or self.process
        wait_until(lambda: self.status(process)["state"] == "running", lambda: process.cli("maglev show status"))
        return process

    def status(self, process=None):
        return json.loads((process or self.process).cli("maglev show status json"))

    def problems(self, process=None):
        return {p["kind"]: p["text"] for p in self.status(process)["problems"]}

    def text(self, path):
        with open(path, encoding="utf-8") as f:
            return f.read()

    def test_two_vpps_with_one_state_file(self):
        """The second VPP says who has its state file, reads and saves nothing, and takes over when the first one dies"""
        first = self.make(self.config()).start()
        self.running()
        self.assertNotIn("not saved", self.do("set backend b3 disable"))
        second = VppProcess(self.id().rpartition(".")[2])
        self.addCleanup(second.remove)
        second.stanzas.append("maglev { config %s state-file %s }" % (self.config_path, self.state_path))
        second.start()
        self.running(second)
        who = "process %d has it as its state file" % first.proc.pid
        wait_until(lambda: who in self.problems(second).get("state-file", ""), lambda: second.cli("maglev show status"))
        self.assertIn("problem begins kind=state-file", second.cli("show logging"))
        self.assertEqual(json.loads(second.cli("maglev show backend b3 json"))["state"], "up", "it has read nothing")
        answer = second.cli("maglev set backend b4 disable")
        self.assertIn("done, not saved: ", answer)
        self.assertIn("has it as its state file", answer)
        self.assertEqual(self.problems(), {}, "the first one has none")
        saved = self.text(self.state_path)
        self.assertEqual(saved.count('"state":"disabled"'), 1)
        self.assertNotIn("not saved", self.do("set backend b5 disable"))
        saved = self.text(self.state_path)
        self.assertEqual(saved.count('"state":"disabled"'), 2)

        first.kill()
        wait_until(lambda: not self.problems(second), lambda: second.cli("maglev show status"), timeout=60)
        self.assertEqual(self.text(self.state_path + ".bad"), saved, "what it has not read is kept")
        self.assertEqual(self.text(self.state_path).count('"state":"disabled"'), 1)
        # And the other way round, over its end.
        self.assertEqual(second.stop(), 0, second.console())
        first.start()
        self.running()
        self.assertEqual(self.show("backend b4")["state"], "disabled")
        self.assertEqual(self.show("backend b3")["state"], "up")

    def test_a_vpp_that_is_killed_leaves_no_lock(self):
        """SIGKILL and start again, at once: the words are there"""
        process = self.make(self.config()).start()
        self.running()
        for n in range(3):
            self.assertNotIn("not saved", self.do("set backend b%d disable" % n))
            process.kill()
            process.start()
            self.running()
            self.assertEqual(self.show("backend b%d" % n)["state"], "disabled")
            self.assertEqual(self.problems(), {})

    def test_the_state_file_is_the_configuration(self):
        """Neither the configuration nor any other file is moved or replaced: nothing is saved, and that is a problem"""
        self.make(self.config())
        text = self.text(self.config_path)
        folder = self.process.path("folder")
        os.symlink(os.path.dirname(self.config_path), folder)
        foreign = self.process.path("foreign.json")
        with open(foreign, "w", encoding="utf-8") as f:
            f.write('{"some": "thing"}')
        for state, words in (
            (self.config_path, "that is the configuration"),
            (os.path.join(folder, "maglev.yaml"), "that is the configuration"),
            (foreign, "not a state file of maglev"),
            (self.process.path("cli.sock"), "not a regular file"),
        ):
            with self.subTest(state=state):
                self.process.stanzas[-1] = "maglev { config %s state-file %s }" % (self.config_path, state)
                self.process.start()
                self.running()
                answer = self.do("set backend b3 disable")
                self.assertIn("done, not saved: ", answer)
                self.assertIn(words, answer)
                self.assertIn(words, self.problems()["state-file"])
                self.do("config reload")
                self.assertEqual(self.process.stop(), 0, self.process.console())
                self.assertEqual(self.text(self.config_path), text)
                self.assertEqual(self.text(foreign), '{"some": "thing"}')
                names = os.listdir(self.process.rundir)
                self.assertFalse([n for n in names if n.endswith(".bad") or ".new" in n], names)

    def test_a_reload_that_takes_most_away_wants_force(self):
        """A file cut short is refused with the numbers; force does it"""
        self.make(self.config()).start()
        self.running()
        self.write_config(self.config(frontends=10))
        before = self.process.cli("maglev show config")
        answer = self.process.cli("maglev config reload")
        self.assertTrue(answer.startswith("error: "), answer)
        self.assertIn("20 of 30 backends and 20 of 30 frontends out of service", answer)
        self.assertIn("config reload force", answer)
        self.assertEqual(self.process.cli("maglev show config"), before)
        self.assertIn("config-reload failed, nothing changed", self.process.cli("show logging"))
        self.assertEqual(self.weights(), {"10.77.9.1": 100})
        self.do("config check")
        self.do("config reload force")
        self.assertEqual(len(self.show("frontends")), 10)
        # The same over the binary API.
        self.write_config(self.config())
        self.do("config reload")
        self.write_config(self.config(frontends=10))
        with self.connection() as vapi:
            vapi.papi.maglev_config_reload()
            wait_until(lambda: self.status()["config_errors"], "not refused")
            self.assertEqual(len(self.show("frontends")), MANY)
            vapi.papi.maglev_config_reload(force=True)
            wait_until(lambda: len(self.show("frontends")) == 10, "not forced")
        self.assertEqual(self.status()["config_errors"], [])
        # Ten at most may always go.
        self.write_config(self.config(frontends=1))
        self.do("config reload")

    def test_a_file_that_is_being_written_is_not_taken_for_a_shorter_one(self):
        """A reload while the file is rewritten in place, again and again, sees the whole file or none"""
        self.make(self.config()).start()
        self.running()
        lines = self.text(self.config_path).splitlines(keepends=True)
        end = threading.Event()

        def write():
            while not end.is_set():
                with open(self.config_path, "w", encoding="utf-8") as f:
                    for line in lines:
                        f.write(line)
                        f.flush()
                        time.sleep(0.002)
                time.sleep(0.05)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            said = []
            for n in range(5):
                said.append(self.process.cli("maglev config reload"))
                # Where the machine does not let the writer write for long enough, its file looks finished.
                self.assertGreaterEqual(len(self.show("frontends")), MANY // 2, said)
                self.assertNotIn("not saved", self.do("set backend b%d disable" % n))
            self.assertGreaterEqual(sum("is being written" in answer for answer in said), 3, said)
        finally:
            end.set()
            writer.join()
        self.do("config reload")
        self.assertEqual((len(self.show("frontends")), len(self.show("backends"))), (MANY, MANY))


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
