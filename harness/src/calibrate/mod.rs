//! Calibration: the proof that holdline measures right, on this machine.
//!
//! A planted server fails in known ways, a known number of times. It is run through the same trial
//! as any supervisor, and what the trial reports must be exactly what was planted.

pub mod plant;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use holdline_model::result::TrialResult;
use holdline_model::scenario;
use holdline_model::summary::TrialName;
use holdline_model::supervisor::WorkerKind;
use holdline_model::words::{Fate, Isolation};
use tokio::sync::watch;

use crate::sandbox::{SandboxSpec, WorkFolder};
use crate::trial::outer::{self, Ended};
use crate::trial::{FileText, SourceSpec, TrialSpec};

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

const CASES: [Case; 4] = [
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

/// Runs every planted server.
///
/// # Errors
///
/// If a trial cannot be run at all.
pub fn run(isolation: Isolation) -> Result<Calibration> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let mut lines = Vec::new();
    for case in &CASES {
        let result = runtime.block_on(trial(case, isolation))?;
        if let Some(reason) = &result.reason
            && result.grade == holdline_model::words::Grade::Inconclusive
        {
            bail!("the calibration against `{}` is inconclusive: {reason}", case.name);
        }
        lines.extend(case.planted.iter().map(|planted| {
            Line {
                case: case.name.to_owned(),
                what: planted.what.to_owned(),
                planted: planted.how_many,
                reported: (isolation == Isolation::Full || !planted.reading.needs_namespace())
                    .then(|| planted.reading.read(&result)),
            }
        }));
    }
    Ok(Calibration { lines })
}

async fn trial(case: &Case, isolation: Isolation) -> Result<TrialResult> {
    let folder = tempfile::tempdir().context("failed to create a temporary directory")?;
    let work = WorkFolder::create()?;
    let origin = format!("calibration/{}.toml", case.name);
    scenario::parse(case.scenario, &origin)?;
    let spec = TrialSpec {
        name: TrialName { supervisor: "planted".into(), scenario: case.name.into(), ..TrialName::default() },
        seed: 1,
        scenario: FileText { text: case.scenario.to_owned(), origin },
        supervisor: FileText {
            text: description(case.name),
            origin: "calibration/supervisor.toml".to_owned(),
        },
        source: SourceSpec::Folder(PathBuf::from("/")),
        worker: WorkerKind::Rust,
        sandbox: SandboxSpec {
            isolation,
            work: work.path().to_owned(),
            private: Vec::new(),
            sysctls: Default::default(),
            real_root: false,
            connection_table: None,
            keep: vec![folder.path().to_owned()],
            lifeline: Some(0),
        },
        folder: folder.path().to_owned(),
        executable: std::env::current_exe().context("failed to find holdline's own executable")?,
    };
    let (_stop, stopped) = watch::channel(false);
    match outer::run(&spec, stopped, |_| {}).await? {
        Ended::Result(result) => Ok(*result),
        Ended::Failed { reason, .. } => bail!("the calibration against `{}` failed: {reason}", case.name),
    }
}

fn description(case: &str) -> String {
    format!(
        r#"
name = "planted"
about = "A server with planted faults"
reference = true
runs = ["command"]
socket = {{ holder = "supervisor", passing = "own" }}
start = ["{{holdline}}", "__plant", "{case}", "--home", "{{dir}}/w", "--address", "{{address}}", "--backlog", "{{backlog}}"]
"#
    )
}
