"""What others do to lb behind the plugin's back: ours is repaired, theirs is left alone."""

import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from gre_flows import clients
from maglev_case import WEB, MaglevTestCase, base_config, checked, frontend, pool, wait_until

ALSO = ("192.0.2.11", 80)
FOREIGN = ("192.0.2.99", 99)
A1, A2, X = "10.77.0.1", "10.77.0.2", "10.77.0.66"
ALL = {A1: 100, A2: 50}


class TestMaglevRepair(MaglevTestCase):
    """Drift and foreign VIPs"""

    servers = {"a1": 1, "a2": 2}

    @classmethod
    def make_config(cls, network):
        config = base_config(
            network,
            backends=checked(network),
            frontends={
                "web": frontend(WEB, pool("only", a1=None, a2=50)),
                "also": frontend(ALSO, pool("only", a1=None, a2=50)),
            },
        )
        config["vpp"]["lb"]["sync-interval"] = "1s"
        return config

    def setUp(self):
        super().setUp()
        self.reset()
        self.wait_weights(WEB, ALL)

    def lb(self, command, vip=WEB):
        """A command of lb's own on one VIP: what somebody else might type."""
        kind, _, rest = command.partition(" ")
        return self.vapi.cli("lb %s %s/32 protocol tcp port %d %s" % (kind, vip[0], vip[1], rest))

    def test_a_deleted_server_comes_back(self):
        """`lb as … del` behind our back is repaired by the next sync"""
        self.lb("as %s del" % A1)
        self.assertEqual(self.lb_weights(*WEB), {A2: 50})
        self.wait_weights(WEB, ALL, timeout=4)
        self.assertEqual(set(self.send_flows(clients(100), *WEB).values()), {A1, A2})

    def test_a_changed_weight_is_set_right(self):
        """A weight changed behind our back is set right"""
        self.lb("as %s weight 7" % A1)
        self.assertEqual(self.lb_weights(*WEB), {A1: 7, A2: 50})
        self.wait_weights(WEB, ALL, timeout=4)

    def test_an_added_server_is_removed(self):
        """A server added to our VIP behind our back is removed"""
        self.lb("as %s" % X)
        self.assertEqual(self.lb_weights(*WEB), {A1: 100, A2: 50, X: 100})
        self.wait_weights(WEB, ALL, timeout=4)
        self.assertEqual(set(self.send_flows(clients(100), *WEB).values()), {A1, A2})

    def test_a_deleted_vip_comes_back(self):
        """A VIP deleted behind our back is made again, filled"""
        self.lb("vip encap gre4 del")
        self.assertIsNone(self.lb_weights(*WEB))
        self.wait_weights(WEB, ALL, timeout=4)
        self.assertEqual(set(self.send_flows(clients(100), *WEB).values()), {A1, A2})

    def test_a_vip_of_another_shape_is_recreated(self):
        """Our VIP, made anew by others with another table length, gets its own length back"""
        self.lb("vip encap gre4 del")
        self.lb("vip encap gre4 new_len 4096")
        self.wait_weights(WEB, ALL, timeout=4)
        wait_until(
            lambda: sum(b for _, b in (self.lb_servers(*WEB) or {}).values()) == 1024,
            "the table has not 1024 entries",
        )

    def test_lb_settings_are_set_right(self):
        """lb's source address changed behind our back is set right"""
        self.vapi.cli("lb conf ip4-src-address 1.2.3.4")
        wait_until(
            lambda: str(self.vapi.lb_conf_get().ip4_src_address) == self.gre_source4,
            "the source address was not repaired",
            timeout=4,
        )

    def test_drift_of_two_frontends_by_hand(self):
        """`maglev sync` repairs at once, one frontend or all, and tells how many writes it took"""
        self.lb("as %s weight 7" % A1)
        self.lb("as %s weight 7" % A1, ALSO)
        self.do("maglev sync frontend web")
        self.assertEqual(self.lb_weights(*WEB), ALL)
        self.do("maglev sync")
        self.assertEqual(self.lb_weights(*ALSO), ALL)

    def test_a_foreign_vip_is_left_alone(self):
        """A VIP that is not ours is shown as foreign and never touched"""
        self.lb("vip encap gre4 new_len 2048", FOREIGN)
        self.lb("as %s weight 33" % X, FOREIGN)
        self.addCleanup(self.lb, "vip encap gre4 del", FOREIGN)
        self.addCleanup(self.lb, "as %s del flush" % X, FOREIGN)
        self.do("maglev sync")
        self.sleep(2.5)
        self.assertEqual(self.lb_servers(*FOREIGN), {X: (33, 2048)})
        found = [v for v in self.show("lb")["vips"] if v["foreign"]]
        self.assertEqual([v["vip"] for v in found], ["192.0.2.99:99/tcp"])
        self.assertIsNone(found[0]["frontend"])
        self.assertIn("foreign", self.vapi.cli("maglev show lb"))
        self.network["a1"].kill()
        self.wait_weights(WEB, {A1: 0, A2: 50})
        self.assertEqual(self.lb_servers(*FOREIGN), {X: (33, 2048)})
        self.assertEqual(set(self.send_flows(clients(20), *FOREIGN).values()), {X})


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
