"""What is made of VPP's words, and what counts as lost: no VPP is needed. `python3 -m unittest discover -s benches`"""

import os
import socket
import tempfile
import threading
import unittest

import calls
import order
import report
import workers
from traffic import MESSAGE, SLACK, SLOWER, Session, balanced, barriers, made, missing, sent

LOG = """6 of 131072 events in buffer, logger running
       3.525960260: bar-rel-#217-e86038-u0-t86040
       4.030869602: barrier-wait-thread-1
       4.030872987: bar-trace-vl_msg_api_barrier_sync-#219
       4.030991016: barrier-released-thread-1: 0us
       4.031091016: bar-rel-#219-e215-u0-t218
       4.116842415: bar-trace-vlib_cli_dispatch_sub_commands-#221
       4.116846933: bar-rel-#221-e6-u0-t7
       4.440113030: bar-trace-vl_msg_api_barrier_sync-#222
       4.441033270: bar-rel-#222-e921-u0-t921
       5.676127592: bar-trace-vlib_cli_dispatch_sub_commands-#223
"""


class Words(unittest.TestCase):
    """The answers of VPP's commands"""

    def test_barriers(self):
        """Each barrier that was entered and left; not one that is still held, nor the rest of one from before the log"""
        found = barriers(LOG)
        self.assertEqual([(who, us) for who, _, us in found], [(MESSAGE, 218), ("vlib_cli_dispatch_sub_commands", 7), (MESSAGE, 921)])
        self.assertAlmostEqual(found[0][1], 4.030873016, places=9)
        self.assertEqual(barriers("0 of 131072 events in buffer, logger running\n"), [])

    def test_streams(self):
        """Packets of each stream, whether it is enabled or not"""
        text = (
            "Name               Enabled        Count     Parameters\n"
            "all                 Yes          1640302    limit 0, rate 1.00e6 pps, size 64-64, buffer-size 2048, worker 0, \n"
            "slower              No             10252    limit 0, rate 6.25e4 pps, size 64-64, buffer-size 2048, worker 0, \n"
        )
        self.assertEqual(made(text), {"all": 1640302, "slower": 10252})

    def test_sent(self):
        """Packets sent; an interface that sent none has no such line"""
        self.assertEqual(sent("pg1   2   up   9000/0/0/0   tx packets      2850801\n     tx bytes   250870488\n"), 2850801)
        self.assertEqual(sent("pg1   2   up   9000/0/0/0\n"), 0)

    def test_balanced(self):
        """Packets that lb gave to a server, of one VIP; not those it had no server for, nor another VIP's"""
        vip = (
            " ip4-gre4 [%d] %s/32\n  new_size:32768\n  protocol:6 port:80\n  counters:\n    packet from existing sessions: %d\n"
            "    first session packet: 4\n    untracked packet: 1\n    no server configured: 7\n  #as:1\n"
        )
        self.assertEqual(balanced(vip % (1, "198.18.0.1", 900) + vip % (2, "198.18.0.10", 50), "198.18.0.1"), 905)
        self.assertEqual(balanced(vip % (2, "198.18.0.10", 50), "198.18.0.1"), 0)


