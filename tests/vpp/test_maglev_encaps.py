"""Packets through every encapsulation: what goes in at pg0, and in which form it comes out at pg1."""

import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, Ether
from scapy.packet import Raw

from gre_flows import clients
from maglev_case import MaglevTestCase, base_config, pool

FOUR = {"a1": "10.77.0.1", "a2": "10.77.0.2", "a3": "10.77.0.3"}
SIX = {"s1": "fd77::1", "s2": "fd77::2", "s3": "fd77::3"}
PAYLOAD = b"client payload"


def vip(address, servers, service=None, **more):
    """A frontend over three servers of one family."""
    out = {"address": address, "pools": [pool("p", **dict.fromkeys(servers, 100))], **more}
    if service:
        out["protocol"], out["port"] = service
    return out


FRONTENDS = {
    "gre4-v4": vip("192.0.2.20", FOUR, ("tcp", 80), encap="gre4"),
    "gre4-v4-udp": vip("192.0.2.20", FOUR, ("udp", 80), encap="gre4"),
    "gre4-v6": vip("2001:db8::20", FOUR, ("tcp", 80), encap="gre4"),
    "gre4-v6-udp": vip("2001:db8::20", FOUR, ("udp", 80), encap="gre4"),
    "gre6-v4": vip("192.0.2.21", SIX, ("tcp", 80), encap="gre6"),
    "gre6-v4-udp": vip("192.0.2.21", SIX, ("udp", 80), encap="gre6"),
    "gre6-v6": vip("2001:db8::21", SIX, ("tcp", 80), encap="gre6"),
    "gre6-v6-udp": vip("2001:db8::21", SIX, ("udp", 80), encap="gre6"),
    "all4-v4": vip("192.0.2.22", FOUR, encap="gre4"),
    "all4-v6": vip("2001:db8::22", FOUR, encap="gre4"),
    "all6-v4": vip("192.0.2.23", SIX, encap="gre6"),
    "all6-v6": vip("2001:db8::23", SIX, encap="gre6"),
    "dsr": vip("192.0.2.24", FOUR, ("tcp", 80), encap="l3dsr", dscp=10),
    "dsr-udp": vip("192.0.2.24", FOUR, ("udp", 80), encap="l3dsr", dscp=63),
    "dsr-all": vip("192.0.2.25", FOUR, encap="l3dsr", dscp=1),
    "nat4": vip("192.0.2.26", FOUR, ("udp", 5353), encap="nat4"),
    "nat4-other": vip("192.0.2.26", FOUR, ("udp", 53), encap="nat4", target_port=1053),
    "nat6": vip("2001:db8::26", SIX, ("udp", 5353), encap="nat6"),
    "nat6-other": vip("2001:db8::26", SIX, ("udp", 53), encap="nat6", target_port=1053),
}
FRONTENDS = {n: {k.replace("_", "-"): v for k, v in f.items()} for n, f in FRONTENDS.items()}


def right_checksum(packet):
    """The TCP or UDP checksum that an IP packet ought to have."""
    copy = packet.__class__(bytes(packet))
    del copy[TCP if copy.haslayer(TCP) else UDP].chksum
    copy = copy.__class__(bytes(copy))
    return copy[TCP if copy.haslayer(TCP) else UDP].chksum


def right_header_checksum(packet):
    """The checksum that an IPv4 header ought to have."""
    copy = IP(bytes(packet))
    del copy.chksum
    return IP(bytes(copy)).chksum


