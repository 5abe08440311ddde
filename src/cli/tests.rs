use proptest::prelude::*;

use super::fake::{Fake, NOW};
use super::layout::{WIDTH, width};
use super::table::{Arg, Part, TABLE, usage};
use super::*;

/// The reply, after as many polls as it takes.
pub(super) fn reply(line: &str, op: &mut Fake) -> Reply {
    match execute_at(line, op, NOW) {
        Answer::Done(r) => r,
        Answer::Later(mut p) => (0..100).find_map(|_| p.poll(op)).expect("a ticket is answered"),
    }
}

pub(super) fn good(line: &str) -> String {
    let r = reply(line, &mut Fake::new());
    assert!(r.ok, "{line}: {}", r.text);
    r.text
}

pub(super) fn bad(line: &str) -> String {
    let r = reply(line, &mut Fake::new());
    assert!(!r.ok, "{line}: {}", r.text);
    assert!(r.text.starts_with("error: "), "{}", r.text);
    r.text.trim_end().to_owned()
}

fn told(line: &str) -> Vec<String> {
    let mut op = Fake::new();
    let r = reply(line, &mut op);
    assert!(r.ok, "{line}: {}", r.text);
    op.told
}

/// A good value for every kind of word.
fn example(a: Arg) -> &'static str {
    match a {
        Arg::Backend => "nginx0",
        Arg::Frontend => "web",
        Arg::Healthcheck => "http",
        Arg::Pool => "primary",
        Arg::Verb => "disable",
        Arg::VerbWord => "up",
        Arg::Weight => "50",
        Arg::Address => "198.51.100.7",
        Arg::Port => "1234",
        Arg::DestinationPort => "80",
        Arg::Count => "2",
        Arg::Path => "/etc/vpp/other.yaml",
    }
}

/// Every command, without and with its optional words, without and with `json`.
fn all_lines() -> Vec<(String, bool)> {
    let mut out = Vec::new();
    for row in TABLE {
        for full in [false, true] {
            let mut words: Vec<&str> = row.path.to_vec();
            for part in row.rest {
                match part {
                    Part::Key(k) => words.push(k),
                    Part::Arg(a) => words.push(example(*a)),
                    // The verb without a second word cannot have one.
                    Part::Opt([Part::Arg(Arg::VerbWord)]) if full => {
                        words.pop();
                        words.extend(["health", example(Arg::VerbWord)]);
                    }
                    Part::Opt(inner) if full => words.extend(inner.iter().map(|p| match p {
                        Part::Key(k) => *k,
                        Part::Arg(a) => example(*a),
                        Part::Opt(_) => panic!("no options within options"),
                    })),
                    Part::Opt(_) => {}
                }
            }
            out.push((words.join(" "), false));
            if row.json {
                out.push((format!("{} json", words.join(" ")), true));
            }
        }
    }
    out
}

#[test]
fn every_command_of_the_table_works() {
    for (line, is_json) in all_lines() {
        let text = good(&line);
        assert!(text.ends_with('\n') && !text.contains('\r'), "{line}");
        if is_json {
            serde_json::from_str::<serde_json::Value>(&text)
                .unwrap_or_else(|e| panic!("{line}: {e}: {text}"));
        }
    }
}

#[test]
fn no_path_begins_another_and_all_have_help() {
    for (i, a) in TABLE.iter().enumerate() {
        assert!(!a.help.is_empty() && a.help.len() <= 46 && !a.help.ends_with('.'), "{}", a.help);
        for (j, b) in TABLE.iter().enumerate() {
            assert!(i == j || !b.path.starts_with(a.path), "{:?} {:?}", a.path, b.path);
        }
        // `maglev` is taken off by its beginning.
        assert!(a.path.iter().take(2).all(|k| !k.starts_with('m')), "{:?}", a.path);
        let text = help(&a.path.join(" "));
        assert!(text.contains(a.help), "{text}");
        assert!(text.lines().all(|l| l.len() <= WIDTH), "{text}");
    }
    let names: Vec<_> = TABLE.iter().map(|r| r.path[0]).collect();
    let text = help("");
    assert!(names.iter().all(|n| text.contains(n)), "{text}");
    assert!(text.lines().all(|l| l.len() <= WIDTH), "{text}");
}

