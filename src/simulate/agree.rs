//! Whether the controller is of the model's mind.

use super::broken::{Broken, broken};
use super::front::Front;
use super::mind::Mind;
use super::model::{Model, Shown};
use super::world::World;
use crate::control::backends::Entry;
use crate::control::frontends::Entry as Frontend;

/// Compares all words, states and shares. `whole`: what is shown of them, too.
///
/// # Errors
/// The first difference.
pub fn agree(model: &Model, world: &World, whole: bool) -> Result<(), Broken> {
    let (backends, frontends) = (world.c.backends(), world.c.frontends());
    let (mut minds, mut shown) = (model.minds.iter(), model.shown.values());
    for name in backends.names() {
        let (Some((n, mind)), Some(shown)) = (minds.next(), shown.next()) else {
            return broken("configuration", format!("{name} is there, and should not be"));
        };
        let entry = backends.slot(name).and_then(|s| backends.get(s));
        let Some(entry) = entry.filter(|_| n == name) else {
            return broken("configuration", format!("{n} should be there, and {name} is"));
        };
        backend(mind, shown, entry)?;
        if whole {
            words(mind, shown, entry)?;
        }
    }
    if let Some((name, _)) = minds.next() {
        return broken("configuration", format!("{name} should be there, and is not"));
    }
    if frontends.len() != model.fronts.len() {
        let (is, not) = (frontends.len(), model.fronts.len());
        return broken("configuration", format!("there are {is} frontends, and not {not}"));
    }
    for f in frontends.values() {
        match model.fronts.get(&f.config.vip) {
            Some(front) => frontend(front, f, model)?,
            None => return broken("configuration", format!("{} should not be there", f.config.name)),
        }
    }
    Ok(())
}

fn backend(mind: &Mind, shown: &Shown, b: &Entry) -> Result<(), Broken> {
    let name = &b.config.name;
    let hand = b.health.operator();
    let is = (hand.disabled.map(|d| d.1), hand.paused.is_some(), hand.drain.is_some(), hand.muted.is_some());
    let not = (mind.disabled, mind.paused, mind.drain, mind.muted);
    if is != not {
        let what = format!("{name} has (disabled, paused, drain, muted) {is:?}, and was told {not:?}");
        return broken("the operator's word is changed by another hand, or lost", what);
    }
    let words = b.health.agent();
    let is = (words.health.map(|h| !h.is_up()), words.admin, words.weight);
    let not = (mind.words.down, mind.words.admin, mind.words.weight);
    if is != not {
        let rule = if mind.muted { "a muted agent has no effect" } else { "an agent's words stand" };
        return broken(rule, format!("{name} has (down, admin, weight) {is:?}, its agent said {not:?}"));
    }
    let state = b.state().as_str();
    if state == "down" && shown.vital == crate::health::Vital::Up {
        let what = format!("{name} is down, though its checks pass ({})", shown.verdict.shown);
        return broken("who drains or stops is never down while checks pass", what);
    }
    if state != shown.verdict.state {
        return broken("states", format!("{name} is {state}, and not {}", shown.verdict.state));
    }
    if mind.config.track.is_none() {
        let checks = b.health.checks();
        let is = (checks.vital(), checks.stopping());
        let not = (mind.found.vital, mind.found.stopping);
        if is != not {
            let what = format!("the checks of {name} found (vital, stopping) {is:?}, and not {not:?}");
            return broken("checks", what);
        }
        let (is, not) = (checks.counter().value(), mind.found.count);
        // Of one whose checks do not run it means nothing; of one that has none, neither.
        if mind.checked() && mind.config.healthcheck.is_some() && is != not {
            return broken("the counter", format!("that of {name} is {is}, and not {not}"));
        }
    }
    Ok(())
}

fn words(mind: &Mind, shown: &Shown, b: &Entry) -> Result<(), Broken> {
    let name = &b.config.name;
    let (is, not) = ((b.standing.display(), b.standing.by().to_string()), &shown.verdict);
    if (&is.0, &is.1) != (&not.shown, &not.by) {
        let what = format!("{name} is shown as {is:?}, and not {:?} by {:?}", not.shown, not.by);
        return broken("whose word it is", what);
    }
    if b.config != mind.config {
        return broken("configuration", format!("{name} is not as configured"));
    }
    Ok(())
}

fn frontend(front: &Front, f: &Frontend, model: &Model) -> Result<(), Broken> {
    let name = &f.config.name;
    if f.config != front.config && *f.config != *front.config {
        return broken("configuration", format!("{name} is not as configured"));
    }
    let seats = f.seats.iter().zip(&f.shares.members);
    if f.seats.len() != front.seats.len() || f.shares.members.len() != f.seats.len() {
        return broken("shares", format!("{name} has {} seats, not {}", f.seats.len(), front.seats.len()));
    }
    for ((seat, share), (want, due)) in seats.zip(front.seats.iter().zip(&front.due)) {
        let pool = front.config.pools.get(seat.pool);
        let configured = pool.and_then(|p| p.backends.get(&seat.name));
        if seat.name != want.name || seat.pool != want.pool || configured != Some(&seat.configured) {
            let what =
                format!("{} in {name} has {}, configured is {configured:?}", seat.name, seat.configured);
            return broken("the configured weight is never altered", what);
        }
        let any = !model.overrides.is_empty();
        let place =
            pool.filter(|_| any).map(|p| (front.config.name.clone(), p.name.clone(), seat.name.clone()));
        let over = place.and_then(|p| model.overrides.get(&p)).copied();
        if seat.overridden != over {
            let what = format!("{} in {name} has {:?}, told was {over:?}", seat.name, seat.overridden);
            return broken("the operator's weight is changed by another hand, or lost", what);
        }
        if share.weight > 100 {
            return broken("weights are 0 to 100", format!("{} in {name} has {}", seat.name, share.weight));
        }
        if share.weight > 0 && want.out {
            let what = format!("{} in {name} has {}, and is {}", seat.name, share.weight, want.state);
            return broken("who was taken out has no weight", what);
        }
        if (share.weight, share.flush) != (due.weight, due.flush) {
            let what = format!(
                "{} in {name} ({}) gets (weight, flush) {:?}, and not {:?}",
                seat.name,
                want.state,
                (share.weight, share.flush),
                (due.weight, due.flush)
            );
            return broken("shares", what);
        }
    }
    let is = (f.shares.active, f.shares.alarm.map(|a| (a.up, a.of)), f.state.as_str(), f.open);
    let not = (front.active, front.alarm, front.state(), front.open);
    if is != not {
        return broken("frontends", format!("{name} has (pool, panic, state, open) {is:?}, not {not:?}"));
    }
    Ok(())
}