class TestMaglevEncaps(MaglevTestCase):
    """Every encapsulation, IPv4 and IPv6, TCP and UDP, one port and all"""

    @classmethod
    def make_config(cls, network):
        backends = {n: {"address": a} for n, a in {**FOUR, **SIX}.items()}
        return base_config(network, backends=backends, frontends=FRONTENDS)

    def setUp(self):
        super().setUp()
        self.reset()

    def through(self, name, protocol, port, **header):
        """Sends 24 flows to a frontend: {(source, source port): the IP packet that came out, or None}, and which
        server `show flow` names for each. Without NAT flows go straight to the server, so that this is checked."""
        address = FRONTENDS[name]["address"]
        sources = clients(24, v6=":" in address)
        layer = IPv6 if ":" in address else IP
        self.vapi.cli("test lb flowtable flush")
        packets = [
            Ether(dst=self.pg0.local_mac, src=self.pg0.remote_mac)
            / layer(src=s[0], dst=address, **header)
            / protocol(sport=s[1], dport=port)
            / Raw(PAYLOAD)
            for s in sources
        ]
        self.pg0.add_stream(packets)
        self.pg_enable_capture(self.pg_interfaces)
        self.pg_start(trace=False)
        got = [p for p in self.pg1._get_capture() or [] if p.haslayer(IP) or p.haslayer(IPv6)]
        self.assertEqual(len(got), len(sources))
        out = []
        more = "" if "port" in FRONTENDS[name] else " %d" % port
        told = {s: self.show("flow %s %s %d%s" % (name, *s, more))["server"] for s in sources}
        for p in got:
            outer = p.payload
            if outer.haslayer(GRE):
                inner = (IPv6 if outer[GRE].proto == 0x86DD else IP)(bytes(outer[GRE].payload))
            else:
                inner = outer
            source = (inner.src, inner[protocol].sport)
            self.assertEqual(told.pop(source), outer.dst, "show flow and the packet disagree")
            self.assertEqual(bytes(inner[protocol].payload), PAYLOAD)
            out.append((outer, inner))
        self.assertEqual(told, {})
        servers = FOUR if out[0][0].version == 4 else SIX
        self.assertEqual({o.dst for o, _ in out}, set(servers.values()), "all servers serve")
        return out

    def gre(self, name, protocol, port, outer_version):
        for outer, inner in self.through(name, protocol, port):
            self.assertEqual(outer.version, outer_version)
            self.assertEqual(outer.src, self.gre_source4 if outer_version == 4 else self.gre_source6)
            self.assertEqual(inner.dst, FRONTENDS[name]["address"])
            self.assertEqual(inner[protocol].dport, port)
            self.assertEqual(inner[protocol].chksum, right_checksum(inner))

    def test_gre(self):
        """GRE over IPv4 and over IPv6 with IPv4 and IPv6 VIPs, TCP and UDP"""
        for outer in (4, 6):
            for inner in (4, 6):
                for ending, protocol in (("", TCP), ("-udp", UDP)):
                    name = "gre%d-v%d%s" % (outer, inner, ending)
                    with self.subTest(frontend=name):
                        self.gre(name, protocol, 80, outer)

    def test_all_ports(self):
        """A VIP of all ports takes any port of TCP and UDP, over GRE4 and GRE6"""
        for name, version in (("all4-v4", 4), ("all4-v6", 4), ("all6-v4", 6), ("all6-v6", 6)):
            for protocol, port in ((TCP, 22), (UDP, 53), (UDP, 65535)):
                with self.subTest(frontend=name, protocol=protocol.__name__, port=port):
                    self.gre(name, protocol, port, version)

    def test_l3dsr(self):
        """L3DSR rewrites destination and DSCP, and both checksums; the ports stay"""
        for name, protocol, port in (
            ("dsr", TCP, 80),
            ("dsr-udp", UDP, 80),
            ("dsr-all", TCP, 22),
            ("dsr-all", UDP, 4000),
        ):
            with self.subTest(frontend=name, protocol=protocol.__name__):
                for outer, _ in self.through(name, protocol, port, tos=0):
                    self.assertEqual(outer.tos >> 2, FRONTENDS[name]["dscp"])
                    self.assertEqual(outer[protocol].dport, port)
                    self.assertEqual(outer[protocol].chksum, right_checksum(outer))
                    self.assertEqual(outer.chksum, right_header_checksum(outer))

    def nat(self, name, port, target_port):
        out = []
        for outer, _ in self.through(name, UDP, port):
            self.assertEqual(outer[UDP].dport, target_port)
            if outer.version == 4:
                self.assertEqual(outer.chksum, right_header_checksum(outer))
            out.append(outer)
        return out

    def test_nat_to_the_same_port(self):
        """NAT rewrites the destination and the checksums"""
        for name in ("nat4", "nat6"):
            with self.subTest(frontend=name):
                for p in self.nat(name, 5353, 5353):
                    self.assertEqual(p[UDP].chksum, right_checksum(p))

    def test_nat_to_another_port(self):
        """NAT to another port rewrites that too, but lb forgets it in the UDP checksum: servers drop the packet. When
        this fails, lb has changed, and the warning about target-port can go"""
        for name in ("nat4-other", "nat6-other"):
            with self.subTest(frontend=name):
                for p in self.nat(name, 53, 1053):
                    self.assertNotEqual(p[UDP].chksum, right_checksum(p))
        warnings = self.show("status")["config_warnings"]
        self.assertEqual(sum("UDP checksum" in w for w in warnings), 2, warnings)

    def reply(self, version, server, server_port):
        """What comes out at pg0 of a packet from a server: (source, source port), or None."""
        layer = IP if version == 4 else IPv6
        client = self.pg0.remote_ip4 if version == 4 else self.pg0.remote_ip6
        packet = Ether(dst=self.pg1.local_mac, src=self.pg1.remote_mac) / layer(src=server, dst=client)
        self.pg1.add_stream([packet / UDP(sport=server_port, dport=4321) / Raw(PAYLOAD)])
        self.pg_enable_capture(self.pg_interfaces)
        self.pg_start(trace=False)
        got = [p.payload for p in self.pg0._get_capture() or [] if p.haslayer(UDP)]
        if not got:
            return None
        self.assertEqual(got[0][UDP].chksum, right_checksum(got[0]))
        return got[0].src, got[0][UDP].sport

    def test_replies_of_nat_servers(self):
        """lb's own translation of replies gives them the VIP's address, and its port with the bytes swapped; what is no
        reply of a NAT server is dropped on that interface. When this fails, lb has changed, and the page with it"""
        for version, server, vips in ((4, FOUR["a1"], "192.0.2.26"), (6, SIX["s1"], "2001:db8::26")):
            with self.subTest(version=version):
                self.assertEqual(self.reply(version, server, 5353), (server, 5353), "without it: as it is")
                self.vapi.cli("lb set interface nat%d in pg1" % version)
                try:
                    self.assertEqual(self.reply(version, server, 5353), (vips, int.from_bytes(b"\xe9\x14", "big")))
                    self.assertEqual(self.reply(version, server, 1053), (vips, 53 << 8))
                    self.assertIsNone(self.reply(version, server, 7))
                finally:
                    self.vapi.cli("lb set interface nat%d in pg1 del" % version)


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
