"""Operator verbs and what they do to lb."""

import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from gre_flows import clients
from maglev_case import WEB, MaglevTestCase, base_config, checked, frontend, pool, wait_until

A1, A2, B1 = "10.77.0.1", "10.77.0.2", "10.77.0.11"
ALL = {A1: 100, A2: 50, B1: 0}


class TestMaglevOperator(MaglevTestCase):
    """Disable, enable, pause, resume, weight, probe, sync, flush"""

    servers = {"a1": 1, "a2": 2, "b1": 11}

    @classmethod
    def make_config(cls, network):
        backends = checked(network)
        return base_config(
            network,
            backends=backends,
            frontends={"web": frontend(WEB, pool("primary", a1=None, a2=50), pool("backup", b1=80))},
        )

    def setUp(self):
        super().setUp()
        self.reset()

    def weight(self, words):
        return "maglev set frontend web pool primary backend " + words

    def test_disable_and_enable(self):
        """disable: weight 0, flows moved, no probes; enable: probed and back"""
        before = self.send_flows(clients(200), *WEB)
        self.assertEqual(set(before.values()), {A1, A2})
        self.do("maglev set backend a1 disable")
        self.wait_weights(WEB, {A1: 0, A2: 50, B1: 0})
        self.assertEqual(self.state("a1"), "disabled")
        self.assertEqual(set(self.send_flows(clients(200), *WEB).values()), {A2})
        asked = self.network["a1"].count()
        self.sleep(1.0)
        self.assertLessEqual(self.network["a1"].count(), asked + 1, "probing has stopped")
        view = self.backend("a1")
        self.assertEqual(view["transitions"][0]["code"], "disabled")
        self.assertEqual(view["waits_for"], "operator enable")
        self.assertTrue(self.members("web")["a1"]["disabled"])
        self.do("maglev set backend a1 enable")
        self.wait_weights(WEB, ALL)
        codes = [t["code"] for t in self.backend("a1")["transitions"]]
        self.assertEqual(codes[1:3], ["enabled", "disabled"], "history is kept")

    def test_pause_and_resume(self):
        """pause: weight 0, flows kept, no probes; resume: probed and back"""
        before = self.send_flows(clients(200), *WEB)
        self.do("maglev set backend a1 pause")
        self.wait_weights(WEB, {A1: 0, A2: 50, B1: 0})
        self.assertEqual(self.state("a1"), "paused")
        self.assertEqual(self.send_flows(clients(200), *WEB), before)
        self.assertEqual(set(self.send_flows(clients(50, first=900), *WEB).values()), {A2})
        self.network["a1"].kill()
        self.sleep(1.0)
        self.assertEqual(self.state("a1"), "paused", "a paused backend is not probed")
        self.network["a1"].start()
        self.do("maglev set backend a1 resume")
        self.wait_weights(WEB, ALL)

    def test_verbs_that_change_nothing_succeed(self):
        """A verb that changes nothing says so and succeeds"""
        for verb in ("pause", "pause"):
            self.do("maglev set backend a1 " + verb)
        self.assertEqual(self.state("a1"), "paused")
        length = len(self.backend("a1")["transitions"])
        self.assertIn("already", self.do("maglev set backend a1 pause"))
        self.assertEqual(len(self.backend("a1")["transitions"]), length)
        self.do("maglev set backend a1 resume")
        self.assertIn("already", self.do("maglev set backend a2 enable"))

    def test_pause_of_a_disabled_backend_is_refused(self):
        """pause and resume of a disabled backend are errors that say so"""
        self.do("maglev set backend a1 disable")
        for verb in ("pause", "resume"):
            self.assertIn("disabled", self.error("maglev set backend a1 " + verb))
        self.assertEqual(self.state("a1"), "disabled")

    def test_both_pools_by_verbs(self):
        """Disabling the whole first pool fails over, enabling one of it fails back"""
        self.do("maglev set backend a1 disable")
        self.do("maglev set backend a2 disable")
        self.wait_weights(WEB, {A1: 0, A2: 0, B1: 80})
        self.assertEqual(set(self.send_flows(clients(60), *WEB).values()), {B1})
        self.do("maglev set backend a2 enable")
        self.wait_weights(WEB, {A1: 0, A2: 50, B1: 0})

    def test_weight(self):
        """A weight is overridden at runtime, and given back by default"""
        self.do(self.weight("a1 weight 10"))
        self.wait_weights(WEB, {A1: 10, A2: 50, B1: 0})
        member = self.members("web")["a1"]
        self.assertEqual((member["weight"], member["effective"], member["overridden"]), (10, 10, True))
        spread = self.spread(self.send_flows(clients(300), *WEB))
        self.assertGreater(spread[A2], 3 * spread[A1], spread)
        self.do(self.weight("a1 weight default"))
        self.wait_weights(WEB, ALL)
        self.assertFalse(self.members("web")["a1"]["overridden"])

    def test_weight_0_and_flush(self):
        """Weight 0 keeps flows; `flush` moves them"""
        before = self.send_flows(clients(200), *WEB)
        self.do(self.weight("a1 weight 0"))
        self.wait_weights(WEB, {A1: 0, A2: 50, B1: 0})
        self.assertEqual(self.send_flows(clients(200), *WEB), before)
        self.do(self.weight("a1 weight 0 flush"))
        wait_until(
            lambda: set(self.send_flows(clients(200), *WEB).values()) == {A2},
            "flows of a1 did not move",
            timeout=5,
        )

    def test_weight_of_all_0_fails_over(self):
        """A pool whose weights are all 0 has no eligible backend: the next pool serves"""
        self.do(self.weight("a1 weight 0"))
        self.do(self.weight("a2 weight 0"))
        self.wait_weights(WEB, {A1: 0, A2: 0, B1: 80})

    def test_weights_out_of_range(self):
        """Weights are 0 to 100 or `default`; anything else is an error and changes nothing"""
        for word in ("101", "256", "-1", "1.5", "ten", "99999999999999999999", "0x10"):
            with self.subTest(weight=word):
                self.error(self.weight("a1 weight " + word))
        self.error(self.weight("a1 weight"))
        self.assertEqual(self.lb_weights(*WEB), ALL)

    def test_probe(self):
        """`probe backend` probes now and tells the result"""
        self.assertIn("L7OK", self.do("maglev probe backend a1"))
        self.network["a1"].behave("status 500")
        answer = self.do("maglev probe backend a1")
        self.assertIn("L7STS", answer)
        self.assertIn("HTTP 500", answer)

    def test_probe_of_an_unprobed_backend(self):
        """`probe backend` of a disabled backend shows what would come, and changes nothing"""
        self.do("maglev set backend a1 disable")
        self.assertIn("L7OK", self.do("maglev probe backend a1"))
        self.assertEqual(self.show("backends a1")["state"], "disabled")
        self.assertEqual(self.lb_weights(*WEB)[A1], 0)

    def test_sync(self):
        """`sync` says what it wrote: nothing, when nothing has to be"""
        calls = self.show("status")["lb"]["syncs"]
        self.do("maglev sync")
        self.do("maglev sync frontend web")
        self.assertGreater(self.show("status")["lb"]["syncs"], calls)
        self.assertEqual(self.lb_weights(*WEB), ALL)

    def test_flush_frontend(self):
        """`flush frontend` makes kept flows move"""
        before = self.send_flows(clients(200), *WEB)
        self.do("maglev set backend a1 pause")
        self.wait_weights(WEB, {A1: 0, A2: 50, B1: 0})
        self.assertEqual(self.send_flows(clients(200), *WEB), before)
        self.do("maglev flush frontend web")
        self.assertEqual(set(self.send_flows(clients(200), *WEB).values()), {A2})

    def test_a_quiet_system_writes_nothing(self):
        """No lb call is counted while nothing happens"""
        self.sleep(0.5)
        before = self.show("status")["lb"]
        self.sleep(2.0)
        after = self.show("status")["lb"]
        if after["syncs"] == before["syncs"]:
            self.assertEqual(after["calls"], before["calls"])
        self.assertEqual(after["failures"], 0)


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
