"""NAT servers and VIPs are never deleted from lb, since VPP would abort: they are parked at weight 0.

Configurations are reloaded at random for 15 s. With MAGLEV_LONG_TESTS=1 that takes 70 s, and the test goes on for another
130 s and has lb collect all that was deleted, which is when VPP would abort. $MAGLEV_TORTURE_SEED repeats one.
"""

import os
import random
import time
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from gre_flows import clients
from maglev_case import MaglevTestCase, base_config, pool

# Many, so that a long run does not come to where all is parked and everything refused.
FOUR = {"a%d" % n: "10.77.0.%d" % n for n in range(1, 31)}
SIX = {"s%d" % n: "fd77::%x" % n for n in range(1, 31)}
ADDRESSES = ["192.0.2.%d" % n for n in range(30, 50)] + ["2001:db8::%d" % n for n in range(30, 50)]
SERVICES = (("udp", 53), ("udp", 5353), ("tcp", 53), ("tcp", 80))
TARGETS = (53, 5353)
USED = 1
LONG = os.environ.get("MAGLEV_LONG_TESTS") == "1"


def frontends(choice):
    """Some valid `frontends:`, by chance."""
    out, taken = {}, set()
    for address in choice.sample(ADDRESSES, 6):
        v6 = ":" in address
        encap = choice.choice(["nat"] * 4 + ["gre4", "gre6"] + ([] if v6 else ["l3dsr"]))
        servers = SIX if encap == "gre6" or (v6 and encap == "nat") else FOUR
        if encap == "nat":
            services = choice.sample(SERVICES[:2], choice.randint(0, 2))
        else:
            services = choice.choice([[], [None], choice.sample(SERVICES, 1), choice.sample(SERVICES, 3)])
        for service in services:
            f = {"address": address, "encap": encap}
            names = choice.sample(sorted(servers), choice.randint(1, 4))
            if service:
                f["protocol"], f["port"] = service
            if encap == "nat":
                f["encap"] = "nat6" if v6 else "nat4"
                f["target-port"] = choice.choice(TARGETS)
                names = [n for n in names if (n, f["target-port"]) not in taken]
                taken.update((n, f["target-port"]) for n in names)
            elif encap == "l3dsr":
                f["dscp"] = choice.randint(0, 2)
            if choice.random() < 0.1:
                f["new-flow-table-length"] = choice.choice((128, 2048))
            if choice.random() < 0.05:
                f["src-ip-sticky"] = True
            cut = choice.randint(1, len(names)) if names else 0
            first = {n: choice.choice((0, 1, 50, 100)) for n in names[:cut]}
            pools = [pool("p", **first)]
            if names[cut:]:
                pools.append(pool("q", **dict.fromkeys(names[cut:], 100)))
            if names:
                f["pools"] = pools
                out["f%d" % len(out)] = f
    return out


