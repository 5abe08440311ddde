//! What a reload keeps of the words of all hands, of who follows whom, and of climbs and panics.

use super::words::{HANDS, asked_within, says, set, settled, states};
use super::{Lab, Net};
use crate::control::BackendVerb;

const WEB: &str = "192.0.2.1";
const UP: &str = "a up, b up, d up, s up unchecked, t up, u up";

pub fn down(lab: &mut Lab, address: &str) {
    lab.net(address, Net::Refused);
    lab.run(5000);
    lab.log.clear();
}

fn transitions(lab: &mut Lab) -> Vec<String> {
    lab.take_log("backend-transition")
}

#[test]
fn a_track_that_comes_changes_and_goes() {
    let mut lab = settled(HANDS);
    down(&mut lab, "10.1.0.1");
    assert_eq!(states(&lab), "a down, b up, d up, s up unchecked, t down, u down");
    // Another is tracked, through two levels.
    lab.load(&HANDS.replace("track: a", "track: d"));
    assert_eq!(states(&lab), "a down, b up, d up, s up unchecked, t up, u up");
    assert_eq!(transitions(&mut lab).len(), 2);
    // One with checks of its own follows now, and its followers follow.
    lab.load(
        &HANDS
            .replace("10.1.0.3, healthcheck: tcp, agent", "10.1.0.3, track: a, agent")
            .replace("5, track: a", "5, track: d"),
    );
    assert_eq!(states(&lab), "a down, b up, d down, s up unchecked, t down, u down");
    assert_eq!(transitions(&mut lab).len(), 3);
    // Its agent is asked at once; nothing else is.
    lab.run(10);
    let n = lab.starts("10.1.0.3").len();
    lab.run(10_000);
    assert_eq!(lab.starts("10.1.0.3").len(), n, "it is not probed");
    // Back to its own checks: it goes on from what it was.
    lab.load(&HANDS.replace("5, track: a", "5, track: d"));
    assert_eq!(states(&lab), "a down, b up, d down, s up unchecked, t down, u down");
    lab.run(3000);
    assert_eq!(states(&lab), "a down, b up, d up, s up unchecked, t up, u up");
    // And one that nobody asks about any more is up.
    lab.load(&HANDS.replace("10.1.0.5, track: a", "10.1.0.5"));
    assert_eq!(states(&lab), "a down, b up, d up, s up unchecked, t up unchecked, u up unchecked");
}

#[test]
fn from_checks_to_track_and_back_keeps_the_state() {
    let mut lab = settled(HANDS);
    let follows = HANDS.replace("10.1.0.3, healthcheck: tcp", "10.1.0.3, track: a");
    for yaml in [&follows, HANDS, &follows, HANDS] {
        lab.load(yaml);
        assert_eq!(states(&lab), UP);
        lab.run(3000);
    }
    assert_eq!(transitions(&mut lab), Vec::<String>::new());
    down(&mut lab, "10.1.0.1");
    down(&mut lab, "10.1.0.3");
    for yaml in [&follows, HANDS, &follows, HANDS] {
        lab.load(yaml);
        assert_eq!((lab.state("a"), lab.state("d")), ("down".into(), "down".into()));
        lab.run(3000);
    }
    assert_eq!(transitions(&mut lab), Vec::<String>::new());
}

#[test]
fn the_tracked_one_gets_another_name() {
    let mut lab = settled(HANDS);
    down(&mut lab, "10.1.0.1");
    lab.load(
        &HANDS.replace("    a: {", "    z: {").replace("{a: {}", "{z: {}").replace("track: a", "track: z"),
    );
    assert_eq!(states(&lab), "b up, d up, s up unchecked, t down, u down, z down");
    assert_eq!(transitions(&mut lab), Vec::<String>::new());
    set(&mut lab, "z", BackendVerb::Drain);
    lab.net("10.1.0.1", Net::Good);
    lab.run(5000);
    assert_eq!(states(&lab), "b up, d up, s up unchecked, t drain via z, u drain via z, z drain");
}

