"""CPU of a probe: maglev, HAProxy, and a bare loop in C, with the same backends, interval and server."""

import os
import subprocess
import time

from common import (
    BUILD, PORT, Skipped, Tool, Vpp, Server, addresses, check, config, die_with_parent, haproxy,
    haproxy_config, opened, program, say, summary, threads,
)

BACKENDS = 2000
TARGETS = {
    ("tcp", "haproxy"): 1.0,
    ("http", "haproxy"): 0.8,
    ("tcp", "floor"): 1.15,
    ("http", "floor"): 1.15,
}


class Other:
    """A checker that is not ours: a process and nothing else."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent
        )
        self.pid = self.process.pid

    def end(self):
        self.process.terminate()
        self.process.wait()


def start(what, kind, backends):
    if what == "maglev":
        return Tool(config(backends, 20, check(kind), **{"sync-interval": "1h"}), "cpu")
    if what == "floor":
        return Other([program("floor"), kind, str(PORT), "1000"] + backends)
    path = os.path.join(BUILD, "haproxy-cpu.cfg")
    with open(path, "w", encoding="utf-8") as f:
        f.write(haproxy_config(kind, backends))
    return Other([haproxy(), "-db", "-q", "-f", path])


def window(what, kind, backends, seconds):
    """Microseconds of CPU a probe, and probes a second."""
    one = start(what, kind, backends)
    try:
        if isinstance(one, Tool):
            # lb in memory is filled: 2,000 tables, seconds on a busy machine.
            one.ready()
            one.settle(len(backends))
            one.quiet()
        # At full health all of them: three passes more, at most 1.1 s from each to the next.
        time.sleep(5)
        cpu, probes, began = sum(threads(one.pid).values()), opened(), time.monotonic()
        time.sleep(seconds)
        cpu, probes, took = sum(threads(one.pid).values()) - cpu, opened() - probes, time.monotonic() - began
    finally:
        one.end()
    if not probes:
        raise RuntimeError("%s makes no probes" % what)
    rate = probes / took
    if abs(rate - len(backends)) > 0.05 * len(backends):
        say("cpu: %s made %d probes a second instead of %d" % (what, rate, len(backends)))
    return 1e6 * cpu / probes, rate


def plugin(kind, backends, rounds, seconds):
    """The same of the prober's thread in VPP, whose main thread has VPP's own work, too."""
    found = []
    doc = config(backends, 20, check(kind), **{"sync-interval": "1h"})
    with Vpp(doc, "cpu") as vpp:
        vpp.settle(len(backends))
        vpp.quiet()
        time.sleep(5)
        for _ in range(rounds):
            cpu, probes = threads(vpp.pid)["maglev-probe"], opened()
            time.sleep(seconds)
            found.append(1e6 * (threads(vpp.pid)["maglev-probe"] - cpu) / (opened() - probes))
    return found


def run(quick):
    backends = addresses(BACKENDS)
    rounds, seconds = (1, 2.0) if quick else (7, 4.0)
    contestants, skipped = ["maglev", "haproxy", "floor"], []
    results = {}
    with Server():
        for kind in ("tcp", "http"):
            for n in range(rounds):
                for what in list(contestants):
                    try:
                        us, rate = window(what, kind, backends, seconds)
                    except Skipped as why:
                        skipped.append("%s: %s" % (what, why))
                        contestants.remove(what)
                        continue
                    say("cpu: %s %s %.1f us a probe, %d a second" % (kind, what, us, rate))
                    results.setdefault(kind, {}).setdefault(what, []).append(us)
            # VPP takes longer to start, and is compared with nobody: one process, after the others.
            try:
                if quick:
                    raise Skipped("a quick run")
                found = plugin(kind, backends, rounds, seconds)
                say("cpu: %s plugin %.1f us a probe" % (kind, summary(found)["median"]))
                results[kind]["plugin"] = found
            except Skipped as why:
                skipped.append("plugin: %s" % why)
    ratios = {}
    for kind, by in results.items():
        for peer in ("haproxy", "floor"):
            if peer in by:
                # Of neighbours in time, so that what the machine does meanwhile meets both.
                each = [a / b for a, b in zip(by["maglev"], by[peer])]
                ratios["%s %s" % (kind, peer)] = dict(summary(each), target=TARGETS[kind, peer])
    return {
        "backends": BACKENDS,
        "seconds": seconds,
        "us": {k: {w: summary(v) for w, v in by.items()} for k, by in results.items()},
        "ratios": ratios,
        "skipped": sorted(set(skipped)),
    }
