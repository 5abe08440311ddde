"""What the tests have in common that start, break and restart a VPP with the plugin themselves."""

import contextlib
import json
import socket
import unittest

try:
    from asfframework import CPUInterface
except ModuleNotFoundError:
    from maglev_harness import CPUInterface

from gre_flows import FlowMixin
from maglev_case import WEB, make_network, require_plugin, wait_until, write_yaml
from maglev_harness import Vapi
from vpp_process import VppProcess


class FlowReader(FlowMixin):
    """FlowMixin's questions to lb over an API connection of one's own."""

    def __init__(self, vapi):
        self.vapi = vapi


class RestartCase(CPUInterface, unittest.TestCase):
    """A VPP of its own for every test; one network for all."""

    vpp_worker_count = 0
    # {name: number} of the IPv4 servers in the network.
    servers = {}

    @classmethod
    def setUpClass(cls):
        require_plugin()
        super().setUpClass()
        make_network(cls)
        for name, number in cls.servers.items():
            cls.network.add(name, number)

    def setUp(self):
        super().setUp()
        self.network.heal()
        self.process = None

    def tearDown(self):
        # A crash that the test itself has not noticed.
        if self.process is not None:
            self.process.check_no_crash()
            if self.process.alive():
                self.assertEqual(self.process.stop(), 0, self.process.console())
        super().tearDown()

    def make(self, config, stanza=None, **more):
        """A VPP, not started; `config`: text, the value of `maglev:`, or None for no file."""
        process = VppProcess(self.id().rpartition(".")[2], **more)
        self.addCleanup(process.remove)
        self.config_path = process.path("maglev.yaml")
        self.state_path = process.path("state.json")
        if config is not None:
            self.write_config(config)
        if stanza is None:
            stanza = "maglev { config %s state-file %s }" % (self.config_path, self.state_path)
        process.stanzas.append(stanza)
        self.process = process
        return process

    def listener(self, backlog=128):
        """A server that accepts and says nothing, on a port of 127.0.0.1."""
        server = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.addCleanup(server.close)
        return server

    @staticmethod
    def hang_up(server):
        """From now on its port refuses. Shut down first, since a child process may hold the socket open."""
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()

    def write_config(self, config):
        write_yaml(self.config_path, config)

    def show(self, what):
        """`maglev show <what> json`, parsed."""
        return json.loads(self.process.cli("maglev show %s json" % what))

    def do(self, command):
        """A command of the plugin that must succeed; its answer."""
        answer = self.process.cli("maglev " + command)
        self.assertFalse(answer.startswith("error: "), answer)
        return answer

    @contextlib.contextmanager
    def connection(self):
        """An API connection, for as long as it is asked over."""
        vapi = Vapi(self.process)
        try:
            yield vapi
        finally:
            vapi.disconnect()

    def reader(self):
        """Asks lb, over a connection that lasts as long as the test."""
        vapi = Vapi(self.process)
        self.addCleanup(vapi.disconnect)
        return FlowReader(vapi)

    def weights(self):
        """What lb has for the VIP `web`."""
        with self.connection() as vapi:
            return FlowReader(vapi).lb_weights(*WEB)

    def wait_weights(self, wanted):
        """Until lb has these weights for the VIP `web`."""
        with self.connection() as vapi:
            reader = FlowReader(vapi)
            wait_until(
                lambda: reader.lb_weights(*WEB) == wanted,
                lambda: "lb has %s, wanted %s" % (reader.lb_weights(*WEB), wanted),
            )
