//! `maglev demo`: the control plane at work on a few local web servers.

mod flows;
mod stage;
mod web;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use maglev::control::BackendVerb;

use flows::Flows;
use stage::{Stage, Stop, ms, words_of};
use web::Web;

/// Longest wait for anything; each is over far sooner.
const PATIENCE: Duration = Duration::from_secs(5);

/// 0 all was seen, 1 something was not, 130 interrupted.
pub fn demo() -> ExitCode {
    match perform() {
        Ok(summary) => {
            let _ = writeln!(std::io::stdout(), "\ndemo PASS: {summary}");
            ExitCode::SUCCESS
        }
        Err(Stop::Interrupted) => {
            let _ = writeln!(std::io::stdout(), "\ndemo interrupted");
            ExitCode::from(130)
        }
        Err(Stop::Failed(why)) => {
            let _ = writeln!(std::io::stdout(), "\ndemo FAIL: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The play. Returns the summary.
fn perform() -> Result<String, Stop> {
    println(&format!("{}.", crate::shell::banner()));
    println("Five web servers on loopback; pool `primary` has web1, web2 and web3 (at half weight),");
    println("pool `backup` web4 and web5. 1,000 clients talk to the VIP 192.0.2.10:80.\n");
    let mut webs = Web::start_all(5).map_err(words_of("starting the web servers"))?;
    let mut stage = Stage::open(&webs)?;

    stage.headline("All servers are probed, and get their weights");
    let took = stage.wait("all five servers up", PATIENCE, |s| {
        let f = s.frontend();
        f.programmed && f.serving == 3 && s.backends_in("up") == 5
    })?;
    let start = ms(took);
    stage.show_weights();
    let mut flows = Flows::new(stage.vip());
    let before = stage.send(&mut flows);
    stage.expect(before.dropped == 0, "no flow is dropped")?;

    stage.headline("web2 is killed: connections to it are refused from now on");
    kill(&mut webs, 1);
    let bound = stage.refused_bound();
    let took = stage.wait("web2 has weight 0 in lb", PATIENCE, |s| s.weight_of("web2") == Some(0))?;
    stage.expect(took <= bound, &format!("within the promised {} ms", bound.as_millis()))?;
    let killed = ms(took);
    stage.show_weights();
    let after = stage.send(&mut flows);
    stage.expect(after.dropped == 0, "no flow is dropped")?;
    stage.expect(after.on("web2") == 0, "no flow is left on web2")?;
    stage.expect(after.moved == before.on("web2"), "only flows of web2 have moved")?;
    let moved = after.moved;

    stage.headline("web2 is revived: it gets its weight back");
    revive(&mut webs, 1)?;
    let took = stage.wait("web2 has its weight in lb", PATIENCE, |s| s.weight_of("web2") == Some(100))?;
    let revived = ms(took);
    let again = stage.send(&mut flows);
    stage.expect(again.moved == 0, "known flows stay where they are")?;
    let newcomers = stage.send(&mut Flows::newcomers(stage.vip()));
    stage.expect(newcomers.on("web2") > 0, "new flows go to web2, too")?;

    stage.headline("web1, web2 and web3 are killed: pool `backup` takes over");
    (0..3).for_each(|i| kill(&mut webs, i));
    let took = stage.wait("pool `backup` serves alone", PATIENCE, |s| {
        s.frontend().pool == "backup" && s.weights() == [Some(0), Some(0), Some(0), Some(100), Some(100)]
    })?;
    let failover = ms(took);
    stage.show_weights();
    let on_backup = stage.send(&mut flows);
    let there = on_backup.on("web4") + on_backup.on("web5");
    stage.expect(on_backup.dropped == 0 && there == flows.len(), "all flows are on web4 and web5")?;

    stage.headline("They are revived: pool `primary` takes over again");
    for i in 0..3 {
        revive(&mut webs, i)?;
    }
    let took = stage.wait("pool `primary` serves alone", PATIENCE, |s| {
        s.frontend().pool == "primary" && s.weights() == [Some(100), Some(100), Some(50), Some(0), Some(0)]
    })?;
    let back = ms(took);
    stage.show_weights();

    stage.headline("The operator takes web1 out of service, and back in");
    stage.command("set backend web1", BackendVerb::Disable)?;
    stage.wait("web1 has weight 0 in lb", PATIENCE, |s| s.weight_of("web1") == Some(0))?;
    stage.command("set backend web1", BackendVerb::Enable)?;
    stage.wait("web1 has its weight in lb", PATIENCE, |s| s.weight_of("web1") == Some(100))?;

    let total = stage.close()?;
    Ok(format!(
        "ready after {start}; killed server out after {killed} (promised {} ms), {moved} flows moved, no other; \
         back in after {revived}; failover after {failover}, back after {back}; {total} in all",
        bound.as_millis()
    ))
}

fn kill(webs: &mut [Web], i: usize) {
    if let Some(web) = webs.get_mut(i) {
        web.kill();
    }
}

fn revive(webs: &mut [Web], i: usize) -> Result<(), Stop> {
    match webs.get_mut(i) {
        Some(web) => web.revive().map_err(words_of("reviving a web server")),
        None => Ok(()),
    }
}

/// A closed standard output is no reason to stop.
fn println(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
