"""What the tests of faults have in common: a frontend over all kinds of checks, and what must hold whatever breaks."""

import os

from maglev_case import WEB, MaglevTestCase, base_config, check, frontend, pool, wait_until

SYNC = 5
# From a fault's end: passes of a check that backs off to no more than its timeout, and a sync, on a busy machine.
HEALED = SYNC + 5
KINDS = ("http", "tcp", "icmp", "dns", "body", "talk")
WEIGHT = {"http": 100, "tcp": 50, "icmp": 25, "dns": 10, "body": 7, "talk": 3}
ADDRESS = {name: "10.77.0.%d" % (n + 1) for n, name in enumerate(KINDS)}
WANTED = {ADDRESS[n]: w for n, w in WEIGHT.items()}
BODY = "backend says 200"
CHECKS = {
    "http": check("http"),
    "tcp": check("tcp"),
    "icmp": check("icmp"),
    "dns": check("dns", params={"name": "example.org"}),
    "body": check("http", params={"response-regexp": BODY}),
    "talk": check("tcp", params={"send": "GET / HTTP/1.0\r\n\r\n", "expect": BODY}),
}


class FaultsCase(MaglevTestCase):
    """One VPP without workers, a frontend with a backend for each kind of check."""

    vpp_worker_count = 0
    with_ports = False

    @classmethod
    def make_backends(cls, network):
        for number, name in enumerate(KINDS):
            network.add(name, number + 1, options=["--dns"])

    @classmethod
    def make_config(cls, network):
        config = base_config(
            network,
            healthchecks=CHECKS,
            backends={n: {"address": network[n].address, "healthcheck": n} for n in KINDS},
            frontends={"web": frontend(WEB, pool("only", **WEIGHT))},
        )
        config["vpp"]["lb"]["sync-interval"] = "%ds" % SYNC
        return config

    def setUp(self):
        super().setUp()
        self.reset()
        self.wait_weights(WEB, WANTED)

    # What must hold

    def proc(self, what):
        return "/proc/%d/%s" % (self.vpp.pid, what)

    def descriptors(self):
        return len(os.listdir(self.proc("fd")))

    def threads(self):
        return len(os.listdir(self.proc("task")))

    def resident(self):
        """KiB in memory."""
        with open(self.proc("status"), encoding="utf-8") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def views(self):
        return {b["name"]: b for b in self.show("backends")}

    def faults(self):
        """{backend: how many results were our own fault}"""
        return {n: b["sockerrs"] for n, b in self.views().items()}

    def all_pass(self, more=1):
        """Until each backend has had so many passes from now on; from six on all are at full health, and keep their sockets."""
        before = self.views()
        wait_until(
            lambda: all(b["passes"] >= before[n]["passes"] + more for n, b in self.views().items()),
            lambda: "no probe passes: %s" % self.vapi.cli("maglev show backends"),
        )

    def agree(self):
        """Whether states follow from counters, and lb's weights from states; at one moment of a system that moves."""
        before = self.views()
        weights = self.lb_weights(*WEB)
        after = self.views()
        for view in (*before.values(), *after.values()):
            if view["state"] in ("up", "down"):
                self.assertEqual(view["state"] == "up", view["counter"] >= view["rise"], view)
                self.assertLessEqual(view["counter"], view["counter_max"], view)
        for server, weight in weights.items():
            self.assertIn(weight, (0, WANTED[server]), weights)
        if any(before[n]["since_ms"] != after[n]["since_ms"] for n in KINDS):
            # It moved meanwhile.
            return False
        return weights == {ADDRESS[n]: WEIGHT[n] if b["state"] == "up" else 0 for n, b in before.items()}

    def during(self, seconds, more=lambda: None):
        """For so long, at every moment: what agree() says, with a second for lb to follow."""
        end = self.now() + seconds
        while self.now() < end:
            wait_until(
                self.agree,
                lambda: "%s\n%s" % (self.lb_weights(*WEB), self.vapi.cli("maglev show backends")),
                timeout=2.0,
            )
            more()

    @staticmethod
    def now():
        return os.times().elapsed

    def wait_codes(self, **codes):
        """Until each of these backends is down; what took it down was one of the codes, separated by spaces."""
        for name, wanted in codes.items():
            self.wait_state(name, "down")
            view = self.backend(name)
            self.assertIn(view["transitions"][0]["code"], wanted.split(), view)
            self.assertTrue(view["last_detail"].isascii() and len(view["last_detail"]) <= 120, view)

    def healed(self, descriptors=None):
        """All is as configured within a sync, nothing is left behind, and nothing was broken meanwhile."""
        self.wait_weights(WEB, WANTED, timeout=HEALED)
        status = self.show("status")
        self.assertEqual((status["state"], status["prober"]["running"]), ("running", True), status)
        self.assertEqual(status["lb"]["failures"], 0, status)
        self.assertLess(status["prober"]["last_beat_ms_ago"], 3000, status)
        if descriptors is not None:
            # Probes have one each while they run.
            wait_until(
                lambda: self.descriptors() <= descriptors + len(KINDS),
                lambda: "%d descriptors, %d before" % (self.descriptors(), descriptors),
            )
