use super::fake::Fake;
use super::tests::{bad, good, reply};

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
         \n\
         frontend    existing      first         untracked  no server\n\
         web         12345         678           9          0\n\
         \n\
         backend     frontend    buckets  flows    p50       p99\n\
         nginx0      web         512      17       1.15ms    3.58ms\n\
         spare       -           -        -        -         -\n\
         \n\
         nginx0  transitions 2  results L7OK 155, L7STS 3\n\
         spare  transitions 1  results -\n"
    );
    let mut op = Fake::new();
    op.counters = Default::default();
    op.counters.lb_error = Some("lb_plugin.so is not loaded".into());
    assert!(
        reply("show counters", &mut op).text.starts_with("lb                lb_plugin.so is not loaded\n")
    );
}
