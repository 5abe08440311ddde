//! A draft as a file.

use std::fmt::Write as _;

use super::fronts::{Front, PANIC, SLOW, WEIGHTS};
use super::{AGENT_INTERVALS, CHECKS, Draft, address, agent_address};

impl Draft {
    /// As a file.
    pub fn yaml(&self) -> String {
        let mut s = String::from("maglev:\n");
        let _ = writeln!(s, "  healthchecker: {{transition-history: {}}}", self.history);
        s += "  vpp: {lb: {ipv4-src-address: 10.0.0.1, ipv6-src-address: '2001:db8:ff::1', sync-interval: 5s, startup-max-delay: 4s, sticky-buckets-per-core: 16}}\n";
        s += "  healthchecks:\n";
        for (i, c) in self.checks.iter().enumerate() {
            let c = CHECKS.get(*c).copied().unwrap_or_default();
            let jitter = if c.contains("jitter") { "" } else { ", jitter: 0" };
            let _ = writeln!(s, "    h{i}: {{{c}{jitter}}}");
        }
        self.backends(&mut s);
        let any = self.frontends.iter().any(Option::is_some);
        s += if any { "  frontends:\n" } else { "  frontends: {}\n" };
        for (i, f) in self.frontends.iter().enumerate() {
            if let Some(f) = f {
                self.frontend_to(&mut s, i, f);
            }
        }
        s
    }

    fn backends(&self, s: &mut String) {
        *s += if self.backends.is_empty() { "  backends: {}\n" } else { "  backends:\n" };
        for b in &self.backends {
            let _ = write!(s, "    b{}: {{address: '{}'", b.name, address(b.address));
            if let Some(c) = b.check {
                let _ = write!(s, ", healthcheck: h{c}");
            }
            if let Some(a) = &b.agent {
                let interval = AGENT_INTERVALS.get(a.interval).copied().unwrap_or("1s");
                let _ = write!(s, ", agent: {{port: 99, interval: {interval}");
                if let Some(n) = a.apart {
                    let _ = write!(s, ", address: {}, send: \"b{}\"", agent_address(n), b.name);
                }
                *s += "}";
            }
            if let Some(t) = b.track {
                let _ = write!(s, ", track: b{t}");
            }
            if let Some(t) = b.share {
                let _ = write!(s, ", agent-track: b{t}");
            }
            if !b.enabled {
                *s += ", enabled: false";
            }
            *s += "}\n";
        }
    }

    fn frontend_to(&self, s: &mut String, slot: usize, f: &Front) {
        let (address, kind) = self.place(slot);
        let (service, target, said) = self.service(slot, f);
        let Front { name, flush, sticky, table, .. } = f;
        let _ =
            write!(s, "    f{slot}-{name}: {{address: '{address}', {}encap: {}, ", service.words, kind.words);
        if let (Some(port), true) = (target, said) {
            let _ = write!(s, "target-port: {port}, ");
        }
        let _ =
            write!(s, "flush-on-down: {flush}, src-ip-sticky: {sticky}, new-flow-table-length: {table}, ");
        *s += SLOW.get(f.slow).copied().unwrap_or_default();
        *s += PANIC.get(f.panic).copied().unwrap_or_default();
        *s += "pools: [";
        for (p, members) in &f.pools {
            let _ = write!(s, "{{name: p{p}, backends: {{");
            for (b, weight) in members {
                let _ = write!(s, "b{b}: {{{}}}, ", WEIGHTS.get(*weight).copied().unwrap_or_default());
            }
            *s += "}}, ";
        }
        *s += "]}\n";
    }
}
