"""lb's calls: from the plugin within VPP, and from a program over the API socket."""

import subprocess

import workers
from common import VIP_PORT, Vpp, addresses, config, die_with_parent, program, say, summary, threads, vip, write
from traffic import LB, WORKER, Aside, Traffic, barriers

POOL = 100
# A rack is RACK of the servers of a pool of RACKS.
RACK, RACKS = 40, 200
LENGTH = 32768
# So that the worker polls, as one with a network card does, and takes part in every barrier at once.
PACKETS = 100000
# First fill: so many frontends with so many servers each, and the length of table that the plugin chooses for them.
FRONTENDS, SERVERS, SMALL = 1000, 10, 2048
# A try in which the kernel took so much of the worker's CPU says nothing about the longest barrier.
DISTURBED_US = 500
TARGETS = {"failover_calls": 10, "failover_sum_us": 15000, "rack_calls": 3, "longest_us": 5000}


def servers():
    """The addresses of both pools, and of the pool with the rack, which comes first in it."""
    every = addresses(2 * POOL + RACKS)
    return every[:POOL], every[POOL : 2 * POOL], every[2 * POOL :]


def doc():
    """`web` has two pools of 100, `racks` one of 200. The first pool follows the backend `root`, the rack the backend `rack`. No check watches
    either, so that one command fails over the pool, or takes out the rack."""
    first, second, racks = servers()
    backends = {"root": {"address": "10.255.0.1"}, "rack": {"address": "10.255.0.2"}}
    backends.update({"a%d" % i: {"address": a, "track": "root"} for i, a in enumerate(first)})
    backends.update({"b%d" % i: {"address": a} for i, a in enumerate(second)})
    backends.update({"c%d" % i: dict({"address": a}, **({"track": "rack"} if i < RACK else {})) for i, a in enumerate(racks)})
    pool = lambda name, letter, n: {"name": name, "backends": {"%s%d" % (letter, i): {} for i in range(n)}}  # noqa: E731
    frontend = lambda n, pools: {  # noqa: E731
        "address": vip(n), "protocol": "tcp", "port": VIP_PORT, "new-flow-table-length": LENGTH, "pools": pools,
    }
    frontends = {
        "web": frontend(0, [pool("first", "a", POOL), pool("second", "b", POOL)]),
        "racks": frontend(1, [pool("all", "c", RACKS)]),
    }
    lb = {"ipv4-src-address": "192.0.2.1", "sync-interval": "1h"}
    return {"maglev": {"vpp": {"lb": lb}, "backends": backends, "frontends": frontends}}


class Scene:
    """A change: the plugin's command for it, and the messages for the same of a program over the API, each with those that undo it."""

    def __init__(self, words, back, messages, undo, frontend=0, before=None):
        self.words, self.back, self.before = words, back, before
        self.messages, self.undo, self.frontend = messages, undo, frontend


def scenes():
    first, second, racks = servers()
    rack = racks[:RACK]
    each = lambda these, weight: ["%s %s" % (s, weight) for s in these]  # noqa: E731
    back = each(first, 100) + each(second, 0)
    return {
        "one": Scene(
            "set frontend web pool first backend a0 weight 50", "set frontend web pool first backend a0 weight default",
            each(first[:1], 50), each(first[:1], 100),
        ),
        "failover": Scene("set backend root drain", "set backend root ready", each(second, 100) + each(first, 0), back),
        # Standby servers keep their flows when the first pool comes back. Without them the plugin needs one flush for the whole frontend.
        "flushed": Scene(
            "set backend root disable", "set backend root enable", each(second, 100) + each(first, "0f"), back, before="flush frontend web",
        ),
        "rack": Scene("set backend rack drain", "set backend rack ready", each(rack, 0), each(rack, 100), 1),
        "rack flushed": Scene("set backend rack disable", "set backend rack enable", each(rack, "0f"), each(rack, 100), 1),
    }


def stood(traffic, act):
    """What VPP's own log of barriers says of one thing done: how many of lb's calls took one, from the first's beginning to the last's
    end, all of them, the longest; µs."""
    traffic.cli("event-logger clear")
    act()
    found = [(at, us) for who, at, us in barriers(traffic.cli("show event-logger all")) if who in LB]
    if not found:
        raise RuntimeError("lb was not called")
    return {
        "calls": len(found),
        "took": 1e6 * (found[-1][0] - found[0][0]) + found[-1][1],
        "sum": sum(us for _, us in found),
        "longest": max(us for _, us in found),
    }


