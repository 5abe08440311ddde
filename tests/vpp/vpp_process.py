"""One VPP process with a private runtime directory: start, CLI, log, stop.

Used by maglev_harness for the VPP of a test class, and directly by tests that
start, restart or break a VPP themselves. Everything is found at run time:
$VPP_PREFIX, else /usr, else /usr/local; inside VPP's own test framework, that
framework's settings.
"""

import ctypes
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Generous: main shares its CPU with whatever else the machine does, and under valgrind it takes its time.
START_TIMEOUT = 120.0 if os.environ.get("MAGLEV_VPP_WRAPPER") else 90.0
STOP_TIMEOUT = 10.0
# From the closing of a crashed VPP's sockets to its exit status.
CRASH_GRACE = 0.5


class VppError(Exception):
    """VPP did not start, died, or did not answer."""


class VppInstall:
    """Where VPP's binaries, plugins and API files are."""

    def __init__(self, binary, vppctl, plugin_dirs, api_dirs):
        self.binary = binary
        self.vppctl = vppctl
        self.plugin_dirs = plugin_dirs
        self.api_dirs = api_dirs


def find_vpp():
    """The installed VPP, or None."""
    try:
        from config import config  # only there inside VPP's own test framework

        binary = config.vpp
        bindir = os.path.dirname(binary)
        return VppInstall(
            binary,
            os.path.join(bindir, "vppctl"),
            list(config.vpp_plugin_dir),
            [os.path.join(os.path.dirname(bindir), "share/vpp/api")],
        )
    except (ModuleNotFoundError, ImportError, AttributeError):
        pass
    prefix = os.environ.get("VPP_PREFIX")
    for root in [prefix] if prefix else ["/usr", "/usr/local"]:
        binary = os.path.join(root, "bin", "vpp")
        plugin_dirs = sorted(
            d
            for pattern in ("lib*/vpp_plugins", "lib*/*/vpp_plugins")
            for d in glob.glob(os.path.join(root, pattern))
        )
        if os.access(binary, os.X_OK) and plugin_dirs:
            return VppInstall(
                binary,
                os.path.join(root, "bin", "vppctl"),
                plugin_dirs,
                [os.path.join(root, "share/vpp/api")],
            )
    return None


def find_maglev():
    """The plugin under test: $MAGLEV_PLUGIN, else build/maglev_plugin.so, else one
    of VPP's framework's extern plugins; None if there is none."""
    candidates = [os.environ.get("MAGLEV_PLUGIN"), os.path.join(TOP, "build", "maglev_plugin.so")]
    try:
        from config import config

        extern = config.extern_plugin_dir
        extern = [extern] if isinstance(extern, str) else list(extern or [])
        candidates += [os.path.join(d, "maglev_plugin.so") for d in extern]
    except (ModuleNotFoundError, ImportError, AttributeError):
        pass
    for candidate in candidates:
        if candidate and os.path.isfile(candidate):
            return os.path.abspath(candidate)
    return None


def wrapper():
    """Words before VPP's own command line, from $MAGLEV_VPP_WRAPPER: a sanitizer's `env LD_PRELOAD=…`."""
    return os.environ.get("MAGLEV_VPP_WRAPPER", "").split()


