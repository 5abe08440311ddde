"""A panic inside the plugin."""

import os
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from gre_flows import clients
from maglev_case import WEB, PairTestCase, wait_until
from test_maglev_api import rows

A1, A2 = "10.77.0.1", "10.77.0.2"


class TestMaglevPanic(PairTestCase):
    """A forced panic leaves VPP forwarding and lb as it is"""

    @classmethod
    def setUpConstants(cls):
        # Only with this does the plugin know the command that makes it panic.
        os.environ["MAGLEV_TEST"] = "1"
        cls.addClassCleanup(os.environ.pop, "MAGLEV_TEST", None)
        super().setUpConstants()

    def test_panic(self):
        """After a panic packets flow as before, lb is not written to, and show status says why"""
        self.reset()
        self.wait_weights(WEB, {A1: 100, A2: 50})
        before = self.send_flows(clients(200), *WEB)
        api, events = self.vapi.papi, []
        self.vapi.vpp.register_event_callback(lambda _name, event: events.append(event.text))
        self.assertEqual(api.want_maglev_events(enable=True, pid=1).retval, 0)
        self.vppctl("maglev test panic")
        wait_until(
            lambda: self.show("status")["state"] == "frozen",
            lambda: "not frozen: %s" % self.show("status"),
        )
        self.assertIn("panic", self.show("status")["reason"])
        self.assertEqual(self.send_flows(clients(200), *WEB), before)
        self.network["a1"].kill()
        self.steady_weights(WEB, {A1: 100, A2: 50}, seconds=4.0)
        self.assertEqual(self.send_flows(clients(200), *WEB), before)
        new = self.send_flows(clients(100, first=700), *WEB)
        self.assertEqual(set(new.values()), {A1, A2})
        status = api.maglev_status()
        self.assertEqual((status.retval, status.state), (0, 3))
        self.assertIn("panic", status.reason)
        self.assertEqual(sorted(b.name for b in rows(api, "backend")), ["a1", "a2"])
        for reply in (api.maglev_set_backend(backend="a1", verb=1), api.maglev_probe(backend="a1")):
            self.assertEqual(reply.retval, -168, reply)
            self.assertIn("panic", reply.text)
        wait_until(lambda: any("frozen" in text for text in events), lambda: "not told: %s" % events)
        log = self.vapi.cli("show logging")
        self.assertEqual(sum("panic" in line for line in log.splitlines() if "maglev" in line), 1, log)
        for command in ("maglev show backends", "maglev show frontend web", "maglev set backend a1 disable"):
            self.vppctl(command)
        self.vppctl("maglev test panic")
        self.assertIn("vpp v", self.vapi.cli("show version"))
        self.assertEqual(self.send_flows(clients(200), *WEB), before)


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
