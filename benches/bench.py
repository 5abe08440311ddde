#!/usr/bin/env python3
"""maglev side by side with what people use now; `make bench` runs all of it.

    benches/bench.py [--quick] [--only cpu,main,workers,reaction,order,calls,growth] [--again cpu,…] [--from build/benches/results.json]

cpu       CPU of a probe: maglev, HAProxy, a bare loop in C
main      what the plugin takes of VPP's main thread
workers   packets that VPP's worker loses while the plugin probes
reaction  from the death of a backend to weight 0 in lb, against HAProxy
order     the same while agents change weights, a reload fills lb, or 2,000 VIPs have the backend
calls     lb's calls from within VPP, against the API socket
growth    10 … 20,000 backends: memory, start-up, sync, reload, show

The page is docs/benchmarks.md with plots in docs/benchmarks/; of a quick or partial run build/benches/benchmarks.md. What was measured is
kept in build/benches/results.json; --from writes the page anew from it, --again measures some parts of it anew, and the page says which. Parts without their peer are skipped, and the page says so.
Needs root (a network namespace of its own), Python 3, cc, `ip` and `unshare`; `cargo build --release` and `make plugin` come first.
"""

import argparse
import json
import os
import sys
import time

import common
import report


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(report.ORDER))
    parser.add_argument("--again")
    parser.add_argument("--from", dest="source")
    options = parser.parse_args()
    options.only = (options.again or options.only).split(",")
    unknown = [o for o in options.only if o not in report.ORDER]
    if unknown:
        parser.error("no such part: %s" % ", ".join(unknown))
    return options


def measure(options):
    """What each part found, or why it did not run."""
    import calls
    import cpu
    import growth
    import mainthread
    import order
    import reaction
    import workers

    parts = {"cpu": cpu, "main": mainthread, "workers": workers, "reaction": reaction, "order": order, "calls": calls, "growth": growth}
    results = {}
    for name in report.ORDER:
        if name not in options.only:
            continue
        began = time.monotonic()
        try:
            results[name] = parts[name].run(options.quick)
        except common.Skipped as why:
            results[name] = str(why)
            common.say("%s: not measured: %s" % (name, why))
        common.say("%s: %d s" % (name, time.monotonic() - began))
    return results


def main():
    options = arguments()
    whole = set(options.only) == set(report.ORDER)
    measured = os.path.join(common.BUILD, "results.json")
    before = None
    if options.again:
        with open(measured, encoding="utf-8") as f:
            before = json.load(f)
    if options.source:
        with open(options.source, encoding="utf-8") as f:
            kept = json.load(f)
    else:
        common.enter_namespace()
        if not os.path.exists(common.TOOL):
            sys.exit("no %s: `cargo build --release`" % os.path.relpath(common.TOOL))
        common.build()
        began = time.monotonic()
        results = measure(options)
        kept = {"results": results, "took": time.monotonic() - began, "quick": options.quick, "whole": whole}
        if before:
            again = sorted(set(before.get("again", []) + options.only), key=report.ORDER.index)
            kept = {
                "results": {**before["results"], **results},
                "took": before["took"] + kept["took"],
                "quick": before["quick"] or options.quick,
                "whole": before["whole"],
                "again": again,
            }
        with open(measured, "w", encoding="utf-8") as f:
            json.dump(kept, f, indent=1)
    publish = kept["whole"] and not kept["quick"]
    folder = os.path.join(common.TOP, "docs") if publish else common.BUILD
    page = os.path.join(folder, "benchmarks.md")
    missed = report.write(kept, page, os.path.join(folder, "benchmarks"))
    print("%s: %d s" % (os.path.relpath(page), kept["took"]))
    for line in missed:
        print("over its target: " + line)


if __name__ == "__main__":
    main()
