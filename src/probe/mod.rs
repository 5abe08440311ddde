//! The probe engine (SPEC §4): one thread, thousands of probes in flight, absolute deadlines.

pub mod types;

pub use types::*;
/// stand-in
pub struct ProberOptions {
    pub cpus: Option<Vec<usize>>,
    pub thread_init: Option<crate::control::loader::Hook>,
    pub wake: Option<crate::control::loader::Hook>,
}
pub struct Prober;
impl Prober {
    pub fn spawn(_: ProberOptions) -> std::io::Result<Prober> {
        Ok(Prober)
    }
    pub fn send(&self, _: Order) {}
    pub fn try_recv(&self) -> Option<Told> {
        None
    }
    pub fn alive(&self) -> bool {
        true
    }
    pub fn stop(self, _: std::time::Duration) -> bool {
        true
    }
}
