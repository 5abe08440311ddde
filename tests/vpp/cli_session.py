"""A session of VPP's CLI as vppctl's without a terminal (in line mode: no echo, no prompt), whose end the test decides."""

import socket

# VPP asks for the terminal's type; vppctl without one says its own name.
NO_TERMINAL = b"\xff\xfa\x18\x00vppctl\xff\xf0"


class CliSession:
    """Asks, and reads as much as it likes."""

    def __init__(self, process, timeout=300):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(process.cli_sock)
        self.sock.recv(64)
        self.sock.sendall(NO_TERMINAL)

    def ask(self, *commands):
        """Sends these lines, and reads nothing."""
        self.sock.sendall("".join(c + "\n" for c in commands).encode())
        return self

    def read(self, until=b"\0"):
        """What has come, up to these bytes; without them, one answer: VPP ends each with a NUL byte."""
        got = b""
        while until not in got:
            more = self.sock.recv(1 << 20)
            if not more:
                raise EOFError(got[-1000:])
            got += more
        return got.decode()

    def read_some(self, n):
        """At most n bytes of what comes next."""
        return self.sock.recv(n)

    def close(self):
        """Leaves, whatever is unread."""
        self.sock.close()
