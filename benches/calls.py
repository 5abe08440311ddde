"""lb's calls: from the plugin within VPP, and from a program over the API socket."""

import subprocess

from common import PORT, VIP_PORT, Vpp, Server, addresses, program, say, summary, vip

POOL = 100


def doc():
    """Two pools of 100. The first follows one backend, which no check watches, so that one word fails all of it over."""
    first, second = addresses(2 * POOL)[:POOL], addresses(2 * POOL)[POOL:]
    backends = {"root": {"address": "10.255.0.1"}}
    backends.update({"a%d" % i: {"address": a, "track": "root"} for i, a in enumerate(first)})
    backends.update({"b%d" % i: {"address": a} for i, a in enumerate(second)})
    pools = [
        {"name": "first", "backends": {"a%d" % i: {} for i in range(POOL)}},
        {"name": "second", "backends": {"b%d" % i: {} for i in range(POOL)}},
    ]
    web = {"address": vip(0), "protocol": "tcp", "port": VIP_PORT, "pools": pools}
    lb = {"ipv4-src-address": "192.0.2.1", "sync-interval": "1h"}
    return {"maglev": {"vpp": {"lb": lb}, "backends": backends, "frontends": {"web": web}}}, first, second


def spent(vpp):
    """Calls of the plugin to lb so far, and microseconds in them."""
    calls = vpp.show("status")["lb"]
    return calls["calls"], calls["call_total_us"]


def inside(tries):
    """Microseconds in lb: of one weight change, of a failover; and from the word to the end of the last call."""
    one, failover, steps = [], [], []
    with Vpp(doc()[0], "calls") as vpp:
        vpp.settle(2 * POOL + 1)
        vpp.quiet()
        for n in range(tries):
            for weight, into in (("50", one), ("default", None)):
                before = spent(vpp)
                vpp.command("set frontend web pool first backend a0 weight " + weight)
                vpp.quiet()
                after = spent(vpp)
                if into is not None and after[0] > before[0]:
                    into.append(after[1] - before[1])
            for word, into in (("drain", failover), ("ready", None)):
                before = spent(vpp)
                vpp.command("set backend root " + word)
                vpp.quiet()
                after = spent(vpp)
                if into is not None:
                    into.append(after[1] - before[1])
                    steps.append(after[0] - before[0])
    return one, failover, steps


def outside(tries):
    """The same calls by lbclient, to a VPP whose plugin leaves lb alone meanwhile."""
    document, first, second = doc()
    found = {"nothing": [], "one": [], "failover": []}
    with Vpp(document, "calls") as vpp:
        vpp.settle(2 * POOL + 1)
        vpp.quiet()
        command = [program("lbclient"), vpp.vpp.api_sock, "calls", vip(0), str(VIP_PORT), str(tries)]
        done = subprocess.run(command + first + ["--"] + second, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        for line in done.stdout.splitlines():
            what, us = line.split()
            found[what].append(float(us))
    return found


def run(quick):
    tries = 1 if quick else 10
    one, failover, steps = inside(tries)
    say("calls: inside, one %.0f us, failover %.0f us" % (summary(one)["median"], summary(failover)["median"]))
    api = outside(tries)
    say("calls: over the API, one %.0f us, failover %.0f us" % (summary(api["one"])["median"], summary(api["failover"])["median"]))
    return {
        "inside": {"one": summary(one), "failover": summary(failover), "calls": summary(steps)},
        "api": {k: summary(v) for k, v in api.items()},
    }
