"""A stats segment that is too small for everything: VPP lives, frontends are published first, and a problem says what is missing."""

import time
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from maglev_case import wait_until
from restart_case import RestartCase
from vpp_papi.vpp_stats import VPPStats

# Nothing is programmed into lb: its tables are not what is tested here.
HEAD = """maglev:
  vpp:
    lb: { ipv4-src-address: 10.0.0.1, startup-min-delay: 1h, startup-max-delay: 1h }
"""
SMALL = (
    HEAD
    + """  backends:
    one: { address: 10.9.0.1 }
  frontends:
    web: { address: 192.0.2.1, protocol: tcp, port: 80, pools: [{ name: p, backends: { one: {} } }] }
"""
)


def name(letter, number, length):
    """A name of that length."""
    text = "%s%d" % (letter, number)
    return text + "-" * (length > len(text)) + "x" * (length - len(text) - 1)


def address(net, number):
    return "%d.%d.%d.%d" % (net, number >> 16, number >> 8 & 255, number & 255)


def shared_pool(frontends, members, length):
    """So many frontends with the same pool of so many backends, all names of `length`."""
    lines = [HEAD, "  backends:"]
    lines += ["    %s: { address: %s }" % (name("b", i, length), address(10, i + 1)) for i in range(members)]
    lines += ["  frontends:"]
    for i in range(frontends):
        pools = "*p"
        if i == 0:
            of = ", ".join("%s: {}" % name("b", j, length) for j in range(members))
            pools = "&p [{ name: p, backends: { %s } }]" % of
        lines.append(
            "    %s: { address: %s, protocol: tcp, port: 80, pools: %s }" % (name("f", i, length), address(172, i + 1), pools)
        )
    return "\n".join(lines) + "\n"


def many_backends(number, length):
    """So many backends, a hundred of them in a frontend's pool."""
    lines = [HEAD, "  backends:"]
    lines += ["    %s: { address: %s }" % (name("b", i, length), address(10, i + 1)) for i in range(number)]
    of = ", ".join("%s: {}" % name("b", i, length) for i in range(100))
    lines += ["  frontends:", "    web: { address: 192.0.2.1, protocol: tcp, port: 80, pools: [{ name: p, backends: { %s } }] }" % of]
    return "\n".join(lines) + "\n"


class TestMaglevStatsRoom(RestartCase):
    """A stats segment that is too small"""

    def names(self, table):
        """The names of a table, as a reader of the segment finds them."""
        stats = VPPStats(socketname=self.process.path("stats.sock"))
        try:
            return [str(n) for n in stats["/maglev/%s/names" % table]]
        finally:
            stats.disconnect()

    def numbers(self, table, metric):
        stats = VPPStats(socketname=self.process.path("stats.sock"))
        try:
            return [int(n) for n in stats["/maglev/%s/%s" % (table, metric)][0]]
        finally:
            stats.disconnect()

    def problem(self):
        """The text of the problem `stats-segment`, or None."""
        found = [p["text"] for p in self.show("status")["problems"] if p["kind"] == "stats-segment"]
        return found[0] if found else None

    def wait_published(self, table, number):
        wait_until(
            lambda: len(self.names(table)) == number,
            lambda: "%s: %d names" % (table, len(self.names(table))),
            timeout=60,
        )

    def wait_problem(self, *parts):
        return wait_until(
            lambda: all(p in (self.problem() or "") for p in parts),
            lambda: "problem: %s" % self.problem(),
            timeout=60,
        )

    def wait_none(self):
        wait_until(lambda: self.problem() is None, lambda: "problem: %s" % self.problem(), timeout=60)

    def interfaces(self, number):
        """VPP's own use of the segment grows."""
        with open(self.process.path("interfaces"), "w", encoding="utf-8") as f:
            f.write("create loopback interface\n" * number)
        before = self.process.cli("show interface").count("loop")
        self.process.cli("exec " + self.process.path("interfaces"), timeout=60)
        self.assertEqual(self.process.cli("show interface").count("loop"), before + number)

    def test_members_that_do_not_fit(self):
        """200,000 long names of members: left out, told, back when there are fewer; and at a start"""
        large = shared_pool(2000, 100, 60)
        self.make(SMALL, main_heap="1g").start()
        self.wait_published("members", 1)
        self.write_config(large)
        self.do("config reload")
        self.wait_problem("members are not published", "statseg { size 64m }")
        self.wait_published("frontends", 2000)
        self.wait_published("backends", 100)
        self.assertEqual(self.names("members"), [])
        self.assertEqual(self.numbers("members", "weight"), [])
        self.assertEqual(self.numbers("frontends", "total"), [100] * 2000)
        self.interfaces(30)
        self.write_config(SMALL)
        self.do("config reload")
        self.wait_published("members", 1)
        self.wait_none()
        self.write_config(large)
        self.do("config reload")
        self.wait_problem("members are not published")
        # The same at a start.
        self.assertEqual(self.process.stop(), 0, self.process.console())
        self.process.start()
        self.wait_problem("members are not published", "statseg { size 64m }")
        self.wait_published("frontends", 2000)
        self.interfaces(30)

    def test_more_members_with_short_names(self):
        """300,000 members with names of 20 characters: all of them, or a problem"""
        self.make(shared_pool(3000, 100, 20), main_heap="1g").start()
        self.wait_published("frontends", 3000)
        members = 0 if self.problem() else 300_000
        self.wait_published("members", members)
        self.interfaces(30)
        self.assertEqual(self.problem() is None, members > 0)

    def test_the_size_that_is_told_does(self):
        """With the size that the problem names everything is published"""
        self.make(shared_pool(2000, 100, 60), main_heap="1g", statseg="64m").start()
        self.wait_published("members", 200_000)
        self.assertIsNone(self.problem())
        self.interfaces(30)

    def test_a_small_segment(self):
        """20,000 backends in 4 MiB: frontends are published, and interfaces can be added"""
        self.make(many_backends(20_000, 40), statseg="4m").start()
        self.wait_problem("not published", "statseg { size 8m }")
        self.wait_published("frontends", 1)
        self.assertEqual(self.names("frontends"), ["web"])
        self.assertEqual(self.names("engine"), ["engine"])
        self.interfaces(30)
        self.wait_published("frontends", 1)

    def test_what_vpp_takes_is_given_up(self):
        """VPP's own growth into the reserve: members give way before VPP runs out"""
        self.make(shared_pool(100, 100, 60), statseg="8m").start()
        self.wait_published("members", 10_000)
        done = 0
        while self.names("members"):
            self.assertLess(done, 2000, "members are published still")
            self.interfaces(50)
            done += 50
            time.sleep(2)
        self.wait_problem("published", "statseg { size")
        self.interfaces(10)


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
