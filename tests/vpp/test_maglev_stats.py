"""The stats segment: tables of names and counter vectors below /maglev."""

import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from maglev_case import PairTestCase, wait_until
from vpp_papi.vpp_stats import VPPStats

UP, DOWN, DISABLED = 1, 2, 4


class TestMaglevStats(PairTestCase):
    """The stats segment"""

    def setUp(self):
        super().setUp()
        self.reset()
        self.stats = VPPStats(socketname=self.get_stats_sock_path())
        self.addCleanup(self.stats.disconnect)

    def table(self, name, *metrics):
        """{row: (numbers)} of a table, names that are not in use left out."""
        names = [str(n) for n in self.stats["/maglev/%s/names" % name]]
        columns = [self.stats["/maglev/%s/%s" % (name, m)][0] for m in metrics]
        return {n: tuple(int(c[i]) for c in columns) for i, n in enumerate(names) if n not in ("", "None")}

    def wait_table(self, want, name, *metrics):
        wait_until(
            lambda: self.table(name, *metrics) == want,
            lambda: "%s is %s" % (name, self.table(name, *metrics)),
            timeout=10,
        )

    def test_what_is_published(self):
        """Backends, frontends, members and the engine, a second later at most"""
        self.wait_table({"a1": (UP,), "a2": (UP,)}, "backends", "state")
        self.wait_table({"web": (UP, 2, 2)}, "frontends", "state", "serving", "total")
        self.wait_table(
            {"web/primary/a1": (100, 100), "web/primary/a2": (50, 50)}, "members", "weight", "effective"
        )
        probes, late = self.table("engine", "probes", "late")["engine"]
        self.assertGreater(probes, 0)
        self.assertEqual(late, self.show("status")["prober"]["late"])
        passes, latency = self.table("backends", "pass", "latency-us")["a1"]
        self.assertGreater(passes, 0)
        self.assertGreater(latency, 0)

    def test_a_kill_and_a_word(self):
        """A backend that dies and one that is disabled are seen"""
        self.network["a1"].kill()
        self.do("maglev set backend a2 disable")
        self.wait_table({"a1": (DOWN,), "a2": (DISABLED,)}, "backends", "state")
        self.wait_table({"web": (DOWN, 0, 2)}, "frontends", "state", "serving", "total")
        self.assertGreater(self.table("backends", "fail")["a1"][0], 0)

    def test_a_reload_moves_the_rows(self):
        """Rows go with the configuration: what is gone has no name and no number"""
        config = self.make_config(self.network)
        del config["backends"]["a1"]
        del config["frontends"]["web"]["pools"][0]["backends"]["a1"]
        self.addCleanup(self.do, "maglev config reload")
        self.addCleanup(self.write_config, self.make_config(self.network))
        self.wait_table({"a1": (UP,), "a2": (UP,)}, "backends", "state")
        self.write_config(config)
        self.do("maglev config reload")
        self.wait_table({"a2": (UP,)}, "backends", "state")
        self.assertEqual([int(n) for n in self.stats["/maglev/backends/state"][0]], [UP])
        self.wait_table({"web/primary/a2": (50,)}, "members", "weight")

    def test_thousands_of_rows(self):
        """Names that take several turns each have their own number, and go again"""
        config = self.make_config(self.network)
        many = {"x%d" % i: {"address": "10.88.%d.%d" % (i // 250, i % 250 + 1)} for i in range(2500)}
        config["backends"].update(many)
        for i in range(2500):
            if i % 3 == 0:
                many["x%d" % i]["enabled"] = False
        want = {"a1": (UP,), "a2": (UP,)}
        self.addCleanup(self.do, "maglev config reload force")
        self.addCleanup(self.write_config, self.make_config(self.network))
        self.write_config(config)
        self.do("maglev config reload")
        self.wait_table(
            {**want, **{n: (UP if b.get("enabled", True) else DISABLED,) for n, b in many.items()}}, "backends", "state"
        )
        self.write_config(self.make_config(self.network))
        self.do("maglev config reload force")
        self.wait_table(want, "backends", "state")
        self.assertEqual(sum(int(n) for n in self.stats["/maglev/backends/state"][0]), 2 * UP)


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
