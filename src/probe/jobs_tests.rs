use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::*;

const MS: fn(u64) -> Time = Time::from_millis;

fn check(yaml: &str) -> Arc<Healthcheck> {
    let yaml = format!("maglev: {{healthchecks: {{c: {{type: tcp, port: 80, {yaml}}}}}}}");
    crate::config::parse(&yaml).unwrap().config.healthchecks["c"].clone()
}

fn job(id: u64, check: &Arc<Healthcheck>, standing: bool) -> Job {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Job { id: ProbeId(id), address, task: Task::Check(check.clone()), due: Time::ZERO, standing }
}

fn id(jobs: &Jobs, key: Key) -> u64 {
    jobs.get(key).unwrap().0.id.0
}

/// Jobs that have passed one probe, which took from `started` to `finished`; those that go on with the moment of their next.
fn rested(each: &[(Job, Time, Time)]) -> (Jobs, Vec<(Key, Option<Time>)>) {
    let mut jobs = Jobs::new(1);
    let mut next = Vec::new();
    for (job, started, finished) in each {
        jobs.add(job.clone());
        let key = jobs.next_start(Lane::of(&job.task)).unwrap().key;
        next.push((key, jobs.rest(key, *started, *finished, None)));
    }
    (jobs, next)
}

/// The next to start: its number, its moment, and whether it was put off.
fn started(jobs: &mut Jobs) -> Option<(u64, Time, bool)> {
    let start = jobs.next_start(Lane::Checks)?;
    let (job, put_off) = jobs.get(start.key).unwrap();
    Some((job.id.0, job.due, put_off))
}

fn open() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

#[test]
fn jobs_start_in_order_and_once() {
    let check = check("interval: 1s");
    let mut jobs = Jobs::new(1);
    for number in [3, 1, 2, 1] {
        jobs.add(job(number, &check, false));
    }
    assert_eq!(jobs.waiting(Lane::Checks), 3);
    let order: Vec<u64> = std::iter::from_fn(|| started(&mut jobs)).map(|(id, ..)| id).collect();
    assert_eq!(order, [3, 1, 2]);
    assert_eq!(jobs.waiting(Lane::Checks), 0);
}

#[test]
fn a_key_names_one_job_and_never_the_next_in_its_place() {
    let check = check("interval: 1s");
    let mut jobs = Jobs::new(1);
    let mut seen = Vec::new();
    for number in 0..10 {
        jobs.add(job(number, &check, false));
        let key = jobs.next_start(Lane::Checks).unwrap().key;
        assert_eq!(id(&jobs, key), number);
        assert_eq!(jobs.slot(key), None, "not yet under way");
        jobs.flies(key, 7);
        assert_eq!(jobs.slot(key), Some(7));
        assert!(!seen.contains(&key));
        for old in &seen {
            assert!(jobs.get(*old).is_none() && jobs.slot(*old).is_none());
            jobs.flies(*old, 8);
            jobs.end(*old);
            assert_eq!(jobs.rest(*old, MS(0), MS(1), None), None);
        }
        assert_eq!(jobs.slot(key), Some(7));
        jobs.end(key);
        seen.push(key);
    }
    assert_eq!(jobs.places.len(), 1, "one after the other in one place");
}

#[test]
fn keys_leave_room_for_what_is_no_job() {
    let (mut jobs, check) = (Jobs::new(1), check("interval: 1s"));
    jobs.add(job(1, &check, false));
    jobs.places[0].generation = GENERATIONS - 1;
    let last = jobs.next_start(Lane::Checks).unwrap().key;
    assert!(last.0 < u64::from(GENERATIONS) << 32);
    jobs.end(last);
    jobs.add(job(2, &check, false));
    assert_eq!(jobs.next_start(Lane::Checks).unwrap().key, Key(0));
}

