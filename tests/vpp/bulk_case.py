"""What the tests of many servers at once have in common: packets that go on while something happens."""

import re
from concurrent.futures import ThreadPoolExecutor

from gre_flows import clients
from maglev_case import pool, wait_until
from states_case import StatesCase

SIZE = 10
# Not of client().
STREAM = ("198.19.0.0", "198.19.15.255")
PACKETS_A_SECOND = 20000


def servers(first, size=SIZE):
    """The addresses of `size` servers."""
    return ["10.77.0.%d" % n for n in range(first, first + size)]


def servers6(first, size=SIZE):
    return ["fd77::%x" % n for n in range(first, first + size)]


def backends(prefix, addresses, **more):
    """`backends:` of these addresses: {prefix1: …, prefix2: …}"""
    return {"%s%d" % (prefix, n + 1): {"address": a, **more} for n, a in enumerate(addresses)}


def pool_of(name, prefix, size=SIZE):
    """A pool of all backends that backends() names."""
    return pool(name, **{"%s%d" % (prefix, n + 1): None for n in range(size)})


def weights(*groups):
    """{server: weight} of groups of (addresses, weight)."""
    return {a: weight for addresses, weight in groups for a in addresses}


class Stream:
    """TCP packets of 4,096 flows to a VIP, without a pause, by VPP's packet generator on its worker. Afterwards: how many were
    made, came out at pg1, and were dropped."""

    def __init__(self, case, vip, port):
        self.cli, self.ports, self.name = case.vapi.cli, (case.pg0, case.pg1), "steady"
        self.data = "IP4: %s -> %s TCP: %s - %s -> %s TCP: 1234 -> %d incrementing 22" % (
            case.pg0.remote_mac, case.pg0.local_mac, *STREAM, vip, port
        )

    def counters(self):
        """Dropped of what came in at pg0, sent at pg1."""
        found = [
            re.search(r"%s\s+(\d+)" % what, self.cli("show interface %s" % port.name))
            for port, what in zip(self.ports, ("drops", "tx packets"))
        ]
        return [int(f[1]) if f else 0 for f in found]

    def count(self):
        found = re.search(r"(?m)^%s\s+(?:Yes|No)\s+(\d+)" % self.name, self.cli("show packet-generator"))
        return int(found[1])

    def __enter__(self):
        self.dropped, self.sent = self.counters()
        self.cli(
            "packet-generator new { name %s rate %d size 64-64 worker 0 source pg0 interface pg0 node ethernet-input data { %s } }"
            % (self.name, PACKETS_A_SECOND, self.data)
        )
        self.cli("packet-generator enable-stream %s" % self.name)
        try:
            wait_until(self.count, "the packet generator makes no packets")
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.cli("packet-generator disable-stream %s" % self.name)
        self.made = self.count()
        self.dropped, self.sent = (now - then for now, then in zip(self.counters(), (self.dropped, self.sent)))
        self.cli("packet-generator delete %s" % self.name)


class BulkCase(StatesCase):
    """Flows of which each server is known, while many servers change at once."""

    def setUp(self):
        super().setUp()
        self.next_flow = 5000

    def fresh(self, count, v6=False):
        """Flows that this test has not used."""
        self.next_flow += count
        return clients(count, first=self.next_flow - count, v6=v6)

    def texts(self, mark, vip):
        """What was told of writes to a VIP (as it is shown) after a mark."""
        start = "lb-sync vip=%s " % vip
        return [e["text"].removeprefix(start) for e in self.since(mark, "lb-sync", start)]

    def settled(self):
        """Nothing is left to be done in lb."""
        return all(f["programmed"] and not f["leaving"] for f in self.show("frontends"))

    def wait_settled(self):
        wait_until(self.settled, lambda: self.vapi.cli("maglev show frontends"), timeout=30)

    def begin_flows_until(self, over, *to):
        """Begins flows to a VIP again and again until `over()` and all is settled, and some more. None is dropped. Returns
        {flow: its server}."""
        begun, more = {}, 3
        while more:
            more -= over() and self.settled()
            begun.update(self.send_flows(self.fresh(20), *to))
            self.assertNotIn(None, begun.values(), "a flow had no server")
            self.assertLess(len(begun), 20000, lambda: self.vapi.cli("maglev show frontends"))
        return begun

    def during(self, command, act):
        """Gives a command that must succeed, and does `act` with a function that tells whether it has ended."""
        with ThreadPoolExecutor(1) as threads:
            answer = threads.submit(self.do, command)
            result = act(answer.done)
            return answer.result(), result

    def check_stream(self, stream):
        """Every packet of a stream came out."""
        self.assertGreater(stream.made, 0)
        told = "%d packets dropped of %d\n%s"
        self.assertEqual(stream.dropped, 0, told % (stream.dropped, stream.made, self.vapi.cli("maglev show events last 20")))
        self.assertGreaterEqual(stream.sent, stream.made)
