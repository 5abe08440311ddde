//! What a reload would take out of service. A configuration that was cut short, or generated from half of its sources, may
//! well be valid; so a reload that removes most of what there is has to be asked for twice.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::config::{Backend, Config};
use crate::lb::VipKey;

/// So few may always go: in a small configuration a typing mistake is soon mended, and a change is often most of it.
const FEW: usize = 10;

/// How many of how many would be out of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// So many go.
    pub gone: usize,
    /// So many there are.
    pub of: usize,
}

impl Part {
    /// More than half of them, and more than a few.
    fn is_large(self) -> bool {
        self.gone > FEW && self.gone * 2 > self.of
    }
}

/// What a configuration would take out of service of another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Backends that no frontend would have any more; and those that no frontend has and that would be gone. A backend that only has
    /// another name or another address is not lost.
    pub backends: Part,
    /// Frontends that would be gone. One that only has another name, or another address, protocol or port, is not lost.
    pub frontends: Part,
}

impl Loss {
    /// What `new` would take out of service of `running`.
    pub fn between(running: &Config, new: &Config) -> Loss {
        let (served, still_served) = (served(running), served(new));
        let (all, in_service) = (Known::of(new.backends.values().map(|b| &**b)), {
            let names = still_served.iter();
            Known::of(names.filter_map(|n| new.backends.get(*n)).map(|b| &**b))
        });
        let lost = |b: &Backend| {
            let there = if served.contains(&*b.name) { &in_service } else { &all };
            !there.has(b)
        };
        let vips: HashSet<VipKey> = new.frontends.values().map(|f| f.vip).collect();
        let stays =
            |f: &crate::config::Frontend| new.frontends.contains_key(&f.name) || vips.contains(&f.vip);
        Loss {
            backends: Part {
                gone: running.backends.values().filter(|b| lost(b)).count(),
                of: running.backends.len(),
            },
            frontends: Part {
                gone: running.frontends.values().filter(|f| !stays(f)).count(),
                of: running.frontends.len(),
            },
        }
    }

    /// Whether it has to be asked for twice: more than half of the backends or of the frontends, and more than ten.
    pub fn is_large(&self) -> bool {
        self.backends.is_large() || self.frontends.is_large()
    }
}

/// `2715 of 2725 backends and 3 of 4 frontends`
impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Loss { backends: b, frontends: x } = self;
        write!(f, "{} of {} backends and {} of {} frontends", b.gone, b.of, x.gone, x.of)
    }
}

/// The names of the backends that some frontend has.
fn served(config: &Config) -> HashSet<&str> {
    config.frontends.values().flat_map(|f| f.members()).map(|(_, name, _)| &**name).collect()
}

/// Names and addresses of backends.
struct Known<'a> {
    names: HashSet<&'a str>,
    addresses: HashSet<IpAddr>,
}

impl<'a> Known<'a> {
    fn of(backends: impl Iterator<Item = &'a Backend>) -> Known<'a> {
        let (names, addresses) = backends.map(|b| (&*b.name, b.address)).unzip();
        Known { names, addresses }
    }

    fn has(&self, b: &Backend) -> bool {
        self.names.contains(&*b.name) || self.addresses.contains(&b.address)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Backends by name and address, of which the first `served` are in frontends of two.
    fn config(backends: &[(String, u16)], served: usize) -> Config {
        let mut text = String::from("maglev:\n  vpp: {lb: {ipv4-src-address: 192.0.2.254}}\n");
        text += if backends.is_empty() { "  backends: {}\n" } else { "  backends:\n" };
        for (name, n) in backends {
            writeln!(text, "    {name}: {{address: 10.0.{}.{}}}", n / 250, n % 250 + 1).unwrap();
        }
        text += if served == 0 { "  frontends: {}\n" } else { "  frontends:\n" };
        for (i, pair) in backends[..served].chunks(2).enumerate() {
            let pool: Vec<String> = pair.iter().map(|(name, _)| format!("{name}: {{}}")).collect();
            writeln!(
                text,
                "    f{i}: {{address: 192.0.{}.{}, pools: [{{name: p, backends: {{{}}}}}]}}",
                3 + i / 250,
                i % 250 + 1,
                pool.join(", ")
            )
            .unwrap();
        }
        crate::config::parse(&text).unwrap_or_else(|e| panic!("{e:?}\n{text}")).config
    }

    fn numbered(range: std::ops::Range<u16>, name: &str) -> Vec<(String, u16)> {
        range.map(|n| (format!("{name}{n}"), n)).collect()
    }

    fn loss(a: &Config, b: &Config) -> (usize, usize, bool) {
        let l = Loss::between(a, b);
        assert_eq!((l.backends.of, l.frontends.of), (a.backends.len(), a.frontends.len()));
        (l.backends.gone, l.frontends.gone, l.is_large())
    }

    #[test]
    fn a_file_cut_short_anywhere_loses_most() {
        let all = config(&numbered(0..100, "b"), 100);
        assert_eq!(loss(&all, &all), (0, 0, false));
        assert_eq!(loss(&all, &config(&numbered(0..40, "b"), 40)), (60, 30, true));
        // All backends are still there, but not what they serve.
        assert_eq!(loss(&all, &config(&numbered(0..100, "b"), 40)), (60, 30, true));
        // Half is not more than half.
        assert_eq!(loss(&all, &config(&numbered(0..50, "b"), 50)), (50, 25, false));
        assert_eq!(loss(&all, &config(&[], 0)), (100, 50, true));
        assert_eq!(
            Loss::between(&all, &config(&[], 0)).to_string(),
            "100 of 100 backends and 50 of 50 frontends"
        );
    }

    #[test]
    fn backends_of_no_frontend_count_while_they_are_in_the_file() {
        let all = config(&numbered(0..100, "b"), 2);
        assert_eq!(loss(&all, &config(&numbered(0..100, "b"), 0)), (2, 1, false));
        assert_eq!(loss(&all, &config(&numbered(0..2, "b"), 2)), (98, 0, true));
        // One that comes into a frontend is not lost.
        assert_eq!(loss(&all, &config(&numbered(0..100, "b"), 100)), (0, 0, false));
    }

    #[test]
    fn what_has_another_name_or_address_is_not_lost() {
        let all = config(&numbered(0..100, "b"), 100);
        assert_eq!(loss(&all, &config(&numbered(0..100, "other"), 100)), (0, 0, false));
        let moved: Vec<_> = (0..100).map(|n| (format!("b{n}"), n + 1000)).collect();
        assert_eq!(loss(&all, &config(&moved, 100)), (0, 0, false));
    }

    #[test]
    fn a_small_configuration_may_lose_everything() {
        let few = config(&numbered(0..10, "b"), 10);
        assert_eq!(loss(&few, &config(&[], 0)), (10, 5, false));
        let more = config(&numbered(0..11, "b"), 11);
        assert_eq!(loss(&more, &config(&[], 0)), (11, 6, true));
    }
}