#[test]
fn the_next_is_due_from_start_to_start_but_not_before_this_one_is_done() {
    let check = check("interval: 1s, timeout: 3s, jitter: 0");
    let (mut jobs, next) =
        rested(&[(job(1, &check, true), MS(100), MS(101)), (job(2, &check, true), MS(100), MS(2900))]);
    assert_eq!(next.iter().map(|(_, at)| *at).collect::<Vec<_>>(), [Some(MS(1100)), Some(MS(2900))]);
    assert_eq!(jobs.next_due(), Some(MS(1100)));
    jobs.rouse(MS(1099));
    assert_eq!(started(&mut jobs), None);
    jobs.rouse(MS(1100));
    assert_eq!(jobs.waiting(Lane::Checks), 1);
    assert_eq!(started(&mut jobs), Some((1, MS(1100), false)));
    jobs.rouse(MS(3000));
    assert_eq!(started(&mut jobs), Some((2, MS(2900), false)));
    assert_eq!(jobs.next_due(), None);
}

#[test]
fn the_interval_is_jittered() {
    let check = check("interval: 1s, jitter: 10");
    let each: Vec<_> = (0..1000).map(|id| (job(id, &check, true), MS(0), MS(1))).collect();
    let dues: BTreeSet<Time> = rested(&each).1.into_iter().map(|(_, at)| at.unwrap()).collect();
    assert!(dues.first() >= Some(&MS(900)) && dues.last() <= Some(&MS(1100)), "{dues:?}");
    // 200 ms hold 47 or 48 points of a grid of 4.2 ms.
    assert!((47..=48).contains(&dues.len()), "{}", dues.len());
}

#[test]
fn who_is_asked_once_does_not_rest() {
    let agent = crate::config::parse("maglev: {backends: {a: {address: 10.0.0.1, agent: {port: 1}}}}");
    let agent = agent.unwrap().config.backends["a"].agent.clone().unwrap();
    let asked = Job { task: Task::Agent(agent), ..job(2, &check("interval: 1s"), true) };
    let (jobs, next) =
        rested(&[(job(1, &check("interval: 1s"), false), MS(0), MS(1)), (asked, MS(0), MS(1))]);
    assert!(next.iter().all(|(_, at)| at.is_none()));
    assert_eq!(jobs.next_due(), None);
}

#[test]
fn what_is_cancelled_never_starts_wherever_it_was() {
    let check = check("interval: 1s, jitter: 0");
    // Two moments: 0, 1 and 2 rest until one, 3 and 4 until the other.
    for gone in 0..32u64 {
        let each: Vec<_> = (0..5).map(|id| (job(id, &check, true), MS(id / 3), MS(2))).collect();
        let (mut jobs, _) = rested(&each);
        let is_gone = |id: u64| gone & 1 << id != 0;
        for id in (0..5).filter(|id| is_gone(*id)) {
            assert_eq!(jobs.cancel(ProbeId(id)), None);
            assert_eq!(jobs.cancel(ProbeId(id)), None, "twice");
        }
        jobs.rouse(MS(1500));
        let left: BTreeSet<u64> = std::iter::from_fn(|| started(&mut jobs)).map(|(id, ..)| id).collect();
        assert_eq!(left, (0..5).filter(|id| !is_gone(*id)).collect());
        assert_eq!(jobs.next_due(), None);
    }
    let mut jobs = Jobs::new(1);
    jobs.add(job(1, &check, true));
    jobs.add(job(2, &check, true));
    assert_eq!(jobs.cancel(ProbeId(1)), None);
    assert_eq!(jobs.waiting(Lane::Checks), 1);
    // Its place is not given away while its number is in the queue: the new job would start twice.
    jobs.add(job(3, &check, true));
    assert_eq!((started(&mut jobs).unwrap().0, started(&mut jobs).unwrap().0), (2, 3));
    assert_eq!(started(&mut jobs), None);
    jobs.add(job(4, &check, true));
    assert_eq!(jobs.places.len(), 3, "the place is free again");
    let key = jobs.next_start(Lane::Checks).unwrap().key;
    jobs.flies(key, 9);
    assert_eq!(jobs.cancel(ProbeId(4)), Some(9), "where it is under way");
    assert!(jobs.get(key).is_none());
}

