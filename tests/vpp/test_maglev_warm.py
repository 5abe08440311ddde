"""The state file: a VPP that is killed and started again goes on as if nothing had been."""

import json
import os
import re
import stat
import subprocess
import time
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from maglev_case import WEB, base_config, check, checked, frontend, pool, wait_until
from restart_case import RestartCase

FIRST = ["b%d" % n for n in range(12)]
SECOND = ["b%d" % n for n in range(12, 20)]
ADDRESS = {n: "10.77.0.%d" % (i + 1) for i, n in enumerate(FIRST + SECOND)}


class TestMaglevWarm(RestartCase):
    """Restarts with a state file"""

    servers = {n: i + 1 for i, n in enumerate(FIRST + SECOND)}

    def prepare(self):
        """A VPP, not started; 20 backends in two pools."""
        config = base_config(
            self.network,
            backends=checked(self.network),
            frontends={
                "web": frontend(
                    WEB,
                    pool("first", **{n: 50 for n in FIRST}),
                    pool("second", **{n: None for n in SECOND}),
                )
            },
        )
        # Cold, it would take its time: every backend is probed first within this.
        config["healthchecks"]["web"] = check(interval="2s", **{"fast-interval": "300ms"})
        return self.make(config)

    def wait_up(self, down=()):
        wanted = {n: "down" if n in down else "up" for n in ADDRESS}
        wait_until(
            lambda: {b["name"]: b["state"] for b in self.show("backends")} == wanted
            and self.show("frontends web")["programmed"],
            lambda: "not up: %s" % self.process.cli("maglev show backends"),
            timeout=30,
        )

    def words(self):
        """One disabled, one weight overridden; both on the disk when the command answers."""
        self.assertNotIn("not saved", self.do("set backend b3 disable"))
        self.assertNotIn("not saved", self.do("set frontend web pool first backend b5 weight 7"))
        with open(self.state_path, encoding="utf-8") as f:
            saved = json.load(f)["state"]
        self.assertEqual([b["name"] for b in saved["backends"] if b["state"] == "disabled"], ["b3"])
        self.assertEqual([(w["backend"], w["weight"]) for w in saved["weights"]], [("b5", 7)])
        self.assertEqual(stat.S_IMODE(os.stat(self.state_path).st_mode), 0o600)

    def watch(self, seconds, settled=lambda seen: False):
        """Every programming of the VIP that a dense poll sees, oldest first, over so long or until `settled`."""
        reader, seen = self.reader(), []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not settled(seen):
            now = reader.lb_weights(*WEB)
            if now is not None and (not seen or seen[-1] != now):
                seen.append(now)
            time.sleep(0.002)
        return seen

    def writes(self):
        """Every write to the VIP's servers since VPP's start, as it was logged: (server, weight), None for deleted."""
        found = re.findall(
            r"lb-sync vip=\S+ (?:add-server|set-weight|delete-server) servers?=([^\s]+)(?: weight=(\d+))?",
            self.process.cli("show logging"),
        )
        return [(s, int(weight) if weight else None) for servers, weight in found for s in servers.split(",")]

    def check_writes(self, before, well):
        """The first programming was `before`, and nothing was ever taken from who is well."""
        first = {}
        for server, weight in self.writes():
            first.setdefault(server, weight)
            if server in well:
                self.assertEqual(weight, before[server], server)
        self.assertEqual(first, before)

    def test_killed_and_started_again(self):
        """After SIGKILL lb's first programming is the old one but for what died meanwhile; words stand"""
        self.prepare().start()
        self.wait_up()
        self.words()
        before = self.weights()
        wanted = {ADDRESS[n]: 50 for n in FIRST} | {ADDRESS[n]: 0 for n in SECOND}
        wanted.update({ADDRESS["b3"]: 0, ADDRESS["b5"]: 7})
        self.assertEqual(before, wanted)
        history = self.show("backends b3")["transitions"]

        for died in ([], ["b1", "b13"]):
            self.process.kill()
            for name in died:
                self.network[name].kill()
            self.process.start()
            after = dict(wanted) | {ADDRESS[n]: 0 for n in died}
            seen = self.watch(12, lambda seen: bool(died) and seen[-1:] == [after])
            self.assertIn(seen[0], (before, after), "the first programming")
            self.assertEqual(seen[-1], after)
            well = {a for n, a in ADDRESS.items() if n in FIRST and n not in died and n != "b3"}
            self.check_writes(before, well)
            for weights in seen:
                self.assertFalse([a for a in well if weights[a] != wanted[a]], "a healthy one lost weight")
            self.assertEqual(self.show("backends b3")["state"], "disabled")
            self.assertEqual(self.show("backends b3")["transitions"], history)
            self.assertIn("state-file restored backends=20", self.process.cli("show logging"))

    def test_failed_over(self):
        """Killed while the second pool serves, it serves from the first programming on; what came back takes over"""
        self.prepare().start()
        self.wait_up()
        for name in FIRST:
            self.network[name].kill()
        self.wait_up(down=FIRST)
        before = {ADDRESS[n]: 0 for n in FIRST} | {ADDRESS[n]: 100 for n in SECOND}
        wait_until(lambda: self.weights() == before, lambda: str(self.weights()))
        time.sleep(1.2)
        self.process.kill()
        self.network["b12"].kill()
        self.process.start()
        after = before | {ADDRESS["b12"]: 0}
        seen = self.watch(12, lambda seen: seen[-1:] == [after])
        self.assertIn(seen[0], (before, after))
        self.assertEqual(seen[-1], after)
        for weights in seen:
            self.assertEqual({weights[ADDRESS[n]] for n in SECOND if n != "b12"}, {100})
        self.check_writes(before, {ADDRESS[n] for n in SECOND if n != "b12"})
        self.network["b0"].start()
        wait_until(lambda: self.weights()[ADDRESS["b0"]] == 50, "b0 came back, and stays at 0")

    def test_bad_files(self):
        """A state file that is truncated, damaged or of another version is set aside, logged, and start goes on"""
        process = self.prepare().start()
        self.wait_up()
        self.words()
        self.assertEqual(process.stop(), 0)
        with open(self.state_path, encoding="utf-8") as f:
            good = f.read()
        rows = [
            ("damaged", good[: len(good) // 2]),
            ("checksum", good.replace('"disabled"', '"up"')),
            ("version 0", good.replace('"version":1', '"version":0')),
        ]
        for word, text in rows:
            with open(self.state_path, "w", encoding="utf-8") as f:
                f.write(text)
            process.start()
            wait_until(lambda: self.show("status")["state"] == "running", "not running")
            log = [line for line in process.cli("show logging").splitlines() if "state-file not read" in line]
            self.assertEqual(len(log), 1, log)
            self.assertIn(word, log[0])
            self.assertIn(word, self.show("status")["state_file"]["problem"])
            with open(self.state_path + ".bad", encoding="utf-8") as f:
                self.assertEqual(f.read(), text)
            self.assertNotEqual(self.show("backends b3")["state"], "disabled")
            wait_until(lambda: self.show("status")["state_file"]["saved_ms"], "not saved anew")
            self.assertEqual(process.stop(), 0, process.console())

    def said_once(self, word):
        """Verbs are done and say that they are not saved; the log says it once, the status for as long."""
        answer = self.do("set backend b3 disable")
        self.assertIn("done, not saved: ", answer)
        self.assertIn(word, answer)
        self.assertIn("not saved", self.do("set backend b4 pause"))
        self.assertEqual(self.show("backends b3")["state"], "disabled")
        time.sleep(2.5)
        log = [line for line in self.process.cli("show logging").splitlines() if "state-file not saved" in line]
        self.assertEqual(len(log), 1, log)
        self.assertIn(word, log[0])
        self.assertIn(word, self.show("status")["state_file"]["error"])
        self.assertIn("state not saved ", self.process.cli("maglev show status"))

    def disk(self, size):
        """A small file system of our own; its folder."""
        folder = self.process.path("disk")
        os.mkdir(folder)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%s" % size, "maglev-test", folder], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=False)
        return folder

    def broken_disk(self, size, stop_it, mend, word):
        """Starts on a disk, breaks it, mends it; the file is good all along."""
        self.prepare()
        folder = self.disk(size)
        state = os.path.join(folder, "state.json")
        self.process.stanzas[-1] = self.process.stanzas[-1].replace(self.state_path, state)
        self.state_path = state
        self.process.start()
        self.wait_up()
        self.words()
        self.do("set backend b3 enable")
        self.wait_up()
        self.assertEqual(self.process.stop(), 0)
        with open(state, encoding="utf-8") as f:
            good = f.read()
        stop_it(folder)
        self.process.start()
        self.wait_up()
        self.assertEqual(self.weights()[ADDRESS["b5"]], 7, "what is there is read")
        self.said_once(word)
        with open(state, encoding="utf-8") as f:
            self.assertEqual(f.read(), good, "nothing is lost that was good")
        mend(folder)
        self.assertNotIn("not saved", self.do("set backend b6 disable"))
        self.assertIsNone(self.show("status")["state_file"]["error"])
        self.process.kill()
        self.process.start()
        wait_until(lambda: self.show("status")["state"] == "running", "not running")
        states = {b["name"]: b["state"] for b in self.show("backends")}
        self.assertEqual((states["b3"], states["b4"], states["b6"]), ("disabled", "paused", "disabled"))

    def test_full_disk(self):
        """A full disk: start goes on, said once, the file stays good, and is written when there is room"""

        def fill(folder):
            with open(os.path.join(folder, "ballast"), "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(b"x" * 512)
                except OSError:
                    pass

        self.broken_disk("64k", fill, lambda f: os.unlink(os.path.join(f, "ballast")), "no space left")

    def test_read_only_folder(self):
        """A read-only folder: the same"""

        def mount(folder, how):
            subprocess.run(["mount", "-o", "remount," + how, folder], check=True)

        self.broken_disk("1m", lambda f: mount(f, "ro"), lambda f: mount(f, "rw"), "read-only")

    def test_missing_folder(self):
        """A folder that is not there: start goes on, said once; made, it is used"""
        self.prepare()
        folder = self.process.path("no/such")
        self.process.stanzas[-1] = self.process.stanzas[-1].replace(self.state_path, folder + "/state.json")
        self.process.start()
        self.wait_up()
        self.said_once("no such folder")
        os.makedirs(folder)
        self.assertNotIn("not saved", self.do("set backend b6 disable"))
        self.assertTrue(os.path.isfile(folder + "/state.json"))


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
