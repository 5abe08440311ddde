"""The binary API: every message, its errors, its events."""

import os
import queue
import socket
import struct
import threading
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

import api_crcs
from maglev_case import WEB, MaglevTestCase, base_config, checked, frontend, pool, wait_until
from vpp_papi import VPPApiClient
from vpp_process import find_maglev

A1, A2, B1 = "10.77.0.1", "10.77.0.2", "10.77.0.11"
ALL = {A1: 100, A2: 50, B1: 0}
VERBS = {"enable": 0, "disable": 1, "pause": 2, "resume": 3}
STATES = {"unknown": 0, "up": 1, "down": 2, "paused": 3, "disabled": 4, "removed": 5}
NO_SUCH_ENTRY, INVALID_VALUE, INVALID_REGISTRATION, EAGAIN, BUSY = -6, -7, -31, -165, -167
END = 0xFFFFFFFFFFFFFFFF
BACKEND, FRONTEND, FAILOVER, LB_SYNC, OPERATOR, CONFIG = range(6)
PROBE_RESULT, SYNC_RESULT, CONFIG_RESULT = 8, 9, 10
PASS, FAIL = 1, 2
LINEAR = 0
CHECKS = {"tcp": 0, "http": 1, "https": 2, "icmp": 3, "udp": 4, "dns": 5}
ENCAPS = {"gre4": 0, "gre6": 1, "l3dsr": 2, "nat4": 3, "nat6": 4}
LONG = "a" * 63


def rows(api, table, only=""):
    """All rows of a list, and no doubt about its end."""
    got, cursor = [], 0
    for _ in range(100000):
        reply, details = getattr(api, "maglev_%s_get" % table)(
            cursor=cursor, **{"frontend" if table == "member" else "name": only}
        )
        got += details
        if reply.retval == 0:
            assert reply.cursor == END, reply
            return got
        if reply.retval == NO_SUCH_ENTRY:
            assert not got, got
            return None
        assert reply.retval == EAGAIN, reply
        cursor = reply.cursor
    raise AssertionError("a list without an end")


class Client:
    """One more client of the API."""

    def __init__(self, case):
        self.papi = VPPApiClient(
            apifiles=case.vapi.vpp.apifiles, server_address=case.get_api_sock_path(), read_timeout=20
        )
        self.events = queue.Queue()
        self.papi.register_event_callback(lambda name, event: self.events.put((name, event)))
        self.papi.connect("maglev-api-test")
        self.api = self.papi.api

    def want(self, enable=True, pid=4711):
        return self.api.want_maglev_events(enable=enable, pid=pid).retval

    def wait(self, kind, timeout=10, **wanted):
        """The next event of that kind with those fields; what comes before it is passed over."""
        seen = []
        while True:
            try:
                name, event = self.events.get(timeout=timeout)
            except queue.Empty:
                raise AssertionError("no event %s %s, but %s" % (kind, wanted, seen)) from None
            assert name == "maglev_event", name
            if event.kind == kind and all(getattr(event, k) == v for k, v in wanted.items()):
                return event
            seen.append((event.kind, event.text))

    def raw(self, message, patch, timeout=10, **fields):
        """Sends a message whose bytes `patch` has changed; the reply, or None if none comes in time."""
        known = self.papi.messages[message]
        fields.update(
            _vl_msg_id=self.papi.transport.get_msg_index("%s_%s" % (message, known.crc[2:])),
            client_index=self.papi.transport.socket_index,
            context=99,
        )
        self.papi.transport.write(patch(bytearray(known.pack(fields))))
        return self.papi.read_blocking(timeout=timeout)

    def many(self, message, all_fields):
        """Sends many at once; their replies."""
        known = self.papi.messages[message]
        for fields in all_fields:
            header = {
                "_vl_msg_id": self.papi.transport.get_msg_index("%s_%s" % (message, known.crc[2:])),
                "client_index": self.papi.transport.socket_index,
                "context": 99,
            }
            self.papi.transport.write(known.pack({**fields, **header}))
        return [self.papi.read_blocking(timeout=20) for _ in all_fields]

    def close(self):
        self.papi.disconnect()


