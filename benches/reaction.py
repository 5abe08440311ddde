"""From the death of a backend to the end of new flows to it: weight 0 in VPP's lb; HAProxy's own `is DOWN`."""

import os
import random
import re
import socket
import subprocess
import threading
import time

from common import (
    BUILD, Server, Skipped, Vpp, VIP_PORT, addresses, check, config, die_with_parent, haproxy, haproxy_config,
    program, say, summary, vip,
)

INTERVAL, FAST, FALL, JITTER = 1.0, 0.2, 3, 0.10
BOUND_MS = 1000 * ((1 + JITTER) * (INTERVAL + (FALL - 1) * FAST) + 0.050)
POOL = 100


class Seen:
    """Lines of a peer, turned into (address or name, weight) → time, on a thread."""

    def __init__(self, lines, pattern, when):
        self.at, self.pattern, self.when, self.lock = {}, re.compile(pattern), when, threading.Lock()
        threading.Thread(target=self.follow, args=(lines,), daemon=True).start()

    def follow(self, lines):
        for line in lines:
            now = time.monotonic()
            match = self.pattern.search(line)
            if match:
                with self.lock:
                    self.at[match.group("who")] = self.when(match) or now

    def since(self, who, began):
        with self.lock:
            at = self.at.get(who, 0)
        return at if at >= began else None


class Plugin:
    name = "maglev"

    def __init__(self, backends):
        timers = check("tcp", **{"fast-interval": "200ms", "down-interval": "200ms", "fall": FALL, "rise": 2})
        frontends = max(1, len(backends) // POOL)
        self.vpp = Vpp(config(backends, frontends, timers), "reaction")
        self.watched = backends[: min(POOL, len(backends))]
        try:
            self.vpp.settle(len(backends))
            self.vpp.quiet()
            self.client = subprocess.Popen(
                [program("lbclient"), self.vpp.vpp.api_sock, "watch", vip(0), str(VIP_PORT)],
                stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent,
            )
        except BaseException:
            self.vpp.end()
            raise
        when = lambda m: int(m.group(1)) / 1e9  # noqa: E731
        self.down = Seen(self.client.stdout, r"^(\d+) (?P<who>\S+) 0$", when)

    def end(self):
        self.client.kill()
        self.client.wait()
        self.vpp.end()


class Haproxy:
    name = "haproxy"

    def __init__(self, backends):
        path, log = os.path.join(BUILD, "haproxy-reaction.cfg"), os.path.join(BUILD, "haproxy-log.sock")
        if os.path.exists(log):
            os.unlink(log)
        self.log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.log.bind(log)
        text = haproxy_config("tcp", backends, more="fastinter 200ms downinter 200ms", glob="  log %s local0" % log)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("defaults\n", "defaults\n  log global\n"))
        self.names = {a: "b%d" % i for i, a in enumerate(backends)}
        self.watched = backends[: min(POOL, len(backends))]
        self.process = subprocess.Popen(
            [haproxy(), "-db", "-q", "-f", path], stderr=subprocess.DEVNULL, preexec_fn=die_with_parent
        )
        by_name = {n: a for a, n in self.names.items()}
        self.down = Seen(self.lines(by_name), r"Server (?P<who>\S+) is DOWN", lambda m: None)
        time.sleep(3)

    def lines(self, by_name):
        """The log, with addresses instead of names."""
        while True:
            try:
                line = self.log.recv(65536).decode("ascii", "replace")
            except OSError:
                return
            yield re.sub(r"b/(b\d+)", lambda m: by_name.get(m.group(1), "?"), line)

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def tries(peer, server, count, batch):
    """So many deaths, a few at a time, each at a random moment; milliseconds each."""
    took = []
    while len(took) < count:
        dead = {}
        for who in random.sample(peer.watched, min(batch, count - len(took))):
            time.sleep(random.uniform(0, 2 * INTERVAL / batch))
            dead[who] = server.tell("close", who)
        until = time.monotonic() + 5
        while time.monotonic() < until and any(peer.down.since(w, t) is None for w, t in dead.items()):
            time.sleep(0.02)
        for who, at in dead.items():
            down = peer.down.since(who, at)
            if down is None:
                raise RuntimeError("%s never took %s out" % (peer.name, who))
            took.append(1000 * (down - at))
        for who in dead:
            # Not all at once: their next deaths shall not meet them all at one point of their intervals.
            time.sleep(random.uniform(0, 2 * INTERVAL / batch))
            server.tell("open", who)
        # Up again, and at full health.
        time.sleep(2.5 + random.uniform(0, INTERVAL))
    return took


def run(quick):
    rows, skipped = [], []
    sizes = (10,) if quick else (10, 1000, 10000)
    for size in sizes:
        backends = addresses(size)
        count, batch = (10, 5) if quick else ((30, 5) if size == 10 else (50, 10))
        with Server(backends) as server:
            for kind in (Plugin, Haproxy):
                try:
                    peer = kind(backends)
                except Skipped as why:
                    skipped.append("%s: %s" % (kind.name, why))
                    continue
                try:
                    if size >= 10000:
                        time.sleep(5)
                    took = tries(peer, server, count, batch)
                finally:
                    peer.end()
                row = dict(summary(took), peer=peer.name, backends=size, within=sum(t <= BOUND_MS for t in took), all=sorted(took))
                say("reaction: %s, %d backends: median %d, most %d ms" % (peer.name, size, row["median"], row["max"]))
                rows.append(row)
    return {"rows": rows, "bound_ms": BOUND_MS, "skipped": sorted(set(skipped))}
