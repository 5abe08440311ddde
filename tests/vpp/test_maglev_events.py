"""What can be seen from outside: the ring of events, the log, the counters."""

import re
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from gre_flows import clients
from maglev_case import WEB, PairTestCase, wait_until

A1, A2 = "10.77.0.1", "10.77.0.2"


class TestMaglevEvents(PairTestCase):
    """Events and counters"""

    def setUp(self):
        super().setUp()
        self.reset()

    def events(self, kind, last=1000):
        return [e for e in self.show("events last %d" % last)["events"] if e["kind"] == kind]

    def counters(self):
        view = self.show("counters")
        self.assertIsNone(view["lb_error"])
        return view

    def backend_counters(self, name):
        return next(b for b in self.counters()["backends"] if b["backend"] == name)

    def packets(self):
        """lb's four counters of the VIP."""
        (vip,) = self.counters()["vips"]
        self.assertEqual((vip["frontend"], vip["vip"]), ("web", "192.0.2.10:443/tcp"))
        return [vip[k] for k in ("existing", "first", "untracked", "no_server")]

    def test_events_after_a_kill(self):
        """A killed backend is an event with typed fields, as is what it set off in lb; both are in VPP's log"""
        first = self.show("events last 1")["events"][-1]["sequence"]
        self.network["a1"].kill()
        self.wait_state("a1", "down")
        self.wait_weights(WEB, {A1: 0, A2: 50})
        new = [e for e in self.show("events")["events"] if e["sequence"] > first]
        down = next(e for e in new if e["kind"] == "backend-transition")
        self.assertEqual(
            [down[k] for k in ("backend", "from", "to", "code", "level")],
            ["a1", "up", "down", "L4CON", "warning"],
        )
        sync = next(e for e in new if e["kind"] == "lb-sync" and A1 in e["text"])
        self.assertTrue(sync["text"].endswith("server=%s weight=0 flush" % A1), sync)
        self.assertGreater(sync["sequence"], down["sequence"])
        log = self.vapi.cli("show log")
        for e in (down, sync):
            self.assertIn(e["text"], log)
        numbers = [e["sequence"] for e in new]
        self.assertEqual(numbers, list(range(first + 1, first + 1 + len(new))), "no gaps")
        text = self.vapi.cli("maglev show events")
        self.assertRegex(text, r"(?m)^%d  \d{4}-.*Z  backend-transition backend=a1 " % down["sequence"])

    def test_events_survive_a_reload(self):
        """The ring and its numbers go on over a reload"""
        before = self.show("events")["events"]
        self.do("maglev config reload")
        after = self.show("events")["events"]
        self.assertEqual(after[: len(before)], before)
        self.assertIs(self.events("config-reload")[-1]["ok"], True)
        self.do("maglev set backend a2 pause")
        self.assertEqual(self.events("operator", 20)[-1]["command"], "set backend a2 pause")

    def test_bad_counts_are_refused(self):
        """`last` takes 1 to 1000"""
        for n in ("0", "1001", "x"):
            self.assertIn("is not a number from 1 to 1000", self.error("maglev show events last %s" % n))

    def test_counters_after_packets(self):
        """lb's packets, buckets and flows are told by our names, and are what lb shows itself"""
        before = self.packets()
        flows = clients(60)
        self.send_flows(flows, *WEB)
        grown = [b - a for a, b in zip(before, self.packets())]
        self.assertEqual(grown[1:], [60, 0, 0], "60 flows began")
        self.send_flows(flows, *WEB)
        again = [b - a for a, b in zip(before, self.packets())]
        self.assertEqual(again, [grown[0] + 60, 60, 0, 0], "60 packets of flows that were known")
        own = self.vapi.cli("show lb vips verbose")
        for text, n in zip(("existing sessions", "first session packet", "untracked", "no server"), self.packets()):
            self.assertRegex(own, "%s[a-z ]*: %d\n" % (text, n))
        shown = {}
        for name, address in (("a1", A1), ("a2", A2)):
            (one,) = self.backend_counters(name)["serving"]
            self.assertEqual(one["frontend"], "web")
            shown[address] = one["buckets"]
            flows = re.search(r"%s weight:\d+ buckets:\d+ flows:(\d+)" % re.escape(address), own)
            self.assertEqual(one["flows"], int(flows[1]))
            self.assertGreater(one["flows"], 0)
        self.assertEqual(shown, {a: b for a, (_, b) in self.lb_servers(*WEB).items()})

    def test_no_server_is_counted(self):
        """Packets of a VIP without weight count as `no server`"""
        for name in ("a1", "a2"):
            self.do("maglev set backend %s disable" % name)
        self.wait_weights(WEB, {A1: 0, A2: 0})
        before = self.packets()
        self.send_flows(clients(10), *WEB)
        self.assertEqual(self.packets()[3] - before[3], 10)

    def test_probes_are_counted_with_their_latency(self):
        """Probes by result, latency of the last minute, transitions, calls of lb and what set off the syncs"""
        a1 = self.backend_counters("a1")
        results = dict(a1["results"])
        self.assertGreater(results["L7OK"], 0)
        self.assertTrue(0 < a1["latency"]["p50_us"] <= a1["latency"]["p99_us"] < 2_000_000, a1)
        self.network["a1"].kill()
        self.wait_state("a1", "down")
        wait_until(lambda: dict(self.backend_counters("a1")["results"]).get("L4CON", 0) > 2, "no L4CON counted")
        now = self.backend_counters("a1")
        self.assertEqual(now["transitions"], a1["transitions"] + 1)
        view = self.counters()
        syncs = dict(view["syncs"])
        self.assertGreater(syncs["reload"], 0)
        self.assertGreater(syncs["event"], 0)
        self.do("maglev sync frontend web")
        self.assertEqual(dict(self.counters()["syncs"])["operator"], syncs["operator"] + 1)
        calls = view["lb_calls"]
        self.assertTrue(0 < calls["latency"]["p50_us"] <= calls["latency"]["p99_us"], calls)
        self.assertTrue(0 < calls["mean_us"] <= calls["max_us"], calls)
        text = self.vppctl("show maglev counters")
        self.assertTrue(all(len(line) <= 80 for line in text.splitlines()), text)
        self.assertRegex(text, r"(?m)^web +\d+ +\d+ +\d+ +\d+")


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
