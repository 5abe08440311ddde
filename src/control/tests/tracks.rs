//! `track` and `agent-track`, from the verb at the root to each follower's weight in `lb`.

use super::agents::set;
use super::lab::{ip, with_tcp};
use super::{Lab, Net};
use crate::control::BackendVerb::{self, *};

/// `rack` is static, in no pool: a name for a group. `t1` and `t2` follow it, `u` follows `t2`. `a` is checked, `f`
/// follows it, `g` follows `f`.
const TREES: &str = with_tcp!(
    "
  backends:
    rack: {address: 10.1.0.9}
    t1: {address: 10.1.0.1, track: rack}
    t2: {address: 10.1.0.2, track: rack}
    u: {address: 10.1.0.3, track: t2}
    a: {address: 10.1.0.4, healthcheck: tcp}
    f: {address: 10.1.0.5, track: a}
    g: {address: 10.1.0.6, track: f}
  frontends:
    web:
      address: 192.0.2.1
      protocol: tcp
      port: 80
      pools:
        - {name: first, backends: {t1: {weight: 10}, t2: {weight: 20}, u: {weight: 30}, a: {weight: 40}, f: {weight: 50}, g: {weight: 60}}}
"
);

fn settled(yaml: &str) -> Lab {
    let mut lab = Lab::new(yaml);
    lab.run(5000);
    assert_eq!(weights(&mut lab), "10 20 30 40 50 60");
    lab.take_writes();
    lab.log.clear();
    lab
}

/// In the order of the addresses.
fn weights(lab: &mut Lab) -> String {
    lab.turn();
    let all = lab.weights("192.0.2.1", 80);
    all.split(' ').map(|w| w.split('=').nth(1).unwrap()).collect::<Vec<_>>().join(" ")
}

fn shown(lab: &Lab, backends: &str) -> Vec<String> {
    backends.split(' ').map(|b| lab.state(b)).collect()
}

fn flushed(lab: &mut Lab) -> usize {
    lab.take_writes().iter().filter(|w| w.ends_with(" flush")).count()
}

#[test]
fn one_verb_serves_a_group_through_all_levels() {
    // Verb, how the followers are shown, flushes, and the verb that takes it back.
    let rows: [(BackendVerb, &str, usize, BackendVerb); 3] = [
        (Disable, "disabled via rack", 3, Enable),
        (Drain, "drain via rack", 0, Ready),
        (Pause, "paused via rack", 0, Resume),
    ];
    for (verb, state, flushes, back) in rows {
        let mut lab = settled(TREES);
        set(&mut lab, "rack", verb).unwrap();
        assert_eq!(weights(&mut lab), "0 0 0 40 50 60", "{verb:?}");
        assert_eq!(shown(&lab, "t1 t2 u"), [state; 3]);
        assert_eq!(flushed(&mut lab), flushes, "{verb:?}");
        let told = lab.take_log("backend-transition");
        let to = state.split(' ').next().unwrap();
        let line = |b: &str, by: &str| {
            format!("backend-transition backend={b} from=up to={to} code=tracked detail={by:?}")
        };
        assert_eq!(told.len(), 4, "{told:?}");
        assert_eq!(
            told[1..],
            [
                line("t1", &format!("rack: {to}")),
                line("t2", &format!("rack: {to}")),
                line("u", &format!("t2: {state}"))
            ]
        );
        set(&mut lab, "rack", back).unwrap();
        assert_eq!(weights(&mut lab), "10 20 30 40 50 60", "{back:?}");
        assert_eq!(shown(&lab, "t1 t2 u rack"), ["up unchecked"; 4]);
        assert_eq!(flushed(&mut lab), 0);
    }
}

#[test]
fn a_word_of_its_own_stands_beside_the_inherited_one() {
    for (verb, back) in [(Drain, Ready), (Disable, Enable)] {
        let mut lab = settled(TREES);
        set(&mut lab, "rack", verb).unwrap();
        set(&mut lab, "t2", verb).unwrap();
        set(&mut lab, "rack", back).unwrap();
        assert_eq!(weights(&mut lab), "10 0 0 40 50 60", "{verb:?}: its own, and what follows it");
        let state = lab.state("t2");
        assert_eq!(lab.state("u"), format!("{state} via t2"));
        set(&mut lab, "t2", back).unwrap();
        assert_eq!(weights(&mut lab), "10 20 30 40 50 60");
    }
    // The strongest of different words, each with its own origin.
    let mut lab = settled(TREES);
    set(&mut lab, "rack", Drain).unwrap();
    set(&mut lab, "t2", Disable).unwrap();
    assert_eq!(shown(&lab, "t1 t2 u"), ["drain via rack", "disabled", "disabled via t2"]);
    set(&mut lab, "t2", Enable).unwrap();
    assert_eq!(shown(&lab, "t1 t2 u"), ["drain via rack"; 3]);
}

