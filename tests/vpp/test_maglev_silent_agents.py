"""Hundreds of agents that accept and never answer: no check waits for one."""

import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from maglev_case import wait_until
from restart_case import RestartCase

AGENTS = 600
CONFIG = """maglev:
  healthchecker: {{ max-in-flight: 32, max-agents-in-flight: 32 }}
  vpp:
    lb: {{ ipv4-src-address: 192.0.2.254, startup-max-delay: 1s }}
  healthchecks:
    tcp: {{ type: tcp, port: {server}, interval: 200ms, timeout: 200ms, rise: 1, fall: 2 }}
  backends:
    checked: {{ address: 127.0.0.1, healthcheck: tcp }}
{agents}
  frontends:
    web: {{ address: 192.0.2.1, protocol: tcp, port: 80, pools: [{{ name: p, backends: {{ checked: {{}} }} }}] }}
"""
AGENT = "    a{n}: {{ address: 127.1.{high}.{low}, agent: {{ address: 127.0.0.1, port: {port}, interval: 1s, timeout: 1s }} }}"
# Twice the interval and its jitter, and the timeout, are 0.7 s. With the agents in one queue a check waits for 18 s.
PATIENCE = 6000


class TestMaglevSilentAgents(RestartCase):
    """Agents that never answer"""

    def test_a_dead_backend_is_found_as_ever(self):
        """600 agents, of whom 32 are asked at a time, a second each: who dies meanwhile is down in time"""
        silent, server = self.listener(4096), self.listener(128)
        port = server.getsockname()[1]
        agents = "\n".join(
            AGENT.format(n=n, high=n >> 8, low=n & 255, port=silent.getsockname()[1]) for n in range(AGENTS)
        )
        config = self.make(None).path("maglev.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(server=port, agents=agents))
        self.process.start()

        def busy():
            prober = self.show("status")["prober"]
            return prober["agents_in_flight"] == 32 and prober["agents_waiting"] > 300

        wait_until(busy, lambda: str(self.show("status")["prober"]))
        wait_until(lambda: self.show("backend checked")["state"] == "up", "not up")
        self.assertRegex(self.process.cli("maglev show status"), r"(?m)^agents .*, 32 in flight, [0-9]+ waiting$")
        self.hang_up(server)
        wait_until(lambda: self.show("backend checked")["state"] == "down", "not down")
        view = self.show("status")["prober"]
        self.assertEqual(view["waiting"], 0)
        self.assertLess(view["latest_ms"], PATIENCE, view)


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
