//! The commands as the tool's own socket has them.

use maglev::cli::{self, Answer};
use maglev::control::Operator;

/// The first line of an interactive session, and of the log.
pub fn banner() -> String {
    format!(
        "maglev {}, the control plane on an lb in memory: it forwards no packets",
        env!("CARGO_PKG_VERSION")
    )
}

/// [`cli::execute`], and a hint for those who took this for VPP.
pub fn execute(line: &str, op: &mut dyn Operator) -> Answer {
    match cli::execute(line, op) {
        Answer::Done(mut reply) if !reply.ok && reply.text.starts_with("error: unknown command") => {
            reply.text.push_str("This is maglev without VPP: it has maglev's commands alone; see `help`.\n");
            Answer::Done(reply)
        }
        Answer::Done(mut reply) if reply.ok && reply.text == cli::help("") => {
            reply.text.push_str("`quit` ends the session.\n");
            Answer::Done(reply)
        }
        other => other,
    }
}
