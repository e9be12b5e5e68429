//! The process in which a trial runs: everything from preparing the work folder to the result.
//!
//! One task owns the trial's state and takes events one at a time: the load thread, the kernel
//! observer and running control commands only send to it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use holdline_contract::clock::now_ns;
use holdline_model::scenario::{self, Action, Scenario};
use holdline_model::shm::RecordKind;
use holdline_model::summary;
use holdline_model::supervisor::{self, Supervisor};
use holdline_model::support;
use holdline_model::template;
use holdline_model::wire::Poison;
use holdline_model::words::{Grade, Isolation, Transport};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::events::EventLog;
use super::faults;
use super::log::quoted_tail;
use super::process::{Supervised, status_in_words};
use super::reach;
use super::ready::Workers;
use super::workspace::Workspace;
use super::{Message, TrialSpec};
use crate::kernel::accepts::AcceptSampler;
use crate::kernel::observer::Observer;
use crate::kernel::timeline::ListenerEvent;
use crate::load::LoadError;
use crate::sandbox::{self, Adopted, Inside};

/// How often ledgers are looked at.
pub(super) const TICK: Duration = Duration::from_millis(1);
/// How often the kernel's listeners are looked at.
const OBSERVER_INTERVAL: Duration = Duration::from_millis(1);

/// What the dispatcher is told.
#[derive(Debug)]
pub(super) enum Event {
    /// A fault is due that strikes with an attempt and that no request carries.
    AttemptDue { fault: usize, at_ns: u64 },
    /// An attempt is about to be sent with poison.
    Poisoned { fault: usize, attempt: u32, poison: Poison, at_ns: u64, error: Option<String> },
    /// A listener opened or closed.
    Listener(ListenerEvent),
    /// A control action ended.
    ControlDone { fault: usize, at_ns: u64, error: Option<String> },
}

/// A trial that is set up.
pub(super) struct Trial {
    /// When it began, in CLOCK_MONOTONIC nanoseconds.
    pub(super) began_ns: u64,
    pub(super) spec: TrialSpec,
    pub(super) inside: Inside,
    pub(super) scenario: Scenario,
    pub(super) supervisor: Supervisor,
    pub(super) workspace: Workspace,
    pub(super) env: Vec<(String, String)>,
    pub(super) observer: Observer,
    /// Where workers keep no ledger, or the scenario asks for it.
    pub(super) accepts: Option<AcceptSampler>,
    pub(super) workers: Workers,
    /// The service's listeners that are open, by inode.
    pub(super) listeners: BTreeSet<u32>,
    pub(super) log: EventLog,
    pub(super) sender: UnboundedSender<Event>,
    pub(super) events: UnboundedReceiver<Event>,
    /// Orphans that init has adopted and that have ended.
    pub(super) adopted: Vec<Adopted>,
    /// Whether a worker may not listen where it has to, for want of privilege.
    is_denied: bool,
}

/// How the wait for a supervisor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readiness {
    /// It serves.
    Ready,
    /// Its workers run as the user that the scenario names, and may not bind the port.
    Denied,
}

/// Runs the trial of a specification, and says on standard output how it went.
///
/// Returns the process's exit status: 0 if a message was sent.
pub fn main(spec: &Path) -> u8 {
    let message = match run(spec) {
        Ok(message) => message,
        Err(error) => Message::Failed { fatal: is_fatal(&error), reason: format!("{error:#}") },
    };
    u8::from(!tell(&message))
}

/// Sends a message; whether anybody still listens.
pub(super) fn tell(message: &Message) -> bool {
    let Ok(mut line) = serde_json::to_string(message) else { return false };
    line.push('\n');
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// Whether every other trial would fail in the same way.
fn is_fatal(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let is_limit = cause
            .downcast_ref::<LoadError>()
            .is_some_and(|error| matches!(error, LoadError::TooFewDescriptors(_)));
        is_limit
            || cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
                matches!(
                    error.kind(),
                    std::io::ErrorKind::StorageFull
                        | std::io::ErrorKind::QuotaExceeded
                        | std::io::ErrorKind::FileTooLarge
                        | std::io::ErrorKind::ReadOnlyFilesystem
                )
            })
    })
}

fn run(spec: &Path) -> Result<Message> {
    let text = std::fs::read_to_string(spec).with_context(|| format!("failed to read {}", spec.display()))?;
    let mut spec: TrialSpec =
        serde_json::from_str(&text).context("failed to understand the trial's specification")?;
    keep_inherited_descriptors_from_children();
    spec.sandbox.reach.extend(reach::of(&spec));
    let inside = sandbox::enter(&spec.sandbox)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the trial's runtime")?;
    let work = spec.sandbox.work.clone();
    let level = inside.level;
    let told = runtime.block_on(conduct(spec, inside));
    let Some(shortage) = sandbox::shortage(level, &work) else { return told };
    Ok(match told {
        Ok(message) => with_shortage(message, shortage),
        Err(error) => Message::Failed { reason: format!("{error:#}; {shortage}"), fatal: false },
    })
}

