//! A control plane of two names that remembers nothing.

use std::net::IpAddr;

use maglev::control::view::{
    BackendView, ConfigView, CountersView, EventsView, FlowView, FrontendView, HealthcheckView, LbView,
    StatusView, VersionView,
};
use maglev::control::{BackendVerb, Done, Finished, NameKind, Operator, Ticket, VerbError};
use maglev::nearest::nearest;

/// What there is, of each kind.
const NAMES: [&str; 2] = ["a1", "nginx0"];

#[derive(Default)]
pub struct Stand {
    tickets: u64,
}

impl Stand {
    fn known(&self, kind: &'static str, name: &str) -> Result<(), VerbError> {
        if NAMES.contains(&name) {
            return Ok(());
        }
        let nearest = nearest(name, NAMES, 3).into_iter().map(String::from).collect();
        Err(VerbError::Unknown { kind, name: name.to_owned(), nearest })
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }
}

fn done(text: String) -> Result<Done, VerbError> {
    Ok(Done { changed: true, text })
}

fn read() -> ConfigView {
    ConfigView {
        path: "/x".into(),
        ok: true,
        errors: Vec::new(),
        warnings: Vec::new(),
        applied: false,
        summary: String::new(),
    }
}

fn refused<T>() -> Result<T, VerbError> {
    Err(VerbError::Refused("not here".into()))
}

impl Operator for Stand {
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
        Ok("maglev: {}\n".into())
    }
    fn frontends(&self) -> Vec<FrontendView> {
        Vec::new()
    }
    fn frontend(&mut self, name: &str) -> Result<FrontendView, VerbError> {
        self.known("frontend", name).and_then(|()| refused())
    }
    fn backends(&self) -> Vec<BackendView> {
        Vec::new()
    }
    fn backend(&self, name: &str) -> Result<BackendView, VerbError> {
        self.known("backend", name).and_then(|()| refused())
    }
    fn healthchecks(&self) -> Vec<HealthcheckView> {
        Vec::new()
    }
    fn healthcheck(&self, name: &str) -> Result<HealthcheckView, VerbError> {
        self.known("healthcheck", name).and_then(|()| refused())
    }
    fn lb(&mut self, frontend: Option<&str>) -> Result<LbView, VerbError> {
        frontend.map_or(Ok(()), |f| self.known("frontend", f)).and_then(|()| refused())
    }
    fn events(&self, _: Option<usize>) -> EventsView {
        EventsView::default()
    }
    fn counters(&mut self) -> CountersView {
        CountersView::default()
    }
    fn flow(&mut self, name: &str, _: IpAddr, _: u16, _: Option<u16>) -> Result<FlowView, VerbError> {
        self.known("frontend", name).and_then(|()| refused())
    }
    fn set_backend(&mut self, name: &str, verb: BackendVerb) -> Result<Done, VerbError> {
        self.known("backend", name)?;
        done(format!("backend `{name}`: {}", verb.as_str()))
    }
    fn set_weight(
        &mut self,
        frontend: &str,
        pool: &str,
        backend: &str,
        weight: Option<u8>,
        flush: bool,
    ) -> Result<Done, VerbError> {
        for (kind, name) in [("frontend", frontend), ("pool", pool), ("backend", backend)] {
            self.known(kind, name)?;
        }
        assert!(weight.is_none_or(|w| w <= 100), "the caller checks that");
        done(format!("weight {weight:?} {flush}"))
    }
    fn flush(&mut self, name: &str) -> Result<Done, VerbError> {
        self.known("frontend", name)?;
        done(format!("frontend `{name}` flushed"))
    }
    fn probe(&mut self, name: &str) -> Result<Ticket, VerbError> {
        self.known("backend", name)?;
        Ok(self.ticket())
    }
    fn sync(&mut self, name: Option<&str>) -> Result<Ticket, VerbError> {
        name.map_or(Ok(()), |f| self.known("frontend", f))?;
        Ok(self.ticket())
    }
    fn config_check(&mut self, path: Option<&str>) -> Result<Ticket, VerbError> {
        assert!(path.is_none_or(|p| !p.contains('\0')));
        Ok(self.ticket())
    }
    fn config_reload(&mut self, _force: bool) -> Result<Ticket, VerbError> {
        Ok(self.ticket())
    }
    fn settled(&self) -> bool {
        true
    }
    fn take(&mut self, ticket: Ticket) -> Option<Finished> {
        assert!(ticket.0 <= self.tickets, "a ticket that was given");
        // Every third has not ended.
        (!ticket.0.is_multiple_of(3)).then(|| Finished::Config(read()))
    }
    fn names(&self, _: NameKind) -> Vec<String> {
        NAMES.map(String::from).to_vec()
    }
}