class Lost(unittest.TestCase):
    """What counts as lost"""

    @staticmethod
    def due(n, **less):
        counts = {"all": n, "slower": n // SLOWER, "slowest": n // SLOWER**2}
        return {name: count - less.get(name, 0) for name, count in counts.items()}

    def test_nothing(self):
        """Nothing is missing where all streams made theirs, whatever a window's ends leave open"""
        for more in (0, 15, 255, 4095):
            self.assertEqual(missing(self.due(10**7 + more)), 0)
        self.assertEqual(missing(self.due(0)), 0)

    def test_the_fastest_fell_behind(self):
        """What the fastest stream missed, to a few packets"""
        self.assertAlmostEqual(missing(self.due(10**7, all=744)), 744, delta=SLACK)
        self.assertEqual(missing(self.due(10**7, all=SLACK // 2)), 0)

    def test_the_slower_fell_behind_too(self):
        """A standstill that the slower stream felt as well counts in full, less exactly"""
        self.assertAlmostEqual(missing(self.due(10**7, all=500000, slower=31000)), 500000, delta=SLACK * SLOWER)

    def window(self, **more):
        return dict(
            {"packets": 10**6, "missing": 0, "inside": 0, "calls": 3, "off_us": 0.0, "seconds": 1.0, "longest_us": 5, "probes": 999.0}, **more
        )

    def test_rows(self):
        """What the kernel took the CPU for is not ours, but all that is lost within VPP is"""
        row = workers.row("probed", 10**6, [self.window(missing=300, off_us=200.0), self.window(inside=2, longest_us=9)])
        self.assertEqual((row["lost"], row["ours"], row["packets"], row["longest_us"], row["calls"]), (302, 102, 2 * 10**6, 9, 6))
        # A window in which it took much makes up for no other.
        row = workers.row("probed", 10**6, [self.window(missing=300, off_us=9000.0, inside=2), self.window(missing=70)])
        self.assertEqual((row["lost"], row["ours"]), (372, 72))

    def test_carried(self):
        """The highest rate of probes without loss, of those where nothing flaps"""
        row = lambda name, probes, ours: {"name": name, "probes": probes, "ours": ours}  # noqa: E731
        rows = [row("none", 0, 0), row("probed", 9998, 3), row("flapping", 9990, 0), row("probed", 4999, 0), row("probed", 2000, 0)]
        self.assertEqual(workers.carried(rows)["probes"], 4999)
        self.assertIsNone(workers.carried(rows[:3]))


class Calls(unittest.TestCase):
    """What a change costs in barriers"""

    class Told:
        """A Traffic whose CLI knows one answer."""

        def __init__(self, text):
            self.cli = lambda command: text if command == "show event-logger all" else ""

    def test_held(self):
        """The barrier that the plugin holds around several calls counts as one; VPP writes those within it by other words"""
        held = (
            "       5.1: bar-trace-maglev_shim_barrier_sync-#230\n       5.2: bar-syncrec-vlib_cli_dispatch_sub_commands-#1\n"
            "       5.3: bar-relrrec-#1\n       5.4: bar-rel-#230-e90-u0-t95\n"
        )
        found = calls.stood(self.Told(LOG + held), lambda: None)
        self.assertEqual((found["calls"], found["sum"], found["longest"]), (3, 218 + 921 + 95, 921))

    def test_undisturbed(self):
        """Tries in which the kernel took much of the worker's CPU do not count, unless all are such"""
        one = lambda longest, off: {"longest": longest, "off": off}  # noqa: E731
        self.assertEqual(calls.undisturbed([one(900, 20.0), one(5000, 4000.0), one(950, 0.0)])["longest"], 950)
        self.assertEqual(calls.undisturbed([one(5900, 5000.0), one(5000, 4000.0)]), {"longest": 5000, "n": 1, "off": 4000.0})

    def test_messages_alone_count(self):
        """From the first message's barrier to the end of the last's; those of commands are left out"""
        found = calls.stood(self.Told(LOG), lambda: None)
        self.assertEqual((found["calls"], found["sum"], found["longest"]), (2, 218 + 921, 921))
        self.assertAlmostEqual(found["took"], 1e6 * (4.441033270 - 4.030873016), places=1)

    def test_no_call_is_an_error(self):
        """A change that called nobody is no measurement"""
        with self.assertRaises(RuntimeError):
            calls.stood(self.Told("0 of 131072 events in buffer, logger running\n"), lambda: None)


class Order(unittest.TestCase):
    """What goes first"""

    def test_what_is_printed(self):
        """Each scene's line is read; one in which nothing came in time has no times"""
        found = order.parse(
            "many: 67 ms, all read 2.4 s later\nmany: 2 of 4 tries within 30 s: min 67, median 174, p90 189, max 189 ms\n"
            "storm: 0 of 1 tries within 30 s: -\n"
        )
        self.assertEqual(
            found["many"], {"came": 2, "tries": 4, "patience": 30, "least": 67, "median": 174, "most": 189}
        )
        self.assertEqual((found["storm"]["came"], found["storm"]["most"]), (0, None))


class Cli(unittest.TestCase):
    """A session on VPP's CLI"""

    def serve(self, answers):
        """A CLI that greets, gives these answers, and closes."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "cli.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()

        def run():
            peer, _ = listener.accept()
            peer.sendall(b"\xff\xfb\x01banner\r\nvpp# ")
            for answer in answers:
                line = peer.recv(1000)
                # In two pieces, as a long answer comes.
                peer.sendall(line[:-1] + b"\r\n" + answer[:3])
                peer.sendall(answer[3:] + b"vpp# ")
            peer.close()

        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(listener.close)
        return path

    def test_answers(self):
        """An answer without the command that comes back before it"""
        with Session(self.serve([b"", b"one\r\ntwo\r\n", b""])) as cli:
            self.assertEqual(cli("show something"), "one\ntwo\n")
            self.assertEqual(cli("clear something"), "")

    def test_an_end(self):
        """A VPP that goes away is an error, and no wait without end"""
        with Session(self.serve([b""])) as cli, self.assertRaises((RuntimeError, OSError)):
            cli("show something")


class Page(unittest.TestCase):
    """The page about it"""

    def page(self, ours, probes=9990.0):
        row = {"packets": 10**7, "missing": ours, "inside": 0, "calls": 0, "off_us": 0.0, "seconds": 10.0, "longest_us": 0, "lost": ours, "windows": 5}
        rows = [
            dict(row, name="none", rate=10**6, probes=0.0, ours=0),
            dict(row, name="probed", rate=10**6, probes=probes, ours=ours),
            dict(row, name="flapping", rate=10**6, probes=9990.0, ours=ours, calls=100, longest_us=1000),
        ]
        limit = {"median": 7e6, "min": 6e6, "max": 8e6}
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        page = report.Page(folder.name)
        report.workers(page, {
            "rows": rows, "limits": {"none": limit, "probed": limit}, "seconds": 2.0, "ring": 256, "target": 10000, "carried": workers.carried(rows),
        })
        return page

    def test_without_loss(self):
        """No loss meets the target"""
        page = self.page(0)
        self.assertEqual(page.missed, [])
        text = "\n".join(page.out)
        self.assertIn("without loss: 9,990 a second", text)
        self.assertIn("up to 1,024,000 packets a second", text)
        self.assertNotIn("too small", text)

    def test_a_small_machine(self):
        """A rate that the machine does not reach is said, and is the one that is judged"""
        text = "\n".join(self.page(0, 6000.0).out)
        self.assertIn("Lost with 6,000 probes a second", text)
        self.assertIn("too small for 10,000 probes", text)

    def test_with_loss(self):
        """A packet that is lost does not"""
        page = self.page(1)
        self.assertEqual(len(page.missed), 1)
        self.assertIn("were there none", "\n".join(page.out))


if __name__ == "__main__":
    unittest.main()
