//! The socket of a standing job: kept open from one probe to the next, for the same backend alone, and never what decides.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod probe_support;
mod tls_support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use maglev::clock;
use maglev::config::{CheckKind, Healthcheck, TcpCheck};
use maglev::probe::{Code, Order, ProbeId, Report};
use probe_support::*;
use tls_support::{Authority, http_server, https};

const JOB: ProbeId = ProbeId(7);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// The descriptors of the process are looked at: one test after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|e| e.into_inner())
}

/// A prober that has room to keep sockets where the process may have 1,024 descriptors.
fn rig() -> Rig {
    let rig = Rig::new();
    rig.configure(None, 16);
    rig
}

/// Sockets of this process that are of no connection and no listener, by their inodes.
fn loose() -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let to = std::fs::read_link(entry.path()).unwrap_or_default();
        let inode = to.to_str().and_then(|s| s.strip_prefix("socket:[")?.strip_suffix(']'));
        found.extend(inode.and_then(|s| s.parse::<u64>().ok()));
    }
    for table in ["tcp", "tcp6", "udp", "udp6", "unix"] {
        let text = std::fs::read_to_string(format!("/proc/self/net/{table}")).unwrap_or_default();
        let words = text.split_whitespace().filter_map(|w| w.parse().ok());
        let inodes: BTreeSet<u64> = words.collect();
        found.retain(|inode| !inodes.contains(inode));
    }
    found
}

