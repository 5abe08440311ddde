"""Starting, stopping and restarting VPP with the plugin, in good order and not."""

import os
import time
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from maglev_case import WEB, base_config, check, checked, frontend, pool, wait_until
from restart_case import RestartCase

A1, A2 = "10.77.0.1", "10.77.0.2"


class TestMaglevStart(RestartCase):
    """A VPP of its own for every test"""

    servers = {"a1": 1, "a2": 2}

    def config(self):
        return base_config(
            self.network,
            backends=checked(self.network),
            frontends={"web": frontend(WEB, pool("only", a1=None, a2=50))},
        )

    def wait_running(self, weights=True):
        wait_until(
            lambda: dict(self.show("status")["frontends"]) == {"up": 1},
            lambda: "not up: %s" % self.process.cli("maglev show status"),
        )
        if weights:
            self.wait_weights({A1: 100, A2: 50})

    def test_sigterm_ends_it_in_good_order(self):
        """SIGTERM ends VPP at once with status 0, with probes in flight too"""
        self.make(self.config()).start()
        self.wait_running()
        self.network["a1"].silence()
        time.sleep(0.5)
        began = time.monotonic()
        self.assertEqual(self.process.stop(), 0, self.process.console())
        self.assertLess(time.monotonic() - began, 3.0)
        self.assertNotIn("received signal SIGSEGV", self.process.console())
        self.assertNotIn("SIGABRT", self.process.console())

    def test_restart(self):
        """After a restart, in good order or by SIGKILL, the weights come back by themselves"""
        self.make(self.config()).start()
        self.wait_running()
        self.assertEqual(self.process.stop(), 0)
        self.network["a1"].kill()
        self.process.start()
        self.wait_weights({A1: 0, A2: 50})
        self.process.kill()
        self.network["a1"].start()
        self.process.start()
        self.wait_weights({A1: 100, A2: 50})

    def test_nothing_is_programmed_before_all_is_known(self):
        """A frontend is absent from lb until each of its backends is known, at most startup-max-delay"""
        config = self.config()
        config["vpp"]["lb"]["startup-max-delay"] = "4s"
        config["healthchecks"]["web"] = check(timeout="30s", interval="30s", **{"fast-interval": "30s"})
        self.network["a2"].silence()
        self.make(config).start()
        began = time.monotonic()
        reader = self.reader()
        while time.monotonic() - began < 2.0:
            self.assertIsNone(reader.lb_weights(*WEB))
            time.sleep(0.1)
        view = self.show("frontends web")
        self.assertFalse(view["programmed"])
        wait_until(
            lambda: reader.lb_weights(*WEB) is not None, "not programmed at startup-max-delay", timeout=6
        )
        self.assertEqual(reader.lb_weights(*WEB)[A2], 0)

    def test_disabled_in_the_file(self):
        """A backend with `enabled: false` starts disabled, and can be enabled"""
        config = self.config()
        config["backends"]["a1"]["enabled"] = False
        self.make(config).start()
        self.wait_weights({A1: 0, A2: 50})
        self.assertEqual(self.show("backends a1")["state"], "disabled")
        self.process.cli("maglev set backend a1 enable")
        self.wait_weights({A1: 100, A2: 50})

    def idle(self, wanted):
        """The plugin idles, says `wanted`, and a reload of a good file recovers."""
        self.process.start()
        view = wait_until(
            lambda: (lambda v: v if v["state"] == "idle" else None)(self.show("status")),
            lambda: "not idle: %s" % self.show("status"),
        )
        said = " ".join([view["reason"] or ""] + view["config_errors"])
        self.assertIn(wanted, said)
        self.assertIn(wanted, self.process.cli("maglev show status"))
        log = self.process.cli("show logging")
        self.assertTrue([line for line in log.splitlines() if "maglev" in line and wanted in line], log[-2000:])
        for command in (
            "maglev show frontends",
            "maglev show backends",
            "maglev show lb",
            "maglev show config",
        ):
            self.assertTrue(self.process.cli(command).strip(), command)
        self.assertTrue(self.process.cli("maglev show frontend web").startswith("error: "))
        self.assertTrue(self.process.cli("maglev set backend a1 disable").startswith("error: "))
        self.write_config(self.config())
        answer = self.process.cli("maglev config reload")
        self.assertFalse(answer.startswith("error: "), answer)
        self.wait_running()

    def test_a_missing_file(self):
        """Without the configuration file VPP starts, the plugin idles, and a reload recovers"""
        self.make(None)
        self.idle("maglev.yaml")

    def test_a_file_that_is_not_yaml(self):
        """The same for a file that is not YAML"""
        self.make("maglev: [\n")
        self.idle("maglev.yaml:")

    def test_a_file_that_is_not_valid(self):
        """The same for a file that is not valid"""
        config = self.config()
        config["backends"]["a1"]["adress"] = "1.2.3.4"
        self.make(config)
        self.idle("adress")

    def test_unreadable_file(self):
        """The same for a directory where the file should be"""
        process = self.make(None)
        os.mkdir(self.config_path)
        process.start()
        self.assertEqual(self.show("status")["state"], "idle")
        os.rmdir(self.config_path)
        self.write_config(self.config())
        self.process.cli("maglev config reload")
        self.wait_running()

    def test_without_a_stanza(self):
        """The stanza is optional: the default path is shown"""
        self.make(None, stanza="").start()
        view = self.show("status")
        self.assertEqual(view["config_path"], "/etc/vpp/maglev.yaml")
        if not os.path.exists(view["config_path"]):
            self.assertEqual(view["state"], "idle")

    def refused(self, stanza, word):
        """VPP does not start with this stanza, and names `word`."""
        process = self.make(self.config(), stanza=stanza)
        process.spawn()
        code = process.wait_exit(20)
        self.assertNotEqual(code, 0)
        self.assertGreater(code, 0, "VPP crashed: " + process.exit_words())
        self.assertIn(word, process.console())
        self.assertNotIn("unknown input `maglev", process.console(), "nobody took the stanza at all")
        self.process = None

    def test_an_unknown_word_fails_the_start(self):
        """An unknown word in the stanza fails VPP's start, and is named"""
        self.refused("maglev { confg /etc/vpp/maglev.yaml }", "confg")
        self.refused("maglev { probe-cpu many }", "probe-cpu")

    def test_without_lb(self):
        """With lb not loaded the plugin loads, probes, says what is missing, and programs nothing"""
        self.make(self.config(), plugins=["ping_plugin.so"]).start()
        wait_until(
            lambda: dict(self.show("status")["backends"]) == {"up": 2},
            lambda: "not up: %s" % self.show("status"),
        )
        view = self.show("status")
        self.assertIn("lb", view["lb"]["unavailable"])
        self.assertIn(view["lb"]["unavailable"].split()[0], self.process.cli("maglev show status"))
        log = self.process.cli("show logging")
        self.assertTrue([line for line in log.splitlines() if "maglev" in line and "lb" in line], log[-2000:])
        self.assertFalse(self.show("frontends web")["programmed"])
        self.network["a1"].kill()
        wait_until(lambda: self.show("backends a1")["state"] == "down", "a1 is not down")
        for command in ("sync", "flush frontend web", "show lb", "show flow web 198.18.0.1 1"):
            answer = self.process.cli("maglev " + command)
            self.assertTrue(answer.startswith("error: "), "%s: %s" % (command, answer))
        self.assertEqual(self.process.stop(), 0)

    def test_without_the_plugin_enabled(self):
        """A stanza for a plugin that is not enabled stops VPP: why packages ship none"""
        process = self.make(self.config())
        process.plugins.remove("maglev_plugin.so")
        process.spawn()
        self.assertNotEqual(process.wait_exit(20), 0)
        self.process = None

    def test_many_backends(self):
        """A thousand backends in a hundred frontends are programmed, and VPP still ends in good order"""
        config = self.config()
        config["healthchecks"]["web"] = check(interval="1s")
        config["frontends"] = {}
        config["backends"] = {}
        process = self.network.spawn(9090, ["0.0.0.0"])
        self.addCleanup(self.network.end, process)
        config["healthchecks"]["web"]["port"] = 9090
        addresses = ["10.77.%d.%d" % divmod(1024 + n, 256) for n in range(1000)]
        self.network.give_addresses(addresses)
        self.addCleanup(self.network.take_addresses, addresses)
        for n, address in enumerate(addresses):
            config["backends"]["m%d" % n] = {"address": address, "healthcheck": "web"}
        for f in range(100):
            members = {"m%d" % n: None for n in range(10 * f, 10 * f + 10)}
            config["frontends"]["f%d" % f] = frontend(("192.0.2.%d" % f, 80), pool("only", **members))
        self.make(config).start()
        wait_until(
            lambda: dict(self.show("status")["frontends"]) == {"up": 100},
            lambda: "not up: %s" % self.process.cli("maglev show status"),
            timeout=40,
        )
        reader = self.reader()
        wait_until(
            lambda: sum(w for s in reader.lb_servers().values() for w, _ in s.values()) == 100 * 1000,
            "not all weights are 100",
            timeout=20,
        )
        self.assertEqual(self.process.stop(), 0, self.process.console())


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
