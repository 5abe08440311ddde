"""lb's calls: from the plugin within VPP, and from a program over the API socket."""

import subprocess

from common import VIP_PORT, Vpp, addresses, die_with_parent, program, say, summary, vip
from traffic import MESSAGE, Aside, Traffic, barriers

POOL = 100
# So that the worker polls, as one with a network card does, and takes part in every barrier at once.
PACKETS = 100000


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


def stood(traffic, act):
    """What VPP's own log of barriers says of one thing done: how many messages to lb took one, from the first's beginning to the last's
    end, all of them, the longest; µs."""
    traffic.cli("event-logger clear")
    act()
    found = [(at, us) for who, at, us in barriers(traffic.cli("show event-logger all")) if who == MESSAGE]
    if not found:
        raise RuntimeError("lb was not called")
    return {
        "calls": len(found),
        "took": 1e6 * (found[-1][0] - found[0][0]) + found[-1][1],
        "sum": sum(us for _, us in found),
        "longest": max(us for _, us in found),
    }


def inside(vpp, traffic, tries):
    """One weight change, then a failover, so many times; and back."""
    def word(words):
        def act():
            vpp.command(words)
            vpp.quiet()
        return act

    found = {"one": [], "failover": []}
    for _ in range(tries):
        found["one"].append(stood(traffic, word("set frontend web pool first backend a0 weight 50")))
        word("set frontend web pool first backend a0 weight default")()
        found["failover"].append(stood(traffic, word("set backend root drain")))
        word("set backend root ready")()
    return found


def outside(vpp, traffic, tries, first, second):
    """The same calls by lbclient, while the plugin leaves lb alone; what takes no time in lb is a message that does nothing."""
    client = subprocess.Popen(
        [program("lbclient"), vpp.vpp.api_sock, "calls", vip(0), str(VIP_PORT)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent,
    )

    def say_weights(*weights):
        client.stdin.write(" ".join("%s %d" % w for w in weights) + "\n")
        client.stdin.flush()
        answer = client.stdout.readline()
        if not answer:
            raise RuntimeError("lbclient: ended with %d" % client.wait())
        return float(answer)

    def measured(*weights):
        took = []
        return dict(stood(traffic, lambda: took.append(say_weights(*weights))), took=took[0])

    over = [(s, 100) for s in second] + [(s, 0) for s in first]
    back = [(s, 100) for s in first] + [(s, 0) for s in second]
    found = {"nothing": [], "one": [], "failover": []}
    try:
        for _ in range(tries):
            found["nothing"].append({"took": say_weights()})
            found["one"].append(measured((first[0], 50)))
            say_weights((first[0], 100))
            found["failover"].append(measured(*over))
            say_weights(*back)
    finally:
        client.kill()
        client.wait()
    return found


def summaries(found):
    return {what: {key: summary([one[key] for one in each]) for key in each[0]} for what, each in found.items()}


def run(quick):
    tries = 1 if quick else 10
    document, first, second = doc()
    with Vpp(document, "calls", workers=1) as vpp, Aside(), Traffic(vpp) as traffic:
        traffic.rate(PACKETS)
        traffic.start()
        vpp.settle(2 * POOL + 1)
        vpp.quiet()
        vpp.undisturbed()
        found = {"inside": summaries(inside(vpp, traffic, tries)), "api": summaries(outside(vpp, traffic, tries, first, second))}
    for where, by in found.items():
        for what in ("one", "failover"):
            say("calls: %s, %s: %.0f us, barriers %.0f us" % (where, what, by[what]["took"]["median"], by[what]["sum"]["median"]))
    return dict(found, packets=PACKETS)