def die_with_parent():
    """In the child: end when the tests do, however they end (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def cpu_stanza(workers):
    """`cpu {…}` for main and `workers` workers on the CPUs that this process may use."""
    cpus = sorted(os.sched_getaffinity(0))
    if not workers:
        return "cpu { main-core %d }" % cpus[0]
    if len(cpus) < workers + 1:
        raise VppError("%d workers need %d CPUs, %d here" % (workers, workers + 1, len(cpus)))
    return "cpu { main-core %d corelist-workers %s }" % (
        cpus[0],
        ",".join(str(c) for c in cpus[1 : workers + 1]),
    )


class VppProcess:
    """A VPP with its own runtime directory, sockets and log."""

    def __init__(
        self,
        name,
        workers=0,
        plugins=("lb_plugin.so", "ping_plugin.so"),
        maglev=True,
        stanzas=(),
        environ=None,
        poll_sleep_usec=100,
        rundir=None,
        main_heap="512m",
        statseg="32m",
        syslog=False,
        prefix=(),
    ):
        self.install = find_vpp()
        if self.install is None:
            raise VppError("no VPP found")
        self.rundir = rundir or tempfile.mkdtemp(prefix="maglev-%s-" % name)
        self.workers = workers
        self.plugins = list(plugins)
        self.stanzas = list(stanzas)
        self.environ = dict(environ or {})
        self.poll_sleep_usec = poll_sleep_usec
        self.main_heap = main_heap
        self.statseg = statseg
        # VPP logs to the host's syslog and not to its console.
        self.syslog = syslog
        # Words before VPP's own command line; they end in an exec.
        self.prefix = list(prefix)
        self.proc = None
        # The end that it came to was ours to give.
        self.ended_by_us = False
        self.plugin_path = list(self.install.plugin_dirs)
        if maglev:
            plugin = find_maglev()
            if plugin is None:
                raise VppError("no maglev_plugin.so: run `make plugin`")
            # A directory of its own, first on the path: neither another .so beside the plugin nor an
            # installed older one is loaded.
            private = os.path.join(self.rundir, "plugins")
            os.makedirs(private, exist_ok=True)
            link = os.path.join(private, "maglev_plugin.so")
            if not os.path.lexists(link):
                os.symlink(plugin, link)
            self.plugin_path.insert(0, private)
            self.plugins.append("maglev_plugin.so")

    def path(self, name):
        """A file in the runtime directory."""
        return os.path.join(self.rundir, name)

    @property
    def cli_sock(self):
        return self.path("cli.sock")

    @property
    def api_sock(self):
        return self.path("api.sock")

    @property
    def log_file(self):
        return self.path("vpp.log")

    def startup_conf(self):
        """The text of startup.conf."""
        enable = " ".join("plugin %s { enable }" % p for p in self.plugins)
        sleep = "poll-sleep-usec %d" % self.poll_sleep_usec if self.poll_sleep_usec else ""
        lines = [
            "unix { nodaemon %s log %s cli-listen %s runtime-dir %s %s }"
            % ("" if self.syslog else "nosyslog", self.log_file, self.cli_sock, self.rundir, sleep),
            "logging { default-log-level info default-syslog-log-level info size 4096 }",
            "api-segment { prefix %s %s }" % (os.path.basename(self.rundir), "baseva 300000000000" if wrapper() else ""),
            "socksvr { socket-name %s }" % self.api_sock,
            "statseg { socket-name %s size %s }" % (self.path("stats.sock"), self.statseg),
            "memory { main-heap-size %s }" % self.main_heap,
            # A sanitizer's shadow lies where VPP would put it by itself.
            "physmem { max-size 64m %s }" % ("base-addr 0x200000000000" if wrapper() else ""),
            "buffers { buffers-per-numa 8192 page-size 4k }",
            cpu_stanza(self.workers),
            "plugins { path %s plugin default { disable } %s }" % (":".join(self.plugin_path), enable),
        ]
        return "\n".join(lines + self.stanzas) + "\n"

    def spawn(self):
        """Starts the process and returns at once."""
        self.check_no_crash()
        conf = self.path("startup.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(self.startup_conf())
        for sock in (self.cli_sock, self.api_sock):
            if os.path.lexists(sock):
                os.unlink(sock)
        with open(self.path("console.txt"), "ab") as console:
            self.proc = subprocess.Popen(
                self.prefix + wrapper() + [self.install.binary, "-c", conf],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                cwd=self.rundir,
                env={**os.environ, **self.environ},
                preexec_fn=die_with_parent,
            )
        self.ended_by_us = False
        return self

    def start(self):
        """Starts the process and waits until its CLI answers."""
        self.spawn()
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            self.check_alive()
            if os.path.exists(self.cli_sock) and os.path.exists(self.api_sock):
                try:
                    if "vpp v" in self.vppctl("show version", timeout=5).stdout:
                        self.put_workers_first()
                        self.wait_loaded()
                        return self
                except subprocess.TimeoutExpired:
                    pass
            time.sleep(0.05)
        console = self.console()
        self.kill()
        raise VppError("VPP was not ready after %d s:\n%s" % (START_TIMEOUT, console))

    def wait_loaded(self, timeout=START_TIMEOUT):
        """Until the plugin, if it is loaded, has read its configuration, or knows why it cannot: a file that was written
        just now is read only when it has been quiet for a moment."""
        deadline = time.monotonic() + timeout
        while "maglev_plugin.so" in self.plugins and time.monotonic() < deadline:
            answer = self.vppctl("maglev show status json", timeout=5).stdout
            if not answer.startswith("{"):
                return
            status = json.loads(answer)
            if status["config_loaded_ms"] or status["config_errors"]:
                return
            time.sleep(0.02)

    def put_workers_first(self):
        """VPP aborts (`worker thread deadlock`) when a worker gets no CPU for a second while main holds all workers, as
        it does at the `quit` of every vppctl. On a machine that is busy with other things it must not come to that."""
        if not self.poll_sleep_usec:
            return  # One that never sleeps would leave nothing to the others.
        for thread in os.listdir("/proc/%d/task" % self.proc.pid):
            with open("/proc/%s/comm" % thread, encoding="utf-8") as f:
                if f.read().startswith("vpp_wk"):
                    os.sched_setscheduler(int(thread), os.SCHED_RR, os.sched_param(1))

    def alive(self):
        return self.proc is not None and self.proc.poll() is None

    def exit_words(self):
        """`exit status 1`, `killed by SIGSEGV`."""
        code = self.proc.poll() if self.proc else None
        if code is None:
            return "running"
        return "killed by %s" % signal.Signals(-code).name if code < 0 else "exit status %d" % code

    def check_alive(self, grace=0.0):
        """Raises with the end of the log when VPP has died. A dying VPP's sockets close before it has an exit status:
        who has seen that gives it `grace` seconds."""
        if self.proc is None:
            return
        if grace:
            try:
                self.proc.wait(grace)
            except subprocess.TimeoutExpired:
                pass
        if self.proc.poll() is not None:
            raise VppError("VPP died: %s\n%s" % (self.exit_words(), self.console()))

    def check_no_crash(self):
        """Raises with the end of the log when VPP has died of a signal that was not ours."""
        if self.proc is not None and (self.proc.poll() or 0) < 0 and not self.ended_by_us:
            raise VppError("VPP crashed: %s\n%s" % (self.exit_words(), self.console()))

    def wait_exit(self, timeout=STOP_TIMEOUT):
        """Waits for the process to end by itself; its return code (negative: the signal)."""
        return self.proc.wait(timeout)

    def console(self, last=60):
        """The end of what VPP wrote on its console and in its log."""
        text = []
        for name in ("console.txt", "vpp.log"):
            try:
                with open(self.path(name), encoding="utf-8", errors="replace") as f:
                    text += ["--- %s" % name] + f.read().splitlines()[-last:]
            except FileNotFoundError:
                pass
        return ANSI.sub("", "\n".join(text))

    def vppctl(self, command, timeout=15):
        """Runs the real `vppctl -s <socket> <command…>`; the completed process. Raises when VPP dies of it."""
        done = subprocess.run(
            [self.install.vppctl, "-s", self.cli_sock] + command.split(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        # What was cut off looks like an answer.
        self.check_alive(grace=0.0 if done.returncode == 0 and done.stdout else CRASH_GRACE)
        return done

    def cli(self, command, timeout=15):
        """The answer to one CLI command over vppctl."""
        self.check_alive()
        done = self.vppctl(command, timeout)
        return ANSI.sub("", done.stdout)

    def stop(self):
        """SIGTERM, then SIGKILL after ten seconds; the return code."""
        if self.proc is None:
            return None
        if self.proc.poll() is None:
            self.ended_by_us = True
            self.proc.terminate()
            try:
                self.proc.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.proc.returncode

    def kill(self):
        """SIGKILL."""
        if self.proc is not None and self.proc.poll() is None:
            self.ended_by_us = True
            self.proc.kill()
            self.proc.wait(STOP_TIMEOUT)

    def remove(self):
        """Stops VPP and removes its files; kept where $MAGLEV_KEEP is set, or a core is among them."""
        self.stop()
        cores = glob.glob(self.path("core*"))
        if cores:
            print("\nkept: %s" % " ".join(cores))
        elif not os.environ.get("MAGLEV_KEEP"):
            shutil.rmtree(self.rundir, ignore_errors=True)
