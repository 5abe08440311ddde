"""Servers that are an address of VPP or a VIP: the first packet to one would kill VPP, so none gets any."""

import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from gre_flows import clients
from maglev_case import base_config, checked, pool, wait_until
from states_case import StatesCase

ALL_PORTS = ("192.0.2.20", 0)
A1, A2 = "10.77.0.1", "10.77.0.2"
BOTH = {A1: 100, A2: 50}


class TestMaglevLoops(StatesCase):
    """Forwarding loops"""

    servers = {"a1": 1, "a2": 2}

    @classmethod
    def make_config(cls, network):
        config = base_config(
            network,
            backends=checked(network),
            frontends={"all": {"address": ALL_PORTS[0], "pools": [pool("only", a1=None, a2=50)]}},
        )
        config["vpp"]["lb"]["sync-interval"] = "1s"
        return config

    def setUp(self):
        super().setUp()
        self.reset()
        self.wait_weights(ALL_PORTS, BOTH)

    def problem(self):
        found = [p["text"] for p in self.show("status")["problems"] if p["kind"] == "forwarding-loop"]
        return found[0] if found else ""

    def served_by(self):
        return {s for s in self.send_flows(clients(50), ALL_PORTS[0], 443).values() if s}

    def left_out(self, server, name, why):
        """The server is not in lb, which is told everywhere; packets go to the other one, and VPP lives."""
        others = {a: w for a, w in BOTH.items() if a != server}
        self.wait_weights(ALL_PORTS, others, timeout=4)
        # Flows that were kept on it have moved, too.
        self.assertEqual(self.served_by(), set(others))
        self.assertIn("%s is %s" % (server, why), self.problem())
        self.assertIn("%s is %s" % (server, why), self.frontend_view("all")["error"])
        view = self.backend(name)
        self.assertEqual(view["state"], "up")
        self.assertEqual(view["frontends"][0]["why"], "forwarding loop: " + why)
        self.assertIn("server=%s gets no weight" % server, self.vapi.cli("maglev show events"))

    def comes_back(self):
        self.wait_weights(ALL_PORTS, BOTH, timeout=4)
        self.assertEqual(self.problem(), "")
        self.assertIsNone(self.frontend_view("all")["error"])
        # Flows stay where they are while they live.
        self.vapi.cli("test lb flowtable flush")
        wait_until(lambda: self.served_by() == set(BOTH), "one of them gets nothing")

    def test_a_server_that_is_a_foreign_vip(self):
        """A foreign VIP on a server's address that sends back to itself: VPP dies of a packet to that server"""
        self.served_by()
        self.vapi.cli("lb vip %s/32 encap gre4 new_len 16" % A1)
        self.vapi.cli("lb as %s/32 %s" % (A1, A1))
        self.left_out(A1, "a1", "a VIP in lb, or routed by way of one")
        self.vapi.cli("lb vip %s/32 encap gre4 del" % A1)
        self.comes_back()

    def test_a_server_inside_a_foreign_prefix(self):
        """So does a foreign VIP that is a prefix around the server"""
        self.vapi.cli("lb vip 10.77.0.2/31 encap gre4 new_len 16")
        self.vapi.cli("lb as 10.77.0.2/31 10.77.0.3")
        self.left_out(A2, "a2", "a VIP in lb, or routed by way of one")
        self.vapi.cli("lb vip 10.77.0.2/31 encap gre4 del")
        self.comes_back()

    def test_a_server_routed_by_way_of_a_vip(self):
        """So does a route to the server whose next hop is our own VIP"""
        self.vapi.cli("ip route add %s/32 via %s" % (A2, ALL_PORTS[0]))
        self.left_out(A2, "a2", "a VIP in lb, or routed by way of one")
        self.vapi.cli("ip route del %s/32 via %s" % (A2, ALL_PORTS[0]))
        self.comes_back()

    def test_a_server_that_is_an_address_of_vpp(self):
        """An address of an interface, and a local route"""
        loop = self.vapi.cli("create loopback interface").strip()
        self.vapi.cli("set interface state %s up" % loop)
        self.vapi.cli("set interface ip address %s %s/32" % (loop, A1))
        self.left_out(A1, "a1", "an address of VPP itself")
        self.vapi.cli("set interface ip address del %s %s/32" % (loop, A1))
        self.comes_back()
        self.vapi.cli("delete loopback interface intfc %s" % loop)
        self.vapi.cli("ip route add %s/32 via local" % A2)
        self.left_out(A2, "a2", "an address of VPP itself")
        self.vapi.cli("ip route del %s/32 via local" % A2)
        self.comes_back()

    def test_a_loop_that_is_there_before_the_server(self):
        """One that comes with a reload is never added"""
        config = self.make_config(self.network)
        config["frontends"]["all"]["pools"] = [pool("only", a1=None)]
        self.write_config(config)
        self.do("maglev config reload")
        self.wait_weights(ALL_PORTS, {A1: 100}, timeout=4)
        self.vapi.cli("lb vip %s/32 encap gre4 new_len 16" % A2)
        self.vapi.cli("lb as %s/32 %s" % (A2, A2))
        self.write_config(self.make_config(self.network))
        self.do("maglev config reload")
        self.sleep(1.5)
        self.assertEqual(self.lb_weights(*ALL_PORTS), {A1: 100})
        self.assertNotIn("add-server server=%s" % A2, "".join(self.vapi.cli("maglev show events last 5").splitlines()))
        self.left_out(A2, "a2", "a VIP in lb, or routed by way of one")
        self.vapi.cli("lb vip %s/32 encap gre4 del" % A2)
        self.comes_back()

    def test_an_address_changes_sides(self):
        """A server's address becomes a VIP by a reload, and a server's again, under traffic"""
        here = self.make_config(self.network)
        there = self.make_config(self.network)
        # Its name comes before that of the frontend which the server leaves.
        there["frontends"] = {
            "above": {"address": A1, "protocol": "udp", "port": 53, "pools": [pool("only", a2=None)]},
            "all": {"address": ALL_PORTS[0], "pools": [pool("only", a2=50)]},
        }
        left = "vip=%s delete-server server=%s" % (ALL_PORTS[0], A1)
        came = "vip=%s add-server server=%s" % (ALL_PORTS[0], A1)
        def one_before_the_other(one, other, mark):
            texts = [e["text"] for e in self.since(mark, "lb-sync")]
            first = [[i for i, t in enumerate(texts) if what in t][:1] for what in (one, other)]
            self.assertTrue(first[0] and first[1] and first[0] < first[1], texts)

        for _ in range(3):
            self.assertEqual(self.served_by(), set(BOTH))
            before = self.mark()
            self.write_config(there)
            self.do("maglev config reload")
            self.wait_weights((A1, 53), {A2: 100}, timeout=4)
            self.assertEqual(self.served_by(), {A2})
            self.assertEqual(self.problem(), "")
            one_before_the_other(left, "vip=%s:53/udp add encap" % A1, before)
            before = self.mark()
            self.write_config(here)
            self.do("maglev config reload")
            self.wait_weights(ALL_PORTS, BOTH, timeout=4)
            one_before_the_other("vip=%s:53/udp delete" % A1, came, before)
            self.assertEqual(self.problem(), "")
            self.vapi.cli("test lb flowtable flush")


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
