//! `holdline merge`: the parts of a run as one, with all their files.

use std::io;
use std::path::Path;

use holdline_model::merge::{Merged, Part, merge};
use holdline_model::result::RunResult;
use holdline_reports::table;

use super::args::MergeArgs;
use super::measure;
use super::outcome::exit_code;
use super::terminal::{self, print, say};
use crate::exit::{self, Failure};
use crate::export::{Exports, Texts};
use crate::joint::{self, LeftOut};
use crate::rundir::{self, RunDir};

/// Joins runs into a new run directory.
pub(super) fn main(args: &MergeArgs) -> Result<u8, Failure> {
    let names: Vec<String> = args.dirs.iter().map(|dir| dir.display().to_string()).collect();
    let load = |dir: &std::path::PathBuf| rundir::load(dir).map_err(Failure::usage);
    let runs: Vec<RunResult> = args.dirs.iter().map(load).collect::<Result<_, _>>()?;
    let parts: Vec<Part<'_>> = names.iter().zip(&runs).map(|(name, run)| Part { name, run }).collect();
    let merged = merge(&parts).map_err(Failure::usage)?;
    for [name, what, first, other] in &merged.differs {
        say(&format!("note: {what} differs: {first} in {}, {other} in {name}", names[0]));
    }
    for missing in &merged.missing {
        say(&format!("note: {missing} is missing"));
    }
    let dir = RunDir::create(&args.out)?;
    let exports = match Exports::open(args.exports.wanted(), Some(dir.path())) {
        Ok(exports) => exports,
        Err(error) => {
            dir.discard();
            return Err(error.into());
        }
    };
    let run = keep(args, merged, &dir)?;
    dir.save(&run)?;
    for LeftOut { path, why } in joint::write(&dir, &run)? {
        say(&format!("note: the latencies of {} are in no joint histogram: {why}", path.display()));
    }
    let texts = Texts::of_run(&run, Some(dir.path()));
    measure::write_reports(&dir, &texts)?;
    let takes_stdout = exports.take_stdout();
    exports.write(&texts, print)?;
    if !takes_stdout {
        let style = terminal::style(args.color);
        print(&table::terminal(&run, &style))?;
        print(&format!("run directory: {}\n", dir.path().display()))?;
    }
    Ok(match exit_code(&run) {
        exit::PASS | exit::NOTHING_SELECTED if !run.complete => exit::INCONCLUSIVE,
        code => code,
    })
}

/// Copies the files of all trials, in the order of the merged run.
fn keep(args: &MergeArgs, merged: Merged, dir: &RunDir) -> Result<RunResult, Failure> {
    let Merged { mut run, from, .. } = merged;
    for (index, (trial, part)) in run.trials.iter_mut().zip(from).enumerate() {
        let dir_of_part = &args.dirs[part];
        let dir_of_part = if dir_of_part.is_dir() { dir_of_part.as_path() } else { parent(dir_of_part) };
        let source = dir_of_part.join(&trial.folder);
        let name = format!("{index:04}-{}-{}", trial.scenario.replace('/', "-"), trial.supervisor);
        let is_recorded = !trial.folder.is_empty() && source.is_dir();
        let folder = rundir::trial_folder(dir.path(), &name)?;
        if is_recorded {
            copy(&source, &dir.path().join(&folder)).map_err(|error| {
                Failure::environment(format!("failed to copy {}: {error}", source.display()))
            })?;
        } else {
            say(&format!("note: {} has no files of this trial any more", source.display()));
        }
        trial.folder = folder;
    }
    Ok(run)
}

fn parent(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else if entry.file_type()?.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(entry.path())?, target)?;
        } else if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
