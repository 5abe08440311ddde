"""Packets through a VIP in VPP, from VPP's own packet generator on its worker; and what VPP says of the barrier meanwhile.

The generator as a receive queue: it makes what is due by its rate since its last turn, 256 packets at most, and never makes up for
more than that (src/vnet/pg/input.c). So a worker that stands still loses what a network card with 256 descriptors loses, and
what it lost is what was due less what was made. What was due is counted by a slower stream beside, for which 256 packets last longer.
"""

import os
import re
import socket
import time

from common import VIP_PORT, threads, vip

RING = 256
# How much slower each of the streams beside is than the one before.
SLOWER = 16
# Packets that a window's beginning and end leave open.
SLACK = 4 * SLOWER
STREAMS = ("all", "slower", "slowest")
# VPP's names of the barrier of an API message (`lb`'s among them), of the one that the plugin holds around several calls of
# `lb`, and of that of a command. VPP's log has no barrier of its own for a call within one that is held.
MESSAGE, HELD, COMMAND = "vl_msg_api_barrier_sync", "maglev_shim_barrier_sync", "vlib_cli_dispatch_sub_commands"
LB = (MESSAGE, HELD)
# The worker's thread.
WORKER = "vpp_wk_0"


class Session:
    """One session on VPP's CLI. That vppctl comes and goes would stop the workers in the middle of what is measured."""

    PROMPT = b"vpp# "

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.read()
        self("set terminal pager off")

    def read(self):
        got = b""
        while not got.endswith(self.PROMPT):
            more = self.socket.recv(65536)
            if not more:
                raise RuntimeError("VPP closed its CLI: %s" % got.decode("utf-8", "replace"))
            got += more
        return got[: -len(self.PROMPT)].decode("utf-8", "replace")

    def __call__(self, command):
        """The answer to a command."""
        self.socket.sendall(command.encode() + b"\n")
        # The command comes back first.
        return self.read().partition("\n")[2].replace("\r", "")

    def end(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def barriers(text):
    """Of `show event-logger all`: each barrier that was entered and left, in order: (who asked for it, from when on workers stood still,
    seconds of VPP's clock, and for how long, µs)."""
    asked, found = {}, []
    for line in text.splitlines():
        when, _, what = line.strip().partition(": ")
        entered = re.match(r"bar-trace-(\S+)-#(\d+)$", what)
        left = re.match(r"bar-rel-#(\d+)-e\d+-u\d+-t(\d+)$", what)
        if entered:
            asked[entered.group(2)] = entered.group(1)
        elif left and left.group(1) in asked:
            us = int(left.group(2))
            found.append((asked.pop(left.group(1)), float(when) - us / 1e6, us))
    return found


def missing(made):
    """Packets that were due and were not made, of the fastest of STREAMS, by how many each made: {name: count}."""
    due, slack = made[STREAMS[-1]] * SLOWER, SLACK
    for name in reversed(STREAMS[:-1]):
        lost = due - made[name]
        if lost <= slack:
            lost = 0
        else:
            # What was due is known no better than that from here on.
            slack *= SLOWER
        due = (made[name] + lost) * SLOWER
    return lost


def made(text):
    """Of `show packet-generator`: {name: packets}."""
    return {m.group(1): int(m.group(2)) for m in re.finditer(r"^(\S+)\s+(?:Yes|No)\s+(\d+)", text, re.MULTILINE)}


def sent(text):
    """Of `show interface`: packets sent."""
    found = re.search(r"tx packets\s+(\d+)", text)
    return int(found.group(1)) if found else 0


def balanced(text, address):
    """Of `show lb vips verbose`: packets of a VIP that went to a server."""
    here, total = False, 0
    for line in text.splitlines():
        header = re.match(r"\s*ip[46]-\w+ \[\d+\] (\S+?)/\d+", line)
        if header:
            here = header.group(1) == address
        name, _, value = line.strip().rpartition(": ")
        if here and name in ("packet from existing sessions", "first session packet", "untracked packet"):
            total += int(value)
    return total


def worker_cpu():
    """The CPU on which VppProcess puts the first worker."""
    return sorted(os.sched_getaffinity(0))[1]


class Aside:
    """This process, and what it starts meanwhile, on the CPUs that are not the worker's."""

    def __init__(self):
        self.before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.before - {worker_cpu()})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.sched_setaffinity(0, self.before)


