//! The command table: the only list of the commands.

use super::run::{self, Call};
use super::{Answer, matching};
use crate::control::Operator;

/// One command.
pub(super) struct Row {
    /// The keywords it begins with; unique, and no path is the beginning of another.
    pub path: &'static [&'static str],
    /// What follows, by position.
    pub rest: &'static [Part],
    /// Takes a final `json`: the shows.
    pub json: bool,
    /// One line, no full stop, at most 46 columns.
    pub help: &'static str,
    /// Carries it out.
    pub run: fn(&Call<'_>, &mut dyn Operator) -> Answer,
}

/// A piece of a command behind its path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// A fixed word; may be shortened.
    Key(&'static str),
    /// A word of the user's.
    Arg(Arg),
    /// May be left out, at the end of a command only.
    Opt(&'static [Part]),
}

/// The kinds of the user's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Arg {
    Backend,
    Frontend,
    Healthcheck,
    Pool,
    Verb,
    /// Behind `health` and `agent`.
    VerbWord,
    Weight,
    Address,
    Port,
    DestinationPort,
    Path,
    Count,
}

impl Arg {
    /// As the usage shows it.
    pub fn usage(self) -> &'static str {
        match self {
            Arg::Backend => "<backend>",
            Arg::Frontend => "<frontend>",
            Arg::Healthcheck => "<healthcheck>",
            Arg::Pool => "<pool>",
            Arg::Verb => "enable|disable|pause|resume|drain|ready|health|agent",
            Arg::VerbWord => "up|down|stopping|mute|unmute",
            Arg::Weight => "<0-100>|default",
            Arg::Address => "<source-address>",
            Arg::Port => "<source-port>",
            Arg::DestinationPort => "<destination-port>",
            Arg::Path => "<path>",
            Arg::Count => "<n>",
        }
    }

    /// For the help of one command.
    pub fn help(self) -> &'static str {
        match self {
            Arg::Backend => "a backend's name, in full",
            Arg::Frontend => "a frontend's name, in full",
            Arg::Healthcheck => "a healthcheck's name, in full",
            Arg::Pool => "the name of a pool of that frontend, in full",
            Arg::Verb => "what to do with it",
            Arg::VerbWord => "behind `health` the first three, behind `agent` the others",
            Arg::Weight => "a weight, or `default`: the configured one again",
            Arg::Address => "an address of the frontend's family",
            Arg::Port => "0 to 65535",
            Arg::DestinationPort => "0 to 65535; for frontends that take all ports",
            Arg::Count => "1 to 1000",
            Arg::Path => "a file; left out: the running configuration's",
        }
    }

    /// A name is taken as typed: it is never a shortened keyword.
    pub fn is_name(self) -> bool {
        match self {
            Arg::Backend | Arg::Frontend | Arg::Healthcheck | Arg::Pool | Arg::Path => true,
            Arg::Verb
            | Arg::VerbWord
            | Arg::Weight
            | Arg::Address
            | Arg::Port
            | Arg::DestinationPort
            | Arg::Count => false,
        }
    }
}

use Arg::{
    Address, Backend, Count, DestinationPort, Frontend, Healthcheck, Path, Pool, Port, Verb, VerbWord, Weight,
};
use Part::{Key, Opt};

const fn arg(a: Arg) -> Part {
    Part::Arg(a)
}

