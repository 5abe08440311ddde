"""Many servers of a frontend change in one moment: a pool fails over, a rack dies. What becomes of each flow, and of packets on
their way meanwhile."""

import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from bulk_case import BulkCase, Stream, backends, pool_of, servers, servers6, weights
from gre_flows import clients
from maglev_case import WEB, base_config, checked, frontend, pool, wait_until

KEEP = ("192.0.2.11", 443)
RACK = ("192.0.2.12", 443)
RACK_KEEP = ("192.0.2.13", 443)
UDP_VIP = ("192.0.2.14", 53)
NAT = ("192.0.2.15", 53)
ALL_PORTS = "192.0.2.16"
SIX = ("2001:db8::10", 443)
# First pools, second pools, those in a rack, those beside it.
A, B = servers(1), servers(11)
A6, B6 = servers6(1), servers6(11)
DEAD, ALIVE = servers(41, 4), servers(51, 6)
NAT_DEAD, NAT_ALIVE = servers(61, 4), servers(71, 2)
OVER, BACK = weights((A, 0), (B, 100)), weights((A, 100), (B, 0))
TORN, WHOLE = weights((DEAD, 0), (ALIVE, 100)), weights((DEAD + ALIVE, 100))


def both():
    """Pools of ten and ten."""
    return [pool_of("first", "a"), pool_of("second", "b")]


def rack():
    """Four that die and six that do not."""
    return pool("only", **dict.fromkeys([*backends("dead", DEAD), *backends("alive", ALIVE)]))


