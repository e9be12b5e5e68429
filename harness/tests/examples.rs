//! The services of `examples/`: each serves what it is asked, and gets the grades that its description expects;
//! and what their pages say to do comes out as it stands there.
//!
//! A service that is not installed is ignored, unless HOLDLINE_REQUIRE_SUPERVISORS=1 makes that a failure.

mod common;
#[path = "common/lag.rs"]
mod lag;
#[path = "common/neighbours.rs"]
mod neighbours;
#[path = "examples/pages.rs"]
mod pages;
#[path = "common/real.rs"]
mod real;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use common::{Place, read_result};
use holdline::catalogue::SupervisorEntry;
use holdline_model::result::TrialResult;
use holdline_model::words::Fate;
use libtest_mimic::{Arguments, Failed, Trial};

/// How often a trial is run anew that does not get its grade: the machine may have been busy.
const RETRIES: usize = 3;

/// Nothing is done to the service, which serves all.
const STEADY: &str = "name = \"steady\"\nasks = \"Is all served?\"\n[load]\narrivals = { sequential = \"5ms\" }\n\
                      attempts = 60\ndeadline = \"5s\"\n";

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(arguments.test_threads.unwrap_or(pages::SIDE_BY_SIDE));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let entries =
        std::fs::read_dir(folder).expect("the examples").map(|entry| entry.expect("an entry").path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    // Pages first: they take longer.
    let pages = folders.iter().filter_map(|folder| pages::test(folder));
    let services = folders.iter().filter(|folder| is_written_by_hand(folder)).cloned().map(test);
    libtest_mimic::run(&arguments, pages.chain(services).collect()).exit_code()
}

/// Whether a description is none that `probe` saved: pages have those.
fn is_written_by_hand(folder: &Path) -> bool {
    let text = std::fs::read_to_string(folder.join("supervisor.toml"));
    text.is_ok_and(|text| !text.starts_with(pages::SAVED))
}

fn test(folder: PathBuf) -> Trial {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Trial::ignorable_test(format!("examples::{name}"), move || {
        let entry = SupervisorEntry::read(&folder).map_err(|error| error.to_string())?;
        real::if_installed(&entry.supervisor, || {
            serves_all(&folder)?;
            gets_its_grades(&folder, &entry)
        })
    })
}

fn beside_others(scenario: &str, folder: &Path) -> Result<TrialResult, Failed> {
    let _beside = neighbours::beside_others();
    run(scenario, folder)
}

fn serves_all(folder: &Path) -> Result<(), Failed> {
    let trial = beside_others("./steady.toml", folder)?;
    match trial.fates.get(&Fate::Served) {
        Some(60) => Ok(()),
        served => Err(format!("{served:?} of 60 were served: {:?} {:?}", trial.losses, trial.reason).into()),
    }
}

fn gets_its_grades(folder: &Path, entry: &SupervisorEntry) -> Result<(), Failed> {
    for (scenario, expected) in &entry.supervisor.expected {
        let mut trial = beside_others(scenario, folder)?;
        for _ in 0..RETRIES {
            if trial.grade != *expected || lag::lagged(&trial) {
                let _alone = neighbours::alone();
                trial = run(scenario, folder)?;
            }
        }
        if trial.grade != *expected || !trial.books.is_balanced() {
            let TrialResult { grade, losses, reason, books, .. } = trial;
            return Err(
                format!("{grade} in {scenario}, expected {expected}: {losses:?} {reason:?} {books}").into()
            );
        }
    }
    Ok(())
}

fn run(scenario: &str, folder: &Path) -> Result<TrialResult, Failed> {
    let place = Place::new();
    std::fs::write(place.path("steady.toml"), STEADY)?;
    let service = folder.to_str().ok_or("a path that is not UTF-8")?;
    let arguments = ["run", scenario, "-s", service, "--out", "out", "--show-progress", "none"];
    let output = place.holdline(&arguments).output()?;
    let run = place.path("out").join("run.json");
    if !run.exists() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    read_result(&run).trials.pop().ok_or_else(|| "no trial".into())
}