#[test]
fn paths_make_lines_for_execute() {
    let all = paths();
    for row in TABLE {
        let path: Vec<&str> = [&["maglev"], row.path].concat();
        assert_eq!(all.iter().filter(|(p, _)| *p == path).count(), 1, "{path:?}");
        if row.path[0] == "show" {
            let path: Vec<&str> = [&["show", "maglev"], &row.path[1..]].concat();
            assert_eq!(all.iter().filter(|(p, h)| *p == path && *h == usage(row)).count(), 1, "{path:?}");
        }
    }
    for (path, help) in all {
        assert!(!help.is_empty());
        let line = path.join(" ");
        let r = execute_at(&line, &mut Fake::new(), NOW);
        if let Answer::Done(r) = r {
            assert!(!r.text.contains("unknown command"), "{line}: {}", r.text);
        }
    }
}

#[test]
fn all_spellings_of_show() {
    let text = good("show frontends");
    for line in [
        "maglev show frontends",
        "show maglev frontends",
        "show frontend",
        "sho fr",
        "sh maglev fr",
        "  maglev\tshow   frontends  \r\n",
        "show frontends\r\0",
        "mag sh fr",
    ] {
        assert_eq!(good(line), text, "{line}");
    }
    assert_eq!(good("show frontend web"), good("show maglev frontends web"));
}

#[test]
fn show_frontends_is_as_documented() {
    let mut op = Fake::new();
    op.frontends.remove(0);
    assert_eq!(
        reply("show frontends", &mut op).text,
        "frontend   address           proto  port  state  pool     backends\n\
         web        192.0.2.10        tcp    443   up     primary  3/4\n"
    );
}

#[test]
fn an_all_port_frontend_shows_any() {
    let mut op = Fake::new();
    op.frontends.remove(0);
    op.frontends[0].protocol = None;
    op.frontends[0].port = None;
    assert!(reply("show frontends", &mut op).text.contains("192.0.2.10        any    any   up"));
}

#[test]
fn show_frontend_has_a_line_a_backend_for_scripts() {
    let text = good("show frontend web");
    let lines: Vec<&str> = text.lines().filter(|l| l.contains("weight")).collect();
    assert_eq!(
        lines,
        [
            "  nginx0  weight 100  effective 100  state up  buckets 500",
            "  nginx1  weight 100  effective 100  state up 3/4  buckets 500",
            "  weight  weight 100  effective 0  state disabled  buckets 0  [disabled]",
            "  spare  weight 100  effective 0  state up unchecked  buckets 0",
        ]
    );
    assert!(text.contains("pool primary (active)\n") && text.contains("pool backup\n"), "{text}");
}

#[test]
fn script_lines_stay_one_line_for_names_up_to_16() {
    let mut op = Fake::extreme();
    let name = op.frontends[0].name.clone();
    let mut seen = 0;
    for m in &mut op.frontends[0].pools[0].backends {
        m.disabled = m.state == "disabled";
    }
    let members = op.frontends[0].pools[0].backends.clone();
    let text = reply(&format!("show frontend {name}"), &mut op).text;
    for m in members.iter().filter(|m| m.name.len() <= 16 && m.state.len() <= 12) {
        let line = format!("\n  {}  weight 100  effective 100  state {}  buckets 65536", m.name, m.state);
        assert!(text.contains(&line), "{line}");
        seen += 1;
    }
    assert_eq!(seen, 48);
}

#[test]
fn buckets_unknown_are_a_dash() {
    let mut op = Fake::new();
    op.frontends[1].pools[0].backends[0].buckets = None;
    assert!(reply("show frontend web", &mut op).text.contains("state up  buckets -\n"));
}

#[test]
fn every_show_fits_80_columns_with_any_data() {
    for mut op in [Fake::new(), Fake::extreme()] {
        let (f, b, h) =
            (op.frontends[0].name.clone(), op.backends[0].name.clone(), op.healthchecks[0].name.clone());
        for line in [
            "show status".to_owned(),
            "show version".into(),
            "show frontends".into(),
            format!("show frontend {f}"),
            "show backends".into(),
            format!("show backend {b}"),
            "show healthchecks".into(),
            format!("show healthcheck {h}"),
            "show lb".into(),
            "show events".into(),
            "show events last 3".into(),
            "show counters".into(),
            format!("show lb frontend {f}"),
            format!("show flow {f} 2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff 65535"),
        ] {
            let r = reply(&line, &mut op);
            assert!(r.ok, "{line}: {}", r.text);
            for l in r.text.lines() {
                assert!(width(l) <= WIDTH, "{line}: {} columns: {l}", width(l));
                assert!(!l.contains(|c: char| c.is_control()), "{line}: {l:?}");
                assert_eq!(l.trim_end(), l, "{line}");
            }
            let json = reply(&format!("{line} json"), &mut op);
            assert!(json.ok);
            assert_eq!(json.text.lines().count(), 1, "{line}");
            serde_json::from_str::<serde_json::Value>(&json.text).unwrap();
        }
    }
}

