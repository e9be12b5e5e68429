//! What was found of a command, in words, and what to do where it cannot be probed.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::cli::args::ProbeArgs;
use crate::cli::terminal::say;
use crate::exit::Failure;
use crate::probe::discover::{Discovered, Found};
use crate::probe::listeners::{self, Bound, Chosen};

/// Where the command is asked, which is said.
pub(super) fn choose(args: &ProbeArgs, discovered: &Discovered, wait: Duration) -> Result<Chosen, Failure> {
    let command = args.command.join(" ");
    let wrote = quoted(&discovered.wrote);
    let all = match &discovered.found {
        Found::Listens(all) => all,
        Found::NotStarted { error } => {
            let program = args.command.first().map(String::as_str).unwrap_or_default();
            return Err(Failure::usage(format!("failed to start `{program}`: {error}")));
        }
        Found::Ended { status, left } if !left.is_empty() => {
            return Err(Failure::usage(format!(
                "`{command}` went to the background: it ended with {status} and left {} behind; tell it to stay in the \
                 foreground{wrote}",
                left.join(", ")
            )));
        }
        Found::Ended { status, .. } => {
            let hint = hint_of_terminal(&discovered.wrote);
            return Err(Failure::usage(format!(
                "`{command}` ended with {status} before it listened{hint}{wrote}"
            )));
        }
        Found::Silent => {
            let hint = hint_of_terminal(&discovered.wrote);
            return Err(Failure::usage(format!(
                "`{command}` opened no listener within {wait:?}; --wait gives it longer, and a program that asks another to \
                 listen, as docker and systemctl do, can be probed by --attach once that listens{hint}{wrote}"
            )));
        }
    };
    let listens = format!("`{command}` listens on {}", in_words(all));
    let chosen = listeners::choose(all, args.address.as_deref());
    let chosen = chosen.map_err(|error| Failure::usage(format!("{listens}: {error}")))?;
    if chosen.address.file().is_some_and(|path| path.starts_with(&discovered.temporary)) {
        return Err(Failure::usage(format!(
            "{listens}, which is in TMPDIR, another folder in each trial; tell it a path of its own"
        )));
    }
    let who = if chosen.bound.is_below { "processes below it accept" } else { "it is the one that accepts" };
    say(&format!("{listens}; {} is probed, and {who}", chosen.address));
    Ok(chosen)
}

fn in_words(listeners: &BTreeSet<Bound>) -> String {
    listeners.iter().map(Bound::to_string).collect::<Vec<_>>().join(", ")
}

/// The last that a command wrote.
fn quoted(wrote: &[String]) -> String {
    if wrote.is_empty() {
        return "; it wrote nothing".to_owned();
    }
    let lines: String = wrote.iter().map(|line| format!("\n    | {line}")).collect();
    format!("; the last that it wrote:{lines}")
}

/// What to do about a command that seems to want to be talked to.
fn hint_of_terminal(wrote: &[String]) -> &'static str {
    const SAID: [&str; 7] = [
        "not a tty",
        "not a terminal",
        "a terminal is required",
        "/dev/tty",
        "inappropriate ioctl",
        "eof when reading",
        "must be a terminal",
    ];
    let text = wrote.join("\n").to_lowercase();
    if SAID.iter().any(|said| text.contains(said)) {
        "; it seems to want a terminal, and there is none here, nor anything to read: start it with the option by which it \
         asks nobody"
    } else {
        ""
    }
}
