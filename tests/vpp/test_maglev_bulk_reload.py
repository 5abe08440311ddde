"""Edits of the configuration while packets come without a pause: no VIP is without a server for a moment, whatever was edited."""

import copy
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from backends import PORT
from bulk_case import BulkCase, Stream, backends, pool_of, servers, servers6, weights
from gre_flows import clients
from maglev_case import WEB, base_config, frontend, wait_until

# The servers there are, static ones that replace them, and such that are probed first.
A, B, PROBED = servers(1), servers(11), servers(101)
SIX = servers6(1)
ADDRESS = WEB[0]
OTHER_PORT = 8443


class TestMaglevBulkReload(BulkCase):
    """Edits under traffic"""

    @classmethod
    def make_backends(cls, network):
        network.give_addresses(PROBED)
        cls.probed = network.spawn(PORT, ["0.0.0.0"])

    @classmethod
    def make_config(cls, network):
        config = base_config(
            network, backends=backends("a", A), frontends={"web": frontend(WEB, pool_of("only", "a"))}
        )
        config["vpp"]["lb"]["startup-max-delay"] = "20s"
        return config

    def setUp(self):
        super().setUp()
        self.config = copy.deepcopy(self.make_config(self.network))
        self.web = self.config["frontends"]["web"]
        self.write_config(self.config)
        self.do("maglev config reload force")
        self.wait_vips({WEB})
        self.wait_weights(WEB, weights((A, 100)))
        self.wait_settled()
        self.do("maglev flush frontend web")
        self.vapi.cli("test lb flowtable flush")

    def wait_vips(self, wanted):
        """Until lb has exactly these VIPs: an old one is deleted when the new one is there."""
        wait_until(lambda: self.lb_servers().keys() == wanted, lambda: "lb has %s" % self.lb_servers())

    def use(self, prefix, addresses, **more):
        """These servers instead of the others."""
        self.config["backends"] = backends(prefix, addresses, **more)
        self.web["pools"] = [pool_of("only", prefix)]

    # A load that takes much away is refused without `force`.
    RELOAD = "maglev config reload force"

    def reload_in_stream(self, wanted=None, vip=WEB):
        """Reloads while packets come without a pause: all of them come out. Ends when lb has the weights that are wanted."""
        self.write_config(self.config)
        with Stream(self, *WEB) as stream:
            self.do(self.RELOAD)
            if wanted:
                self.wait_weights(vip, wanted)
            self.wait_settled()
        self.check_stream(stream)

    def reload_in_batches(self, over):
        """Reloads while flows are begun: {flow: its server}, each has one."""
        self.write_config(self.config)
        _, begun = self.during(self.RELOAD, lambda ended: self.begin_flows_until(lambda: ended() and over(), *WEB))
        return begun

    def exchange(self, prefix, addresses, **more):
        """All servers of the frontend are replaced, while flows are begun."""
        before = self.send_flows(clients(300), *WEB)
        self.assertEqual(set(before.values()), set(A))
        self.use(prefix, addresses, **more)
        mark = self.mark()
        begun = self.reload_in_batches(lambda: self.lb_weights(*WEB) == weights((addresses, 100)))
        self.assertLessEqual(set(begun.values()), {*A, *addresses})
        self.assertEqual(set(self.send_flows(list(before), *WEB).values()), set(addresses))
        after = self.send_flows(list(begun), *WEB)
        self.assertLessEqual(set(after.values()), set(addresses))
        stayed = {s: server for s, server in begun.items() if server in addresses}
        self.assertGreater(len(stayed), 0)
        self.assertEqual({s: after[s] for s in stayed}, stayed, "flows that were begun on new servers stay")
        # What is deleted lingers in lb without being used.
        used = {str(d.app_srv) for d in self.vapi.lb_as_v2_dump() if d.flags}
        self.assertEqual(used, set(addresses))
        return self.texts(mark, "192.0.2.10:443/tcp")

    def test_all_servers_are_replaced(self):
        """Ten servers are replaced by ten others: no flow is without a server, those of the old ones move, new ones stay; a
        line tells of ten servers"""
        texts = self.exchange("b", B)
        added, deleted = ("%s servers=%s" % (what, ",".join(a)) for what, a in (("add-server", B), ("delete-server", A)))
        self.assertEqual(texts[0], added + " weight=100")
        self.assertEqual(texts[-1].removesuffix(" flush"), deleted)

    def test_all_servers_are_replaced_by_such_that_are_probed(self):
        """Ten servers are replaced by ten that have to be found up first: the same, in more lines"""
        self.exchange("p", PROBED, healthcheck="tcp")

    def test_no_packet_is_dropped_while_servers_are_replaced(self):
        """Packets without a pause while all servers are replaced, and replaced back: all of them come out"""
        for prefix, addresses, more in (("b", B, {}), ("p", PROBED, {"healthcheck": "tcp"}), ("a", A, {})):
            with self.subTest(prefix=prefix):
                self.use(prefix, addresses, **more)
                self.reload_in_stream(weights((addresses, 100)))

    # Changes for which lb has to recreate the VIP

    def edit(self, change, back, wanted, after=A):
        """An edit and its undoing, once while flows are begun and once while packets come without a pause: each time nothing is
        dropped. `wanted`: what is to be so in lb after the edit, and only then."""
        for act in ("batches", "stream"):
            for done, doing in ((True, change), (False, back)):
                with self.subTest(act=act, done=done):
                    doing()
                    if act == "stream":
                        self.reload_in_stream()
                    else:
                        self.reload_in_batches(lambda done=done: wanted() == done)
                    self.assertEqual(wanted(), done)
                    went = self.send_flows(self.fresh(300), *WEB)
                    self.assertEqual(set(went.values()), set(after if done else A))
                    self.assertEqual(self.send_flows(list(went), *WEB), went, "flows stick")

    def put(self, key, value):
        return lambda: self.web.__setitem__(key, value)

    def drop(self, *keys):
        return lambda: [self.web.pop(key) for key in keys]

    def test_another_table_length(self):
        """new-flow-table-length is edited: no packet is dropped"""
        self.edit(
            self.put("new-flow-table-length", 4096),
            self.drop("new-flow-table-length"),
            lambda: sum(b for _, b in self.lb_servers(*WEB).values()) == 4096,
        )

    def test_sticky(self):
        """src-ip-sticky is edited: no packet is dropped"""
        source = clients(1)[0][0]
        of_one = [(source, 2000 + n) for n in range(50)]

        def sticky():
            # What lb has of it shows in packets alone; flows that are known keep their server.
            self.vapi.cli("test lb flowtable flush")
            return len(set(self.send_flows(of_one, *WEB).values())) == 1

        self.edit(self.put("src-ip-sticky", True), self.drop("src-ip-sticky"), sticky)

    def test_another_encapsulation(self):
        """encap is edited from GRE4 to GRE6, with servers of IPv6: no packet is dropped"""

        def six():
            self.use("six", SIX)
            self.web["encap"] = "gre6"

        def four():
            self.use("a", A)
            del self.web["encap"]

        self.edit(six, four, lambda: self.lb_weights(*WEB) == weights((SIX, 100)), after=SIX)

    def test_another_encapsulation_for_servers_that_are_probed(self):
        """encap is edited with servers of IPv6 that have to be found up first: no packet is dropped"""
        for address in SIX:
            self.network.give_address(address)
            self.addCleanup(self.network.take_address, address)
        process = self.network.spawn(PORT + 1, SIX)
        self.addCleanup(self.network.end, process)
        self.config["healthchecks"]["six"] = {**self.config["healthchecks"]["tcp"], "port": PORT + 1}
        self.use("six", SIX, healthcheck="six")
        self.web["encap"] = "gre6"
        self.reload_in_stream(weights((SIX, 100)))

    def test_all_ports(self):
        """A frontend of one port is made one of all ports, and back: no packet to that port is dropped"""

        def one():
            self.web.update(protocol="tcp", port=WEB[1])

        self.edit(self.drop("protocol", "port"), one, lambda: self.lb_servers().keys() == {(ADDRESS, 0)})

    def test_another_encapsulation_of_an_address_with_many_ports(self):
        """encap is edited in six frontends of one address, which lb takes with one type only: no packet is dropped"""
        ports = range(WEB[1], WEB[1] + 6)

        def make():
            for port in ports:
                self.config["frontends"]["web%d" % port] = {**self.web, "port": port}

        del self.config["frontends"]["web"]
        for prefix, addresses, encap in (("a", A, "gre4"), ("six", SIX, "gre6"), ("a", A, "gre4")):
            self.use(prefix, addresses)
            self.web["encap"] = encap
            make()
            self.reload_in_stream(weights((addresses, 100)))
            self.wait_vips({(ADDRESS, port) for port in ports})
            for port in ports:
                self.wait_weights((ADDRESS, port), weights((addresses, 100)))

    def test_another_port(self):
        """The port is edited: at each moment one of the two is served"""
        self.web["port"] = OTHER_PORT
        self.write_config(self.config)
        seen = []

        def both(ended):
            more = 3
            while more:
                more -= ended() and self.settled()
                flows = self.fresh(20)
                if None in self.send_flows(flows, *WEB).values():
                    # The old VIP is gone: so the new one was there before.
                    went = self.send_flows(flows, ADDRESS, OTHER_PORT)
                    seen.append(went)
                    self.assertNotIn(None, went.values())

        self.during(self.RELOAD, both)
        self.assertGreater(len(seen), 0)
        self.wait_vips({(ADDRESS, OTHER_PORT)})

    def test_many_edits_at_once(self):
        """Length, encapsulation, stickiness, servers and ports are edited in one file: no packet is dropped"""
        self.use("six", SIX)
        self.web.update({"encap": "gre6", "new-flow-table-length": 2048, "src-ip-sticky": True})
        for key in ("protocol", "port"):
            del self.web[key]
        self.reload_in_stream(weights((SIX, 100)), (ADDRESS, 0))


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