class Client:
    """lbclient for one frontend: a program that calls lb over the API socket."""

    def __init__(self, vpp, frontend):
        self.process = subprocess.Popen(
            [program("lbclient"), vpp.vpp.api_sock, "calls", vip(frontend), str(VIP_PORT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent,
        )
        # Connected.
        self.send([])

    def send(self, messages):
        """One message after the other; µs from the first to the last answer. No message: one that does nothing."""
        self.process.stdin.write(" ".join(messages) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("lbclient: ended with %d" % self.process.wait())
        return float(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Inside:
    """The plugin. Its commands are given in the session that is open anyway: a client that comes and goes would stop the worker."""

    def __init__(self, vpp, traffic):
        self.vpp, self.traffic = vpp, traffic

    def word(self, words):
        said = self.traffic.cli("maglev " + words)
        if "error" in said.lower():
            raise RuntimeError("%s: %s" % (words, said.strip()))

    def prepare(self, scene):
        if scene.before:
            self.word(scene.before)

    def act(self, scene):
        self.word(scene.words)

    def undo(self, scene):
        self.word(scene.back)
        self.vpp.quiet()

    def measured(self, scene):
        """`off`: for how long the kernel let the worker wait for its CPU meanwhile. A barrier that the worker is late for is longer by that."""
        off = []

        def act():
            before = threads(self.vpp.pid, 1)[WORKER]
            self.act(scene)
            off.append(1e6 * (threads(self.vpp.pid, 1)[WORKER] - before))
            self.vpp.quiet()

        return dict(stood(self.traffic, act), off=off[0])


class Outside:
    """The API's client, while the plugin leaves lb alone."""

    def __init__(self, traffic, clients):
        self.traffic, self.clients = traffic, clients

    def prepare(self, scene):
        # So that it does not have to be woken: the plugin had its turn since.
        self.clients[scene.frontend].send([])

    def act(self, scene):
        return self.clients[scene.frontend].send(scene.messages)

    def undo(self, scene):
        self.clients[scene.frontend].send(scene.undo)

    def measured(self, scene):
        took = []
        return dict(stood(self.traffic, lambda: took.append(self.act(scene))), took=took[0])


def measure(sides, tries):
    """Each scene so many times, by the sides in turn."""
    found = {name: {} for name in sides}
    for what, scene in scenes().items():
        for _ in range(tries):
            for name, side in sides.items():
                side.prepare(scene)
                found[name].setdefault(what, []).append(side.measured(scene))
                side.undo(scene)
    return found


def undisturbed(each):
    """The longest barrier of the tries in which the kernel took less than DISTURBED_US from the worker, and how many they are; if there are
    none, of the try in which it took least."""
    some = [one for one in each if one["off"] < DISTURBED_US] or [min(each, key=lambda one: one["off"])]
    return {"longest": max(one["longest"] for one in some), "n": len(some), "off": max(one["off"] for one in some)}


def carried(traffic):
    """The highest of the rates at which nothing is lost while nothing happens, in one of some windows in which the kernel leaves the worker alone."""
    for rate in workers.RATES:
        traffic.rate(rate)
        for _ in range(5):
            one = traffic.window(1.0)
            if one["off_us"] < 0.01e6 and not workers.ours(one, rate):
                return rate
    return rate


def lost(traffic, sides, rate, tries):
    """Packets lost in each scene but the first, by the sides in turn, and in as long a time in which nothing happens. Of twice as many windows
    those count in which the kernel took least from the worker."""
    found = {name: {} for name in sides}
    for what, scene in [("nothing", None)] + list(scenes().items())[1:]:
        for _ in range(2 * tries):
            for name, side in sides.items():
                if scene:
                    side.prepare(scene)
                one = traffic.window(0.4, scene and (lambda: side.act(scene)))
                one["lost"] = workers.ours(one, rate)
                found[name].setdefault(what, []).append({key: one[key] for key in ("lost", "calls", "stood_us", "off_us")})
                if scene:
                    side.undo(scene)
    kept = lambda each: sorted(each, key=lambda one: one["off_us"])[:tries]  # noqa: E731
    return {name: summaries({what: kept(each) for what, each in by.items()}) for name, by in found.items()}


def filled_inside():
    """The first fill by the plugin: the configuration is loaded while the log runs."""
    size = FRONTENDS * SERVERS
    with Vpp(config(addresses(1), 0, **{"sync-interval": "1h"}), "fill", workers=1) as vpp, Aside(), Traffic(vpp) as traffic:
        ready_for_fill(vpp, traffic)
        before = vpp.show("status")["lb"]["call_total_us"]
        write(vpp.config, config(addresses(size), FRONTENDS, **{"sync-interval": "1h"}))

        def act():
            vpp.command("config reload")
            vpp.settle(size, FRONTENDS)
            vpp.quiet()

        found = stood(traffic, act)
        return dict(found, in_lb=vpp.show("status")["lb"]["call_total_us"] - before)


def filled_outside():
    """The same by single messages, in a VPP of its own."""
    every = addresses(FRONTENDS * SERVERS)
    lines = []
    for f in range(FRONTENDS):
        mine = every[f * SERVERS : (f + 1) * SERVERS]
        lines.append(["vip %s %d" % (vip(f), SMALL)] + ["+%s 100" % s for s in mine])
    with Vpp(config(addresses(1), 0, **{"sync-interval": "1h"}), "fill", workers=1) as vpp, Aside(), Traffic(vpp) as traffic:
        ready_for_fill(vpp, traffic)
        traffic.cli("lb conf ip4-src-address 192.0.2.1")
        with Client(vpp, 0) as client:
            took = []
            found = stood(traffic, lambda: took.extend(client.send(line) for line in lines))
        return dict(found, took=sum(took))


def ready_for_fill(vpp, traffic):
    # VPP writes some eight events for each of the 11,000 messages; by default its log has room for 131,072.
    traffic.cli("event-logger resize 1000000")
    traffic.rate(PACKETS)
    traffic.start()
    vpp.quiet()
    vpp.undisturbed()


def summaries(found):
    return {what: {key: summary([one[key] for one in each]) for key in each[0]} for what, each in found.items()}


def run(quick):
    tries = 1 if quick else 10
    with Vpp(doc(), "calls", workers=1) as vpp, Aside(), Traffic(vpp) as traffic:
        traffic.rate(PACKETS)
        traffic.start()
        vpp.settle(2 * POOL + RACKS + 2)
        vpp.quiet()
        vpp.undisturbed()
        with Client(vpp, 0) as web, Client(vpp, 1) as racks:
            sides = {"inside": Inside(vpp, traffic), "api": Outside(traffic, [web, racks])}
            each = measure(sides, tries)
            found = {name: summaries(by) for name, by in each.items()}
            found["api"]["nothing"] = {"took": summary([web.send([]) for _ in range(tries)])}
            found["undisturbed"] = {what: undisturbed(some) for what, some in each["inside"].items()}
            traffic.stop()
            rate = carried(traffic)
            found["lost"] = dict(lost(traffic, sides, rate, 1 if quick else 3), rate=rate)
    for where in ("inside", "api"):
        for what in scenes():
            one = found[where][what]
            say("calls: %s, %s: %.0f us, %g barriers, %.0f us, longest %.0f us" % ((where, what) + tuple(one[k]["median"] for k in ("took", "calls", "sum", "longest"))))
            if what != "one":
                say("calls: %s, %s: %.0f packets lost of %d a second" % (where, what, found["lost"][where][what]["lost"]["median"], rate))
    fills = {"inside": [], "api": []}
    for _ in range(1 if quick else 3):
        fills["inside"].append(filled_inside())
        fills["api"].append(filled_outside())
    found["fill"] = summaries(fills)
    say("calls: fill: %s" % {side: {key: round(s["median"]) for key, s in by.items()} for side, by in found["fill"].items()})
    return dict(found, packets=PACKETS, disturbed_us=DISTURBED_US, length=LENGTH, frontends=FRONTENDS, servers=SERVERS, targets=TARGETS)
