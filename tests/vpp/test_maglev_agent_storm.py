"""Hundreds of agents that say another weight whenever they are asked: nothing that dies or is disabled waits for them."""

import asyncio
import itertools
import threading
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from maglev_case import wait_until
from restart_case import RestartCase

AGENTS = 300
CONFIG = """maglev:
  healthchecker: {{ max-agents-in-flight: 64 }}
  vpp:
    lb: {{ ipv4-src-address: 192.0.2.254, startup-max-delay: 5s }}
  healthchecks:
    tcp: {{ type: tcp, port: {server}, interval: 200ms, timeout: 200ms, rise: 1, fall: 2 }}
  backends:
    victim: {{ address: 127.0.0.1, healthcheck: tcp }}
    other: {{ address: 127.0.0.2 }}
{agents}
  frontends:
    many: {{ address: 192.0.2.1, protocol: tcp, port: 80, new-flow-table-length: 65536, pools: [{{ name: p, backends: {{ victim: {{}}, other: {{}}, {members} }} }}] }}
    few: {{ address: 192.0.2.9, protocol: tcp, port: 80, pools: [{{ name: p, backends: {{ victim: {{}}, other: {{}} }} }}] }}
"""
AGENT = "    a{n}: {{ address: 127.1.{high}.{low}, agent: {{ address: 127.0.0.1, port: {port}, interval: 300ms, timeout: 300ms }} }}"
# Two intervals, their jitter and a timeout are 0.7 s. Without the order of things it takes minutes, if it ends at all.
PATIENCE = 10


class Restless(threading.Thread):
    """Answers each query with the next percentage."""

    def __init__(self):
        super().__init__(daemon=True)
        self.loop = asyncio.new_event_loop()
        self.percent = itertools.cycle(range(10, 100, 7))
        self.said = 0
        self.port = None
        self.listens = threading.Event()

    def answer(self):
        restless = self

        class Query(asyncio.Protocol):
            def connection_made(self, transport):
                restless.said += 1
                transport.write(b"up %d%%\n" % next(restless.percent))
                transport.close()

        return Query()

    def run(self):
        async def serve():
            server = await self.loop.create_server(self.answer, "127.0.0.1", 0, backlog=1024)
            self.port = server.sockets[0].getsockname()[1]
            self.listens.set()

        self.loop.run_until_complete(serve())
        self.loop.run_forever()


class TestMaglevAgentStorm(RestartCase):
    """Agents that never say the same twice"""

    def weight(self, frontend, backend):
        """A server's weight in `lb`; None: it is not there."""
        address = self.show("backends %s" % backend)["address"]
        vip = self.show("lb frontend %s" % frontend)["vips"]
        return next((s["weight"] for v in vip for s in v["servers"] if s["address"] == address), None)

    def test_what_dies_leaves_and_a_verb_is_true(self):
        """300 agents in a frontend of 302: a backend that dies leaves both its frontends, and a verb answers when `lb` has followed"""
        restless = Restless()
        restless.start()
        self.addCleanup(restless.loop.call_soon_threadsafe, restless.loop.stop)
        restless.listens.wait()
        server = self.listener()
        agents = "\n".join(AGENT.format(n=n, high=n >> 8, low=n & 255, port=restless.port) for n in range(AGENTS))
        members = ", ".join("a%d: {}" % n for n in range(AGENTS))
        config = self.make(None).path("maglev.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(server=server.getsockname()[1], agents=agents, members=members))
        self.process.start()
        wait_until(lambda: self.weight("many", "victim") == 100, "not programmed", timeout=60)
        wait_until(lambda: self.weight("few", "victim") == 100, "not programmed", timeout=60)
        said, calls = restless.said, self.show("status")["lb"]["calls"]
        wait_until(lambda: restless.said > said + 3 * AGENTS, "agents are not asked", timeout=60)
        wait_until(lambda: self.show("status")["lb"]["calls"] > calls + 20, "nothing is written", timeout=60)
        self.hang_up(server)
        wait_until(lambda: self.show("backend victim")["state"] == "down", "not down", timeout=60)
        for frontend in ("many", "few"):
            wait_until(
                lambda f=frontend: self.weight(f, "victim") == 0,
                lambda f=frontend: "%s: %s" % (f, self.show("frontend %s" % f)["lacks"]),
                timeout=PATIENCE,
            )
        answer = self.process.cli("maglev set backend other disable", timeout=90)
        self.assertEqual(answer, "backend `other` disabled\n")
        self.assertEqual([self.weight(f, "other") for f in ("many", "few")], [0, 0])


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