class TestMaglevBulk(BulkCase):
    """Many servers at once"""

    # What others track; in no frontend.
    servers = {"lead": 30, "rack": 31}

    @classmethod
    def make_config(cls, network):
        return base_config(
            network,
            backends={
                **checked(network, by="tcp"),
                **backends("a", A, track="lead"),
                **backends("b", B),
                **backends("six-a", A6, track="lead"),
                **backends("six-b", B6),
                **backends("dead", DEAD, track="rack"),
                **backends("alive", ALIVE),
                **backends("nat-dead", NAT_DEAD, track="rack"),
                **backends("nat-alive", NAT_ALIVE),
            },
            frontends={
                "web": frontend(WEB, *both()),
                "keep": frontend(KEEP, *both(), flush_on_down=False),
                "rack": frontend(RACK, rack()),
                "rack-keep": frontend(RACK_KEEP, rack(), flush_on_down=False),
                "udp": {**frontend(UDP_VIP, *both()), "protocol": "udp"},
                "all": {"address": ALL_PORTS, "pools": both()},
                "six": frontend(SIX, pool_of("first", "six-a"), pool_of("second", "six-b")),
                "nat": {
                    **frontend(
                        NAT, pool("only", **dict.fromkeys([*backends("nat-dead", NAT_DEAD), *backends("nat-alive", NAT_ALIVE)]))
                    ),
                    "protocol": "udp",
                    "encap": "nat4",
                },
            },
        )

    def setUp(self):
        super().setUp()
        self.network.heal()
        for name in self.servers:
            state = self.state(name)
            if "drain" in self.shown(name):
                self.say(name, "ready")
            if state in ("disabled", "paused"):
                self.say(name, {"disabled": "enable", "paused": "resume"}[state])
        self.all_up()
        self.wait_weights(WEB, BACK)
        self.wait_settled()
        for name in ("web", "keep", "udp", "all", "six"):
            # Nobody is believed to hold flows that another test has begun.
            self.do("maglev flush frontend " + name)
        self.vapi.cli("test lb flowtable flush")

    @staticmethod
    def lines(*changes):
        """The lines of these writes of weights to a VIP: (servers, weight)."""
        return ["set-weight servers=%s weight=%d" % (",".join(a), weight) for a, weight in changes]

    def begin(self, among, *to):
        """300 flows, which go to all these servers: {flow: its server}"""
        before = self.send_flows(clients(300, v6=":" in to[0]), *to)
        self.assertEqual(set(before.values()), set(among))
        return before

    def fail_over(self):
        self.network["lead"].kill()
        for vip in (WEB, KEEP):
            self.wait_weights(vip, OVER)
        self.wait_settled()

    # A whole pool

    def test_a_pool_fails_over_with_its_flows(self):
        """A pool of ten dies: its flows move to the other pool, a flow begun there stays where it is, none is without a server;
        a line tells of ten servers"""
        before = self.begin(A, *WEB)
        mark = self.mark()
        self.network["lead"].kill()
        begun = self.begin_flows_until(lambda: self.lb_weights(*WEB) == OVER, *WEB)
        self.assertEqual(set(begun.values()), set(A + B))
        after = self.send_flows(list(begun), *WEB)
        self.assertEqual(set(after.values()), set(B))
        self.assertEqual(
            {s: server for s, server in after.items() if begun[s] in B},
            {s: server for s, server in begun.items() if server in B},
            "flows that were begun on the second pool stay",
        )
        self.assertEqual(set(self.send_flows(list(before), *WEB).values()), set(B))
        self.assertEqual(self.texts(mark, "192.0.2.10:443/tcp"), [*self.lines((B, 100), (A, 0)), "flush"])

    def test_a_pool_comes_back_and_the_standbys_keep_their_flows(self):
        """The first pool comes back: new flows are its own, flows of the second pool stay; a line tells of ten servers"""
        self.fail_over()
        before = self.begin(B, *WEB)
        mark = self.mark()
        self.network["lead"].start()
        begun = self.begin_flows_until(lambda: self.lb_weights(*WEB) == BACK, *WEB)
        self.assertEqual(self.send_flows(list(before), *WEB), before)
        self.assertEqual(self.send_flows(list(begun), *WEB), begun)
        self.assertEqual(set(self.send_flows(self.fresh(300), *WEB).values()), set(A))
        self.assertEqual(sorted(self.texts(mark, "192.0.2.10:443/tcp")), sorted(self.lines((A, 100), (B, 0))))

    def test_no_packet_is_dropped_while_pools_fail_over(self):
        """Packets without a pause while a pool of ten dies and comes back: all of them come out"""
        for vip in (WEB, KEEP):
            with self.subTest(vip=vip):
                with Stream(self, *vip) as stream:
                    self.fail_over()
                    self.network["lead"].start()
                    self.wait_weights(vip, BACK)
                    self.wait_settled()
                self.check_stream(stream)

    def test_flows_of_a_pool_are_kept(self):
        """A pool of ten dies without flush-on-down, is drained, is paused: its flows stay, new ones go to the second pool"""
        for vip, hurt in (
            (KEEP, self.network["lead"].kill),
            (WEB, lambda: self.say("lead", "drain")),
            (WEB, lambda: self.say("lead", "pause")),
        ):
            with self.subTest(vip=vip, hurt=hurt):
                self.setUp()
                before = self.begin(A, *vip)
                hurt()
                begun = self.begin_flows_until(lambda vip=vip: self.lb_weights(*vip) == OVER, *vip)
                self.assertEqual(self.send_flows(list(before), *vip), before)
                self.assertEqual(self.send_flows(list(begun), *vip), begun)
                self.assertEqual(set(self.send_flows(self.fresh(300), *vip).values()), set(B))

    def test_a_pool_that_is_paused_and_then_disabled_loses_its_flows(self):
        """Ten servers at weight 0 that have kept their flows are disabled: the flows move"""
        before = self.begin(A, *WEB)
        self.say("lead", "pause")
        self.wait_weights(WEB, OVER)
        self.assertEqual(self.send_flows(list(before), *WEB), before)
        held = self.send_flows(self.fresh(100), *WEB)
        self.assertLessEqual(set(held.values()), set(B))
        self.say("lead", "disable")
        self.wait_moved(list(before), WEB, set(B))
        self.assertEqual(self.send_flows(list(held), *WEB), held, "flows of the second pool stay")

    def test_a_pool_is_disabled(self):
        """Ten servers are disabled: their flows move, though flush-on-down is false"""
        before = self.begin(A, *KEEP)
        self.say("lead", "disable")
        self.wait_weights(KEEP, OVER)
        self.wait_moved(list(before), KEEP, set(B))

    # Some of a pool

    def torn(self, vip, hurt, moves):
        """Four servers of ten go, by `hurt`: their flows move or stay, those of the other six stay."""
        before = self.begin(DEAD + ALIVE, *vip)
        hurt()
        begun = self.begin_flows_until(lambda: self.lb_weights(*vip) == TORN, *vip)
        if moves:
            self.wait_moved([s for s, server in before.items() if server in DEAD], vip, set(ALIVE))
        after = self.send_flows(list(before), *vip)
        begun_after = self.send_flows(list(begun), *vip)
        for one, other in ((before, after), (begun, begun_after)):
            stay = [s for s, server in one.items() if server in ALIVE or not moves]
            self.assertGreater(len(stay), 0)
            self.assertEqual({s: other[s] for s in stay}, {s: one[s] for s in stay})
        self.assertEqual(set(self.send_flows(self.fresh(300), *vip).values()), set(ALIVE))

    def test_a_rack_dies(self):
        """Four of ten servers die: their flows move, those of the other six stay; one line tells of all four"""
        self.assertEqual(self.lb_weights(*RACK), WHOLE)
        mark = self.mark()
        self.torn(RACK, self.network["rack"].kill, moves=True)
        texts = self.texts(mark, "192.0.2.12:443/tcp")
        self.assertEqual(texts[0].removesuffix(" flush"), *self.lines((DEAD, 0)))
        self.assertTrue(all(t.startswith("set-weight server") and t.endswith(" weight=0 flush") for t in texts[1:]), texts)

    def test_a_rack_dies_and_flows_stay(self):
        """Four of ten servers die without flush-on-down: no flow moves, no new flow goes there"""
        mark = self.mark()
        self.torn(RACK_KEEP, self.network["rack"].kill, moves=False)
        self.assertEqual(self.texts(mark, "192.0.2.13:443/tcp"), self.lines((DEAD, 0)))

    def test_a_rack_is_disabled(self):
        """Four of ten servers are disabled: their flows move, those of the other six stay"""
        self.torn(RACK_KEEP, lambda: self.say("rack", "disable"), moves=True)

    def test_no_packet_is_dropped_while_a_rack_dies(self):
        """Packets without a pause while four of ten servers die and come back: all of them come out"""
        with Stream(self, *RACK) as stream:
            self.network["rack"].kill()
            self.wait_weights(RACK, TORN)
            self.wait_settled()
            self.network["rack"].start()
            self.wait_weights(RACK, WHOLE)
            self.wait_settled()
        self.check_stream(stream)

    # Other kinds of VIP

    def test_every_kind_of_vip(self):
        """A pool of ten dies in a VIP of IPv6, of UDP, of all ports: its flows move, and a line tells of ten servers"""
        kinds = (
            ("[2001:db8::10]:443/tcp", SIX, SIX, A6, B6),
            ("192.0.2.14:53/udp", UDP_VIP, (*UDP_VIP, UDP), A, B),
            (ALL_PORTS, (ALL_PORTS, 0), (ALL_PORTS, 8080), A, B),
        )
        before = [self.begin(first, *to) for _, _, to, first, _ in kinds]
        mark = self.mark()
        self.network["lead"].kill()
        for (name, vip, to, first, second), flows in zip(kinds, before):
            with self.subTest(vip=name):
                self.wait_weights(vip, weights((first, 0), (second, 100)))
                wait_until(
                    lambda flows=flows, to=to, second=second: set(self.send_flows(list(flows), *to).values()) == set(second),
                    "the flows did not move",
                )
                self.wait_settled()
                self.assertEqual(self.texts(mark, name), [*self.lines((second, 100), (first, 0)), "flush"])

    def send_nat(self, sources):
        """One packet a flow to the NAT frontend: {source: server, or None}"""
        header = Ether(dst=self.pg0.local_mac, src=self.pg0.remote_mac)
        self.pg0.add_stream([header / IP(src=s[0], dst=NAT[0]) / UDP(sport=s[1], dport=NAT[1]) / Raw(b"x") for s in sources])
        self.pg_enable_capture(self.pg_interfaces)
        self.pg_start(trace=False)
        went = dict.fromkeys(sources)
        went.update({(p[IP].src, p[UDP].sport): p[IP].dst for p in self.pg1._get_capture() or [] if p.haslayer(UDP)})
        return went

    def test_nat(self):
        """Four of six servers of a NAT frontend are disabled at once, and enabled: weights and flows follow, no server is deleted"""
        whole = weights((NAT_DEAD + NAT_ALIVE, 100))
        for _ in range(2):
            self.assertEqual(self.lb_weights(*NAT), whole)
            self.assertEqual(set(self.send_nat(self.fresh(200)).values()), set(NAT_DEAD + NAT_ALIVE))
            self.say("rack", "disable")
            self.wait_weights(NAT, weights((NAT_DEAD, 0), (NAT_ALIVE, 100)))
            self.wait_settled()
            self.assertEqual(set(self.send_nat(self.fresh(200)).values()), set(NAT_ALIVE))
            self.say("rack", "enable")
            self.wait_weights(NAT, whole)
            self.wait_settled()


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
