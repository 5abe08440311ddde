#!/usr/bin/env python3
"""Figures for docs/measurements.md, "What goes first"; not a test.

    build/venv/bin/python tests/vpp/measure_order.py [storm] [fill] [many] [--tries N]

Measured is the time from `set backend victim disable` over the binary API until lb, dumped over the same API, has weight 0
for it in all of its VIPs; a real VPP with one worker.

storm   1,000 agents in one frontend, asked each 2 s, say another percentage each time; the victim is in it and in a frontend
        at another address.
fill    A reload adds 300 frontends of 100 backends; the victim is in one that was there before.
many    The victim is in 2,000 VIPs.

$MAGLEV_PLUGIN names another plugin to compare with. Needs root and an installed VPP, as tests/vpp/run does.
"""

import json
import os
import random
import sys
import time

from maglev_case import frontend, pool, wait_until, yaml
from measure import Running, arguments, describe, require_vpp
from test_maglev_agent_storm import Restless

# Longer is not waited for.
PATIENCE = 30.0
LB = {"ipv4-src-address": "192.0.2.254"}
STATIC = {name: {"address": "10.99.0.%d" % (n + 1)} for n, name in enumerate(("victim", "other", "third"))}


def vip(n):
    return ("198.18.%d.%d" % divmod(n, 200), 80)


def three(n):
    return frontend(vip(n), pool("p", victim=None, other=None, third=None))


def verb(vpp, word):
    answer = vpp.vapi.cli("maglev set backend victim %s" % word)
    if not answer.startswith("backend `victim`"):
        raise SystemExit(answer)


def weight(vpp, name):
    """The victim's weight in lb, in one frontend; None: it is not there."""
    vips = json.loads(vpp.vapi.cli("maglev show lb frontend %s json" % name))["vips"]
    servers = [s for v in vips for s in v["servers"] if s["address"] == STATIC["victim"]["address"]]
    return servers[0]["weight"] if servers else None


def until_out(vpp, names):
    """Seconds until the victim has no weight in these frontends, or None."""
    began = time.monotonic()
    for name in names:
        while weight(vpp, name) != 0:
            if time.monotonic() - began > PATIENCE:
                return None
            time.sleep(0.001)
    return time.monotonic() - began


def tell(what, took):
    came = [1000 * t for t in took if t is not None]
    text = describe(came) if came else "-"
    print("%s: %d of %d tries within %d s: %s" % (what, len(came), len(took), PATIENCE, text), flush=True)


def settled(vpp, names):
    wait_until(lambda: all(weight(vpp, name) == 100 for name in names), "no weight", timeout=120)


def measure_storm(tries, agents=1000):
    restless = Restless()
    restless.start()
    restless.listens.wait()
    agent = {"address": "127.0.0.1", "port": restless.port, "interval": "2s", "timeout": "1s"}
    names = {"a%d" % n: {"address": "10.98.%d.%d" % divmod(n, 250), "agent": agent} for n in range(agents)}
    many = frontend(vip(0), pool("p", victim=None, other=None, third=None, **dict.fromkeys(names)))
    many["new-flow-table-length"] = 65536
    config = {"vpp": {"lb": LB}, "backends": {**STATIC, **names}, "frontends": {"many": many, "few": three(1)}}
    with Running("measure-storm", config) as vpp:
        took, names = [], ["many", "few"]
        settled(vpp, names)
        wait_until(lambda: restless.said > 4 * agents, "agents are not asked", timeout=60)
        before, began = vpp.show("status")["lb"]["call_total_us"], time.monotonic()
        time.sleep(20)
        share = (vpp.show("status")["lb"]["call_total_us"] - before) / (time.monotonic() - began) / 1e4
        print("storm: %d percentages a second, lb's calls take %.1f %% of the time" % (agents / 2, share), flush=True)
        for _ in range(tries):
            time.sleep(random.uniform(1, 3))
            verb(vpp, "disable")
            took.append(until_out(vpp, names))
            if took[-1] is None:
                break
            verb(vpp, "enable")
            settled(vpp, names)
        tell("storm", took)
    restless.loop.call_soon_threadsafe(restless.loop.stop)


def programmed(vpp, n):
    """Whether a new frontend is in lb."""
    answer = vpp.vapi.cli("maglev show frontends f%d json" % n)
    return answer.startswith("{") and json.loads(answer)["programmed"]


def measure_fill(tries, frontends=300, backends=100):
    names = {"b%d" % n: {"address": "10.97.0.%d" % (n + 1)} for n in range(backends)}
    config = {"vpp": {"lb": LB}, "backends": {**STATIC, **names}, "frontends": {"old": three(0), "older": three(1)}}
    full = {**config, "frontends": dict(config["frontends"])}
    for n in range(frontends):
        full["frontends"]["f%d" % n] = frontend(vip(n + 2), pool("p", **dict.fromkeys(names)))
    took = []
    for _ in range(tries):
        with Running("measure-fill", config) as vpp:
            settled(vpp, ["old", "older"])
            path = vpp.process.path("maglev.yaml")
            with open(path + ".new", "w", encoding="utf-8") as f:
                f.write(yaml({"maglev": full}) + "\n")
            os.utime(path + ".new", (0, 0))
            os.rename(path + ".new", path)
            vpp.vapi.cli("maglev config reload force")
            wait_until(lambda: programmed(vpp, 20), "nothing is filled", timeout=60, step=0.01)
            verb(vpp, "disable")
            took.append(until_out(vpp, ["old", "older"]))
            if programmed(vpp, frontends - 1):
                print("fill: it was over before", flush=True)
    tell("fill", took)


def measure_many(tries, frontends=2000):
    config = {"vpp": {"lb": LB}, "backends": STATIC, "frontends": {"f%d" % n: three(n) for n in range(frontends)}}
    with Running("measure-many", config) as vpp:
        took, names = [], ["f%d" % n for n in range(frontends)]
        settled(vpp, names[-1:])
        for _ in range(tries):
            verb(vpp, "disable")
            # The last one by address is read, and all of them once that is out: they go in this order.
            took.append(until_out(vpp, names[-1:]))
            began = time.monotonic()
            if took[-1] is None or until_out(vpp, names) is None:
                break
            print("many: %d ms, all read %.1f s later" % (1000 * took[-1], time.monotonic() - began), flush=True)
            verb(vpp, "enable")
            settled(vpp, names)
        tell("many", took)


def main():
    scenes = {"storm": measure_storm, "fill": measure_fill, "many": measure_many}
    given = arguments(__doc__, scenes, 5).parse_args()
    require_vpp()
    for name, measure in scenes.items():
        if name in given.what or not given.what:
            measure(given.tries)
    return 0


if __name__ == "__main__":
    sys.exit(main())
