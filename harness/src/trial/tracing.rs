//! Following the system calls of a trial's processes: the runner's side of `holdline __trace` (`crate::trace`).

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use holdline_contract::clock::now_ns;
use holdline_model::bounds;
use holdline_model::conductor::{Event, Hit};
use holdline_model::scenario::{Scenario, Trigger};
use holdline_model::sweep::SweepTarget;
use nix::errno::Errno;
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use super::TraceSpec;
use super::process::Supervised;
use super::record::Told;
use super::stage::Stage;
use crate::proc;
use crate::trace::{Answer, Held, Hold, Orders, Page, Span, Traced};

/// What was traced, in the trial's folder.
pub const CALLS_JSON: &str = "calls.json";

/// What it takes to trace.
pub(crate) const TRACING_NEEDS: &str = "kernel.yama.ptrace_scope below 3 with --isolation full, or 0, or CAP_SYS_PTRACE, \
                                        and a seccomp profile that allows ptrace (docker: --cap-add SYS_PTRACE)";

/// Why nobody can be traced.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The kernel does not permit it.
    #[error(
        "tracing is not permitted here (ptrace of process {pid}: {errno}{}); it needs {}",
        yama(.scope.as_deref()),
        TRACING_NEEDS
    )]
    NotPermitted {
        /// Whom.
        pid: u32,
        /// What it says.
        errno: Errno,
        /// The value of kernel.yama.ptrace_scope, where there is one.
        scope: Option<String>,
    },
    /// There is nobody.
    #[error("no {target} waits for requests, whose system calls could be followed")]
    Nobody {
        /// Of whom.
        target: SweepTarget,
    },
    /// The tracer said nothing.
    #[error("the process that traces ended without an answer")]
    Silent,
    /// Those who would be traced are not known to be the trial's own.
    #[error("{0}")]
    Foreign(String),
    /// There is no tracer.
    #[error("failed to start the process that traces")]
    Start(#[source] io::Error),
    /// It cannot be told what strikes.
    #[error("failed to make the page by which the process that traces knows what has struck")]
    Page(#[source] io::Error),
    /// It cannot be spoken to.
    #[error("failed to speak to the process that traces")]
    Speak(#[from] io::Error),
    /// It says what nobody understands.
    #[error("failed to understand the process that traces")]
    Syntax(#[from] serde_json::Error),
}

impl TraceError {
    /// Whether it is so for every trial on this machine.
    pub(super) const fn is_fatal(&self) -> bool {
        matches!(self, Self::NotPermitted { .. })
    }
}

fn yama(scope: Option<&str>) -> String {
    scope.map_or_else(String::new, |scope| format!(", kernel.yama.ptrace_scope is {}", scope.trim()))
}

/// A tracer that has attached.
pub(super) struct Tracer {
    spec: TraceSpec,
    /// Where it is told that what it waits for has happened, where it holds the supervisor at calls.
    page: Option<Arc<Page>>,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// A tracer that follows a life; dropping it ends the tracing.
#[must_use = "dropping it ends the tracing"]
pub(super) struct Tracing {
    task: JoinHandle<()>,
    /// Whether what it writes down is of use although nobody was killed.
    only_watches: bool,
}

/// Whoever only watches is waited for no longer than this once the load is over.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Tracing {
    /// Ends it, once what it has seen while the load ran is written down.
    pub(super) async fn finish(mut self) {
        if self.only_watches {
            let _ = tokio::time::timeout(LAST_WORDS, &mut self.task).await;
        }
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Tracer {
    /// Attaches to whom the trial's specification names; `None`: it names nobody.
    pub(super) async fn attach(stage: &Stage, supervised: &Supervised) -> Result<Option<Self>, TraceError> {
        let held = held_at(&stage.place.scenario);
        if !held.is_empty() {
            let spec = TraceSpec::watch(bounds::DURATION_NS_MAX);
            return Self::attached(spec, held, stage, supervised).await.map(Some);
        }
        let Some(spec) = stage.spec.trace.clone() else { return Ok(None) };
        let only_watches = spec.fault.is_none();
        match Self::attached(spec, held, stage, supervised).await {
            Ok(tracer) => Ok(Some(tracer)),
            // Whatever else is known of the trial is known all the same.
            Err(_) if only_watches => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn attached(
        spec: TraceSpec,
        held: Vec<Hold>,
        stage: &Stage,
        supervised: &Supervised,
    ) -> Result<Self, TraceError> {
        let supervisor = supervised.pid();
        let target = spec.follow.from;
        let pids = match target {
            SweepTarget::Worker => stage.sight.worker_pids(supervisor),
            SweepTarget::Supervisor => vec![supervisor],
        };
        stage.sight.prove_own(&pids).map_err(|error| TraceError::Foreign(error.to_string()))?;
        if pids.is_empty() {
            return Err(TraceError::Nobody { target });
        }
        let mut child = Command::new(&stage.spec.executable)
            .arg("__trace")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(TraceError::Start)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = input.zip(output).ok_or(TraceError::Silent)?;
        // Once the tracer has attached, nobody else is to open it.
        let file = (!held.is_empty()).then(|| tempfile::NamedTempFile::new_in(&stage.spec.folder));
        let file = file.transpose().map_err(TraceError::Page)?;
        let faults = stage.place.scenario.faults.len();
        let page = file.as_ref().map(|file| Page::create(file.as_file(), faults));
        let page = page.transpose().map_err(TraceError::Page)?.map(Arc::new);
        let held = file.as_ref().map(|file| Held { at: held, page: file.path().to_owned() });
        let mut tracer = Self { spec, page, child, input, output: BufReader::new(output).lines() };
        let numbers = pids.iter().map(|pid: &Pid| proc::number(*pid)).collect();
        let orders =
            Orders { pids: numbers, follow: tracer.spec.follow, kill: tracer.spec.kill.clone(), held };
        tracer.say(&serde_json::to_string(&orders)?).await?;
        match tracer.answer().await? {
            Answer::Attached => Ok(tracer),
            Answer::Refused { pid, errno } => {
                let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok();
                Err(TraceError::NotPermitted { pid, errno: Errno::from_raw(errno), scope })
            }
            Answer::Reached { .. } | Answer::Left { .. } | Answer::Done(_) => Err(TraceError::Silent),
        }
    }

    /// Where it is told what has struck, if it holds the supervisor at calls.
    pub(super) fn page(&self) -> Option<Arc<Page>> {
        self.page.clone()
    }

    /// The fault that it stands for, if it does for any.
    pub(super) const fn fault(&self) -> Option<usize> {
        self.spec.fault
    }

    /// Follows the life of a load that starts at this instant. What comes of it is told as what became of the fault,
    /// and written into the trial's folder.
    pub(super) async fn begin(mut self, start_ns: u64, stage: &Stage) -> Result<Tracing, TraceError> {
        let span = Span { begin_ns: start_ns + self.spec.begin_ns, end_ns: start_ns + self.spec.end_ns };
        self.say(&serde_json::to_string(&span)?).await?;
        let path = stage.spec.folder.join(CALLS_JSON);
        let sender = stage.sender.clone();
        let only_watches = self.spec.fault.is_none() && self.page.is_none();
        let task = tokio::spawn(async move {
            let mut traced = self.until_done(&sender).await;
            if let Some(fault) = self.spec.fault {
                tell(fault, &traced, &sender);
            }
            // Where somebody is held, nothing is written down.
            if self.page.is_none() {
                // Instants count from the load's start, as in all of a trial's files.
                count_from(start_ns, &mut traced);
                let json = serde_json::to_vec(&traced).unwrap_or_default();
                let _ = std::fs::write(path, json);
            }
            // Its end is reaped, and nobody looks for it.
            let _ = self.child.wait().await;
        });
        Ok(Tracing { task, only_watches })
    }

    /// Passes on what it tells, until it is done.
    async fn until_done(&mut self, sender: &UnboundedSender<Told>) -> Traced {
        loop {
            let told = match self.answer().await {
                Ok(Answer::Done(traced)) => return traced,
                Ok(Answer::Attached | Answer::Refused { .. }) | Err(_) => return Traced::default(),
                Ok(Answer::Reached { fault, pid, at_ns }) => (at_ns, Event::CallReached { fault, pid }),
                Ok(Answer::Left { fault, held_ns }) => (now_ns(), Event::CallLeft { fault, held_ns }),
            };
            // Whoever has ended the trial has no use for it.
            let _ = sender.send(told);
        }
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        self.input.flush().await
    }

    async fn answer(&mut self) -> Result<Answer, TraceError> {
        let line = self.output.next_line().await?;
        Ok(serde_json::from_str(&line.ok_or(TraceError::Silent)?)?)
    }
}

/// The calls at which a scenario's faults strike.
fn held_at(scenario: &Scenario) -> Vec<Hold> {
    let faults = scenario.faults.iter().enumerate();
    let held = faults.filter_map(|(index, fault)| match fault.at {
        Trigger::Call(at) => Some(Hold::new(index, at)),
        Trigger::Attempt(_) | Trigger::Elapsed(_) | Trigger::Fraction(_) | Trigger::After { .. } => None,
    });
    held.collect()
}

/// Tells what became of the fault that the kill stands for.
fn tell(fault: usize, traced: &Traced, sender: &UnboundedSender<Told>) {
    let (at_ns, hit, pids) = match traced.killed {
        Some(killed) => (killed.at_ns, Hit::Struck, vec![killed.pid]),
        None => (now_ns(), Hit::Nobody, Vec::new()),
    };
    for pid in &pids {
        let _ = sender.send((at_ns, Event::Signalled { fault, pid: *pid }));
    }
    let _ = sender.send((at_ns, Event::Fault { fault, hit, pids, error: None }));
}

fn count_from(start_ns: u64, traced: &mut Traced) {
    for call in &mut traced.calls {
        call.entered_ns = call.entered_ns.saturating_sub(start_ns);
        call.left_ns = call.left_ns.map(|ns| ns.saturating_sub(start_ns));
    }
    if let Some(killed) = &mut traced.killed {
        killed.at_ns = killed.at_ns.saturating_sub(start_ns);
    }
}
