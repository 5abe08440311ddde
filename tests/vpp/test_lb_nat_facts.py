"""What VPP's own `lb` does not survive with NAT, and what it does: why the plugin never deletes a NAT server or VIP. No
maglev plugin is loaded here. lb collects what was deleted after a minute, so these run with MAGLEV_LONG_TESTS=1 only."""

import os
import subprocess
import time
import unittest

from vpp_process import VppError, VppProcess, find_vpp

VIP = "lb vip 192.0.2.%d/32 protocol udp port 53 encap nat4 type clusterip target_port 53 new_len 16"
DEL_VIP = "lb vip 192.0.2.%d/32 protocol udp port 53 del"
SERVER = "lb as 192.0.2.%d/32 protocol udp port 53 10.0.0.1"
DEL_SERVER = SERVER + " del"
COLLECT = "lb conf timeout 40"
# Once a minute and VIP, of what was deleted ten seconds before.
MINUTE = 63


@unittest.skipUnless(os.environ.get("MAGLEV_LONG_TESTS") == "1", "takes two minutes: MAGLEV_LONG_TESTS=1")
@unittest.skipUnless(os.geteuid() == 0 and find_vpp(), "needs root and VPP")
class TestLbNatFacts(unittest.TestCase):
    """lb's SNAT map, as it is"""

    def vpp(self, name, *commands):
        process = VppProcess("nat-%s" % name, maglev=False)
        self.addCleanup(process.remove)
        process.start()
        self.addCleanup(process.stop)
        for command in commands:
            process.cli(command)
        return process

    def collect(self, process, *before):
        """Has lb collect; whether VPP lives."""
        try:
            for command in (*before, COLLECT):
                process.cli(command)
        except (VppError, subprocess.TimeoutExpired):
            process.wait_exit()
        return process.alive()

    def test_what_aborts(self):
        """One (server, target port) in two VIPs, or in a VIP that was deleted and made again, aborts VPP when both
        are collected; a server that is deleted once, or deleted and added again to the same VIP, does not"""
        two = self.vpp("two", VIP % 1, SERVER % 1, VIP % 2, SERVER % 2, DEL_VIP % 1, DEL_VIP % 2)
        again = self.vpp("again", VIP % 1, SERVER % 1, DEL_VIP % 1, VIP % 1, SERVER % 1)
        once = self.vpp("once", VIP % 1, SERVER % 1, DEL_VIP % 1)
        same = self.vpp("same", VIP % 1, SERVER % 1, DEL_SERVER % 1, SERVER % 1)
        time.sleep(MINUTE)
        self.assertFalse(self.collect(two), "one key in two VIPs")
        self.assertEqual(two.exit_words(), "killed by SIGABRT")
        self.assertTrue(self.collect(again))
        self.assertTrue(self.collect(once), "deleted once")
        self.assertTrue(self.collect(same), "added again to the same VIP")
        again.cli(DEL_VIP % 1)
        same.cli(DEL_VIP % 1)
        time.sleep(MINUTE)
        self.assertFalse(self.collect(again), "deleted and made again")
        self.assertEqual(again.exit_words(), "killed by SIGABRT")
        self.assertTrue(self.collect(same))


if __name__ == "__main__":
    unittest.main()
