//! docs/behaviour.md, "Events and the log": lasting problems.

use super::Lab;
use super::lab::BASIC;
use crate::time::Now;

/// Kind and text of each open problem.
fn open(lab: &Lab) -> Vec<(String, String)> {
    let now = Now { mono: lab.now, wall_ms: 0 };
    lab.c.status(now).problems.into_iter().map(|p| (p.kind, p.text)).collect()
}

#[test]
fn a_problem_begins_once_changes_silently_and_ends_once() {
    let mut lab = Lab::new(BASIC);
    lab.turn();
    lab.log.clear();
    let at = |lab: &Lab, wall_ms| Now { mono: lab.now, wall_ms };
    let tell = |lab: &mut Lab, wall_ms, text: Option<&str>| {
        let now = at(lab, wall_ms);
        lab.c.problem(now, "test", text.map(str::to_owned));
        lab.run(10);
    };
    tell(&mut lab, 1000, None);
    assert_eq!((open(&lab), lab.take_log("problem")), (vec![], vec![]), "what never began does not end");
    tell(&mut lab, 2000, Some("1 \"left\""));
    tell(&mut lab, 3000, Some("2 left"));
    assert_eq!(lab.take_log("problem"), [r#"problem begins kind=test detail="1 \"left\"""#]);
    assert_eq!(open(&lab), [("test".into(), "2 left".into())]);
    let now = at(&lab, 9000);
    assert_eq!(lab.c.status(now).problems[0].since_ms, 2000, "it has lasted since it began");
    tell(&mut lab, 4000, None);
    assert_eq!(lab.take_log("problem"), [r#"problem ends kind=test detail="2 left""#]);
    assert_eq!(open(&lab), []);
}
