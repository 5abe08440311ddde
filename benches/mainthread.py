"""What the plugin takes of VPP's main thread while all is well."""

import os
import re
import time

from common import Server, Vpp, addresses, check, config, opened, say, summary, threads

TARGET_US = 3.0
TARGET_STAY_US = 1000


def node(text):
    """The line of our process in `show runtime` as numbers."""
    for line in text.splitlines():
        if line.startswith("maglev-process"):
            return [float(w) for w in re.findall(r"(?<![\w.])[0-9][0-9.]*(?:e[+-]?[0-9]+)?(?![\w.])", line)]
    raise RuntimeError("no maglev-process in: " + text)


def hertz(vpp):
    return 1e9 * float(re.search(r"Base frequency:\s+([0-9.]+) GHz", vpp.cli("show cpu")).group(1))


def window(vpp, seconds, hz):
    """One window: our process's turns and time by `show runtime` (the clock, so what preempts it is in it), the
    longest, and the CPU time of all of the main thread."""
    vpp.cli("clear runtime")
    began, cpu, probes = time.monotonic(), threads(vpp.pid)["vpp_main"], opened()
    time.sleep(seconds)
    cpu, took, probes = threads(vpp.pid)["vpp_main"] - cpu, time.monotonic() - began, opened() - probes
    shown, most = vpp.cli("show runtime"), node(vpp.cli("show runtime max"))
    average, counted = node(shown), float(re.search(r"^Time ([0-9.]+)", shown, re.MULTILINE).group(1))
    turns, clocks, longest = average[2], average[3], most[0]
    return {
        "rate": probes / took,
        "turns": turns / counted,
        "process_us_s": 1e6 * turns * clocks / hz / counted,
        "longest_us": 1e6 * longest / hz,
        "main_cpu_us_s": 1e6 * cpu / took,
    }


def run(quick):
    rounds, seconds = (2, 2.0) if quick else (5, 5.0)
    cpus = sorted(os.sched_getaffinity(0))
    rows = []
    # Not on main's CPU.
    with Server(cpu=cpus[-1]):
        for rate in (0, 1000) if quick else (0, 1000, 10000):
            backends = addresses(max(rate, 1))
            # Without probes: one static backend.
            doc = config(backends, max(1, rate // 100), check("tcp") if rate else None, **{"sync-interval": "1h"})
            with Vpp(doc, "main") as vpp:
                hz = hertz(vpp)
                vpp.settle(len(backends))
                vpp.quiet()
                vpp.undisturbed()
                # At full health all of them.
                time.sleep(5)
                each = [window(vpp, seconds, hz) for _ in range(rounds)]
            row = {key: summary([w[key] for w in each]) for key in each[0]}
            row["backends"] = rate
            if rate:
                row["us_a_probe"] = summary([w["process_us_s"] / w["rate"] for w in each])
                idle = rows[0]["main_cpu_us_s"]["median"]
                row["main_us_a_probe"] = summary([(w["main_cpu_us_s"] - idle) / w["rate"] for w in each])
            rows.append(row)
            say(
                "main: %d backends: %.0f turns a second, %.2f %% of the main thread, longest %d us"
                % (rate, row["turns"]["median"], row["process_us_s"]["median"] / 1e4, row["longest_us"]["max"])
            )
    return {"rows": rows, "seconds": seconds, "target_us": TARGET_US, "target_stay_us": TARGET_STAY_US}
