"""Thousands of commands while backends flap and others work on lb: no crash, no leak, and repaired in a sync."""

import copy
import itertools
import json
import os
import random
import shutil
import threading
import time
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from faults_case import ADDRESS, SYNC, WANTED, WEIGHT, FaultsCase
from maglev_case import WEB, wait_until, write_yaml

LONG = os.environ.get("MAGLEV_LONG_TESTS") == "1"
WARM_UP = 400
COMMANDS = 60_000 if LONG else 1_200
# At least so long, in seconds, however quick the machine.
STORM = 600 if LONG else 0
WORKERS = 4
FLAPPING = ("http", "body", "talk")
VICTIMS = ("icmp", "dns")
# KiB that the process may be larger at the end than after the warm-up.
GROWTH = 6 * 1024
# A sanitizer keeps what was freed for a while (tests/vpp/sanitize): 16 MiB of it, and what it knows of each block.
if "ASAN_OPTIONS" in os.environ.get("MAGLEV_VPP_WRAPPER", ""):
    GROWTH += 24 * 1024
SHOWS = [
    "show status",
    "show frontends",
    "show frontend web",
    "show backends",
    "show backend http",
    "show healthchecks",
    "show events",
    "show lb",
    "show lb frontend web",
    "show counters",
]
VERBS = [
    "set backend tcp disable",
    "set backend tcp enable",
    "set backend tcp pause",
    "set backend tcp resume",
    "set backend tcp drain",
    "set backend tcp ready",
    "set backend tcp health down",
    "set backend tcp health up",
    "set frontend web pool only backend tcp weight 7",
    "set frontend web pool only backend tcp weight default",
    "sync",
    "sync frontend web",
    "flush frontend web",
    "probe backend tcp",
    "show flow web 198.51.100.7 1234",
    "set backend nobody disable",
    "config check",
]
# What these may be refused for: the words of one worker meet those of another.
REFUSED = ("disabled", "paused", "unknown backend", "reload is under way", "is under way")


