"""What the tests of the plugin have in common: a network with backends, a configuration over them, a VPP
with the plugin, and words for what the tests want to know."""

import json
import os
import subprocess
import time
import unittest

try:
    from framework import VppTestCase
except ModuleNotFoundError:
    from maglev_harness import VppTestCase

from backends import PORT as BACKEND_PORT
from backends import Network, sweep
from gre_flows import FlowMixin
from vpp_process import ANSI, TOP, find_maglev, find_vpp

WEB = ("192.0.2.10", 443)


def check(kind="http", **more):
    """A healthcheck that is quick, yet patient with a busy machine."""
    out = {
        "type": kind,
        "interval": "300ms",
        "fast-interval": "150ms",
        "timeout": "1s",
        "rise": 2,
        "fall": 3,
    }
    if kind != "icmp":
        out["port"] = BACKEND_PORT
    out.update(more)
    return out


def pool(name, **weights):
    """A pool; the backends' weights, None for the default."""
    return {
        "name": name,
        "backends": {b: {} if w is None else {"weight": w} for b, w in weights.items()},
    }


def frontend(vip, *pools, **more):
    """A TCP frontend on `vip`, an (address, port)."""
    out = {"address": vip[0], "protocol": "tcp", "port": vip[1], "pools": list(pools)}
    out.update({k.replace("_", "-"): v for k, v in more.items()})
    return out


def yaml(value, indent=0):
    """`value` as block-style YAML."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        lines = []
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                lines += ["%s%s:" % (pad, key), yaml(item, indent + 1)]
            else:
                lines.append("%s%s: %s" % (pad, key, yaml(item)))
        return "\n".join(lines)
    if isinstance(value, list) and value:
        return "\n".join("%s-\n%s" % (pad, yaml(item, indent + 1)) for item in value)
    return json.dumps(value)


# What a second load is told.
LOADING = "another load is under way"


def wait_until(what, message, timeout=15.0, step=0.05):
    """Waits until `what()` is true, and returns its value; an AssertionError with `message` otherwise."""
    deadline = time.monotonic() + timeout
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(message() if callable(message) else message)
        time.sleep(step)


def base_config(network, **more):
    """`maglev:` with what every configuration here has."""
    out = {
        "healthchecker": {"netns": network.probes},
        "vpp": {
            "lb": {
                "ipv4-src-address": FlowMixin.gre_source4,
                "ipv6-src-address": FlowMixin.gre_source6,
                "sync-interval": "30s",
            }
        },
        "healthchecks": {"web": check(), "tcp": check("tcp"), "ping": check("icmp")},
        "backends": {},
        "frontends": {},
    }
    out.update(more)
    return out


def checked(network, *names, by="web"):
    """`backends:` of these servers of the network, all without a name, each with a healthcheck."""
    return {n: {"address": network[n].address, "healthcheck": by} for n in names or network.backends}


def write_yaml(path, maglev):
    """Writes the configuration file; a str as it is."""
    text = maglev if isinstance(maglev, str) else yaml({"maglev": maglev}) + "\n"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def find_tool():
    """The `maglev` program: $MAGLEV_TOOL, else the newest that cargo has built; None if there is none."""
    named = os.environ.get("MAGLEV_TOOL")
    built = [os.path.join(TOP, "target", profile, "maglev") for profile in ("release", "debug")]
    found = [named] if named else sorted(filter(os.path.isfile, built), key=os.path.getmtime)
    return found[-1] if found else None


def skip_reason():
    """Why tests of the plugin cannot run here; None if they can."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    if find_vpp() is None:
        return "no VPP found"
    if find_maglev() is None:
        return "no maglev_plugin.so: run `make plugin`"
    return None


def require_plugin():
    """Skips the class where tests of the plugin cannot run."""
    reason = skip_reason()
    if reason:
        raise unittest.SkipTest(reason)


def make_network(case):
    """A network for a class of tests, that goes with it."""
    sweep()
    case.network = Network()
    case.addClassCleanup(case.network.remove)
    case.network.create()
    return case.network