/// The one that is kept, or none: whichever is waited for.
fn kept(want: usize) -> Option<u64> {
    let until = clock::mono() + PATIENCE;
    loop {
        let found = loose();
        // Not what the server is just about to close.
        if found.len() == want && found == loose() {
            return found.first().copied();
        }
        assert!(clock::mono() < until, "{want} instead of {found:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A standing job, every 60 ms.
fn order(rig: &Rig, to: IpAddr, mut check: Healthcheck) {
    (check.interval, check.jitter_percent) = (Duration::from_millis(60), 0.0);
    rig.0.send(standing(JOB, to, &Arc::new(check)));
}

/// The first report that is no pass.
fn last(rig: &Rig) -> Report {
    loop {
        let r = rig.report();
        assert_eq!(r.id, JOB);
        if !r.goes_on {
            return r;
        }
    }
}

/// A server that knows how often it was asked, and by whom.
fn server(
    to: IpAddr,
    answer: impl Fn(usize, &mut TcpStream) + Send + Sync + 'static,
) -> (u16, Arc<Mutex<Vec<SocketAddr>>>) {
    let (asked, peers) = (AtomicUsize::new(0), Arc::new(Mutex::new(Vec::new())));
    let known = peers.clone();
    let port = serve(to, move |mut c| {
        // Unknown where the probe has gone on already.
        known.lock().unwrap().extend(c.peer_addr());
        answer(asked.fetch_add(1, Ordering::SeqCst), &mut c);
        until_closed(c);
    });
    (port, peers)
}

/// The check passes again and again, over one socket, with a new connection each time.
fn is_kept(to: IpAddr, check: Healthcheck, peers: &Mutex<Vec<SocketAddr>>) {
    let rig = rig();
    order(&rig, to, check);
    let mut inodes = BTreeSet::new();
    for _ in 0..5 {
        let report = rig.report();
        assert!(report.goes_on, "{report:?}");
        inodes.extend(kept(1));
    }
    assert_eq!(inodes.len(), 1, "one socket");
    rig.0.send(Order::Cancel(JOB));
    kept(0);
    let peers = peers.lock().unwrap();
    assert!(peers.iter().zip(peers.iter().skip(1)).all(|(a, b)| a.port() != b.port()), "{peers:?}");
}

#[test]
fn a_backend_that_passes_keeps_its_socket_until_it_is_cancelled() {
    let _alone = alone();
    for to in families() {
        let (port, peers) = server(to, |_, c| {
            request(c);
            c.write_all(OK).unwrap();
        });
        is_kept(to, (*http(port, 5000)).clone(), &peers);
        // It hears of no connection: the handshake ends with a reset.
        let (port, peers) = server(to, |_, _| {});
        is_kept(to, (*tcp(port, 5000)).clone(), &peers);
        let (port, peers) = server(to, |_, c| drop(c.write_all(b"hello\r\n")));
        is_kept(to, (*expect(port, 5000, "", "hello")).clone(), &peers);
    }
}

#[test]
fn the_same_is_sent_each_time() {
    let _alone = alone();
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let note = seen.clone();
    let (port, peers) = server(V4, move |_, c| {
        note.lock().unwrap().insert(request(c));
        c.write_all(OK).unwrap();
    });
    is_kept(V4, (*http(port, 5000)).clone(), &peers);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen.first().unwrap().starts_with("GET / HTTP/1.1\r\nHost: 127.0.0.1:"), "{seen:?}");

    let note = Arc::new(Mutex::new(Vec::new()));
    let seen = note.clone();
    let (port, peers) = server(V4, move |_, c| {
        let mut buf = [0; 4];
        if c.read_exact(&mut buf).is_ok() {
            note.lock().unwrap().push(buf);
        }
    });
    let send = TcpCheck { send: b"ping".to_vec(), ..Default::default() };
    is_kept(V4, check(CheckKind::Tcp(send), port, 5000), &peers);
    let seen = seen.lock().unwrap();
    assert!(seen.len() >= 2 && seen.iter().all(|s| s == b"ping"), "{seen:?}");
}

#[test]
fn a_source_address_stays_and_its_ports_do_not() {
    let _alone = alone();
    let source = Ipv4Addr::new(127, 0, 0, 9);
    let (port, peers) = server(V4, |_, c| {
        request(c);
        c.write_all(OK).unwrap();
    });
    let check = Healthcheck { probe_ipv4_src: Some(source), ..(*http(port, 5000)).clone() };
    is_kept(V4, check, &peers);
    let peers = peers.lock().unwrap();
    assert!(peers.len() >= 5 && peers.iter().all(|p| p.ip() == source), "{peers:?}");
}

#[test]
fn with_tls_too() {
    let _alone = alone();
    let authority = Authority::new();
    let port = http_server(authority.server(&["127.0.0.1"]), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let rig = rig();
    order(&rig, V4, (*https(port, 5000, authority.tls(None))).clone());
    let mut inodes = BTreeSet::new();
    let mut reports = Vec::new();
    while reports.len() < 5 {
        reports.push(rig.report());
        inodes.extend(kept(1));
    }
    assert!(reports.iter().all(|r| r.goes_on && code(r) == Code::L7Ok), "{reports:?}");
    assert_eq!(inodes.len(), 1);
}

#[test]
fn whatever_is_no_pass_closes_it_and_says_what_it_says_of_a_new_one() {
    let _alone = alone();
    // The third probe meets something else.
    let meets = |what: fn(&mut TcpStream)| {
        let (port, _) = server(V4, move |n, c| {
            request(c);
            if n < 2 { c.write_all(OK).unwrap() } else { what(c) }
        });
        let rig = rig();
        order(&rig, V4, (*http(port, 300)).clone());
        let report = last(&rig);
        kept(0);
        // A first probe, on a new socket.
        let fresh = rig.probe(V4, &http(port, 300));
        assert_eq!(code(&fresh), code(&report));
        said(&report.outcome)
    };
    assert_eq!(meets(|c| c.write_all(b"HTTP/1.1 500 No\r\n\r\n").unwrap()), "L7STS HTTP 500");
    assert_eq!(meets(|c| c.write_all(b"no\r\n").unwrap()), "L7RSP not an HTTP response");
    assert!(meets(|_| ()).starts_with("L7TOUT"));
    assert!(meets(|c| c.shutdown(std::net::Shutdown::Both).unwrap()).starts_with("L7RSP closed"));
    let reset = meets(|c| {
        let socket = socket2::SockRef::from(&*c);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        // Half of an answer, then a reset when the server lets go.
        let _ = socket.send(b"HTTP/1.1 20");
        let _ = socket.shutdown(std::net::Shutdown::Read);
    });
    assert!(reset.starts_with("L7"), "{reset}");
}

#[test]
fn where_nobody_listens_any_more_it_is_refused() {
    let _alone = alone();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(V4, 0).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    socket.listen(16).unwrap();
    let rig = rig();
    order(&rig, V4, (*tcp(port, 5000)).clone());
    for _ in 0..3 {
        assert!(rig.report().goes_on);
    }
    kept(1);
    // Not closed: nobody else gets its port.
    socket.shutdown(std::net::Shutdown::Both).unwrap();
    let report = last(&rig);
    assert_eq!(said(&report.outcome), "L4CON connection refused");
    drop(socket);
    kept(0);
}

#[test]
fn bytes_that_came_after_an_answer_are_not_heard_by_the_next_probe() {
    let _alone = alone();
    let (port, peers) = server(V4, |_, c| {
        request(c);
        // In one piece with the answer, so that they are there when it is judged.
        let mut all = OK.to_vec();
        all.extend([b'x'; 100_000]);
        let _ = c.write_all(&all);
    });
    is_kept(V4, (*http(port, 5000)).clone(), &peers);
}

#[test]
fn who_is_asked_once_keeps_nothing() {
    let _alone = alone();
    let (port, _) = server(V4, |_, c| {
        request(c);
        c.write_all(OK).unwrap();
    });
    let rig = rig();
    assert_eq!(code(&rig.probe(V4, &http(port, 5000))), Code::L7Ok);
    kept(0);
}

#[test]
fn all_are_closed_when_the_thread_ends() {
    let _alone = alone();
    let (port, _) = server(V4, |_, _| {});
    let rig = rig();
    order(&rig, V4, (*tcp(port, 5000)).clone());
    rig.report();
    kept(1);
    assert!(rig.0.stop(PATIENCE));
    kept(0);
}
