//! `holdline probe`: a service without any file, and what it loses in a short story.

mod attach;
mod found;
mod mute;
mod table;
mod typed;

use std::path::{Path, PathBuf};

use holdline_model::reason::Reason;
use holdline_model::result::TrialResult;
use holdline_model::wire::Address;
use holdline_reports::Style;

use self::typed::Typed;
use super::args::ProbeArgs;
use super::measure::{self, Places};
use super::outcome::exit_code;
use super::prove::{self, Proof};
use super::terminal::{self, print, say};
use crate::exit::{Failure, USAGE};
use crate::export::{Exports, Texts};
use crate::probe::{Asks, Service, Step, Subject, discover, portable};
use crate::run::{Ended, Options, Plan};
use crate::rundir::{RunDir, write_atomically};
use crate::sandbox;

/// Probes a command, or a service that runs already.
pub(super) fn main(args: &ProbeArgs) -> Result<u8, Failure> {
    let typed = Typed::of(args)?;
    match &args.attach {
        Some(address) => attach::main(args, &typed, address),
        None => started(args, &typed),
    }
}

/// Probes a command. Whatever is wrong with what was typed, or with where results go, is found before it is started.
fn started(args: &ProbeArgs, typed: &Typed) -> Result<u8, Failure> {
    let anywhere = Address::Tcp(([127, 0, 0, 1], 1).into());
    let unknown = Service::Started { command: &args.command, has_workers: false };
    typed.subject(unknown, anywhere).story(&typed.dos, args.trial.seed).map_err(Failure::usage)?;
    if let Some(folder) = &args.save {
        check_folder(folder)?;
    }
    let Places { dir, exports } = Places::open(args.trial.out.as_deref(), &args.trial.exports)?;
    let subject = match find(args, typed) {
        Ok(subject) => subject,
        Err(failure) => {
            dir.discard();
            return Err(failure);
        }
    };
    let story = subject.story(&typed.dos, args.trial.seed).map_err(Failure::usage)?;
    let options = Options { seed: args.trial.seed, worker: None, isolation: args.trial.isolation };
    let plan =
        Plan::new(story.scenarios, story.supervisors, story.trials, options)?.ending_without_the_first(1);
    let recorded = measure::record(&plan, dir, args.trial.show_progress);
    let (dir, mut ended) = sweep_up(&subject, recorded)?;
    if let Some(failure) = never_began(&ended, &dir, &typed.asks) {
        return Err(failure);
    }
    let proofs = match args.prove_remedy {
        true => sweep_up(&subject, prove::prove(&plan, &dir, &mut ended, args.trial.show_progress, true))?,
        false => Vec::new(),
    };
    let saved = |to| (to, portable(subject.saved(&typed.dos), &typed.folder, to));
    let saved = args.save.as_deref().map(saved);
    let report = Report {
        steps: &story.steps,
        proofs: &proofs,
        proves: args.prove_remedy,
        is_attached: false,
        style: terminal::style(args.trial.color),
        behind: String::new(),
    };
    report.give(&dir, exports, &ended, saved)?;
    Ok(exit_code(&ended.result))
}

/// Where the command listens, and who accepts there.
fn find<'a>(args: &'a ProbeArgs, typed: &'a Typed) -> Result<Subject<'a>, Failure> {
    let (isolation, notice) = sandbox::choose(args.trial.isolation).map_err(crate::run::RunError::from)?;
    if let Some(notice) = notice {
        say(&notice.to_string());
    }
    say(&format!("looking for what `{}` listens on", args.command.join(" ")));
    let reach = reach(&args.command, Path::new(&typed.folder));
    let found = discover::discover(&args.command, Path::new(&typed.folder), isolation, reach, typed.wait);
    let found = found.map_err(Failure::environment)?;
    let chosen = found::choose(args, &found, typed.wait)?;
    let has_workers = chosen.bound.is_below;
    Ok(typed.subject(Service::Started { command: &args.command, has_workers }, chosen.address))
}

