//! Selections that are run until they are conclusive, and what a trial's files say.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use holdline_model::reason::Reason;
use holdline_model::record::{Afterwards, Ending};
use holdline_model::result::{RunResult, TrialResult};
use holdline_model::words::{Blame, Fate, Grade};

pub(crate) use crate::common::Place;
use crate::common::read_result;
use crate::lag::lagged;
pub(crate) use crate::neighbours::{alone, beside_others};

impl Place {
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a folder");
        }
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// Runs holdline, which measures something, beside others.
    #[track_caller]
    pub(crate) fn measure(&self, arguments: &[&str]) -> Output {
        let _beside = beside_others();
        self.holdline(arguments).output().expect("holdline runs")
    }
}

/// The result in a run directory.
pub(crate) fn result(dir: &Path) -> RunResult {
    read_result(&dir.join("run.json"))
}

/// Measures beside others, and what then differs from what is expected again alone, and that counts. What measures runs
/// its commands by [`Place::measure`], so that who waits to be alone waits for one of them and not for all.
pub(crate) fn beside_then_alone(measure: fn()) {
    if std::panic::catch_unwind(measure).is_err() {
        let _exclusive = alone();
        measure();
    }
}

/// How often what was in doubt is measured again, with nobody beside it.
const RETRIES: u32 = 4;

/// Runs a selection until no trial is inconclusive: first beside others, then alone. On a machine that is busy with
/// other tests the generator may lag, or requests wait, and holdline then rightly refuses to judge.
#[track_caller]
pub(crate) fn conclusive(place: &Place, arguments: &[&str]) -> (Output, RunResult) {
    let beside = {
        let _shared = beside_others();
        run_once(place, arguments, 0)
    };
    beside.unwrap_or_else(|_| {
        let _exclusive = alone();
        settled(place, arguments)
    })
}

/// The same where the test has seen to its neighbours.
#[track_caller]
pub(crate) fn conclusive_at_once(place: &Place, arguments: &[&str]) -> (Output, RunResult) {
    run_once(place, arguments, 0).unwrap_or_else(|_| settled(place, arguments))
}

#[track_caller]
fn settled(place: &Place, arguments: &[&str]) -> (Output, RunResult) {
    let mut last = None;
    for round in 1..=RETRIES {
        match run_once(place, arguments, round) {
            Ok(conclusive) => return conclusive,
            Err(doubts) => last = Some(doubts),
        }
    }
    panic!("inconclusive: {last:#?}");
}

/// What was in doubt, and why.
type Doubts = Vec<(String, Option<String>)>;

/// Runs it once. Only a machine that was too busy is an excuse.
#[track_caller]
fn run_once(place: &Place, arguments: &[&str], round: u32) -> Result<(Output, RunResult), Doubts> {
    let out = format!("out-{round}");
    let mut all = vec!["run", "--out", &out];
    all.extend(arguments);
    let output = place.holdline(&all).output().expect("holdline runs");
    let run = result(&place.path(&out));
    let doubtful: Vec<&TrialResult> =
        run.trials.iter().filter(|trial| trial.grade == Grade::Inconclusive).collect();
    let reasons: Doubts =
        doubtful.iter().map(|trial| (trial.supervisor.clone(), trial.reason.clone())).collect();
    let was_late = |trial: &TrialResult| matches!(trial.why, Some(Reason::BeforeFault { lost: 0, .. }));
    let is_excused = doubtful.iter().all(|trial| lagged(trial) || was_late(trial));
    assert!(is_excused, "inconclusive: {reasons:#?}");
    if doubtful.is_empty() { Ok((output, run)) } else { Err(reasons) }
}

/// The one trial of a supervisor in a run.
#[track_caller]
pub(crate) fn of<'a>(run: &'a RunResult, supervisor: &str) -> &'a TrialResult {
    run.trials.iter().find(|trial| trial.supervisor == supervisor).expect("a trial of this supervisor")
}

