//! A prober under test, and the peers it meets.

#![allow(dead_code)] // each test binary uses its part
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::io::Read;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use maglev::clock;
use maglev::config::{
    Agent, CheckKind, CounterKind, Healthcheck, Healthchecker, HttpCheck, Pattern, TcpCheck,
};
use maglev::probe::{Code, Job, Order, Outcome, ProbeId, Prober, ProberOptions, Report, Task, Told};

/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How late a thing may be on a machine that has other things to do, too.
pub const SLACK: Duration = Duration::from_millis(250);

pub const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
pub const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// The loopback addresses that there are: some containers have no IPv6.
pub fn families() -> Vec<IpAddr> {
    let there = |a: &IpAddr| TcpListener::bind(SocketAddr::new(*a, 0)).is_ok();
    if !there(&V6) {
        eprintln!("skipped: no ::1 here, IPv4 only");
    }
    [V4, V6].into_iter().filter(there).collect()
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

pub struct Rig(pub Prober);

impl Rig {
    pub fn new() -> Rig {
        Rig::with(ProberOptions::default())
    }

    pub fn with(options: ProberOptions) -> Rig {
        // All tests of a binary share the process's descriptors.
        let nofile = rustix::process::Resource::Nofile;
        let limit = rustix::process::getrlimit(nofile);
        let _ = rustix::process::setrlimit(
            nofile,
            rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum },
        );
        Rig(Prober::spawn(options).unwrap())
    }

    /// Orders a probe.
    pub fn order(&self, address: IpAddr, check: &Arc<Healthcheck>) -> ProbeId {
        self.send(address, Task::Check(check.clone()))
    }

    /// Orders whatever there is to ask.
    pub fn send(&self, address: IpAddr, task: Task) -> ProbeId {
        let id = ProbeId(NEXT_ID.fetch_add(1, Ordering::Relaxed));
        self.0.send(Order::Probe(Job::once(id, address, task, clock::mono())));
        id
    }

    /// Asks an agent; the report.
    pub fn ask(&self, address: IpAddr, agent: &Arc<Agent>) -> Report {
        let id = self.send(address, Task::Agent(agent.clone()));
        self.report_of(id)
    }

    /// The next result, which must be that probe's.
    fn report_of(&self, id: ProbeId) -> Report {
        let report = self.report();
        assert_eq!(report.id, id);
        assert!(report.started <= report.finished);
        report
    }

    pub fn configure(&self, netns: Option<&str>, max_in_flight: usize) {
        let netns = netns.map(str::to_string);
        let config = Healthchecker {
            netns,
            max_in_flight,
            max_agents_in_flight: max_in_flight,
            ..Healthchecker::default()
        };
        self.0.send(Order::Configure(config));
    }

    /// The next thing told.
    pub fn told(&self) -> Told {
        self.0.receiver().recv_timeout(PATIENCE).expect("the prober says nothing")
    }

    /// The next result; beats are skipped.
    pub fn report(&self) -> Report {
        loop {
            if let Told::Report(r) = self.told() {
                return r;
            }
        }
    }

    /// One probe and its result.
    pub fn probe(&self, address: IpAddr, check: &Arc<Healthcheck>) -> Report {
        self.report_of(self.order(address, check))
    }

    /// One probe and its outcome, as `L7STS HTTP 503`.
    pub fn said(&self, address: IpAddr, check: &Arc<Healthcheck>) -> String {
        said(&self.probe(address, check).outcome)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let stopped = self.0.stop(Duration::from_secs(5));
        if !std::thread::panicking() {
            assert!(stopped, "the prober does not stop");
        }
    }
}

pub fn said(o: &Outcome) -> String {
    format!("{} {}", o.code.as_str(), o.detail).trim_end().to_string()
}

pub fn code(r: &Report) -> Code {
    r.outcome.code
}

/// How long the probe took by the prober's own stamps.
pub fn took(r: &Report) -> Duration {
    r.finished.since(r.started)
}

/// That the probe ended at its deadline: not before, and not much after.
pub fn assert_at_deadline(r: &Report, timeout_ms: u64) {
    let timeout = Duration::from_millis(timeout_ms);
    assert!(took(r) >= timeout && took(r) < timeout + SLACK, "{:?} for {timeout:?}", took(r));
}

