"""The plugin loads; its commands, their help, their errors; the `maglev` program beside it."""

import json
import os
import subprocess
import tempfile
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from maglev_case import LOADING, WEB, MaglevTestCase, base_config, checked, find_tool, frontend, pool, wait_until, yaml
from vpp_process import find_vpp

SHOWS = (
    "status",
    "version",
    "config",
    "frontends",
    "frontend web",
    "backends",
    "backend a1",
    "healthchecks",
    "healthcheck web",
    "lb",
    "lb frontend web",
    "flow web 198.18.0.1 1234",
)


class CommandsCase(MaglevTestCase):
    """The configuration that commands are tried on."""

    with_ports = False
    servers = {"a1": 1, "a2": 2, "nginx0": 3}

    @classmethod
    def make_config(cls, network):
        return base_config(
            network,
            backends=checked(network),
            frontends={"web": frontend(WEB, pool("primary", a1=100, a2=50), pool("backup", nginx0=0))},
        )

    def setUp(self):
        super().setUp()
        self.reset()


class TestMaglevCommands(CommandsCase):
    """Commands in vppctl"""

    def test_loaded(self):
        """VPP shows the plugin as loaded, with its description"""
        line = next(line for line in self.vapi.cli("show plugins").splitlines() if "maglev_plugin.so" in line)
        self.assertIn("aglev", line.replace("maglev_plugin.so", ""))

    def test_versions(self):
        """show version tells the plugin's version, the VPP it was built for and the one it runs in"""
        view = self.show("version")
        self.assertRegex(view["maglev"], r"^\d+\.\d+\.\d+")
        running = str(self.vapi.show_version().version)
        self.assertIn(running, view["running_in"])
        self.assertTrue(view["built_for"])
        self.assertTrue(running.startswith(view["built_for"].lstrip("v")[:5]), view)
        names = " ".join(view["lb_messages"])
        for message in ("lb_conf_get", "lb_vip_dump", "lb_as_v2_dump", "lb_add_del_as_v2", "lb_as_set_weight"):
            self.assertIn(message, names)
        self.assertIn(view["maglev"], self.vapi.cli("maglev show version"))

    def test_status(self):
        """show status tells that it runs, over which file and lb"""
        view = self.show("status")
        self.assertEqual((view["state"], view["reason"]), ("running", None))
        self.assertEqual(view["config_path"], self.config_path)
        self.assertEqual((view["lb"]["kind"], view["lb"]["unavailable"]), ("vpp", None))
        # Each has a flow table, and a flush walks them all: main's and the workers'.
        self.assertEqual(view["lb"]["threads"], 1 + self.vpp_worker_count)
        self.assertTrue(view["prober"]["running"])
        self.assertEqual(dict(view["backends"]), {"up": 3})
        self.assertEqual(dict(view["frontends"]), {"up": 1})
        self.assertLess(view["prober"]["last_beat_ms_ago"], 3000)

    def test_every_show_in_both_spellings_and_json(self):
        """`maglev show X` and `show maglev X` say the same; `json` parses; 80 columns; no colour codes"""
        for what in SHOWS:
            with self.subTest(show=what):
                text = self.vapi.cli_return_response("maglev show " + what).reply
                self.assertTrue(text.strip())
                self.assertNotIn("\x1b", text)
                self.assertTrue(text.endswith("\n"), repr(text[-20:]))
                if what != "config":
                    too_long = [line for line in text.splitlines() if len(line) > 80]
                    self.assertEqual(too_long, [])
                other = self.vapi.cli_return_response("show maglev " + what).reply
                # Ages and counters move on between the two; the shape does not.
                self.assertEqual(len(other.splitlines()), len(text.splitlines()))
                self.assertEqual(other.splitlines()[0].split()[:1], text.splitlines()[0].split()[:1])
                value = json.loads(self.vapi.cli("maglev show %s json" % what))
                self.assertEqual(type(json.loads(self.vapi.cli("show maglev %s json" % what))), type(value))

    def test_show_frontends(self):
        """show frontends has the columns that are promised"""
        lines = self.vapi.cli("maglev show frontends").splitlines()
        self.assertEqual(
            lines[0].split(), ["frontend", "address", "proto", "port", "state", "pool", "backends"]
        )
        self.assertEqual(lines[1].split(), ["web", "192.0.2.10", "tcp", "443", "up", "primary", "2/3"])

    def test_lines_for_scripts(self):
        """show frontend has a line a backend that scripts may match"""
        text = self.vapi.cli("maglev show frontend web")
        buckets = {a: b for a, (_, b) in self.lb_servers(*WEB).items()}
        for name, weight, effective in (("a1", 100, 100), ("a2", 50, 50), ("nginx0", 0, 0)):
            address = self.network[name].address
            state = r"up( \d/4)?"
            self.assertRegex(
                text,
                r"(?m)^\s+%s\s+weight %d\s+effective %d\s+state %s\s+buckets %d\s*$"
                % (name, weight, effective, state, buckets[address]),
            )
        self.do("maglev set backend a2 disable")
        self.assertRegex(
            self.vapi.cli("maglev show frontend web"),
            r"(?m)^\s+a2\s+weight 50\s+effective 0\s+state disabled\s+buckets 0\s+\[disabled\]$",
        )

    def test_shortened_words(self):
        """Words may be shortened to a unique prefix; names may not"""
        for command in ("maglev sh fr web", "maglev show front web", "show maglev frontend web"):
            with self.subTest(command=command):
                self.assertIn("a1", self.vppctl(command))
        self.error("maglev show frontend we")
        self.error("maglev set backend a1 e" + "x")

    def test_help(self):
        """`?` lists what can follow"""
        for command, wanted in (
            ("maglev ?", ("show", "set", "probe", "sync", "flush", "config")),
            ("maglev show ?", ("status", "version", "frontends", "backends", "healthchecks", "lb", "flow")),
            ("show maglev ?", ("status", "frontends")),
            ("maglev config ?", ("check", "reload")),
        ):
            with self.subTest(command=command):
                text = self.vppctl(command)
                for word in wanted:
                    self.assertIn(word, text)

    def test_unknown_names(self):
        """An unknown name is an error that lists near ones"""
        answer = self.error("maglev show backend nginx9")
        self.assertIn("unknown backend `nginx9`", answer.splitlines()[0])
        self.assertIn("nginx0", answer.splitlines()[0])
        for command in (
            "maglev show frontend wbe",
            "maglev show healthcheck wbe",
            "maglev set backend nobody disable",
            "maglev set frontend nobody pool primary backend a1 weight 1",
            "maglev set frontend web pool nobody backend a1 weight 1",
            "maglev set frontend web pool primary backend nginx0 weight 1",
            "maglev probe backend nobody",
            "maglev flush frontend nobody",
            "maglev sync frontend nobody",
            "maglev show lb frontend nobody",
            "maglev show flow nobody 198.18.0.1 1234",
        ):
            with self.subTest(command=command):
                self.error(command)

    def test_bad_arguments(self):
        """Missing, wrong and surplus words are errors; VPP lives"""
        for command in (
            "maglev set backend a1 explode",
            "maglev set backend a1",
            "maglev set backend",
            "maglev show frontend web nonsense",
            "maglev show status json json",
            "maglev show flow web 198.18.0.1 65536",
            "maglev show flow web 198.18.0.1 -1",
            "maglev show flow web 198.18.0.999 1",
            "maglev show flow web 2001:db8::1 1",
            "maglev show flow web",
            "maglev probe backend",
            "maglev config reload now",
            "maglev set backend a1 disable extra",
            "maglev show backend " + "x" * 3000,
            "maglev show backend %s%s%n",
            "maglev show backend a1\u00e4\u00f6",
        ):
            with self.subTest(command=command[:50]):
                self.error(command)
        self.assertEqual(self.state("a1"), "up")

    def test_unknown_commands(self):
        """A command that is none is an error, whoever tells it: VPP or the plugin"""
        for command in ("maglev nonsense", "maglev show nonsense", "maglev", "show maglev nonsense"):
            with self.subTest(command=command):
                answer = self.vppctl(command)
                self.assertTrue(answer.strip())
        self.assertIn("vpp v", self.vapi.cli("show version"))

    def test_vppctl(self):
        """vppctl prints answers and errors alike on standard output, and ends with status 0 (so: `maglev ctl`)"""
        for command, wanted in (("maglev show frontends", "web"), ("maglev show backend nobody", "error: ")):
            with self.subTest(command=command):
                done = subprocess.run(
                    [find_vpp().vppctl, "-s", self.get_cli_sock_path(), *command.split()],
                    capture_output=True,
                    text=True,
                    timeout=20,
                    check=False,
                )
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn(wanted, done.stdout)

    def test_commands_over_the_binary_api(self):
        """cli_inband answers every command, also those that take a while, and never hangs"""
        for command in (
            "maglev config check",
            "maglev probe backend a1",
            "maglev sync",
            "maglev config reload",
        ):
            with self.subTest(command=command):
                # A check that goes on behind its answer holds up the load that comes next.
                replies = []
                wait_until(
                    lambda: replies.append(self.vapi.cli_return_response(command)) or LOADING not in replies[-1].reply,
                    "a load never ends",
                )
                reply = replies[-1]
                self.assertTrue(reply.reply.strip())
                self.assertFalse(reply.reply.startswith("error: "), reply.reply)
        self.reset()

    def test_show_config_loads(self):
        """show config is YAML that loads, and means the same"""
        text = self.vapi.cli("maglev show config")
        before = self.lb_servers()
        self.write_config(text)
        self.do("maglev config reload")
        self.assertEqual(self.vapi.cli("maglev show config"), text)
        self.assertEqual(self.lb_servers(), before)
        self.write_config(self.make_config(self.network))
        self.do("maglev config reload")

    def test_the_log(self):
        """Transitions are in VPP's log, class maglev"""
        self.network["a2"].kill()
        self.wait_state("a2", "down")
        log = [line for line in self.vapi.cli("show logging").splitlines() if "maglev" in line]
        wanted = "backend-transition backend=a2 from=up to=down code=L4CON"
        self.assertTrue([line for line in log if wanted in line], "\n".join(log[-10:]))
        self.assertTrue([line for line in log if "frontend-transition frontend=web" in line], "\n".join(log[-10:]))