/// Says that a folder of the trial's own is full, which is what ailed a supervisor that did not get ready.
fn with_shortage(message: Message, shortage: String) -> Message {
    match message {
        Message::Done(mut result) => {
            match &mut result.reason {
                Some(reason) => *reason = format!("{shortage}; {reason}"),
                None => result.notes.push(shortage),
            }
            Message::Done(result)
        }
        Message::Failed { reason, fatal } => {
            Message::Failed { reason: format!("{reason}; {shortage}"), fatal }
        }
        progress @ Message::Progress { .. } => progress,
    }
}

/// Descriptors that whoever started holdline left open, such as a build tool's, must not look like
/// something that a supervisor under test leaked to its workers.
fn keep_inherited_descriptors_from_children() {
    // SAFETY: this only sets a flag on descriptors and closes none. It fails on kernels before 5.11,
    // which have no such flag; the descriptors are then passed on as the user passed them.
    unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) };
}

async fn conduct(spec: TrialSpec, inside: Inside) -> Result<Message> {
    let began_ns = now_ns();
    let mut trial = Trial::set_up(spec, inside, began_ns)?;
    let mut process = trial.start_supervisor()?;
    let result = match trial.wait_until_ready(&mut process).await {
        // It never will be; but why is clear, and what clients get from it can be measured.
        Ok(Readiness::Denied) => trial.measure(process).await?,
        Err(reason) => {
            let reason = format!("{reason:#}");
            trial.log.write(now_ns(), "not_ready", json!({ "reason": reason }));
            trial.observer.finish(false).ok();
            summary::not_ready(&trial.spec.name, Grade::Inconclusive, reason, now_ns() - began_ns)
        }
        Ok(Readiness::Ready) => trial.measure(process).await?,
    };
    Ok(Message::Done(Box::new(result)))
}

impl Trial {
    fn set_up(spec: TrialSpec, inside: Inside, began_ns: u64) -> Result<Self> {
        let scenario = scenario::parse(&spec.scenario.text, &spec.scenario.origin)?;
        let supervisor = supervisor::parse(&spec.supervisor.text, &spec.supervisor.origin)?;
        if scenario.listen.transport == Transport::Tcp6 && !inside.client_v6 {
            return Err(anyhow!(
                "IPv6 has one loopback address, so attempts could not be told apart; run with --isolation full"
            ));
        }
        let mut log = EventLog::create(&spec.folder).context("failed to create events.jsonl")?;
        let workspace = Workspace::prepare(&spec, &scenario, &supervisor)?;
        let env = workspace.environment(&supervisor)?;
        for fault in scenario.faults.iter().filter(|fault| faults::strikes_before_start(fault)) {
            if let Action::Crash { step, mode, times } = fault.action {
                workspace.control.arm(step, mode, times)?;
            }
        }
        let (sender, events) = unbounded_channel();
        let to_dispatcher = sender.clone();
        let observer = Observer::start(workspace.values.address.clone(), OBSERVER_INTERVAL, move |event| {
            let _ = to_dispatcher.send(Event::Listener(event));
        })?;
        let accepts = support::samples_accepts(&supervisor, &scenario)
            .then(|| AcceptSampler::start(workspace.values.address.clone(), OBSERVER_INTERVAL))
            .transpose()?;
        log.write(
            now_ns(),
            "set_up",
            json!({ "address": workspace.values.address, "clock": "CLOCK_MONOTONIC" }),
        );
        let workers = Workers::follow(&workspace.home);
        Ok(Self {
            began_ns,
            spec,
            inside,
            scenario,
            supervisor,
            workspace,
            env,
            observer,
            accepts,
            workers,
            listeners: BTreeSet::new(),
            log,
            sender,
            events,
            adopted: Vec::new(),
            is_denied: false,
        })
    }

    fn start_supervisor(&mut self) -> Result<Supervised> {
        let words = template::command(&self.supervisor.start, &self.workspace.values)?;
        let pid_file = self.supervisor.pid_file.as_ref().map(|file| self.workspace.dir.join(file));
        // One that cannot drop privileges never has any.
        let user = self.workspace.user.filter(|_| !self.supervisor.can_drop);
        let log = self.supervisor_log();
        let process = Supervised::start(&words, &self.env, &self.workspace, &log, pid_file, user)?;
        let event = json!({ "pid": process.pid().as_raw(), "command": words });
        self.log.write(now_ns(), "supervisor_started", event);
        Ok(process)
    }

    pub(super) fn supervisor_log(&self) -> std::path::PathBuf {
        self.spec.folder.join("supervisor.log")
    }

    /// Whether the namespaces are this trial's own.
    pub(super) fn is_exclusive(&self) -> bool {
        self.inside.level == Isolation::Full
    }

