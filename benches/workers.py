"""Packets that VPP's worker loses while the plugin probes: none."""

import os
import threading
import time

from common import Server, Vpp, addresses, check, config, opened, say, summary, tasks
from traffic import RING, WORKER, Aside, Traffic, worker_cpu

BACKENDS = 10000
# Packets a second, in this order, until one is carried without loss while nothing is probed.
RATES = (1000000, 500000, 250000, 100000)
# Probes a second where the target of 10,000 costs packets.
FEWER = (5000, 2000, 1000)
FLAPPING = 10


class Flapping:
    """The backends that flap die one after the other, ten a second, then come back as they went, and so on."""

    def __init__(self, server, backends):
        self.server, self.backends, self.ended = server, backends, threading.Event()
        self.thread = threading.Thread(target=self.flap, daemon=True)

    def flap(self):
        n = 0
        while not self.ended.wait(0.1):
            which, dead = n % len(self.backends), n // len(self.backends) % 2
            self.server.tell("open" if dead else "close", self.backends[which])
            n += 1
        for backend in self.backends:
            self.server.tell("open", backend)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def started(backends, probes):
    """A VPP with one worker that nothing of ours disturbs."""
    doc = config(backends, max(1, len(backends) // 100), check("tcp") if probes else None, **{"sync-interval": "1h"})
    if probes:
        # Every death and every return is a weight that changes.
        doc["maglev"]["healthchecks"]["flaps"] = check("tcp", "200ms", rise=1, fall=1)
        for n in range(FLAPPING):
            doc["maglev"]["backends"]["b%d" % n]["healthcheck"] = "flaps"
    vpp = Vpp(doc, "workers", workers=1)
    try:
        vpp.settle(len(backends))
        vpp.quiet()
        disturbing = [name for task, name in tasks(vpp.pid) if name != WORKER and worker_cpu() in os.sched_getaffinity(task)]
        if disturbing:
            raise RuntimeError("on the worker's CPU: " + ", ".join(disturbing))
        vpp.undisturbed()
        if probes:
            # At full health all of them.
            time.sleep(3)
    except BaseException:
        vpp.end()
        raise
    return vpp


def windows(traffic, count, seconds, until_lost=False):
    """So many windows; with `until_lost` none after the first that lost packets."""
    found = []
    while len(found) < count and not (until_lost and found and found[-1]["missing"] + found[-1]["inside"]):
        probes, began = opened(), time.monotonic()
        one = traffic.window(seconds)
        one["probes"] = (opened() - probes) / (time.monotonic() - began)
        found.append(one)
    return found


def ours(window, rate):
    """Packets lost in a window, but for those of the time that the kernel took from the worker: nothing of ours may run there."""
    return window["inside"] + max(0, round(window["missing"] - window["off_us"] * rate / 1e6))


def row(name, rate, each):
    """One line of the table: all windows with these probes and packets."""
    found = {key: sum(w[key] for w in each) for key in ("packets", "missing", "inside", "calls", "off_us", "seconds")}
    found["longest_us"] = max(w["longest_us"] for w in each)
    found["probes"] = summary([w["probes"] for w in each])["median"]
    found["lost"] = found["missing"] + found["inside"]
    found["ours"] = sum(ours(w, rate) for w in each)
    found.update(name=name, rate=rate, windows=len(each), each=each)
    say(
        "workers: %s, %d packets a second: %d lost of %d, %d of them ours; %d probes a second, longest standstill %d us"
        % (name, rate, found["lost"], found["packets"], found["ours"], found["probes"], found["longest_us"])
    )
    return found


def carried(rows):
    """The row with the most probes a second that cost no packet, if there is one."""
    good = [r for r in rows if r["name"] == "probed" and not r["ours"]]
    return max(good, key=lambda r: r["probes"], default=None)


def most(traffic, count):
    """Packets a second without any limit."""
    traffic.rate(None)
    return summary([traffic.window(1)["rate"] for _ in range(count)])


def run(quick):
    count, seconds = (2, 1.0) if quick else (5, 2.0)
    backends = addresses(BACKENDS)
    rows, limits = [], {}
    with Server(backends, cpu=min(os.sched_getaffinity(0))) as server:
        with started(backends, 0) as vpp, Aside(), Traffic(vpp) as traffic:
            for rate in RATES:
                traffic.rate(rate)
                each = windows(traffic, count, seconds, until_lost=rate != RATES[-1])
                if not sum(w["missing"] + w["inside"] for w in each):
                    break
            rows.append(row("none", rate, each))
            limits["none"] = most(traffic, count)
        for probes in (BACKENDS,) + FEWER:
            some = backends[:probes]
            with started(some, probes) as vpp, Aside(), Traffic(vpp) as traffic:
                traffic.rate(rate)
                rows.append(row("probed", rate, windows(traffic, count, seconds)))
                if probes == BACKENDS:
                    limits["probed"] = most(traffic, count)
                    for slower in (rate, rate // 10):
                        traffic.rate(slower)
                        with Flapping(server, some[:FLAPPING]):
                            rows.append(row("flapping", slower, windows(traffic, count, seconds)))
            if carried(rows):
                break
    return {"rows": rows, "limits": limits, "seconds": seconds, "ring": RING, "target": BACKENDS, "carried": carried(rows)}
