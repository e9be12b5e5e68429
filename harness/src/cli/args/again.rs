//! What can be typed behind `run`, or behind no verb: what is run anew, or what was recorded is gone on with.

use std::path::PathBuf;

use clap::error::{Error, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, ValueHint};

use super::jobs::JobsArgs;
use super::{Cli, RunArgs};

/// Options of `run` alone.
#[derive(Debug, Clone, Args)]
pub struct RunCommandArgs {
    /// The options that other verbs have as well.
    #[command(flatten)]
    pub run: RunArgs,
    /// End the run in this directory, which was interrupted: trials without a result run, and it is written anew
    #[arg(long, value_name = "DIR", conflicts_with = "failed", value_hint = ValueHint::DirPath)]
    pub resume: Option<PathBuf>,
    /// Run again what did not pass in a recorded run: what failed, and what was inconclusive; SCENARIO and
    /// --supervisor select among it
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub failed: Option<PathBuf>,
    /// Run each trial that lost something once more, with those remedies that holdline can apply by itself
    #[arg(long, conflicts_with = "resume")]
    pub prove_remedy: bool,
    /// How many trials run side by side.
    #[command(flatten)]
    pub jobs: JobsArgs,
}

/// What a run has that is gone on with.
const GIVEN_BY_RUN: [&str; 9] =
    ["scenarios", "supervisors", "require", "repetitions", "seed", "worker", "out", "isolation", "partition"];
/// What a trial has that is run again.
const GIVEN_BY_TRIAL: [&str; 4] = ["repetitions", "seed", "worker", "partition"];

/// What was typed beside `--resume` or `--failed` and is given by what was recorded. What the environment says is no
/// contradiction: it stands for runs that begin.
pub(crate) fn contradiction(matches: &ArgMatches) -> Option<Error> {
    let of_run = match matches.subcommand() {
        None => matches,
        Some(("run", of_run)) => of_run,
        Some(_) => return None,
    };
    let is_typed = |id: &&str| of_run.value_source(id) == Some(ValueSource::CommandLine);
    let (option, given) = match (of_run.contains_id("resume"), of_run.contains_id("failed")) {
        (true, _) => ("--resume", &GIVEN_BY_RUN[..]),
        (false, true) => ("--failed", &GIVEN_BY_TRIAL[..]),
        (false, false) => return None,
    };
    let typed = given.iter().find(|id| is_typed(id))?;
    let mut command = Cli::command();
    command.build();
    let other = command.get_arguments().find(|arg| arg.get_id() == typed)?.to_string();
    let text =
        format!("the argument '{option} <DIR>' cannot be used with '{other}': the recorded run says it");
    Some(command.error(ErrorKind::ArgumentConflict, text))
}
