"""Probe types and hostile backends, with VPP's main thread to be disturbed."""

import time
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from maglev_case import WEB, MaglevTestCase, base_config, check, frontend, pool, wait_until

PING4 = ("192.0.2.20", 80)
PING6 = ("2001:db8::20", 80)
TCP = ("192.0.2.21", 80)
STATIC = ("192.0.2.22", 80)
LOCAL = ("192.0.2.23", 80)


class TestMaglevProbes(MaglevTestCase):
    """icmp, tcp, http, static; backends that misbehave"""

    with_ports = False
    servers = {"h1": 1, "h2": 2, "i4": 3, "t1": 4}

    @classmethod
    def make_backends(cls, network):
        super().make_backends(network)
        network.add("i6", 5, v6=True)

    @classmethod
    def make_config(cls, network):
        checks = {"h1": "web", "h2": "web", "i4": "ping", "i6": "ping", "t1": "tcp"}
        backends = {n: {"address": network[n].address, "healthcheck": c} for n, c in checks.items()}
        backends["fixed"] = {"address": "10.77.0.200"}
        return base_config(
            network,
            backends=backends,
            frontends={
                "web": frontend(WEB, pool("only", h1=None, h2=None)),
                "ping4": frontend(PING4, pool("only", i4=None)),
                "ping6": frontend(PING6, pool("only", i6=None)),
                "tcp": frontend(TCP, pool("only", t1=None)),
                "static": frontend(STATIC, pool("only", fixed=40)),
            },
        )

    def setUp(self):
        super().setUp()
        self.reset()

    def newest(self, name):
        t = self.backend(name)["transitions"][0]
        return t["from"], t["to"], t["code"]

    def check_ping(self, name, vip):
        address = self.network[name].address
        self.assertEqual(self.lb_weights(*vip), {address: 100})
        self.network[name].silence()
        self.wait_weights(vip, {address: 0})
        self.assertEqual(self.newest(name), ("up", "down", "L4TOUT"))
        self.network[name].speak()
        self.wait_weights(vip, {address: 100})

    def test_icmp_over_ipv4(self):
        """icmp: an IPv4 backend that answers echo requests is up, one that does not is down"""
        self.check_ping("i4", PING4)

    def test_icmp_over_ipv6(self):
        """icmp: the same over IPv6"""
        self.check_ping("i6", PING6)

    def test_icmp_does_not_mind_a_dead_process(self):
        """icmp asks the host, not the process"""
        self.network["i4"].kill()
        self.steady_weights(PING4, {self.network["i4"].address: 100})

    def test_tcp(self):
        """tcp: up while the port takes connections"""
        address = self.network["t1"].address
        self.network["t1"].behave("status 500")
        self.steady_weights(TCP, {address: 100})
        self.network["t1"].kill()
        self.wait_weights(TCP, {address: 0})
        self.assertEqual(self.newest("t1"), ("up", "down", "L4CON"))
        self.network["t1"].start()
        self.wait_weights(TCP, {address: 100})

    def test_static(self):
        """A backend without healthcheck is `up unchecked` at once"""
        self.assertEqual(self.lb_weights(*STATIC), {"10.77.0.200": 40})
        self.assertEqual(self.backend("fixed")["display"], "up unchecked")

    def test_hostile_backends(self):
        """Garbage, silence after the connect, endless headers, a reset, a close, dripping bytes: each has its code,
        the backend goes down, VPP lives"""
        wanted = {
            "garbage": ("L7RSP",),
            "nothing": ("L7TOUT",),
            "headers": ("L7RSP", "L7TOUT"),
            "reset": ("L4CON", "L7RSP"),
            "close": ("L4CON", "L7RSP"),
            "drip": ("L7TOUT",),
        }
        h1, h2 = self.network["h1"].address, self.network["h2"].address
        for words, codes in wanted.items():
            with self.subTest(behaviour=words):
                self.network["h1"].behave(words)
                self.wait_weights(WEB, {h1: 0, h2: 100}, timeout=10)
                self.assertIn(self.newest("h1")[2], codes)
                detail = self.backend("h1")["last_detail"]
                self.assertLessEqual(len(detail), 120)
                self.assertTrue(detail.isprintable() and detail.isascii(), detail)
                self.network["h1"].heal()
                self.wait_weights(WEB, {h1: 100, h2: 100})

    def test_a_frozen_process(self):
        """A stopped process, whose kernel still takes connections, is down with L7TOUT"""
        h1, h2 = self.network["h1"].address, self.network["h2"].address
        self.network["h1"].freeze()
        self.wait_weights(WEB, {h1: 0, h2: 100})
        self.assertEqual(self.newest("h1")[2], "L7TOUT")
        self.network["h1"].thaw()
        self.wait_weights(WEB, {h1: 100, h2: 100})

    def test_memory_stays_bounded(self):
        """Endless headers for many probes do not make VPP grow"""

        def resident():
            with open("/proc/%d/status" % self.vpp.pid, encoding="utf-8") as f:
                return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

        for name in ("h1", "h2"):
            self.network[name].behave("headers")
        self.wait_state("h1", "down")
        before = resident()
        probes = self.show("status")["prober"]["probes"]
        wait_until(lambda: self.show("status")["prober"]["probes"] > probes + 40, "no probes", timeout=30)
        self.assertLess(resident() - before, 20 * 1024, "KiB more than before")

    def test_commands_while_backends_flap(self):
        """Hundreds of commands while backends flap: every answer is whole, and the end is right"""
        h1, h2 = self.network["h1"].address, self.network["h2"].address
        commands = (
            "maglev show status json",
            "maglev show frontends json",
            "show maglev backends json",
            "maglev show frontend web json",
            "maglev show backend h1 json",
            "maglev show lb json",
            "maglev show healthchecks json",
            "maglev show config",
            "maglev set backend h2 disable",
            "maglev set backend h2 enable",
            "maglev set frontend web pool only backend h1 weight 50",
            "maglev set frontend web pool only backend h1 weight default",
        )
        deadline = time.monotonic() + 12
        good, count = True, 0
        while time.monotonic() < deadline:
            good = not good
            self.network["h1"].behave("status 200" if good else "status 503")
            until = time.monotonic() + 0.6
            while time.monotonic() < until:
                command = commands[count % len(commands)]
                answer = self.vapi.cli(command)
                self.assertFalse(answer.startswith("error: "), answer)
                if command.endswith("json"):
                    self.assertIn(answer.strip()[0], "[{")
                count += 1
                if count % 40 == 0:
                    self.do("maglev probe backend t1")
                    self.do("maglev sync")
        self.assertGreater(count, 200)
        self.network.heal()
        self.do("maglev set backend h2 enable")
        self.do("maglev set frontend web pool only backend h1 weight default")
        self.wait_weights(WEB, {h1: 100, h2: 100})
        self.assertEqual(self.show("status")["lb"]["failures"], 0)
        self.assertEqual(self.show("status")["state"], "running")


