"""Faults of the network and of peers in a real VPP: nothing crashes, states follow the rules, and once it is over
lb is what the configuration says within one sync."""

import os
import subprocess
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from backends import HERE, ip
from faults_case import ADDRESS, HEALED, KINDS, WANTED, FaultsCase
from maglev_case import WEB, wait_until

WIRE = os.path.join(HERE, "lossy_wire.py")
DEAF = os.path.join(HERE, "deaf_server.py")
LONG = os.environ.get("MAGLEV_LONG_TESTS") == "1"
NET = "10.77.0.0/16"


class TestMaglevFaultsNet(FaultsCase):
    """The network between VPP and the backends"""

    def setUp(self):
        super().setUp()
        self.before = self.descriptors()
        self.our_faults = self.faults()

    def wire(self):
        """From now on probes and answers go over a lossy wire, until unwire()."""
        network = self.network
        wire = network.spawn(network.probes, [network.servers], namespace=None, server=WIRE)
        self.addCleanup(lambda: wire in network.processes and self.unwire(wire))
        for namespace in (network.probes, network.servers):
            ip("-n", namespace, "link", "set", "wire", "up")
        ip("-n", network.probes, "route", "replace", NET, "dev", "wire", "src", "10.76.0.1")
        ip("-n", network.servers, "route", "replace", "10.76.0.1/32", "dev", "wire")
        return wire

    def unwire(self, wire):
        ip("-n", self.network.probes, "route", "replace", NET, "via", "10.76.0.2")
        self.network.end(wire)

    def fault(self, wire, **words):
        """What the wire does to packets; see lossy_wire.py."""
        order = ("loss", "delay", "more", "twice")
        self.network.tell(wire, "fault " + " ".join(str(words.get(w, 0)) for w in order))

    def count(self, wire):
        """(passed, lost, doubled, overtaken)"""
        return [int(n) for n in self.network.tell(wire, "count").split()[1:]]

    def no_fault_of_ours(self):
        self.assertEqual(self.faults(), self.our_faults)

    @unittest.skipUnless(os.path.exists("/dev/net/tun"), "no /dev/net/tun, for the lossy wire")
    def test_delay_reordering_and_doubles(self):
        """Packets that are late, overtake each other and come twice: nobody fails, and no reply counts twice"""
        wire = self.wire()
        before = self.views()
        probes = self.show("status")["prober"]["probes"]
        self.fault(wire, delay=120, more=50, twice=30)
        self.during(30 if LONG else 5)
        after = self.views()
        asked = self.show("status")["prober"]["probes"] - probes
        passed, lost, doubled, overtaken = self.count(wire)
        self.assertTrue(passed and doubled and overtaken, (passed, lost, doubled, overtaken))
        self.assertEqual({n: b["failures"] for n, b in after.items()}, {n: b["failures"] for n, b in before.items()})
        results = sum(after[n]["passes"] - before[n]["passes"] for n in KINDS)
        self.assertGreater(results, 3 * len(KINDS))
        # One may have been under way for each, at the beginning.
        self.assertLessEqual(results, asked + len(KINDS))
        self.no_fault_of_ours()
        self.unwire(wire)
        self.healed(self.before)

    @unittest.skipUnless(os.path.exists("/dev/net/tun"), "no /dev/net/tun, for the lossy wire")
    def test_loss(self):
        """A third of the packets lost, delay, reordering: who flaps does so by the rules; all lost: all down in time"""
        wire = self.wire()
        began = max(b["since_ms"] for b in self.show("backends"))
        self.fault(wire, loss=30, delay=200, more=50, twice=5)
        self.during(60 if LONG else 10)
        self.assertGreater(self.count(wire)[1], 10)
        for name, view in self.views().items():
            for t in view["transitions"]:
                if t["to"] == "down" and t["at_ms"] > began:
                    self.assertIn(t["code"], ("L4TOUT", "L7TOUT"), (name, t))
        self.no_fault_of_ours()
        self.fault(wire, loss=100)
        self.wait_weights(WEB, dict.fromkeys(WANTED, 0), timeout=10)
        self.wait_codes(**dict.fromkeys(KINDS, "L4TOUT L7TOUT"))
        self.no_fault_of_ours()
        self.network.tell(wire, "pass")
        self.wait_weights(WEB, WANTED, timeout=HEALED)
        self.unwire(wire)
        self.healed(self.before)

    @unittest.skipUnless(os.path.exists("/dev/net/tun"), "no /dev/net/tun, for the lossy wire")
    def test_icmp_unreachable(self):
        """A router's word that a host is unreachable is the backend's failure, in the words of the error"""
        wire = self.wire()
        host = "no route to host"
        for code, words in (0, "network unreachable"), (1, host), (3, "refused"), (13, host):
            self.network.tell(wire, "unreachable %d" % code)
            self.wait_weights(WEB, dict.fromkeys(WANTED, 0), timeout=10)
            self.wait_codes(**dict.fromkeys(KINDS, "L4CON"))
            for name in ("http", "tcp", "body", "talk"):
                self.assertIn(words, self.backend(name)["last_detail"])
            self.network.tell(wire, "pass")
            self.wait_weights(WEB, WANTED, timeout=HEALED)
        self.no_fault_of_ours()
        self.unwire(wire)
        self.healed(self.before)

    def test_our_own_routes(self):
        """A route of our own that refuses is no failure of anybody, whatever errno it has"""
        for kind, words in (
            ("blackhole", "invalid argument"),
            ("prohibit", "permission denied"),
            ("unreachable", "no route to host"),
        ):
            before = self.faults()
            ip("-n", self.network.probes, "route", "add", kind, "10.77.0.0/24")
            undo = ["ip", "-n", self.network.probes, "route", "del", kind, "10.77.0.0/24"]
            self.addCleanup(subprocess.run, undo, stderr=subprocess.DEVNULL, check=False)
            wait_until(
                lambda: all(n >= before[b] + 5 for b, n in self.faults().items()),
                lambda: "%s: no faults: %s" % (kind, self.faults()),
            )
            for view in self.show("backends"):
                self.assertEqual((view["last_code"], view["state"]), ("SOCKERR", "up"), view)
                self.assertIn(words, view["last_detail"])
            self.assertEqual(self.lb_weights(*WEB), WANTED)
            ip("-n", self.network.probes, "route", "del", kind, "10.77.0.0/24")
            self.healed(self.before)

    def test_reset_after_accept(self):
        """A connection that is taken and reset at once: up for who only asks for a connection, down for the rest"""
        for name in KINDS:
            self.network[name].behave("abort")
        self.wait_codes(http="L7RSP L4CON", body="L7RSP L4CON", talk="L7RSP L4CON")
        self.during(2)
        self.assertEqual((self.state("icmp"), self.state("dns")), ("up", "up"))
        self.no_fault_of_ours()
        self.network.heal()
        self.healed(self.before)

    def test_a_full_queue(self):
        """A server whose queue of connections is full answers no SYN: L4TOUT for all that use TCP, by the deadline"""
        tcp = {n: ADDRESS[n] for n in ("http", "tcp", "body", "talk")}
        for name in tcp:
            self.network[name].kill()
        deaf = self.network.spawn(8080, list(tcp.values()), server=DEAF)
        self.wait_codes(**dict.fromkeys(tcp, "L4TOUT L4CON"))
        wait_until(
            lambda: all(self.backend(n)["last_code"] == "L4TOUT" for n in tcp),
            lambda: "not silent: %s" % self.vapi.cli("maglev show backends"),
        )
        self.during(2)
        self.assertEqual((self.state("icmp"), self.state("dns")), ("up", "up"))
        self.assertLess(self.backend("tcp")["last_latency_us"], 1_300_000, "one deadline")
        self.network.end(deaf)
        self.network.heal()
        self.healed(self.before)

    def test_drip(self):
        """One byte a second, for far longer than the timeout, does not outlive it"""
        for name in KINDS:
            self.network[name].behave("drip 1")
        self.wait_codes(http="L7TOUT", body="L7TOUT", talk="L7TOUT")
        self.during(3)
        for name in ("http", "body", "talk"):
            self.assertLess(self.backend(name)["last_latency_us"], 1_300_000, name)
        self.assertEqual((self.state("tcp"), self.state("icmp")), ("up", "up"))
        self.network.heal()
        self.healed(self.before)

    def test_a_gigabyte(self):
        """A body of a gigabyte: what is needed of it is read, the rest is neither taken nor kept"""
        memory = self.resident()
        for name in KINDS:
            self.network[name].behave("flood")
        self.wait_codes(body="L7RSP L7TOUT", talk="L7RSP L7TOUT")
        self.during(30 if LONG else 4)
        self.assertEqual((self.state("http"), self.state("tcp")), ("up", "up"), "their answer was good")
        for name in ("http", "body", "talk"):
            taken = int(self.network[name].behave("sent").split()[1])
            # Our 64 KiB, and what two kernels hold between them.
            self.assertLess(taken, 16 << 20, name)
        self.assertLess(self.resident() - memory, 20 * 1024, "KiB more than before")
        self.network.heal()
        self.healed(self.before)


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