class TestMaglevApi(MaglevTestCase):
    """The binary API maglev.api"""

    servers = {"a1": 1, "a2": 2, "b1": 11}

    @classmethod
    def make_config(cls, network):
        backends = checked(network)
        backends["fixed"] = {"address": "10.77.0.99"}
        return base_config(
            network,
            backends=backends,
            frontends={
                "web": frontend(WEB, pool("primary", a1=None, a2=50), pool("backup", b1=80)),
                "six": {
                    "address": "2001:db8::1",
                    "pools": [pool("only", a1=None, fixed=7)],
                },
            },
        )

    def setUp(self):
        super().setUp()
        self.reset()
        self.client = self.connect()
        self.api = self.client.api

    def connect(self):
        client = Client(self)
        self.addCleanup(client.close)
        return client

    def test_crcs(self):
        """Each message has the CRC that is kept with the API's version"""
        plugin = find_maglev()
        beside = os.path.join(os.path.dirname(plugin), "maglev.api.json")
        wanted = api_crcs.kept()
        self.assertEqual(
            (wanted.pop("text"), wanted.pop("version")), api_crcs.text_and_version(), "see docs/api.md, Versions"
        )
        self.assertEqual(api_crcs.of_json(beside), wanted)

    # What is shown

    def test_status(self):
        """maglev_status says what show status says"""
        view, reply = self.show("status"), self.api.maglev_status()
        self.assertEqual((reply.retval, reply.state, reply.reason), (0, 1, ""))
        self.assertTrue(reply.lb_available)
        self.assertTrue(reply.prober_running)
        self.assertEqual((reply.backends, reply.backends_up), (4, 4))
        self.assertEqual((reply.frontends, reply.frontends_up), (2, 2))
        self.assertEqual(reply.config_loaded, view["config_loaded_ms"])
        self.assertEqual(reply.config_errors, 0)
        self.assertGreaterEqual(reply.probes, view["prober"]["probes"])
        self.assertGreaterEqual(reply.lb_calls, view["lb"]["calls"])
        self.assertGreaterEqual(reply.uptime_ms, view["uptime_ms"])
        self.assertEqual(reply.version, self.show("version")["maglev"])
        self.assertEqual(reply.built_for, self.show("version")["built_for"])

    def test_backends(self):
        """maglev_backend_get says what show backends says, of all or of one"""
        views = {v["name"]: v for v in self.show("backends")}
        details = rows(self.api, "backend", "")
        self.assertEqual([d.name for d in details], sorted(views))
        for d in details:
            v = views[d.name]
            self.assertEqual(str(d.address), v["address"])
            self.assertEqual(d.healthcheck, v["healthcheck"] or "")
            self.assertEqual(d.state, STATES[v["state"]])
            self.assertEqual((d.counter_max, d.rise, d.fall), (v["counter_max"], v["rise"], v["fall"]))
            self.assertEqual(d.since, v["since_ms"])
            self.assertEqual(d.last_code, v["last_code"] or "")
            self.assertEqual(d.last_detail, v["last_detail"])
            self.assertEqual((d.display, d.reason), (v["display"], v["verdict"]))
            self.assertEqual((d.tracks, d.agent_track, d.has_agent, d.waits_for), ("", "", False, ""))
            self.assertGreaterEqual(d.passes, v["passes"])
        self.assertEqual(rows(self.api, "backend", "a1")[0].last_code, "L7OK")
        self.assertEqual(len(rows(self.api, "backend", "a1")), 1)
        for unknown in ("nobody", "a", "A1", LONG):
            self.assertIsNone(rows(self.api, "backend", unknown))

    def test_frontends(self):
        """maglev_frontend_get says what show frontends says, of both families, per port and for all ports"""
        views = {v["name"]: v for v in self.show("frontends")}
        details = {d.name: d for d in rows(self.api, "frontend", "")}
        self.assertEqual(sorted(details), sorted(views))
        for name, d in details.items():
            v = views[name]
            self.assertEqual(str(d.address), v["address"])
            self.assertEqual((d.pool, d.serving, d.total), (v["pool"], v["serving"], v["total"]))
            self.assertEqual((d.encap, d.table_length), (ENCAPS[v["encap"]], v["table_length"]))
            self.assertEqual((d.description, d.slow_start_ms, d.panic_mode), (v["description"], 0, 0))
            self.assertEqual((d.src_ip_sticky, d.flush_on_down), (v["src_ip_sticky"], v["flush_on_down"]))
            self.assertEqual((d.programmed, d.in_panic, d.leaving, d.error), (True, False, 0, ""))
            self.assertEqual(d.state, 1)
        web, six = details["web"], details["six"]
        self.assertEqual((web.all_ports, web.protocol, web.port), (False, 6, 443))
        self.assertEqual((six.all_ports, six.protocol, six.port), (True, 255, 0))
        self.assertEqual([d.name for d in rows(self.api, "frontend", "web")], ["web"])
        self.assertIsNone(rows(self.api, "frontend", "nobody"))

    def test_members(self):
        """maglev_member_get: pool, backend, weight, effective, in order"""
        members = rows(self.api, "member", "web")
        told = [(m.frontend, m.pool, m.backend, m.pool_active, m.weight, m.effective) for m in members]
        self.assertEqual(
            told,
            [
                ("web", "primary", "a1", True, 100, 100),
                ("web", "primary", "a2", True, 50, 50),
                ("web", "backup", "b1", False, 80, 0),
            ],
        )
        self.assertEqual({m.state for m in members}, {STATES["up"]})
        self.assertEqual(len(rows(self.api, "member", "")), 5)
        self.assertIsNone(rows(self.api, "member", "nobody"))

    def test_healthchecks(self):
        """maglev_healthcheck_get says what show healthchecks says"""
        views = {v["name"]: v for v in self.show("healthchecks")}
        details = rows(self.api, "healthcheck", "")
        self.assertEqual([d.name for d in details], sorted(views))
        for d in details:
            v = views[d.name]
            self.assertEqual((d.type, d.port, d.counter), (CHECKS[v["kind"]], v["port"] or 0, LINEAR))
            self.assertEqual(v["counter"], "linear")
            self.assertEqual(d.parameters.splitlines(), ["%s %s" % (k, p) for k, p in v["params"]])
            for field in (
                "interval_ms",
                "fast_interval_ms",
                "down_interval_ms",
                "timeout_ms",
                "rise",
                "fall",
                "jitter_percent",
                "silent_bound_ms",
                "refused_bound_ms",
            ):
                self.assertEqual(getattr(d, field), v[field], "%s of %s" % (field, d.name))
            self.assertEqual(d.backends, len(v["backends"]))
        self.assertEqual([d.name for d in rows(self.api, "healthcheck", "ping")], ["ping"])
        self.assertIsNone(rows(self.api, "healthcheck", "nobody"))

    def test_cursors(self):
        """A list goes on where its cursor says; a cursor of another configuration, or of none, is refused"""
        for table, only in (("backend", "name"), ("frontend", "name"), ("member", "frontend"), ("healthcheck", "name")):
            get = getattr(self.api, "maglev_%s_get" % table)
            for bad in (END, 1, 77 << 32, 0xFFFFFFFF):
                reply, details = get(cursor=bad, **{only: ""})
                self.assertEqual((reply.retval, reply.cursor, details), (INVALID_VALUE, END, []))
            generation = self.api.maglev_status().generation
            whole = rows(self.api, table)
            reply, details = get(cursor=generation << 32 | 1, **{only: ""})
            self.assertEqual((reply.retval, [d[2:5] for d in details]), (0, [d[2:5] for d in whole[1:]]))
        self.assertEqual(list(self.client.papi.details_iter(self.api.maglev_backend_get, name="a1"))[0].name, "a1")
        self.do("maglev config reload")
        reply, _ = self.api.maglev_backend_get(cursor=generation << 32 | 1, name="")
        self.assertEqual(reply.retval, INVALID_VALUE)

    # Verbs

    def set_backend(self, name, verb):
        return self.api.maglev_set_backend(backend=name, verb=VERBS[verb])

    def test_set_backend(self):
        """Each verb does what its command does, and says when it changes nothing"""
        for verb, state, weight in (("disable", "disabled", 0), ("enable", "up", 100)):
            reply = self.set_backend("a1", verb)
            self.assertEqual((reply.retval, reply.changed), (0, True), reply.text)
            self.wait_state("a1", state)
            self.wait_weights(WEB, {A1: weight, A2: 50, B1: 0})
        reply = self.set_backend("a1", "pause")
        self.assertEqual((reply.retval, reply.changed), (0, True))
        self.assertTrue(reply.text.startswith("backend `a1` paused; not yet in lb: vip="), reply.text)
        self.assertEqual(rows(self.api, "backend", "a1")[0].state, STATES["paused"])
        reply = self.set_backend("a1", "pause")
        self.assertEqual((reply.retval, reply.changed), (0, False))
        self.assertIn("already", reply.text)
        self.assertTrue(self.set_backend("a1", "resume").changed)
        self.wait_weights(WEB, ALL)

    def test_refusals(self):
        """What cannot be done has its number and its text"""
        self.set_backend("a1", "disable")
        reply = self.set_backend("a1", "pause")
        self.assertEqual((reply.retval, reply.changed), (BUSY, False))
        self.assertIn("disabled", reply.text)
        reply = self.set_backend("a9", "disable")
        self.assertEqual(reply.retval, NO_SUCH_ENTRY)
        self.assertIn("nearest: a1", reply.text)
        for reply in (
            self.api.maglev_probe(backend="a9"),
            self.api.maglev_sync(frontend="nobody"),
            self.api.maglev_flush_frontend(frontend="nobody"),
            self.api.maglev_set_weight(frontend="nobody", pool="primary", backend="a1", weight=1),
            self.api.maglev_set_weight(frontend="web", pool="nobody", backend="a1", weight=1),
            self.api.maglev_set_weight(frontend="web", pool="primary", backend="b1", weight=1),
            self.api.maglev_set_backend(backend="", verb=VERBS["disable"]),
        ):
            self.assertEqual(reply.retval, NO_SUCH_ENTRY, reply)
            self.assertIn("unknown", reply.text)
        self.assertEqual(self.api.maglev_probe(backend="fixed").retval, BUSY)

    def test_set_weight(self):
        """A weight is overridden and given back"""
        names = {"frontend": "web", "pool": "primary", "backend": "a1"}
        reply = self.api.maglev_set_weight(**names, weight=10)
        self.assertEqual((reply.retval, reply.changed), (0, True))
        self.wait_weights(WEB, {A1: 10, A2: 50, B1: 0})
        member = rows(self.api, "member", "web")[0]
        self.assertEqual((member.weight, member.overridden, member.effective), (10, True, 10))
        self.assertFalse(self.api.maglev_set_weight(**names, weight=10).changed)
        self.assertIn("flushed", self.api.maglev_set_weight(**names, weight=10, flush=True).text)
        self.assertTrue(self.api.maglev_set_weight(**names, is_default=True, weight=255).changed)
        self.wait_weights(WEB, ALL)
        for weight in (101, 255):
            reply = self.api.maglev_set_weight(**names, weight=weight)
            self.assertEqual((reply.retval, reply.changed), (INVALID_VALUE, False))
        self.steady_weights(WEB, ALL, seconds=0.5)

    def test_flush(self):
        """maglev_flush_frontend flushes, and says so"""
        reply = self.api.maglev_flush_frontend(frontend="web")
        self.assertEqual((reply.retval, reply.text), (0, "frontend `web` flushed"))

    # What is started, and its results

    def test_probe(self):
        """maglev_probe answers at once; its result is an event with the ticket"""
        self.assertEqual(self.client.want(), 0)
        reply = self.api.maglev_probe(backend="a1")
        self.assertEqual((reply.retval, reply.text), (0, "started"))
        event = self.client.wait(PROBE_RESULT, ticket=reply.ticket)
        self.assertEqual((event.name, event.verdict, event.code, event.retval), ("a1", PASS, "L7OK", 0))
        self.assertEqual((event.sequence, event.failed, event.detail), (0, False, "HTTP 200"))
        self.assertGreater(event.latency_us, 0)
        self.assertTrue(event.text.startswith("a1: pass, L7OK HTTP 200"), event.text)
        self.network["a1"].behave("status 503")
        ticket = self.api.maglev_probe(backend="a1").ticket
        event = self.client.wait(PROBE_RESULT, ticket=ticket)
        self.assertEqual((event.verdict, event.code, event.retval), (FAIL, "L7STS", 0))

    def test_sync(self):
        """maglev_sync repairs what others changed, and tells how much"""
        self.client.want()
        self.vapi.cli("lb as %s/32 protocol tcp port %d %s weight 3" % (WEB[0], WEB[1], A1))
        ticket = self.api.maglev_sync(frontend="web").ticket
        event = self.client.wait(SYNC_RESULT, ticket=ticket)
        self.assertEqual((event.retval, event.text.split(",")[0]), (0, "1 frontend compared"))
        self.wait_weights(WEB, ALL)
        ticket = self.api.maglev_sync(frontend="").ticket
        event = self.client.wait(SYNC_RESULT, ticket=ticket)
        self.assertEqual(event.text, "2 frontends compared, nothing to change")

    def test_config(self):
        """maglev_config_check and maglev_config_reload: good files, bad files, files that are not there"""
        self.client.want()
        ticket = self.api.maglev_config_check(path="").ticket
        event = self.client.wait(CONFIG_RESULT, ticket=ticket)
        self.assertEqual(event.retval, 0)
        self.assertTrue(event.text.startswith("valid: " + self.config_path), event.text)

        bad = os.path.join(self.tempdir, "bad.yaml")
        with open(bad, "w", encoding="utf-8") as f:
            f.write("maglev:\n  backends: 7\n")
        for path in (bad, "/nonexistent/file"):
            ticket = self.api.maglev_config_check(path=path).ticket
            event = self.client.wait(CONFIG_RESULT, ticket=ticket)
            self.assertEqual(event.retval, INVALID_VALUE)
            self.assertIn(path, event.text)

        good = self.make_config(self.network)
        self.addCleanup(self.write_config, good)
        changed = self.make_config(self.network)
        changed["frontends"]["web"]["pools"][0]["backends"]["a2"]["weight"] = 60
        self.write_config(changed)
        ticket = self.api.maglev_config_reload().ticket
        self.client.wait(CONFIG)
        self.assertEqual(self.client.wait(CONFIG_RESULT, ticket=ticket).retval, 0)
        self.wait_weights(WEB, {A1: 100, A2: 60, B1: 0})

        self.write_config("maglev: [\n")
        ticket = self.api.maglev_config_reload().ticket
        event = self.client.wait(CONFIG_RESULT, ticket=ticket)
        self.assertEqual(event.retval, INVALID_VALUE)
        self.assertGreater(self.api.maglev_status().config_errors, 0)
        self.write_config(good)
        ticket = self.api.maglev_config_reload().ticket
        self.client.wait(CONFIG_RESULT, ticket=ticket)
        self.assertEqual(self.api.maglev_status().config_errors, 0)
        self.wait_weights(WEB, ALL)

    # Events

    def test_a_kill_is_told(self):
        """A backend that dies: its transition, lb's writes; the whole pool: the failover; numbers without a gap"""
        self.assertEqual(self.client.want(pid=1234), 0)
        self.network["a1"].kill()
        event = self.client.wait(BACKEND, name="a1", backend_to=STATES["down"])
        self.assertEqual((event.backend_from, event.code, event.first_seen), (STATES["up"], "L4CON", False))
        self.assertEqual((event.pid, event.level, event.ticket, event.lost), (1234, 4, 0, 0))
        self.assertTrue(event.text.startswith("backend-transition backend=a1 from=up to=down"), event.text)
        first = event.sequence
        shown = {e["sequence"]: e for e in self.show("events")["events"]}
        self.assertEqual(shown[first]["text"], event.text, "the number is that of show events")
        event = self.client.wait(LB_SYNC)
        self.assertEqual(event.sequence, first + 1)
        self.network["a2"].kill()
        event = self.client.wait(FAILOVER, name="web")
        self.assertEqual((event.pool_from, event.pool_to), ("primary", "backup"))
        self.network.heal()
        self.client.wait(BACKEND, name="a1", backend_to=STATES["up"])

    def test_verbs_are_told_to_all(self):
        """A verb of one client, or typed, is told to every subscriber"""
        other = self.connect()
        self.assertEqual((self.client.want(), other.want()), (0, 0))
        self.set_backend("a2", "disable")
        for client in (self.client, other):
            self.assertIn("set backend a2 disable", client.wait(OPERATOR).text)
        self.do("maglev set backend a2 enable")
        for client in (self.client, other):
            self.assertIn("set backend a2 enable", client.wait(OPERATOR).text)

    def test_want(self):
        """Subscribing twice, and leaving without having subscribed, is refused; who left is told no more"""
        self.assertEqual(self.client.want(False), INVALID_REGISTRATION)
        self.assertEqual(self.client.want(), 0)
        self.assertEqual(self.client.want(), INVALID_REGISTRATION)
        self.set_backend("a2", "pause")
        self.client.wait(OPERATOR)
        self.assertEqual(self.client.want(False), 0)
        other = self.connect()
        other.want()
        self.set_backend("a2", "resume")
        other.wait(BACKEND, name="a2", backend_to=STATES["up"])
        while not self.client.events.empty():
            self.assertNotIn("resume", self.client.events.get()[1].text)

    def test_subscribers_that_vanish(self):
        """Subscribers that disconnect, or break off without a word, are forgotten; others go on"""
        polite, rude = Client(self), Client(self)
        for client in (polite, rude, self.client):
            self.assertEqual(client.want(), 0)
        polite.close()
        rude.papi.transport.socket.shutdown(socket.SHUT_RDWR)
        for verb in ("pause", "resume", "disable", "enable"):
            self.set_backend("a2", verb)
            self.client.wait(OPERATOR, text="operator set backend a2 " + verb)
        # A client that comes to their place is no subscriber.
        late = self.connect()
        self.assertEqual(late.want(False), INVALID_REGISTRATION)
        rude.papi.transport.disconnect()

    def test_a_subscriber_that_does_not_read(self):
        """Events are lost to it; VPP neither waits nor grows, and others lose nothing"""
        lazy = Client(self)
        self.addCleanup(lazy.close)
        self.assertEqual((lazy.want(), self.client.want()), (0, 0))
        gate, late = threading.Event(), []
        self.addCleanup(gate.set)

        def slow(_name, event):
            gate.wait(60)
            late.append(event)

        # It runs in the thread that reads the socket.
        lazy.papi.register_event_callback(slow)
        weights = [10, 11] * 2500
        names = {"frontend": "web", "pool": "primary", "backend": "a1", "is_default": False, "flush": False}
        for i in range(0, len(weights), 50):
            replies = self.client.many("maglev_set_weight", [{**names, "weight": w} for w in weights[i : i + 50]])
            self.assertEqual({r.retval for r in replies}, {0})
        self.api.maglev_set_weight(frontend="web", pool="primary", backend="a1", is_default=True)
        end = "operator set frontend web pool primary backend a1 weight default"
        numbers = []
        while True:
            _, event = self.client.events.get(timeout=20)
            numbers.append(event.sequence)
            if event.text == end:
                break
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))), "no gap")
        self.assertGreater(len(numbers), len(weights))
        lost_before = self.api.maglev_status().events_lost
        gate.set()

        def told_again():
            # Events are lost to it for as long as it has not caught up.
            self.set_backend("a2", "pause")
            last = self.client.wait(OPERATOR, text="operator set backend a2 pause").sequence
            self.set_backend("a2", "resume")
            self.sleep(0.3)
            return late and late[-1].sequence >= last

        wait_until(told_again, lambda: "the last that came is %s" % late[-1:], timeout=120)
        for before, after in zip(late, late[1:]):
            self.assertEqual(after.sequence, before.sequence + 1 + after.lost, "every gap is told as such")
        self.assertGreaterEqual(self.api.maglev_status().events_lost, lost_before)
        self.wait_state("a2", "up")
        self.wait_weights(WEB, ALL)

    # Hostile values

    def test_hostile_names(self):
        """Names that are no names are unknown, or refused where their field has no end"""
        for name in ("a1 ", " a1", "json", "\x1b[2J", "a1\nb1", "%s%s%n", LONG, "../../etc"):
            reply = self.api.maglev_set_backend(backend=name, verb=VERBS["disable"])
            self.assertEqual(reply.retval, NO_SUCH_ENTRY, (name, reply))
            self.assertNotIn("\x1b", reply.text)
        for verb in (11, 77, 255):
            reply = self.client.raw("maglev_set_backend", lambda b, v=verb: b[:-1] + bytes([v]), backend="a1", verb=0)
            self.assertEqual((reply.retval, reply.changed), (INVALID_VALUE, False), reply)

        def endless(b):
            b[10:74] = b"a" * 64
            return b

        def not_utf8(b):
            b[10:74] = b"\xff\xfe\x80".ljust(64, b"\0")
            return b

        for message in ("maglev_probe", "maglev_flush_frontend", "maglev_sync"):
            key = "backend" if message == "maglev_probe" else "frontend"
            reply = self.client.raw(message, endless, **{key: "x"})
            self.assertEqual(reply.retval, INVALID_VALUE, reply)
            reply = self.client.raw(message, not_utf8, **{key: "x"})
            self.assertEqual(reply.retval, NO_SUCH_ENTRY, reply)
        self.assertEqual({b["state"] for b in self.show("backends")}, {"up"})
        self.steady_weights(WEB, ALL, seconds=0.3)

    def test_hostile_bools(self):
        """Any byte but 0 is true"""
        self.api.maglev_set_weight(frontend="web", pool="primary", backend="a1", weight=10)

        def seven(b):
            b[10 + 3 * 64] = 7
            return b

        reply = self.client.raw(
            "maglev_set_weight", seven, frontend="web", pool="primary", backend="a1", weight=200
        )
        self.assertEqual((reply.retval, reply.changed), (0, True), reply)
        self.wait_weights(WEB, ALL)

    def test_hostile_paths(self):
        """Paths that are too long, or lie about their length, do no harm"""
        self.assertEqual(self.api.maglev_config_check(path="x" * 4096).retval, INVALID_VALUE)
        self.assertEqual(self.api.maglev_config_check(path="x" * 100000).retval, INVALID_VALUE)

        def liar(b):
            b[10:14] = struct.pack(">I", 0x7FFFFFFF)
            return b

        self.assertIsNone(self.client.raw("maglev_config_check", liar, timeout=1, path="abc"), "VPP drops it")
        reply = self.client.raw("maglev_config_check", lambda b: b[:14] + b"a\0b", path="abc")
        self.assertEqual(reply.retval, INVALID_VALUE, reply)
        self.client.want()
        reply = self.api.maglev_config_check(path="/dev/zero")
        event = self.client.wait(CONFIG_RESULT, ticket=reply.ticket)
        self.assertEqual(event.retval, INVALID_VALUE)

    def test_truncated_messages(self):
        """Messages that end too early are dropped"""
        for message, fields in (
            ("maglev_set_backend", {"backend": "a1", "verb": 1}),
            ("maglev_backend_get", {"cursor": 0, "name": ""}),
            ("want_maglev_events", {"enable": True, "pid": 1}),
        ):
            self.assertIsNone(self.client.raw(message, lambda b: b[:11], timeout=1, **fields), message)
        self.assertEqual(self.state("a1"), "up")
        self.assertEqual(self.client.want(False), INVALID_REGISTRATION)

    def test_many_at_once(self):
        """More probes than may wait at once: each is started or refused, none lost"""
        self.client.want()
        tickets = [r.ticket for r in (self.api.maglev_probe(backend="a2") for _ in range(400)) if r.retval == 0]
        self.assertGreaterEqual(len(tickets), 256)
        self.assertEqual(len(set(tickets)), len(tickets))
        told = [self.client.wait(PROBE_RESULT).ticket for _ in tickets]
        self.assertEqual(sorted(told), sorted(tickets))


class TestMaglevApiIdle(MaglevTestCase):
    """The binary API without a configuration"""

    with_ports = False

    @classmethod
    def make_config(cls, network):
        return "maglev: [\n"

    def test_idle(self):
        """State idle with its reason; nothing to dump, nothing to do"""
        api = self.vapi.papi
        reply = wait_until(
            lambda: (lambda r: r if r.config_errors else None)(api.maglev_status()), "no error is told"
        )
        self.assertEqual((reply.retval, reply.state, reply.backends, reply.frontends), (0, 2, 0, 0))
        self.assertIn("no configuration", reply.reason)
        for table in ("backend", "frontend", "member", "healthcheck"):
            self.assertEqual(rows(api, table), [])
        self.assertEqual(api.maglev_set_backend(backend="a1", verb=1).retval, NO_SUCH_ENTRY)
        self.assertEqual(api.maglev_sync(frontend="").retval, BUSY)
        self.assertEqual(api.maglev_config_reload().retval, 0)


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
