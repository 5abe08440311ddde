"""The hands on a backend in a real VPP: what checks, agents and operators say, what `lb` is given of it, and where
the packets go."""

import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from backends import Agent
from gre_flows import clients
from maglev_case import WEB, base_config, check, checked, frontend, pool, wait_until
from states_case import AGENT, WELL, StatesCase

A1, A2, C, T1, T2 = ("10.77.0.%d" % n for n in range(1, 6))
P = ["10.77.0.%d" % n for n in range(11, 15)]
S1, S2 = "10.77.0.21", "10.77.0.22"
X1, X2 = "10.77.0.31", "10.77.0.32"
ALONE = "10.77.0.41"
TRACK = ("192.0.2.11", 443)
SLOW = ("192.0.2.12", 443)
OPEN = ("192.0.2.13", 443)
KEEP = ("192.0.2.14", 443)
LEAVE = ("192.0.2.15", 443)
ONE = ("192.0.2.16", 443)


class TestMaglevStates(StatesCase):
    """Trackers, drain, slow start, panic, stopping"""

    servers = {"a1": 1, "a2": 2, "c": 3, "s1": 21, "s2": 22, "x1": 31, "x2": 32}
    servers |= {"p0": 11, "p1": 12, "p2": 13, "p3": 14}
    modes = {"open": "fail-open", "keep": "keep-last"}

    @classmethod
    def make_config(cls, network):
        backends = checked(network)
        for name in ("x1", "x2"):
            backends[name]["healthcheck"] = "leave"
        for name, address in (("t1", T1), ("t2", T2)):
            backends[name] = {"address": address, "track": "c"}
        out = base_config(
            network,
            backends=backends,
            frontends={
                "web": frontend(WEB, pool("only", a1=None, a2=50)),
                "track": frontend(TRACK, pool("only", t1=None, t2=40, a2=20)),
                "slow": frontend(
                    SLOW, pool("only", s1=None, s2=None), slow_start="6s", new_flow_table_length=4096
                ),
                "leave": frontend(LEAVE, pool("only", x1=None, x2=None)),
            },
        )
        for name, vip in (("open", OPEN), ("keep", KEEP)):
            members = pool("only", p0=10, p1=20, p2=30, p3=40)
            out["frontends"][name] = frontend(vip, members, panic={"threshold": 50, "mode": cls.modes[name]})
        out["healthchecks"]["leave"] = check(params={"disable-on-404": True})
        return out

    def setUp(self):
        super().setUp()
        self.well()

    def test_trackers_follow(self):
        """What is said of a backend holds for those that track it, with its name; their weights follow"""
        up, out = {T1: 100, T2: 40, A2: 20}, {T1: 0, T2: 0, A2: 20}

        def gone(flush):
            return [(0, False), (0, True)] if flush else [(0, False)]

        self.wait_weights(TRACK, up)
        for verb, state, back, flush in (
            ("drain", "drain", "ready", False),
            ("disable", "disabled", "enable", True),
            ("pause", "paused", "resume", False),
        ):
            with self.subTest(verb=verb):
                mark = self.mark()
                self.say("c", verb)
                via = "%s via c" % state
                self.wait_shown(("c", state), ("t1", via), ("t2", via))
                self.wait_weights(TRACK, out)
                # Where several go at once their weights go before their flows.
                wait_until(
                    lambda: [self.writes(mark, TRACK, t) for t in (T1, T2)] == [gone(flush)] * 2,
                    lambda: str([self.writes(mark, TRACK, t) for t in (T1, T2)]),
                )
                self.assertEqual(self.backend("t1")["transitions"][0]["code"], "tracked")
                self.say("c", back)
                self.wait_shown(("c", "up"), ("t1", "up"), ("t2", "up"))
                self.wait_weights(TRACK, up)
        mark = self.mark()
        self.network["c"].kill()
        self.wait_shown(("c", "down"), ("t1", "down"), ("t2", "down"))
        self.wait_weights(TRACK, out)
        wait_until(
            lambda: [self.writes(mark, TRACK, t) for t in (T1, T2)] == [gone(True)] * 2,
            lambda: str([self.writes(mark, TRACK, t) for t in (T1, T2)]),
        )
        self.network["c"].start()
        self.wait_weights(TRACK, up)

    def test_a_tracker_has_words_of_its_own(self):
        """A word on a tracker is its own; health is refused, and the tracked backend is named"""
        self.say("t1", "drain")
        self.wait_shown(("c", "up"), ("t1", "drain"), ("t2", "up"))
        self.wait_weights(TRACK, {T1: 0, T2: 40, A2: 20})
        self.say("c", "drain")
        self.say("t1", "ready")
        self.wait_shown(("t1", "drain via c"))
        self.wait_weights(TRACK, {T1: 0, T2: 0, A2: 20})
        mark = self.mark()
        for verb in ("up", "down", "stopping"):
            self.assertIn("`c`", self.refused("t1", "health " + verb))
        self.assertIn("`c`", self.error("maglev probe backend t1"))
        self.assertEqual(self.since(mark, "backend-transition"), [])

    def test_drain_then_disable(self):
        """drain: flows that are there stay, new ones go elsewhere, checks go on; then disable: they move"""
        self.wait_weights(WEB, {A1: 100, A2: 50})
        before = self.send_flows(clients(200), *WEB)
        self.assertEqual(set(before.values()), {A1, A2})
        mark = self.mark()
        self.say("a1", "drain")
        self.wait_weights(WEB, {A1: 0, A2: 50})
        self.assertEqual(self.shown("a1"), "drain")
        self.assertEqual(self.writes(mark, WEB, A1), [(0, False)])
        self.assertEqual(self.send_flows(clients(200), *WEB), before)
        self.assertEqual(set(self.send_flows(clients(100, first=500), *WEB).values()), {A2})
        asked = self.network["a1"].count()
        wait_until(lambda: self.network["a1"].count() > asked + 2, "the checks have stopped")
        self.assertEqual(self.send_flows(clients(200), *WEB), before)
        self.assertIn("already", self.say("a1", "drain"))
        self.say("a1", "disable")
        self.wait_shown(("a1", "disabled"))
        self.wait_moved(clients(200), WEB, {A2})
        self.say("a1", "enable")
        self.wait_shown(("a1", "drain"))
        self.steady_weights(WEB, {A1: 0, A2: 50}, seconds=0.5)
        self.say("a1", "ready")
        self.wait_weights(WEB, {A1: 100, A2: 50})

    def test_slow_start(self):
        """A backend that was dead climbs to its weight in steps, one write of its weight each"""
        self.wait_weights(SLOW, {S1: 100, S2: 100}, timeout=30)
        self.network["s1"].kill()
        self.wait_weights(SLOW, {S1: 0, S2: 100})
        mark = self.mark()
        # It may have begun to climb when its start returns.
        seen = [self.lb_servers(*SLOW)[S1][1]]
        self.network["s1"].start()

        def climbed():
            weight, buckets = self.lb_servers(*SLOW)[S1]
            if seen[-1] != buckets:
                seen.append(buckets)
            return weight == 100

        wait_until(climbed, lambda: "not at its weight: %s" % seen, timeout=30, step=0.02)
        self.assertEqual(seen, sorted(set(seen)), "it only grows")
        self.assertEqual((seen[0], seen[-1]), (0, 2048))
        self.assertGreaterEqual(len(seen), 6, seen)
        weights = [w for w, _ in self.writes(mark, SLOW, S1)]
        # A busy machine may come too late for a step; never does it write one twice.
        self.assertEqual(weights, [w for w in (1, 2, 5, 10, 20, 50, 100) if w in weights])
        self.assertGreaterEqual(len(weights), len(seen) - 1)
        self.assertEqual(self.writes(mark, SLOW, S2), [], "the other's weight is not touched")
        events = self.since(mark, "lb-sync", "server=%s weight=" % S1)
        took = events[-1]["at_ms"] - events[0]["at_ms"]
        self.assertTrue(4000 <= took <= 15000, took)

    def test_panic(self):
        """Fewer up than the threshold: fail-open takes all, keep-last what there was; both say so, and end"""
        whole = dict(zip(P, (10, 20, 30, 40)))
        half = {**whole, P[0]: 0, P[1]: 0}
        for vip in (OPEN, KEEP):
            self.wait_weights(vip, whole)
        for name in ("p0", "p1"):
            self.network[name].kill()
        for vip in (OPEN, KEEP):
            # Two of four are not fewer than half of them.
            self.wait_weights(vip, half)
        mark = self.mark()
        self.network["p2"].kill()
        for name, vip, wanted in (("open", OPEN, whole), ("keep", KEEP, half)):
            mode = self.modes[name]
            told = self.wait_event(mark, "frontend-panic", "frontend=%s begins" % name)
            self.assertEqual([told[k] for k in ("mode", "begins", "up", "of")], [mode, True, 1, 4])
            self.wait_weights(vip, wanted)
            self.steady_weights(vip, wanted, seconds=0.5)
            self.panic_shown(name, "%s below 50%%, IN FORCE: 1/4 up" % mode)
        self.say("p3", "drain")
        self.wait_weights(OPEN, {**whole, P[3]: 0})
        self.wait_weights(KEEP, {**half, P[3]: 0})
        self.say("p3", "ready")
        self.wait_weights(OPEN, whole)
        self.assertEqual(self.since(mark, "frontend-panic", " ends"), [])
        for name in ("p0", "p1", "p2"):
            self.network[name].start()
        for name, vip in (("open", OPEN), ("keep", KEEP)):
            self.assertIs(self.wait_event(mark, "frontend-panic", "frontend=%s ends" % name)["begins"], False)
            self.wait_weights(vip, whole)
            self.assertEqual(len(self.since(mark, "frontend-panic", "frontend=%s " % name)), 2)
            self.panic_shown(name, "%s below 50%%" % self.modes[name])

    def panic_shown(self, name, rule):
        """What the shows and the binary API say of a frontend's panic."""
        lasts = "IN FORCE" in rule
        view = self.frontend_view(name)
        self.assertEqual((view["panic"], view["in_panic"]), (rule, lasts))
        self.assertIn("\npanic             %s\n" % rule, self.vapi.cli("maglev show frontend " + name))
        row = next(r for r in self.vapi.cli("maglev show frontends").splitlines() if r.startswith(name + " "))
        self.assertEqual(len(row.split()), 8 if lasts else 7, row)
        self.assertEqual(row.endswith(" [panic]"), lasts, row)
        self.assertEqual([d.in_panic for d in self.vapi.papi.maglev_frontend_get(cursor=0, name=name)[1]], [lasts])
        (member,) = [m for m in self.backend("p3")["frontends"] if m["frontend"] == name]
        self.assertEqual((member["effective"], member["why"]), (40, "panic " + self.modes[name] if lasts else ""))

    def test_404_is_stopping(self):
        """disable-on-404: a 404 takes new flows away and leaves the others; the next 200 brings all back"""
        self.wait_weights(LEAVE, {X1: 100, X2: 100})
        before = self.send_flows(clients(100), *LEAVE)
        self.assertEqual(set(before.values()), {X1, X2})
        mark = self.mark()
        self.network["x1"].behave("status 404")
        self.wait_weights(LEAVE, {X1: 0, X2: 100})
        self.wait_shown(("x1", "stopping"))
        self.assertEqual(self.writes(mark, LEAVE, X1), [(0, False)])
        self.assertEqual(self.send_flows(clients(100), *LEAVE), before)
        self.assertEqual(set(self.send_flows(clients(60, first=500), *LEAVE).values()), {X2})
        # More 404s do not take it down.
        asked = self.network["x1"].count()
        wait_until(lambda: self.network["x1"].count() > asked + 4, "the checks have stopped")
        self.assertEqual(self.shown("x1"), "stopping")
        self.network["x1"].behave("status 200")
        self.wait_weights(LEAVE, {X1: 100, X2: 100})
        self.assertEqual(self.steps("x1", mark), [("up", "stopping"), ("stopping", "up")])
        self.assertEqual(self.send_flows(clients(100), *LEAVE), before)
        # One that is down is not up by a 404.
        self.network["x1"].kill()
        self.wait_shown(("x1", "down"))
        self.network["x1"].start().behave("status 404")
        asked = self.network["x1"].count()
        wait_until(lambda: self.network["x1"].count() > asked + 4, "the checks have stopped")
        self.assertEqual(self.state("x1"), "down")

    def steps(self, name, mark):
        """The transitions of a backend after a mark: [(from, to)]"""
        return [(e["from"], e["to"]) for e in self.since(mark, "backend-transition", "backend=%s " % name)]

    def test_forced_health(self):
        """health up, down, stopping: at once, and the checks count on from there"""
        self.wait_weights(LEAVE, {X1: 100, X2: 100})
        mark = self.mark()
        self.say("x1", "health down")
        told = self.wait_event(mark, "backend-transition", "backend=x1 ")
        self.assertEqual([told[k] for k in ("from", "to", "code")], ["up", "down", "forced"])
        # Its server is well: two passes, and it is up.
        self.wait_shown(("x1", "up"))
        self.assertEqual(self.steps("x1", mark), [("up", "down"), ("down", "up")])
        self.wait_weights(LEAVE, {X1: 100, X2: 100})
        self.assertIn((0, True), self.writes(mark, LEAVE, X1))
        mark = self.mark()
        self.say("x1", "health stopping")
        wait_until(lambda: len(self.steps("x1", mark)) > 1, "the next pass does not end it")
        self.assertEqual(self.steps("x1", mark), [("up", "stopping"), ("stopping", "up")])
        self.assertNotIn((0, True), self.writes(mark, LEAVE, X1))
        self.network["x1"].kill()
        self.wait_shown(("x1", "down"))
        self.assertIn("not up", self.refused("x1", "health stopping"))
        mark = self.mark()
        self.say("x1", "health up")
        wait_until(lambda: len(self.steps("x1", mark)) > 1, "it stays up, though its server is dead")
        self.assertEqual(self.steps("x1", mark), [("down", "up"), ("up", "down")])
        self.say("x1", "disable")
        for verb in ("up", "down", "stopping"):
            self.assertIn("disabled", self.refused("x1", "health " + verb))
        self.assertEqual(self.shown("x1"), "disabled")