class Traffic:
    """4,096 flows (TCP) to the first frontend of a VPP with one worker; GRE comes out at the other side."""

    def __init__(self, vpp):
        self.vpp, self.cli = vpp, Session(vpp.socket)
        for n, prefix in enumerate(("172.16.0.1/16", "172.31.0.1/24")):
            self.cli("create packet-generator interface pg%d" % n)
            self.cli("set interface ip address pg%d %s" % (n, prefix))
            self.cli("set interface state pg%d up" % n)
        self.cli("set ip neighbor static pg1 172.31.0.2 02:00:00:00:00:02")
        self.cli("ip route add 10.0.0.0/8 via 172.31.0.2 pg1")
        hardware = self.cli("show hardware-interfaces pg0")
        self.mac = re.search(r"Ethernet address (\S+)", hardware).group(1)
        self.streams = []
        self.cli("event-logger trace barrier on")

    def rate(self, rate):
        """From now on so many packets a second, or without limit (None)."""
        for name in self.streams:
            self.cli("packet-generator delete %s" % name)
        rates = [rate / SLOWER**n for n in range(len(STREAMS))] if rate else [None]
        self.streams = list(STREAMS[: len(rates)])
        for name, one in zip(self.streams, rates):
            said = self.cli(
                "packet-generator new { name %s %s size 64-64 worker 0 source pg0 interface pg0 node ethernet-input "
                "data { IP4: 02:00:00:00:00:01 -> %s TCP: 172.16.1.0 - 172.16.16.255 -> %s TCP: 1234 -> %d incrementing 22 } }"
                % (name, "rate %f" % one if one else "", self.mac, vip(0), VIP_PORT)
            )
            if said.strip():
                raise RuntimeError("packet-generator: " + said)
        # The first packets make lb's table of flows, and the generator its buffers.
        self.start()
        time.sleep(0.5)
        self.stop()

    def start(self):
        self.cli("packet-generator enable-stream")

    def stop(self):
        self.cli("packet-generator disable-stream")

    def counted(self):
        """Packets that came out, and that lb sent to a server, so far."""
        return sent(self.cli("show interface pg1")), balanced(self.cli("show lb vips verbose"), vip(0))

    def window(self, seconds, act=None):
        """Packets for so long: made, lost before the worker took them and within it, barriers of lb's calls and of all. With `act`, that
        is done in the middle, in addition to this time."""
        out, chosen = self.counted()
        self.cli("event-logger clear")
        ran, off = (threads(self.vpp.pid, field)[WORKER] for field in (0, 1))
        began = time.monotonic()
        self.start()
        if act:
            time.sleep(seconds / 2)
            act()
        time.sleep(seconds / 2 if act else seconds)
        self.stop()
        took = time.monotonic() - began
        ran, off = (threads(self.vpp.pid, field)[WORKER] - before for field, before in ((0, ran), (1, off)))
        events = self.cli("show event-logger all")
        counts = made(self.cli("show packet-generator"))
        out, chosen = (b - a for a, b in zip((out, chosen), self.counted()))
        packets = sum(counts[name] for name in self.streams)
        # Those of our own commands are before the first packet and after the last.
        stood = [(who, us) for who, _, us in barriers(events) if who != COMMAND]
        return {
            "packets": packets,
            "rate": packets / took,
            "seconds": took,
            "missing": missing(counts) if len(self.streams) > 1 else None,
            "inside": packets - min(out, chosen),
            "calls": sum(who in LB for who, _ in stood),
            "barriers": len(stood),
            "stood_us": sum(us for _, us in stood),
            "longest_us": max((us for _, us in stood), default=0),
            "ran_us": 1e6 * ran,
            "off_us": 1e6 * off,
        }

    def end(self):
        self.cli.end()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
