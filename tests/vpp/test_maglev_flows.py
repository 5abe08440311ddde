"""From a probe to a packet: weights in lb, and where the flows go."""

import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from gre_flows import client, clients
from maglev_case import WEB, MaglevTestCase, base_config, checked, frontend, pool, wait_until

KEEP = ("192.0.2.11", 443)
LONG = ("192.0.2.12", 80)
STICKY = ("192.0.2.13", 80)
SIX = ("2001:db8::10", 443)
A1, A2, A3, B1 = "10.77.0.1", "10.77.0.2", "10.77.0.3", "10.77.0.11"
S1, S2 = "fd77::1", "fd77::2"


class TestMaglevFlows(MaglevTestCase):
    """Backends, weights and flows"""

    servers = {"a1": 1, "a2": 2, "a3": 3, "b1": 11}

    @classmethod
    def make_backends(cls, network):
        super().make_backends(network)
        for name, number in (("s1", 1), ("s2", 2)):
            network.add(name, number, v6=True)

    @classmethod
    def make_config(cls, network):
        return base_config(
            network,
            backends=checked(network),
            frontends={
                "web": frontend(WEB, pool("primary", a1=100, a2=50), pool("backup", b1=80)),
                "keep": frontend(KEEP, pool("only", a1=None, a2=None), flush_on_down=False),
                "long": frontend(LONG, pool("only", a1=1, a2=2, a3=97), new_flow_table_length=65536),
                "sticky": frontend(STICKY, pool("only", a1=None, a2=None, a3=None), src_ip_sticky=True),
                "six": frontend(SIX, pool("only", s1=100, s2=100)),
            },
        )

    def setUp(self):
        super().setUp()
        self.reset()

    def kill_and_wait(self, name, vip, weights):
        self.network[name].kill()
        self.wait_state(name, "down")
        self.wait_weights(vip, weights)

    def wait_moved(self, flows, vip, servers):
        """Until all flows go to `servers`. (A flush at a weight that is 0 already shows nowhere else.)"""
        wait_until(
            lambda: set(self.send_flows(flows, *vip).values()) == servers, "the flows did not move", timeout=3
        )

    def test_probes_bring_weights_into_lb(self):
        """Backends that answer get their configured weights; a standby pool gets 0"""
        self.assertEqual(self.lb_weights(*WEB), {A1: 100, A2: 50, B1: 0})
        self.assertEqual(self.lb_weights(*KEEP), {A1: 100, A2: 100})
        self.assertEqual(self.lb_weights(*SIX), {S1: 100, S2: 100})
        buckets = {a: b for a, (_, b) in self.lb_servers(*WEB).items()}
        self.assertEqual(sum(buckets.values()), 1024)
        shown = {m["address"]: m["buckets"] for m in self.members("web").values()}
        self.assertEqual(shown, buckets, "show frontend tells the buckets that lb has")

    def test_lb_settings_are_ours(self):
        """lb's source addresses, sticky buckets and flow timeout come from the configuration"""
        got = self.vapi.lb_conf_get()
        self.assertEqual(str(got.ip4_src_address), self.gre_source4)
        self.assertEqual(str(got.ip6_src_address), self.gre_source6)
        self.assertEqual((got.sticky_buckets_per_core, got.flow_timeout), (65536, 40))

    def test_flows_are_spread_by_weight(self):
        """New flows leave as GRE, two thirds to the server with twice the weight"""
        spread = self.spread(self.send_flows(clients(300), *WEB))
        self.assertEqual(set(spread), {A1, A2})
        self.assertTrue(1.5 < spread[A1] / spread[A2] < 2.7, spread)

    def test_a_killed_backend_loses_its_flows(self):
        """flush-on-down: a killed backend gets weight 0 and its flows move; the others' stay"""
        before = self.send_flows(clients(200), *WEB)
        self.assertEqual(set(before.values()), {A1, A2})
        self.kill_and_wait("a1", WEB, {A1: 0, A2: 50, B1: 0})
        after = self.send_flows(clients(200), *WEB)
        self.assertEqual(set(after.values()), {A2})
        new = self.send_flows(clients(100, first=500), *WEB)
        self.assertEqual(set(new.values()), {A2}, "no new flow to the dead one")
        newest = self.backend("a1")["transitions"][0]
        self.assertEqual((newest["from"], newest["to"], newest["code"]), ("up", "down", "L4CON"))

    def test_without_flush_on_down_flows_stay(self):
        """flush-on-down false: a killed backend gets no new flows, and keeps the old ones"""
        before = self.send_flows(clients(200), *KEEP)
        self.assertEqual(set(before.values()), {A1, A2})
        self.kill_and_wait("a1", KEEP, {A1: 0, A2: 100})
        self.assertEqual(self.send_flows(clients(200), *KEEP), before)
        new = self.send_flows(clients(100, first=500), *KEEP)
        self.assertEqual(set(new.values()), {A2})

    def test_a_silent_backend_goes_down_too(self):
        """A backend that answers nothing at all goes down with L4TOUT, and comes back"""
        self.network["a2"].silence()
        self.wait_weights(WEB, {A1: 100, A2: 0, B1: 0})
        self.assertEqual(self.backend("a2")["transitions"][0]["code"], "L4TOUT")
        self.network["a2"].speak()
        self.wait_weights(WEB, {A1: 100, A2: 50, B1: 0})

    def test_http_status_counts(self):
        """A backend that answers 503 goes down with L7STS and `HTTP 503`"""
        self.network["a2"].behave("status 503")
        self.wait_weights(WEB, {A1: 100, A2: 0, B1: 0})
        newest = self.backend("a2")["transitions"][0]
        self.assertEqual((newest["code"], newest["detail"]), ("L7STS", "HTTP 503"))

    def test_failover_and_back(self):
        """The second pool serves while no backend of the first is up, and only then"""
        self.network["a1"].kill()
        self.network["a2"].kill()
        self.wait_weights(WEB, {A1: 0, A2: 0, B1: 80})
        view = self.frontend_view("web")
        self.assertEqual((view["pool"], view["state"]), ("backup", "up"))
        self.assertEqual(set(self.send_flows(clients(100), *WEB).values()), {B1})
        self.network["a2"].start()
        self.wait_weights(WEB, {A1: 0, A2: 50, B1: 0})
        self.assertEqual(self.frontend_view("web")["pool"], "primary")
        self.assertEqual(set(self.send_flows(clients(100, first=300), *WEB).values()), {A2})
        self.assertEqual(set(self.send_flows(clients(100), *WEB).values()), {B1}, "a standby keeps its flows")

    def test_all_down_and_up_again(self):
        """With no backend at all new flows are dropped; the first one that is back serves them"""
        for name in ("s1", "s2"):
            self.network[name].kill()
        self.wait_weights(SIX, {S1: 0, S2: 0})
        self.assertEqual(self.frontend_view("six")["state"], "down")
        flows = clients(40, v6=True)
        self.assertEqual(set(self.send_flows(flows, *SIX).values()), {None})
        self.network["s1"].start()
        self.wait_weights(SIX, {S1: 100, S2: 0})
        self.assertEqual(set(self.send_flows(flows, *SIX).values()), {S1})
        self.network["s2"].start()
        self.wait_weights(SIX, {S1: 100, S2: 100})
        self.assertEqual(
            set(self.send_flows(flows, *SIX).values()), {S1}, "flows begun without a server stick now"
        )

    def test_ipv6_vip_in_gre6(self):
        """An IPv6 VIP over GRE6, and a killed IPv6 backend"""
        spread = self.spread(self.send_flows(clients(100, v6=True), *SIX))
        self.assertEqual(set(spread), {S1, S2})
        self.kill_and_wait("s2", SIX, {S1: 100, S2: 0})
        self.assertEqual(set(self.send_flows(clients(100, v6=True), *SIX).values()), {S1})

    def test_paused_then_disabled(self):
        """A paused backend keeps its flows; disabled after that, they move"""
        before = self.send_flows(clients(200), *WEB)
        self.do("maglev set backend a1 pause")
        self.wait_weights(WEB, {A1: 0, A2: 50, B1: 0})
        self.assertEqual(self.send_flows(clients(200), *WEB), before)
        self.do("maglev set backend a1 disable")
        self.wait_state("a1", "disabled")
        self.wait_moved(clients(200), WEB, {A2})

    def test_standby_then_dead(self):
        """A standby that has kept flows loses them when it dies"""
        self.network["a1"].kill()
        self.network["a2"].kill()
        self.wait_weights(WEB, {A1: 0, A2: 0, B1: 80})
        self.assertEqual(set(self.send_flows(clients(60), *WEB).values()), {B1})
        self.network["a2"].start()
        self.wait_weights(WEB, {A1: 0, A2: 50, B1: 0})
        self.assertEqual(set(self.send_flows(clients(60), *WEB).values()), {B1})
        self.network["b1"].kill()
        self.wait_state("b1", "down")
        self.wait_moved(clients(60), WEB, {A2})

    def agree(self, name, vip, sources):
        """`show flow` and the packets say the same, for every flow."""
        self.vapi.cli("test lb flowtable flush")
        told = {}
        for address, port in sources:
            view = self.show("flow %s %s %d" % (name, address, port))
            self.assertEqual((view["source"], view["source_port"]), (address, port))
            told[(address, port)] = view["server"]
        self.assertEqual(self.send_flows(sources, *vip), told)
        return told

    def test_show_flow_agrees_with_the_packets(self):
        """show flow names the server that each new flow is then sent to"""
        for name, vip, v6 in (
            ("web", WEB, False),
            ("keep", KEEP, False),
            ("long", LONG, False),
            ("sticky", STICKY, False),
            ("six", SIX, True),
        ):
            with self.subTest(frontend=name):
                told = self.agree(name, vip, clients(64, v6=v6))
                self.assertGreater(len(set(told.values())), 0)
        self.network["a1"].kill()
        # One address after the other: each must have come to rest.
        self.wait_weights(WEB, {A1: 0, A2: 50, B1: 0})
        self.wait_weights(STICKY, {A1: 0, A2: 100, A3: 100})
        self.agree("web", WEB, clients(64))
        self.agree("sticky", STICKY, clients(64))

    def test_src_ip_sticky(self):
        """src-ip-sticky: all flows of one client go to one server"""
        address = client(7)[0]
        went = self.send_flows([(address, 2000 + n) for n in range(50)], *STICKY)
        self.assertEqual(len(set(went.values())), 1)
        self.assertNotIn(None, went.values())

    def test_a_table_of_65536(self):
        """The longest table is programmed, and shown with its true length"""
        self.assertEqual(self.frontend_view("long")["table_length"], 65536)
        self.assertEqual(sum(b for _, b in self.lb_servers(*LONG).values()), 65536)
        mine = [v for v in self.show("lb")["vips"] if v["frontend"] == "long"]
        self.assertEqual([v["table_length"] for v in mine], [65536])


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
