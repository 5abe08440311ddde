//! A backend's weight in a pool, before any state.

use crate::health::agent::AgentWeight;

/// The highest weight that `lb` takes.
pub const MAX: u8 = 100;

/// The operator's override, else the agent's `weight:N`, else the configured weight; times the agent's share. A share is
/// rounded half up and capped at 100, and a share above 0 of a weight above 0 is never 0.
pub fn weight(overridden: Option<u8>, agent: Option<AgentWeight>, configured: u8) -> u8 {
    let (in_place, percent) = match agent {
        Some(AgentWeight::Absolute(n)) => (Some(n), 100),
        Some(AgentWeight::Share(percent)) => (None, percent),
        None => (None, 100),
    };
    share(overridden.or(in_place).unwrap_or(configured).min(MAX), percent)
}

/// `percent` of `weight`, by the rule of [`weight`].
fn share(weight: u8, percent: u32) -> u8 {
    if weight == 0 || percent == 0 {
        return 0;
    }
    let rounded = (u64::from(weight) * u64::from(percent) + 50) / 100;
    u8::try_from(rounded).unwrap_or(MAX).clamp(1, MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_weight_counts() {
        use AgentWeight::{Absolute, Share};
        let rows = [
            // override, agent, configured → weight
            (None, None, 70, 70),
            (Some(30), None, 70, 30),
            (Some(0), None, 70, 0),
            (None, Some(Absolute(40)), 70, 40),
            (None, Some(Absolute(0)), 70, 0),
            (None, Some(Absolute(40)), 0, 40),
            (Some(30), Some(Absolute(40)), 70, 30),
            (None, Some(Share(50)), 70, 35),
            (Some(30), Some(Share(50)), 70, 15),
            (Some(0), Some(Share(50)), 70, 0),
            (None, Some(Share(0)), 70, 0),
            (None, Some(Share(100)), 70, 70),
            (None, Some(Share(150)), 50, 75),
            (None, Some(Share(300)), 50, 100),
            (None, Some(Share(u32::MAX)), 100, 100),
        ];
        for (overridden, agent, configured, want) in rows {
            assert_eq!(weight(overridden, agent, configured), want, "{overridden:?} {agent:?} {configured}");
        }
    }

    #[test]
    fn a_share_is_rounded_half_up_and_never_to_nothing() {
        for configured in 0..=100u8 {
            for percent in 0..=300u32 {
                let got = weight(None, Some(AgentWeight::Share(percent)), configured);
                let exact = f64::from(configured) * f64::from(percent) / 100.0;
                let want = if exact == 0.0 { 0.0 } else { (exact + 0.5).floor().clamp(1.0, 100.0) };
                assert_eq!(f64::from(got), want, "{percent}% of {configured}");
            }
        }
    }
}