class TestMaglevNat(MaglevTestCase):
    """NAT over reloads"""

    @classmethod
    def make_config(cls, network):
        return cls.config({})

    @classmethod
    def config(cls, frontends_):
        backends = {n: {"address": a} for n, a in {**FOUR, **SIX}.items()}
        out = base_config(cls.network, backends=backends, frontends=frontends_)
        # Flows soon let go of their servers, so that lb collects what was deleted.
        out["vpp"]["lb"]["flow-timeout"] = "1s"
        return out

    def reload(self, frontends_):
        """A reload, and what `maglev sync` says when lb has taken all of it."""
        self.write_config(self.config(frontends_))
        # Some of them take most of what there is away.
        self.do("maglev config reload force")
        return self.vppctl("maglev sync")

    def nat_keys(self):
        """{(server, target port): VIPs}"""
        targets = {}
        for v in self.vapi.lb_vip_dump():
            if v.encap in (3, 4):
                swapped = v.target_port.to_bytes(2, "little")
                targets[(str(v.vip.pfx), v.vip.protocol, v.vip.port)] = int.from_bytes(swapped, "big")
        out = {}
        for d in self.vapi.lb_as_v2_dump():
            vip = (str(d.vip.pfx), d.vip.protocol, d.vip.port)
            if vip in targets and d.flags & USED:
                out.setdefault((str(d.app_srv), targets[vip]), set()).add(vip)
        return out

    def packets(self, frontends_, choice):
        """A few packets to every frontend."""
        stream = []
        for f in frontends_.values():
            layer = IPv6 if ":" in f["address"] else IP
            protocol = TCP if f.get("protocol") == "tcp" else UDP
            for source, port in clients(8, first=choice.randint(0, 5000), v6=layer is IPv6):
                header = Ether(dst=self.pg0.local_mac, src=self.pg0.remote_mac) / layer(src=source, dst=f["address"])
                stream.append(header / protocol(sport=port, dport=f.get("port", 4000)) / Raw(b"x"))
        if stream:
            self.pg0.add_stream(stream)
            self.pg_start(trace=False)

    def test_parked_and_back(self):
        """A server and a VIP that leave are parked, shown so, and come back; what cannot be is said"""
        nat = {"address": "192.0.2.140", "protocol": "udp", "port": 7000, "encap": "nat4"}
        two = {"dns": {**nat, "pools": [pool("p", a1=100, a2=100)]}}
        one = {"dns": {**nat, "pools": [pool("p", a1=100)]}}
        vip, (a1, a2) = ("192.0.2.140", 7000), (FOUR["a1"], FOUR["a2"])
        self.reload(two)
        self.assertEqual(self.lb_weights(*vip), {a1: 100, a2: 100})
        self.reload(one)
        self.assertEqual(self.lb_weights(*vip), {a1: 100, a2: 0})
        self.assertIn("%s  weight 0  buckets 0  parked" % a2, self.vppctl("maglev show lb"))
        self.assertEqual(self.frontend_view("dns")["leaving"], [])
        self.reload({})
        self.assertEqual(self.lb_weights(*vip), {a1: 0, a2: 0})
        self.assertIn("vip 192.0.2.140:7000/udp  parked  encap nat4", self.vppctl("maglev show lb"))
        self.reload(two)
        self.assertEqual(self.lb_weights(*vip), {a1: 100, a2: 100})
        # The keys of a1 and a2 with 7000 are that VIP's for good.
        moved = {"dns": {**nat, "address": "192.0.2.141", "pools": [pool("p", a1=100, a3=100)]}}
        answer = self.reload(moved)
        error = self.frontend_view("dns")["error"]
        self.assertEqual(
            error,
            "192.0.2.141:7000/udp cannot be as configured before VPP is restarted: no server 10.77.0.1: "
            "192.0.2.140:7000/udp has it (target port 7000)",
        )
        self.assertIn("before VPP is restarted", answer)
        self.assertIn("before VPP is restarted", self.vapi.cli("show logging"))
        self.assertEqual(self.lb_weights("192.0.2.141", 7000), {FOUR["a3"]: 100})
        self.assertEqual(self.lb_weights(*vip), {a1: 0, a2: 0})
        # Another encap on the address is not to be had either.
        gre = {"web": {**nat, "protocol": "tcp", "port": 80, "encap": "gre4", "pools": [pool("p", a1=100)]}}
        self.reload(gre)
        self.assertIn("stays parked", self.frontend_view("web")["error"])
        self.assertIsNone(self.lb_weights("192.0.2.140", 80))
        self.reload(two)
        self.assertIsNone(self.frontend_view("dns")["error"])
        self.assertEqual(self.lb_weights(*vip), {a1: 100, a2: 100})

    def test_torture(self):
        """No valid configuration, over a reload to any other, makes lb abort"""
        seconds = 70 if LONG else 15
        seed = int(os.environ.get("MAGLEV_TORTURE_SEED", time.time()))
        print("seed", seed)
        choice = random.Random(seed)
        reloads, refused, before = 0, 0, {}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            goal = frontends(choice)
            self.reload(goal)
            reloads += 1
            if choice.random() < 0.4:
                self.packets(goal, choice)
            # What is not refused is there.
            for view in self.show("frontends"):
                if view["error"]:
                    refused += 1
                    self.assertIn("before VPP is restarted", view["error"])
                else:
                    self.assertTrue(view["programmed"], view)
            keys = self.nat_keys()
            self.assertEqual({k: v for k, v in keys.items() if len(v) > 1}, {}, "a key in two VIPs")
            self.assertEqual({k: keys.get(k) for k in before}, before, "a NAT server was deleted")
            before = keys
            self.vpp_process.check_alive()
        print("%d reloads, %d times a frontend was refused" % (reloads, refused))
        self.assertGreater(reloads, 5)
        self.reload({})
        if LONG:
            for _ in range(13):
                self.sleep(10)
                self.vapi.cli("show version")
        # Has lb collect all that it can.
        self.vapi.cli("lb conf timeout 1")
        self.vpp_process.check_alive()
        self.reload(frontends(choice))
        self.assertGreater(len(self.nat_keys()), 0)


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