/// Paths that the command names, and its folder, stay in sight.
fn reach(command: &[String], folder: &Path) -> Vec<PathBuf> {
    let named = command.iter().map(PathBuf::from).filter(|path| path.is_absolute() && path.exists());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    named.chain([folder.to_owned()]).chain(on_path).collect()
}

/// A service that was killed leaves the file of its Unix socket.
fn sweep_up<T>(subject: &Subject<'_>, done: T) -> T {
    if let Some(path) = subject.address.file() {
        crate::probe::remove_socket(path);
    }
    done
}

/// A service that does not even serve where nothing is done to it is not probed.
fn never_began(ended: &Ended, dir: &RunDir, asks: &Asks) -> Option<Failure> {
    let first = ended.result.trials.first().filter(|trial| trial.was_not_run())?;
    let reason = match &first.why {
        Some(Reason::NoRightReply { asked, times, answer, remedy }) => {
            mute::in_words(asked, *times, answer.as_ref(), *remedy, asks)
        }
        _ => first.reason.clone().unwrap_or_else(|| format!("it is {}", first.grade)),
    };
    let log = dir.path().join(&first.folder).join("supervisor.log");
    let wrote = if log.exists() { format!("; what it wrote is in {}", log.display()) } else { String::new() };
    Some(Failure { code: USAGE, error: format!("{reason}{wrote}").into() })
}

/// Whether a description can be written into a folder, which is made if it is not there.
fn check_folder(folder: &Path) -> Result<(), Failure> {
    let fail = |error: std::io::Error| Failure::usage(format!("--save {}: {error}", folder.display()));
    let is_new = !folder.exists();
    std::fs::create_dir_all(folder).map_err(fail)?;
    let writable = tempfile::tempfile_in(folder).map(drop).map_err(fail);
    if is_new {
        // Only what is empty goes.
        let _ = std::fs::remove_dir(folder);
    }
    writable
}

/// What is said once all is over.
struct Report<'a> {
    steps: &'a [Step],
    proofs: &'a [Proof],
    /// Whether remedies were to be proven.
    proves: bool,
    /// Whether the service ran already.
    is_attached: bool,
    /// How the table looks.
    style: Style,
    /// What stands behind the table.
    behind: String,
}

impl Report<'_> {
    /// Writes reports, exports and the description, and prints the table.
    fn give(
        &self,
        dir: &RunDir,
        exports: Exports,
        ended: &Ended,
        saved: Option<(&Path, String)>,
    ) -> Result<(), Failure> {
        let takes_stdout = exports.take_stdout();
        let texts = Texts::of_run(&ended.result, Some(dir.path()));
        let reported = measure::write_reports(dir, &texts);
        let exported = exports.write(&texts, print);
        let mut text = String::new();
        if !takes_stdout {
            text = table::table(self.steps, &ended.result, self.proofs, self.is_attached, self.style);
            if self.proves && self.proofs.is_empty() {
                text.push_str("\nno remedy to prove: nothing was lost that need not have been\n");
            }
            text.push_str(&self.behind);
        }
        if let Some((folder, description)) = saved {
            let file = folder.join("supervisor.toml");
            let written = std::fs::create_dir_all(folder)
                .and_then(|()| write_atomically(&file, description.as_bytes()));
            written.map_err(|error| {
                Failure::environment(format!("failed to write {}: {error}", file.display()))
            })?;
            text.push_str(&format!("the description that was used: {}\n", file.display()));
        }
        text.push_str(&format!("run directory: {}\n", dir.path().display()));
        if !takes_stdout {
            print(&text)?;
        }
        if ended.interrupted {
            say("interrupted: what was measured by then is shown");
        }
        reported.and(exported)
    }
}

/// The trial of a step.
fn trial_of<'a>(step: &Step, trials: &'a [TrialResult]) -> Option<&'a TrialResult> {
    trials.iter().find(|trial| trial.scenario == step.name && trial.applied.is_empty())
}
