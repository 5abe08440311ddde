"""A server that the health checks talk to, well-behaved or not.

    backend_server.py [--tls FILE] [--dns] PORT ADDRESS [ADDRESS…]

Standard library only; run with any Python 3 inside a network namespace. Each line on standard input is a
new behaviour, answered with `ok`; end of input ends the server:

    status N   answers HTTP requests with status N (from the start: 200)
    garbage    answers with bytes that are not HTTP
    nothing    takes the connection and says nothing
    headers    sends header lines without an end
    drip [S]   a correct answer, one byte each 50 ms, or each S seconds
    flood      a correct head, and 1 GiB of body as fast as it is taken
    reset      resets the connection as soon as the request is there
    close      closes the connection as soon as it is there
    abort      resets the connection as soon as it is there

    certificate FILE   with --tls: the certificate and key of the connections to come
    rcode N            with --dns: answers questions over UDP on the same port with result N (from the start: 0,
                       and one A record, 192.0.2.53)

and questions: `count` is answered with `ok <requests so far>`, `peer` with `ok <who connected last>`, `sent` with
`ok <the most bytes of a flood that one connection took>`.
"""

import argparse
import asyncio
import socket
import ssl
import struct
import sys

GARBAGE = bytes(range(256)) * 16
FLOOD = 1 << 30
FLOOD_CHUNK = b"flood\n" * 10000
HEADER_CHUNK = b"".join(b"X-Endless-%d: %s\r\n" % (i, b"a" * 60) for i in range(50))


class Backend:
    """What all connections share."""

    def __init__(self):
        self.words = ["status", "200"]
        self.status = 200
        self.requests = 0
        self.sent = 0
        self.peer = "nobody"
        self.rcode = 0
        self.tls = None

    def certificate(self, path):
        if self.tls is None:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(path)

    def behave(self, words):
        """Takes a line of standard input."""
        if words[0] == "certificate":
            self.certificate(words[1])
            return
        if words[0] == "rcode":
            self.rcode = int(words[1])
            return
        self.words = words
        self.status = int(words[1]) if words[0] == "status" else 200

    def answer(self):
        status = self.status
        body = b"backend says %d\n" % status
        head = "HTTP/1.1 %d Because\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body))
        return head.encode() + body


class Connection(asyncio.Protocol):
    """One connection of a prober."""

    def __init__(self, backend):
        self.backend = backend
        self.transport = None
        self.received = b""
        self.answered = False

    def connection_made(self, transport):
        self.transport = transport
        self.backend.peer = transport.get_extra_info("peername")[0]
        if self.backend.words[0] == "close":
            transport.close()
        elif self.backend.words[0] == "abort":
            self.reset()

    def data_received(self, data):
        self.received = (self.received + data)[-8192:]
        if b"\r\n\r\n" not in self.received or self.answered:
            return
        self.answered = True
        self.backend.requests += 1
        word = self.backend.words[0]
        if word == "status":
            self.transport.write(self.backend.answer())
            self.transport.close()
        elif word == "garbage":
            self.transport.write(GARBAGE)
            self.transport.close()
        elif word == "headers":
            self.transport.write(b"HTTP/1.1 200 OK\r\n")
            self.more_headers()
        elif word == "drip":
            self.drip(self.backend.answer(), float((self.backend.words[1:] or [0.05])[0]))
        elif word == "flood":
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % FLOOD)
            self.flood(0)
        elif word == "reset":
            self.reset()

    def reset(self):
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def flood(self, written):
        if self.transport.is_closing() or written >= FLOOD:
            return
        waits = self.transport.get_write_buffer_size()
        self.backend.sent = max(self.backend.sent, written - waits)
        if waits < 65536:
            self.transport.write(FLOOD_CHUNK)
            written += len(FLOOD_CHUNK)
        asyncio.get_running_loop().call_later(0.001 if waits else 0, self.flood, written)

    def more_headers(self):
        if not self.transport.is_closing():
            if self.transport.get_write_buffer_size() < 65536:
                self.transport.write(HEADER_CHUNK)
            asyncio.get_running_loop().call_later(0.002, self.more_headers)

    def drip(self, rest, pause):
        if rest and not self.transport.is_closing():
            self.transport.write(rest[:1])
            asyncio.get_running_loop().call_later(pause, self.drip, rest[1:], pause)


class Resolver(asyncio.DatagramProtocol):
    """A name server with one answer to every question."""

    def __init__(self, backend):
        self.backend = backend
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        rcode = self.backend.rcode
        record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + socket.inet_aton("192.0.2.53")
        counts = struct.pack(">HHHH", 1, int(rcode == 0), 0, 0)
        head = data[:2] + bytes((0x81, 0x80 | rcode)) + counts
        self.transport.sendto(head + data[12:] + (b"" if rcode else record), addr)


async def main(args):
    backend = Backend()
    if args.tls:
        backend.certificate(args.tls)
    loop = asyncio.get_running_loop()
    for address in args.addresses:
        await loop.create_server(
            lambda: Connection(backend), address, args.port, backlog=1024, reuse_address=True, ssl=backend.tls
        )
        if args.dns:
            await loop.create_datagram_endpoint(lambda: Resolver(backend), local_addr=(address, args.port))
    print("ready", flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        words = line.decode().split()
        if words == ["count"]:
            print("ok %d" % backend.requests, flush=True)
        elif words == ["peer"]:
            print("ok %s" % backend.peer, flush=True)
        elif words == ["sent"]:
            print("ok %d" % backend.sent, flush=True)
        else:
            backend.behave(words)
            print("ok", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls")
    parser.add_argument("--dns", action="store_true")
    parser.add_argument("port", type=int)
    parser.add_argument("addresses", nargs="+")
    asyncio.run(main(parser.parse_args()))