#[test]
fn what_is_inherited_cannot_be_taken_back_where_it_was_not_said() {
    let mut lab = settled(TREES);
    set(&mut lab, "rack", Disable).unwrap();
    assert_eq!(set(&mut lab, "u", Pause), Err("backend `u` is disabled via `rack`".into()));
    assert_eq!(
        set(&mut lab, "u", Enable),
        Ok("backend `u` is not disabled by the operator: it is disabled via rack".into())
    );
    set(&mut lab, "rack", Enable).unwrap();
    set(&mut lab, "rack", Drain).unwrap();
    assert_eq!(
        set(&mut lab, "u", Ready),
        Ok("backend `u` is not drained by the operator: it is drain via rack".into())
    );
    assert_eq!(set(&mut lab, "u", Drain), Ok("backend `u` drained".into()));
    assert_eq!(set(&mut lab, "u", Ready), Ok("backend `u` ready; it is drain via rack".into()));
    set(&mut lab, "rack", Pause).unwrap();
    assert_eq!(set(&mut lab, "u", Resume), Ok("backend `u` is resumed already (paused via rack)".into()));
    assert_eq!(weights(&mut lab), "0 0 0 40 50 60");
}

#[test]
fn state_follows_at_once_and_weights_never() {
    let mut lab = settled(TREES);
    lab.net("10.1.0.4", Net::Refused);
    lab.run(5000);
    assert_eq!(shown(&lab, "a f g"), ["down"; 3]);
    assert_eq!(weights(&mut lab), "10 20 30 0 0 0");
    assert_eq!(flushed(&mut lab), 3);
    assert!(lab.starts("10.1.0.5").is_empty() && lab.starts("10.1.0.6").is_empty(), "none of them is probed");
    lab.net("10.1.0.4", Net::Good);
    lab.run(5000);
    assert_eq!(weights(&mut lab), "10 20 30 40 50 60");
    // In one instant, by all three.
    let to_up: Vec<_> = lab.log.iter().filter(|(_, l)| l.contains("to=up")).map(|(t, _)| *t).collect();
    assert_eq!((to_up.len(), to_up[0]), (3, to_up[2]));
    let now = lab.wall();
    lab.c.set_weight(now, "web", "first", "a", Some(1), false).unwrap();
    assert_eq!(weights(&mut lab), "10 20 30 1 50 60");
}

#[test]
fn stopping_and_forced_health_go_through_all_levels() {
    let http = "tcp: {type: http, params: {path: /, disable-on-404: true}, port: 80,";
    let mut lab = settled(&TREES.replace("tcp: {type: tcp, port: 80,", http));
    lab.net("10.1.0.4", Net::NotFound);
    lab.run(2000);
    assert_eq!(shown(&lab, "a f g"), ["stopping"; 3]);
    assert_eq!((weights(&mut lab).as_str(), flushed(&mut lab)), ("10 20 30 0 0 0", 0));
    lab.net("10.1.0.4", Net::Good);
    lab.run(2000);
    assert_eq!(weights(&mut lab), "10 20 30 40 50 60");
    lab.net("10.1.0.4", Net::Fault);
    for (verb, state, weight, flushes) in [
        (HealthDown, "down", "10 20 30 0 0 0", 3),
        (HealthUp, "up", "10 20 30 40 50 60", 0),
        (HealthStopping, "stopping", "10 20 30 0 0 0", 0),
    ] {
        lab.take_writes();
        set(&mut lab, "a", verb).unwrap();
        assert_eq!((weights(&mut lab).as_str(), flushed(&mut lab)), (weight, flushes), "{verb:?}");
        assert_eq!(shown(&lab, "a f g"), [state; 3]);
    }
}

#[test]
fn a_followers_own_agent_speaks_for_it_and_for_what_follows_it() {
    let agent = "10.1.0.5, track: a, agent: {port: 5555, interval: 1s, timeout: 500ms}";
    let mut lab = Lab::new(&TREES.replace("10.1.0.5, track: a", agent));
    lab.says("10.1.0.5", "up ready 100%");
    lab.run(5000);
    for (word, f, g, weight) in [
        ("drain", "drain by agent", "drain via f", "40 0 0"),
        ("maint", "disabled by agent", "disabled via f", "40 0 0"),
        ("ready down", "down by agent", "down", "40 0 0"),
        ("up 50%", "up", "up", "40 25 60"),
    ] {
        lab.says("10.1.0.5", word);
        lab.run(1500);
        assert_eq!(shown(&lab, "a f g"), ["up", f, g], "{word}");
        assert_eq!(weights(&mut lab), format!("10 20 30 {weight}"), "{word}");
    }
    // Its `up` does not overrule what it follows.
    lab.net("10.1.0.4", Net::Refused);
    lab.run(5000);
    assert_eq!(shown(&lab, "a f g"), ["down"; 3]);
}

