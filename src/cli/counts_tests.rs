use super::fake::{Fake, NOW};
use super::tests::{bad, good, reply};
use crate::control::view::ProblemView;

#[test]
fn show_events_numbers_its_lines_and_says_what_was_dropped() {
    assert_eq!(
        good("show events"),
        "41 events were dropped before these 3 kept\n\
         42  2027-01-15T07:59:50.042Z  backend-transition backend=nginx0 from=up to=down\n    \
         code=L7STS detail=\"HTTP 503\"\n\
         43  2027-01-15T07:59:50.043Z  lb-sync settings\n\
         44  2027-01-15T07:59:50.044Z  engine thawed\n"
    );
    assert!(good("show events last 1").ends_with("kept\n44  2027-01-15T07:59:50.044Z  engine thawed\n"));
    let json: serde_json::Value = serde_json::from_str(&good("show ev la 2 json")).unwrap();
    assert_eq!((json["dropped"].as_u64(), json["events"][0]["sequence"].as_u64()), (Some(41), Some(43)));
    let mut op = Fake::new();
    op.events = Default::default();
    assert_eq!(reply("show events", &mut op).text, "no events\n");
    for n in ["0", "1001", "-1", "x", "99999999999999999999"] {
        assert_eq!(
            bad(&format!("show events last {n}")),
            format!("error: `{n}` is not a number from 1 to 1000")
        );
    }
    assert_eq!(bad("show events 5"), "error: expected `last`, not `5`; usage: show events [last <n>] [json]");
    assert_eq!(bad("show events last"), "error: missing <n>; usage: show events [last <n>] [json]");
}

#[test]
fn show_counters_is_as_documented() {
    let text = good("show counters");
    assert_eq!(
        text,
        "syncs             event 4, interval 7\n\
         lb calls          14, failed 0, mean 35us, p50 1.15ms, p99 3.58ms, longest 83us\n\
         probes            158\n\
         results           L7OK 155, L7STS 3\n\
         late starts       1, at most 120ms\n\
         main stalls       0\n\
         agents            queries 61, replies 58, failures 2\n\
         \n\
         frontend    existing      first         untracked  no server\n\
         web         12345         678           9          0\n\
         \n\
         backend     frontend    buckets  flows    p50       p99\n\
         nginx0      web         512      17       1.15ms    3.58ms\n\
         spare       -           -        -        -         -\n\
         \n\
         nginx0  transitions 2  results L7OK 155, L7STS 3  agent queries 61, replies 58,\n    \
         failures 2\n\
         spare  transitions 1  results -\n"
    );
    let json: serde_json::Value = serde_json::from_str(&good("show counters json")).unwrap();
    let asked = serde_json::json!({"queries": 61, "replies": 58, "failures": 2});
    assert_eq!((&json["agents"], &json["backends"][0]["agent"]), (&asked, &asked));
    assert!(json["backends"][1]["agent"].is_null());
    let mut op = Fake::new();
    op.counters = Default::default();
    op.counters.lb_error = Some("lb_plugin.so is not loaded".into());
    assert!(
        reply("show counters", &mut op).text.starts_with("lb                lb_plugin.so is not loaded\n")
    );
}

#[test]
fn show_status_counts_the_queries_of_agents() {
    let agents =
        |text: &str| text.lines().filter(|l| l.starts_with("agents ")).map(String::from).collect::<Vec<_>>();
    assert_eq!(
        agents(&good("show status")),
        ["agents            queries 61, replies 58, failures 2, 1 in flight, 4 waiting"]
    );
    let json: serde_json::Value = serde_json::from_str(&good("show status json")).unwrap();
    assert_eq!(json["agents"]["failures"], 2);
    let mut op = Fake::new();
    op.status.agents = Default::default();
    assert_eq!(agents(&reply("show status", &mut op).text), [""; 0], "nobody was asked");
}

#[test]
fn a_frontend_in_panic_says_so_behind_the_columns_that_scripts_read() {
    let mut op = Fake::new();
    op.frontends[1].panic = Some("fail-open below 50%, IN FORCE: 1/4 up".into());
    op.frontends[1].in_panic = true;
    let text = reply("show frontends", &mut op).text;
    let rows: Vec<&str> = text.lines().collect();
    assert!(rows[1].starts_with("dns ") && rows[1].ends_with(" 3/4"), "{text}");
    assert_eq!(rows[2], "web        192.0.2.10        tcp    443   up     primary  3/4 [panic]");
    let json: serde_json::Value = serde_json::from_str(&reply("show frontends json", &mut op).text).unwrap();
    assert_eq!((&json[0]["in_panic"], &json[1]["in_panic"]), (&false.into(), &true.into()));
}

#[test]
fn show_status_begins_with_the_problems() {
    let mut op = Fake::new();
    op.status.problems = vec![ProblemView {
        kind: "stats-segment".into(),
        since_ms: NOW - 90_000,
        text: "members are not published".into(),
    }];
    let text = reply("show status", &mut op).text;
    assert!(
        text.starts_with("problem           stats-segment: members are not published (for 1m30s)\nstate "),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&reply("show status json", &mut op).text).unwrap();
    assert_eq!(json["problems"][0]["kind"], "stats-segment");
}
