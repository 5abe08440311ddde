"""Clients of the binary API that ask and do not read: over a socket, and in shared memory.

As a program, one in shared memory: `rude_clients.py <libvppapiclient.so> <api-segment prefix> <queue> <messages>`: connects with
a queue of that length, sends each message of a JSON list [[name_crc, hex], …] again and again, and never reads.
It says `connected` before it begins."""

import ctypes
import glob
import json
import os
import socket
import struct
import subprocess
import sys
import time

HEADER = struct.Struct(">QII")


class RudeSocket:
    """A client over the socket that reads nothing but the answer to its first message. `papi` is another, connected one,
    which knows how messages look."""

    def __init__(self, papi, address):
        self.papi = papi
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(address)
        self.sock.settimeout(20)
        self._write(papi.messages["sockclnt_create"].pack({"_vl_msg_id": 15, "context": 1, "name": "rude"}))
        reply = papi.messages["sockclnt_create_reply"].unpack(self._read())[0]
        self.index = reply.index

    def _write(self, message):
        self.sock.sendall(HEADER.pack(0, len(message), 0) + message)

    def _read(self):
        def exactly(n):
            got = b""
            while len(got) < n:
                more = self.sock.recv(n - len(got))
                if not more:
                    raise EOFError
                got += more
            return got

        return exactly(HEADER.unpack(exactly(HEADER.size))[1])

    def messages(self):
        """All that has come, by name; stops where nothing comes for a second."""
        names = {index: name for name, index in self.papi.transport.message_table.items()}
        self.sock.settimeout(1)
        while True:
            try:
                message = self._read()
            except (TimeoutError, EOFError):
                return
            name = names[struct.unpack(">H", message[:2])[0]]
            yield self.papi.messages[name.rsplit("_", 1)[0]].unpack(message)[0]

    def ask(self, message, times=1, /, **fields):
        """Sends a message so many times."""
        packed = pack(self.papi, message, client_index=self.index, **fields)
        for _ in range(times):
            self._write(packed)

    def close(self):
        """False: it was closed before."""
        was_open = self.sock.fileno() >= 0
        self.sock.close()
        return was_open


def pack(papi, message, /, **fields):
    """The bytes of a message."""
    known = papi.messages[message]
    index = papi.transport.get_msg_index("%s_%s" % (message, known.crc[2:]))
    fields = {"context": 7, **fields}
    return known.pack({"_vl_msg_id": index, **fields})


def find_client_library(prefix):
    """VPP's library for clients in shared memory; None if it is not there."""
    found = glob.glob(os.path.join(prefix, "lib", "**", "libvppapiclient.so"), recursive=True)
    return found[0] if found else None


def spawn_shared(library, prefix, messages, queue=32):
    """Starts a client in shared memory that sends these (name_crc, bytes) for ever; the process."""
    script = [[name, packed.hex()] for name, packed in messages]
    args = [sys.executable, __file__, library, prefix, str(queue), json.dumps(script)]
    client = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = client.stdout.readline().strip()
    if said != "connected":
        client.kill()
        raise AssertionError("the client in shared memory said %r: %s" % (said, client.stderr.read()))
    return client


def main():
    library, prefix, queue, messages = sys.argv[1:]
    lib = ctypes.CDLL(library)
    lib.vac_mem_init.argtypes = [ctypes.c_size_t]
    lib.vac_mem_init(0)
    if lib.vac_connect(b"rude", prefix.encode(), None, int(queue)) != 0:
        sys.exit("not connected")
    packed = []
    for name, text in json.loads(messages):
        body = bytearray.fromhex(text)
        index = lib.vac_get_msg_index(name.encode())
        if index < 0:
            sys.exit("no message %s" % name)
        body[:2] = struct.pack(">H", index)
        packed.append(bytes(body))
    print("connected", flush=True)
    while True:
        for body in packed:
            lib.vac_write(body, len(body))
            # VPP's own queue must not get full: VPP waits for ever for a client that is stopped while it waits for room there.
            time.sleep(1e-3)


if __name__ == "__main__":
    main()
