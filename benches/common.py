"""What all parts of the benchmark use: programs, configurations, statistics."""

import ctypes
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
BUILD = os.path.join(TOP, "build", "benches")
TARGET = os.environ.get("CARGO_TARGET_DIR") or os.path.join(TOP, "target")
TOOL = os.path.join(TARGET, "release", "maglev")
PORT = 8080
VIP_PORT = 80

sys.path.insert(0, os.path.join(TOP, "tests", "vpp"))
from vpp_process import VppProcess, find_maglev, find_vpp  # noqa: E402


class Skipped(Exception):
    """A part that cannot run here, and why."""


def die_with_parent():
    """In a child: end when the benchmark does, however it ends (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def say(text):
    """Progress, on standard error."""
    print("[%s] %s" % (time.strftime("%H:%M:%S"), text), file=sys.stderr, flush=True)


def build():
    """Compiles the C programs into build/benches."""
    os.makedirs(BUILD, exist_ok=True)
    for name in ("floor", "server"):
        compile_c(name, [])
    install = find_vpp()
    if install:
        prefix = os.path.dirname(os.path.dirname(install.binary))
        library = re.sub(r"/vpp_plugins$", "", install.plugin_dirs[-1])
        if os.path.exists(os.path.join(prefix, "include", "vapi", "lb.api.vapi.h")):
            libraries = ["-lvapiclient", "-lvlibmemoryclient", "-lsvm", "-lvppinfra", "-Wl,-rpath," + library]
            compile_c("lbclient", ["-I" + os.path.join(prefix, "include"), "-L" + library] + libraries)


def compile_c(name, flags):
    source, program = os.path.join(HERE, name + ".c"), os.path.join(BUILD, name)
    if os.path.exists(program) and os.path.getmtime(program) > os.path.getmtime(source):
        return
    done = subprocess.run(["cc", "-O2", "-Wall", "-o", program, source] + flags, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit("cc %s.c: %s" % (name, done.stderr))


def program(name):
    """A compiled C program; skipped where it could not be compiled."""
    path = os.path.join(BUILD, name)
    if not os.path.exists(path):
        raise Skipped("%s needs VPP's headers (Debian's package vpp-dev)" % name)
    return path


def enter_namespace():
    """Goes into a network namespace of its own, in which all of 10/8 is the loopback's."""
    if os.environ.get("MAGLEV_BENCH_NS") != str(os.getpid()):
        if os.geteuid() != 0:
            raise SystemExit("make bench: network namespaces need root")
        # `unshare` executes: the process stays the same.
        os.environ["MAGLEV_BENCH_NS"] = str(os.getpid())
        os.execvp("unshare", ["unshare", "--net", sys.executable] + sys.argv)
    subprocess.check_call(["ip", "link", "set", "lo", "up"])
    subprocess.check_call(["ip", "address", "add", "10.0.0.0/8", "dev", "lo"])
    import resource

    wanted = 65536
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    except (ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def addresses(n):
    """So many addresses of 10/8."""
    return ["10.%d.%d.%d" % (1 + i // 62500, i // 250 % 250, 1 + i % 250) for i in range(n)]


def vip(n):
    """The address of the n-th frontend."""
    return "198.%d.%d.%d" % (18 + n // 62500, n // 250 % 250, 1 + n % 250)


class Server:
    """The server beside the checkers; see server.c."""

    def __init__(self, listen=(), cpu=None):
        command = [program("server"), str(PORT)] + list(listen)
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent
        )
        self.process.stdout.readline()
        if cpu is not None:
            os.sched_setaffinity(self.process.pid, {cpu})

    def tell(self, word, address):
        """`close` or `open` an address; when it was done, in seconds of CLOCK_MONOTONIC."""
        self.process.stdin.write("%s %s\n" % (word, address))
        self.process.stdin.flush()
        return int(self.process.stdout.readline().split()[0]) / 1e9

    def end(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def config(backends, frontends, check=None, **lb):
    """A configuration: `backends` addresses dealt out evenly over `frontends` VIPs."""
    doc = {"vpp": {"lb": dict({"ipv4-src-address": "192.0.2.1"}, **lb)}, "backends": {}, "frontends": {}}
    if check:
        doc["healthchecks"] = {"c": check}
    for i, address in enumerate(backends):
        doc["backends"]["b%d" % i] = {"address": address, **({"healthcheck": "c"} if check else {})}
    each = max(1, len(backends) // max(1, frontends))
    for f in range(frontends):
        members = [(f * each + i) % len(backends) for i in range(each)]
        doc["frontends"]["f%d" % f] = {
            "address": vip(f),
            "protocol": "tcp",
            "port": VIP_PORT,
            "pools": [{"name": "p", "backends": {"b%d" % i: {} for i in members}}],
        }
    return {"maglev": doc}


def check(kind, interval="1s", **more):
    return dict({"type": kind, "port": PORT, "interval": interval, "timeout": "1s"}, **more)


def write(path, doc):
    # JSON is YAML.
    with open(path, "w", encoding="utf-8") as f:
        json.dump(doc, f)


def ctl(socket, command, timeout=120):
    """The answer to a command of maglev; and how long it took from outside, in seconds."""
    began = time.monotonic()
    done = subprocess.run(
        [TOOL, "ctl", "-s", socket, "-t", str(timeout)] + command.split(), capture_output=True, text=True, check=False
    )
    took = time.monotonic() - began
    if done.returncode:
        raise RuntimeError("%s: %s" % (command, done.stderr.strip() or done.stdout.strip()))
    return done.stdout, took


class Maglev:
    """What answers to maglev's commands: the tool or the plugin."""

    def show(self, what):
        return json.loads(ctl(self.socket, "show %s json" % what)[0])

    def command(self, words):
        return ctl(self.socket, words)

    def settle(self, backends, frontends=None, timeout=90):
        """Waits until so many backends are up, and all is programmed."""
        until = time.monotonic() + timeout
        while True:
            status = self.show("status")
            up = dict(status["backends"]).get("up", 0)
            if up == backends and (frontends is None or dict(status["frontends"]).get("up", 0) == frontends):
                return status
            if time.monotonic() > until:
                raise RuntimeError("not up after %d s: %s" % (timeout, status["backends"]))
            time.sleep(0.1)

    def quiet(self, timeout=180):
        """Waits until lb is called no more."""
        last, until = None, time.monotonic() + timeout
        while time.monotonic() < until:
            now = self.show("status")["lb"]["calls"]
            if now == last:
                return
            last = now
            time.sleep(0.7)
        raise RuntimeError("lb is called without end")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Tool(Maglev):
    """`maglev run`: the control plane with an lb in memory."""

    def __init__(self, doc, name="tool"):
        self.dir = os.path.join(BUILD, "run-" + name)
        os.makedirs(self.dir, exist_ok=True)
        self.config, self.socket = os.path.join(self.dir, "maglev.yaml"), os.path.join(self.dir, "maglev.sock")
        write(self.config, doc)
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.process = subprocess.Popen(
            [TOOL, "run", "--config", self.config, "--cli-socket", self.socket, "--log-level", "error"],
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        self.pid = self.process.pid

    def ready(self):
        """Waits until it answers."""
        until = time.monotonic() + 60
        while True:
            try:
                return self.show("status")
            except (RuntimeError, ValueError):
                if time.monotonic() > until or self.process.poll() is not None:
                    raise
                time.sleep(0.005)

    def end(self):
        self.process.terminate()
        self.process.wait()


class Vpp(Maglev):
    """A VPP with the plugin; its main thread sleeps while it has nothing to do. A worker has a CPU for itself, but for the kernel: it goes
    before all ordinary processes."""

    def __init__(self, doc, name="vpp", workers=0):
        if find_vpp() is None:
            raise Skipped("no VPP is installed")
        if find_maglev() is None:
            raise Skipped("no build/maglev_plugin.so: `make plugin`")
        if workers >= len(os.sched_getaffinity(0)):
            raise Skipped("a worker of VPP needs a CPU for itself")
        # With its commands for tests, for `stays`.
        self.vpp = VppProcess("bench-" + name, workers=workers, poll_sleep_usec=0, environ={"MAGLEV_TEST": "1"})
        self.config, self.socket = self.vpp.path("maglev.yaml"), self.vpp.cli_sock
        write(self.config, doc)
        self.vpp.stanzas.append("maglev { config %s state-file %s }" % (self.config, self.vpp.path("state.json")))
        # Hundreds of VIPs, each with its table.
        self.vpp.stanzas = [s.replace("main-heap-size 512m", "main-heap-size 2g") for s in self.vpp.stanzas]
        try:
            self.vpp.start()
            self.pid = self.vpp.proc.pid
            for thread, name in tasks(self.pid):
                if name.startswith("vpp_wk"):
                    # Not by real-time priority: of a thread that never sleeps the kernel then takes a twentieth.
                    os.setpriority(os.PRIO_PROCESS, thread, -20)
        except Exception:
            self.vpp.remove()
            raise

    def cli(self, words):
        return self.vpp.cli(words, timeout=120)

    def stays(self):
        """How long the plugin stayed on the main thread at a time since this was last asked: by kind, in microseconds; what
        lb's own handlers took of it apart (csrc/stays.c)."""
        return json.loads(self.cli("maglev test stays"))

    def undisturbed(self):
        """From now on no ordinary process takes the CPU from the main thread: what VPP measures by the clock is its own
        then. The prober stays ordinary. Where that is not permitted, all goes on as before."""
        try:
            os.sched_setscheduler(self.pid, os.SCHED_FIFO, os.sched_param(1))
        except OSError as why:
            say("no real-time priority for VPP's main thread: %s" % why)

    def end(self):
        self.vpp.remove()


def tasks(pid):
    """Number and name of each thread."""
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/comm" % (pid, task), encoding="ascii") as f:
            yield int(task), f.read().strip()


def threads(pid, field=0):
    """CPU seconds of each thread, by name; with field 1 those in which it wanted to run and the kernel let it not."""
    found = {}
    for task, name in tasks(pid):
        with open("/proc/%d/task/%d/schedstat" % (pid, task), encoding="ascii") as f:
            found[name] = found.get(name, 0) + int(f.read().split()[field]) / 1e9
    return found


def opened():
    """TCP connections opened in this namespace so far."""
    with open("/proc/net/snmp", encoding="ascii") as f:
        head, values = [line.split() for line in f if line.startswith("Tcp:")]
    return int(values[head.index("ActiveOpens")])


def summary(values):
    """Median, least, most, p90, p99, how many."""
    ordered = sorted(values)
    at = lambda p: ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * p // 100) - 1))]  # noqa: E731
    return {
        "median": statistics.median(ordered),
        "min": ordered[0],
        "max": ordered[-1],
        "p90": at(90),
        "p99": at(99),
        "n": len(ordered),
    }


def haproxy():
    """HAProxy's program; skipped where there is none."""
    found = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not found:
        raise Skipped("no HAProxy is installed (Debian, Ubuntu: apt-get install haproxy)")
    return found


def haproxy_config(kind, backends, inter="1s", more="", glob=""):
    """A configuration for HAProxy with checks as maglev's."""
    http = (
        "  option httpchk\n  http-check send meth GET uri / ver HTTP/1.1 hdr Host x hdr User-Agent maglev hdr Connection close\n"
        "  http-check expect status 200\n"
    )
    lines = "".join("  server b%d %s:%d\n" % (i, a, PORT) for i, a in enumerate(backends))
    return (
        # It does not start without anything to listen on.
        "global\n  nbthread 1\n  spread-checks 10\n  stats socket %s\n%s\ndefaults\n  mode %s\n  timeout connect 1s\n  timeout client 1s\n"
        "  timeout server 1s\n  timeout check 1s\nbackend b\n%s  default-server check inter %s fall 3 rise 2 %s\n%s"
        % (os.path.join(BUILD, "haproxy.sock"), glob, kind, http if kind == "http" else "", inter, more, lines)
    )
