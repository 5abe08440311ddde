"""Faults of the host: no descriptors, no ports, no room on the disk, files that are replaced. What is our own fault
takes nobody down, and what cannot be done says why."""

import itertools
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from backends import PORT
from faults_case import ADDRESS, KINDS, WANTED, FaultsCase
from maglev_case import WEB, wait_until, yaml
from vpp_process import die_with_parent

LONG = os.environ.get("MAGLEV_LONG_TESTS") == "1"
# The verbs of the binary API.
ENABLE, DISABLE = 0, 1
HOLDER = """
import socket, sys
kept = []
kind = getattr(socket, sys.argv[1])
for _ in range(int(sys.argv[4])):
    s = socket.socket(socket.AF_INET, kind)
    try:
        s.bind((sys.argv[2], 0)) if kind == socket.SOCK_DGRAM else s.connect((sys.argv[2], int(sys.argv[3])))
    except OSError:
        break
    kept.append(s)
print("ready", flush=True)
sys.stdin.read()
"""


class TestMaglevFaultsHost(FaultsCase):
    """What VPP's host can run out of"""

    state_name = "disk/state.json"

    @classmethod
    def make_backends(cls, network):
        super().make_backends(network)
        cls.disk = os.path.join(cls.tempdir, "disk")
        os.mkdir(cls.disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "maglev-test", cls.disk], check=True)
        cls.addClassCleanup(subprocess.run, ["umount", "-l", cls.disk], check=False)

    def all_at_fault(self, names, words, more=4):
        """Until each of these has had `more` faults of ours, in these words; nobody's state changes meanwhile."""
        before = self.faults()
        wait_until(
            lambda: all(self.faults()[n] >= before[n] + more for n in names),
            lambda: "no faults: %s" % self.vapi.cli("maglev show backends"),
        )
        for name, view in self.views().items():
            self.assertEqual(view["state"], "up", view)
            if name in names:
                self.assertIn(words, view["last_detail"], view)
        self.assertEqual(self.lb_weights(*WEB), WANTED)

    def set_backend(self, name, verb):
        """A verb over the API connection that is there already; its text."""
        reply = self.vapi.papi.maglev_set_backend(backend=name, verb=verb)
        self.assertEqual(reply.retval, 0, reply)
        return reply.text

    def test_no_descriptors(self):
        """No descriptor is left for probes, files and connections: SOCKERR, errors that say so, nobody is down"""
        # At full health those over TCP have a socket already.
        self.all_pass(6)
        before = self.descriptors()
        limit = resource.prlimit(self.vpp.pid, resource.RLIMIT_NOFILE)
        free = lambda: resource.prlimit(self.vpp.pid, resource.RLIMIT_NOFILE, limit)
        self.addCleanup(free)
        # Below what is open already.
        resource.prlimit(self.vpp.pid, resource.RLIMIT_NOFILE, (8, limit[1]))
        # An echo goes over a socket that is there.
        passes, faults = self.backend("icmp")["passes"], self.faults()["icmp"]
        others, views = set(KINDS) - {"dns"}, self.views()
        self.all_at_fault({"dns"}, "too many open files", more=8)
        for name in others:
            view = self.backend(name)
            self.assertEqual(view["sockerrs"], views[name]["sockerrs"], view)
            self.assertGreater(view["passes"], views[name]["passes"], view)
        # One failure, and there is no other socket for the next probe.
        tcp = others - {"icmp"}
        for name in tcp:
            self.network[name].kill()
        self.all_at_fault(set(KINDS) - {"icmp"}, "too many open files", more=8)
        for name in tcp:
            self.assertEqual(self.backend(name)["failures"], views[name]["failures"] + 1)
            self.network[name].start()
        icmp = self.backend("icmp")
        self.assertEqual((icmp["last_code"], icmp["sockerrs"]), ("L4OK", faults), icmp)
        self.assertGreater(icmp["passes"], passes + 2)
        self.assertNotIn("panic", self.vapi.cli("show logging"))
        free()
        self.do("maglev config check")
        self.all_pass()
        self.assertNotIn("not saved", self.do("maglev set backend icmp disable"))
        self.do("maglev set backend icmp enable")
        self.healed(before)

    def test_no_descriptor_for_files(self):
        """Without a descriptor for them neither the state file is written nor a configuration read: both say so"""
        limit = resource.prlimit(self.vpp.pid, resource.RLIMIT_NOFILE)
        free = lambda: resource.prlimit(self.vpp.pid, resource.RLIMIT_NOFILE, limit)
        self.addCleanup(free)
        resource.prlimit(self.vpp.pid, resource.RLIMIT_NOFILE, (8, limit[1]))
        self.set_backend("tcp", DISABLE)
        wait_until(
            lambda: "too many open files" in (self.show("status")["state_file"]["error"] or ""),
            lambda: "not told: %s" % self.show("status"),
        )
        self.vapi.papi.maglev_config_reload()
        wait_until(
            lambda: any("too many open files" in e.lower() for e in self.show("status")["config_errors"]),
            lambda: "not told: %s" % self.show("status"),
        )
        self.assertEqual(self.show("status")["state"], "running")
        free()
        self.set_backend("tcp", ENABLE)
        wait_until(lambda: self.show("status")["state_file"]["error"] is None, "not saved again")
        self.do("maglev config reload")
        self.assertEqual(self.show("status")["config_errors"], [])
        self.healed()

    def hold(self, kind, address, count):
        """A process in the probes' namespace that has up to `count` ports."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.network.probes, sys.executable, "-I", "-c", HOLDER]
            + [kind, address, str(PORT), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )
        self.network.processes.append(process)
        self.addCleanup(lambda: process in self.network.processes and self.network.end(process))
        self.assertEqual(process.stdout.readline().strip(), "ready")
        return process

    def test_no_ports(self):
        """No source port is left: SOCKERR for who needs one, nobody is down, and the others go on"""
        before = self.descriptors()
        path = "/proc/sys/net/ipv4/ip_local_port_range"
        inside = ["ip", "netns", "exec", self.network.probes, "sh", "-c"]
        old = subprocess.run([*inside, "cat " + path], capture_output=True, text=True, check=True).stdout.strip()
        widen = [*inside, "echo %s > %s" % (old, path)]
        self.addCleanup(subprocess.run, widen, check=True)
        subprocess.run([*inside, "echo 50000 50007 > " + path], check=True)
        # Each port once for each server: more tries than ports, since a probe may have one just now.
        holder = self.hold("SOCK_STREAM", ADDRESS["tcp"], 64)
        more = self.hold("SOCK_STREAM", ADDRESS["tcp"], 64)
        self.all_at_fault({"tcp"}, "address not available")
        for process in (holder, more):
            self.network.end(process)
        # A port without TCP belongs to one socket alone.
        holder = self.hold("SOCK_DGRAM", "0.0.0.0", 64)
        self.all_at_fault({"dns"}, "")
        self.assertEqual(self.backend("dns")["last_code"], "SOCKERR")
        self.network.end(holder)
        subprocess.run(widen, check=True)
        self.all_pass()
        self.healed(before)

    def ballast(self):
        """Fills the disk to its last byte; the file's path."""
        path = os.path.join(self.disk, "ballast")
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))
        with open(path, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 512)
            except OSError:
                pass
        return path

    def test_the_disk_fills(self):
        """The disk fills while VPP runs: words are done, and say that they are not saved; with room again all are"""
        self.assertNotIn("not saved", self.do("maglev set backend http disable"))
        with open(self.state_path, encoding="utf-8") as f:
            good = f.read()
        ballast = self.ballast()
        for verb, name in (("enable", "http"), ("disable", "body"), ("disable", "talk")):
            answer = self.do("maglev set backend %s %s" % (name, verb))
            self.assertRegex(answer, r"(?m)^done, not saved: .*no space left")
        with open(self.state_path, encoding="utf-8") as f:
            self.assertEqual(f.read(), good, "what was good is kept")
        self.assertEqual(sorted(os.listdir(self.disk)), ["ballast", "state.json", "state.json.lock"], "no half file is left")
        self.assertIn("no space left", self.show("status")["state_file"]["error"])
        os.unlink(ballast)
        # By itself, no verb needed: it is tried again and again.
        wait_until(lambda: self.show("status")["state_file"]["error"] is None, "not saved again", timeout=15)
        with open(self.state_path, encoding="utf-8") as f:
            text = f.read()
        self.assertNotEqual(text, good)
        self.assertNotIn("not saved", self.do("maglev set backend body enable"))
        self.assertNotIn("not saved", self.do("maglev set backend talk enable"))
        self.all_up()
        self.healed()

    def test_the_folder_goes(self):
        """The state file goes, then its folder: both are made again; what is in the folder's place instead stays"""
        os.unlink(self.state_path)
        self.assertNotIn("not saved", self.do("maglev set backend http disable"))
        self.assertTrue(os.path.isfile(self.state_path), "a file that goes is written anew")
        subprocess.run(["umount", "-l", self.disk], check=True)
        self.addCleanup(
            subprocess.run, ["mount", "-t", "tmpfs", "-o", "size=64k", "maglev-test", self.disk], check=True
        )
        os.rmdir(self.disk)
        self.addCleanup(os.makedirs, self.disk, exist_ok=True)
        self.assertNotIn("not saved", self.do("maglev set backend http enable"))
        self.assertEqual(sorted(os.listdir(self.disk)), ["state.json", "state.json.lock"])
        shutil.rmtree(self.disk)
        with open(self.disk, "w", encoding="utf-8") as f:
            f.write("in the way")
        answer = self.do("maglev set backend http disable")
        self.assertRegex(answer, r"(?m)^done, not saved: .*not a directory")
        with open(self.disk, encoding="utf-8") as f:
            self.assertEqual(f.read(), "in the way")
        os.unlink(self.disk)
        self.assertNotIn("not saved", self.do("maglev set backend http enable"))
        self.healed()

    def replacements(self):
        """What may stand in a configuration's place, made beside it: (how, whether it is a configuration)"""
        good = yaml({"maglev": self.make_config(self.network)}) + "\n"

        def text(words):
            def make(path):
                with open(path, "w", encoding="utf-8") as f:
                    f.write(words)

            return make

        def huge(path):
            with open(path, "wb") as f:
                f.truncate(1 << 40)

        def binary(path):
            with open(path, "wb") as f:
                f.write(os.urandom(65536))

        return [
            (text(good), True),
            (text("maglev: [" * 500), False),
            (text(good), True),
            (binary, False),
            (text(good), True),
            (huge, False),
            (text(good), True),
            (os.mkdir, False),
            (text(good), True),
            (os.mkfifo, False),
            (text(good), True),
            (lambda path: os.symlink(path, path), False),
            (text(good[: len(good) // 2]), False),
        ]

    def replace(self, make):
        """Puts something into the configuration's place."""
        path = self.config_path
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
        make(path)

    def put_back(self):
        self.replace(lambda path: None)
        self.write_config(self.make_config(self.network))

    def test_odd_things_in_the_place_of_the_configuration(self):
        """Garbage, a terabyte, a folder, a pipe, a circle of links: refused at once, and nothing changes"""
        self.addCleanup(self.put_back)
        for make, good in self.replacements():
            self.replace(make)
            for command in ("maglev config check", "maglev config reload"):
                began = time.monotonic()
                (self.do if good else self.error)(command)
                self.assertLess(time.monotonic() - began, 10)
            self.assertEqual(self.lb_weights(*WEB), WANTED)
            self.assertEqual(self.show("status")["state"], "running")
        self.put_back()
        self.do("maglev config reload")
        self.healed()

    def test_the_configuration_changes_under_the_reload(self):
        """The file is replaced again and again while it is read: each reload has an answer, and nothing hangs"""
        self.addCleanup(self.put_back)
        before = self.descriptors()
        stop = threading.Event()

        def churn():
            for make, _ in itertools.cycle(self.replacements()):
                if stop.is_set():
                    return
                self.replace(make)

        worker = threading.Thread(target=churn)
        worker.start()
        try:
            deadline = time.monotonic() + (60 if LONG else 6)
            good = bad = 0
            while time.monotonic() < deadline:
                if self.vppctl("maglev config reload", timeout=10).startswith("error: "):
                    bad += 1
                else:
                    good += 1
                self.assertEqual(set(self.lb_weights(*WEB)), set(WANTED))
        finally:
            stop.set()
            worker.join()
        self.assertGreater(bad, 0)
        self.put_back()
        self.do("maglev config reload")
        self.assertNotIn("not saved", self.do("maglev set backend http disable"))
        self.do("maglev set backend http enable")
        self.healed(before)


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
