"""Flows through `lb`: client packets in at pg0, GRE out at pg1, and which server each flow was sent to."""

import ipaddress
from collections import Counter

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, Ether
from scapy.packet import Raw

SERVERS4 = "10.77.0.0/16"
SERVERS6 = "fd77::/64"
GRE_PROTOCOL = 47


def client(number, v6=False):
    """The (source address, source port) of flow `number`."""
    if v6:
        return "fd99::%x" % (number + 1), 1024 + (number * 7919) % 60000
    return "198.18.%d.%d" % divmod(number + 1, 256), 1024 + (number * 7919) % 60000


def clients(count, first=0, v6=False):
    """`count` flows, as client() makes them."""
    return [client(n, v6) for n in range(first, first + count)]


class FlowMixin:
    """For test classes with pg interfaces."""

    gre_source4 = "10.78.0.1"
    gre_source6 = "fd78::1"

    @classmethod
    def make_ports(cls):
        """pg0 to the clients, pg1 to the servers, both families."""
        cls.create_pg_interfaces(range(2))
        for port in cls.pg_interfaces:
            port.admin_up()
            port.config_ip4()
            port.config_ip6()
            port.disable_ipv6_ra()
            port.configure_ipv4_neighbors()
            port.configure_ipv6_neighbors()
        cls.vapi.cli("ip route add %s via %s pg1" % (SERVERS4, cls.pg1.remote_ip4))
        cls.vapi.cli("ip route add %s via %s pg1" % (SERVERS6, cls.pg1.remote_ip6))

    def packet(self, source, vip, port, protocol=TCP):
        """One client packet; `source` as client() gives it."""
        header = IPv6 if ":" in vip else IP
        return (
            Ether(dst=self.pg0.local_mac, src=self.pg0.remote_mac)
            / header(src=source[0], dst=vip)
            / protocol(sport=source[1], dport=port)
            / Raw(b"client payload")
        )

    def send_flows(self, sources, vip, port, protocol=TCP):
        """One packet a flow; {source: server, or None where nothing came out}. Every packet that comes out is
        checked to be GRE from our source address, with the client's own packet inside."""
        self.pg0.add_stream([self.packet(s, vip, port, protocol) for s in sources])
        self.pg_enable_capture(self.pg_interfaces)
        self.pg_start(trace=False)
        went = dict.fromkeys(sources)
        for p in self.pg1._get_capture() or []:
            if not (p.haslayer(IP) or p.haslayer(IPv6)):
                continue
            outer = p[IPv6] if ":" in p.payload.dst else p[IP]
            if isinstance(outer, IPv6):
                self.assertEqual(outer.nh, GRE_PROTOCOL)
                self.assertEqual(outer.src, self.gre_source6)
                gre = GRE(bytes(outer.payload))
            else:
                self.assertEqual(outer.proto, GRE_PROTOCOL)
                self.assertEqual(outer.src, self.gre_source4)
                gre = p[GRE]
            inner = (IPv6 if gre.proto == 0x86DD else IP)(bytes(gre.payload))
            self.assertEqual(str(ipaddress.ip_address(inner.dst)), str(ipaddress.ip_address(vip)))
            self.assertEqual(inner[protocol].dport, port)
            self.assertEqual(bytes(inner[protocol].payload), b"client payload")
            source = (inner.src, inner[protocol].sport)
            self.assertIn(source, went, "a packet that no client sent")
            self.assertIsNone(went[source], "one packet in, two out")
            went[source] = outer.dst
        return went

    def spread(self, went):
        """{server: flows}"""
        return Counter(went.values())

    def lb_servers(self, vip=None, port=None):
        """What `lb` holds: {(vip, port): {server: (weight, buckets)}}, or the one VIP's {server: …}. Deleted
        servers that linger are left out."""
        used = 1
        out = {}
        for vip_record in self.vapi.lb_vip_dump():
            out[(str(vip_record.vip.pfx).split("/")[0], vip_record.vip.port)] = {}
        for d in self.vapi.lb_as_v2_dump():
            key = (str(d.vip.pfx).split("/")[0], d.vip.port)
            if d.flags & used and key in out:
                out[key][str(d.app_srv)] = (d.weight, d.num_buckets)
        return out if vip is None else out.get((vip, port))

    def lb_weights(self, vip, port):
        """{server: weight} of one VIP; None where `lb` has no such VIP."""
        servers = self.lb_servers(vip, port)
        return None if servers is None else {a: w for a, (w, _) in servers.items()}