#[test]
fn the_followed_one_gets_another_address() {
    // It is another backend then, of which nothing is known yet; its followers know no more, and lose no flow.
    let mut lab = settled(TREES);
    lab.net("10.1.0.7", Net::Fault);
    lab.load(&TREES.replace("a: {address: 10.1.0.4", "a: {address: 10.1.0.7"));
    lab.run(1000);
    assert_eq!(shown(&lab, "a f g"), ["unknown"; 3]);
    assert_eq!(flushed(&mut lab), 0);
    lab.net("10.1.0.7", Net::Refused);
    lab.run(3000);
    assert_eq!(shown(&lab, "a f g"), ["down"; 3]);
    lab.net("10.1.0.7", Net::Good);
    lab.run(5000);
    assert_eq!(shown(&lab, "a f g"), ["up"; 3]);
    assert_eq!(weights(&mut lab), "10 20 30 50 60 40");
    // The old one means nothing to them any more.
    lab.net("10.1.0.4", Net::Refused);
    let n = lab.starts("10.1.0.4").len();
    lab.run(10_000);
    assert_eq!((weights(&mut lab).as_str(), lab.starts("10.1.0.4").len()), ("10 20 30 50 60 40", n));
}

#[test]
fn another_target_brings_its_words_and_leaves_the_old_ones() {
    let mut lab = settled(TREES);
    set(&mut lab, "rack", Drain).unwrap();
    set(&mut lab, "a", Disable).unwrap();
    assert_eq!(shown(&lab, "t2 u f"), ["drain via rack", "drain via rack", "disabled via a"]);
    lab.load(&TREES.replace("t2: {address: 10.1.0.2, track: rack", "t2: {address: 10.1.0.2, track: g"));
    assert_eq!(shown(&lab, "t1 t2 u"), ["drain via rack", "disabled via a", "disabled via a"]);
    lab.run(10);
    assert_eq!(weights(&mut lab), "0 0 0 0 0 0");
    set(&mut lab, "a", Enable).unwrap();
    lab.run(10);
    assert_eq!(weights(&mut lab), "0 20 30 40 50 60");
    // The group has another member now.
    set(&mut lab, "rack", Ready).unwrap();
    set(&mut lab, "a", Drain).unwrap();
    assert_eq!(weights(&mut lab), "10 0 0 0 0 0");
}

#[test]
fn a_file_that_ties_them_wrongly_changes_nothing() {
    let rows = [
        ("rack: {address: 10.1.0.9}", "rack: {address: 10.1.0.9, track: u}", "in a circle"),
        ("a: {address: 10.1.0.4, healthcheck: tcp}", "a: {address: 10.1.0.4, track: a}", "in a circle"),
        (
            "t2: {address: 10.1.0.2, track: rack}",
            "t2: {address: 10.1.0.2, track: rock}",
            "did you mean `rack`",
        ),
        ("    rack: {address: 10.1.0.9}\n", "", "unknown backend `rack`"),
        ("track: f}", "track: f, healthcheck: tcp}", "takes no `healthcheck`"),
        ("track: f}", "track: f, agent-track: a}", "has no `agent`"),
    ];
    let mut lab = settled(TREES);
    set(&mut lab, "rack", Drain).unwrap();
    lab.run(1);
    lab.take_writes();
    let before = lab.c.snapshot();
    for (from, to, why) in rows {
        let bad = TREES.replace(from, to);
        assert_ne!(bad, TREES);
        let error = crate::config::parse(&bad).map(|_| ()).unwrap_err();
        let errors: Vec<String> = error.to_string().lines().map(str::to_owned).collect();
        assert!(errors.iter().any(|e| e.contains(why)), "{errors:?}");
        lab.c.config_failed("test.yaml", errors.clone());
        lab.run(5000);
        assert_eq!(shown(&lab, "t1 t2 u a f g")[..3], ["drain via rack"; 3], "{why}");
        assert_eq!(lab.c.snapshot(), before, "{why}");
        assert_eq!(lab.take_writes(), Vec::<String>::new(), "{why}");
        assert_eq!(lab.take_log("config-reload failed, nothing changed").len(), 1, "{why}");
        assert_eq!(lab.c.status(lab.wall()).config_errors, errors);
    }
    // And what it follows still counts.
    set(&mut lab, "rack", Ready).unwrap();
    assert_eq!(weights(&mut lab), "10 20 30 40 50 60");
}

