//! `holdline probe --attach`: a service that runs already. Nothing is done to it but what is asked for, and nothing is
//! sent anywhere but to loopback addresses and Unix sockets.

use std::path::Path;

use holdline_model::attach::attachable;
use holdline_model::wire::Address;
use holdline_model::words::Grade;

use super::typed::Typed;
use super::{Report, trial_of};
use crate::cli::args::ProbeArgs;
use crate::cli::measure::{self, Places};
use crate::cli::outcome::exit_code;
use crate::cli::terminal::{self, say};
use crate::exit::{self, Failure};
use crate::kernel::diag::Diag;
use crate::probe::{Service, listeners};
use crate::run::{Options, Plan};
use crate::sandbox::IsolationChoice;

/// What is not known of a service that was not started here.
const UNKNOWN: &str = "
not known, since the service was not started here: what a killed worker costs, what becomes of a full backlog, and
what it does on SIGTERM (none of it was tried), who accepts, and what it costs the machine; its queue holds others'
connections, too, and the kernel's counters are the whole host's, so that they are not shown
";

pub(super) fn main(args: &ProbeArgs, typed: &Typed, text: &str) -> Result<u8, Failure> {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let address = attachable(text, &hosts, Path::new(&typed.folder)).map_err(Failure::usage)?;
    listeners::outside_of_a_sandbox(&address).map_err(Failure::usage)?;
    let subject = typed.subject(Service::Attached, address.clone());
    let story = subject.story(&typed.dos, args.trial.seed).map_err(Failure::usage)?;
    let Places { dir, exports } = Places::open(args.trial.out.as_deref(), &args.trial.exports)?;
    if let Err(failure) = must_listen(&address) {
        dir.discard();
        return Err(failure);
    }
    say(&format!("somebody listens at {address}, who is put under load as it is"));
    let options = Options { seed: args.trial.seed, worker: None, isolation: IsolationChoice::None };
    let trials = story.trials.len();
    let plan = Plan::new(story.scenarios, story.supervisors, story.trials, options)?
        .with_attached(address.clone())
        .ending_without_the_first(trials);
    let (dir, ended) = measure::record(&plan, dir, args.trial.show_progress)?;
    if let Some(failure) = super::never_began(&ended, &dir, &typed.asks) {
        return Err(failure);
    }
    let is_down = story.steps.iter().rev().find_map(|step| trial_of(step, &ended.result.trials));
    let is_down = is_down.is_some_and(|last| last.grade == Grade::Down || last.was_not_run());
    let mut behind = UNKNOWN.to_owned();
    if is_down {
        behind.push_str(&format!(
            "\nthe service at {address} is gone: it was there when the probe began, and is down at its end\n"
        ));
    }
    let report = Report {
        steps: &story.steps,
        proofs: &[],
        proves: false,
        is_attached: true,
        style: terminal::style(args.trial.color),
        behind,
    };
    report.give(&dir, exports, &ended, None)?;
    let code = exit_code(&ended.result);
    Ok(if is_down { exit::FAILED } else { code })
}

/// Looks whether anybody listens there, by the kernel's table: nothing is sent.
fn must_listen(address: &Address) -> Result<(), Failure> {
    let listeners =
        Diag::open().and_then(|mut diag| diag.listeners(address)).map_err(Failure::environment)?;
    if listeners.is_empty() {
        return Err(Failure::environment(format!(
            "nobody listens at {address}: start the service first, or name where it listens (`ss -ltnx` shows who listens)"
        )));
    }
    Ok(())
}