#[test]
fn an_agents_words_stand_while_there_is_an_agent() {
    let mut lab = settled(HANDS);
    says(&mut lab, "d", "drain");
    assert!(!asked_within(&lab, "d", 50_000));
    // Another port: it is asked at once, and until then its words stand.
    lab.load(&HANDS.replace(
        "10.1.0.3, healthcheck: tcp, agent: {port: 99",
        "10.1.0.3, healthcheck: tcp, agent: {port: 98",
    ));
    assert_eq!(lab.state("d"), "drain by agent");
    assert!(asked_within(&lab, "d", 0));
    lab.load(&HANDS.replace(
        "10.1.0.3, healthcheck: tcp, agent: {port: 99, interval: 60s}",
        "10.1.0.3, healthcheck: tcp",
    ));
    assert_eq!(lab.state("d"), "up", "its words went with it");
    assert!(!asked_within(&lab, "d", 600_000));
    lab.load(HANDS);
    assert_eq!(lab.state("d"), "up", "and do not come back with it");
    assert!(asked_within(&lab, "d", 0));
    says(&mut lab, "d", "maint");
    assert_eq!(lab.state("d"), "disabled by agent");
    // A mute stays, and nobody is asked.
    set(&mut lab, "d", BackendVerb::AgentMute);
    lab.run(3000);
    lab.load(&HANDS.replace("port: 99", "port: 98"));
    assert_eq!(lab.state("d"), "up");
    assert!(!asked_within(&lab, "d", 600_000));
}

#[test]
fn whose_share_it_takes_may_change() {
    let base = HANDS.replace(
        "a: {address: 10.1.0.1, healthcheck: tcp}",
        "a: {address: 10.1.0.1, healthcheck: tcp, agent-track: d}",
    );
    let mut lab = settled(&base);
    says(&mut lab, "d", "40%");
    says(&mut lab, "b", "20%");
    let weight = |lab: &mut Lab| {
        lab.turn();
        lab.weights(WEB, 80).split(' ').next().unwrap().to_owned()
    };
    assert_eq!(weight(&mut lab), "10.1.0.1=40");
    lab.load(&base.replace("agent-track: d", "agent-track: b"));
    lab.run(10);
    assert_eq!(weight(&mut lab), "10.1.0.1=20");
    lab.load(HANDS);
    lab.run(10);
    assert_eq!(weight(&mut lab), "10.1.0.1=100");
}

#[test]
fn drain_stays_over_any_reload_and_does_not_pass_to_an_heir() {
    let mut lab = settled(HANDS);
    set(&mut lab, "a", BackendVerb::Drain);
    lab.load(&HANDS.replace("timeout: 500ms", "timeout: 400ms, rise: 4"));
    assert_eq!(states(&lab), "a drain, b up, d up, s up unchecked, t drain via a, u drain via a");
    lab.load(&HANDS.replace("10.1.0.1, healthcheck: tcp", "10.1.0.1"));
    assert_eq!(lab.state("a"), "drain");
    lab.load(HANDS);
    assert_eq!(lab.state("a"), "drain");
    lab.load(
        &HANDS.replace("    a: {", "    z: {").replace("{a: {}", "{z: {}").replace("track: a", "track: z"),
    );
    assert_eq!(
        states(&lab),
        "b up, d up, s up unchecked, t up, u up, z up",
        "its health passes on, its word does not"
    );
}

#[test]
fn a_climb_goes_on_over_a_reload() {
    let slow = HANDS.replace("      pools:", "      slow-start: 60s\n      pools:");
    let mut lab = settled(&slow);
    down(&mut lab, "10.1.0.1");
    lab.net("10.1.0.1", Net::Good);
    while lab.state("a").starts_with("down") {
        lab.run(10);
    }
    let weight = |lab: &mut Lab| lab.weights(WEB, 80).split(' ').next().unwrap().to_owned();
    assert_eq!(weight(&mut lab), "10.1.0.1=1");
    // Seven steps, ten seconds apart; each time another file.
    for (i, want) in ["2", "5", "10", "20", "50", "100"].into_iter().enumerate() {
        lab.run(4000);
        lab.load(&slow.replace("s: {}", &format!("s: {{weight: {i}}}")));
        lab.run(6010);
        assert_eq!(weight(&mut lab), format!("10.1.0.1={want}"));
    }
}

