"""Signals at any moment: VPP ends within seconds, also while the plugin logs to a slow syslog."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from maglev_case import wait_until
from restart_case import RestartCase

LONG = os.environ.get("MAGLEV_LONG_TESTS") == "1"
ROUNDS = 200 if LONG else 15
# Of one line, in seconds: the plugin is in syslog most of the time.
SLOWNESS = 0.002
# From the signal to the end, on a busy machine.
PATIENCE = 20.0
CONFIG = """maglev:
  vpp:
    lb: { ipv4-src-address: 10.0.0.1, startup-min-delay: 1h, startup-max-delay: 1h }
  backends:
    one: { address: 10.9.0.1 }
  frontends:
    web: { address: 192.0.2.1, protocol: tcp, port: 80, pools: [{ name: p, backends: { one: {} } }] }
"""
# In a mount namespace of its own VPP finds our socket as /dev/log, and everything else in /dev as it was.
PRIVATE_LOG = """set -e
mkdir -p "$1/dev"
mount --bind /dev "$1/dev"
mount -t tmpfs -o size=1m tmpfs /dev
for f in "$1"/dev/*; do [ "${f##*/}" = log ] || ln -s "$f" /dev/; done
ln -s "$1/log.sock" /dev/log
shift
exec "$@"
"""


class SlowSyslog:
    """A syslog daemon that takes its time for each line, so that its queue is always full."""

    def __init__(self, path):
        self.lines = 0
        # VPP starts with a quick one.
        self.slow = False
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(0.1)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ended.is_set():
            try:
                text = self.socket.recv(65536)
            except TimeoutError:
                continue
            self.lines += b"maglev" in text
            if self.slow:
                time.sleep(SLOWNESS)

    def close(self):
        self.ended.set()
        self.thread.join()
        self.socket.close()


class TestMaglevSignals(RestartCase):
    """Signals at any moment"""

    def storm(self):
        """Changes a backend's state as fast as VPP lets it, two lines in the log each time, until VPP ends."""
        script = self.process.path("storm")
        with open(script, "w", encoding="utf-8") as f:
            f.write("maglev set backend one disable\nmaglev set backend one enable\n" * 200)
        command = [self.process.install.vppctl, "-s", self.process.cli_sock, "exec", script]
        vpp = self.process.proc

        def run():
            while vpp.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    subprocess.run(command, capture_output=True, timeout=5, check=False)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def end(self, what):
        """Sends a signal, and expects VPP to end of it."""
        self.process.ended_by_us = True
        os.kill(self.process.proc.pid, what)
        try:
            return self.process.wait_exit(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("VPP hangs after %s" % signal.Signals(what).name) from None

    def test_a_storm_of_events(self):
        """SIGTERM, at times SIGINT or SIGHUP, while events are logged to syslog"""
        chance = random.Random(7)
        # In memory: each command waits until its change is saved, and the storm would be no quicker than the disk.
        state = tempfile.mkdtemp(prefix="maglev-state-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, state, ignore_errors=True)
        process = self.make(CONFIG, stanza="", syslog=True)
        process.stanzas.append("maglev { config %s state-file %s/state.json }" % (self.config_path, state))
        log = process.path("log.sock")
        process.prefix = ["unshare", "-m", "sh", "-c", PRIVATE_LOG, "sh", process.rundir]
        syslog = SlowSyslog(log)
        self.addCleanup(syslog.close)
        for n in range(ROUNDS):
            process.start()
            syslog.slow = True
            storm = self.storm()
            before = syslog.lines
            wait_until(
                lambda: syslog.lines > before + 20,
                lambda: "round %d: %d lines, VPP %s" % (n, syslog.lines - before, self.process.exit_words()),
                timeout=60,
            )
            time.sleep(chance.random() * 0.1)
            what = chance.choice([signal.SIGTERM] * 8 + [signal.SIGINT, signal.SIGHUP])
            with self.subTest(round=n, signal=what.name):
                self.assertEqual(self.end(what), 0)
            syslog.slow = False
            storm.join()


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
