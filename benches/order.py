"""What goes first: from a word on a backend to weight 0 in all of its VIPs, whatever else there is to do. tests/vpp/measure_order.py measures it."""

import os
import re
import subprocess

from common import TOP, Skipped, say

PYTHON = os.path.join(TOP, "build", "venv", "bin", "python")
SCENES = ("storm", "fill", "many")
LINE = re.compile(r"^(\w+): (\d+) of (\d+) tries within (\d+) s: (?:min (\d+), median (\d+), p90 \d+, max (\d+) ms|-)$")


def parse(text):
    """{scene: what it says of the tries; ms}, of what the program prints."""
    found = {}
    for line in text.splitlines():
        m = LINE.match(line)
        if m:
            came, tries, patience = (int(m[n]) for n in (2, 3, 4))
            times = [None if m[n] is None else int(m[n]) for n in (5, 6, 7)]
            found[m[1]] = {"came": came, "tries": tries, "patience": patience, "least": times[0], "median": times[1], "most": times[2]}
    return found


def run(quick):
    if not os.path.exists(PYTHON):
        raise Skipped("its Python has not been set up: tests/vpp/run does that")
    program = os.path.join(TOP, "tests", "vpp", "measure_order.py")
    done = subprocess.run(
        [PYTHON, program, *SCENES, "--tries", "1" if quick else "5"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=900
    )
    found = parse(done.stdout)
    if done.returncode or set(found) != set(SCENES):
        raise Skipped("tests/vpp/measure_order.py: %s" % (done.stdout.strip().splitlines() or ["said nothing"])[-1])
    for name, row in found.items():
        say("order: %s: %s" % (name, row))
    return {"scenes": found}
