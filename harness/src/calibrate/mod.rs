//! Calibration: the proof that holdline measures right, on this machine.
//!
//! A planted server fails in known ways, a known number of times. It is run through the same trial
//! as any supervisor, and what the trial reports must be exactly what was planted.

pub mod plant;

use std::fmt;
use std::io;
use std::path::PathBuf;

use holdline_model::file::FileError;
use holdline_model::plan::TrialPlan;
use holdline_model::result::TrialResult;
use holdline_model::scenario::Scenario;
use holdline_model::words::{Fate, Grade, Isolation};

use crate::catalogue::{ScenarioEntry, Source, SupervisorEntry};
use crate::run::{Event, Options, Plan, RunError, Runner};
use crate::sandbox::IsolationChoice;

/// A calibration that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// Its trials' files have no place.
    #[error("failed to create a temporary directory: {0}; TMPDIR names another folder for temporary files")]
    Temporary(io::Error),
    /// A planted server's own file is wrong.
    #[error(transparent)]
    File(#[from] Box<FileError>),
    /// Its trials could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A trial ended without a result to compare.
    #[error("the calibration against `{case}` is {grade}: {reason}")]
    NoResult {
        /// Which planted server.
        case: String,
        /// What its trial ended as.
        grade: Grade,
        /// Why.
        reason: String,
    },
    /// It was interrupted.
    #[error("the calibration was interrupted")]
    Interrupted,
}

/// One planted server, and what must be reported of it.
struct Case {
    name: &'static str,
    scenario: &'static str,
    planted: &'static [Planted],
}

/// Something that was planted.
#[derive(Debug, Clone, Copy)]
struct Planted {
    what: &'static str,
    how_many: u64,
    reading: Reading,
}

/// Where a trial's result says how often it happened.
#[derive(Debug, Clone, Copy)]
enum Reading {
    Fate(Fate),
    Late,
    /// Lost, and safe to send again.
    SafeToRetry,
    /// Drops that the kernel counted in the namespace.
    ListenDrops,
    /// Drops that it counted for that very listener.
    ListenerDrops,
    ListenOverflows,
    QueueMax,
    ListenersClosed,
}

const fn planted(what: &'static str, how_many: u64, reading: Reading) -> Planted {
    Planted { what, how_many, reading }
}

const CASES: [Case; 5] = [
    Case {
        name: "replies",
        scenario: include_str!("replies.toml"),
        planted: &[
            planted("answered right and in time, or late", plant::SERVED, Reading::Fate(Fate::Served)),
            planted("answered after the deadline", plant::LATE, Reading::Late),
            planted(
                "accepted, then closed or reset",
                plant::CLOSED + plant::RESET,
                Reading::Fate(Fate::NoReply),
            ),
            planted("replies cut short", plant::TRUNCATED, Reading::Fate(Fate::Truncated)),
            planted("wrong answers", plant::WRONG, Reading::Fate(Fate::WrongReply)),
            planted("never answered", plant::SILENT, Reading::Fate(Fate::TimedOut)),
        ],
    },
    Case {
        name: "statuses",
        scenario: include_str!("statuses.toml"),
        planted: &[
            planted("answered right, over HTTP", plant::RIGHT_STATUS, Reading::Fate(Fate::Served)),
            planted("complete, with a status of failure", plant::FAILED, Reading::Fate(Fate::ErrorReply)),
            planted("of these, safe to send again (503)", plant::TURNED_AWAY, Reading::SafeToRetry),
            planted("wrong answers with status 200", plant::WRONG_BODY, Reading::Fate(Fate::WrongReply)),
        ],
    },
    Case {
        name: "refuse",
        scenario: include_str!("refuse.toml"),
        planted: &[
            planted("answered before the listener closed", 12, Reading::Fate(Fate::Served)),
            planted("refused", 8, Reading::Fate(Fate::Refused)),
            planted("listeners closed", 1, Reading::ListenersClosed),
        ],
    },
    Case {
        name: "reset-queue",
        scenario: include_str!("reset-queue.toml"),
        planted: &[
            planted("answered before the listener closed", 8, Reading::Fate(Fate::Served)),
            planted("reset in the queue", 8, Reading::Fate(Fate::QueueReset)),
            planted("longest queue", 8, Reading::QueueMax),
        ],
    },
    Case {
        name: "overflow",
        scenario: include_str!("overflow.toml"),
        planted: &[
            planted("queued, never accepted", 5, Reading::Fate(Fate::TimedOut)),
            planted("SYNs dropped", 7, Reading::Fate(Fate::SynDropped)),
            planted("longest queue", 5, Reading::QueueMax),
            planted("drops that the listener counted", 7, Reading::ListenerDrops),
            planted("drops that the kernel counted", 7, Reading::ListenDrops),
            planted("overflows that the kernel counted", 7, Reading::ListenOverflows),
        ],
    },
];

