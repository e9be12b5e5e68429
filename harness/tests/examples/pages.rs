//! The pages of `examples/`: each line of theirs that begins with `holdline` is run in a copy of their folder. A
//! probe saves the description that is there, byte for byte, and each of its steps loses nothing, something or the
//! service, as the page shows; whatever else is run ends with 0.
//!
//! HOLDLINE_WRITE_EXAMPLES=1 writes the descriptions, and what probes print, anew.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use holdline::catalogue::SupervisorEntry;
use holdline::exit::INCONCLUSIVE;
use holdline_model::words::Grade;
use libtest_mimic::{Failed, Trial};
use tempfile::TempDir;

use super::common::read_result;
use super::neighbours::{alone, beside_others};
use super::real;

/// How many run side by side, so that no page waits for another: they wait most of their time.
pub(crate) const SIDE_BY_SIDE: usize = 7;

/// How a description begins that `probe` has saved.
pub(crate) const SAVED: &str = "# As `holdline probe` saw it.";

const DESCRIPTION: &str = "supervisor.toml";

/// How often a page is run again, alone, that does not come out as it stands there.
const RETRIES: usize = 3;

/// What must succeed in a page's folder, where having its server is not enough.
const NEEDS: &[(&str, &[&str])] = &[
    ("axum", &["systemfd", "--version"]),
    ("express", &["node", "--eval", "require('express')"]),
    ("fastapi", &["gunicorn", "--check-config", "shop:app"]),
    ("flask", &["gunicorn", "--check-config", "shop:app"]),
];

/// Whose service is built for its test, which takes longer than a test may: it is run on request (`-- --ignored`).
const BUILT: &str = "axum";

/// What a step's grade tells on any machine; how long somebody waited is the machine's.
#[derive(Debug, PartialEq, Eq)]
enum Costs {
    Nothing,
    Some,
    All,
    NotKnown,
}

/// A command of a page, and what it prints there; nothing, if the page does not show it.
struct Told {
    line: String,
    printed: Option<String>,
}

/// The test of a folder's page, if it has one.
pub(crate) fn test(folder: &Path) -> Option<Trial> {
    let page = std::fs::read_to_string(folder.join("README.md")).ok()?;
    let name = folder.file_name()?.to_string_lossy().into_owned();
    let (folder, is_built) = (folder.to_owned(), name == BUILT);
    let test = Trial::ignorable_test(format!("examples::pages::{name}"), move || {
        real::if_there(there(&folder, &name), || holds(&folder, &page))
    });
    Some(test.with_ignored_flag(is_built))
}

/// Whether all is installed that a page's service takes.
fn there(folder: &Path, name: &str) -> Result<(), String> {
    if let Some((_, needs)) = NEEDS.iter().find(|(of, _)| *of == name) {
        let mut command = Command::new(needs[0]);
        command.args(&needs[1..]).current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1");
        let output = command.output().map_err(|error| format!("{}: {error}", needs.join(" ")))?;
        if !output.status.success() {
            return Err(format!("{}: {}", needs.join(" "), String::from_utf8_lossy(&output.stderr).trim()));
        }
    }
    if name == BUILT || is_written_anew() {
        return Ok(());
    }
    let own = saved_in(folder).into_iter().next().ok_or("no description that probe has saved")?;
    let entry = SupervisorEntry::read(&folder.join(own)).map_err(|error| error.to_string())?;
    real::installed(&entry.supervisor)
}

fn is_written_anew() -> bool {
    std::env::var("HOLDLINE_WRITE_EXAMPLES").is_ok_and(|value| value == "1")
}

fn holds(folder: &Path, page: &str) -> Result<(), Failed> {
    if is_written_anew() {
        let _alone = alone();
        return write_anew(folder, page);
    }
    let mut came = {
        let _beside = beside_others();
        run_all(folder, page)
    };
    for _ in 0..RETRIES {
        if came.is_err() {
            let _alone = alone();
            came = run_all(folder, page);
        }
    }
    came
}

fn run_all(folder: &Path, page: &str) -> Result<(), Failed> {
    let copy = Copied::of(folder)?;
    for told in told_by(page) {
        let output = copy.run(&told.line)?;
        // A step that tells nothing makes a probe inconclusive; which steps must tell something, the page says.
        let is_told_by_steps = told.printed.is_some() && output.status.code() == Some(INCONCLUSIVE.into());
        if !output.status.success() && !is_told_by_steps {
            return Err(failed(&told.line, &output));
        }
        if let Some(printed) = &told.printed {
            let (page, now) = (costs_of(printed), copy.costs()?);
            if page.len() < 4 || page != now {
                return Err(format!("`{}`: the page has {page:?}, and now it is {now:?}", told.line).into());
            }
        }
    }
    let (there, saved) = (saved_in(folder), saved_in(&copy.folder()));
    if there.is_empty() || there != saved {
        return Err(format!("descriptions that probe has saved: {there:?}, and now {saved:?}").into());
    }
    for name in there {
        if std::fs::read(folder.join(&name))? != std::fs::read(copy.folder().join(&name))? {
            return Err(format!("{} is not what probe saves now", name.display()).into());
        }
    }
    Ok(())
}

