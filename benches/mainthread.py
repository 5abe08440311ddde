"""What the plugin takes of VPP's main thread while all is well."""

import os
import time

from common import Server, Vpp, addresses, check, config, opened, say, summary, threads

TARGET_US = 3.0
TARGET_STAY_US = 1000


def window(vpp, seconds):
    """One window: the turns of our process and their time (by the clock, so what preempts it is in it), the longest with
    and without lb's handlers, and the CPU time of all of the main thread."""
    vpp.stays()
    began, cpu, probes = time.monotonic(), threads(vpp.pid)["vpp_main"], opened()
    time.sleep(seconds)
    cpu, took, probes = threads(vpp.pid)["vpp_main"] - cpu, time.monotonic() - began, opened() - probes
    turn = vpp.stays()["turn"]
    return {
        "rate": probes / took,
        "turns": turn["n"] / took,
        "process_us_s": (turn["own_us"] + turn["lb_us"]) / took,
        "longest_us": turn["longest_own_us"],
        "longest_lb_us": turn["longest_lb_us"],
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
                vpp.settle(len(backends))
                vpp.quiet()
                vpp.undisturbed()
                # At full health all of them.
                time.sleep(5)
                each = [window(vpp, seconds) for _ in range(rounds)]
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