class TestMaglevFaultsStorm(FaultsCase):
    """Commands, flaps, reloads and somebody else's hands at once"""

    def setUp(self):
        super().setUp()
        self.stop = threading.Event()
        self.problems = []
        self.done = itertools.count()
        self.count = 0
        # Until then it goes on, whatever the count.
        self.until = 0.0
        # Two configurations that differ in weights and timers; neither recreates the VIP, whose table lb would leak.
        other = copy.deepcopy(self.make_config(self.network))
        other["healthchecks"]["http"]["interval"] = "250ms"
        other["frontends"]["web"]["pools"][0]["backends"]["http"]["weight"] = WEIGHT["http"] - 1
        self.configs = [self.config_path + end for end in (".one", ".other")]
        for path, config in zip(self.configs, (self.make_config(self.network), other)):
            write_yaml(path, config)

    def worker(self, seed, until):
        """Commands, one after the other, each over a vppctl of its own."""
        dice = random.Random(seed)
        while not self.stop.is_set() and (self.count < until or time.monotonic() < self.until):
            self.count = next(self.done)
            kind = dice.random()
            if kind < 0.02:
                command = "config reload"
                with self.lock:
                    shutil.copy(dice.choice(self.configs), self.config_path + ".new")
                    os.rename(self.config_path + ".new", self.config_path)
            elif kind < 0.5:
                command = dice.choice(SHOWS) + " json"
            else:
                command = dice.choice(VERBS)
            answer = self.vppctl("maglev " + command, timeout=30)
            if command.endswith("json"):
                json.loads(answer)
            elif answer.startswith("error: "):
                if not any(w in answer for w in REFUSED):
                    self.problems.append((command, answer))
            elif not answer.strip():
                self.problems.append((command, answer))

    def flap(self):
        """Backends that come and go."""
        dice = random.Random(7)
        while not self.stop.wait(0.1):
            backend = self.network[dice.choice(FLAPPING)]
            backend.behave(dice.choice(["status 200", "status 503", "reset", "garbage", "status 200"]))

    def run_all(self, until, also=lambda: None):
        """Until so many commands are done, with flapping backends; `also` again and again meanwhile."""

        def guarded(what, *args):
            try:
                what(*args)
            except Exception as e:  # told by the test itself
                self.problems.append((what.__name__, repr(e)))
                self.stop.set()

        workers = [threading.Thread(target=guarded, args=(self.worker, n, until)) for n in range(WORKERS)]
        flapper = threading.Thread(target=guarded, args=(self.flap,))
        for t in (*workers, flapper):
            t.start()
        try:
            while any(t.is_alive() for t in workers):
                also()
                time.sleep(0.05)
        finally:
            # After an exception, too.
            self.count, self.until = until, 0.0
            for t in workers:
                t.join()
            self.stop.set()
            flapper.join()
            self.stop.clear()
        self.assertEqual(self.problems, [])

    def quiet(self):
        """All as configured, and what the process holds then: (open files, threads, KiB)."""
        self.write_config(self.make_config(self.network))
        self.do("maglev config reload")
        for verb in ("ready", "disable", "enable"):
            self.do("maglev set backend tcp " + verb)
        self.do("maglev set frontend web pool only backend tcp weight default")
        self.network.heal()
        self.all_up()
        self.healed()
        # The fewest of two seconds: who is in flight just now has one. A backend keeps its socket once it is at full health: twice
        # the same, so that all do who will.
        found, before = [], None
        for _ in range(10):
            found = []
            for _ in range(40):
                time.sleep(0.05)
                found.append(self.open_files())
            fewest = min(map(len, found))
            if fewest == before:
                break
            before = fewest
        return min(found, key=len), self.threads(), self.resident()

    def open_files(self):
        """What the descriptors are, sorted."""
        names = []
        for fd in os.listdir(self.proc("fd")):
            try:
                names.append(os.readlink(self.proc("fd/" + fd)))
            except FileNotFoundError:
                pass
        return sorted(names)

    lock = threading.Lock()

    def spoil(self):
        """Somebody else deletes a server or changes a weight; repaired within a sync, the storm notwithstanding."""
        name = VICTIMS[self.spoilt % len(VICTIMS)]
        how = ("del", "weight 99", "del flush")[self.spoilt % 3]
        server = ADDRESS[name]
        self.vppctl("lb as %s/32 protocol tcp port %d %s %s" % (*WEB, server, how))
        began = time.monotonic()
        wait_until(
            lambda: (self.lb_weights(*WEB) or {}).get(server) == WEIGHT[name],
            lambda: "%s after `%s`: %s\n%s"
            % (server, how, self.lb_weights(*WEB), self.vapi.cli("maglev show frontend web")),
            # Of a machine that is busy with the storm itself.
            timeout=SYNC + 3,
        )
        self.repairs.append(time.monotonic() - began)
        self.spoilt += 1

    def test_storm(self):
        """A thousand commands, reloads among them, while everything flaps and servers vanish from lb: descriptors,
        threads and memory are what they were after the warm-up"""
        self.spoilt, self.repairs = 0, []
        self.run_all(WARM_UP)
        files, threads, memory = self.quiet()
        began = time.monotonic()
        self.until = began + STORM
        self.run_all(WARM_UP + COMMANDS, self.spoil)
        took = time.monotonic() - began
        self.assertGreaterEqual(self.spoilt, 2)
        after = self.quiet()
        print(
            "%d commands in %.0f s; %d repairs, the longest %.1f s; files %d, then %d; threads %d, then %d; KiB %d, then %d"
            % (
                (next(self.done) - WARM_UP, took, self.spoilt, max(self.repairs))
                + (len(files), len(after[0]), threads, after[1], memory, after[2])
            )
        )
        self.assertEqual(self.lb_weights(*WEB), WANTED)
        self.assertLessEqual(len(after[0]), len(files), (files, after[0]))
        self.assertEqual(after[1], threads)
        self.assertLess(after[2] - memory, GROWTH, "KiB more than after the warm-up")
        # A server that others have deleted is one, whoever adds it again.
        self.assertEqual(len(self.lb_servers(*WEB)), len(WANTED))


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
