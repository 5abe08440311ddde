"""Every verb on a backend, its answer and its refusals, with vppctl and over the binary API of a real VPP."""

import random
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from backends import Agent
from maglev_case import WEB, base_config, checked, frontend, pool, wait_until
from states_case import AGENT, WELL, StatesCase

A, N, E = "10.77.0.1", "10.77.0.2", "10.77.0.3"
ALL = {A: 100, N: 50, E: 20}
HEALTH = ["health up", "health down", "health stopping"]
# In the binary API's order.
VERBS = ["enable", "disable", "pause", "resume", "drain", "ready", *HEALTH, "agent mute", "agent unmute"]
FIRST_WORDS = "enable, disable, pause, resume, drain, ready, health, agent"
DOORS = ("vppctl", "api")
# What its agent says by turns.
SPEECH = ["maint", "drain", "down", "up ready", "50%", "weight:7", "fail", ""]


class TestMaglevVerbs(StatesCase):
    """Verbs on backends"""

    servers = {"a": 1, "n": 2, "e": 3}

    @classmethod
    def make_backends(cls, network):
        super().make_backends(network)
        cls.agent = Agent(network, A)
        cls.agent.start(WELL)

    @classmethod
    def make_config(cls, network):
        backends = checked(network)
        backends["a"]["agent"] = AGENT
        backends["e"]["agent-track"] = "a"
        backends["t"] = {"address": "10.77.0.4", "track": "n"}
        backends["s"] = {"address": "10.77.0.5"}
        return base_config(
            network, backends=backends, frontends={"web": frontend(WEB, pool("only", a=None, n=50, e=20))}
        )

    def setUp(self):
        super().setUp()
        self.agent.start(WELL)
        for verb in ("agent mute", "agent unmute"):
            self.say("a", verb)
        self.well()
        self.wait_weights(WEB, ALL)

    def word(self, door, name, verb):
        """A verb through one door: whether it was taken, and the answer."""
        if door == "api":
            reply = self.vapi.papi.maglev_set_backend(backend=name, verb=VERBS.index(verb))
            # The API does not wait for lb, and says so.
            return reply.retval == 0, reply.text.split("; not yet in lb: ")[0]
        answer = self.vppctl("maglev set backend %s %s" % (name, verb)).strip()
        return not answer.startswith("error: "), answer.removeprefix("error: ")

    def taken(self, door, name, verb, answer):
        """A verb that changes something; its answer is exactly this."""
        mark = self.mark()
        self.assertEqual(self.word(door, name, verb), (True, "backend `%s` %s" % (name, answer)))
        self.wait_event(mark, "operator", "set backend %s %s" % (name, verb))

    def changes_nothing(self, door, name, verb, answer):
        """A verb that succeeds, says why there is nothing to do (a regular expression), and does nothing."""
        self.idle(True, door, name, verb, answer)

    def is_refused(self, door, name, verb, answer):
        """A verb that fails, says why (a regular expression), and does nothing."""
        self.idle(False, door, name, verb, answer)

    def idle(self, wanted, door, name, verb, answer):
        mark = self.mark()
        taken, text = self.word(door, name, verb)
        self.assertIs(taken, wanted, text)
        self.assertRegex(text, "^backend `%s` %s$" % (name, answer))
        self.assertEqual(self.since(mark, "operator"), [], text)

    def steps(self, name, mark, count):
        """The first transitions of a backend after a mark: [(to, code)]"""
        holds = "backend=%s " % name
        wait_until(
            lambda: len(self.since(mark, "backend-transition", holds)) >= count,
            lambda: "%s: %s" % (name, self.since(mark, "backend-transition", holds)),
        )
        return [(e["to"], e["code"]) for e in self.since(mark, "backend-transition", holds)][:count]

    def test_pairs(self):
        """drain and ready, disable and enable, pause and resume, agent mute and unmute: said, shown, taken back"""
        for door in DOORS:
            for verb, answer, shown, weight, back, back_answer in (
                ("drain", "drained", "drain", 0, "ready", "ready"),
                ("disable", "disabled", "disabled", 0, "enable", "enabled"),
                ("pause", "paused", "paused", 0, "resume", "resumed"),
                ("agent mute", "has its agent muted", "up", 100, "agent unmute", "has its agent unmuted"),
            ):
                with self.subTest(door=door, verb=verb):
                    self.taken(door, "a", verb, answer)
                    self.wait_shown(("a", shown))
                    self.wait_weights(WEB, {**ALL, A: weight})
                    self.changes_nothing(door, "a", verb, r"(is|has its agent) \w+ already( \(%s\))?" % shown)
                    self.taken(door, "a", back, back_answer)
                    self.wait_shown(("a", "up"))
                    self.wait_weights(WEB, ALL)
                    self.changes_nothing(door, "a", back, r"(is|has its agent) \w+ already( \(up\))?")

    def test_forced_health(self):
        """health down, stopping, up: at once, and the checks count on from there"""
        for door in DOORS:
            with self.subTest(door=door):
                self.wait_shown(("n", "up"))
                self.changes_nothing(door, "n", "health up", r"has that health already \(up\)")
                mark = self.mark()
                self.taken(door, "n", "health stopping", "forced to stopping")
                self.assertEqual(self.steps("n", mark, 2), [("stopping", "forced"), ("up", "L7OK")])
                mark = self.mark()
                self.taken(door, "n", "health down", "forced down")
                self.assertEqual(self.steps("n", mark, 2), [("down", "forced"), ("up", "L7OK")])
                self.network["n"].kill()
                self.wait_shown(("n", "down"))
                self.is_refused(door, "n", "health stopping", "is not up: only a backend that is up can be stopping")
                self.changes_nothing(door, "n", "health down", r"has that health already \(down\)")
                mark = self.mark()
                self.taken(door, "n", "health up", "forced up")
                self.assertEqual(self.steps("n", mark, 2), [("up", "forced"), ("down", "L4CON")])
                self.network["n"].start()

    def test_not_the_operators_words(self):
        """What somebody else has said is not taken back, and the answer says who"""
        self.agent.behave("say drain")
        self.wait_shown(("a", "drain by agent"))
        for door in DOORS:
            self.changes_nothing(door, "a", "ready", "is not drained by the operator: it is drain by agent")
        self.agent.behave("say maint")
        self.wait_shown(("a", "disabled by agent"))
        for door in DOORS:
            self.changes_nothing(door, "a", "enable", "is not disabled by the operator: it is disabled by agent")
            for verb in ("pause", *HEALTH):
                why = r"is disabled by its agent \(mute that, or wait for its `ready`\)"
                self.is_refused(door, "a", verb, why)
        self.agent.behave("say ready")
        self.wait_shown(("a", "up"))
        self.say("n", "drain")
        self.wait_shown(("t", "drain via n"))
        for door in DOORS:
            self.changes_nothing(door, "t", "ready", "is not drained by the operator: it is drain via n")
        self.say("n", "disable")
        self.wait_shown(("t", "disabled via n"))
        for door in DOORS:
            self.changes_nothing(door, "t", "enable", "is not disabled by the operator: it is disabled via n")
            self.is_refused(door, "t", "pause", "is disabled via `n`")

    def test_refusals(self):
        """Verbs that make no sense are refused, with a reason, and nothing changes"""
        for door in DOORS:
            for verb in HEALTH:
                self.is_refused(door, "t", verb, "tracks `n`: set the health of that")
                why = "has no checks that would count on from there: use `disable` or `drain`"
                self.is_refused(door, "s", verb, why)
            for verb in ("agent mute", "agent unmute"):
                self.is_refused(door, "n", verb, "has no agent")
                self.is_refused(door, "t", verb, "has no agent")
                self.is_refused(door, "e", verb, "has no agent: it takes the share of `a`'s")
            self.say("n", "pause")
            for verb in HEALTH:
                self.is_refused(door, "n", verb, r"is paused \(resume it first\)")
            self.say("n", "disable")
            for verb in ("pause", "resume", *HEALTH):
                self.is_refused(door, "n", verb, r"is disabled \(enable it first\)")
            self.say("n", "enable")
            for verb in VERBS:
                self.assertEqual(
                    self.word(door, "m", verb), (False, "unknown backend `m` (nearest: a, e, n)"), verb
                )
            self.wait_shown(("n", "up"), ("t", "up"))

    def test_words_that_are_no_verbs(self):
        """Half a verb, a word too much, an ambiguous one: an error that lists what was possible; nothing changes"""
        mark = self.mark()
        for words, answer in (
            ("health", "missing a word behind `health` (one of: up, down, stopping)"),
            ("agent", "missing a word behind `agent` (one of: mute, unmute)"),
            ("health mute", "unknown word `mute` behind `health` (one of: up, down, stopping)"),
            ("agent down", "unknown word `down` behind `agent` (one of: mute, unmute)"),
            ("drain now", "too many words, from `now` on: `drain` stands alone"),
            ("re", "ambiguous word `re` (resume, ready)"),
            ("stopping", "unknown verb `stopping` (one of: %s)" % FIRST_WORDS),
        ):
            with self.subTest(words=words):
                self.assertEqual(self.refused("a", words).strip(), "error: " + answer)
        self.assertEqual(self.since(mark, "operator"), [])
        # Shortened, they are the same verbs.
        for words, shown in (("dr", "drain"), ("rea", "up"), ("a m", "up"), ("ag unm", "up")):
            self.say("a", words)
            self.wait_shown(("a", shown))

    def test_many_verbs_while_all_flaps(self):
        """Two hundred verbs while servers die and come back and the agent talks: VPP lives, and all heals"""
        dice = random.Random(4711)
        told = 0
        for i in range(200):
            if i % 10 == 0:
                backend = self.network[dice.choice("an")]
                if backend.process is None:
                    backend.start()
                else:
                    backend.kill()
            if i % 7 == 0:
                self.agent.behave("say " + dice.choice(SPEECH))
            if i % 50 == 49:
                self.do("maglev config reload")
            name, verb = dice.choice("anets"), dice.choice(VERBS)
            answer = self.vppctl("maglev set backend %s %s" % (name, verb))
            self.assertRegex(answer, "^(error: )?backend `%s` [a-z]" % name, verb)
            told += answer.startswith("backend")
        self.assertGreater(told, 100)
        self.agent.behave("say " + WELL)
        for verb in ("agent mute", "agent unmute"):
            self.say("a", verb)
        self.well()
        self.wait_weights(WEB, ALL)
        self.assertEqual(self.show("status")["state"], "running")
        self.assertEqual(self.show("status")["lb"]["failing"], [])


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