pub fn check(kind: CheckKind, port: u16, timeout_ms: u64) -> Healthcheck {
    let interval = Duration::from_secs(2);
    Healthcheck {
        name: "c".into(),
        kind,
        port,
        interval,
        fast_interval: interval,
        down_interval: interval,
        timeout: Duration::from_millis(timeout_ms),
        rise: 2,
        fall: 3,
        counter: CounterKind::Linear,
        jitter_percent: 10.0,
        probe_ipv4_src: None,
        probe_ipv6_src: None,
    }
}

pub fn tcp(port: u16, timeout_ms: u64) -> Arc<Healthcheck> {
    Arc::new(check(CheckKind::Tcp(TcpCheck::default()), port, timeout_ms))
}

pub fn expect(port: u16, timeout_ms: u64, send: &str, expect: &str) -> Arc<Healthcheck> {
    let expect = (!expect.is_empty()).then(|| pattern(expect));
    Arc::new(check(CheckKind::Tcp(TcpCheck { send: send.into(), expect, tls: None }), port, timeout_ms))
}

pub fn http(port: u16, timeout_ms: u64) -> Arc<Healthcheck> {
    Arc::new(check(CheckKind::Http(HttpCheck::default()), port, timeout_ms))
}

pub fn http_body(port: u16, timeout_ms: u64, regexp: &str) -> Arc<Healthcheck> {
    let kind = HttpCheck { regexp: Some(pattern(regexp)), ..HttpCheck::default() };
    Arc::new(check(CheckKind::Http(kind), port, timeout_ms))
}

pub fn agent(port: u16, timeout_ms: u64, send: &str) -> Arc<Agent> {
    let interval = Duration::from_secs(2);
    let timeout = Duration::from_millis(timeout_ms);
    Arc::new(Agent { port, address: None, interval, timeout, send: send.into() })
}

pub fn pattern(s: &str) -> Pattern {
    Pattern::new(s).unwrap()
}

/// The order for a standing job.
pub fn standing(id: ProbeId, to: IpAddr, check: &Arc<Healthcheck>) -> Order {
    let job = Job::once(id, to, Task::Check(check.clone()), clock::mono());
    Order::Probe(Job { standing: true, ..job })
}

/// A peer on `address` that does `serve` with each connection, on a thread each. Its port.
pub fn serve(address: IpAddr, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind(SocketAddr::new(address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        // It ends with the test's process.
        for connection in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(connection));
        }
    });
    port
}

/// Reads a request to its empty line; what it was.
pub fn request(connection: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    let mut buf = [0; 1024];
    while !seen.ends_with(b"\r\n\r\n") {
        match connection.read(&mut buf) {
            Ok(n) if n > 0 => seen.extend_from_slice(&buf[..n]),
            Ok(_) | Err(_) => break,
        }
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// Waits until the peer has closed or reset; at most [`PATIENCE`].
pub fn until_closed(mut connection: TcpStream) {
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buf = [0; 1024];
    while matches!(connection.read(&mut buf), Ok(n) if n > 0) {}
}

/// A port on which nobody listens, and which no ephemeral one can be while the socket lives.
pub fn closed_port(address: IpAddr) -> (socket2::Socket, u16) {
    let domain = socket2::Domain::for_address(SocketAddr::new(address, 0));
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(address, 0).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

/// A listener whose queue is full: the kernel answers no further SYN.
pub struct Silent {
    pub port: u16,
    _listener: socket2::Socket,
    _filling: Vec<socket2::Socket>,
}

pub fn silent(address: IpAddr) -> Silent {
    let to = SocketAddr::new(address, 0);
    let socket =
        || socket2::Socket::new(socket2::Domain::for_address(to), socket2::Type::STREAM, None).unwrap();
    let listener = socket();
    listener.bind(&to.into()).unwrap();
    listener.listen(0).unwrap();
    let to = listener.local_addr().unwrap();
    // A backlog of 0 queues one; the second is the one that is left hanging.
    let mut filling = Vec::new();
    for _ in 0..8 {
        let s = socket();
        let full = s.connect_timeout(&to, Duration::from_millis(150)).is_err();
        filling.push(s);
        if full {
            break;
        }
    }
    Silent { port: to.as_socket().unwrap().port(), _listener: listener, _filling: filling }
}