#[test]
fn an_empty_system_shows_headings() {
    let mut op = Fake::new();
    op.frontends.clear();
    op.backends.clear();
    op.healthchecks.clear();
    op.lb.vips.clear();
    op.status = Default::default();
    for line in ["show frontends", "show backends", "show healthchecks"] {
        assert_eq!(reply(line, &mut op).text.lines().count(), 1, "{line}");
        assert_eq!(reply(&format!("{line} json"), &mut op).text, "[]\n");
    }
    assert!(reply("show status", &mut op).text.contains("prober            not running\n"));
    assert!(reply("show lb", &mut op).ok);
}

#[test]
fn names_are_matched_by_position() {
    // One backend of the fake is called `weight`.
    assert_eq!(told("set backend weight enable"), ["backend `weight` enabled"]);
    assert_eq!(
        told("set frontend web pool primary backend weight weight 5 flush"),
        ["web primary weight Some(5) true"]
    );
    let mut op = Fake::new();
    for name in ["flush", "frontend", "enable", "default", "pool", "j", "help"] {
        op.backends[0].name = name.into();
        op.frontends[1].name = name.into();
        for line in [
            format!("show backend {name}"),
            format!("show frontends {name} json"),
            format!("set backend {name} disable"),
            format!("set frontend {name} pool {name} backend {name} weight default"),
            format!("show lb frontend {name} js"),
            format!("flush frontend {name}"),
        ] {
            let r = reply(&line, &mut op);
            assert!(r.ok, "{line}: {}", r.text);
        }
    }
}

#[test]
fn weights_and_verbs() {
    assert_eq!(
        told("set frontend web pool primary backend nginx0 weight 0"),
        ["web primary nginx0 Some(0) false"]
    );
    assert_eq!(told("set fr web po primary ba nginx0 we 100 fl"), ["web primary nginx0 Some(100) true"]);
    assert_eq!(
        told("set frontend web pool primary backend nginx0 weight def"),
        ["web primary nginx0 None false"]
    );
    assert_eq!(told("show flow web 192.0.2.1 80"), ["flow to None"]);
    assert_eq!(told("show flow web 192.0.2.1 80 443"), ["flow to Some(443)"]);
    assert_eq!(told("show flow web 192.0.2.1 80 443 j"), ["flow to Some(443)"]);
    assert_eq!(told("show flow web 192.0.2.1 80 j"), ["flow to None"]);
    for (verb, past) in [("enable", "enabled"), ("di", "disabled"), ("pause", "paused"), ("res", "resumed")] {
        assert_eq!(told(&format!("set backend nginx0 {verb}")), [format!("backend `nginx0` {past}")]);
    }
}

#[test]
fn every_verb_in_full_and_shortened() {
    use crate::control::BackendVerb;
    assert_eq!(BackendVerb::ALL.len(), 11);
    for verb in BackendVerb::ALL {
        let want = [format!("backend `nginx0` {}d", verb.as_str())];
        assert_eq!(told(&format!("set backend nginx0 {}", verb.as_str())), want);
    }
    for (short, full) in [
        ("dr", "drain"),
        ("rea", "ready"),
        ("h u", "health up"),
        ("he d", "health down"),
        ("health st", "health stopping"),
        ("a m", "agent mute"),
        ("ag un", "agent unmute"),
    ] {
        assert_eq!(told(&format!("set backend nginx0 {short}")), [format!("backend `nginx0` {full}d")]);
    }
}

