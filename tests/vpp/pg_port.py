"""Packet-generator interfaces, as VPP's own test framework has them: packets in from a pcap file,
packets out into one."""

import os
import time

from scapy.layers.inet6 import ICMPv6ND_RA, IPv6, IPv6ExtHdrHopByHop, RouterAlert
from scapy.layers.l2 import Ether
from scapy.utils import rdpcap, wrpcap
from scapy.utils6 import in6_ismaddr


def is_ipv6_misc(p):
    """Router advertisements and MLD, which VPP sends by itself."""
    if p.haslayer(ICMPv6ND_RA):
        return in6_ismaddr(p[IPv6].dst)
    if p.haslayer(IPv6ExtHdrHopByHop):
        return any(isinstance(o, RouterAlert) for o in p[IPv6ExtHdrHopByHop].options)
    return False


class PgPort:
    """The part of VPP's VppPGInterface that these tests use, under the same names."""

    def __init__(self, test, index):
        self.test = test
        self.pg_index = index
        self.name = "pg%d" % index
        reply = test.vapi.pg_create_interface_v3(interface_id=index)
        self.sw_if_index = reply.sw_if_index
        details = test.vapi.sw_interface_dump(sw_if_index=self.sw_if_index)
        self.local_mac = str(details[0].l2_address)
        self.remote_mac = "02:%02x:00:00:ff:02" % self.sw_if_index
        net = self.sw_if_index
        self.local_ip4, self.remote_ip4 = "172.16.%d.1" % net, "172.16.%d.2" % net
        self.local_ip6, self.remote_ip6 = "fd01:%x::1" % net, "fd01:%x::2" % net
        self.out_path = os.path.join(test.tempdir, "%s_out.pcap" % self.name)
        self.in_path = os.path.join(test.tempdir, "%s_in.pcap" % self.name)
        self.stream = "pcap%d-sw_if_index-%d" % (index, self.sw_if_index)

    def admin_up(self):
        self.test.vapi.cli("set interface state %s up" % self.name)

    def admin_down(self):
        self.test.vapi.cli("set interface state %s down" % self.name)

    def config_ip4(self):
        self.test.vapi.cli("set interface ip address %s %s/24" % (self.name, self.local_ip4))

    def config_ip6(self):
        self.test.vapi.cli("set interface ip address %s %s/64" % (self.name, self.local_ip6))

    def disable_ipv6_ra(self):
        self.test.vapi.sw_interface_ip6nd_ra_config(sw_if_index=self.sw_if_index, suppress=1)

    def _neighbor(self, address):
        self.test.vapi.cli("set ip neighbor static %s %s %s" % (self.name, address, self.remote_mac))

    def configure_ipv4_neighbors(self):
        self._neighbor(self.remote_ip4)

    def configure_ipv6_neighbors(self):
        self._neighbor(self.remote_ip6)

    def add_stream(self, pkts, nb_replays=None, worker=None):
        """Loads packets to be sent by the next pg_start()."""
        wrpcap(self.in_path, pkts, linktype=1)
        command = "packet-generator new pcap %s source %s name %s" % (
            self.in_path,
            self.name,
            self.stream,
        )
        if nb_replays is not None:
            command += " limit %d" % nb_replays
        if worker is not None:
            command += " worker %d" % worker
        self.test.vapi.cli(command)
        self.test.register_pcap(self, worker)

    def get_cap_name(self, _worker=None):
        return self.stream

    def enable_capture(self):
        """Starts a new, empty capture."""
        self.disable_capture()
        if os.path.exists(self.out_path):
            os.unlink(self.out_path)
        self.test.vapi.cli("packet-generator capture %s pcap %s" % (self.name, self.out_path))

    def disable_capture(self):
        self.test.vapi.cli("packet-generator capture %s pcap %s disable" % (self.name, self.out_path))

    def _get_capture(self, filter_out_fn=is_ipv6_misc):
        """Packets captured since enable_capture(), or None where there are none."""
        self.test.wait_for_pg_stop()
        if not os.path.exists(self.out_path):
            return None
        return [p for p in rdpcap(self.out_path) if not filter_out_fn(p)]

    def get_capture(self, expected_count, timeout=1.0):
        """Exactly `expected_count` packets, or an AssertionError."""
        deadline = time.monotonic() + timeout
        while True:
            got = self._get_capture() or []
            if len(got) == expected_count or len(got) > expected_count or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        if len(got) != expected_count:
            raise AssertionError("%d packets on %s, expected %d" % (len(got), self.name, expected_count))
        return got

    def assert_nothing_captured(self, timeout=0.0, remark=None):
        got = self._get_capture() or []
        if got:
            raise AssertionError("%d packets on %s, expected none %s" % (len(got), self.name, remark or ""))

    def __str__(self):
        return self.name


def ether(port):
    """The Ethernet header of a packet that enters VPP at `port`."""
    return Ether(dst=port.local_mac, src=port.remote_mac)