    /// Waits for the listener and the workers. The error says why it never got ready.
    async fn wait_until_ready(&mut self, process: &mut Supervised) -> Result<Readiness> {
        // What a worker takes to boot is the scenario's doing.
        let limit_ns = self.supervisor.ready.timeout_ns + self.scenario.workers.boot_ns;
        let deadline_ns = now_ns() + limit_ns;
        loop {
            process.cut_log();
            self.note_events()?;
            let ended = process.has_ended().filter(|status| !process.was_replaced(*status));
            if ended.is_none() && self.is_ready() {
                self.log.write(now_ns(), "ready", json!({}));
                return Ok(Readiness::Ready);
            }
            if self.is_denied {
                let reason = "workers that are not root were denied the port that they had to bind";
                self.log.write(now_ns(), "not_ready", json!({ "reason": reason }));
                return Ok(Readiness::Denied);
            }
            // One with a pid-file may still be writing it.
            if let Some(status) = ended.filter(|status| !(process.has_pid_file() && status.success())) {
                return Err(self.ended_early(status));
            }
            if now_ns() > deadline_ns {
                if let Some(status) = ended {
                    return Err(self.ended_early(status));
                }
                let tail = quoted_tail(&self.supervisor_log());
                let lack = self.what_is_lacking();
                let limit = Duration::from_nanos(limit_ns);
                let needs = self.hint_of_needs();
                return Err(anyhow!("the supervisor was not ready within {limit:?}: {lack}{needs}{tail}"));
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Why there is no supervisor any more, and what to do about it.
    fn ended_early(&self, status: ExitStatus) -> anyhow::Error {
        let how = status_in_words(status);
        let (hint, needs) = (self.hint_of_background(), self.hint_of_needs());
        let tail = quoted_tail(&self.supervisor_log());
        anyhow!("the supervisor ended with {how} before it was ready{hint}{needs}{tail}")
    }

    /// What to do about a supervisor that has left a daemon behind.
    pub(super) fn hint_of_background(&self) -> String {
        if !self.inside.adopted_now().is_ok_and(|left| !left.is_empty()) {
            return String::new();
        }
        let remedy = match &self.supervisor.pid_file {
            None => {
                "it must stay in the foreground, so tell it not to daemonise, or name its `pid-file` in \
                 supervisor.toml"
            }
            Some(file) => &format!("its pid-file {file} names none of them"),
        };
        format!(", and left processes running: {remedy}")
    }

    fn hint_of_needs(&self) -> String {
        self.supervisor.needs.as_ref().map_or_else(String::new, |needs| format!("; it needs {needs}"))
    }

    fn is_ready(&self) -> bool {
        let listening = !self.supervisor.ready.listening || self.observer.is_listening();
        let workers = !self.supervisor.ready.workers || self.workers.ready() >= self.workers_wanted();
        listening && workers
    }

    fn workers_wanted(&self) -> usize {
        (self.workspace.values.workers + self.supervisor.ready.spares) as usize
    }

    fn what_is_lacking(&self) -> String {
        let address = &self.workspace.values.address;
        if !self.observer.is_listening() {
            return format!("nobody listens at {address}");
        }
        let (ready, wanted) = (self.workers.ready(), self.workers_wanted());
        format!("{address} has a listener, but only {ready} of {wanted} workers can accept")
    }

    /// Writes down what listeners and workers did since the last time.
    pub(super) fn note_events(&mut self) -> Result<()> {
        self.note_workers()?;
        while let Ok(event) = self.events.try_recv() {
            if let Event::Listener(event) = event {
                self.note_listener(&event);
            }
        }
        Ok(())
    }

    /// Writes down what workers did since the last time, but for single connections.
    pub(super) fn note_workers(&mut self) -> Result<()> {
        for record in self.workers.poll()? {
            let fields = json!({
                "pid": record.pid,
                "generation": record.generation,
                "kind": record.kind,
                "detail": record.detail,
            });
            self.log.write(record.at_ns, "worker", fields);
            let has_user = self.scenario.workers.user.is_some();
            let errno = i32::try_from(record.detail).unwrap_or(0);
            self.is_denied |= has_user && record.kind == RecordKind::BindFailed && errno == libc::EACCES;
        }
        Ok(())
    }

    pub(super) fn note_listener(&mut self, event: &ListenerEvent) {
        match event {
            ListenerEvent::Opened { at_ns, inode, limit } => {
                self.listeners.insert(*inode);
                self.log.write(*at_ns, "listener_opened", json!({ "inode": inode, "limit": limit }));
            }
            ListenerEvent::Held { inode, holders } => {
                self.log.write(now_ns(), "listener_held", json!({ "inode": inode, "holders": holders }));
            }
            ListenerEvent::Closed { inode, last_seen_ns, gone_ns } => {
                self.listeners.remove(inode);
                let fields = json!({ "inode": inode, "last_seen_ns": last_seen_ns });
                self.log.write(*gone_ns, "listener_closed", fields);
            }
        }
    }
}