#[test]
fn errors_say_what_was_meant() {
    for (line, text) in [
        ("shwo", "error: unknown command `shwo` (nearest: show)"),
        ("show frotends", "error: unknown command `show frotends` (nearest: frontends)"),
        ("xyzzy", "error: unknown command `xyzzy` (there are: show, set, probe, flush, sync, config, help)"),
        ("s status", "error: ambiguous word `s` (show, set, sync)"),
        (
            "show",
            "error: incomplete command `show` (one of: status, version, config, frontends, backends, healthchecks, events, counters, lb, flow)",
        ),
        ("config re x", "error: expected `force`, not `x`; usage: config reload [force]"),
        ("show backend nginx9", "error: unknown backend `nginx9` (nearest: nginx0, nginx1, weight)"),
        ("show status jason", "error: too many words, from `jason` on; usage: show status [json]"),
        ("show status json json", "error: too many words, from `json` on; usage: show status [json]"),
        (
            "set backend",
            "error: missing <backend>; usage: set backend <backend> enable|disable|pause|resume|drain|ready|health|agent [up|down|stopping|mute|unmute]",
        ),
        (
            "set backend nginx0",
            "error: missing a verb; usage: set backend <backend> enable|disable|pause|resume|drain|ready|health|agent [up|down|stopping|mute|unmute]",
        ),
        (
            "set backend nginx0 drian",
            "error: unknown verb `drian` (one of: enable, disable, pause, resume, drain, ready, health, agent)",
        ),
        ("set backend nginx0 d", "error: ambiguous word `d` (disable, drain)"),
        ("set backend nginx0 re", "error: ambiguous word `re` (resume, ready)"),
        ("set backend nginx0 health", "error: missing a word behind `health` (one of: up, down, stopping)"),
        ("set backend nginx0 agent up", "error: unknown word `up` behind `agent` (one of: mute, unmute)"),
        ("set backend nginx0 drain up", "error: too many words, from `up` on: `drain` stands alone"),
        (
            "show flow web",
            "error: missing <source-address>; usage: show flow <frontend> <source-address> <source-port> [<destination-port>] [json]",
        ),
        ("show flow web 1.2.3 80", "error: `1.2.3` is not an IP address"),
        ("show flow web 192.0.2.1 65536", "error: source port `65536` is not a number from 0 to 65535"),
        ("show flow web 192.0.2.1 1 x", "error: destination port `x` is not a number from 0 to 65535"),
        ("show lb frontend", "error: missing <frontend>; usage: show lb [frontend <frontend>] [json]"),
        ("show lb web", "error: expected `frontend`, not `web`; usage: show lb [frontend <frontend>] [json]"),
        ("sync x", "error: expected `frontend`, not `x`; usage: sync [frontend <frontend>]"),
        ("probe backend", "error: missing <backend>; usage: probe backend <backend>"),
        ("show version\u{e9}", "error: column 13 is `\\u{e9}`, which is not printable ASCII"),
        ("show\u{1b}[A", "error: column 5 is `\\u{1b}`, which is not printable ASCII"),
    ] {
        assert_eq!(bad(line), text, "{line}");
    }
    for weight in ["101", "-1", "+5", "1.5", "256", "4294967296", "x", "50%"] {
        assert_eq!(
            bad(&format!("set frontend web pool primary backend nginx0 weight {weight}")),
            format!("error: weight `{weight}` is not a number from 0 to 100, nor `default`")
        );
    }
    assert_eq!(bad(&"x".repeat(4097)), "error: the line is 4097 bytes long, the limit is 4096");
    assert!(bad(&"x".repeat(4096)).len() < 300, "a long word is not quoted in full");
}

#[test]
fn nothing_is_asked_or_done_while_a_configuration_is_applied() {
    let mut op = Fake::new();
    for (line, answer) in [("show version", "maglev "), ("probe backend nginx0", "nginx0: pass")] {
        op.applying.set(3);
        let told = op.told.len();
        let Answer::Later(mut p) = execute_at(line, &mut op, NOW) else { panic!("{line} waits") };
        assert!(p.waits_to_begin());
        assert_eq!((p.poll(&mut op), p.poll(&mut op), op.told.len()), (None, None, told), "{line}");
        assert!(p.meanwhile(&op).text.starts_with("error: a configuration is being applied"));
        assert!(p.given_up(&op).text.ends_with("nothing was done\n"));
        let reply = (0..100).find_map(|_| p.poll(&mut op)).expect("it is carried out");
        assert!(reply.ok && reply.text.starts_with(answer), "{reply:?}");
    }
    for line in ["help", "?", &"x".repeat(4097)] {
        op.applying.set(3);
        assert!(matches!(execute_at(line, &mut op, NOW), Answer::Done(_)), "{line}: nobody is asked");
    }
}