/// `a` has an agent; `b` takes its share, `c` takes `b`'s, which is `a`'s.
const SHARES: &str = "
maglev:
  vpp: {lb: {ipv4-src-address: 10.0.0.1, startup-max-delay: 10s}}
  backends:
    a: {address: 10.1.0.1, agent: {port: 5555, interval: 1s, timeout: 500ms}}
    b: {address: 10.1.0.2, agent-track: a}
    c: {address: 10.1.0.3, agent-track: b}
  frontends:
    web: {address: 192.0.2.1, protocol: tcp, port: 80, pools: [{name: p, backends: {a: {weight: 40}, b: {weight: 20}}}]}
    far: {address: 192.0.2.2, protocol: tcp, port: 80, pools: [{name: p, backends: {c: {weight: 100}}}]}
";

fn both(lab: &mut Lab) -> String {
    let [web, far] = ["192.0.2.1", "192.0.2.2"].map(|vip| lab.weights(vip, 80));
    let all = web.split(' ').chain(far.split(' ')).map(|w| w.split('=').nth(1).unwrap());
    all.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_share_goes_through_all_levels_and_nothing_else_does() {
    let mut lab = Lab::new(SHARES);
    // What a's agent says, and the weights of a, b and c.
    for (word, want) in [
        ("up ready", "40 20 100"),
        ("50%", "20 10 50"),
        ("1%", "1 1 1"),
        ("0%", "0 0 0"),
        ("200%", "80 40 100"),
        ("weight:7", "7 20 100"),
        ("weight:10%", "4 2 10"),
        ("drain", "0 2 10"),
        ("maint", "0 2 10"),
        ("ready down", "0 2 10"),
        ("up", "4 2 10"),
    ] {
        lab.says("10.1.0.1", word);
        lab.run(1500);
        assert_eq!(both(&mut lab), want, "{word}");
    }
    set(&mut lab, "a", AgentMute).unwrap();
    lab.run(10);
    assert_eq!(both(&mut lab), "40 20 100", "a muted agent says nothing to anybody");
    assert_eq!(
        set(&mut lab, "c", AgentMute),
        Err("backend `c` has no agent: it takes the share of `b`'s".into())
    );
    lab.says("10.1.0.1", "50%");
    set(&mut lab, "a", AgentUnmute).unwrap();
    lab.run(10);
    assert_eq!(both(&mut lab), "20 10 50");
    // An override is what the share is of.
    let now = lab.wall();
    lab.c.set_weight(now, "far", "p", "c", Some(80), false).unwrap();
    lab.run(10);
    assert_eq!(both(&mut lab), "20 10 40");
}

#[test]
fn whose_share_it_is_changes_with_the_file() {
    let mut lab = Lab::new(SHARES);
    lab.says("10.1.0.1", "up 50%");
    lab.run(3000);
    assert_eq!(both(&mut lab), "20 10 50");
    // The middle one leaves the chain: the last one with it.
    lab.load(
        &SHARES.replace("b: {address: 10.1.0.2, agent-track: a}", "b: {address: 10.1.0.2, agent: {port: 1}}"),
    );
    lab.says("10.1.0.2", "up 10%");
    lab.run(3000);
    assert_eq!(both(&mut lab), "20 2 10");
    lab.load(SHARES);
    lab.run(10);
    assert_eq!(both(&mut lab), "20 10 50");
    // Another name for the one at the end, which keeps what it said.
    let renamed = SHARES.replace("a: {address", "z: {address").replace("agent-track: a", "agent-track: z");
    lab.load(&renamed.replace("backends: {a: ", "backends: {z: "));
    lab.run(10);
    assert_eq!(both(&mut lab), "20 10 50");
    assert_eq!(lab.state("z"), "up");
    let asked = |lab: &Lab| lab.queries.iter().filter(|q| q.address == ip("10.1.0.1")).count();
    let before = asked(&lab);
    lab.run(5000);
    assert!((4..=6).contains(&(asked(&lab) - before)), "asked by one, once a second");
    // Out of the file it cannot be while others take its share.
    let gone =
        SHARES.replace("    a: {address: 10.1.0.1, agent: {port: 5555, interval: 1s, timeout: 500ms}}\n", "");
    let error = crate::config::parse(&gone).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("unknown backend `a`"), "{error}");
    let circle =
        SHARES.replace("b: {address: 10.1.0.2, agent-track: a}", "b: {address: 10.1.0.2, agent-track: c}");
    let error = crate::config::parse(&circle).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("`agent-track` runs in a circle"), "{error}");
}
