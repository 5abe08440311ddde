"""Who may do what: the plugin listens nowhere, and what it writes is its owner's alone."""

import os
import stat
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from backends import PORT
from maglev_case import WEB, base_config, check, frontend, pool, wait_until
from restart_case import RestartCase
from vpp_process import VppProcess

LISTEN = "0A"
ACCEPTS = 0x10000


def sockets(pid):
    """{inode} of a process's descriptors that are sockets."""
    found = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            name = os.readlink("/proc/%d/fd/%s" % (pid, fd))
        except FileNotFoundError:
            continue
        if name.startswith("socket:["):
            found.add(name[8:-1])
    return found


def rows(pid, tid, name):
    try:
        with open("/proc/%d/task/%s/net/%s" % (pid, tid, name), encoding="utf-8") as f:
            return [line.split() for line in f.readlines()[1:]]
    except FileNotFoundError:
        return []


def listening(pid):
    """What a process's sockets wait at for others, in the network namespace of each of its threads: {(kind, place)}"""
    found, ours = set(), sockets(pid)
    for tid in os.listdir("/proc/%d/task" % pid):
        for kind in ("tcp", "tcp6"):
            found |= {(kind, r[1]) for r in rows(pid, tid, kind) if r[3] == LISTEN and r[9] in ours}
        for kind in ("udp", "udp6", "udplite", "udplite6"):
            # Connected ones take nothing but from their peer.
            found |= {(kind, r[1]) for r in rows(pid, tid, kind) if r[2].endswith(":0000") and r[9] in ours}
        unix = [r for r in rows(pid, tid, "unix") if int(r[3], 16) & ACCEPTS]
        found |= {("unix", os.path.basename(r[7])) for r in unix if r[6] in ours}
        found |= {("packet", r[3]) for r in rows(pid, tid, "packet") if r[8] in ours}
    return found


class TestMaglevWho(RestartCase):
    """Sockets and files, with the plugin and without"""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for number, name in enumerate(("http", "icmp", "dns", "udp")):
            cls.network.add(name, number + 1, options=["--dns"])

    def test_the_plugin_listens_nowhere(self):
        """With all kinds of probes and an agent VPP listens where it does without the plugin, and nowhere else; its
        files are 0600, whatever the umask"""
        without = VppProcess("without", maglev=False)
        self.addCleanup(without.remove)
        wanted = listening(without.start().proc.pid)
        self.assertIn(("unix", "cli.sock"), wanted)
        self.assertEqual(without.stop(), 0)
        checks = {
            "http": check(),
            "icmp": check("icmp"),
            "dns": check("dns", params={"name": "example.org"}),
            "udp": check("udp", params={"send": "hello"}),
        }
        config = base_config(
            self.network,
            healthchecks=checks,
            backends={n: {"address": b.address, "healthcheck": n} for n, b in self.network.backends.items()},
            frontends={"web": frontend(WEB, pool("only", **dict.fromkeys(checks)))},
        )
        config["backends"]["http"]["agent"] = {"port": PORT, "interval": "100ms"}
        process = self.make(config)
        state = process.path("state/state.json")
        process.stanzas[-1] = process.stanzas[-1].replace(self.state_path, state)
        before = os.umask(0)
        try:
            process.start()
        finally:
            os.umask(before)
        for probes in range(10, 60, 5):
            wait_until(lambda: self.show("status")["prober"]["probes"] >= probes, "no probes")
            self.assertEqual(listening(process.proc.pid), wanted)
        codes = {b["last_code"] for b in self.show("backends")}
        self.assertEqual(codes, {"L7OK", "L4OK"})
        self.do("set backend http disable")
        self.assertEqual(stat.S_IMODE(os.stat(state).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(state)).st_mode), 0o755)
        # A file for all to write, in a folder for all: replaced by one of ours.
        os.chmod(state, 0o666)
        self.do("set backend http enable")
        self.assertEqual(stat.S_IMODE(os.stat(state).st_mode), 0o600)


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
