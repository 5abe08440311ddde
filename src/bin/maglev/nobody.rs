//! An [`Operator`] with nothing to operate.

use std::net::IpAddr;

use maglev::control::view::{
    BackendView, CountersView, EventsView, FlowView, FrontendView, HealthcheckView, LbView, StatusView,
    VersionView,
};
use maglev::control::{BackendVerb, Done, Finished, NameKind, Operator, Ticket, VerbError};

pub struct Nobody;

fn no<T>() -> Result<T, VerbError> {
    Err(VerbError::Refused("nobody".into()))
}

impl Operator for Nobody {
    fn applying(&self) -> bool {
        false
    }
    fn finish_reload(&mut self) {}

    fn catch_up(&mut self) {}
    fn status(&self) -> StatusView {
        StatusView::default()
    }
    fn version(&self) -> VersionView {
        VersionView::default()
    }
    fn config_yaml(&self) -> Result<String, VerbError> {
        no()
    }
    fn frontends(&self) -> Vec<FrontendView> {
        Vec::new()
    }
    fn frontend(&mut self, _: &str) -> Result<FrontendView, VerbError> {
        no()
    }
    fn backends(&self) -> Vec<BackendView> {
        Vec::new()
    }
    fn backend(&self, _: &str) -> Result<BackendView, VerbError> {
        no()
    }
    fn healthchecks(&self) -> Vec<HealthcheckView> {
        Vec::new()
    }
    fn healthcheck(&self, _: &str) -> Result<HealthcheckView, VerbError> {
        no()
    }
    fn lb(&mut self, _: Option<&str>) -> Result<LbView, VerbError> {
        no()
    }
    fn events(&self, _: Option<usize>) -> EventsView {
        EventsView::default()
    }
    fn counters(&mut self) -> CountersView {
        CountersView::default()
    }
    fn flow(&mut self, _: &str, _: IpAddr, _: u16, _: Option<u16>) -> Result<FlowView, VerbError> {
        no()
    }
    fn set_backend(&mut self, _: &str, _: BackendVerb) -> Result<Done, VerbError> {
        no()
    }
    fn set_weight(&mut self, _: &str, _: &str, _: &str, _: Option<u8>, _: bool) -> Result<Done, VerbError> {
        no()
    }
    fn flush(&mut self, _: &str) -> Result<Done, VerbError> {
        no()
    }
    fn probe(&mut self, _: &str) -> Result<Ticket, VerbError> {
        no()
    }
    fn sync(&mut self, _: Option<&str>) -> Result<Ticket, VerbError> {
        no()
    }
    fn config_check(&mut self, _: Option<&str>) -> Result<Ticket, VerbError> {
        no()
    }
    fn config_reload(&mut self, _force: bool) -> Result<Ticket, VerbError> {
        no()
    }
    fn settled(&self) -> bool {
        true
    }
    fn take(&mut self, _: Ticket) -> Option<Finished> {
        None
    }
    fn names(&self, _: NameKind) -> Vec<String> {
        Vec::new()
    }
}