/// All commands, in the order in which help lists them.
pub(super) static TABLE: &[Row] = &[
    Row {
        path: &["show", "status"],
        rest: &[],
        json: true,
        help: "is all well: config, lb, prober, states",
        run: run::show_status,
    },
    Row {
        path: &["show", "version"],
        rest: &[],
        json: true,
        help: "versions, and the messages of lb in use",
        run: run::show_version,
    },
    Row {
        path: &["show", "config"],
        rest: &[],
        json: true,
        help: "the running configuration, as YAML",
        run: run::show_config,
    },
    Row {
        path: &["show", "frontends"],
        rest: &[Opt(&[arg(Frontend)])],
        json: true,
        help: "all frontends, or one with its weights",
        run: run::show_frontends,
    },
    Row {
        path: &["show", "backends"],
        rest: &[Opt(&[arg(Backend)])],
        json: true,
        help: "all backends, or one with its history",
        run: run::show_backends,
    },
    Row {
        path: &["show", "healthchecks"],
        rest: &[Opt(&[arg(Healthcheck)])],
        json: true,
        help: "all healthchecks, or one in detail",
        run: run::show_healthchecks,
    },
    Row {
        path: &["show", "events"],
        rest: &[Opt(&[Key("last"), arg(Count)])],
        json: true,
        help: "what has happened, the newest at the end",
        run: run::show_events,
    },
    Row {
        path: &["show", "counters"],
        rest: &[],
        json: true,
        help: "packets, flows, probes, syncs, calls of lb",
        run: run::show_counters,
    },
    Row {
        path: &["show", "lb"],
        rest: &[Opt(&[Key("frontend"), arg(Frontend)])],
        json: true,
        help: "what lb holds now: VIPs, servers, buckets",
        run: run::show_lb,
    },
    Row {
        path: &["show", "flow"],
        rest: &[arg(Frontend), arg(Address), arg(Port), Opt(&[arg(DestinationPort)])],
        json: true,
        help: "which server a new flow gets, and its bucket",
        run: run::show_flow,
    },
    Row {
        path: &["set", "backend"],
        rest: &[arg(Backend), arg(Verb), Opt(&[arg(VerbWord)])],
        json: false,
        help: "take a backend out of service, or back in",
        run: run::set_backend,
    },
    Row {
        path: &["set", "frontend"],
        rest: &[
            arg(Frontend),
            Key("pool"),
            arg(Pool),
            Key("backend"),
            arg(Backend),
            Key("weight"),
            arg(Weight),
            Opt(&[Key("flush")]),
        ],
        json: false,
        help: "override a backend's weight in one pool",
        run: run::set_frontend,
    },
    Row {
        path: &["probe", "backend"],
        rest: &[arg(Backend)],
        json: false,
        help: "probe it once, now, and print the result",
        run: run::probe,
    },
    Row {
        path: &["flush", "frontend"],
        rest: &[arg(Frontend)],
        json: false,
        help: "drop all of lb's known flows of that VIP",
        run: run::flush,
    },
    Row {
        path: &["sync"],
        rest: &[Opt(&[Key("frontend"), arg(Frontend)])],
        json: false,
        help: "compare with lb now, repair what differs",
        run: run::sync,
    },
    Row {
        path: &["config", "check"],
        rest: &[Opt(&[arg(Path)])],
        json: false,
        help: "read and validate a file; changes nothing",
        run: run::config_check,
    },
    Row {
        path: &["config", "reload"],
        rest: &[Opt(&[Key("force")])],
        json: false,
        help: "load the file anew; a bad one changes nothing",
        run: run::config_reload,
    },
    Row {
        path: &["help"],
        rest: &[],
        json: false,
        help: "this list, or what begins so; also `?`",
        run: run::help,
    },
];

/// `show frontends [<frontend>] [json]`
pub(super) fn usage(row: &Row) -> String {
    let mut words: Vec<String> = row.path.iter().map(|k| (*k).to_owned()).collect();
    words.extend(row.rest.iter().map(part_usage));
    if row.json {
        words.push("[json]".into());
    }
    words.join(" ")
}

fn part_usage(part: &Part) -> String {
    match part {
        Part::Key(k) => (*k).to_owned(),
        Part::Arg(a) => a.usage().to_owned(),
        Part::Opt(parts) => {
            let inner: Vec<String> = parts.iter().map(part_usage).collect();
            format!("[{}]", inner.join(" "))
        }
    }
}

/// The user's words that a row takes, in order.
pub(super) fn args(row: &Row) -> Vec<Arg> {
    matching::flat(row.rest)
        .into_iter()
        .filter_map(|(p, _)| if let Part::Arg(a) = p { Some(a) } else { None })
        .collect()
}