#[test]
fn cancelled_jobs_do_not_fill_the_queue() {
    let check = check("interval: 1s");
    let mut jobs = Jobs::new(1);
    for id in 0..100_000 {
        jobs.add(job(id, &check, true));
        if id >= 10 {
            jobs.cancel(ProbeId(id));
        }
        assert!(jobs.queues.checks.len() <= 100 && jobs.places.len() <= 100);
    }
    let left: Vec<u64> = std::iter::from_fn(|| started(&mut jobs)).map(|(id, ..)| id).collect();
    assert_eq!(left, (0..10).collect::<Vec<_>>());
    assert!(jobs.by_id.len() == 10 && jobs.queues.checks.is_empty());
}

#[test]
fn after_a_stall_what_is_overdue_is_spread_over_its_fast_interval_once() {
    let check = check("interval: 1s, fast-interval: 500ms, jitter: 0");
    let each: Vec<_> = (0..100).map(|id| (job(id, &check, true), MS(0), MS(1))).collect();
    let (mut jobs, _) = rested(&each);
    // One second overdue is not too much.
    let key = {
        let mut jobs = rested(&each[..1]).0;
        jobs.rouse(MS(2000));
        assert_eq!(started(&mut jobs), Some((0, MS(1000), false)));
        jobs.next_due()
    };
    assert_eq!(key, None);
    let after = MS(2001);
    jobs.rouse(after);
    assert_eq!(jobs.waiting(Lane::Checks), 0);
    let dues: BTreeSet<Time> = jobs.moments.keys().copied().collect();
    assert!(dues.len() > 90, "spread");
    assert!(dues.iter().all(|at| *at >= after && *at <= after + Duration::from_millis(500)), "{dues:?}");
    // A second stall does not put them off again.
    jobs.rouse(MS(60_000));
    assert_eq!((jobs.waiting(Lane::Checks), jobs.next_due()), (100, None));
    let start = jobs.next_start(Lane::Checks).unwrap();
    assert!(jobs.get(start.key).unwrap().1);
    // The probe after that is one like any other.
    jobs.rest(start.key, MS(60_000), MS(60_001), None);
    assert!(!jobs.get(start.key).unwrap().1);
}

#[test]
fn what_is_overdue_and_has_no_time_to_be_spread_over_starts() {
    let check = check("interval: 1s, fast-interval: 10ms, jitter: 0");
    let (mut jobs, _) = rested(&[(job(1, &check, true), MS(0), MS(1))]);
    jobs.rouse(MS(5000));
    let at = jobs.next_due().unwrap();
    assert!(at >= MS(5000) && at <= MS(5010));
    jobs.rouse(at);
    assert_eq!(started(&mut jobs), Some((1, at, true)));
}

#[test]
fn a_kept_socket_goes_with_its_job_and_is_closed_with_it() {
    let check = check("interval: 1s, jitter: 0");
    let open_still = |fd: i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok();
    let keep = |jobs: &mut Jobs, id: u64| {
        jobs.add(job(id, &check, true));
        let start = jobs.next_start(Lane::Checks).unwrap();
        assert!(start.kept.is_none(), "the first probe makes its own");
        let fd = open();
        let number = std::os::fd::AsRawFd::as_raw_fd(&fd);
        jobs.rest(start.key, MS(0), MS(1), Some(Kept { fd, world: 5, request: Box::from(*b"x") })).unwrap();
        (start.key, number)
    };
    let mut jobs = Jobs::new(1);
    let (key, number) = keep(&mut jobs, 1);
    jobs.rouse(MS(1000));
    let start = jobs.next_start(Lane::Checks).unwrap();
    assert_eq!(start.key, key, "the same for as long as it lives");
    let kept = start.kept.unwrap();
    assert_eq!((std::os::fd::AsRawFd::as_raw_fd(&kept.fd), kept.world), (number, 5));
    assert_eq!(*kept.request, *b"x");
    assert!(jobs.places[0].kept.is_none());
    // Resting, and waiting.
    let (_, resting) = keep(&mut jobs, 2);
    assert!(open_still(resting));
    jobs.cancel(ProbeId(2));
    let (_, waiting) = keep(&mut jobs, 3);
    jobs.rouse(MS(1000));
    assert!(open_still(waiting));
    jobs.cancel(ProbeId(3));
    assert!(jobs.places.iter().all(|p| p.kept.is_none()));
}