class TestMaglevWithoutNetns(MaglevTestCase):
    """Probes in VPP's own namespace, backends on its loopback"""

    vpp_worker_count = 0
    with_ports = False
    PORT = 18080

    @classmethod
    def make_config(cls, network):
        config = base_config(network)
        del config["healthchecker"]
        config["healthchecks"]["web"] = check("http", port=cls.PORT, **{"probe-ipv4-src": "127.9.9.9"})
        config["backends"] = {"l1": {"address": "127.77.0.1", "healthcheck": "web"}}
        config["frontends"] = {"local": frontend(LOCAL, pool("only", l1=None))}
        return config

    def test_loopback(self):
        """A backend on loopback goes up and down, probed from the source address that was asked for"""
        process = self.network.spawn(self.PORT, ["127.77.0.1"], namespace=None)
        self.wait_weights(LOCAL, {"127.77.0.1": 100})
        self.assertEqual(self.network.tell(process, "peer").split()[1], "127.9.9.9")
        self.network.end(process)
        self.wait_weights(LOCAL, {"127.77.0.1": 0})
        self.assertIsNone(self.show("status")["prober"]["netns"])

    def test_a_namespace_that_is_not_there(self):
        """A missing namespace is our own fault: SOCKERR, said in show status or show backend, and no state changes"""
        config = self.make_config(self.network)
        config["healthchecker"] = {"netns": "mglv-not-there"}
        config["backends"]["l2"] = {"address": "127.77.0.2", "healthcheck": "web"}
        config["frontends"]["local"]["pools"][0]["backends"]["l2"] = {}
        # It has been probed, so that what it is now is not about to change.
        self.wait_state("l1", "down")
        before = "down"
        self.addCleanup(self.do, "maglev config reload")
        self.addCleanup(self.write_config, self.make_config(self.network))
        self.write_config(config)
        self.do("maglev config reload")
        wait_until(lambda: self.backend("l2")["sockerrs"] > 0, lambda: "no SOCKERR: %s" % self.backend("l2"))
        self.assertEqual(self.state("l2"), "unknown")
        self.assertEqual(self.state("l1"), before)
        self.assertEqual(self.backend("l2")["last_code"], "SOCKERR")
        self.assertIn("mglv-not-there", self.vapi.cli("maglev show backend l2"))


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
