//! What was done and what came of it, in words.

use super::{Past, Simulator};
use crate::control::programmer::{LbAnswer, LbRequest};
use crate::simulate::world::Happening;

impl Simulator {
    /// The last step, and all that happened in it.
    pub fn last(&self) -> String {
        format!("{:?}", self.recent.back())
    }

    /// The last steps, in words.
    pub fn story(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for Past { step, at, deed, happened } in &self.recent {
            lines.push(format!("step {step} at {at:?}: {deed}"));
            for (at, what) in happened {
                match what {
                    Happening::Told(r, frozen) => {
                        let name =
                            self.world.c.backends().get(u32::try_from(r.id.0 & 0xffff_ffff).unwrap_or(0));
                        let name = name.map_or("?", |b| &b.config.name);
                        let frozen = if *frozen { " (frozen)" } else { "" };
                        let reply = r.reply.as_ref().map(|r| format!(" {r:?}")).unwrap_or_default();
                        lines.push(format!("    {at:?}: {name}: {}{reply}{frozen}", r.outcome.code.as_str()));
                    }
                    Happening::Event(_, event) => lines.push(format!("    {at:?}: {event}")),
                    Happening::Asked(request, answer) => {
                        let bulk = if matches!(request, LbRequest::Bulk(..)) { " together" } else { "" };
                        for op in request.ops() {
                            lines.push(format!("    {at:?}: lb{bulk}: {op}"));
                        }
                        if let LbAnswer::Apply(answers, _) = answer {
                            let failed = answers.iter().filter_map(|a| a.as_ref().err());
                            lines.extend(failed.map(|e| format!("    {at:?}: lb: {e}")));
                        }
                    }
                    Happening::Ordered(_) | Happening::Repeated(_) | Happening::Polled => {}
                    Happening::Saving => lines.push(format!("    {at:?}: a save begins")),
                    Happening::Saved(ok) => lines.push(format!("    {at:?}: saved: {ok}")),
                }
            }
        }
        lines
    }
}