impl Reading {
    /// Whether it is read from counters that belong to the trial only with a namespace of its own.
    const fn needs_namespace(self) -> bool {
        matches!(self, Self::ListenDrops | Self::ListenOverflows)
    }

    fn read(self, result: &TrialResult) -> u64 {
        match self {
            Self::Fate(fate) => result.fates.get(&fate).copied().unwrap_or(0),
            Self::Late => result.strip.iter().map(|bucket| bucket.late).sum(),
            Self::SafeToRetry => result.safe_to_retry,
            Self::ListenDrops => result.kernel.listen_drops,
            // Not known is never what was planted.
            Self::ListenerDrops => result.kernel.listener_drops().unwrap_or(u64::MAX),
            Self::ListenOverflows => result.kernel.listen_overflows,
            Self::QueueMax => result.kernel.queue_max.into(),
            Self::ListenersClosed => result.kernel.listeners_closed.into(),
        }
    }
}

/// What the calibration found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calibration {
    /// One line for everything that was planted.
    pub lines: Vec<Line>,
}

/// Planted against reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which planted server.
    pub case: String,
    /// What was planted.
    pub what: String,
    /// How often.
    pub planted: u64,
    /// What was reported; `None`: it cannot be measured without a network namespace.
    pub reported: Option<u64>,
}

impl Calibration {
    /// Whether everything was reported exactly as it was planted.
    #[must_use]
    pub fn is_right(&self) -> bool {
        !self.lines.is_empty() && self.lines.iter().all(|l| l.reported.is_none_or(|r| r == l.planted))
    }
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:12} {:38} {:>8} {:>9}", "server", "what", "planted", "reported")?;
        for line in &self.lines {
            let reported = line.reported.map_or_else(|| "–".to_owned(), |reported| reported.to_string());
            let mark = match line.reported {
                None => "not measured without a network namespace",
                Some(reported) if reported == line.planted => "ok",
                Some(_) => "WRONG",
            };
            writeln!(f, "{:12} {:38} {:>8} {reported:>9}  {mark}", line.case, line.what, line.planted)?;
        }
        let verdict =
            if self.is_right() { "holdline measures right here" } else { "holdline measures wrongly here" };
        writeln!(f, "\n{verdict}: {} planted facts", self.lines.len())
    }
}

/// Plans a trial of every planted server.
///
/// # Errors
///
/// The isolation that was asked for cannot be had.
pub fn plan(isolation: IsolationChoice) -> Result<Plan, CalibrationError> {
    plan_of(isolation, 1)
}

