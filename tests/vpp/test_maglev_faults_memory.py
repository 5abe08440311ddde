"""The kernel has no memory for the prober's sockets: what is our own fault takes nobody down."""

import os
import shutil
import signal
import subprocess
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from faults_case import KINDS, WANTED, FaultsCase
from maglev_case import WEB, wait_until
from vpp_process import die_with_parent

THREAD = "maglev-probe"
# As many calls of connect() that fail take all kept sockets from their backends: one call for a kept socket, one for the new
# one that is made then, one for each of the next probes, which come sooner.
FRESH = 24


@unittest.skipUnless(shutil.which("strace"), "no `strace` found (Debian, Ubuntu: apt-get install strace)")
class TestMaglevFaultsMemory(FaultsCase):
    """The kernel is out of memory"""

    def prober(self):
        """The number of the prober's thread."""
        for tid in os.listdir(self.proc("task")):
            with open(self.proc("task/%s/comm" % tid), encoding="utf-8") as f:
                if f.read().strip() == THREAD:
                    return tid
        self.fail("VPP has no thread %s" % THREAD)

    def refuse(self, calls, error, connects):
        """From now on each of these system calls of the prober's thread, and of no other, fails so, and the first so many
        calls of connect(); how to end that."""
        tid = self.prober()
        what = ["-e", "inject=%s:error=%s" % (calls, error)]
        if connects:
            what += ["-e", "inject=connect:error=%s:when=1..%d" % (error, connects)]
        tracer = subprocess.Popen(
            ["strace", "-qq", "-o", "/dev/null", "-p", tid, *what],
            preexec_fn=die_with_parent,
        )

        def end():
            if tracer.poll() is None:
                # It lets the thread go.
                tracer.send_signal(signal.SIGTERM)
                tracer.wait(10)

        self.addCleanup(end)

        def traced():
            with open(self.proc("task/%s/status" % tid), encoding="utf-8") as f:
                return "TracerPid:\t%d\n" % tracer.pid in f.read()

        wait_until(traced, "strace does not trace the prober")
        return end

    def out_of(self, calls, error, names, words, connects=0):
        """While those calls fail, these backends have faults in these words, the others pass, and nobody's state or
        weight changes; all pass again afterwards."""
        # At full health: sockets are kept.
        self.all_pass(6)
        before, descriptors, transitions = self.views(), self.descriptors(), self.transitions()
        others = set(KINDS) - set(names)
        end = self.refuse(calls, error, connects)

        def seen():
            now = self.views()
            return all(now[n]["sockerrs"] > before[n]["sockerrs"] + 8 for n in names) and all(
                now[n]["passes"] > before[n]["passes"] + 8 for n in others
            )

        wait_until(seen, lambda: "not so: %s" % self.vapi.cli("maglev show backends"), timeout=30)
        for name, view in self.views().items():
            self.assertEqual((view["state"], view["failures"]), ("up", before[name]["failures"]), view)
            if name in names:
                self.assertEqual(view["last_code"], "SOCKERR", view)
                self.assertIn(words, view["last_detail"], view)
            else:
                self.assertEqual(view["sockerrs"], before[name]["sockerrs"], view)
        self.assertEqual(self.lb_weights(*WEB), WANTED)
        end()
        self.all_pass(3)
        self.assertEqual(self.transitions(), transitions)
        self.healed(descriptors)

    def transitions(self):
        return {n: b["transitions"] for n, b in self.views().items()}

    def test_no_memory_for_sockets(self):
        """socket() is refused: SOCKERR for all but ICMP, whose socket is there"""
        self.out_of("socket", "ENOMEM", set(KINDS) - {"icmp"}, "socket: out of memory", FRESH)

    def test_no_buffers_for_sockets(self):
        """The same, as some protocols say it"""
        self.out_of("socket", "ENOBUFS", set(KINDS) - {"icmp"}, "socket: no buffer space", FRESH)

    def test_no_descriptors_for_sockets(self):
        """The same, for another reason"""
        self.out_of("socket", "EMFILE", set(KINDS) - {"icmp"}, "socket: too many open files", FRESH)

    def test_no_memory_for_new_sockets(self):
        """socket() is refused: who is at full health has one already, but for what goes over UDP"""
        self.out_of("socket", "ENOMEM", {"dns"}, "socket: out of memory")

    def test_no_memory_to_connect(self):
        """connect() is refused: no port table, no route can be made"""
        self.out_of("connect", "ENOMEM", set(KINDS) - {"icmp"}, "connect: out of memory")

    def test_no_memory_to_watch_sockets(self):
        """epoll_ctl() is refused for sockets that were made and connected"""
        self.out_of("epoll_ctl", "ENOMEM", set(KINDS) - {"icmp"}, "epoll: out of memory", FRESH)

    def test_no_memory_for_what_is_sent(self):
        """What would be sent is refused, on sockets that are there too"""
        self.out_of("sendto,sendmsg,write", "ENOBUFS", {"http", "icmp", "dns", "body", "talk"}, "no buffer space")

    def test_no_memory_for_anything(self):
        """All of it at once"""
        self.out_of("socket,connect,bind,sendto,sendmsg,epoll_ctl,setsockopt,ioctl", "ENOMEM", KINDS, "out of memory")


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
