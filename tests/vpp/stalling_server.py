"""A web server on two ports of every address of this host: on the first it sends the head of a response and nearly all of its
body, and then nothing more; on the second a whole small response.

    stalling_server.py STALLING-PORT HONEST-PORT BYTES

Standard library only. End of input ends it.
"""

import resource
import selectors
import socket
import sys

HONEST = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


def listener(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", port))
    s.listen(4096)
    s.setblocking(False)
    return s


def main(stalling_port, honest_port, size):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stall = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"n" * (size - 1)
    ready = selectors.DefaultSelector()
    for port, answer in ((stalling_port, stall), (honest_port, HONEST)):
        ready.register(listener(port), selectors.EVENT_READ, answer)
    ready.register(sys.stdin, selectors.EVENT_READ, None)
    print("ready", flush=True)
    left = {}
    while True:
        for key, events in ready.select():
            if key.data is None:
                if not sys.stdin.read(1):
                    return
            elif isinstance(key.data, bytes):
                for _ in range(256):
                    try:
                        s, _ = key.fileobj.accept()
                    except OSError:
                        break
                    s.setblocking(False)
                    left[s] = key.data
                    ready.register(s, selectors.EVENT_READ | selectors.EVENT_WRITE, s)
            else:
                step(ready, key.data, events, left)


def step(ready, s, events, left):
    """The request is read and thrown away; the answer goes out as far as it can."""
    try:
        if events & selectors.EVENT_READ and not s.recv(4096):
            raise OSError
        if events & selectors.EVENT_WRITE:
            sent = s.send(left[s])
            left[s] = left[s][sent:]
            if not left[s]:
                ready.modify(s, selectors.EVENT_READ, s)
    except BlockingIOError:
        pass
    except OSError:
        ready.unregister(s)
        left.pop(s, None)
        s.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
