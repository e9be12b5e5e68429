//! The measured part of a trial: load, faults, and what is collected afterwards.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use holdline_contract::clock::now_ns;
use holdline_model::arrivals::{Extent, Schedule, schedule};
use holdline_model::facts::TrialFacts;
use holdline_model::ledger::InjectedDeath;
use holdline_model::record::{ClientRecord, RequestRecord};
use holdline_model::result::TrialResult;
use holdline_model::scenario::{Action, Until};
use holdline_model::support;
use nix::unistd::Pid;
use serde_json::json;
use tokio::sync::oneshot;

use super::cost::Meter;
use super::faults::{self, FaultPlan, Pause, TimedFault};
use super::heal::Armed;
use super::hooks::FaultHooks;
use super::inner::{Event, TICK, Trial, tell};
use super::orders::Orders;
use super::process::Supervised;
use super::{Message, collect, inheritance};
use crate::load::{self, LoadPlan, Progress, StopFlag};

/// From the decision to begin to the first attempt: time for the load thread to get going.
const LEAD_NS: u64 = 2_000_000;
/// Workers that still run this long after their supervisor has stopped were left behind.
const LEFT_BEHIND: Duration = Duration::from_secs(1);
/// How often progress is told.
const PROGRESS_NS: u64 = 100_000_000;

/// What the dispatcher owns while the load runs.
pub(super) struct Dispatch {
    pub(super) facts: TrialFacts,
    pub(super) plan: FaultPlan,
    /// Processes that are stopped, and until when.
    pub(super) pauses: Vec<(Pause, u64)>,
    /// Failures of which workers have been told.
    pub(super) armed: Vec<Armed>,
    /// The process that has taken over from the one that was started.
    pub(super) successor: Option<Pid>,
    pub(super) deaths: Vec<InjectedDeath>,
    pub(super) controls_running: usize,
    pub(super) stopped: bool,
}

impl Dispatch {
    /// Whether something is still to be waited for once the last attempt has ended: control actions,
    /// and faults that are due within the load's length.
    fn has_business(&self, last_fault_ns: u64) -> bool {
        let fault_due = self.plan.timed.iter().any(|timed| timed.at_ns <= last_fault_ns);
        self.controls_running > 0 || (fault_due && !self.stopped)
    }
}

/// What the load client wrote down.
pub(super) struct ClientLog {
    /// One record for each attempt.
    pub(super) attempts: Vec<ClientRecord>,
    /// The requests that were answered, of connections that carry several or are slow.
    pub(super) requests: Vec<RequestRecord>,
}

/// The load thread, as the dispatcher sees it.
struct Running {
    done: oneshot::Receiver<Result<ClientLog, load::LoadError>>,
    progress: Arc<Progress>,
    stop: Arc<StopFlag>,
    planned: Option<u64>,
}

impl Trial {
    /// Runs load and faults, stops the supervisor, and sums up.
    pub(super) async fn measure(mut self, mut process: Supervised) -> Result<TrialResult> {
        load::raise_nofile()?;
        let schedule = schedule(&self.scenario.load, self.spec.seed);
        let meter = Meter::read(&self.inside).ok();
        let start_ns = now_ns() + LEAD_NS;
        let started = SystemTime::now();
        let mut dispatch = Dispatch {
            facts: TrialFacts { start_ns, ..TrialFacts::default() },
            plan: FaultPlan::new(&self.scenario, &schedule, start_ns),
            pauses: Vec::new(),
            armed: Vec::new(),
            successor: None,
            deaths: Vec::new(),
            controls_running: 0,
            stopped: false,
        };
        self.note_faults_before_start(&mut dispatch);
        self.observer.begin()?;
        let running = self.start_load(schedule, start_ns, &mut dispatch)?;
        let client = self.dispatch(&mut process, running, &mut dispatch).await?;
        self.heal_all(&mut dispatch)?;
        self.observer.end()?;
        dispatch.facts.end_ns = now_ns();
        self.note_workers()?;
        dispatch.facts.workers_at_end = self.workers_at_end(process.pid());
        dispatch.facts.cost = meter.and_then(|earlier| {
            let now = Meter::read(&self.inside).ok()?;
            Some(now.since(earlier, dispatch.facts.end_ns.saturating_sub(start_ns)))
        });
        let ended = json!({ "start_ns": start_ns, "still_stopped": self.still_stopped() });
        self.log.write(dispatch.facts.end_ns, "load_ended", ended);
        self.check_faults(&mut dispatch, &client.attempts);
        self.end_hung_workers()?;
        let cgroups = inheritance::cgroups_above(process.pid());
        self.stop_supervisor(process, LEFT_BEHIND, &mut dispatch.facts).await?;
        collect::collect(self, dispatch.facts, &dispatch.deaths, &client, &cgroups, started)
    }

    fn note_faults_before_start(&self, dispatch: &mut Dispatch) {
        for (fault, what) in self.scenario.faults.iter().enumerate() {
            if faults::strikes_before_start(what) {
                let at_ns = dispatch.facts.start_ns;
                dispatch.note_fault(fault, at_ns, faults::in_words(&what.action), None);
                if let Action::Crash { step, times, .. } = what.action {
                    dispatch.armed.push(Armed { fault, step, times });
                }
            }
        }
    }

