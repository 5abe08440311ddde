"""`lb` never frees the table of a deleted VIP: what that costs is counted, told, and never the end of VPP."""

import re
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from maglev_case import MaglevTestCase, base_config, frontend, pool, wait_until

MANY = 500
WEB = ("192.0.2.10", 443)
A1 = "10.77.0.1"


def vip(number):
    return "198.51.%d.%d" % (100 + number // 250, 1 + number % 250), 80


class TestMaglevLbMemory(MaglevTestCase):
    """500 VIPs with the longest table: 125 MiB each time all are made"""

    servers = {"a1": 1}
    with_ports = False
    sticky = False

    @classmethod
    def config(cls, sticky, many=MANY):
        def one(at, **more):
            return frontend(at, pool("only", a1=None), new_flow_table_length=65536, **more)

        frontends = {"f%d" % n: one(vip(n), src_ip_sticky=sticky) for n in range(many)}
        frontends["web"] = one(WEB)
        # Nobody probes it: what is to be seen here is memory.
        backends = {"a1": {"address": A1}}
        config = base_config(cls.network, backends=backends, frontends=frontends)
        config["vpp"]["lb"]["sync-interval"] = "1s"
        return config

    @classmethod
    def make_config(cls, network):
        return cls.config(False)

    def heap(self, what):
        """MiB that are `free`, or `total`, in VPP's main heap."""
        found = re.search(what + r": ([0-9.]+)([KMG])", self.vapi.cli("show memory main-heap"))
        return float(found[1]) * {"K": 1 / 1024, "M": 1, "G": 1024}[found[2]]

    def sticky_vips(self):
        """How many there are; those that were deleted linger."""
        lines = self.vapi.cli("show lb vips verbose").splitlines()
        return sum("src_ip_sticky" in line and "removed" not in line for line in lines)

    def lost(self):
        return self.show("status")["lb"]["lost_tables"]

    def problems(self):
        return {p["kind"]: p["text"] for p in self.show("status")["problems"]}

    def test_reloads_that_toggle_sticky(self):
        """Reloads that recreate all VIPs are refused before VPP's heap is full; what was lost is told"""
        wait_until(lambda: len(self.vapi.lb_vip_dump()) == MANY + 1, "not all VIPs", timeout=60)
        self.assertEqual(self.lost(), 0)
        sticky, refused = False, 0
        for n in range(1, 10):
            sticky = not sticky
            self.write_config(self.config(sticky))
            answer = self.vppctl("maglev config reload", timeout=60)
            if "VPP's heap is too small" in answer:
                refused += 1
                self.assertIn("of them anew: lb never frees the old table", answer)
                self.assertEqual(self.sticky_vips(), 0 if sticky else MANY, "nothing changed")
                self.assertGreater(self.heap("free"), self.heap("total") / 8)
                break
            self.assertNotIn("error", answer)
            wait_until(
                lambda: self.sticky_vips() == (MANY if sticky else 0), "not all recreated", timeout=60, step=1
            )
            self.assertEqual(self.lost(), n * MANY)
        self.assertEqual(refused, 1, "%d tables lost, %s MiB free" % (self.lost(), self.heap("free")))
        wait_until(lambda: "lb-memory" in self.problems(), "no problem is told", timeout=5)
        self.assertIn("%d so far" % self.lost(), self.problems()["lb-memory"])
        # Everything else goes on.
        self.write_config(self.config(not sticky, MANY - 10))
        self.do("maglev config reload")
        wait_until(lambda: len(self.vapi.lb_vip_dump()) == MANY - 9, "ten VIPs do not leave", timeout=20)

    def test_what_somebody_else_deletes_over_and_over(self):
        """A VIP that others delete is made again, and counted"""
        before = self.lost()
        for _ in range(3):
            self.vapi.cli("lb vip %s/32 protocol tcp port %d encap gre4 del" % WEB)
            self.do("maglev sync")
            self.wait_weights(WEB, {A1: 100}, timeout=4)
        self.assertEqual(self.lost(), before + 3)

    def test_a_first_load_that_does_not_fit(self):
        """`config check` tells of a file that would not fit"""
        self.write_config(self.config(True, 4000))
        answer = self.vppctl("maglev config check", timeout=60)
        self.assertIn("VPP's heap is too small: the tables of", answer)


class TestMaglevByHand(MaglevTestCase):
    """Our VIP deleted and made again by hand"""

    servers = {"a1": 1}
    with_ports = False

    @classmethod
    def make_config(cls, network):
        backends = {"a1": {"address": A1}}
        frontends = {
            "web": frontend(WEB, pool("only", a1=None), src_ip_sticky=True),
            "all": {"address": "192.0.2.11", "src-ip-sticky": True, "pools": [pool("only", a1=None)]},
        }
        config = base_config(network, backends=backends, frontends=frontends)
        config["vpp"]["lb"]["sync-interval"] = "1s"
        return config

    def again(self, name):
        """Deletes a VIP and makes it again without sticky, with the server and weight that it had."""
        for command in ("vip %s encap gre4 del", "vip %s encap gre4 new_len 1024", "as %s " + A1 + " weight 100"):
            self.assertNotIn("error", self.vapi.cli("lb " + command % name))

    def is_sticky(self, address):
        text = self.vapi.cli("show lb vips verbose")
        lines = [line for line in text.splitlines() if address + "/32" in line and "removed" not in line]
        return len(lines) == 1 and "src_ip_sticky" in lines[0]

    def test_without_sticky(self):
        """It is noticed, logged, and recreated as ours; per port and for all ports"""
        for vip_, name, shown in (
            (WEB, "192.0.2.10/32 protocol tcp port 443", "192.0.2.10:443/tcp"),
            (("192.0.2.11", 0), "192.0.2.11/32", "192.0.2.11"),
        ):
            self.wait_weights(vip_, {A1: 100})
            self.assertTrue(self.is_sticky(vip_[0]))
            self.again(name)
            wait_until(
                lambda: self.is_sticky(vip_[0]) and self.lb_weights(*vip_) == {A1: 100},
                lambda: self.vapi.cli("show lb vips verbose"),
                timeout=5,
            )
            texts = [e["text"] for e in self.show("events")["events"]]
            self.assertIn("lb-sync vip=%s was deleted and made again by somebody else" % shown, texts)
        before = self.show("status")["lb"]["lost_tables"]
        self.sleep(2.5)
        self.assertEqual(self.show("status")["lb"]["lost_tables"], before, "it is left in peace")


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
