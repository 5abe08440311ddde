"""VPP's test framework in small, for an installed VPP.

The test files import their base class from VPP's own framework where they run in it (`make test
EXTERN_TESTS=…`), and from here otherwise. Offered are the names of that framework that the tests use:
VppTestCase with vapi, logger, tempdir, packet-generator interfaces; CPUInterface; VppTestRunner.
"""

import logging
import os
import tempfile
import time
import unittest

from pg_port import PgPort
from vpp_papi import VPPApiClient
from vpp_process import ANSI, CRASH_GRACE, VppError, VppProcess, find_maglev, find_vpp

VppTestRunner = unittest.TextTestRunner
logging.getLogger("vpp_papi").setLevel(logging.CRITICAL)
logging.getLogger("vpp_papi.transport").setLevel(logging.CRITICAL)


class CliFailedCommandError(Exception):
    """A CLI command answered with an error; the text is its answer."""


class UnexpectedApiReturnValueError(Exception):
    """An API message answered with a negative return value, kept as `retval`."""

    def __init__(self, retval, message):
        super().__init__(message)
        self.retval = retval


class CPUInterface:
    """Stands in for the framework's class of this name."""

    vpp_worker_count = 0

    @classmethod
    def get_vpp_worker_count(cls):
        return cls.vpp_worker_count


MAGLEV_API = "maglev.api.json"


def api_files(api_dirs):
    """All JSON API files below `api_dirs`; of the plugin under test its own, not what an older one has installed."""
    files = [
        os.path.join(folder, name)
        for top in api_dirs
        for folder, _, names in os.walk(top)
        for name in names
        if name.endswith(".api.json") and name != MAGLEV_API
    ]
    plugin = find_maglev()
    beside = os.path.join(os.path.dirname(plugin), MAGLEV_API) if plugin else ""
    return files + [beside] if os.path.isfile(beside) else files


class Papi:
    """The messages as they are: replies with any return value."""

    def __init__(self, vapi):
        self._vapi = vapi

    def __getattr__(self, name):
        function = getattr(self._vapi.vpp.api, name)
        return lambda **arguments: self._vapi.call(function, **arguments)


class Vapi:
    """The binary API of one VPP over its socket."""

    def __init__(self, process):
        self.process = process
        self.vpp = VPPApiClient(
            apifiles=api_files(process.install.api_dirs),
            server_address=process.api_sock,
            read_timeout=20,
        )
        self.vpp.connect("maglev-tests")
        self.papi = Papi(self)

    def call(self, function, **arguments):
        """A message; raises with the end of VPP's log when VPP dies of it."""
        try:
            return function(**arguments)
        except Exception:
            # A crash is more than "socket closed".
            self.process.check_alive(grace=CRASH_GRACE)
            raise

    def __getattr__(self, name):
        function = getattr(self.papi, name)

        def call(**arguments):
            reply = function(**arguments)
            retval = getattr(reply, "retval", 0)
            if retval < 0:
                raise UnexpectedApiReturnValueError(retval, "%s: return value %d" % (name, retval))
            return reply

        return call

    def cli_return_response(self, command):
        """The reply itself: `retval` and `reply`."""
        return self.papi.cli_inband(cmd=command)

    def cli(self, command):
        """The answer to a CLI command."""
        reply = self.cli_return_response(command)
        if reply.retval != 0:
            raise CliFailedCommandError(reply.reply)
        return ANSI.sub("", reply.reply)

    def ppcli(self, command):
        return command + "\n" + self.cli(command)

    def disconnect(self):
        self.vpp.disconnect()


class VppTestCase(CPUInterface, unittest.TestCase):
    """A test class with a VPP of its own."""

    extra_vpp_config = []
    extra_vpp_plugin_config = []
    logger = logging.getLogger("maglev-tests")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root")
        if find_vpp() is None:
            raise unittest.SkipTest("no VPP found")
        cls._pcaps = []
        cls.pg_interfaces = []
        cls.tempdir = tempfile.mkdtemp(prefix="maglev-%s-" % cls.__name__)
        cls.setUpConstants()
        cls.vpp_process.start()
        cls.vpp = cls.vpp_process.proc
        cls.vapi = Vapi(cls.vpp_process)

    @classmethod
    def setUpConstants(cls):
        """Puts VPP's settings together. Subclasses write the files that VPP reads into cls.tempdir and set
        extra_vpp_config before they call this."""
        wanted = " ".join(cls.extra_vpp_plugin_config)
        cls.vpp_process = VppProcess(
            cls.__name__,
            workers=cls.get_vpp_worker_count(),
            maglev="maglev_plugin.so" in wanted,
            stanzas=[" ".join(cls.extra_vpp_config)],
            rundir=cls.tempdir,
        )
        cls.addClassCleanup(cls.vpp_process.remove)

    @classmethod
    def get_cli_sock_path(cls):
        return cls.vpp_process.cli_sock

    @classmethod
    def get_stats_sock_path(cls):
        return cls.vpp_process.path("stats.sock")

    @classmethod
    def get_api_sock_path(cls):
        return cls.vpp_process.api_sock

    @classmethod
    def tearDownClass(cls):
        process = cls.vpp_process
        alive = process.alive()
        if alive:
            try:
                cls.vapi.disconnect()
            except Exception as error:  # VPP may be dying just now; its exit status says it below
                cls.logger.debug("disconnect: %s", error)
        code = process.stop()
        super().tearDownClass()
        if not alive or code != 0:
            raise VppError("VPP ended badly: %s\n%s" % (process.exit_words(), process.console()))

    def setUp(self):
        super().setUp()
        self.vpp_process.check_alive()

    def tearDown(self):
        super().tearDown()
        self.vpp_process.check_alive()

    def run(self, result=None):
        before = self._problems(result)
        super().run(result)
        if self._problems(result) != before and getattr(self, "vpp_process", None):
            print("\n" + self.vpp_process.console(40))

    @staticmethod
    def _problems(result):
        return len(getattr(result, "failures", ())) + len(getattr(result, "errors", ()))

    @staticmethod
    def sleep(seconds, _remark=None):
        time.sleep(seconds)

    # Packet generator

    @classmethod
    def create_pg_interfaces(cls, indexes):
        cls.pg_interfaces = [PgPort(cls, i) for i in indexes]
        for port in cls.pg_interfaces:
            setattr(cls, port.name, port)
        return cls.pg_interfaces

    @classmethod
    def register_pcap(cls, port, worker):
        cls._pcaps.append((port, worker))

    @classmethod
    def pg_enable_capture(cls, interfaces=None):
        for port in cls.pg_interfaces if interfaces is None else interfaces:
            port.enable_capture()

    @classmethod
    def wait_for_pg_stop(cls):
        deadline = time.monotonic() + 30
        while "Yes" in cls.vapi.cli("show packet-generator"):
            if time.monotonic() > deadline:
                raise VppError("the packet generator does not come to an end")
            time.sleep(0.01)

    @classmethod
    def pg_start(cls, trace=False):
        """Sends what add_stream() has loaded, and waits until it is sent."""
        cls.vapi.cli("packet-generator enable")
        cls.wait_for_pg_stop()
        for port, worker in cls._pcaps:
            cls.vapi.cli("packet-generator delete %s" % port.get_cap_name(worker))
        cls._pcaps = []
