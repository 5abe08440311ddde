"""A server whose queue of connections is full: it takes none, and nobody answers a SYN.

    deaf_server.py PORT ADDRESS [ADDRESS…]

Standard library only. End of input ends it.
"""

import socket
import sys


def deaf(address, port):
    """The listener, and the connections that fill its queue."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(0)
    kept = [listener]
    for _ in range(4):
        filler = socket.socket(family, socket.SOCK_STREAM)
        filler.setblocking(False)
        filler.connect_ex((address, port))
        kept.append(filler)
    return kept


if __name__ == "__main__":
    everything = [deaf(a, int(sys.argv[1])) for a in sys.argv[2:]]
    print("ready", flush=True)
    sys.stdin.read()
