"""A wire between two network namespaces that loses, delays, doubles and reorders packets.

    lossy_wire.py NAMESPACE NAMESPACE

What `tc netem` does, where the kernel has no netem: a tun device `wire` in each namespace, and this process
between the two. Standard library only. Its dice are seeded: the same packets meet the same fate. Each line on
standard input is answered with `ok`; end of input ends the wire, and the devices with it:

    pass                         from the start: every packet, at once
    fault LOSS DELAY MORE TWICE  percent lost; milliseconds of delay, plus or minus up to MORE for each packet (which
                                 reorders them); percent sent twice
    unreachable CODE             every packet from the first namespace is lost, and answered with this code of ICMP's
                                 "destination unreachable"
    count                        `ok <passed> <lost> <doubled> <overtaken>` since the start
"""

import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
# A packet that finds so many before it is lost, as in any queue.
QUEUE = 4096
ROUTER = bytes((10, 76, 0, 254))


def tun(namespace):
    """The descriptor of a new tun device in a namespace; the process stays in it."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open("/run/netns/" + namespace, os.O_RDONLY | os.O_CLOEXEC)
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns %s" % namespace)
    os.close(fd)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN | IFF_NO_PI))
    return device


def total(data):
    """The internet checksum."""
    data += bytes(len(data) & 1)
    words = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    words = (words >> 16) + (words & 0xFFFF)
    return ~(words + (words >> 16)) & 0xFFFF


def unreachable(packet, code):
    """A router's answer to an IPv4 packet."""
    body = struct.pack(">BBHI", 3, code, 0, 0) + packet[:128]
    body = body[:2] + struct.pack(">H", total(body)) + body[4:]
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, 1, 0) + ROUTER + packet[12:16]
    return head[:10] + struct.pack(">H", total(head)) + head[12:] + body


class Wire:
    """The packets under way."""

    def __init__(self, ends):
        self.peer = {ends[0]: ends[1], ends[1]: ends[0]}
        self.dice = random.Random(20)
        self.fault = None
        self.code = None
        self.near = ends[0]
        self.queue = []
        self.order = itertools.count()
        self.newest = dict.fromkeys(ends, 0)
        self.passed = self.lost = self.doubled = self.overtaken = 0

    def take(self, end):
        """All packets that are there at one end."""
        while True:
            try:
                packet = os.read(end, 65536)
            except BlockingIOError:
                return
            if self.code is not None:
                self.lost += 1
                if end == self.near and packet[0] >> 4 == 4:
                    os.write(end, unreachable(packet, self.code))
                continue
            copies = 1
            if self.fault:
                if self.dice.random() * 100 < self.fault[0]:
                    self.lost += 1
                    continue
                if self.dice.random() * 100 < self.fault[3]:
                    self.doubled += 1
                    copies = 2
            for _ in range(copies):
                delay = 0
                if self.fault:
                    delay = max(0, self.fault[1] + self.dice.uniform(-self.fault[2], self.fault[2])) / 1000
                if len(self.queue) < QUEUE:
                    number = next(self.order)
                    heapq.heappush(self.queue, (time.monotonic() + delay, number, self.peer[end], packet))

    def give(self):
        """All packets that are due; seconds until the next one, None without any."""
        while self.queue:
            due, number, end, packet = self.queue[0]
            if due > time.monotonic():
                return due - time.monotonic()
            heapq.heappop(self.queue)
            self.overtaken += number < self.newest[end]
            self.newest[end] = max(number, self.newest[end])
            try:
                os.write(end, packet)
                self.passed += 1
            except OSError:
                self.lost += 1
        return None

    def command(self, words):
        """The answer to a line of standard input."""
        if words == ["count"]:
            return "ok %d %d %d %d" % (self.passed, self.lost, self.doubled, self.overtaken)
        self.code = int(words[1]) if words[0] == "unreachable" else None
        self.fault = [float(w) for w in words[1:5]] if words[0] == "fault" else None
        return "ok"


def main():
    ends = [tun(namespace) for namespace in sys.argv[1:3]]
    wire = Wire(ends)
    os.set_blocking(0, False)
    poll = select.poll()
    for fd in (0, *ends):
        poll.register(fd, select.POLLIN)
    print("ready", flush=True)
    line = b""
    while True:
        wait = wire.give()
        for fd, _ in poll.poll(None if wait is None else max(0, wait) * 1000):
            if fd != 0:
                wire.take(fd)
                continue
            more = os.read(0, 4096)
            if not more:
                return
            *lines, line = (line + more).split(b"\n")
            for words in lines:
                print(wire.command(words.decode().split()), flush=True)


if __name__ == "__main__":
    main()
