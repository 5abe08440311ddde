//! `maglev`: the control plane without VPP, and a client for either.

mod check;
mod ctl;
mod demo;
mod editor;
mod host;
mod log;
mod run;
mod server;
mod session;
mod shell;
mod signals;
mod simulate;
mod socket;
mod telnet;

#[cfg(test)]
mod nobody;
#[cfg(test)]
mod session_tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// A health-checked Maglev load balancer, without VPP
///
/// The same control plane as the VPP plugin's, on an lb in memory: it probes,
/// decides and programs, and tells what lb would do with a flow.
/// It forwards no packets.
#[derive(Debug, Parser)]
#[command(name = "maglev", version, verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

// Clap wraps nothing by itself: lines of at most 70 characters, so that they fit into 80 columns behind an indent.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the control plane on an lb in memory
    ///
    /// Probes the backends of the configuration, keeps their state and
    /// programs an lb in memory. Forwards no packets. Log lines go to standard
    /// error. SIGTERM, SIGINT (Ctrl-C) and SIGHUP end it.
    #[command(
        verbatim_doc_comment,
        after_help = "Exit status: 0 ended by a signal, 1 could not start, 2 wrong usage."
    )]
    Run {
        /// The configuration; a bad one is reported, and does not end it:
        /// `maglev config reload` tries again
        #[arg(long, value_name = "FILE", verbatim_doc_comment)]
        config: PathBuf,
        /// Where disabled and paused backends, overridden weights and the
        /// backends' states survive a restart; no other process may use it
        /// [default: nowhere]
        #[arg(long, value_name = "FILE", verbatim_doc_comment)]
        state_file: Option<PathBuf>,
        /// Where to listen for commands, as VPP does: `vppctl -s SOCKET`
        /// [default: /run/maglev/cli.sock for root,
        /// else $XDG_RUNTIME_DIR/maglev-cli.sock]
        #[arg(long, value_name = "SOCKET", verbatim_doc_comment)]
        cli_socket: Option<PathBuf>,
        /// The least important log lines to print
        #[arg(long, value_enum, default_value_t = log::Level::Info, value_name = "LEVEL")]
        log_level: log::Level,
    },
    /// Send one command to VPP, or to `maglev run`
    ///
    /// Commands of maglev need no `maglev` in front; anything else is sent as
    /// typed. The answer goes to standard output, an answer that is an error to
    /// standard error.
    #[command(
        verbatim_doc_comment,
        after_help = "Exit status: 0 answered, 1 the answer is an error,\n2 no connection, no complete answer, or wrong usage."
    )]
    Ctl {
        /// The CLI socket of VPP, or of `maglev run`
        #[arg(short, long, value_name = "SOCKET", default_value = "/run/vpp/cli.sock")]
        socket: PathBuf,
        /// How long to wait for the answer, in seconds
        #[arg(short, long, value_name = "SECONDS", default_value_t = 65, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        timeout: u64,
        /// The command, as in `show frontends`
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Validate a configuration file
    ///
    /// Errors and warnings go to standard error as FILE:LINE:COLUMN: MESSAGE,
    /// all of them at once.
    #[command(
        verbatim_doc_comment,
        after_help = "Exit status: 0 valid, 1 cannot be read or is not YAML,\n2 not a valid configuration, or wrong usage."
    )]
    Check {
        /// The file
        file: PathBuf,
    },
    /// Watch it work on a few local web servers
    ///
    /// Starts web servers on loopback addresses, balances over them, kills and
    /// revives one, fails over to a second pool and back, and prints what
    /// happens. Needs no privileges, no VPP and no network; ends within
    /// 30 seconds.
    #[command(
        verbatim_doc_comment,
        after_help = "Exit status: 0 all was seen to work, 1 something was not, 2 wrong usage,\n130 interrupted."
    )]
    Demo,
    /// Try the control plane in a simulated world, step by random step
    ///
    /// Runs the controller on an lb in memory, with network, agents, disk and
    /// clock simulated: backends die and flap, agents lie, files are reloaded,
    /// lb fails, VPP restarts. After each step all is compared with what the
    /// documentation promises. Needs nothing, and ends at the first promise
    /// that is not kept, with the last steps and how to see it again.
    #[command(
        verbatim_doc_comment,
        after_help = "Exit status: 0 all was kept, 1 something was not, 2 wrong usage."
    )]
    Simulate {
        /// Where to begin; the same seed does the same. A seed lives for
        /// 50,000 steps, then the next one is taken
        #[arg(long, value_name = "N", default_value_t = 1, verbatim_doc_comment)]
        seed: u64,
        /// How many steps in all
        #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
        steps: u64,
        /// Go on with one seed after the other until something fails
        #[arg(long, conflicts_with = "steps")]
        until_failure: bool,
        /// How many of the last steps are told when a promise is not kept
        #[arg(long, value_name = "N", default_value_t = maglev::simulate::RECENT)]
        tell: usize,
        /// How many seeds are tried at the same time [default: one a processor]
        #[arg(long, value_name = "N")]
        jobs: Option<std::num::NonZeroUsize>,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run { config, state_file, cli_socket, log_level } => {
            run::run(&run::Options { config, state_file, cli_socket, log_level })
        }
        Command::Ctl { socket, timeout, command } => {
            ctl::ctl(&socket, Duration::from_secs(timeout), &command)
        }
        Command::Check { file } => check::check(&file),
        Command::Demo => demo::demo(),
        Command::Simulate { seed, steps, until_failure, tell, jobs } => {
            let steps = (!until_failure).then_some(steps);
            simulate::simulate(&simulate::Options { seed, steps, tell, jobs })
        }
    }
}
