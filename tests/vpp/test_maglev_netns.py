"""The way of the probes is gone: it is our own fault, and nobody is taken down for it."""

import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from backends import ip
from maglev_case import WEB, MaglevTestCase, base_config, frontend, pool, wait_until

A1, A2, A3 = "10.77.0.1", "10.77.0.2", "10.77.0.3"
WANTED = {A1: 100, A2: 50, A3: 0}
ROUTE = ("10.77.0.0/16", "via", "10.76.0.2")


class TestMaglevNetns(MaglevTestCase):
    """namespaces and routes that go away"""

    with_ports = False
    servers = {"a1": 1, "a2": 2, "a3": 3}

    @classmethod
    def make_config(cls, network):
        kinds = {"a1": "web", "a2": "tcp", "a3": "ping"}
        return base_config(
            network,
            backends={n: {"address": network[n].address, "healthcheck": kinds[n]} for n in kinds},
            frontends={"web": frontend(WEB, pool("first", a1=None, a2=50), pool("second", a3=None))},
        )

    def setUp(self):
        super().setUp()
        self.reset()
        self.wait_weights(WEB, WANTED)

    def faults(self):
        return {b["name"]: b["sockerrs"] for b in self.show("backends")}

    def all_at_fault(self, words, more=5):
        """Until each backend has had `more` faults of ours with these words; nobody changes state meanwhile."""
        before = self.faults()
        wait_until(
            lambda: all(n >= before[b] + more for b, n in self.faults().items()),
            lambda: "no faults: %s" % self.show("backends"),
        )
        for view in self.show("backends"):
            self.assertEqual(view["last_code"], "SOCKERR", view)
            self.assertIn(words, view["last_detail"], view)
            self.assertEqual(view["state"], "up", view)
        self.assertEqual(self.lb_weights(*WEB), WANTED)
        self.assertEqual([f["state"] for f in self.show("frontends")], ["up"])

    def works_again(self):
        """Probes pass again, and a failure counts again."""
        before = {b["name"]: b["passes"] for b in self.show("backends")}
        wait_until(
            lambda: all(b["passes"] > before[b["name"]] for b in self.show("backends")),
            lambda: "no passes: %s" % self.show("backends"),
        )
        self.network["a1"].kill()
        self.wait_state("a1", "down")
        self.wait_weights(WEB, {A1: 0, A2: 50, A3: 0})

    def test_the_route_goes(self):
        """The probes' route goes, as when VPP's own interfaces go: SOCKERR, and nobody is down"""
        ip("-n", self.network.probes, "route", "del", *ROUTE)
        try:
            self.all_at_fault("network unreachable")
            self.assertIn("probe-fault", self.vapi.cli("show logging"))
        finally:
            ip("-n", self.network.probes, "route", "add", *ROUTE)
        self.works_again()

    def test_the_interface_goes(self):
        """The interface goes down under the route: likewise"""
        ip("-n", self.network.probes, "link", "set", "vp", "down")
        try:
            self.all_at_fault("network unreachable")
        finally:
            ip("-n", self.network.probes, "link", "set", "vp", "up")
            ip("-n", self.network.probes, "route", "replace", *ROUTE)
            ip("-n", self.network.probes, "-6", "addr", "replace", "fd76::1/64", "dev", "vp", "nodad")
            ip("-n", self.network.probes, "-6", "route", "replace", "fd77::/64", "via", "fd76::2")
        self.works_again()

    def test_the_namespace_goes_and_comes_back(self):
        """The namespace goes: SOCKERR; made anew under its name it is entered anew"""
        ip("netns", "del", self.network.probes)
        try:
            self.all_at_fault("network namespace `%s`: no such file" % self.network.probes)
            self.assertEqual(self.show("status")["state"], "running")
        finally:
            self.rebuild()
        self.works_again()

    def rebuild(self):
        """The probes' namespace as Network.create() makes it. Its end of the veth pair may have outlived it for a
        while, until the last thread has left the old one."""
        network = self.network
        ip("netns", "add", network.probes)
        wait_until(lambda: self.no_peer(), "the old veth pair stays")
        ip("-n", network.probes, "link", "set", "lo", "up")
        ip("-n", network.probes, "link", "add", "vp", "type", "veth", "peer", "name", "vs", "netns", network.servers)
        for namespace, device, host in ((network.probes, "vp", 1), (network.servers, "vs", 2)):
            ip("-n", namespace, "addr", "add", "10.76.0.%d/24" % host, "dev", device)
            ip("-n", namespace, "addr", "add", "fd76::%d/64" % host, "dev", device, "nodad")
            ip("-n", namespace, "link", "set", device, "up")
        ip("-n", network.probes, "route", "add", *ROUTE)
        ip("-n", network.probes, "-6", "route", "add", "fd77::/64", "via", "fd76::2")

    def no_peer(self):
        return "vs" not in ip("-n", self.network.servers, "-o", "link").replace("vs@", "vs ").split()


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
