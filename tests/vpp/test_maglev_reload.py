"""Reloading the configuration under traffic."""

import copy
import os
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from gre_flows import clients
from maglev_case import WEB, MaglevTestCase, base_config, check, checked, frontend, pool

ALSO = ("192.0.2.11", 80)
A1, A2, A3 = "10.77.0.1", "10.77.0.2", "10.77.0.3"


class TestMaglevReload(MaglevTestCase):
    """config check and config reload"""

    servers = {"a1": 1, "a2": 2, "a3": 3}

    @classmethod
    def make_config(cls, network):
        config = base_config(
            network,
            backends=checked(network, "a1", "a2"),
            frontends={"web": frontend(WEB, pool("only", a1=None, a2=50))},
        )
        config["vpp"]["lb"]["startup-max-delay"] = "5s"
        return config

    def setUp(self):
        super().setUp()
        self.config = copy.deepcopy(self.make_config(self.network))
        self.write_config(self.config)
        self.do("maglev config reload")
        self.reset()
        self.wait_weights(WEB, {A1: 100, A2: 50})
        self.assertEqual([f["name"] for f in self.show("frontends")], ["web"])

    def reload(self):
        self.write_config(self.config)
        return self.do("maglev config reload")

    def everything(self):
        """What a failed reload must leave alone; progress within a state moves by itself."""
        frontends = self.show("frontends")
        for frontend in frontends:
            for pool in frontend["pools"]:
                for backend in pool["backends"]:
                    backend["state"] = backend["state"].split()[0]
        return (frontends, self.lb_servers(), self.do("maglev show config"))

    def refuse(self, text):
        """A reload of `text` fails and changes nothing; its answer."""
        before = self.everything()
        since = {b["name"]: b["since_ms"] for b in self.show("backends")}
        self.write_config(text)
        answer = self.error("maglev config reload")
        self.assertEqual(self.everything(), before)
        self.assertEqual({b["name"]: b["since_ms"] for b in self.show("backends")}, since)
        self.assertTrue(self.show("status")["config_errors"])
        return answer

    def test_a_bad_file_changes_nothing(self):
        """A file with errors is refused with line and column, all at once, and changes nothing"""
        self.config["backends"]["a1"]["adress"] = "10.77.0.9"
        self.config["frontends"]["web"]["pools"][0]["backends"]["nobody"] = {}
        self.config["healthchecks"]["web"]["rise"] = 0
        self.write_config(self.config)
        with open(self.config_path, encoding="utf-8") as f:
            text = f.read()
        answer = self.refuse(text)
        for word in ("adress", "address", "nobody", "rise"):
            self.assertIn(word, answer)
        line = 1 + next(i for i, text_line in enumerate(text.splitlines()) if "adress" in text_line)
        self.assertIn(":%d:" % line, answer)

    def test_files_that_are_no_configuration(self):
        """Not YAML, empty, a list, absurdly nested: refused, and VPP lives"""
        for text in (
            "maglev: [",
            "",
            "- a\n- b\n",
            "\tmaglev:\n",
            "maglev: 7\n",
            "maglev:\n  backends: &a\n    x: *a\n",
            "a: " + "[" * 20000 + "\n",
            "maglev:\n  frontends: {w: {address: 192.0.2.1, address: 192.0.2.2}}\n",
            "maglev:\n  backends:\n    'bad name': {address: 10.0.0.1}\n",
            "\ufeffmaglev: \x00\n",
        ):
            with self.subTest(text=text[:40]):
                self.refuse(text)

    def test_a_missing_file_changes_nothing(self):
        """A configuration file that has gone is an error that names it"""
        os.unlink(self.config_path)
        self.assertIn("maglev.yaml", self.error("maglev config reload"))
        self.assertEqual(self.lb_weights(*WEB), {A1: 100, A2: 50})

    def test_config_check(self):
        """config check tells what is wrong, and applies nothing"""
        self.do("maglev config check")
        self.config["frontends"]["also"] = frontend(ALSO, pool("only", a1=None))
        self.write_config(self.config)
        self.do("maglev config check")
        self.assertIsNone(self.lb_weights(*ALSO))
        self.config["healthchecks"]["web"]["interval"] = "soon"
        self.write_config(self.config)
        self.assertIn("interval", self.error("maglev config check"))
        self.error("maglev config check /does/not/exist.yaml")
        self.do("maglev config check " + self.good_file())
        self.assertEqual(self.show("status")["state"], "running")

    def good_file(self):
        path = self.config_path + ".good"
        good = self.config_path
        try:
            type(self).config_path = path
            self.write_config(self.make_config(self.network))
        finally:
            type(self).config_path = good
        return path

    def test_a_circle_of_tracks_changes_nothing(self):
        """Backends that track each other are refused, and the circle is shown"""
        one, two = list(self.config["backends"])[:2]
        for name, other in ((one, two), (two, one)):
            del self.config["backends"][name]["healthcheck"]
            self.config["backends"][name]["track"] = other
        self.write_config(self.config)
        self.assertIn(f"`track` runs in a circle: {one} → {two} → {one}", self.error("maglev config reload"))
        self.assertEqual(self.lb_weights(*WEB), {A1: 100, A2: 50})

    def test_a_forwarding_loop_is_refused_and_traffic_goes_on(self):
        """A backend that is a VIP or the source of GRE is refused with its place; VPP lives and forwards as before"""
        before = self.send_flows(clients(50), *WEB)
        also = "192.0.2.12"
        dsr = {"encap": "l3dsr", "dscp": 1}
        nat = {"encap": "nat4", "protocol": "udp", "port": 53, "target-port": 53}

        def itself(encap):
            backends = {"loop": {"address": also}}
            return backends, {"also": dict(frontend((also, 53), pool("only", loop=None)), **encap)}

        # An all-port VIP of GRE that points at itself, and two of L3DSR that point at each other, ended VPP.
        allport = {"address": also, "pools": [pool("only", loop=None)]}
        other = "192.0.2.13"
        rows = [
            (*itself({}), "is that of frontend `also`"),
            (*itself(dsr), "is that of frontend `also`"),
            (*itself(nat), "is that of frontend `also`"),
            ({"loop": {"address": also}}, {"also": allport}, "is that of frontend `also`"),
            (
                {"loop": {"address": also}, "back": {"address": other}},
                {
                    "also": dict(frontend((also, 80), pool("only", back=None)), **dsr),
                    "other": dict(frontend((other, 80), pool("only", loop=None)), **dsr),
                },
                "is that of frontend `other`",
            ),
            ({"loop": {"address": WEB[0]}}, {"also": frontend((also, 80), pool("only", loop=None))}, "of frontend `web`"),
            (
                {"loop": {"address": self.gre_source4}},
                {"also": frontend((also, 80), pool("only", loop=None))},
                "`vpp.lb.ipv4-src-address`",
            ),
            (
                {"loop": {"address": "::ffff:" + also}, "six": {"address": "2001:db8:77::1"}},
                {
                    "also": frontend((also, 80), pool("only", six=None)),
                    "other": frontend((other, 80), pool("only", loop=None)),
                },
                "is that of frontend `also`",
            ),
            ({"a9": {"address": A3}}, {"also": frontend((self.gre_source4, 80), pool("only", a9=None))}, "must not be a VIP"),
        ]
        for backends, frontends, words in rows:
            with self.subTest(backends=backends, frontends=frontends):
                config = copy.deepcopy(self.config)
                config["backends"].update(backends)
                config["frontends"].update(frontends)
                self.write_config(config)
                with open(self.config_path, encoding="utf-8") as f:
                    answer = self.refuse(f.read())
                self.assertIn(words, answer)
                self.assertRegex(answer, r"maglev\.yaml:\d+:\d+: ")
                # What would have been the end of VPP.
                for vip in (also, other):
                    self.assertIsNone(self.lb_weights(vip, 80))
                self.assertEqual(self.send_flows(clients(50), *WEB), before)

    def test_a_weight_change_keeps_flows_and_health(self):
        """A new weight in the file is programmed; health and flows are not touched"""
        before = self.send_flows(clients(100), *WEB)
        since = {b["name"]: (b["since_ms"], b["state"]) for b in self.show("backends")}
        self.config["frontends"]["web"]["pools"][0]["backends"]["a1"] = {"weight": 20}
        self.reload()
        self.wait_weights(WEB, {A1: 20, A2: 50})
        self.assertEqual(self.send_flows(clients(100), *WEB), before)
        self.assertEqual({b["name"]: (b["since_ms"], b["state"]) for b in self.show("backends")}, since)

    def test_a_new_frontend(self):
        """A frontend that is new is programmed when its backends are known"""
        self.config["frontends"]["also"] = frontend(ALSO, pool("only", a1=None, a3=30))
        self.config["backends"]["a3"] = {"address": A3, "healthcheck": "web"}
        self.reload()
        self.wait_weights(ALSO, {A1: 100, A3: 30})
        self.assertEqual(set(self.send_flows(clients(100), *ALSO).values()), {A1, A3})

    def test_a_frontend_that_is_gone(self):
        """A frontend that leaves the file leaves lb; the others are not touched"""
        self.config["frontends"]["also"] = frontend(ALSO, pool("only", a1=None))
        self.reload()
        self.wait_weights(ALSO, {A1: 100})
        before = self.send_flows(clients(100), *WEB)
        del self.config["frontends"]["also"]
        self.reload()
        self.wait_weights(ALSO, None)
        self.assertEqual(self.send_flows(clients(100), *WEB), before)
        self.error("maglev show frontend also")

    def test_a_backend_is_replaced(self):
        """A backend that is replaced leaves lb when the new one is known; its flows move"""
        self.send_flows(clients(100), *WEB)
        self.config["backends"] = {
            "a2": {"address": A2, "healthcheck": "web"},
            "a3": {"address": A3, "healthcheck": "web"},
        }
        self.config["frontends"]["web"] = frontend(WEB, pool("only", a2=50, a3=None))
        self.reload()
        self.wait_weights(WEB, {A2: 50, A3: 100})
        self.assertEqual(set(self.send_flows(clients(100), *WEB).values()), {A2, A3})
        self.assertNotIn("a1", [b["name"] for b in self.show("backends") if b["state"] != "removed"])

    def test_replaced_by_a_dead_one(self):
        """A backend that is replaced by one that does not answer leaves all the same"""
        self.network["a3"].kill()
        self.config["backends"]["a3"] = {"address": A3, "healthcheck": "web"}
        del self.config["backends"]["a1"]
        self.config["frontends"]["web"] = frontend(WEB, pool("only", a2=50, a3=None))
        self.reload()
        self.wait_weights(WEB, {A2: 50, A3: 0})

    def test_a_new_encap_recreates_the_vip(self):
        """A change that lb cannot make in place recreates the VIP"""
        self.config["frontends"]["web"]["new-flow-table-length"] = 4096
        self.reload()
        self.wait_weights(WEB, {A1: 100, A2: 50})
        self.assertEqual(sum(b for _, b in self.lb_servers(*WEB).values()), 4096)
        self.assertEqual(set(self.send_flows(clients(100), *WEB).values()), {A1, A2})

    def test_an_edited_healthcheck_keeps_up_backends_up(self):
        """A healthcheck that is edited keeps its backends' state, and is used from then on"""
        self.config["healthchecks"]["web"] = check("http", params={"response-code": "503"}, fall=1)
        self.reload()
        self.wait_weights(WEB, {A1: 0, A2: 0})
        self.network["a1"].behave("status 503")
        self.wait_weights(WEB, {A1: 100, A2: 0})

    def test_a_disabled_backend_stays_disabled(self):
        """An operator's disable survives a reload that does not change the backend"""
        self.do("maglev set backend a1 disable")
        self.wait_weights(WEB, {A1: 0, A2: 50})
        self.config["frontends"]["web"]["description"] = "other words"
        self.reload()
        self.steady_weights(WEB, {A1: 0, A2: 50})
        self.assertEqual(self.state("a1"), "disabled")

    def test_reload_many_times(self):
        """Twenty reloads in a row, good and bad ones, end where the last good one says"""
        for n in range(20):
            self.config["frontends"]["web"]["pools"][0]["backends"]["a1"] = {"weight": n + 1}
            if n % 3 == 2:
                self.write_config("maglev: {backends: 3}\n")
                self.error("maglev config reload")
            else:
                self.reload()
        self.wait_weights(WEB, {A1: 20, A2: 50})


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
