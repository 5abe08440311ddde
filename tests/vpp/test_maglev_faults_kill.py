"""SIGKILL of VPP at random moments of reloads and of saves: the state file is whole, and words that were answered
survive."""

import copy
import json
import os
import random
import shutil
import threading
import time
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from maglev_case import WEB, base_config, frontend, pool, wait_until, write_yaml
from restart_case import RestartCase
from vpp_process import VppError

LONG = os.environ.get("MAGLEV_LONG_TESTS") == "1"
ROUNDS = 200 if LONG else 12
NAMES = ["b%d" % n for n in range(8)]
# What a verb leaves: (the word's kind, its value).
VERBS = {
    "disable": ("disabled", True),
    "enable": ("disabled", False),
    "drain": ("drain", True),
    "ready": ("drain", False),
}


class Killed(Exception):
    """VPP went while it was asked."""


class TestMaglevFaultsKill(RestartCase):
    """A VPP that dies in the middle of things"""

    servers = {n: i + 1 for i, n in enumerate(NAMES)}

    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("MAGLEV_SEED") or random.randrange(1 << 32))
        print("\nMAGLEV_SEED=%d" % self.seed)
        self.dice = random.Random(self.seed)
        config = base_config(
            self.network,
            backends={n: {"address": self.network[n].address, "healthcheck": "web"} for n in NAMES},
            frontends={"web": frontend(WEB, pool("only", **{n: 50 for n in NAMES}))},
        )
        other = copy.deepcopy(config)
        other["healthchecks"]["web"]["fall"] = 4
        other["backends"]["more"] = {"address": "10.77.0.99", "healthcheck": "web"}
        other["frontends"]["web"]["pools"][0]["backends"]["b7"] = {"weight": 40}
        self.make(config)
        self.files = []
        for n, content in enumerate((config, other)):
            self.files.append("%s.%d" % (self.config_path, n))
            write_yaml(self.files[-1], content)
        # {(backend, kind of word): the values that it may have}: one, but where VPP was killed before it answered.
        self.words = {(n, kind): {False} for n in NAMES for kind in ("disabled", "drain")}
        self.weights = {n: {None} for n in NAMES[:7]}
        self.killing = False

    def configure(self, number):
        """The configuration on the disk becomes this one, in one step."""
        shutil.copy(self.files[number], self.config_path + ".new")
        os.rename(self.config_path + ".new", self.config_path)

    def ask(self, command):
        """The answer of a vppctl; Killed where VPP did not live to give it whole."""
        try:
            answer = self.process.vppctl("maglev " + command).stdout
        except VppError as e:
            if self.killing:
                raise Killed from e
            raise
        if self.killing and not answer.endswith("\n"):
            raise Killed
        self.assertFalse(answer.startswith("error: "), (command, answer))
        return answer

    def say(self):
        """A word of the operator; from its answer on it is to survive."""
        name = self.dice.choice(NAMES[:7])
        if self.dice.random() < 0.3:
            weight = self.dice.choice([None, 0, 1, 77])
            word = "default" if weight is None else weight
            command = "set frontend web pool only backend %s weight %s" % (name, word)
            book, key, value = self.weights, name, weight
        else:
            verb = self.dice.choice(list(VERBS))
            kind, value = VERBS[verb]
            command, book, key = "set backend %s %s" % (name, verb), self.words, (name, kind)
        book[key] = book[key] | {value}
        if "not saved" not in self.ask(command):
            book[key] = {value}

    def talk(self):
        """Words and reloads, until VPP is gone."""
        try:
            while True:
                if self.dice.random() < 0.25:
                    self.configure(self.dice.randrange(2))
                    self.ask("config reload")
                else:
                    self.say()
        except Killed:
            pass
        except Exception as e:  # told by the test itself
            self.problem = e

    def check_words(self):
        """What a new VPP knows is what was answered."""
        backends = {b["name"]: b for b in json.loads(self.ask("show backends json"))}
        members = json.loads(self.ask("show frontends web json"))["pools"][0]["backends"]
        for (name, kind), values in self.words.items():
            view = backends[name]
            said = {h["says"] for h in view["hands"] if h["hand"] == "operator"}
            self.assertIn(kind in said, values, (name, kind, view))
            self.words[name, kind] = {kind in said}
        for member in members:
            if member["name"] in self.weights:
                value = member["weight"] if member["overridden"] else None
                self.assertIn(value, self.weights[member["name"]], member)
                self.weights[member["name"]] = {value}

    def test_killed_at_random_moments(self):
        """A dozen times: words and reloads until SIGKILL; the next start reads a whole file, with all that was
        answered"""
        self.process.start()
        for number in range(ROUNDS):
            wait_until(lambda: json.loads(self.ask("show status json"))["state"] == "running", "not running")
            status = json.loads(self.ask("show status json"))
            self.assertIsNone(status["state_file"]["problem"])
            self.check_words()
            self.problem = None
            talker = threading.Thread(target=self.talk)
            talker.start()
            # Long enough for some words at least; where in a word or reload it falls is chance.
            time.sleep(self.dice.uniform(0.05, 0.6))
            self.killing = True
            pid = self.process.proc.pid
            self.process.kill()
            talker.join(30)
            self.assertFalse(talker.is_alive())
            if self.problem:
                raise self.problem
            self.killing = False
            left = sorted(n for n in os.listdir(self.process.rundir) if n.startswith("state.json"))
            left.remove("state.json.lock")
            self.assertIn(left, (["state.json"], ["state.json", "state.json.new"]), (number, pid))
            with open(self.state_path, encoding="utf-8") as f:
                self.assertIn("state", json.load(f))
            self.process.start()
        self.check_words()
        self.assertEqual(self.process.stop(), 0, self.process.console())
        self.assertFalse(os.path.exists(self.state_path + ".bad"))


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
