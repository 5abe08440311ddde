"""Drain and mute in the state file: a VPP that is killed and started again has them still."""

import json
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from backends import AGENT_PORT, Agent
from maglev_case import WEB, base_config, checked, frontend, pool, wait_until
from restart_case import RestartCase

A1, A2, A3 = ("10.77.0.%d" % n for n in range(1, 4))


class TestMaglevStatesKept(RestartCase):
    """The operator's newer words over a restart"""

    servers = {"a1": 1, "a2": 2, "a3": 3}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.agent = Agent(cls.network, A2)
        cls.agent.start("drain")

    def setUp(self):
        super().setUp()
        backends = checked(self.network)
        backends["a2"]["agent"] = {"port": AGENT_PORT, "interval": "150ms"}
        self.make(
            base_config(
                self.network,
                backends=backends,
                frontends={"web": frontend(WEB, pool("only", a1=None, a2=50, a3=20))},
            )
        )

    def say(self, name, verb, number, word, kept):
        """A verb over the binary API, and until the word is kept, or not any more: the API does not wait for the disk."""
        with self.connection() as vapi:
            reply = vapi.papi.maglev_set_backend(backend=name, verb=number)
        self.assertEqual(reply.retval, 0, (verb, reply.text))
        wait_until(lambda: (word in self.kept_words(name)) == kept, "%s: not saved" % verb)

    def kept_words(self, name):
        """The words on a backend, as the state file has them."""
        with open(self.state_path, encoding="utf-8") as f:
            backends = json.load(f)["state"]["backends"]
        return next(b.get("words", {}) for b in backends if b["name"] == name)

    def wait(self, shown, weights):
        """Until the backends are shown so, and `lb` has these weights."""
        wait_until(
            lambda: {b["name"]: b["display"] for b in self.show("backends")} == shown
            and self.weights() == weights,
            lambda: "wanted %s %s, have %s\n%s"
            % (shown, weights, self.weights(), self.process.cli("maglev show backends")),
            timeout=30,
        )

    def test_drain_and_mute_are_kept(self):
        """Killed without warning: drained stays drained, muted stays muted, and both can be taken back"""
        self.process.start()
        self.wait({"a1": "up", "a2": "drain by agent", "a3": "up"}, {A1: 100, A2: 0, A3: 20})
        self.say("a1", "drain", 4, "drain", True)
        self.say("a2", "agent mute", 9, "muted", True)
        words = {"a1": "drain", "a2": "up", "a3": "up"}, {A1: 0, A2: 50, A3: 20}
        self.wait(*words)
        self.process.kill()
        asked = self.agent.count()
        self.process.start()
        self.wait(*words)
        self.assertEqual(self.agent.count(), asked, "a muted agent is not asked")
        self.say("a1", "ready", 5, "drain", False)
        self.wait({"a1": "up", "a2": "up", "a3": "up"}, {A1: 100, A2: 50, A3: 20})
        self.say("a2", "agent unmute", 10, "muted", False)
        self.wait({"a1": "up", "a2": "drain by agent", "a3": "up"}, {A1: 100, A2: 0, A3: 20})


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