/// What a trial's files say of an attempt.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Row {
    pub(crate) attempt: u32,
    pub(crate) intended_ns: i64,
    pub(crate) started_ns: u64,
    pub(crate) accepted_ns: Option<u64>,
    pub(crate) finished_ns: u64,
    pub(crate) fate: Fate,
    pub(crate) blame: Option<Blame>,
    pub(crate) requests_answered: u64,
    pub(crate) carried_by: Option<u32>,
    pub(crate) retried: Option<Ending>,
    pub(crate) afterwards: Option<Afterwards>,
}

/// A trial's files.
pub(crate) struct Files {
    pub(crate) attempts: Vec<Row>,
    events: Vec<serde_json::Value>,
}

impl Files {
    /// Reads the files of a trial of the run that was made last in this place.
    pub(crate) fn of(output: &Output, trial: &TrialResult) -> Self {
        let shown = stdout(output);
        let out = shown.lines().find_map(|line| line.strip_prefix("run directory: ")).expect("its line");
        let folder = Path::new(out).join(&trial.folder);
        let file = std::fs::File::open(folder.join("attempts.csv.gz")).expect("attempts");
        let mut csv = csv::Reader::from_reader(flate2::read::GzDecoder::new(file));
        let events = std::fs::read_to_string(folder.join("events.jsonl")).expect("events");
        Self {
            attempts: csv.deserialize().map(|row| row.expect("a row")).collect(),
            events: events.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect(),
        }
    }

    /// When the worker of this generation could accept, from the start of the load; negative
    /// before it; `None`: it never could.
    pub(crate) fn ready_ns(&self, generation: u64) -> Option<i128> {
        let ready = self.events.iter().find(|e| e["kind"] == "ready" && e["generation"] == generation)?;
        Some(i128::from(ready["at_ns"].as_i64().expect("an instant")))
    }
}

/// Whether a program that some tests ask is there. Where all must be (HOLDLINE_REQUIRE_SUPERVISORS=1), it is a failure
/// that one is not.
pub(crate) fn is_installed(program: &str) -> bool {
    let is_there = std::process::Command::new(program).arg("--version").output();
    let is_there = is_there.is_ok_and(|output| output.status.success());
    let must_be = std::env::var("HOLDLINE_REQUIRE_SUPERVISORS").is_ok_and(|value| value == "1");
    assert!(is_there || !must_be, "{program} is not installed");
    is_there
}

/// Standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output as text.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits for something that must come about, for a minute at the most.
#[track_caller]
pub(crate) fn wait_until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited for a minute until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Processes whose environment holds the marker.
pub(crate) fn processes_with(marker: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let marked = |path: &Path| {
        std::fs::read(path.join("environ"))
            .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(marker))
    };
    entries
        .map(|entry| entry.path())
        .filter(|path| marked(path))
        .map(|path| path.display().to_string())
        .collect()
}

/// Where every program may leave files.
pub(crate) const COMMON: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// The description of a supervisor that the script `run.sh` beside it starts as a held-socket: with the work
/// folder, and the held-socket's command.
pub(crate) fn held_socket_from(name: &str) -> String {
    format!(
        "name = \"{name}\"\nabout = \"for this test\"\n\
         socket = {{ holder = \"supervisor\", passing = \"stdin\" }}\n\
         start = [\"sh\", \"{{source}}/run.sh\", \"{{dir}}\", \"{{holdline}}\", \"__supervise\", \"held-socket\", \
         \"--address\", \"{{address}}\", \"--workers\", \"{{workers}}\", \"--\", \"{{worker}}\"]\n"
    )
}

/// The top of a hierarchy of cgroups in which this test may make groups.
pub(crate) fn cgroup_tree() -> Option<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let may_make = |tree: &Path| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mine = tree.join(format!("holdline-test-{}-{number}", std::process::id()));
        std::fs::create_dir(&mine).and_then(|()| std::fs::remove_dir(&mine)).is_ok()
    };
    let trees = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new).into_iter();
    trees.filter(|tree| tree.join("cgroup.procs").exists()).find(|tree| may_make(tree)).map(Path::to_owned)
}
