//! The counter between `rise` and `fall`, as HAProxy has it: one integer in `[0, rise + fall - 1]`.

use crate::config::CounterKind;

/// Up iff `value >= rise`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    value: u32,
    rise: u32,
    fall: u32,
    kind: CounterKind,
}

impl Counter {
    /// One pass short of up. `rise` and `fall` below 1 count as 1.
    pub fn new(rise: u32, fall: u32, kind: CounterKind) -> Counter {
        let mut c = Counter { value: 0, rise: rise.max(1), fall: fall.max(1), kind };
        c.reset();
        c
    }

    /// With any value, for table tests.
    #[cfg(test)]
    pub fn at(value: u32, rise: u32, fall: u32, kind: CounterKind) -> Counter {
        Counter { value, rise, fall, kind }
    }

    /// The number itself.
    pub fn value(&self) -> u32 {
        self.value
    }

    /// The highest it goes: `rise + fall - 1`.
    pub fn max(&self) -> u32 {
        self.rise.saturating_add(self.fall).saturating_sub(1)
    }

    /// Passes from 0 to up.
    pub fn rise(&self) -> u32 {
        self.rise
    }

    /// Failures from the maximum to down.
    pub fn fall(&self) -> u32 {
        self.fall
    }

    /// How it moves at the boundary.
    pub fn kind(&self) -> CounterKind {
        self.kind
    }

    /// Whether a backend with this counter is up.
    pub fn is_up(&self) -> bool {
        self.value >= self.rise
    }

    /// One pass short of up: where a backend of unknown state begins.
    pub fn reset(&mut self) {
        self.value = self.rise - 1;
    }

    /// As far from up as can be.
    pub fn to_zero(&mut self) {
        self.value = 0;
    }

    /// As far from down as can be.
    pub fn to_max(&mut self) {
        self.value = self.max();
    }

    /// One up; with [`CounterKind::Haproxy`] crossing into up goes on to the maximum, so that a flapping backend
    /// cannot bounce at the boundary.
    pub fn pass(&mut self) {
        let was_up = self.is_up();
        self.value = self.value.saturating_add(1).min(self.max());
        if self.kind == CounterKind::Haproxy && !was_up && self.is_up() {
            self.to_max();
        }
    }

    /// One down; with [`CounterKind::Haproxy`] crossing into down goes on to 0.
    pub fn fail(&mut self) {
        let was_up = self.is_up();
        self.value = self.value.saturating_sub(1);
        if self.kind == CounterKind::Haproxy && was_up && !self.is_up() {
            self.to_zero();
        }
    }

    /// New limits for a backend that stays: up goes to the new maximum, down to 0.
    pub fn relimit(&mut self, rise: u32, fall: u32, kind: CounterKind, up: bool) {
        *self = Counter::new(rise, fall, kind);
        if up { self.to_max() } else { self.to_zero() }
    }
}
