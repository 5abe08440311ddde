//! What the demo plays on: engine, configuration file, clock, and the lines that are printed.

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Duration;

use maglev::cli::{self, Answer, Reply};
use maglev::clock;
use maglev::control::view::FrontendView;
use maglev::control::{BackendVerb, LogLevel, Operator};
use maglev::lb::{LoadBalancer, Protocol, VipKey};
use maglev::time::Time;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::flows::{Flows, Sent};
use super::web::Web;
use crate::host::Host;
use crate::signals::Signals;
use crate::socket::words;

/// Why the play ends early.
#[derive(Debug)]
pub enum Stop {
    Interrupted,
    Failed(String),
}

/// For `map_err`: what was tried, and the system's words.
pub fn words_of(what: &str) -> impl Fn(io::Error) -> Stop {
    let what = what.to_owned();
    move |e| Stop::Failed(format!("{what}: {}", words(&e)))
}

pub fn ms(d: Duration) -> String {
    format!("{} ms", d.as_millis())
}

/// A folder of our own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Folder> {
        let path =
            std::env::temp_dir().join(format!("maglev-demo-{}-{:x}", std::process::id(), fastrand::u64(..)));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub struct Stage {
    host: Host,
    signals: Signals,
    began: Time,
    servers: Vec<(String, IpAddr)>,
    _folder: Folder,
}

impl Stage {
    pub fn open(webs: &[Web]) -> Result<Stage, Stop> {
        let began = clock::mono();
        let signals = Signals::install().map_err(words_of("signals"))?;
        let folder = Folder::new().map_err(words_of("a temporary folder"))?;
        let config = folder.0.join("maglev.yaml");
        fs::write(&config, configuration(webs)).map_err(words_of("the configuration"))?;
        let log = move |level: LogLevel, text: &str| {
            if level > LogLevel::Debug {
                print(began, &format!("  {text}"));
            }
        };
        let host = Host::start(&config, None, Box::new(log)).map_err(words_of("the engine"))?;
        let servers = webs.iter().map(|w| (w.name.clone(), w.address.ip())).collect();
        Ok(Stage { host, signals, began, servers, _folder: folder })
    }

