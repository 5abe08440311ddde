"""Backends for health checks: real processes in a network namespace, to be killed, silenced, garbled.

Two namespaces for each Network, joined by a veth pair: probes run in one (`healthchecker.netns`), backends
in the other, each with an address of its own. Names carry this process's id, so that runs side by side do
not meet, and so that sweep() can tell what a killed run has left.
"""

import itertools
import os
import re
import signal
import subprocess
import sys

from vpp_process import die_with_parent

HERE = os.path.dirname(os.path.abspath(__file__))
SERVER = os.path.join(HERE, "backend_server.py")
AGENT = os.path.join(HERE, "agent_server.py")
PORT = 8080
AGENT_PORT = 9777
_numbers = itertools.count()


def ip(*words):
    """Runs `ip …`; raises with its words where it fails."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError("ip %s: %s" % (" ".join(words), done.stderr.strip()))
    return done.stdout


def ip_batch(namespace, lines):
    """Many `ip` commands in one process."""
    done = subprocess.run(
        ["ip", "-n", namespace, "-batch", "-"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise OSError("ip -batch: %s" % done.stderr.strip())


def sweep():
    """Removes the namespaces of runs whose process is gone."""
    for line in ip("netns", "list").splitlines():
        name = line.split()[0] if line.split() else ""
        match = re.fullmatch(r"mglv[ps](\d+)x\d+", name)
        if match and not os.path.exists("/proc/%s" % match.group(1)):
            ip("netns", "del", name)


class Server:
    """An address in the servers' namespace and the process that listens on it."""

    def __init__(self, network, address):
        self.network = network
        self.address = address
        self.process = None

    def kill(self):
        """Ends the process at once: connections are refused from now on."""
        if self.process is not None:
            self.network.end(self.process)
            self.process = None

    def behave(self, words):
        """Changes what the process answers; see backend_server.py and agent_server.py."""
        return self.network.tell(self.process, words)

    def count(self):
        """How many requests the process has had; of an agent, connections."""
        return int(self.behave("count").split()[1])


class Backend(Server):
    """One backend."""

    def __init__(self, network, name, address, port=PORT, options=()):
        super().__init__(network, address)
        self.name = name
        self.port = port
        self.options = options
        self.silent = False

    def start(self):
        """Starts the process; it answers 200 until told otherwise."""
        if self.process is None:
            self.process = self.network.spawn(self.port, [self.address], options=self.options)
        return self

    def freeze(self):
        """The process stands still; the kernel goes on taking its connections."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def silence(self):
        """Nothing that is sent to the address is answered any more."""
        if not self.silent:
            self.network.take_address(self.address)
            self.silent = True

    def speak(self):
        """Ends silence()."""
        if self.silent:
            self.network.give_address(self.address)
            self.silent = False

    def heal(self):
        """Whatever was done to it: it runs and answers 200."""
        self.speak()
        if self.process is None:
            self.start()
        else:
            self.thaw()
            self.behave("status 200")


class Agent(Server):
    """The agent of one backend: a process of its own at the backend's address."""

    def start(self, words):
        """Starts the process, and it says this."""
        if self.process is None:
            self.process = self.network.spawn(AGENT_PORT, [self.address], server=AGENT)
        self.behave("say " + words)


class Network:
    """The two namespaces and the backends in them."""

    def __init__(self):
        number = "%dx%d" % (os.getpid(), next(_numbers))
        self.probes = "mglvp" + number
        self.servers = "mglvs" + number
        self.backends = {}
        self.processes = []

    def create(self):
        """Makes the namespaces; remove() is due from here on, also after an exception."""
        for namespace in (self.probes, self.servers):
            ip("netns", "add", namespace)
            ip("-n", namespace, "link", "set", "lo", "up")
        ip("-n", self.probes, "link", "add", "vp", "type", "veth", "peer", "name", "vs", "netns", self.servers)
        for namespace, device, host in ((self.probes, "vp", 1), (self.servers, "vs", 2)):
            ip_batch(
                namespace,
                [
                    "addr add 10.76.0.%d/24 dev %s" % (host, device),
                    "addr add fd76::%d/64 dev %s nodad" % (host, device),
                    "link set %s up" % device,
                ],
            )
        ip("-n", self.probes, "route", "add", "10.77.0.0/16", "via", "10.76.0.2")
        ip("-n", self.probes, "-6", "route", "add", "fd77::/64", "via", "fd76::2")
        # A router would answer for addresses that have gone; these hosts are to be silent.
        self._sysctl("net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
        return self

    def _sysctl(self, *settings):
        for setting in settings:
            name, value = setting.split("=")
            path = "/proc/sys/" + name.replace(".", "/")
            subprocess.run(
                ["ip", "netns", "exec", self.servers, "sh", "-c", "echo %s > %s" % (value, path)], check=True
            )

    def add(self, name, number, v6=False, start=True, options=()):
        """A backend `name` with the address 10.77.0.<number> or fd77::<number>."""
        address = "fd77::%x" % number if v6 else "10.77.%d.%d" % divmod(number, 256)
        backend = Backend(self, name, address, options=options)
        self.give_address(address)
        self.backends[name] = backend
        return backend.start() if start else backend

    def __getitem__(self, name):
        return self.backends[name]

    def heal(self):
        """All backends run and answer 200."""
        for backend in self.backends.values():
            backend.heal()

    @staticmethod
    def _host(address):
        return ["-6", address + "/128"] if ":" in address else ["-4", address + "/32"]

    def give_address(self, address):
        family, host = self._host(address)
        subprocess.run(
            ["ip", "-n", self.servers, family, "route", "del", "blackhole", host],
            capture_output=True,
            check=False,
        )
        ip("-n", self.servers, "addr", "add", host, "dev", "lo", *(["nodad"] if family == "-6" else []))

    def take_address(self, address):
        family, host = self._host(address)
        ip("-n", self.servers, family, "route", "add", "blackhole", host)
        ip("-n", self.servers, "addr", "del", host, "dev", "lo")

    def give_addresses(self, addresses):
        """Many IPv4 addresses at once."""
        ip_batch(self.servers, ["addr add %s/32 dev lo" % a for a in addresses])

    def take_addresses(self, addresses):
        ip_batch(self.servers, ["addr del %s/32 dev lo" % a for a in addresses])

    def spawn(self, port, addresses, namespace="", options=(), server=SERVER):
        """A backend_server, or another one, in the servers' namespace, or in another one; None: in ours."""
        enter = [] if namespace is None else ["ip", "netns", "exec", namespace or self.servers]
        process = subprocess.Popen(
            [*enter, sys.executable, "-I", server, *options, str(port), *addresses],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )
        self.processes.append(process)
        if process.stdout.readline().strip() != "ready":
            raise OSError("%s did not start on %s port %d" % (os.path.basename(server), addresses, port))
        return process

    def end(self, process):
        process.kill()
        process.wait(10)
        process.stdin.close()
        process.stdout.close()
        self.processes.remove(process)

    @staticmethod
    def tell(process, words):
        process.stdin.write(words + "\n")
        process.stdin.flush()
        answer = process.stdout.readline().strip()
        if not answer.startswith("ok"):
            raise OSError("the server answered %r to %r" % (answer, words))
        return answer

    def remove(self):
        """Ends all processes and deletes the namespaces."""
        for process in list(self.processes):
            self.end(process)
        for namespace in (self.servers, self.probes):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)
