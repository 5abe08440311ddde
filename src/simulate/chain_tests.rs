//! Chains of `agent-track`: a share goes through all of them, and where it does not, that is seen.

use std::sync::Arc;

use super::super::draft;
use super::super::world::{START, Voice, World};
use super::*;
use crate::config::{Config, parse};
use crate::simulate::model::Model;

/// `b3` takes the share of `b2`, which tracks `b1` and takes its share, which takes that of `b0`.
fn chain() -> Config {
    let yaml = "
maglev:
  vpp: {lb: {ipv4-src-address: 10.0.0.1, startup-max-delay: 4s}}
  backends:
    b0: {address: 10.1.0.1, agent: {port: 99, interval: 1s}}
    b1: {address: 10.1.0.2, agent-track: b0}
    b2: {address: 10.1.0.3, agent-track: b1, track: b1}
    b3: {address: 10.1.0.4, agent-track: b2}
  frontends:
    f: {address: 192.0.2.1, pools: [{name: p, backends: {b1: {}, b2: {}, b3: {weight: 50}}}]}
";
    parse(yaml).unwrap().config
}

fn follow(model: &mut Model, world: &mut World, seconds: u64) {
    let until = world.now + std::time::Duration::from_secs(seconds);
    while world.now < until {
        world.now = world.next_moment().min(until);
        world.turn().unwrap();
        for (at, what) in std::mem::take(&mut world.happened) {
            model.replay(world, at, &what).unwrap();
        }
        assert_eq!(agree(model, world, true), Ok(()), "{:?}", world.now);
    }
}

fn weights(model: &Model) -> Vec<u8> {
    model.fronts.values().flat_map(|f| &f.due).map(|d| d.weight).collect()
}

#[test]
fn a_share_goes_through_the_whole_chain_and_a_link_that_is_missing_is_seen() {
    let config = Arc::new(chain());
    let (mut model, mut world) = (Model::default(), World::new(START, 1));
    let agent = draft::address(0);
    world.apply((*config).clone(), "chain.yaml");
    model.apply(&config, world.now);
    for (says, want) in [
        ("50%", vec![50, 50, 25]),
        ("up 7%", vec![7, 7, 4]),
        ("weight:3", vec![100, 100, 50]),
        ("drain 20%", vec![20, 20, 10]),
    ] {
        world.voices.insert(agent, Voice::Says(says.to_owned()));
        follow(&mut model, &mut world, 6);
        assert_eq!(weights(&model), want, "{says}");
    }
    // Silence changes nothing, mute forgets all.
    world.voices.insert(agent, Voice::Silent);
    follow(&mut model, &mut world, 6);
    assert_eq!(weights(&model), [20, 20, 10]);
    let mut broken = model.clone();
    let mind = broken.minds.get_mut("b1").unwrap();
    let mut config = (*mind.config).clone();
    config.agent_track = None;
    mind.config = Arc::new(config);
    // A verb that changes nothing: all is looked at again.
    broken.verb("b3", BackendVerb::Ready, world.now);
    assert_eq!(rule(agree(&broken, &world, false)), "shares");
    let now = world.wall();
    world.c.set_backend(now, "b0", BackendVerb::AgentMute).unwrap();
    world.drain();
    model.verb("b0", BackendVerb::AgentMute, now.mono);
    assert_eq!((agree(&model, &world, true), weights(&model)), (Ok(()), vec![100, 100, 50]));
}