    fn start_load(&self, schedule: Schedule, start_ns: u64, dispatch: &mut Dispatch) -> Result<Running> {
        let planned = match (&schedule, self.scenario.load.until) {
            (Schedule::Fixed(offsets), _) => Some(offsets.len() as u64),
            (_, Until::Attempts(count)) => Some(u64::from(count)),
            (_, Until::Elapsed(_)) => None,
        };
        let plan = LoadPlan {
            address: self.workspace.values.address.clone(),
            schedule,
            timeouts: self.scenario.load.timeouts,
            in_flight_max: self.scenario.load.in_flight_max,
            spread: true,
            protocol: support::protocol(&self.supervisor, &self.scenario),
            connection: self.scenario.load.connection,
        };
        let control = Arc::clone(&self.workspace.control);
        let poisons = std::mem::take(&mut dispatch.plan.with_attempts);
        let mut hooks = FaultHooks::new(poisons, control, self.sender.clone());
        let (progress, stop) = (Arc::new(Progress::default()), Arc::new(StopFlag::new()?));
        let (sender, done) = oneshot::channel();
        let (thread_progress, thread_stop) = (Arc::clone(&progress), Arc::clone(&stop));
        std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || {
                let attempts = load::run(&plan, start_ns, &mut hooks, &thread_progress, &thread_stop);
                let log = attempts.map(|attempts| ClientLog { attempts, requests: hooks.into_requests() });
                let _ = sender.send(log);
            })
            .context("failed to start the load thread")?;
        Ok(Running { done, progress, stop, planned })
    }

    /// Takes events one at a time until the load has ended and every control action too.
    async fn dispatch(
        &mut self,
        process: &mut Supervised,
        mut running: Running,
        dispatch: &mut Dispatch,
    ) -> Result<ClientLog> {
        let orders = Orders::listen()?;
        let mut client = None;
        let mut supervisor_lives = process.has_ended().is_none();
        if !supervisor_lives {
            // One that went to the background at its start is none that was replaced.
            dispatch.successor = process.successor_of(process.started());
        }
        let mut told_ns = 0;
        let last_fault_ns = dispatch.facts.start_ns + self.load_length_ns();
        while client.is_none() || dispatch.has_business(last_fault_ns) {
            tokio::select! {
                biased;
                log = &mut running.done, if client.is_none() => {
                    client = Some(log.map_err(|_| anyhow!("the load thread panicked"))??);
                }
                event = self.events.recv() => {
                    if let Some(event) = event { self.take(event, process, dispatch); }
                }
                status = process.wait(), if supervisor_lives => {
                    supervisor_lives = false;
                    self.note_supervisor_end(process, status, dispatch);
                }
                () = orders.stop(), if !dispatch.stopped => {
                    dispatch.stopped = true;
                    running.stop.stop();
                }
                () = tokio::time::sleep(TICK) => {}
            }
            process.cut_log();
            self.note_workers()?;
            self.watch_successor(process, dispatch)?;
            self.heal_due(dispatch);
            self.strike_due(process, dispatch);
            if now_ns() > told_ns + PROGRESS_NS {
                told_ns = now_ns();
                tell_progress(&running);
            }
        }
        // What was sent while the load thread ended is no less true.
        while let Ok(event) = self.events.try_recv() {
            self.take(event, process, dispatch);
        }
        client.context("the load thread gave no records")
    }

    /// How long the load lasts at least. A schedule that is fixed lasts until its next attempt would
    /// be due, so that faults can strike after the last attempt.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by the scenario's limits"
    )]
    fn load_length_ns(&self) -> u64 {
        Extent::of(&self.scenario.load).end_ns_min as u64
    }

    fn take(&mut self, event: Event, process: &Supervised, dispatch: &mut Dispatch) {
        match event {
            Event::Listener(event) => self.note_listener(&event),
            Event::AttemptDue { fault, at_ns } => self.inject(TimedFault { fault, at_ns }, process, dispatch),
            Event::Poisoned { fault, attempt, poison, at_ns, error } => {
                let text =
                    format!("attempt {attempt} carries poison ({} at step {})", poison.mode, poison.step);
                self.log.write(at_ns, "fault", json!({ "fault": fault, "attempt": attempt, "text": text }));
                dispatch.note_fault(fault, at_ns, text, error);
                if let Some(fact) = dispatch.facts.faults.last_mut() {
                    fact.poison = Some(attempt);
                }
                self.complete(fault, at_ns, dispatch);
            }
            Event::ControlDone { fault, at_ns, error } => {
                dispatch.controls_running -= 1;
                self.log.write(at_ns, "control_done", json!({ "fault": fault, "error": error }));
                if let Some(fact) = dispatch.facts.faults.iter_mut().find(|fact| fact.fault == fault) {
                    fact.done_ns = Some(at_ns);
                    fact.error = error;
                }
                self.complete(fault, at_ns, dispatch);
            }
        }
    }

    pub(super) fn complete(&self, fault: usize, at_ns: u64, dispatch: &mut Dispatch) {
        let due = dispatch.plan.completed(fault, at_ns);
        dispatch.plan.timed.extend(due);
    }
}

fn tell_progress(running: &Running) {
    let finished = running.progress.finished.load(Ordering::Relaxed).into();
    let lost = running.progress.lost.load(Ordering::Relaxed).into();
    tell(&Message::Progress { finished, lost, planned: running.planned });
}