#[test]
fn a_verb_that_lb_has_not_followed_says_so() {
    let mut op = Fake::new();
    op.unsettled = true;
    op.lacking =
        vec!["vip=192.0.2.1:80/tcp server=10.0.0.1 has weight 100 instead of 0, for 59 s".to_owned()];
    let Answer::Later(mut p) = execute_at("set backend nginx0 disable", &mut op, NOW) else {
        panic!("it waits")
    };
    assert_eq!(p.poll(&mut op), None);
    let lack = "not yet in lb: vip=192.0.2.1:80/tcp server=10.0.0.1 has weight 100 instead of 0, for 59 s\n";
    assert_eq!((p.meanwhile(&op).ok, p.meanwhile(&op).text), (true, format!("{}{lack}", p.begun().text)));
    let last = p.given_up(&op);
    assert!(!last.ok && last.text.starts_with("error: ") && last.text.ends_with(lack), "{}", last.text);
    assert!(last.text.contains("but lb does not have all of it yet; it goes on\n"), "{}", last.text);
}

#[test]
fn answers_that_take_a_while() {
    let mut op = Fake::new();
    op.delay = 3;
    let Answer::Later(mut p) = execute_at("probe backend nginx0", &mut op, NOW) else {
        panic!("a probe takes a while")
    };
    assert_eq!(p.poll(&mut op), None);
    assert!(p.given_up(&op).text.starts_with("error: the probe has not answered in time"));
    assert_eq!(reply("probe backend nginx0", &mut op).text, "nginx0: pass, L7OK HTTP 200, 1.20ms\n");
    assert_eq!(reply("sync frontend web", &mut op).text, "2 frontends compared, 1 change made\n");
    assert_eq!(
        reply("config check", &mut op).text,
        "valid: /etc/vpp/maglev.yaml\n2 backends added, 1 removed, 0 changed\n\
         warning: /etc/vpp/maglev.yaml:9:1: key `metrics` has no meaning here\n"
    );
    for (line, forced) in [("config reload", false), ("config reload force", true), ("conf rel f", true)] {
        assert!(reply(line, &mut op).text.starts_with("reloaded: /etc/vpp/maglev.yaml\n"));
        assert_eq!(op.forced, forced, "{line}");
    }
}

#[test]
fn failures_of_what_takes_a_while_are_errors() {
    let mut op = Fake::new();
    op.config_ok = false;
    op.sync_failures = vec!["web: lb: no such entry".into()];
    let r = reply("config reload", &mut op);
    assert!(!r.ok);
    assert!(
        r.text.starts_with(
            "error: /etc/vpp/maglev.yaml: 1 error; the running configuration is unchanged\n\
             /etc/vpp/maglev.yaml:3:5: unknown key `intervall`\n"
        ),
        "{}",
        r.text
    );
    let r = reply("config check x.yaml", &mut op);
    assert!(!r.ok && r.text.starts_with("error: x.yaml: 1 error\nx.yaml:3:5: "), "{}", r.text);
    let r = reply("sync", &mut op);
    assert!(
        !r.ok && r.text.starts_with("error: 2 frontends compared, 1 change made, 1 failure\nweb: "),
        "{}",
        r.text
    );
    let r = reply("show config", &mut op);
    assert_eq!(r.text, "error: no configuration is loaded\n");
    assert!(!reply("show config json", &mut op).ok);
}

#[test]
fn show_config_is_yaml_and_json() {
    assert!(good("show config").starts_with("maglev:\n"));
    let v: serde_json::Value = serde_json::from_str(&good("show config json")).unwrap();
    assert_eq!(v["maglev"]["frontends"]["web"]["port"], 443);
}

#[test]
fn help_is_reached_every_way() {
    let all = help("");
    for line in ["", "help", "?", "maglev ?", "maglev", "h", "maglev help", "help ?"] {
        assert_eq!(good(line), all, "{line}");
    }
    let one = help("set backend");
    assert!(one.contains("enable|disable|pause|resume|drain|ready|health|agent"), "{one}");
    for verb in crate::control::BackendVerb::ALL {
        let line = format!("        {}: ", verb.as_str());
        assert!(one.lines().any(|l| l.starts_with(&line) && l.len() > line.len()), "{one}");
    }
    for line in ["help set backend", "set backend ?", "set b?", "? set backend", "help set back"] {
        assert_eq!(good(line), one, "{line}");
    }
    let shows = good("show ?");
    assert!(shows.contains("show status [json]") && !shows.contains("probe backend"), "{shows}");
    assert!(good("s?").contains("sync"));
    assert!(bad("help shwo").contains("unknown command `shwo`"));
}

