//! Probes in network namespaces, with real silence and real ICMP errors. They need root and `ip`; where those are
//! missing they say so and pass.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod probe_support;

use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use maglev::clock;
use maglev::config::{CheckKind, Healthcheck};
use maglev::probe::{ProbeId, ProberOptions};
use probe_support::*;

fn icmp(timeout_ms: u64) -> Arc<Healthcheck> {
    Arc::new(check(CheckKind::Icmp, 0, timeout_ms))
}

fn run(command: &str) -> bool {
    let mut words = command.split(' ');
    let mut c = Command::new(words.next().unwrap());
    c.args(words).stdout(Stdio::null()).stderr(Stdio::null());
    c.status().is_ok_and(|s| s.success())
}

/// A named namespace of ours; deleted when dropped.
struct Netns(String);

impl Netns {
    fn new() -> Option<Netns> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let ns = Netns(format!("maglev-test-{}-{n}", std::process::id()));
        if !ns.make() {
            eprintln!("skipped: no network namespaces here (needs root and ip)");
            return None;
        }
        Some(ns)
    }

    fn make(&self) -> bool {
        run(&format!("ip netns add {}", self.0)) && run(&format!("ip -n {} link set lo up", self.0))
    }

    fn delete(&self) {
        run(&format!("ip netns del {}", self.0));
    }

    /// `ip <words>` within.
    fn ip(&self, words: &str) {
        assert!(run(&format!("ip -n {} {words}", self.0)), "ip {words}");
    }

    fn sysctl(&self, path: &str, value: &str) {
        let (path, value) = (path.to_string(), value.to_string());
        self.within(move || std::fs::write(format!("/proc/sys/net/{path}"), value)).unwrap();
    }

    /// A port of 127.0.0.1 in it on which connections are made until the queue is full; nobody takes them.
    fn listen(&self, backlog: i32) -> (socket2::Socket, u16) {
        self.within(move || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.bind(&std::net::SocketAddr::new(V4, 0).into()).unwrap();
            socket.listen(backlog).unwrap();
            let port = socket.local_addr().unwrap().as_socket().unwrap().port();
            (socket, port)
        })
    }

    /// Does it in the namespace.
    fn within<T: Send + 'static>(&self, what: impl FnOnce() -> T + Send + 'static) -> T {
        let name = self.0.clone();
        // A thread of its own: entering a namespace moves the thread for good.
        let done = std::thread::spawn(move || {
            let file = std::fs::File::open(format!("/run/netns/{name}")).unwrap();
            let net = rustix::thread::LinkNameSpaceType::Network;
            rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(net)).unwrap();
            what()
        });
        done.join().unwrap()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        self.delete();
    }
}

fn address(s: &str) -> IpAddr {
    s.parse().unwrap()
}