class TestMaglevCtl(CommandsCase):
    """The `maglev` program"""

    @classmethod
    def setUpClass(cls):
        cls.tool = find_tool()
        if cls.tool is None:
            raise unittest.SkipTest("no `maglev` program: run `cargo build`")
        super().setUpClass()

    def ctl(self, *words, socket=None):
        done = subprocess.run(
            [self.tool, "ctl", "-s", socket or self.get_cli_sock_path(), *words],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def test_exit_status(self):
        """`maglev ctl`: 0 when the answer is good, 1 when it is an error, 2 when there is no VPP"""
        code, out, err = self.ctl("show", "frontends")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("web", out)
        code, out, err = self.ctl("show", "status", "json")
        self.assertEqual((code, json.loads(out)["state"]), (0, "running"))
        for words, said in (
            (("show", "backend", "nobody"), "error: unknown backend `nobody`"),
            (("nonsense",), "unknown input `nonsense'"),  # VPP's own words
            (("set", "backend", "a1", "explode"), "error: unknown verb `explode`"),
        ):
            with self.subTest(words=words):
                code, out, err = self.ctl(*words)
                self.assertEqual((code, out), (1, ""))
                self.assertIn(said, err)
        code, out, err = self.ctl("show", "status", socket="/does/not/exist.sock")
        self.assertEqual(code, 2)
        self.assertIn("/does/not/exist.sock", err)

    def test_ctl_waits(self):
        """`maglev ctl` waits for answers that take a while"""
        for words in (("probe", "backend", "a1"), ("config", "reload"), ("sync",)):
            with self.subTest(words=words):
                code, out, _ = self.ctl(*words)
                self.assertEqual(code, 0)
                self.assertTrue(out.strip())
        self.write_config("maglev: [\n")
        self.addCleanup(self.write_config, self.make_config(self.network))
        self.assertEqual(self.ctl("config", "reload")[0], 1)

    def test_check(self):
        """`maglev check`: 0 good, 1 not YAML, 2 not valid"""
        good = yaml({"maglev": self.make_config(self.network)})
        for text, code in ((good, 0), ("maglev: [\n", 1), ("maglev: {backends: {a: {}}}\n", 2)):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "maglev.yaml")
                with open(path, "w", encoding="utf-8") as f:
                    f.write(text)
                done = subprocess.run([self.tool, "check", path], capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, code, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