    pub fn vip(&self) -> VipKey {
        VipKey { address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), service: Some((Protocol::Tcp, 80)) }
    }

    pub fn headline(&self, text: &str) {
        print(self.began, &format!("* {text}"));
    }

    /// Runs the engine until `seen`. The time that took.
    pub fn wait(
        &mut self,
        what: &str,
        patience: Duration,
        mut seen: impl FnMut(&mut Stage) -> bool,
    ) -> Result<Duration, Stop> {
        let from = clock::mono();
        loop {
            let turn = self.host.turn();
            let took = clock::mono().since(from);
            if seen(self) {
                print(self.began, &format!("  => {what}, after {}", ms(took)));
                return Ok(took);
            }
            if took >= patience {
                return Err(Stop::Failed(format!("not seen within {}: {what}", ms(patience))));
            }
            if self.signals.came() {
                return Err(Stop::Interrupted);
            }
            let pause = if turn.busy { Duration::ZERO } else { turn.next.unwrap_or(patience) };
            let timeout = Timespec::try_from(pause.min(patience.saturating_sub(took))).ok();
            let mut fds = [
                PollFd::from_borrowed_fd(self.host.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(words_of("poll")(e.into())),
            }
        }
    }

    pub fn expect(&self, seen: bool, what: &str) -> Result<(), Stop> {
        if !seen {
            return Err(Stop::Failed(format!("not so: {what}")));
        }
        print(self.began, &format!("  => {what}"));
        Ok(())
    }

    /// A command as an operator would type it, and its answer.
    pub fn command(&mut self, words: &str, verb: BackendVerb) -> Result<(), Stop> {
        let line = format!("{words} {}", verb.as_str());
        print(self.began, &format!("  maglev# {line}"));
        match cli::execute(&line, &mut self.host.engine) {
            // What the verb sets off in lb is waited for by what the demo looks at next.
            Answer::Later(pending) => self.answer(&pending.begun()),
            Answer::Done(reply) => self.answer(&reply),
        }
    }

    fn answer(&self, reply: &Reply) -> Result<(), Stop> {
        if !reply.ok {
            return Err(Stop::Failed(reply.text.trim_end().to_owned()));
        }
        print(self.began, &format!("  {}", reply.text.trim_end()));
        Ok(())
    }

    /// The demo's only frontend.
    pub fn frontend(&self) -> FrontendView {
        let found = self.host.engine.frontends().into_iter().next();
        found.unwrap_or_else(|| FrontendView {
            name: String::new(),
            description: String::new(),
            address: String::new(),
            protocol: None,
            port: None,
            state: "not configured yet".into(),
            pool: String::new(),
            serving: 0,
            total: 0,
            encap: String::new(),
            table_length: 0,
            src_ip_sticky: false,
            flush_on_down: false,
            slow_start: None,
            panic: None,
            in_panic: false,
            programmed: false,
            error: None,
            pools: Vec::new(),
            lacks: Vec::new(),
            leaving: Vec::new(),
        })
    }

    pub fn backends_in(&self, state: &str) -> usize {
        self.host.engine.backends().iter().filter(|b| b.state == state).count()
    }

    /// What the configuration promises for a server that refuses.
    pub fn refused_bound(&self) -> Duration {
        let check = self.host.engine.healthchecks().into_iter().next();
        Duration::from_millis(check.map_or(0, |h| h.refused_bound_ms))
    }

    /// In lb, of all servers by name; none where it is not in lb.
    pub fn weights(&mut self) -> Vec<Option<u8>> {
        let vip = self.vip();
        let held = self.host.lb.servers(&vip).unwrap_or_default();
        self.servers.iter().map(|(_, a)| held.iter().find(|s| s.address == *a).map(|s| s.weight)).collect()
    }

    pub fn weight_of(&mut self, name: &str) -> Option<u8> {
        let at = self.servers.iter().position(|(n, _)| n == name)?;
        self.weights().get(at).copied().flatten()
    }

    pub fn show_weights(&mut self) {
        let weights = self.weights();
        let each: Vec<String> = self
            .servers
            .iter()
            .zip(weights)
            .map(|((name, _), w)| format!("{name} {}", w.map_or_else(|| "-".into(), |w| w.to_string())))
            .collect();
        print(self.began, &format!("  weights: {}", each.join(", ")));
    }

    /// One packet of each client; tells where they went.
    pub fn send(&self, flows: &mut Flows) -> Sent {
        let sent = flows.send(&self.host.lb, self.servers.iter().cloned().collect());
        let each: Vec<String> = self
            .servers
            .iter()
            .filter_map(|(name, a)| sent.by_server.get(a).map(|n| format!("{name} {n}")))
            .collect();
        print(
            self.began,
            &format!(
                "  {} flows: {}; dropped {}, moved {}",
                flows.len(),
                each.join(", "),
                sent.dropped,
                sent.moved
            ),
        );
        sent
    }

    /// Ends the engine. The time since the start.
    pub fn close(self) -> Result<String, Stop> {
        let began = self.began;
        if !self.host.engine.stop() {
            return Err(Stop::Failed("a thread did not end in time".into()));
        }
        let took = clock::mono().since(began);
        Ok(format!("{}.{} s", took.as_secs(), took.subsec_millis() / 100))
    }
}

/// `[ 1.234] text`
fn print(began: Time, text: &str) {
    let t = clock::mono().since(began);
    let _ = writeln!(io::stdout(), "[{:2}.{:03}] {text}", t.as_secs(), t.subsec_millis());
}

/// Quick checks, so that the play is short; a frontend from the addresses for documentation.
fn configuration(webs: &[Web]) -> String {
    let port = webs.first().map_or(0, |w| w.address.port());
    let backends: String = webs
        .iter()
        .map(|w| format!("    {}: {{ address: {}, healthcheck: page }}\n", w.name, w.address.ip()))
        .collect();
    format!(
        "maglev:
  vpp:
    lb:
      ipv4-src-address: 192.0.2.1
  healthchecks:
    page:
      type: http
      port: {port}
      interval: 500ms
      fast-interval: 100ms
      timeout: 500ms
      rise: 2
      fall: 3
      params: {{ path: / }}
  backends:
{backends}  frontends:
    shop:
      description: The demo's VIP
      address: 192.0.2.10
      protocol: tcp
      port: 80
      pools:
        - name: primary
          backends: {{ web1: {{}}, web2: {{}}, web3: {{ weight: 50 }} }}
        - name: backup
          backends: {{ web4: {{}}, web5: {{}} }}
"
    )
}