class MaglevTestCase(FlowMixin, VppTestCase):
    """A class of tests over one VPP with the plugin, one worker, and one configuration."""

    vpp_worker_count = 1
    extra_vpp_plugin_config = ["plugin maglev_plugin.so { enable }"]
    with_ports = True
    # {name: number} of the IPv4 servers in the network.
    servers = {}
    # Below the runtime directory.
    state_name = "maglev-state.json"

    @classmethod
    def make_backends(cls, network):
        """Adds backends to the network; for subclasses that want others than `servers`."""
        for name, number in cls.servers.items():
            network.add(name, number)

    @classmethod
    def make_config(cls, network):
        """For subclasses: the value of `maglev:`."""
        raise NotImplementedError

    @classmethod
    def setUpClass(cls):
        require_plugin()
        super().setUpClass()
        try:
            if cls.with_ports:
                cls.make_ports()
        except Exception:
            cls.tearDownClass()
            raise

    @classmethod
    def setUpConstants(cls):
        cls.make_backends(make_network(cls))
        cls.config_path = os.path.join(cls.tempdir, "maglev.yaml")
        cls.state_path = os.path.join(cls.tempdir, cls.state_name)
        cls.write_config(cls.make_config(cls.network))
        cls.extra_vpp_config = ["maglev", "{", "config", cls.config_path, "state-file", cls.state_path, "}"]
        super().setUpConstants()

    @classmethod
    def write_config(cls, maglev):
        write_yaml(cls.config_path, maglev)

    def show_commands_at_teardown(self):
        self.logger.info(self.vapi.cli("maglev show status"))

    # Commands

    @classmethod
    def show(cls, what):
        """`maglev show <what> json`, parsed."""
        return json.loads(cls.vapi.cli("maglev show %s json" % what))

    @classmethod
    def vppctl(cls, command, timeout=20):
        """What the real vppctl prints for a command; unlike the API it waits for answers that take a while."""
        process = getattr(cls, "vpp_process", None)
        if process:
            return process.cli(command, timeout)
        # In VPP's own framework.
        done = subprocess.run(
            [find_vpp().vppctl, "-s", cls.get_cli_sock_path(), *command.split()],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return ANSI.sub("", done.stdout)

    def vppctl_answer(self, command):
        self.last_answer = self.vppctl(command)
        return self.last_answer

    def do(self, command):
        """A command that must succeed; its answer. One load of a configuration at a time: the next is tried again, as its error says."""
        wait_until(lambda: LOADING not in self.vppctl_answer(command), "a load never ends")
        answer = self.last_answer
        self.assertNotRegex(answer, r"^error: |unknown input", command)
        return answer

    def error(self, command):
        """A command that must fail; its answer, whose first line begins with `error: `."""
        answer = self.vppctl(command)
        self.assertTrue(answer.startswith("error: "), "%s: %r" % (command, answer))
        return answer

    def backend(self, name):
        return self.show("backends " + name)

    def state(self, name):
        """A backend's bare state."""
        return self.backend(name)["state"]

    def frontend_view(self, name):
        return self.show("frontends " + name)

    def members(self, name):
        """{backend: its line in `show frontend <name>`}"""
        return {m["name"]: m for p in self.frontend_view(name)["pools"] for m in p["backends"]}

    # Waiting

    def wait_state(self, name, wanted, timeout=15):
        wait_until(
            lambda: self.state(name) == wanted,
            lambda: "%s is not %s: %s" % (name, wanted, self.backend(name)),
            timeout,
        )

    def wait_weights(self, vip, wanted, timeout=15):
        """Until `lb` has exactly these {server: weight} for the VIP; None: until it has no such VIP."""
        wait_until(
            lambda: self.lb_weights(*vip) == wanted,
            lambda: (
                "lb has %s for %s, wanted %s\n%s"
                % (self.lb_weights(*vip), vip, wanted, self.vapi.cli("maglev show frontends"))
            ),
            timeout,
        )

    def steady_weights(self, vip, wanted, seconds=1.5):
        """`lb` has these weights, and goes on having them."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.assertEqual(self.lb_weights(*vip), wanted)
            time.sleep(0.1)

    def all_up(self, timeout=20):
        """Until every backend that is probed is up."""
        wait_until(
            lambda: all(b["state"] == "up" for b in self.show("backends")),
            lambda: "not all up: %s" % self.vapi.cli("maglev show backends"),
            timeout,
        )

    def reset(self):
        """All backends well, no operator's words, no flows."""
        self.network.heal()
        for view in self.show("backends"):
            if view["state"] == "disabled":
                self.do("maglev set backend %s enable" % view["name"])
            elif view["state"] == "paused":
                self.do("maglev set backend %s resume" % view["name"])
        for view in self.show("frontends"):
            for p in view["pools"]:
                for m in p["backends"]:
                    if m["overridden"]:
                        self.do(
                            "maglev set frontend %s pool %s backend %s weight default"
                            % (view["name"], p["name"], m["name"])
                        )
        self.all_up()
        wait_until(
            lambda: all(f["programmed"] and f["state"] == "up" for f in self.show("frontends")),
            lambda: "not all programmed: %s" % self.vapi.cli("maglev show frontends"),
        )
        self.vapi.cli("test lb flowtable flush")


class PairTestCase(MaglevTestCase):
    """Two servers, with weights 100 and 50, in one frontend."""

    servers = {"a1": 1, "a2": 2}

    @classmethod
    def make_config(cls, network):
        return base_config(
            network, backends=checked(network), frontends={"web": frontend(WEB, pool("primary", a1=100, a2=50))}
        )
