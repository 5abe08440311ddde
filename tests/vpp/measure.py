#!/usr/bin/env python3
"""Figures for docs/measurements.md; not a test.

    build/venv/bin/python tests/vpp/measure.py [down] [scale] [--tries N] [--seconds N]

down    A real VPP with one worker. An HTTP backend (interval 1 s, fast-interval 200 ms, fall 3) dies at a random
        moment; measured is the time until lb holds weight 0 for it, read over the binary API every few
        milliseconds. It dies in two ways: its process is killed (connections refused), its host falls silent.
        Each try must stay within the published bound.
scale   1,000 HTTP backends over 100 frontends, interval 1 s, for 60 seconds. No probe may start more than 100 ms
        late.

Exit status 1 when one of them is not so. Needs root and an installed VPP, as tests/vpp/run does.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time

from backends import Network, sweep
from gre_flows import FlowMixin
from maglev_case import WEB, base_config, frontend, pool, skip_reason, wait_until, yaml
from maglev_harness import Vapi
from vpp_process import VppProcess

INTERVAL, FAST, FALL, TIMEOUT, JITTER = 1.0, 0.2, 3, 1.0, 0.10
BOUNDS = {
    "refused": (1 + JITTER) * (INTERVAL + (FALL - 1) * FAST) + 0.050,
    "silent": (1 + JITTER) * INTERVAL + (FALL - 1) * max((1 + JITTER) * FAST, TIMEOUT) + TIMEOUT,
}
LATE_MS = 100


class Running:
    """A VPP with the plugin over a configuration, and its API."""

    def __init__(self, name, config):
        spare = len(os.sched_getaffinity(0)) - 2
        # Where main and worker have all CPUs there are, they must leave some of them to everybody else.
        self.process = VppProcess(name, workers=1, poll_sleep_usec=0 if spare >= 2 else 100)
        path = self.process.path("maglev.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(yaml({"maglev": config}) + "\n")
        # A file that was written just now is looked at for 200 ms more.
        os.utime(path, (0, 0))
        self.process.stanzas.append(
            "maglev { config %s state-file %s }" % (path, self.process.path("state.json"))
        )

    def __enter__(self):
        try:
            self.process.start()
            self.vapi = Vapi(self.process)
        except Exception:
            self.process.remove()
            raise
        return self

    def __exit__(self, *_):
        self.vapi.disconnect()
        self.process.remove()

    def show(self, what):
        return json.loads(self.vapi.cli("maglev show %s json" % what))


class Reader(FlowMixin):
    """Reads lb over the API."""

    def __init__(self, vapi):
        self.vapi = vapi


def describe(milliseconds):
    """min, median, p90, max of a list."""
    ordered = sorted(milliseconds)
    return "min %d, median %d, p90 %d, max %d ms" % (
        ordered[0],
        statistics.median(ordered),
        ordered[max(0, round(0.9 * len(ordered)) - 1)],
        ordered[-1],
    )


def measure_down(tries):
    """True when every try stays within its bound."""
    good = True
    network = Network()
    try:
        network.create()
        victim = network.add("victim", 1)
        network.add("other", 2)
        config = base_config(network)
        config["healthchecks"] = {
            "http": {
                "type": "http",
                "port": victim.port,
                "interval": "1s",
                "fast-interval": "200ms",
                # Only so that a try follows the other sooner; a backend that goes down is not in it.
                "down-interval": "200ms",
                "fall": FALL,
            }
        }
        config["backends"] = {
            n: {"address": b.address, "healthcheck": "http"} for n, b in network.backends.items()
        }
        config["frontends"] = {"web": frontend(WEB, pool("only", victim=None, other=None))}
        with Running("measure-down", config) as vpp:
            reader = Reader(vpp.vapi)

            def well():
                view = vpp.show("backends victim")
                return view["counter"] == view["counter_max"] and reader.lb_weights(*WEB)[victim.address] == 100

            for way, hurt in (("refused", victim.kill), ("silent", victim.silence)):
                took = []
                for _ in range(tries):
                    wait_until(lambda: reader.lb_weights(*WEB), "not programmed", timeout=40)
                    wait_until(well, "the backend does not come up", timeout=20)
                    time.sleep(random.uniform(0, INTERVAL))
                    hurt()
                    began = time.monotonic()
                    wait_until(
                        lambda: reader.lb_weights(*WEB)[victim.address] == 0,
                        "weight 0 never came",
                        timeout=3 * BOUNDS[way],
                        step=0.002,
                    )
                    took.append(1000 * (time.monotonic() - began))
                    victim.heal()
                bound = 1000 * BOUNDS[way]
                within = sum(t <= bound for t in took)
                good = good and within == tries
                print(
                    "down, %-8s %d of %d tries within the bound of %d ms: %s"
                    % (way + ":", within, tries, bound, describe(took)),
                    flush=True,
                )
    finally:
        network.remove()
    return good


def measure_scale(seconds, backends=1000, frontends=100):
    """True when no probe started late."""
    network = Network()
    try:
        network.create()
        port = 9090
        addresses = ["10.77.%d.%d" % divmod(1024 + n, 256) for n in range(backends)]
        network.give_addresses(addresses)
        network.spawn(port, ["0.0.0.0"])
        config = base_config(network)
        config["healthchecks"] = {"http": {"type": "http", "port": port, "interval": "1s"}}
        config["backends"] = {"b%d" % n: {"address": a, "healthcheck": "http"} for n, a in enumerate(addresses)}
        each = backends // frontends
        config["frontends"] = {
            "f%d" % f: frontend(
                ("192.0.2.%d" % (f + 1), 80),
                pool("only", **{"b%d" % n: None for n in range(f * each, (f + 1) * each)}),
            )
            for f in range(frontends)
        }
        with Running("measure-scale", config) as vpp:
            wait_until(
                lambda: dict(vpp.show("status")["frontends"]) == {"up": frontends},
                lambda: "not all frontends came up: %s" % vpp.show("status"),
                timeout=60,
            )
            time.sleep(2)
            before = vpp.show("status")
            time.sleep(seconds)
            after = vpp.show("status")
            a, b = after["prober"], before["prober"]
            probes, late = a["probes"] - b["probes"], a["late"] - b["late"]
            up = dict(after["backends"]).get("up", 0)
            print(
                "scale: %d backends over %d frontends, %d s: %d probes, %d started more than %d ms late "
                "(of all since the start %d, the latest by %d ms), %d up at the end, longest lb call %d us"
                % (
                    backends,
                    frontends,
                    seconds,
                    probes,
                    late,
                    LATE_MS,
                    a["late"],
                    a["latest_ms"],
                    up,
                    after["lb"]["call_max_us"],
                ),
                flush=True,
            )
            if a["main_stalls"] != b["main_stalls"]:
                print("scale: main stalled %d times" % (a["main_stalls"] - b["main_stalls"]))
            return late == 0 and a["late"] == 0 and up == backends and probes >= 0.85 * backends * seconds
    finally:
        network.remove()


def arguments(description, what, tries):
    """A parser of what all programs that measure understand."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("what", nargs="*", choices=[*what, []], default=[])
    parser.add_argument("--tries", type=int, default=tries)
    return parser


def require_vpp():
    """Ends the program where nothing can be measured."""
    reason = skip_reason()
    if reason:
        print("measure: %s" % reason)
        sys.exit(1)


def main():
    parser = arguments(__doc__, ["down", "scale"], 20)
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    require_vpp()
    sweep()
    print("measure: %d CPUs, one worker" % len(os.sched_getaffinity(0)), flush=True)
    good = True
    if "down" in given.what or not given.what:
        good = measure_down(given.tries) and good
    if "scale" in given.what or not given.what:
        good = measure_scale(given.seconds) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