#[test]
fn a_panics_last_weights_stay_over_a_reload() {
    let yaml = HANDS.replace("      pools:", "      panic: {threshold: 60%, mode: keep-last}\n      pools:");
    let mut lab = settled(&yaml);
    let before = lab.weights(WEB, 80);
    down(&mut lab, "10.1.0.1");
    assert_eq!(lab.state("u"), "down");
    assert_eq!(lab.weights(WEB, 80), before, "three of six down: the last weights stay");
    lab.load(&yaml.replace("timeout: 500ms", "timeout: 400ms"));
    lab.run(5000);
    assert_eq!(lab.weights(WEB, 80), before);
    assert_eq!(lab.take_log("panic"), Vec::<String>::new(), "nor is it told anew");
    lab.load(&yaml.replace("60%", "10%"));
    lab.run(10);
    assert_ne!(lab.weights(WEB, 80), before, "no panic any more");
}

/// Two frontends of one backend each, with their VIPs and names.
fn pair(one: (&str, &str, u16), two: (&str, &str, u16)) -> String {
    let frontend = |(name, address, port): (&str, &str, u16)| {
        format!(
            "    {name}: {{address: {address}, protocol: tcp, port: {port}, pools: [{{name: p, backends: {{a: {{}}, d: {{}}}}}}]}}\n"
        )
    };
    let head = HANDS.split("  frontends:").next().unwrap();
    format!("{head}  frontends:\n{}{}", frontend(one), frontend(two))
}

#[test]
fn an_override_belongs_to_the_frontends_name_whatever_its_vip() {
    let first = pair(("web", WEB, 80), ("api", "192.0.2.2", 80));
    let mut lab = settled(&first);
    let now = lab.wall();
    lab.c.set_weight(now, "web", "p", "a", Some(7), false).unwrap();
    lab.c.set_weight(now, "api", "p", "a", Some(9), false).unwrap();
    for (yaml, web, api) in [
        // Another port, another address, the two exchanged, one in the other's place that moved on.
        (pair(("web", WEB, 81), ("api", "192.0.2.2", 80)), (WEB, 81), ("192.0.2.2", 80)),
        (pair(("web", "192.0.2.3", 81), ("api", "192.0.2.2", 80)), ("192.0.2.3", 81), ("192.0.2.2", 80)),
        (pair(("web", "192.0.2.2", 80), ("api", "192.0.2.3", 81)), ("192.0.2.2", 80), ("192.0.2.3", 81)),
        (pair(("web", "192.0.2.3", 81), ("api", WEB, 80)), ("192.0.2.3", 81), (WEB, 80)),
    ] {
        lab.load(&yaml);
        lab.run(3000);
        assert_eq!(lab.weights(web.0, web.1), "10.1.0.1=7 10.1.0.3=100");
        assert_eq!(lab.weights(api.0, api.1), "10.1.0.1=9 10.1.0.3=100");
    }
    // Another name at the VIP is another frontend; and the one that comes back has lost its word.
    lab.load(&pair(("other", "192.0.2.3", 81), ("api", WEB, 80)));
    lab.run(3000);
    assert_eq!(lab.weights("192.0.2.3", 81), "10.1.0.1=100 10.1.0.3=100");
    lab.load(&first);
    lab.run(3000);
    assert_eq!(lab.weights(WEB, 80), "10.1.0.1=100 10.1.0.3=100");
    assert_eq!(lab.weights("192.0.2.2", 80), "10.1.0.1=9 10.1.0.3=100");
}

