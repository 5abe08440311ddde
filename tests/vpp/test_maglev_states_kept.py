"""Drain and mute in the state file: a VPP that is killed and started again has them still."""

import json
import unittest

try:
    from asfframework import CPUInterface, VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import CPUInterface, VppTestRunner

from backends import AGENT_PORT, Agent, Network, sweep
from gre_flows import FlowMixin
from maglev_case import WEB, base_config, frontend, pool, skip_reason, wait_until, yaml
from maglev_harness import Vapi
from vpp_process import VppProcess

A1, A2, A3 = ("10.77.0.%d" % n for n in range(1, 4))


class FlowReader(FlowMixin):
    """lb's weights over an API connection."""

    def __init__(self, vapi):
        self.vapi = vapi


class TestMaglevStatesKept(CPUInterface, unittest.TestCase):
    """The operator's newer words over a restart"""

    vpp_worker_count = 0

    @classmethod
    def setUpClass(cls):
        reason = skip_reason()
        if reason:
            raise unittest.SkipTest(reason)
        super().setUpClass()
        sweep()
        cls.network = Network()
        cls.addClassCleanup(cls.network.remove)
        cls.network.create()
        for n, name in enumerate(("a1", "a2", "a3")):
            cls.network.add(name, n + 1)
        cls.agent = Agent(cls.network, A2)
        cls.agent.start("drain")

    def setUp(self):
        super().setUp()
        self.process = VppProcess(self.id().rpartition(".")[2])
        self.addCleanup(self.process.remove)
        config = base_config(
            self.network,
            backends={
                "a1": {"address": A1, "healthcheck": "web"},
                "a2": {"address": A2, "healthcheck": "web", "agent": {"port": AGENT_PORT, "interval": "150ms"}},
                "a3": {"address": A3, "healthcheck": "web"},
            },
            frontends={"web": frontend(WEB, pool("only", a1=None, a2=50, a3=20))},
        )
        path = self.process.path("maglev.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(yaml({"maglev": config}) + "\n")
        state = self.process.path("state.json")
        self.process.stanzas.append("maglev { config %s state-file %s }" % (path, state))

    def tearDown(self):
        if self.process.proc is not None and self.process.alive():
            self.assertEqual(self.process.stop(), 0, self.process.console())
        super().tearDown()

    def say(self, name, verb, number):
        """A verb over the binary API; on the disk when it answers."""
        vapi = Vapi(self.process)
        try:
            reply = vapi.papi.maglev_set_backend(backend=name, verb=number)
        finally:
            vapi.disconnect()
        self.assertEqual(reply.retval, 0, (verb, reply.text))
        self.assertNotIn("not saved", reply.text)

    def weights(self):
        vapi = Vapi(self.process)
        try:
            return FlowReader(vapi).lb_weights(*WEB)
        finally:
            vapi.disconnect()

    def wait(self, shown, weights):
        """Until the backends are shown so, and `lb` has these weights."""
        wait_until(
            lambda: {b["name"]: b["display"] for b in json.loads(self.process.cli("maglev show backends json"))}
            == shown
            and self.weights() == weights,
            lambda: "wanted %s %s, have %s\n%s"
            % (shown, weights, self.weights(), self.process.cli("maglev show backends")),
            timeout=30,
        )

    def test_drain_and_mute_are_kept(self):
        """Killed without warning: drained stays drained, muted stays muted, and both can be taken back"""
        self.process.start()
        self.wait({"a1": "up", "a2": "drain by agent", "a3": "up"}, {A1: 100, A2: 0, A3: 20})
        self.say("a1", "drain", 4)
        self.say("a2", "agent mute", 9)
        words = {"a1": "drain", "a2": "up", "a3": "up"}, {A1: 0, A2: 50, A3: 20}
        self.wait(*words)
        self.process.kill()
        asked = self.agent.asked()
        self.process.start()
        self.wait(*words)
        self.assertEqual(self.agent.asked(), asked, "a muted agent is not asked")
        self.say("a1", "ready", 5)
        self.wait({"a1": "up", "a2": "up", "a3": "up"}, {A1: 100, A2: 50, A3: 20})
        self.say("a2", "agent unmute", 10)
        self.wait({"a1": "up", "a2": "drain by agent", "a3": "up"}, {A1: 100, A2: 0, A3: 20})


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
