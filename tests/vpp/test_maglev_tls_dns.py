"""https, tcp with ssl, dns and udp checks."""

import os
import shutil
import subprocess
import tempfile
import unittest

try:
    from asfframework import VppTestRunner
except ModuleNotFoundError:
    from maglev_harness import VppTestRunner

from maglev_case import MaglevTestCase, base_config, check, frontend, pool

HTTPS = ("192.0.2.30", 443)
SSL = ("192.0.2.31", 443)
DNS = ("192.0.2.32", 53)
UDP = ("192.0.2.33", 53)


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


class Authority:
    """A certificate authority of the openssl command in a folder of its own."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.path = os.path.join(folder, name + ".pem")
        self.request(name, "-x509", "-out", self.path, "-days", "2")

    def request(self, name, *more):
        openssl(
            self.folder,
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", name + ".key", "-subj", "/CN=" + name, *more),
        )

    def sign(self, name, san):
        """A certificate for a subjectAltName; its file, with its key."""
        path = os.path.join(self.folder, name + ".pem")
        with open(os.path.join(self.folder, name + ".ext"), "w", encoding="ascii") as f:
            f.write("subjectAltName=%s\n" % san)
        self.request(name, "-out", name + ".csr")
        openssl(
            self.folder,
            *("x509", "-req", "-in", name + ".csr", "-CA", self.path, "-CAkey", self.name + ".key"),
            *("-CAcreateserial", "-days", "2", "-extfile", name + ".ext", "-out", path),
        )
        with open(os.path.join(self.folder, name + ".key"), encoding="ascii") as f:
            key = f.read()
        with open(path, "a", encoding="ascii") as f:
            f.write(key)
        return path


@unittest.skipUnless(shutil.which("openssl"), "no openssl command here")
class TestMaglevTlsDns(MaglevTestCase):
    """https, tcp with ssl, dns, udp"""

    with_ports = False

    @classmethod
    def make_backends(cls, network):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.authority = Authority(folder.name, "authority")
        cls.certificates = {}
        for name, number in (("s1", 1), ("s2", 2)):
            cls.certificates[name] = cls.authority.sign(name, "IP:10.77.0.%d" % number)
            network.add(name, number, options=("--tls", cls.certificates[name]))
        cls.wrong_name = cls.authority.sign("wrong", "DNS:example.org")
        cls.stranger = Authority(folder.name, "stranger").sign("strange", "IP:10.77.0.1")
        network.add("plain", 3)
        network.add("d1", 4, options=("--dns",))
        network.add("d2", 5, options=("--dns",))

    @classmethod
    def make_config(cls, network):
        trust = {"ca-file": cls.authority.path}
        config = base_config(
            network,
            backends={
                n: {"address": network[n].address, "healthcheck": c}
                for n, c in (("s1", "https"), ("s2", "ssl"), ("d1", "dns"), ("d2", "udp"))
            },
            frontends={
                "https": frontend(HTTPS, pool("only", s1=None)),
                "ssl": frontend(SSL, pool("only", s2=None)),
                "dns": frontend(DNS, pool("only", d1=None)),
                "udp": frontend(UDP, pool("only", d2=None)),
            },
        )
        question = "0x000701000001000000000000" + "01" + "61" + "00" + "00010001"
        config["healthchecks"].update(
            {
                "https": check("https", params=trust),
                "ssl": check("tcp", params={"ssl": True, **trust}),
                "dns": check("dns", params={"name": "a.example", "expect": "^192.0.2.53$"}),
                "udp": check("udp", params={"send": question, "expect": "0x00078180"}),
            }
        )
        return config

    def setUp(self):
        super().setUp()
        # First: a process that stands still takes no words.
        self.network.heal()
        for name, path in self.certificates.items():
            self.network[name].behave("certificate " + path)
        for name in ("d1", "d2"):
            self.network[name].behave("rcode 0")
        self.reset()

    def weight(self, name, vip, weight):
        self.wait_weights(vip, {self.network[name].address: weight})

    def why_down(self, name):
        t = self.backend(name)["transitions"][0]
        self.assertEqual(t["to"], "down")
        return t["code"], t["detail"]

    def test_certificates(self):
        """A backend whose certificate is for another name, or from a stranger, is down with L6RSP and the reason"""
        for name, vip in (("s1", HTTPS), ("s2", SSL)):
            self.weight(name, vip, 100)
            for path, detail in (
                (self.wrong_name, "certificate is for example.org"),
                (self.stranger, "unknown issuer"),
            ):
                with self.subTest(backend=name, detail=detail):
                    self.network[name].behave("certificate " + path)
                    self.weight(name, vip, 0)
                    self.assertEqual(self.why_down(name), ("L6RSP", detail))
                    self.network[name].behave("certificate " + self.certificates[name])
                    self.weight(name, vip, 100)

    def test_https_reads_the_answer(self):
        """https: a 503 over a good connection is L7STS"""
        self.network["s1"].behave("status 503")
        self.weight("s1", HTTPS, 0)
        self.assertEqual(self.why_down("s1"), ("L7STS", "HTTP 503"))
        # A check that ends with the handshake does not ask.
        self.network["s2"].behave("status 503")
        self.steady_weights(SSL, {self.network["s2"].address: 100})

    def test_a_frozen_process_is_l6tout(self):
        """A process that stands still before TLS is L6TOUT"""
        self.network["s1"].freeze()
        self.weight("s1", HTTPS, 0)
        self.assertEqual(self.why_down("s1")[0], "L6TOUT")

    def answers_and_dies(self, name, vip, rcode, said):
        """A backend whose answer is not the one that is wanted, and then dies; it is left dead."""
        self.weight(name, vip, 100)
        self.network[name].behave("rcode %d" % rcode)
        self.weight(name, vip, 0)
        self.assertEqual(self.why_down(name), said)
        self.network[name].behave("rcode 0")
        self.weight(name, vip, 100)
        self.network[name].kill()
        self.weight(name, vip, 0)
        self.assertEqual(self.why_down(name), ("L4CON", "connection refused"))

    def test_dns(self):
        """dns: another result is L7STS, a dead server L4CON, a silent host L4TOUT"""
        self.answers_and_dies("d1", DNS, 2, ("L7STS", "SERVFAIL"))
        self.network["d1"].start()
        self.weight("d1", DNS, 100)
        self.network["d1"].silence()
        self.weight("d1", DNS, 0)
        self.assertEqual(self.why_down("d1")[0], "L4TOUT")

    def test_udp(self):
        """udp: an answer that does not match is L7RSP, a dead server L4CON"""
        self.answers_and_dies("d2", UDP, 5, ("L7RSP", "answer does not match"))

    def test_a_reload_takes_up_other_certificates(self):
        """A reload with another authority in the same ca-file: the certificate that was good is from a stranger now"""
        with open(self.authority.path, encoding="ascii") as f:
            good = f.read()
        with open(os.path.join(self.authority.folder, "stranger.pem"), encoding="ascii") as f:
            other = f.read()

        def put(text):
            with open(self.authority.path, "w", encoding="ascii") as f:
                f.write(text)
            self.do("maglev config reload")

        self.addCleanup(put, good)
        put(other)
        self.weight("s1", HTTPS, 0)
        self.assertEqual(self.why_down("s1"), ("L6RSP", "unknown issuer"))
        with open(self.authority.path, "w", encoding="ascii") as f:
            f.write("no certificate")
        self.assertIn("no certificate in PEM form", self.error("maglev config reload"))
        put(good)
        self.weight("s1", HTTPS, 100)

    def test_show_healthcheck(self):
        """show healthcheck names what is verified"""
        self.assertIn(self.authority.path, self.vapi.cli("maglev show healthcheck https"))
        self.assertIn("a.example", self.vapi.cli("maglev show healthcheck dns"))


if __name__ == "__main__":
    unittest.main(testRunner=VppTestRunner)
