"""docs/benchmarks.md and its plots, from what was measured."""

import os
import platform
import shutil
import subprocess
import time

import svg
from common import TOP, find_vpp

ORDER = ("cpu", "main", "workers", "reaction", "order", "calls", "growth")


def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return None
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else None


def machine():
    """Lines about the machine and the versions."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())
    with open("/proc/meminfo", encoding="utf-8") as f:
        memory = int(f.readline().split()[1]) // 1024 // 1024
    found = ["%d CPUs (%s), %d GiB, Linux %s" % (os.cpu_count(), model, memory, platform.release())]
    revision = first_line("git", "-C", TOP, "describe", "--always", "--dirty")
    found.append("maglev %s, %s" % (revision, first_line("rustc", "--version") or "Rust unknown"))
    haproxy = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")
    found.append((first_line(haproxy, "-v") or "").split(" - ")[0].strip() if haproxy else "HAProxy: not installed")
    install = find_vpp()
    words = (first_line(install.binary, "--version") or "VPP") if install else "VPP: not installed"
    found.append(" ".join(words.split()[:2]).replace("vpp v", "VPP "))
    found.append(first_line("cc", "--version") or "cc")
    return found


class Page:
    def __init__(self, plots):
        self.out, self.plots, self.missed = [], plots, []
        os.makedirs(plots, exist_ok=True)

    def add(self, *lines):
        self.out += list(lines)

    def table(self, head, rows):
        self.add("| %s |" % " | ".join(head), "|%s" % ("---|" * len(head)))
        self.add(*("| %s |" % " | ".join(str(c) for c in row) for row in rows), "")

    def plot(self, name, words, text):
        with open(os.path.join(self.plots, name + ".svg"), "w", encoding="utf-8") as f:
            f.write(text)
        self.add("![%s](%s/%s.svg)" % (words, os.path.basename(self.plots), name), "")

    def judge(self, what, value, target, unit=""):
        """`≤ target`, and whether it is so."""
        good = value <= target
        if not good:
            self.missed.append("%s: %.3g%s instead of %g%s at most" % (what, value, unit, target, unit))
        return "≤ %g%s: %s" % (target, unit, "yes" if good else "**no**")


def spread(s, form="%.1f"):
    return (form + " (" + form + "–" + form + ")") % (s["median"], s["min"], s["max"])


def cpu(page, r):
    page.add(
        "## CPU of a probe", "",
        "%d backends, each probed once a second, all answered by one server process beside the checker. User and system time of the "
        "checking process, %d s windows taken in turn, in µs a probe: median (least–most). `maglev` is `maglev run`, control plane "
        "included. `plugin` is the prober's thread in VPP alone. `floor` is a loop in C with the system calls and the pacing of maglev's "
        "prober (one socket for each backend, dissolved after a probe and connected again), and nothing else (benches/floor.c)." % (r["backends"], r["seconds"]), "",
    )
    kinds = list(r["us"])
    names = [n for n in ("maglev", "plugin", "haproxy", "floor") if any(n in by for by in r["us"].values())]
    page.table(
        ["check"] + names,
        [[k] + [spread(r["us"][k][n]) if n in r["us"][k] else "–" for n in names] for k in kinds],
    )
    rows = []
    for key, s in r["ratios"].items():
        kind, peer = key.split()
        what = "%s, maglev to %s" % (kind, peer)
        rows.append([what, spread(s, "%.2f"), page.judge("CPU, " + what, s["median"], s["target"])])
    page.table(["ratio", "median (least–most)", "target"], rows)
    page.plot("cpu", "CPU of a probe", svg.bars("CPU of a probe", "µs", [(k, [(n, r["us"][k][n]) for n in names if n in r["us"][k]]) for k in kinds]))


def main(page, r):
    page.add(
        "## VPP's main thread", "",
        "What the plugin takes of VPP's main thread while nothing changes, in windows of %d s: the time in its process (by the clock, "
        "with real-time priority for that thread), and the longest single stay, what `lb`'s own handlers took of it apart. The last two columns are "
        "the CPU time of the whole main thread by the kernel, and how much more of it than without probes a probe costs; that has the "
        "time in it that VPP spends awake before each timer." % r["seconds"], "",
    )
    rows, stays = [], []
    for row in r["rows"]:
        rows.append([
            "{:,}".format(row["backends"]),
            "%.0f" % row["turns"]["median"],
            "%.2f %%" % (row["process_us_s"]["median"] / 1e4),
            spread(row["us_a_probe"], "%.2f") if "us_a_probe" in row else "–",
            "%.0f (%.0f)" % (row["longest_us"]["median"], row["longest_us"]["max"]),
            "%.0f" % row["longest_lb_us"]["max"],
            "%.1f %%" % (row["main_cpu_us_s"]["median"] / 1e4),
            spread(row["main_us_a_probe"], "%.1f") if "main_us_a_probe" in row else "–",
        ])
        stays.append(row["longest_us"])
        if "us_a_probe" in row:
            page.judge("main thread, %s probes a second" % row["backends"], row["us_a_probe"]["median"], r["target_us"], " µs a probe")
        page.judge("main thread, longest stay with %s probes a second" % row["backends"], row["longest_us"]["max"], r["target_stay_us"], " µs")
    page.table(["probes a second", "turns a second", "plugin's share", "µs a probe", "longest stay, µs: median (most)", "in `lb`'s handlers, most", "CPU of main", "µs a probe of it"], rows)
    page.add("Targets: %g µs a probe; no stay above %g µs." % (r["target_us"], r["target_stay_us"]), "")
    groups = [("{:,} a second".format(row["backends"]), [("in the plugin's process", row["us_a_probe"])]) for row in r["rows"] if "us_a_probe" in row]
    if groups:
        page.plot("main", "main thread", svg.bars("VPP's main thread, a probe", "µs", groups))


def reaction(page, r):
    page.add(
        "## Reaction", "",
        "From the kill of a backend (its listener closes: connections are refused) to weight 0 in VPP's `lb`, read over its API with 1 ms "
        "between dumps; for HAProxy to its log line `is DOWN`. Both: TCP check, interval 1 s, fast 200 ms, fall 3, 10 %% jitter. "
        "The bound that [behaviour](behaviour.md) promises for these timers is %d ms." % r["bound_ms"], "",
    )
    if not r["rows"]:
        return
    rows = []
    for row in r["rows"]:
        within = "%d of %d" % (row["within"], row["n"])
        rows.append(["{:,}".format(row["backends"]), row["peer"]] + ["%.0f" % row[k] for k in ("min", "median", "p90", "max")] + [within])
        if row["peer"] == "maglev":
            page.judge("reaction, %d backends, longest" % row["backends"], row["max"], r["bound_ms"], " ms")
    page.table(["backends", "", "least, ms", "median", "p90", "most", "within the bound"], rows)
    series = [("%s, %s" % (row["peer"], "{:,}".format(row["backends"])), row["all"]) for row in r["rows"]]
    sizes = sorted({row["backends"] for row in r["rows"]})
    for size in (sizes[0], sizes[-1]):
        some = [s for s, row in zip(series, r["rows"]) if row["backends"] == size]
        page.plot("reaction-%d" % size, "reaction", svg.distribution("From kill to no new flows, {:,} backends".format(size), "ms", some, r["bound_ms"]))


def workers(page, r):
    page.add(
        "## Packets of the worker", "",
        "VPP's packet generator sends 64-byte packets of 4,096 TCP flows through a VIP with 100 servers, on a worker that has a CPU for "
        "itself; they leave as GRE. 10,000 backends behind 100 VIPs, TCP checks, interval 1 s; prober, VPP's main thread (first, as above) and the "
        "server that is probed share another CPU. Windows of %g s. The generator makes what is due since its last turn, %d packets at most, and "
        "never makes up for more: a worker that stands still loses what it would lose with a network card of %d descriptors (VPP's default is 1,024). "
        "Lost is what was due and not made, or made and not sent on to a server. `CPU taken` is how long the kernel ran something else on "
        "the worker's CPU, where nothing of VPP, plugin or benchmark may run; what is lost beyond that is ours. "
        "What a network card, its driver and its interrupts would add is not shown." % (r["seconds"], r["ring"], r["ring"]), "",
    )
    body = []
    for row in r["rows"]:
        body.append(
            ["{:,.0f}".format(row["probes"]), "%.0f" % (row["calls"] / row["seconds"])]
            + ["{:,}".format(row[key]) for key in ("rate", "packets", "lost", "ours")]
            + ["{:,.0f}".format(row["off_us"] / row["seconds"]), "{:,}".format(row["longest_us"])]
        )
    page.table(
        ["probes a second", "`lb` calls a second", "packets a second", "packets", "lost", "of them ours", "CPU taken, µs a second", "longest standstill, µs"], body,
    )
    carried, probed = r["carried"], next(row for row in r["rows"] if row["name"] == "probed")
    words = page.judge("workers, packets lost with {:,.0f} probes a second".format(probed["probes"]), probed["ours"], 0, " packets")
    page.add("Lost with {:,.0f} probes a second while no weight changes: {:,} packets ({}).".format(probed["probes"], probed["ours"], words))
    if probed["probes"] < 0.95 * r["target"]:
        page.add("This machine is too small for {:,} probes a second beside a worker.".format(r["target"]))
    if not carried:
        page.add("At no rate of probes that was tried were there none.")
    else:
        page.add("Highest rate of probes without loss: {:,.0f} a second, with {:,} packets a second.".format(carried["probes"], carried["rate"]))
    flapping = [row for row in r["rows"] if row["name"] == "flapping"]
    longest = max(row["longest_us"] for row in flapping)
    page.add(
        "A weight that changes stops the workers while `lb` builds its table, whoever asks for it: up to %s µs here with ten backends that flap, "
        "for which 1,024 descriptors last up to %s packets a second." % ("{:,}".format(longest), "{:,.0f}".format(1024e6 / max(1, longest))),
        "Without a limit the worker carries %s million packets a second, and %s with the probes beside it."
        % tuple(spread({k: v / 1e6 for k, v in r["limits"][key].items()}, "%.2f") for key in ("none", "probed")), "",
    )


CALLS = {
    "one": "one weight change",
    "failover": "failover of 100, flows kept",
    "flushed": "failover of 100, flushed",
    "rack": "40 of 200 drained",
    "rack flushed": "40 of 200 disabled, flushed",
}


def calls(page, r):
    page.add(
        "## `lb` calls", "",
        "A frontend with two pools of 100 and one with a pool of 200, weight 100 each, tables of {:,}, and a worker with {:,} packets a second. Inside: the "
        "plugin, told by a command. Over the API: a compiled client on VPP's API socket, one call after the other (benches/lbclient.c). A failover gives 100 "
        "servers weight and takes it from 100 others. Flushed: the servers that lose their weight lose their flows, over the API by the flag of their "
        "message. Barriers by VPP's own event log on both sides: how long workers stand still in sum, and at once. Latency: from the first call to the end of the "
        "last, inside by the same log, over the API by the client's clock. In µs, median (least–most).".format(r["length"], r["packets"]), "",
    )
    body = []
    for what, words in CALLS.items():
        inside, api = r["inside"][what], r["api"][what]
        for key, of in (("took", "latency"), ("sum", "barriers in all"), ("longest", "longest barrier")):
            ratio = inside[key]["median"] / max(1, api[key]["median"])
            body.append(["%s: %s" % (words, of), spread(inside[key], "%.0f"), spread(api[key], "%.0f"), "%.3f" % ratio])
        body.append(["%s: number of barriers" % words] + ["%g" % side["calls"]["median"] for side in (inside, api)] + [""])
    body.append(["a call that does nothing: latency", "–", spread(r["api"]["nothing"]["took"], "%.0f"), ""])
    page.table(["", "inside", "over the API", "ratio"], body)
    inside, target, verdicts = r["inside"], r["targets"], []
    for what in ("failover", "flushed"):
        name = "calls, " + CALLS[what]
        verdicts.append([CALLS[what] + ": barriers", page.judge(name + ", barriers", inside[what]["calls"]["max"], target["failover_calls"])])
        verdicts.append([CALLS[what] + ": in all", page.judge(name + ", in all", inside[what]["sum"]["median"] / 1000, target["failover_sum_us"] / 1000, " ms")])
    verdicts.append([CALLS["rack"] + ": barriers", page.judge("calls, " + CALLS["rack"] + ", barriers", inside["rack"]["calls"]["max"], target["rack_calls"])])
    for what, words in CALLS.items():
        found = r["undisturbed"][what]
        longest = page.judge("calls, %s, longest barrier" % words, found["longest"] / 1000, target["longest_us"] / 1000, " ms")
        verdicts.append(["%s: longest barrier, %.1f ms in %d of %d tries" % (words, found["longest"] / 1000, found["n"], inside[what]["longest"]["n"]), longest])
    page.table(["inside", "target"], verdicts)
    page.add(
        "For the longest barrier those tries count in which the kernel took less than %g µs of the CPU from the worker, on which the barrier waits; "
        "if there are none, the try in which it took least." % r["disturbed_us"], "",
    )
    lost, rate = r["lost"], r["lost"]["rate"]
    page.add(
        "Packets that the worker loses meanwhile, at the highest rate of those tried that it carries without loss while nothing happens ({:,} a second; generator and "
        "count as in [packets of the worker](#packets-of-the-worker), without what the kernel took), median (least–most):".format(rate), "",
    )
    body = [["nothing happens"] + [spread(lost[side]["nothing"]["lost"], "%.0f") for side in ("inside", "api")] + [""]]
    for what, words in list(CALLS.items())[1:]:
        two = [lost[side][what]["lost"] for side in ("inside", "api")]
        body.append([words] + [spread(one, "%.0f") for one in two] + ["%.3f" % (two[0]["median"] / max(1, two[1]["median"]))])
    page.table(["packets lost", "inside", "over the API", "ratio"], body)
    inside, api = r["fill"]["inside"], r["fill"]["api"]
    page.add(
        "First fill: {:,} frontends with {} servers each, inside by `maglev config reload`, over the API one message for each VIP and each "
        "server, each time in a VPP of its own; median (least–most) of {}:".format(r["frontends"], r["servers"], inside["sum"]["n"]), "",
    )
    thousandth = lambda s: {key: value / 1000 for key, value in s.items()}  # noqa: E731
    rows = []
    for key, words in (("took", "latency, ms"), ("sum", "barriers in all, ms"), ("longest", "longest barrier, ms"), ("calls", "number of barriers")):
        ratio = "%.2f" % (inside[key]["median"] / max(1, api[key]["median"]))
        two = ["%d" % side[key]["median"] if key == "calls" else spread(thousandth(side[key])) for side in (inside, api)]
        rows.append([words] + two + [ratio])
    rows.append(["in `lb` by the plugin's own count, ms", spread(thousandth(inside["in_lb"])), "–", ""])
    page.table(["first fill", "inside", "over the API", "ratio"], rows)
    page.add(
        "A single call is no shorter from within VPP: nearly all of it is `lb` building its table, and the plugin looks at the VIP before it writes "
        "(one barrier more). Many servers at once are, since `lb`'s command for them, which has no message, builds the table once; see "
        "[behaviour](behaviour.md#many-servers-at-once). Between two barriers VPP lets a worker with packets to forward run for up to 1 ms, on both sides: "
        "the rest of a latency.", "",
    )


def growth(page, r):
    page.add(
        "## Growth", "",
        "Backends that no check watches, ten behind each frontend. Start-up: from the start of the process until `lb` has all. Sync: `maglev "
        "sync` that changes nothing; reload: `maglev config reload` of the same file, both until answered, with 2–3 ms for the client. `show` "
        "commands: beyond a command that does nothing. Longest stay: of the plugin on VPP's main thread in a reload and the sync after it, median "
        "(most) of several, without `lb`'s own handlers; those have a column of their own.", "",
    )
    names = {"tool": "`maglev run`", "plugin": "in VPP"}
    for name, rows in r["rows"].items():
        if not rows:
            continue
        head = ["backends", "frontends", "start-up, s", "of it in `lb`", "sync, ms", "of it in `lb`", "reload, ms", "`show backend`, ms", "`show status`, ms", "`show counters`, ms"]
        body = [
            ["{:,}".format(row["backends"]), "{:,}".format(row["frontends"]), "%.2f" % row["start_s"], "%.2f" % row["start_lb_s"], "%.1f" % row["sync_ms"],
             "%.1f" % row["sync_lb_ms"], "%.0f" % row["reload_ms"], "%.1f" % row["show_ms"], "%.1f" % row["status_ms"], "%.1f" % row["counters_ms"]]
            + (["%.1f (%.1f)" % (row["stay_us"] / 1000, row["stay_most_us"] / 1000), "%.1f" % (row["stay_lb_us"] / 1000)] if "stay_us" in row else [])
            for row in rows
        ]
        page.add(names[name] + ":", "")
        page.table(head + (["longest stay, ms", "in `lb`'s handlers"] if "stay_us" in rows[0] else []), body)
        page.judge("growth, reload of %d backends, %s" % (rows[-1]["backends"], names[name]), rows[-1]["reload_ms"], 1000, " ms")
        if "stay_us" in rows[-1]:
            page.judge("growth, longest stay in a reload of %d backends" % rows[-1]["backends"], rows[-1]["stay_us"] / 1000, 5, " ms")
        # Of the thread that does it, not of the clock: it gives others their turn meanwhile.
        beyond = 1e6 * max(0.0, rows[-1]["sync_busy_ms"] - rows[-1]["sync_lb_ms"]) / rows[-1]["backends"]
        words = page.judge("growth, sync of %d backends beyond `lb`'s dump, %s" % (rows[-1]["backends"], names[name]), beyond, 1000, " ns a server")
        page.add("Sync beyond `lb`'s own dump: %.0f ns a server (%s)." % (beyond, words), "")
        shows = rows[-1].get("shows")
        if shows:
            page.add("What a command of `show` takes of VPP's main thread at a time with %s backends, without `lb`'s own handlers:" % "{:,}".format(rows[-1]["backends"]), "")
            page.table(["command", "ms"], [["`%s`" % name, "%.1f" % ms] for name, ms in shows.items()])
    words = page.judge("growth, memory", r["bytes_a_backend"], 4096, " bytes a backend")
    page.add("Memory with a TCP check for each backend, without tables of `lb`: %.0f bytes a backend (%s)." % (r["bytes_a_backend"], words), "")
    page.table(["backends", "MB"], [["{:,}".format(n), "%.1f" % (b / 1e6)] for n, b in r["memory"]])
    for name, title in (("tool", "maglev run"), ("plugin", "in VPP")):
        rows = r["rows"].get(name)
        if rows:
            series = [(key, [(row["backends"], row[field]) for row in rows]) for key, field in (("sync", "sync_ms"), ("reload", "reload_ms"), ("show counters", "counters_ms"))]
            page.plot("growth-" + name, "growth", svg.lines("Growth, " + title, "ms", "backends", series))


# What measure_order.py does in each scene, and within how many ms all has to be done.
SCENES = {
    "storm": ("1,000 agents say another percentage every 2 s", 250),
    "fill": ("a reload adds 300 frontends of 100 backends", 250),
    "many": ("nothing; the backend is in 2,000 VIPs", 500),
}


def order(page, r):
    page.add(
        "## What goes first", "",
        "From `set backend <b> disable` over the binary API until `lb`, dumped over it, has weight 0 for the backend in all of its VIPs; ms. "
        "There is no peer that programs `lb`; before work had an order, the first two did not happen within 30 s, and the third took 1 to 3.5 s.", "",
    )
    rows = []
    for name, (words, target) in SCENES.items():
        row = r["scenes"][name]
        most = row["most"] if row["came"] == row["tries"] else 1000 * row["patience"]
        rows.append([words, row["tries"], row["median"], "%s–%s" % (row["least"], row["most"]), page.judge("what goes first, " + words, most, target, " ms")])
    page.table(["meanwhile", "tries", "median", "least–most", "all of them"], rows)


SECTIONS = {"cpu": cpu, "main": main, "workers": workers, "reaction": reaction, "order": order, "calls": calls, "growth": growth}


def write(kept, path, plots):
    """Writes the page from what a run has left in results.json."""
    results, took = kept["results"], kept["took"]
    page = Page(plots)
    for name in ORDER:
        result = results.get(name)
        if result is None:
            continue
        if isinstance(result, str):
            page.add("## %s" % name, "", "Not measured: %s." % result, "")
            continue
        SECTIONS[name](page, result)
        for why in result.get("skipped", []):
            page.add("Not measured: %s." % why, "")
    load = "%.1f, %.1f, %.1f" % os.getloadavg()
    head = ["# Benchmarks", ""]
    if kept["quick"]:
        head += ["**A quick run, for development: too short to be quoted.**", ""]
    head += [
        "Made by `make bench` (benches/) on %s in %d s; load at the end %s. Peers run side by side in one run on one machine; what counts is "
        "the ratio." % (time.strftime("%Y-%m-%d", time.gmtime()), took, load), "",
    ]
    if kept.get("again"):
        head += ["Measured once more after the rest, in a run of their own: %s." % ", ".join(kept["again"]), ""]
    head += ["* " + line for line in machine()] + [""]
    if page.missed:
        head += ["Over its target in this run:", ""] + ["* " + m for m in page.missed] + [""]
    elif len(results) == len(ORDER) and not any(isinstance(r, str) for r in results.values()):
        head += ["All targets are met in this run.", ""]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(head + page.out).rstrip() + "\n")
    return page.missed