#[test]
fn a_forced_health_does_not_pass_to_a_new_name_and_its_end_is_told() {
    let renamed = HANDS.replace("    b: {", "    z: {").replace("b: {}", "z: {}");
    // Over the same name it stands, whatever else is edited, and over a restart.
    let mut lab = settled(HANDS);
    set(&mut lab, "b", BackendVerb::HealthDown);
    lab.load(&HANDS.replace("port: 99", "port: 98"));
    lab.run(40_000);
    assert_eq!(lab.state("b"), "down");
    let mut lab = lab.reborn();
    lab.load(HANDS);
    lab.turn();
    lab.run(40_000);
    assert_eq!(lab.state("b"), "down");
    lab.log.clear();
    // Under a new one it ends: the agent is waited for, and no longer than ever.
    lab.load(&renamed);
    assert_eq!(lab.state("z"), "down");
    assert_eq!(
        transitions(&mut lab),
        [
            "backend-transition backend=z from=down to=down code=inherited detail=\"without the operator's words\""
        ]
    );
    assert!(!lab.c.backends.find("z").unwrap().1.health.checks().forced());
    lab.run(40_000);
    assert_eq!(lab.state("z"), "up agent silent");
}

#[test]
fn stopping_ends_where_nobody_is_left_to_end_it() {
    let mut lab = settled(HANDS);
    set(&mut lab, "b", BackendVerb::HealthStopping);
    assert_eq!(lab.state("b"), "stopping");
    set(&mut lab, "b", BackendVerb::AgentMute);
    assert_eq!(lab.state("b"), "up agent muted");
    let now = lab.wall();
    let refused = lab.c.set_backend(now, "b", BackendVerb::HealthStopping).unwrap_err().to_string();
    assert!(refused.contains("has its agent muted"), "{refused}");
    // The same where a reload takes the checks away that would have.
    set(&mut lab, "d", BackendVerb::AgentMute);
    set(&mut lab, "d", BackendVerb::HealthStopping);
    assert_eq!(lab.state("d"), "stopping");
    lab.load(&HANDS.replace("10.1.0.3, healthcheck: tcp, agent", "10.1.0.3, agent"));
    lab.turn();
    assert_eq!(lab.state("d"), "up agent muted");
}

#[test]
fn a_mute_is_one_step_whatever_the_agents_words_have_covered() {
    let mut lab = settled(HANDS);
    super::words::says(&mut lab, "b", "down");
    set(&mut lab, "b", BackendVerb::HealthStopping);
    assert_eq!(lab.state("b"), "down by agent");
    lab.log.clear();
    set(&mut lab, "b", BackendVerb::AgentMute);
    assert_eq!(lab.state("b"), "up agent muted");
    let once = "backend-transition backend=b from=down to=up code=agent detail=\"muted\"";
    assert_eq!(transitions(&mut lab), [once]);
}

#[test]
fn stopping_that_nobody_stands_for_is_waited_out_like_down() {
    // The operator's word stands for as long as the agent says nothing, over reload and restart, and is shown as the operator's.
    let mut lab = settled(HANDS);
    set(&mut lab, "b", BackendVerb::HealthStopping);
    assert_eq!(operator_says(&lab, "b"), "health stopping");
    lab.load(&HANDS.replace("port: 99", "port: 98"));
    lab.run(40_000);
    assert_eq!(lab.state("b"), "stopping");
    let mut lab = lab.reborn();
    lab.load(HANDS);
    lab.turn();
    lab.run(40_000);
    assert_eq!((lab.state("b"), operator_says(&lab, "b")), ("stopping".into(), "health stopping".into()));
    lab.log.clear();
    // A new name does not inherit it: the silent agent is waited for, no longer than at the start.
    lab.load(&HANDS.replace("    b: {", "    z: {").replace("b: {}", "z: {}"));
    assert_eq!((lab.state("z"), operator_says(&lab, "z")), ("stopping".into(), "no word".into()));
    assert_eq!(
        transitions(&mut lab),
        [
            "backend-transition backend=z from=stopping to=stopping code=inherited detail=\"without the operator's words\""
        ]
    );
    lab.run(40_000);
    assert_eq!(lab.state("z"), "up agent silent");
}

