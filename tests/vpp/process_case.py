"""One VPP with the plugin and no network for all tests of a class: asked over vppctl, and seen to live after each test."""

import json
import os
import tempfile
import unittest

from cli_session import CliSession
from maglev_case import require_plugin, wait_until, write_yaml
from vpp_process import VppProcess


class ProcessCase(unittest.TestCase):
    """A class calls `configure` and then `start` in its `setUpClass`."""

    @classmethod
    def configure(cls, name, config):
        """Writes the configuration to `config_path`, in VPP's runtime directory."""
        require_plugin()
        cls.name = name
        cls.folder = tempfile.mkdtemp(prefix="maglev-%s-" % name)
        cls.config_path = os.path.join(cls.folder, "maglev.yaml")
        write_yaml(cls.config_path, config)

    @classmethod
    def start(cls, timeout, **more):
        """Starts VPP; returns when the configuration runs."""
        stanza = "maglev { config %s state-file %s }" % (cls.config_path, os.path.join(cls.folder, "state.json"))
        cls.process = VppProcess(cls.name, stanzas=[stanza], rundir=cls.folder, **more)
        cls.addClassCleanup(cls.process.remove)
        cls.process.start()
        wait_until(lambda: cls.status()["state"] == "running", "no configuration", timeout=timeout)

    def tearDown(self):
        self.process.check_alive(grace=0.5)

    @classmethod
    def status(cls):
        return json.loads(cls.process.cli("maglev show status json", 120))

    def session(self):
        """A session of the CLI that ends with the test."""
        session = CliSession(self.process)
        self.addCleanup(session.close)
        return session