#[test]
fn completion_offers_keywords_and_names() {
    let op = Fake::new();
    for (line, want) in [
        ("", vec!["config", "flush", "help", "maglev", "probe", "set", "show", "sync"]),
        ("sh", vec!["show"]),
        ("maglev s", vec!["set", "show", "sync"]),
        ("show ma", vec!["maglev"]),
        ("show maglev st", vec!["status"]),
        ("show f", vec!["flow", "frontends"]),
        ("show frontends ", vec!["dns", "json", "web"]),
        ("show frontends web ", vec!["json"]),
        ("show frontends web json ", vec![]),
        ("show status ", vec!["json"]),
        ("show lb ", vec!["frontend", "json"]),
        ("show lb frontend ", vec!["dns", "web"]),
        ("set backend n", vec!["nginx0", "nginx1"]),
        (
            "set backend nginx0 ",
            vec!["agent", "disable", "drain", "enable", "health", "pause", "ready", "resume"],
        ),
        ("set backend nginx0 h", vec!["health"]),
        ("set backend nginx0 health ", vec!["down", "stopping", "up"]),
        ("set backend nginx0 ag m", vec!["mute"]),
        ("set backend nginx0 agent ", vec!["mute", "unmute"]),
        ("set backend nginx0 drain ", vec![]),
        ("show flow web ::1 80 ", vec!["json"]),
        ("set frontend web ", vec!["pool"]),
        ("set frontend web pool ", vec!["backup", "primary"]),
        ("set frontend web pool backup backend ", vec!["spare"]),
        ("set frontend web pool backup backend spare weight ", vec!["default"]),
        ("set frontend web pool backup backend spare weight 5 ", vec!["flush"]),
        ("help co", vec!["config"]),
        ("help config ", vec!["check", "reload"]),
        ("shwo ", vec![]),
        ("show frontends\u{e9}", vec![]),
    ] {
        assert_eq!(complete(line, &op), want, "{line:?}");
    }
}

fn word() -> impl Strategy<Value = String> {
    let keys: Vec<String> = TABLE
        .iter()
        .flat_map(|r| r.path.iter().map(|k| (*k).to_owned()))
        .chain(
            [
                "json", "maglev", "?", "web", "nginx0", "primary", "pool", "backend", "weight", "101", "5",
                "default",
            ]
            .map(String::from),
        )
        .chain(["1.2.3.4", "::1", "80", "http", "flush", "frontend", "enable"].map(String::from))
        .collect();
    prop_oneof![
        6 => (proptest::sample::select(keys), 0..12usize).prop_map(|(k, n)| {
            let short: String = k.chars().take(n).collect();
            if short.is_empty() { k } else { short }
        }),
        1 => "[!-~]{1,80}",
    ]
}

proptest! {
    #[test]
    fn any_line_ends_with_a_reply(line in prop_oneof![
        "\\PC{0,200}",
        any::<Vec<u8>>().prop_map(|b| String::from_utf8_lossy(&b).into_owned()),
        proptest::collection::vec(word(), 0..12).prop_map(|w| w.join(" ")),
        "x{4000,5000}",
    ], extreme: bool, ok: bool) {
        let mut op = if extreme { Fake::extreme() } else { Fake::new() };
        op.config_ok = ok;
        let r = reply(&line, &mut op);
        prop_assert_eq!(r.ok, !r.text.starts_with("error: "));
        prop_assert!(r.text.ends_with('\n'));
        prop_assert!(!r.text.contains('\x1b'));
        let typed = complete(&line, &op);
        prop_assert!(typed.windows(2).all(|w| w[0] < w[1]));
        prop_assert!(!help(&line).is_empty());
    }

    #[test]
    fn what_completion_offers_is_not_unknown(words in proptest::collection::vec(word(), 0..5)) {
        let mut op = Fake::new();
        let line = words.iter().map(|w| format!("{w} ")).collect::<String>();
        for c in complete(&line, &op) {
            let r = reply(&format!("{line}{c}"), &mut op);
            prop_assert!(!r.text.contains("unknown command"), "{line}{c}: {}", r.text);
        }
    }
}

#[test]
fn a_verb_whose_consequences_lb_refused_says_so() {
    let mut op = Fake::new();
    op.status.lb.failing = vec!["web".into()];
    let r = reply("set backend nginx0 disable", &mut op);
    assert!(r.ok, "the verb itself was taken: {}", r.text);
    assert!(r.text.ends_with("warning: lb refused calls for web, which will be tried again\n"), "{}", r.text);
}