#[test]
fn a_missing_namespace_is_our_fault_until_it_appears() {
    let rig = Rig::new();
    let port = serve(V4, until_closed);
    rig.configure(Some("maglev-test-none"), 100);
    for c in [tcp(port, 1000), icmp(1000)] {
        assert_eq!(rig.said(V4, &c), "SOCKERR network namespace `maglev-test-none`: no such file");
    }
    for bad in ["", "..", "a/b", "../../etc/passwd"] {
        rig.configure(Some(bad), 100);
        let o = rig.said(V4, &tcp(port, 1000));
        assert_eq!(o, format!("SOCKERR network namespace `{bad}`: invalid argument"));
    }
    rig.configure(None, 100);
    assert_eq!(rig.said(V4, &tcp(port, 1000)), "L4OK");

    let Some(ns) = Netns::new() else { return };
    ns.delete();
    rig.configure(Some(&ns.0), 100);
    assert!(rig.said(V4, &tcp(port, 1000)).starts_with("SOCKERR"));
    assert!(ns.make());
    // Its name is retried each second.
    let since = clock::mono();
    let found = loop {
        let o = rig.said(V4, &tcp(port, 1000));
        if !o.starts_with("SOCKERR") || clock::mono().since(since) > Duration::from_secs(5) {
            break o;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    // Another loopback: our server is not there.
    assert_eq!(found, "L4CON connection refused");
    assert!(clock::mono().since(since) < Duration::from_secs(2));
}

#[test]
fn in_and_out_and_never_anyone_else() {
    let Some(ns) = Netns::new() else { return };
    let rig = Rig::new();
    let port = serve(V4, until_closed);
    for _ in 0..3 {
        rig.configure(Some(&ns.0), 100);
        assert_eq!(rig.said(V4, &tcp(port, 1000)), "L4CON connection refused");
        assert_eq!(rig.said(V4, &icmp(1000)), "L4OK");
        // This thread has stayed where it was.
        assert!(std::net::TcpStream::connect((V4, port)).is_ok());
        rig.configure(None, 100);
        assert_eq!(rig.said(V4, &tcp(port, 1000)), "L4OK");
        assert_eq!(rig.said(V4, &icmp(1000)), "L4OK");
    }
}

#[test]
fn a_namespace_made_anew_under_its_name_is_entered_anew() {
    let Some(ns) = Netns::new() else { return };
    ns.ip("addr add 10.66.0.1/32 dev lo");
    let rig = Rig::new();
    rig.configure(Some(&ns.0), 100);
    assert_eq!(rig.said(address("10.66.0.1"), &icmp(1000)), "L4OK");
    ns.delete();
    assert!(ns.make());
    ns.ip("addr add 10.66.0.2/32 dev lo");
    let since = clock::mono();
    while rig.said(address("10.66.0.2"), &icmp(100)) != "L4OK" {
        assert!(clock::mono().since(since) < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Two namespaces with a wire between: 10.66.1.1 and fd66::1 here, 10.66.1.2 and fd66::2 there.
fn wired() -> Option<(Netns, Netns)> {
    let (here, there) = (Netns::new()?, Netns::new()?);
    here.ip(&format!("link add wire type veth peer name wire netns {}", there.0));
    for (ns, n) in [(&here, 1), (&there, 2)] {
        ns.ip(&format!("addr add 10.66.1.{n}/24 dev wire"));
        ns.ip(&format!("addr add fd66::{n}/64 dev wire nodad"));
        ns.ip("link set wire up");
    }
    here.ip("route add default via 10.66.1.2");
    here.ip("-6 route add default via fd66::2");
    Some((here, there))
}

#[test]
fn icmp_silence_and_icmp_errors() {
    let Some((here, there)) = wired() else { return };
    there.ip("route add blackhole 10.66.2.0/24");
    there.ip("route add unreachable 10.66.3.0/24");
    there.ip("route add prohibit 10.66.4.0/24");
    there.ip("-6 route add unreachable fd66:3::/64");
    there.sysctl("ipv4/ip_forward", "1");
    there.sysctl("ipv6/conf/all/forwarding", "1");
    let rig = Rig::new();
    rig.configure(Some(&here.0), 1000);
    for to in ["10.66.1.2", "fd66::2"] {
        assert_eq!(rig.said(address(to), &icmp(3000)), "L4OK", "{to}");
    }
    let r = rig.probe(address("10.66.2.1"), &icmp(200));
    assert_eq!(said(&r.outcome), "L4TOUT no echo reply in time");
    assert_at_deadline(&r, 200);

    for (to, said) in [
        ("10.66.3.1", "L4CON no route to host"),
        ("10.66.4.1", "L4CON administratively prohibited"),
        ("fd66:3::1", "L4CON network unreachable"),
        // Nobody answers for the address on the wire: the kernel's own word, after its three seconds.
        ("10.66.1.99", "L4CON no route to host"),
    ] {
        assert_eq!(rig.said(address(to), &icmp(10_000)), said, "{to}");
    }
    // The same errors in TCP's handshake.
    assert_eq!(rig.said(address("10.66.3.1"), &tcp(80, 10_000)), "L4CON no route to host");
    let r = rig.probe(address("10.66.2.1"), &tcp(80, 200));
    assert_eq!(said(&r.outcome), "L4TOUT connection timed out");
    // A source address chooses a socket of its own.
    here.ip("addr add 10.66.9.9/32 dev lo");
    there.ip("route add 10.66.9.9/32 via 10.66.1.1");
    let mut c = (*icmp(3000)).clone();
    c.probe_ipv4_src = Some("10.66.9.9".parse().unwrap());
    assert_eq!(rig.said(address("10.66.1.2"), &c.into()), "L4OK");
}

#[test]
fn a_probe_that_meets_itself_is_refused() {
    let Some(ns) = Netns::new() else { return };
    // The one port that a connection can come from is the one it goes to.
    ns.sysctl("ipv4/ip_local_port_range", "40000 40000");
    let rig = Rig::new();
    rig.configure(Some(&ns.0), 100);
    // The kernel may hold the only port for a moment after the probe before: then there is none, which is our fault.
    let said = |to, check: &_| {
        let taken = "SOCKERR connect: address not available";
        (0..100).map(|_| rig.said(to, check)).find(|said| said != taken)
    };
    let refused = Some("L4CON connection refused".to_owned());
    for address in [V4, V6] {
        assert_eq!(said(address, &tcp(40_000, 1000)), refused);
        assert_eq!(said(address, &http(40_000, 1000)), refused);
    }
}

#[test]
fn no_route_and_no_port_are_our_fault() {
    let Some(ns) = Netns::new() else { return };
    let rig = Rig::new();
    rig.configure(Some(&ns.0), 100);
    for to in ["192.0.2.1", "2001:db8::1"] {
        assert_eq!(rig.said(address(to), &tcp(80, 1000)), "SOCKERR connect: network unreachable");
        assert_eq!(rig.said(address(to), &icmp(1000)), "SOCKERR send: network unreachable");
    }

    // One port to start from, taken by a first probe to the same silent peer.
    let Some((here, there)) = wired() else { return };
    there.ip("route add blackhole 10.66.2.0/24");
    here.sysctl("ipv4/ip_local_port_range", "40000 40000");
    rig.configure(Some(&here.0), 100);
    let first = rig.order(address("10.66.2.1"), &tcp(80, 1000));
    assert_eq!(rig.said(address("10.66.2.1"), &tcp(80, 1000)), "SOCKERR connect: address not available");
    let r = rig.report();
    assert_eq!((r.id, said(&r.outcome).as_str()), (first, "L4TOUT connection timed out"));
}

#[test]
fn probes_from_one_source_address_share_its_ports() {
    let Some((here, there)) = wired() else { return };
    there.ip("route add blackhole 10.66.2.0/24");
    here.sysctl("ipv4/ip_local_port_range", "40000 40000");
    let rig = Rig::new();
    rig.configure(Some(&here.0), 100);
    for port in 80..90 {
        let mut c = (*tcp(port, 500)).clone();
        c.probe_ipv4_src = Some("10.66.1.1".parse().unwrap());
        rig.order(address("10.66.2.1"), &c.into());
    }
    // All at once from the same port: the peers' ports tell them apart.
    for _ in 80..90 {
        assert_eq!(said(&rig.report().outcome), "L4TOUT connection timed out");
    }
}

#[test]
fn ping_sockets_where_raw_ones_are_not_wanted() {
    let Some((here, there)) = wired() else { return };
    there.ip("route add unreachable 10.66.3.0/24");
    there.ip("route add blackhole 10.66.2.0/24");
    there.sysctl("ipv4/ip_forward", "1");
    here.sysctl("ipv4/ping_group_range", "0 2147483647");
    let rig = Rig::with(ProberOptions { unprivileged_ping: true, ..Default::default() });
    rig.configure(Some(&here.0), 1000);
    for to in ["10.66.1.2", "fd66::2", "127.0.0.1", "::1"] {
        assert_eq!(rig.said(address(to), &icmp(3000)), "L4OK", "{to}");
    }
    assert_eq!(rig.said(address("10.66.3.1"), &icmp(3000)), "L4CON no route to host");
    assert_eq!(rig.said(address("10.66.2.1"), &icmp(200)), "L4TOUT no echo reply in time");
}

#[test]
fn many_dead_neighbours_do_not_clog_the_shared_socket() {
    // Fewer than the kernel's neighbour table holds by default (1,024, for all namespaces together).
    const DEAD: u32 = 600;
    let Some((here, there)) = wired() else { return };
    here.ip("addr add 10.67.0.1/16 dev wire");
    there.ip("addr add 10.67.0.2/16 dev wire");
    let rig = Rig::new();
    rig.configure(Some(&here.0), 4096);
    // Each waits in the socket's send queue for an address that never comes.
    let dead = icmp(1500);
    for n in 0..DEAD {
        let [_, _, c, d] = (256 + n).to_be_bytes();
        rig.order(IpAddr::from([10, 67, c, d]), &dead);
    }
    let alive = rig.order(address("10.67.0.2"), &icmp(1500));
    for _ in 0..=DEAD {
        let r = rig.report();
        let o = said(&r.outcome);
        if r.id == alive {
            assert_eq!(o, "L4OK");
        } else {
            assert_eq!(o, "L4TOUT no echo reply in time");
        }
    }
}

#[test]
fn a_kept_socket_does_not_go_along_into_another_namespace() {
    let (Some(here), Some(there)) = (Netns::new(), Netns::new()) else { return };
    let rig = Rig::new();
    rig.configure(Some(&here.0), 16);
    // A listener that takes no turn: the kernel's queue is enough.
    let (_listener, port) = here.listen(64);
    let every = Healthcheck {
        interval: Duration::from_millis(40),
        jitter_percent: 0.0,
        ..(*tcp(port, 5000)).clone()
    };
    rig.0.send(standing(ProbeId(1), V4, &Arc::new(every)));
    for _ in 0..3 {
        let report = rig.report();
        assert!(report.goes_on, "{report:?}");
    }
    rig.configure(Some(&there.0), 16);
    // One may have been under way.
    let last = (0..50).map(|_| rig.report()).find(|r| !r.goes_on).expect("it is still in the old one");
    assert_eq!(said(&last.outcome), "L4CON connection refused");
}
