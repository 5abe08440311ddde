"""What VPP's own `lb` does, as far as the plugin relies on it. No maglev plugin is loaded here: when one of
these fails, `lb` has changed, and the plugin has to be looked at."""

import re
import unittest

try:
    from asfframework import VppTestRunner
    from framework import VppTestCase
except ModuleNotFoundError:
    from maglev_harness import VppTestCase, VppTestRunner

from gre_flows import FlowMixin, clients

VIP, PORT = "192.0.2.10", 443
A, B, C = "10.77.0.1", "10.77.0.2", "10.77.0.3"
VIP6 = "2001:db8::10"
A6, B6 = "fd77::1", "fd77::2"
# Servers for lb's command, which takes many.
MANY = ["10.77.1.%d" % n for n in range(1, 7)]
MANY6 = ["fd77::1:%x" % n for n in range(1, 7)]


class TestLbFacts(FlowMixin, VppTestCase):
    """lb as it is, one worker"""

    vpp_worker_count = 1

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.make_ports()
            cls.vapi.lb_conf(
                ip4_src_address=cls.gre_source4,
                ip6_src_address=cls.gre_source6,
                sticky_buckets_per_core=65536,
                flow_timeout=40,
            )
        except Exception:
            cls.tearDownClass()
            raise

    def setUp(self):
        super().setUp()
        self.made = []

    def tearDown(self):
        self.delete_vips()
        super().tearDown()

    def delete_vips(self):
        while self.made:
            vip, port = self.made.pop()
            for server in self.lb_servers(vip, port) or {}:
                self.server(server, vip=vip, port=port, is_del=True, is_flush=True)
            self.vapi.lb_add_del_vip_v2(**self.key(vip, port), is_del=True)
        # Frees the flow tables, slots and all; lb_flush_vip does not (see below).
        self.vapi.cli("test lb flowtable flush")

    @staticmethod
    def key(vip, port):
        """Port 0: all ports."""
        return {"pfx": vip + ("/128" if ":" in vip else "/32"), "protocol": 6 if port else 255, "port": port}

    def add_vip(self, vip=VIP, port=PORT, length=1024):
        self.vapi.lb_add_del_vip_v2(
            **self.key(vip, port), encap=1 if ":" in vip else 0, new_flows_table_length=length
        )
        self.made.append((vip, port))

    def server(self, address, weight=100, vip=VIP, port=PORT, **more):
        self.vapi.lb_add_del_as_v2(**self.key(vip, port), as_address=address, weight=weight, **more)

    def weight(self, address, weight, flush=False, vip=VIP, port=PORT):
        self.vapi.lb_as_set_weight(**self.key(vip, port), as_address=address, weight=weight, is_flush=flush)

    def command(self, words, vip=VIP, port=PORT):
        """lb's own command for servers of a VIP, which must succeed."""
        reply = self.command_reply(words, vip, port)
        self.assertEqual(reply.retval, 0, reply.reply)

    def refused(self, words, vip=VIP, port=PORT):
        """The same, which must fail."""
        reply = self.command_reply(words, vip, port)
        self.assertNotEqual(reply.retval, 0, reply.reply)

    def command_reply(self, words, vip, port):
        service = "protocol tcp port %d" % port if port else ""
        return self.vapi.cli_return_response("lb as %s %s %s" % (self.key(vip, port)["pfx"], service, words))

    def counters(self, vip=VIP):
        """The counters of a VIP as `show lb vips verbose` tells them: (from existing sessions, first packets,
        untracked, no server configured)."""
        out, here = {}, False
        for line in self.vapi.cli("show lb vips verbose").splitlines():
            header = re.match(r"\s*ip[46]-\w+ \[\d+\] (\S+?)/\d+(.*)", line)
            if header:
                here = header.group(1) == vip and "removed" not in header.group(2)
            name, _, value = line.strip().rpartition(": ")
            if here and value.isdigit():
                out[name] = int(value)
        return (
            out["packet from existing sessions"],
            out["first session packet"],
            out["untracked packet"],
            out["no server configured"],
        )

    def test_flows_are_spread_by_weight(self):
        """New flows are spread over the servers by weight, as GRE"""
        self.add_vip()
        self.server(A, 100)
        self.server(B, 50)
        self.server(C, 0)
        self.assertEqual({a: w for a, (w, _) in self.lb_servers(VIP, PORT).items()}, {A: 100, B: 50, C: 0})
        went = self.send_flows(clients(300), VIP, PORT)
        spread = self.spread(went)
        self.assertEqual(set(spread), {A, B})
        self.assertTrue(1.5 < spread[A] / spread[B] < 2.7, spread)
        self.assertEqual(self.send_flows(clients(300), VIP, PORT), went, "flows stick to their server")

    def test_ipv6_in_gre6(self):
        """An IPv6 VIP with GRE over IPv6"""
        self.add_vip(VIP6)
        self.server(A6, vip=VIP6)
        self.server(B6, vip=VIP6)
        spread = self.spread(self.send_flows(clients(100, v6=True), VIP6, PORT))
        self.assertEqual(set(spread), {A6, B6})
        self.assertEqual(sum(spread.values()), 100)

    def test_weight_0_keeps_or_flushes(self):
        """Weight 0 takes no new flows; the old ones stay without flush, and move with it"""
        self.add_vip()
        self.server(A)
        self.server(B)
        before = self.send_flows(clients(100), VIP, PORT)
        on_a = [s for s, server in before.items() if server == A]
        self.assertGreater(len(on_a), 20)
        self.weight(A, 0)
        self.assertEqual(self.send_flows(clients(100), VIP, PORT), before)
        self.assertEqual(set(self.spread(self.send_flows(clients(100, first=1000), VIP, PORT))), {B})
        self.weight(A, 0, flush=True)
        after = self.send_flows(clients(100), VIP, PORT)
        self.assertEqual(set(after.values()), {B})

    def test_all_weights_0_drop_new_flows(self):
        """With no weight at all new flows are dropped and counted"""
        self.add_vip()
        self.server(A, 0)
        self.assertEqual(set(self.send_flows(clients(50), VIP, PORT).values()), {None})
        self.assertEqual(self.counters(), (0, 0, 0, 50))

    def begun_without_server(self, packets=1):
        """60 flows of so many packets each from before A had its first weight; B has none yet."""
        self.add_vip()
        self.server(A, 0)
        self.server(B, 0)
        flows = clients(60)
        for _ in range(packets):
            self.assertEqual(set(self.send_flows(flows, VIP, PORT).values()), {None})
        self.weight(A, 100)
        return flows

    def test_a_flow_begun_without_server_is_served_but_never_sticks(self):
        """A flow begun while its VIP had no weight is served later, but takes a slot a packet and never sticks"""
        flows = self.begun_without_server()
        for _ in range(6):
            self.assertEqual(set(self.send_flows(flows, VIP, PORT).values()), {A})
        # Not one of these 360 packets found its flow: three a flow took the bucket's other slots, the rest
        # found the bucket full.
        self.assertEqual(self.counters(), (0, 180, 180, 60))
        self.weight(B, 100)
        moved = self.spread(self.send_flows(flows, VIP, PORT))
        self.assertEqual(set(moved), {A, B}, "flows follow the table instead of sticking")

    def test_flushing_the_vip_makes_such_a_flow_stick(self):
        """lb_flush_vip right after the first weight makes flows stick that began without a server"""
        flows = self.begun_without_server()
        self.vapi.lb_flush_vip(**self.key(VIP, PORT))
        self.assertEqual(set(self.send_flows(flows, VIP, PORT).values()), {A})
        self.weight(B, 100)
        self.assertEqual(set(self.send_flows(flows, VIP, PORT).values()), {A})
        self.assertEqual(self.counters(), (60, 60, 0, 60))

    def test_flushed_slots_stay_taken_until_they_time_out(self):
        """A flushed entry holds its slot until flow-timeout: four of them, and a new flow cannot stick"""
        flows = self.begun_without_server(packets=4)
        self.vapi.lb_flush_vip(**self.key(VIP, PORT))
        self.assertEqual(set(self.send_flows(flows, VIP, PORT).values()), {A})
        self.assertEqual(self.counters(), (0, 0, 60, 240))

    def test_a_deleted_server_lingers_unused(self):
        """A deleted server stays in the dump without the used flag"""
        self.add_vip()
        self.server(A)
        self.server(B)
        self.server(A, is_del=True, is_flush=True)
        flags = {str(d.app_srv): d.flags for d in self.vapi.lb_as_v2_dump() if d.vip.port == PORT}
        self.assertEqual(flags.get(A), 0)
        self.assertEqual(flags.get(B), 1)
        self.server(A, 30)
        self.assertEqual(self.lb_weights(VIP, PORT), {A: 30, B: 100})

    def test_a_table_of_65536_reads_as_0(self):
        """The dump's table length is 16 bits wide"""
        self.add_vip(length=65536)
        lengths = {str(v.vip.pfx).split("/")[0]: v.flow_table_length for v in self.vapi.lb_vip_dump()}
        self.assertEqual(lengths[VIP], 0)
        self.server(A)
        self.assertEqual(self.lb_servers(VIP, PORT), {A: (100, 65536)})

    def test_dump_of_one_ipv4_vip_matches_nothing(self):
        """lb_as_v2_dump of one IPv4 VIP finds nothing; of one IPv6 VIP it works"""
        self.add_vip()
        self.server(A)
        self.add_vip(VIP6)
        self.server(A6, vip=VIP6)
        self.assertEqual(self.vapi.lb_as_v2_dump(**self.key(VIP, PORT)), [])
        found = self.vapi.lb_as_v2_dump(**self.key(VIP6, PORT))
        # Other tests' servers linger.
        self.assertEqual([str(d.app_srv) for d in found if d.flags], [A6])

    def test_a_per_port_vip_drops_other_ports(self):
        """Packets to a port that is no VIP's do not come out"""
        self.add_vip()
        self.server(A)
        self.assertEqual(set(self.send_flows(clients(5), VIP, PORT + 1).values()), {None})

    def test_the_table_spares_the_others(self):
        """When a server goes to 0, few new flows of the others move"""
        self.add_vip()
        for server in (A, B, C):
            self.server(server)
        before = self.send_flows(clients(300), VIP, PORT)
        self.weight(A, 0)
        self.vapi.cli("test lb flowtable flush")
        after = self.send_flows(clients(300), VIP, PORT)
        moved = [s for s in before if before[s] != A and before[s] != after[s]]
        self.assertLess(len(moved), 60)

    def table(self, vip, port, to_port):
        """The new-flow table, as far as it can be seen: weight and buckets of each server, and where new flows go."""
        self.vapi.cli("test lb flowtable flush")
        return self.lb_servers(vip, port), self.send_flows(clients(300, v6=":" in vip), vip, to_port)

    def test_a_command_makes_the_table_of_single_messages(self):
        """`lb as` with many servers, added or deleted and added again with another weight, leaves the table that single
        messages leave: IPv4, IPv6, a VIP of all ports"""
        for vip, port, servers in ((VIP, PORT, MANY), (VIP6, PORT, MANY6), (VIP, 0, MANY)):
            with self.subTest(vip=vip, port=port):
                to_port = port or 8080
                self.add_vip(vip, port)
                for n, weight in enumerate((100, 100, 100, 50, 50, 50)):
                    self.server(servers[n], weight, vip=vip, port=port)
                added = self.table(vip, port, to_port)
                for server in servers[1:5]:
                    self.weight(server, 7, vip=vip, port=port)
                changed = self.table(vip, port, to_port)
                self.assertNotEqual(changed, added)
                for server in servers:
                    self.server(server, vip=vip, port=port, is_del=True, is_flush=True)
                self.command("%s weight 100" % " ".join(servers[:3]), vip, port)
                self.command("%s weight 50" % " ".join(servers[3:]), vip, port)
                self.assertEqual(self.table(vip, port, to_port), added)
                # The order of their names makes no difference.
                some = " ".join(reversed(servers[1:5]))
                self.command("%s del" % some, vip, port)
                self.command("%s weight 7" % some, vip, port)
                self.assertEqual(self.table(vip, port, to_port), changed)
                # lb refuses a VIP of all ports beside one of a port.
                self.delete_vips()

    def test_servers_deleted_and_added_again_keep_their_flows(self):
        """`del` and then `weight` of the same servers, weight 0 too, keeps each flow at its server; with `flush` it moves"""
        for vip, servers in ((VIP, MANY), (VIP6, MANY6)):
            with self.subTest(vip=vip):
                self.add_vip(vip)
                self.command("%s weight 100" % " ".join(servers), vip)
                flows = clients(200, v6=":" in vip)
                before = self.send_flows(flows, vip, PORT)
                self.assertEqual(set(before.values()), set(servers))
                some = " ".join(servers[:4])
                for weight in (30, 0):
                    self.command("%s del" % some, vip)
                    self.command("%s weight %d" % (some, weight), vip)
                    self.assertEqual(self.send_flows(flows, vip, PORT), before)
                new = self.send_flows(clients(100, first=1000, v6=":" in vip), vip, PORT)
                self.assertEqual(set(new.values()), set(servers[4:]))
                self.command("%s del flush" % some, vip)
                self.command("%s weight 0" % some, vip)
                after = self.send_flows(flows, vip, PORT)
                self.assertEqual(set(after.values()), set(servers[4:]))
                self.assertEqual(
                    {s: server for s, server in after.items() if before[s] in servers[4:]},
                    {s: server for s, server in before.items() if server in servers[4:]},
                    "flows of the others stay",
                )

    def test_a_command_does_all_or_nothing(self):
        """`del` with a server that was never there, and `weight` with one of the wrong family among new ones, is an error
        that changes nothing; `del` with one that was deleted before is none"""
        self.add_vip()
        self.command("%s %s weight 60" % (A, B))
        before = self.lb_servers(VIP, PORT)
        for words in ("%s %s %s del", "%s %s %s del flush"):
            for order in ((C, A, B), (A, C, B), (A, B, C)):
                self.refused(words % order)
                self.assertEqual(self.lb_servers(VIP, PORT), before)
        for order in ((C, A6), (A6, C)):
            self.refused("%s %s weight 60" % order)
            self.assertEqual(self.lb_servers(VIP, PORT), before)
        self.command("%s del" % A)
        self.command("%s %s del" % (A, B))
        self.assertEqual(self.lb_weights(VIP, PORT), {})

    def test_weight_with_a_server_in_use_among_new_ones_stops_half_way(self):
        """`weight` for servers of which one is in use changes those that are, up to the first that is not, and adds none"""
        self.add_vip()
        self.command("%s weight 60" % A)
        self.refused("%s %s weight 20" % (B, A))
        self.assertEqual(self.lb_weights(VIP, PORT), {A: 60})
        self.refused("%s %s weight 20" % (A, B))
        self.assertEqual(self.lb_weights(VIP, PORT), {A: 20})

    def test_a_command_of_500_servers(self):
        """lb's command takes 500 servers of IPv6 in one line"""
        servers = ["fd77::%x:%x" % (0xABCD, 0x1000 + n) for n in range(500)]
        self.add_vip(VIP6)
        self.command("%s weight 1" % " ".join(servers), VIP6)
        self.assertEqual(self.lb_weights(VIP6, PORT), dict.fromkeys(servers, 1))
        self.command("%s del" % " ".join(servers), VIP6)
        self.assertEqual(self.lb_weights(VIP6, PORT), {})


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
