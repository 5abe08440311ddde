"""What the tests of the hands on a backend have in common: words, and what is told of them."""

import re

from backends import AGENT_PORT
from maglev_case import MaglevTestCase, wait_until

# With nothing against the backend, of each class of words.
WELL = "up ready 100%"
AGENT = {"port": AGENT_PORT, "interval": "150ms", "timeout": "500ms"}


class StatesCase(MaglevTestCase):
    """Words, given with vppctl, and what is told of them."""

    def say(self, name, verb):
        """A verb of the operator that must succeed; its answer."""
        return self.do("maglev set backend %s %s" % (name, verb))

    def refused(self, name, verb):
        """A verb of the operator that must fail; its answer."""
        return self.error("maglev set backend %s %s" % (name, verb))

    def shown(self, name):
        """A backend's state as shown: with its author."""
        return self.backend(name)["display"]

    def wait_shown(self, *wanted, timeout=15):
        """Until backends are shown so; each (name, state)."""
        wait_until(
            lambda: all(self.shown(name) == state for name, state in wanted),
            lambda: "wanted %s: %s" % (wanted, self.vapi.cli("maglev show backends")),
            timeout,
        )
        text = self.vapi.cli("maglev show backends")
        for name, state in wanted:
            # What is too long for its column has a line of its own.
            self.assertRegex(text, r"(?m)^%s .*(\n +)?\b%s\b" % (name, state))

    def mark(self):
        """The number of the newest event."""
        return self.show("events last 1")["events"][-1]["sequence"]

    def since(self, mark, kind, holds=""):
        """The events of a kind after a mark whose line holds a text."""
        new = [e for e in self.show("events")["events"] if e["sequence"] > mark]
        return [e for e in new if e["kind"] == kind and holds in e["text"]]

    def wait_event(self, mark, kind, holds=""):
        """The first such event after a mark."""
        return wait_until(
            lambda: self.since(mark, kind, holds),
            lambda: "no %s with %r: %s" % (kind, holds, self.vapi.cli("maglev show events last 20")),
        )[0]

    def writes(self, mark, vip, server):
        """What `lb` was told of a server's weight in a VIP after a mark: [(weight, flush)]; a flush of the whole VIP is one of
        a server that had weight 0 then."""
        found = []
        for e in self.since(mark, "lb-sync", "%s:%d/" % vip):
            m = re.search(r"servers?=(\S+) weight=(\d+)( flush)?$", e["text"])
            if m and server in m[1].split(","):
                found.append((int(m[2]), bool(m[3])))
            elif e["text"].endswith("/tcp flush") and found and found[-1][0] == 0:
                found[-1] = (0, True)
        return found

    def wait_moved(self, flows, vip, servers):
        """Until all flows go to `servers`."""
        wait_until(
            lambda: set(self.send_flows(flows, *vip).values()) == servers, "the flows did not move", timeout=5
        )

    def well(self):
        """No words of anybody."""
        for view in self.show("backends"):
            # Of the operator; a `resume` is refused while an agent's maintenance has not been taken back, but
            # `disable` takes `pause` with it.
            for verb in ("ready", "disable", "enable"):
                if verb == "ready" or "paused" in view["display"] or view["state"] == "disabled":
                    self.say(view["name"], verb)
        self.reset()