/// Whether so many trials that run side by side report exactly what was planted: as many of each planted server as there
/// are to be side by side.
///
/// # Errors
///
/// As [`plan`] and [`run`], but that a trial is in doubt.
pub fn is_right_side_by_side(isolation: IsolationChoice, jobs: u32) -> Result<bool, CalibrationError> {
    let plan = plan_of(isolation, jobs)?.side_by_side(jobs, true);
    match run(&plan) {
        Ok(calibration) => Ok(calibration.is_right()),
        Err(CalibrationError::NoResult { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn plan_of(isolation: IsolationChoice, repetitions: u32) -> Result<Plan, CalibrationError> {
    let entries = CASES.iter().map(|case| {
        let scenario =
            ScenarioEntry::parse(case.scenario.to_owned(), format!("calibration/{}.toml", case.name))?;
        let origin = format!("calibration/{}/supervisor.toml", case.name);
        let supervisor =
            SupervisorEntry::parse(description(case.name), origin, Source::Folder(PathBuf::from("/")))?;
        Ok((scenario, supervisor))
    });
    let entries: Vec<(ScenarioEntry, SupervisorEntry)> = entries.collect::<Result<_, Box<FileError>>>()?;
    let each = (0..repetitions).flat_map(|repetition| entries.iter().map(move |entry| (repetition, entry)));
    let trials =
        (0..).zip(each).map(|(index, (repetition, (ScenarioEntry { scenario, .. }, supervisor)))| {
            let Scenario { name, .. } = scenario;
            let supervisor = supervisor.supervisor.name.clone();
            TrialPlan { index, supervisor, scenario: name.clone(), repetition, seed: 1 }
        });
    let trials = trials.collect();
    let (scenarios, supervisors) = entries.into_iter().unzip();
    Ok(Plan::new(scenarios, supervisors, trials, Options { seed: 1, isolation, ..Options::default() })?)
}

/// Runs every planted server.
///
/// # Errors
///
/// If a trial cannot be run at all, or is in doubt.
pub fn run(plan: &Plan) -> Result<Calibration, CalibrationError> {
    let folder = tempfile::tempdir().map_err(CalibrationError::Temporary)?;
    let mut lines = Vec::new();
    let mut compare = |event: &Event<'_>| {
        if let Event::TrialEnded { trial, .. } = event
            && let Some(case) = CASES.iter().find(|case| trial.supervisor == case.supervisor())
        {
            lines.extend(case.compare(trial, plan.isolation())?);
        }
        Ok(())
    };
    let ended = Runner::new(plan, folder.path())?.run(&mut [&mut compare]);
    if ended.map_err(unwrapped)?.interrupted {
        return Err(CalibrationError::Interrupted);
    }
    Ok(Calibration { lines })
}

/// What a sink of ours failed with.
fn unwrapped(error: RunError) -> CalibrationError {
    match error {
        RunError::Sink(error) => match error.downcast::<CalibrationError>() {
            Ok(ours) => *ours,
            Err(other) => RunError::Sink(other).into(),
        },
        other => other.into(),
    }
}

impl Case {
    /// The planted server's name, as a supervisor.
    fn supervisor(&self) -> String {
        format!("planted-{}", self.name)
    }

    /// Planted against reported, a line each.
    fn compare(&self, result: &TrialResult, isolation: Isolation) -> Result<Vec<Line>, CalibrationError> {
        if let (Grade::Inconclusive | Grade::Unsupported, Some(reason)) = (result.grade, &result.reason) {
            let (case, reason) = (self.name.to_owned(), reason.clone());
            return Err(CalibrationError::NoResult { case, grade: result.grade, reason });
        }
        let lines = self.planted.iter().map(|planted| Line {
            case: self.name.to_owned(),
            what: planted.what.to_owned(),
            planted: planted.how_many,
            reported: (isolation == Isolation::Full || !planted.reading.needs_namespace())
                .then(|| planted.reading.read(result)),
        });
        Ok(lines.collect())
    }
}

fn description(case: &str) -> String {
    format!(
        r#"
name = "planted-{case}"
about = "A server with planted faults"
reference = true
runs = ["command"]
socket = {{ holder = "supervisor", passing = "own" }}
start = ["{{holdline}}", "__plant", "{case}", "--home", "{{dir}}/w", "--address", "{{address}}", "--backlog", "{{backlog}}"]
"#
    )
}