fn write_anew(folder: &Path, page: &str) -> Result<(), Failed> {
    let copy = Copied::of(folder)?;
    let mut text = page.to_owned();
    for told in told_by(page) {
        let output = copy.run(&told.line)?;
        if !output.status.success() {
            return Err(failed(&told.line, &output));
        }
        let output = String::from_utf8(output.stdout)?;
        let now = output.trim_start().split("\nthe description that was used").next().unwrap_or_default();
        if let Some(printed) = told.printed {
            text = text.replacen(&printed, &format!("{}\n", now.trim_end()), 1);
        }
    }
    for name in saved_in(&copy.folder()) {
        std::fs::create_dir_all(folder.join(&name).parent().ok_or("no folder")?)?;
        std::fs::copy(copy.folder().join(&name), folder.join(&name))?;
    }
    Ok(std::fs::write(folder.join("README.md"), text)?)
}

/// Descriptions in a folder that probe has saved, by their paths from there.
fn saved_in(folder: &Path) -> Vec<PathBuf> {
    let below = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let names = below.map(|name| Path::new(&name).join(DESCRIPTION)).chain([DESCRIPTION.into()]);
    let is_saved =
        |name: &PathBuf| std::fs::read_to_string(folder.join(name)).is_ok_and(|text| text.starts_with(SAVED));
    let mut saved: Vec<PathBuf> = names.filter(is_saved).collect();
    saved.sort();
    saved
}

/// The commands of a page, each with the text that follows before the next one.
fn told_by(page: &str) -> Vec<Told> {
    let mut all: Vec<Told> = Vec::new();
    for (index, block) in page.split("```").enumerate() {
        let Some((language, text)) = block.split_once('\n').filter(|_| index % 2 == 1) else { continue };
        match (language, all.last_mut()) {
            ("sh", _) => {
                let lines = text.lines().filter(|line| line.starts_with("holdline "));
                all.extend(lines.map(|line| Told { line: line.to_owned(), printed: None }));
            }
            ("text", Some(last)) => last.printed = Some(text.to_owned()),
            _ => {}
        }
    }
    all
}

/// What each step of a printed table costs.
fn costs_of(printed: &str) -> BTreeMap<String, Costs> {
    let rows = printed.lines().skip(1).take_while(|line| !line.is_empty());
    let cells = rows.filter_map(|row| Some((row.split_whitespace().next()?, row.split_whitespace().last()?)));
    // What nobody listens to any more has no grade.
    cells.map(|(step, grade)| (step.to_owned(), grade.parse().map_or(Costs::NotKnown, costs))).collect()
}

fn costs(grade: Grade) -> Costs {
    match grade {
        Grade::Held | Grade::Delayed => Costs::Nothing,
        Grade::Lossy => Costs::Some,
        Grade::Down => Costs::All,
        Grade::Unsupported | Grade::Inconclusive => Costs::NotKnown,
    }
}

/// A copy of a folder, and of the scenario beside it, in which commands may leave what they will.
struct Copied {
    place: TempDir,
    path: OsString,
}

impl Copied {
    fn of(folder: &Path) -> Result<Self, Failed> {
        // Not in /tmp, of which a trial sees the description's folder alone, and not what is above it.
        let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        std::fs::create_dir(place.path().join("service"))?;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let to = place.path().join("service").join(entry.file_name());
            if entry.file_name() == "node_modules" {
                std::os::unix::fs::symlink(entry.path().canonicalize()?, to)?;
            } else if entry.path().is_file() && entry.file_name() != DESCRIPTION {
                std::fs::copy(entry.path(), to)?;
            }
        }
        std::fs::copy(folder.join("../reload.toml"), place.path().join("reload.toml"))?;
        let mut first =
            vec![Path::new(env!("CARGO_BIN_EXE_holdline")).parent().ok_or("no folder")?.to_owned()];
        if folder.file_name().is_some_and(|name| name == BUILT) {
            first.push(built(folder)?);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(first.into_iter().chain(std::env::split_paths(&path)))?;
        Ok(Self { place, path })
    }

    fn folder(&self) -> PathBuf {
        self.place.path().join("service")
    }

    /// Runs a line of a page.
    fn run(&self, line: &str) -> Result<Output, Failed> {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.folder()).env("PATH", &self.path).env("NO_COLOR", "1");
        Ok(command.output()?)
    }

    /// What each step of the probe that was just run costs.
    fn costs(&self) -> Result<BTreeMap<String, Costs>, Failed> {
        let result = read_result(&self.folder().join("holdline-out/latest/run.json"));
        let trials = result.trials.into_iter();
        Ok(trials
            .map(|trial| {
                let is_graded = trial.scenario != holdline::probe::STOPPED;
                let costs = if is_graded { costs(trial.grade) } else { Costs::NotKnown };
                (trial.scenario, costs)
            })
            .collect())
    }
}

fn failed(line: &str, output: &Output) -> Failed {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    format!("`{line}` ended with {}:\n{said}\n{errors}", output.status).into()
}

/// The folder of the service's program, once it is built.
fn built(folder: &Path) -> Result<PathBuf, Failed> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(BUILT);
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--locked"]).current_dir(folder).env("CARGO_TARGET_DIR", &target);
    match command.status()?.success() {
        true => Ok(target.join("debug")),
        false => Err("it could not be built".into()),
    }
}