class TestMaglevAgents(StatesCase):
    """An agent beside a healthcheck, and one that alone decides"""

    servers = {"a1": 1, "a2": 2}

    @classmethod
    def make_backends(cls, network):
        super().make_backends(network)
        network.add("alone", 41, start=False)
        cls.agents = {"a1": Agent(network, A1), "alone": Agent(network, ALONE)}
        for agent in cls.agents.values():
            agent.start(WELL)

    @classmethod
    def make_config(cls, network):
        return base_config(
            network,
            backends={
                "a1": {"address": A1, "healthcheck": "web", "agent": AGENT},
                "a2": {"address": A2, "healthcheck": "web", "agent-track": "a1"},
                "alone": {"address": ALONE, "agent": AGENT},
            },
            frontends={
                "web": frontend(WEB, pool("only", a1=None, a2=50)),
                "one": frontend(ONE, pool("only", alone=None, a2=20)),
            },
        )

    def setUp(self):
        super().setUp()
        for name, agent in self.agents.items():
            agent.start(WELL)
            self.say(name, "agent mute")
            self.say(name, "agent unmute")
        self.well()
        self.wait_weights(WEB, {A1: 100, A2: 50})

    def heard(self, name, line, words):
        """The agent says a line, and it is told as these words."""
        mark = self.mark()
        self.agents[name].behave("say " + line)
        self.wait_event(mark, "agent", "backend=%s %s" % (name, words))
        return mark

    def test_every_word(self):
        """Every word of an agent: what is shown, the weights, and whether flows are flushed"""
        for line, words, shown, weight, other, told in (
            ("50%", "up ready 50%", "up", 50, 25, [(50, False)]),
            ("weight:30%", "up ready 30%", "up", 30, 15, [(30, False)]),
            ("weight:40", "up ready weight:40", "up", 40, 50, [(40, False)]),
            ("0%", "up ready 0%", "up", 0, 0, [(0, False)]),
            ("100%", "up ready 100%", "up", 100, 50, [(100, False)]),
            ("drain", "up drain 100%", "drain by agent", 0, 50, [(0, False)]),
            ("ready", "up ready 100%", "up", 100, 50, [(100, False)]),
            ("maint # disk swap", 'up maint 100% detail="disk swap"', "disabled by agent", 0, 50, [(0, True)]),
            ("ready", "up ready 100%", "up", 100, 50, [(100, False)]),
            ("down", "down ready 100%", "down by agent", 0, 50, [(0, True)]),
            ("stopped", "stopped ready 100%", "down by agent", 0, 50, []),
            ("fail", "fail ready 100%", "down by agent", 0, 50, []),
            ("UP,50%", "up ready 50%", "up", 50, 25, [(50, False)]),
            ("fail drain 10%", "fail drain 10%", "down by agent", 0, 5, [(0, True)]),
            (WELL, WELL, "up", 100, 50, [(100, False)]),
        ):
            with self.subTest(line=line):
                mark = self.heard("a1", line, words)
                self.wait_shown(("a1", shown))
                self.wait_weights(WEB, {A1: weight, A2: other})
                self.assertEqual(self.writes(mark, WEB, A1), told)
                self.assertEqual(self.shown("a2").split()[0], "up", "who takes the share takes no state")

    def test_words_that_say_nothing(self):
        """Unknown words, half a line, no line, no answer: said once, and all words stand"""
        self.heard("a1", "drain 60%", "up drain 60%")
        self.wait_weights(WEB, {A1: 0, A2: 30})
        # A weight alone may be written a little later.
        self.wait_weights(ONE, {ALONE: 100, A2: 12})
        agent = self.agents["a1"]
        quiet = self.mark()
        mark = self.heard("a1", "hello 5 weight:101", 'unknown words="hello 5 weight:101"')
        words, strange = (h["says"] for h in self.backend("a1")["hands"] if h["hand"] == "agent")
        self.assertEqual((words, strange), ("up drain 60%", "unknown words: hello 5 weight:101"))
        for behaviour, code, detail in (
            ("half ready", "L7RSP", "closed without a line end"),
            ("close", "L7RSP", "closed without a line end"),
            ("hang ready", "L7TOUT", "no line in time"),
        ):
            with self.subTest(behaviour=behaviour):
                mark = self.mark()
                agent.behave(behaviour)
                self.wait_event(mark, "agent", 'a1 failed code=%s detail="%s", its words stand' % (code, detail))
                self.steady_weights(WEB, {A1: 0, A2: 30}, seconds=0.5)
                mark = self.heard("a1", "", "answers again")
        mark = self.mark()
        before = self.show("status")["agents"]
        agent.kill()
        self.wait_event(mark, "agent", "a1 failed code=L4CON")
        self.steady_weights(WEB, {A1: 0, A2: 30}, seconds=1.0)
        self.assertEqual(self.shown("a1"), "drain by agent")
        self.assertEqual(len(self.since(mark, "agent")), 1, "a failure is told once")
        # The words without meaning are shown no longer than they are said.
        words, fails = (h for h in self.backend("a1")["hands"] if h["hand"] == "agent")
        self.assertEqual(words["says"], "up drain 60%")
        self.assertRegex(fails["says"], r"^fails, \d+ in a row$")
        self.assertEqual(fails["detail"], "L4CON connection refused; its words stand")
        text = " ".join(self.vppctl("maglev show backend a1").split())
        self.assertRegex(text, r" agent fails, \d+ in a row for \S+ \(L4CON connection refused; its words stand\) ")
        self.assertGreater(self.show("status")["agents"]["failures"], before["failures"] + 3)
        (counts,) = [b["agent"] for b in self.show("counters")["backends"] if b["backend"] == "a1"]
        self.assertGreaterEqual(counts["queries"], counts["replies"] + counts["failures"])
        self.assertGreater(counts["failures"], 3)
        agent.start("")
        self.wait_event(mark, "agent", "a1 answers again")
        self.assertNotIn("in a row", self.vppctl("maglev show backend a1"))
        self.assertEqual(self.shown("a1"), "drain by agent", "an empty line says nothing")
        self.assertEqual(self.since(quiet, "backend-transition"), [])
        self.assertEqual(self.since(quiet, "lb-sync", "weight="), [])
        self.heard("a1", WELL, WELL)
        self.wait_weights(WEB, {A1: 100, A2: 50})

    def test_mute(self):
        """A muted agent is not asked and its words are gone; unmuted it is asked anew"""
        self.heard("a1", "maint 10%", "up maint 10%")
        self.wait_shown(("a1", "disabled by agent"))
        self.wait_weights(WEB, {A1: 0, A2: 5})
        self.say("a1", "agent mute")
        self.wait_shown(("a1", "up"))
        self.wait_weights(WEB, {A1: 100, A2: 50})
        asked = self.agents["a1"].count()
        self.steady_weights(WEB, {A1: 100, A2: 50}, seconds=1.0)
        self.assertEqual(self.agents["a1"].count(), asked)
        self.assertIn("already", self.say("a1", "agent mute"))
        mark = self.mark()
        self.say("a1", "agent unmute")
        self.wait_event(mark, "agent", "maint 10%")
        self.wait_weights(WEB, {A1: 0, A2: 5})
        self.wait_shown(("a1", "disabled by agent"))
        self.assertIn("agent", self.refused("a2", "agent mute"))

    def test_no_hand_clears_anothers_word(self):
        """The operator's words and the agent's stand side by side, and each takes back its own alone"""
        self.say("a1", "drain")
        self.heard("a1", "drain", "up drain 100%")
        self.wait_shown(("a1", "drain"))
        self.heard("a1", "ready", "up ready 100%")
        self.steady_weights(WEB, {A1: 0, A2: 50}, seconds=0.5)
        self.heard("a1", "maint", "up maint 100%")
        self.wait_shown(("a1", "disabled by agent"))
        self.say("a1", "ready")
        self.assertIn("not disabled by the operator", self.say("a1", "enable"))
        self.assertIn("agent", self.refused("a1", "health up"))
        self.assertEqual(self.shown("a1"), "disabled by agent")
        self.heard("a1", "ready", "up ready 100%")
        self.wait_weights(WEB, {A1: 100, A2: 50})
        # Neither is `up` more than what the checks find.
        self.network["a1"].kill()
        self.wait_shown(("a1", "down"))
        self.heard("a1", "50%", "up ready 50%")
        self.wait_weights(WEB, {A1: 0, A2: 25})
        self.assertEqual(self.shown("a1"), "down")

    def test_an_agent_alone(self):
        """Without a healthcheck the agent decides; muted or dead it does not take the backend down"""
        self.wait_weights(ONE, {ALONE: 100, A2: 20})
        self.wait_shown(("alone", "up"))
        self.heard("alone", "down", "down ready 100%")
        self.wait_shown(("alone", "down by agent"))
        self.wait_weights(ONE, {ALONE: 0, A2: 20})
        self.say("alone", "agent mute")
        self.wait_weights(ONE, {ALONE: 100, A2: 20})
        self.wait_shown(("alone", "up agent muted"))
        self.say("alone", "agent unmute")
        self.wait_weights(ONE, {ALONE: 0, A2: 20})
        self.heard("alone", "up", "up")
        self.wait_weights(ONE, {ALONE: 100, A2: 20})
        mark = self.mark()
        self.agents["alone"].kill()
        self.wait_event(mark, "agent", "alone failed code=L4CON")
        self.steady_weights(ONE, {ALONE: 100, A2: 20}, seconds=0.5)


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