#[test]
fn stopping_by_checks_that_a_reload_took_away_is_waited_out() {
    let http = HANDS.replace(
        "tcp: {type: tcp, port: 80",
        "tcp: {type: http, params: {path: /, disable-on-404: true}, port: 80",
    );
    assert_ne!(http, HANDS);
    let mut lab = settled(&http);
    lab.net("10.1.0.3", Net::NotFound);
    lab.run(5000);
    assert_eq!(lab.state("d"), "stopping");
    let alone = http.replace("10.1.0.3, healthcheck: tcp, agent", "10.1.0.3, agent");
    lab.load(&alone);
    assert_eq!(lab.state("d"), "stopping");
    lab.run(40_000);
    assert_eq!(lab.state("d"), "up agent silent");
    // The same where another start has the other file.
    let mut lab = settled(&http);
    lab.net("10.1.0.3", Net::NotFound);
    lab.run(5000);
    let mut lab = lab.reborn();
    lab.load(&alone);
    lab.turn();
    assert_eq!(lab.state("d"), "stopping");
    lab.run(40_000);
    assert_eq!(lab.state("d"), "up agent silent");
}

#[test]
fn a_forced_health_is_shown_as_the_operators_word_until_a_check_has_spoken() {
    let mut lab = settled(HANDS);
    set(&mut lab, "a", BackendVerb::HealthDown);
    assert_eq!(operator_says(&lab, "a"), "health down");
    lab.run(1500);
    assert_eq!(operator_says(&lab, "a"), "no word", "{}", lab.state("a"));
}

/// What `show backend` says of the operator's words.
fn operator_says(lab: &Lab, name: &str) -> String {
    let view = lab.c.backend(name).unwrap();
    view.hands.iter().find(|h| h.hand == "operator").unwrap().says.clone()
}

/// The words that are told to have ended.
fn ended(lab: &mut Lab) -> Vec<String> {
    let lines = std::mem::take(&mut lab.log);
    lines.into_iter().filter_map(|(_, l)| l.strip_prefix("operator ends: ").map(str::to_owned)).collect()
}

#[test]
fn a_word_that_ends_with_a_reload_or_with_the_file_of_another_start_is_told() {
    let words = |lab: &mut Lab| {
        set(lab, "a", BackendVerb::Drain);
        set(lab, "b", BackendVerb::AgentMute);
        set(lab, "d", BackendVerb::Disable);
        let now = lab.wall();
        lab.c.set_weight(now, "web", "first", "a", Some(7), false).unwrap();
        lab.turn();
        lab.log.clear();
    };
    let drain = "set backend a drain";
    let weight = "set frontend web pool first backend a weight 7";
    let renamed =
        HANDS.replace("    a: {", "    z: {").replace("{a: {}", "{z: {}").replace("track: a", "track: z");
    let gone = "the backend is gone, or has another address";
    let rows: [(String, Vec<String>); 4] = [
        (HANDS.replace("port: 99", "port: 98"), vec![]),
        (
            renamed.clone(),
            vec![
                format!("{drain} (the backend's name is z now)"),
                format!("{weight} (the backend is gone from the pool)"),
            ],
        ),
        (
            HANDS.replace("a: {}", "a: {weight: 3}"),
            vec![format!("{weight} (the configured weight is another)")],
        ),
        (
            HANDS.replace("10.1.0.1", "10.1.0.77"),
            vec![format!("{drain} ({gone})"), format!("{weight} (the backend has another address)")],
        ),
    ];
    for (yaml, told) in rows {
        assert!(told.is_empty() || yaml != HANDS);
        let mut lab = settled(HANDS);
        words(&mut lab);
        lab.load(&yaml);
        let answer = lab.log.iter().find(|(_, l)| l.starts_with("config-reload")).unwrap().1.clone();
        let number = match told.len() {
            0 => "",
            1 => "; 1 word of the operator ended: see `show events`",
            _ => "; 2 words of the operator ended: see `show events`",
        };
        assert!(answer.ends_with(&format!("changed{number}")), "{answer}");
        assert_eq!(ended(&mut lab), told, "{yaml}");
    }
    // The file of another start.
    let mut lab = settled(HANDS);
    words(&mut lab);
    let mut lab = lab.reborn();
    lab.load(&renamed);
    let restored = lab.log.iter().find(|(_, l)| l.contains("state-file restored")).unwrap().1.clone();
    assert!(restored.ends_with(" words-ended=2"), "{restored}");
    let place = "its place is gone, or the configured weight is another";
    assert_eq!(ended(&mut lab), [format!("{drain} ({gone})"), format!("{weight} ({place})")]);
}
