"""How it grows: from 10 backends behind one frontend to 20,000 behind 2,000."""

import time

from common import Server, Skipped, Tool, Vpp, addresses, check, config, ctl, say, summary, threads

SIZES = ((10, 1), (100, 10), (1000, 100), (10000, 1000), (20000, 2000))
MEMORY_TARGET = 4096
RELOAD_TARGET_MS = 1000
STAY_TARGET_US = 5000
SYNC_TARGET_NS = 1000


def resident(pid):
    """Bytes of memory that the process has, but for files."""
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        fields = dict(line.split(":", 1) for line in f.readlines()[1:])
    return 1024 * int(fields["Anonymous"].split()[0])


def memory(size):
    """Memory of the tool with so many backends that are checked, and one small frontend: lb's tables are not counted."""
    doc = config(addresses(size), 1, check("tcp", "10s", **{"fast-interval": "2s"}))
    pool = doc["maglev"]["frontends"]["f0"]["pools"][0]
    pool["backends"] = dict(list(pool["backends"].items())[:10])
    with Tool(doc, "memory") as tool:
        tool.ready()
        tool.settle(size)
        time.sleep(3)
        return resident(tool.pid)


def median_ms(maglev, command, tries):
    """Milliseconds of a command, beyond those of one that does nothing."""
    took, nothing = [], []
    for _ in range(tries):
        nothing.append(ctl(maglev.socket, "show version")[1])
        took.append(ctl(maglev.socket, command)[1])
    return max(0.0, 1000 * (summary(took)["median"] - summary(nothing)["median"]))


def spent_ms(maglev):
    """Milliseconds so far of the thread that does it all, and those of them in lb's handlers. In VPP of our process alone,
    counted where they are spent; in the tool CPU time, and calls to its lb by the clock."""
    if isinstance(maglev, Vpp):
        turn = maglev.stays()["turn"]
        return (turn["own_us"] + turn["lb_us"]) / 1000, turn["lb_us"] / 1000
    return 1000 * threads(maglev.pid)["maglev"], maglev.show("status")["lb"]["call_total_us"] / 1000


def of_sync(maglev, tries):
    """Milliseconds of a sync that changes nothing: until it is answered, of our thread, and of those in lb's handlers."""
    took, busy, in_lb = [], [], []
    for _ in range(tries):
        before = spent_ms(maglev)
        took.append(1000 * maglev.command("sync")[1])
        after = spent_ms(maglev)
        # In VPP it begins anew with each look.
        before = (0, 0) if isinstance(maglev, Vpp) else before
        busy.append(after[0] - before[0])
        in_lb.append(after[1] - before[1])
    return [summary(x)["median"] for x in (took, busy, in_lb)]


SHOWN = ("show backends b0", "show status", "show counters json", "show backends json", "show frontends json", "show lb json", "show config")


def stays_of_shows(vpp, tries):
    """Milliseconds for which VPP's main thread is ours for each, without lb's handlers: the longest stay, the median of several."""
    found = {}
    for command in SHOWN:
        each = []
        for _ in range(tries):
            vpp.stays()
            vpp.command(command)
            each.append(vpp.stays()["command"]["longest_own_us"] / 1000)
        found[command.replace(" b0", " <b>")] = summary(each)["median"]
    return found


def start_up(kind, doc, size, frontends):
    """Starts it; the seconds until lb has all."""
    began = time.monotonic()
    maglev = kind(doc, "growth")
    try:
        if isinstance(maglev, Tool):
            maglev.ready()
        seen, last, until = [], None, began + 240
        while True:
            status = maglev.show("status")
            calls = status["lb"]["calls"]
            up = dict(status["frontends"]).get("up", 0) == frontends and dict(status["backends"]).get("up", 0) == size
            if calls != last:
                last = calls
                seen.append(time.monotonic())
            # At least one call for each frontend: a large configuration is applied before lb is asked anything.
            if up and calls >= frontends and time.monotonic() - seen[-1] > 0.7:
                return maglev, seen[-1] - began, status["lb"]
            if time.monotonic() > until:
                raise RuntimeError("not programmed after 240 s: %s" % status["lb"])
            time.sleep(0.02)
    except BaseException:
        maglev.end()
        raise


def grown(kind, size, frontends, tries):
    # Nothing is probed: each backend is up at once.
    doc = config(addresses(size), frontends, **{"sync-interval": "1h"})
    maglev, took, lb = start_up(kind, doc, size, frontends)
    row = {"backends": size, "frontends": frontends, "start_s": took, "start_calls": lb["calls"]}
    row["start_lb_s"] = lb["call_total_us"] / 1e6
    with maglev:
        vpp = isinstance(maglev, Vpp)
        if vpp:
            maglev.undisturbed()
        row["sync_ms"], row["sync_busy_ms"], row["sync_lb_ms"] = of_sync(maglev, tries)
        maglev.quiet()
        took, own, lb = [], [], []
        for _ in range(tries):
            if vpp:
                maglev.stays()
            took.append(1000 * maglev.command("config reload")[1])
            maglev.quiet()
            if vpp:
                turn = maglev.stays()["turn"]
                own.append(turn["longest_own_us"])
                lb.append(turn["longest_lb_us"])
        row["reload_ms"] = summary(took)["median"]
        if vpp:
            row["stay_us"], row["stay_most_us"], row["stay_lb_us"] = summary(own)["median"], max(own), summary(lb)["median"]
            row["shows"] = stays_of_shows(maglev, min(tries, 3))
        for name, command in (("show_ms", "show backends b0"), ("status_ms", "show status"), ("counters_ms", "show counters json")):
            row[name] = median_ms(maglev, command, tries)
    return row


def run(quick):
    sizes = SIZES[:4:2] if quick else SIZES
    tries = 2 if quick else 7
    rows, skipped = {}, []
    with Server():
        held = {size: memory(size) for size in ((10, 1000) if quick else [s for s, _ in SIZES])}
    say("growth: memory " + ", ".join("%d: %.1f MB" % (n, b / 1e6) for n, b in held.items()))
    for name, kind in (("tool", Tool), ("plugin", Vpp)):
        rows[name] = []
        for size, frontends in sizes:
            try:
                row = grown(kind, size, frontends, tries)
            except Skipped as why:
                skipped.append("%s: %s" % (name, why))
                break
            say("growth: %s %s" % (name, {k: round(v, 2) for k, v in row.items() if k != "shows"}))
            rows[name].append(row)
    most, least = max(held), min(held)
    return {
        "rows": rows,
        "memory": sorted(held.items()),
        "bytes_a_backend": (held[most] - held[least]) / (most - least),
        "skipped": skipped,
    }
