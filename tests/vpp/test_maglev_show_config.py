"""What `maglev show config` prints is a configuration, and the same one."""

import json
import os
import subprocess
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from maglev_case import WEB, MaglevTestCase, base_config, check, checked, find_tool, frontend, pool

V6 = ("2001:db8::10", 80)
A1, A2 = "10.77.0.1", "10.77.0.2"


class TestMaglevShowConfig(MaglevTestCase):
    """maglev show config"""

    with_ports = False
    servers = {"a1": 1, "a2": 2}

    @classmethod
    def make_backends(cls, network):
        super().make_backends(network)
        network.add("six", 6, v6=True)

    @classmethod
    def make_config(cls, network):
        config = base_config(
            network,
            backends=checked(network),
            frontends={
                "web": frontend(
                    WEB, pool("first", a1=None), pool("second", a2=7), description='a "quoted": # text', flush_on_down=False
                ),
                "six": frontend(
                    V6,
                    pool("only", six=3),
                    src_ip_sticky=True,
                    new_flow_table_length=512,
                    slow_start="90s",
                    panic={},
                ),
            },
        )
        config["backends"]["fixed"] = {"address": "10.77.0.9"}
        config["backends"]["off"] = {
            "address": "10.77.0.8",
            "healthcheck": "tcp",
            "enabled": False,
            "agent": {"port": 9777, "send": "off\r\n"},
        }
        config["backends"]["heavy"] = {"address": "10.77.0.7", "agent-track": "off"}
        config["backends"]["twin"] = {"address": "2001:db8::7", "track": "fixed"}
        config["healthchecks"]["rich"] = check(
            params={
                "path": "/a?b=%20c",
                "host": "web.example",
                "headers": {"X-One": "1: two", "X-Two": "'"},
                "response-code": "200-204,301",
                "response-regexp": "^(ok|'fine')\\s",
                "disable-on-404": True,
            },
            counter="haproxy",
            jitter="12.5%",
        )
        return config

    def test_it_loads_again_and_is_the_same(self):
        """What it prints passes `maglev check`, and a reload with it changes nothing"""
        self.network.heal()
        wanted = {"web": {A1: 100, A2: 0}, "six": {self.network["six"].address: 3}}
        self.wait_weights(WEB, wanted["web"])
        self.wait_weights(V6, wanted["six"])
        # It shows in no weight of a standby, nor of who is alone and down, by panic: they may still be coming up.
        for name in ("a1", "a2", "six"):
            self.wait_state(name, "up")
        printed = self.do("maglev show config")
        # Every default is filled in.
        for word in ("sync-interval", "startup-max-delay", "jitter", "src-ip-sticky", "new-flow-table-length", "enabled"):
            self.assertIn(word, printed)
        self.assertIn("threshold: 50", printed)
        self.assertIn("mode: fail-open", printed)
        as_json = json.loads(self.vapi.cli("maglev show config json"))
        backends = {b["name"]: (b["since_ms"], b["transitions"]) for b in self.show("backends")}
        frontends = self.show("frontends")

        self.write_config(printed)
        tool = find_tool()
        if tool:
            done = subprocess.run([tool, "check", self.config_path], capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.do("maglev config check")
        self.vapi.cli("clear logging")
        answer = self.do("maglev config reload")
        self.assertIn(
            "backends: 0 added, 0 removed, 0 changed; frontends: 0 added, 0 removed, 0 changed", answer
        )
        self.do("maglev sync")
        self.assertEqual(self.do("maglev show config"), printed)
        self.assertEqual(json.loads(self.vapi.cli("maglev show config json")), as_json)
        after = {b["name"]: (b["since_ms"], b["transitions"]) for b in self.show("backends")}
        self.assertEqual(after, backends)
        self.assertEqual(
            [(f["name"], f["state"], f["pool"], f["serving"]) for f in self.show("frontends")],
            [(f["name"], f["state"], f["pool"], f["serving"]) for f in frontends],
        )
        log = [line for line in self.vapi.cli("show logging").splitlines() if "lb-sync" in line]
        self.assertEqual(log, [], "nothing was written to lb")
        os.unlink(self.config_path)


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
