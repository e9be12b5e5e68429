//! The measured part of a trial: load, faults, and what is collected afterwards.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow, bail};
use holdline_model::arrivals::{Extent, Schedule, schedule};
use holdline_model::facts::{FaultFact, ProcessEnd, TrialFacts};
use holdline_model::ledger::InjectedDeath;
use holdline_model::record::{ClientRecord, Outcome};
use holdline_model::result::TrialResult;
use holdline_model::scenario::{Action, Until};
use holdline_model::words::{CrashStep, Verb};
use serde_json::json;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::control;
use super::faults::{self, FaultPlan, Pause, TimedFault};
use super::hooks::FaultHooks;
use super::inner::{Event, TICK, Trial, tell};
use super::process::{Supervised, status_in_words};
use super::{Message, collect};
use crate::load::now_ns;
use crate::load::{self, LoadPlan, Progress, StopFlag};

/// From the decision to begin to the first attempt: time for the load thread to get going.
const LEAD_NS: u64 = 2_000_000;
/// Workers that still run this long after their supervisor has stopped were left behind.
const LEFT_BEHIND_NS: u64 = 1_000_000_000;
/// How often progress is told.
const PROGRESS_NS: u64 = 100_000_000;

/// What the dispatcher owns while the load runs.
struct Dispatch {
    facts: TrialFacts,
    plan: FaultPlan,
    pauses: Vec<(Pause, u64)>,
    deaths: Vec<InjectedDeath>,
    controls_running: usize,
    stopped: bool,
}

impl Dispatch {
    /// Whether something is still to be waited for once the last attempt has ended: control actions,
    /// and faults that are due within the load's length.
    fn has_business(&self, last_fault_ns: u64) -> bool {
        let fault_due = self.plan.timed.iter().any(|timed| timed.at_ns <= last_fault_ns);
        self.controls_running > 0 || (fault_due && !self.stopped)
    }
}

/// The load thread, as the dispatcher sees it.
struct Running {
    done: oneshot::Receiver<Result<Vec<ClientRecord>, load::LoadError>>,
    progress: Arc<Progress>,
    stop: Arc<StopFlag>,
    planned: Option<u64>,
}

impl Trial {
    /// Runs load and faults, stops the supervisor, and sums up.
    pub(super) async fn measure(mut self, mut process: Supervised) -> Result<TrialResult> {
        load::raise_nofile()?;
        let schedule = schedule(&self.scenario.load, self.spec.seed);
        let start_ns = now_ns() + LEAD_NS;
        let started = SystemTime::now();
        let mut dispatch = Dispatch {
            facts: TrialFacts { start_ns, ..TrialFacts::default() },
            plan: FaultPlan::new(&self.scenario, &schedule, start_ns),
            pauses: Vec::new(),
            deaths: Vec::new(),
            controls_running: 0,
            stopped: false,
        };
        self.note_faults_before_start(&mut dispatch);
        self.observer.begin()?;
        let running = self.start_load(schedule, start_ns, &mut dispatch)?;
        let client = self.dispatch(&mut process, running, &mut dispatch).await?;
        dispatch.pauses.clear();
        self.observer.end()?;
        dispatch.facts.end_ns = now_ns();
        self.log.write(dispatch.facts.end_ns, "load_ended", json!({ "start_ns": start_ns }));
        self.check_faults(&mut dispatch, &client);
        let orphans = self.stop_supervisor(process).await?;
        dispatch.facts.orphans = orphans;
        collect::collect(self, dispatch.facts, &dispatch.deaths, &client, started)
    }

    fn note_faults_before_start(&self, dispatch: &mut Dispatch) {
        for (fault, what) in self.scenario.faults.iter().enumerate() {
            if faults::strikes_before_start(what) {
                let at_ns = dispatch.facts.start_ns;
                note(dispatch, fault, at_ns, faults::in_words(&what.action), None);
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
                let records = load::run(&plan, start_ns, &mut hooks, &thread_progress, &thread_stop);
                let _ = sender.send(records);
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
    ) -> Result<Vec<ClientRecord>> {
        let orders = orders()?;
        let mut client = None;
        let mut supervisor_lives = true;
        let mut told_ns = 0;
        let last_fault_ns = dispatch.facts.start_ns + self.load_length_ns();
        while client.is_none() || dispatch.has_business(last_fault_ns) {
            tokio::select! {
                biased;
                records = &mut running.done, if client.is_none() => {
                    client = Some(records.map_err(|_| anyhow!("the load thread panicked"))??);
                }
                event = self.events.recv() => {
                    if let Some(event) = event { self.take(event, process, dispatch); }
                }
                status = process.wait(), if supervisor_lives => {
                    supervisor_lives = false;
                    self.note_supervisor_end(process, status, dispatch);
                }
                readable = orders.readable(), if !dispatch.stopped => {
                    readable.context("failed to listen for orders")?;
                    if asked_to_stop(&orders) {
                        dispatch.stopped = true;
                        running.stop.stop();
                    }
                }
                () = tokio::time::sleep(TICK) => {}
            }
            self.note_events_live()?;
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

    /// Ledgers only: listener events come through the channel that the caller reads.
    fn note_events_live(&mut self) -> Result<()> {
        for record in self.workers.poll()? {
            let fields = json!({
                "pid": record.pid, "generation": record.generation, "kind": record.kind, "detail": record.detail,
            });
            self.log.write(record.at_ns, "worker", fields);
        }
        Ok(())
    }

    fn take(&mut self, event: Event, process: &Supervised, dispatch: &mut Dispatch) {
        match event {
            Event::Listener(event) => self.note_listener(&event),
            Event::AttemptDue { fault, at_ns } => self.inject(TimedFault { fault, at_ns }, process, dispatch),
            Event::Poisoned { fault, attempt, poison, at_ns, error } => {
                let text =
                    format!("attempt {attempt} carries poison ({} at step {})", poison.mode, poison.step);
                self.log.write(at_ns, "fault", json!({ "fault": fault, "attempt": attempt, "text": text }));
                note(dispatch, fault, at_ns, text, error);
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

    fn complete(&self, fault: usize, at_ns: u64, dispatch: &mut Dispatch) {
        let due = dispatch.plan.completed(fault, at_ns);
        dispatch.plan.timed.extend(due);
    }

    /// Injects what is due by now, and heals what is over.
    fn strike_due(&mut self, process: &Supervised, dispatch: &mut Dispatch) {
        let now = now_ns();
        while let Some(index) = dispatch.plan.timed.iter().position(|timed| timed.at_ns <= now) {
            let timed = dispatch.plan.timed.swap_remove(index);
            self.inject(timed, process, dispatch);
        }
        while let Some(index) = dispatch.pauses.iter().position(|(_, until_ns)| *until_ns <= now) {
            let (pause, _) = dispatch.pauses.swap_remove(index);
            let fault = pause.fault;
            drop(pause);
            self.log.write(now, "heal", json!({ "fault": fault }));
            if let Some(fact) = dispatch.facts.faults.iter_mut().find(|fact| fact.fault == fault) {
                fact.done_ns = Some(now);
            }
            self.complete(fault, now, dispatch);
        }
    }

    fn inject(&mut self, timed: TimedFault, process: &Supervised, dispatch: &mut Dispatch) {
        let fault = timed.fault;
        let action = self.scenario.faults[fault].action.clone();
        let text = faults::in_words(&action);
        let at_ns = now_ns();
        let error = self.act(fault, &action, process, dispatch).err().map(|error| format!("{error:#}"));
        self.log.write(at_ns, "fault", json!({ "fault": fault, "text": text, "error": error }));
        note(dispatch, fault, at_ns, text, error);
        let completes_at_once = !matches!(action, Action::Control { .. } | Action::Pause { .. });
        if completes_at_once {
            self.complete(fault, at_ns, dispatch);
        }
    }

    fn act(
        &mut self,
        fault: usize,
        action: &Action,
        process: &Supervised,
        dispatch: &mut Dispatch,
    ) -> Result<()> {
        let workers = self.workers.pids();
        match action {
            Action::Poison(_) => bail!("poison goes with an attempt"),
            Action::Signal { to, signal } => {
                let pids = faults::targets(*to, process.pid(), &workers)?;
                self.prove_own(&pids)?;
                dispatch.deaths.extend(faults::strike(signal, &pids)?);
                Ok(())
            }
            Action::Pause { whom, for_ns } => {
                let pids = faults::targets(*whom, process.pid(), &workers)?;
                self.prove_own(&pids)?;
                let until_ns = for_ns.map_or(u64::MAX, |ns| now_ns().saturating_add(ns));
                dispatch.pauses.push((Pause::begin(fault, pids)?, until_ns));
                Ok(())
            }
            Action::Crash { step, mode, times } => {
                self.workspace.control.arm(*step, *mode, *times)?;
                if *step == CrashStep::Idle {
                    let pids =
                        faults::targets(holdline_model::scenario::Target::Worker, process.pid(), &workers)?;
                    self.prove_own(&pids)?;
                    holdline_fixtures::control::send_idle_signal(pids[0])?;
                }
                Ok(())
            }
            Action::Control { verb, workers: count } => {
                self.ask(fault, *verb, *count, process, &workers, dispatch)
            }
        }
    }

    fn ask(
        &mut self,
        fault: usize,
        verb: Verb,
        count: Option<u32>,
        process: &Supervised,
        workers: &[u32],
        dispatch: &mut Dispatch,
    ) -> Result<()> {
        let control = self.supervisor.control.get(&verb).cloned();
        let control = control.with_context(|| format!("this supervisor has no `{verb}`"))?;
        if let Some(count) = count {
            self.workspace.values.workers = count;
            self.workspace.render()?;
        }
        if verb == Verb::Upgrade {
            self.workspace.upgrade_worker()?;
        }
        let log = self.spec.folder.join("control.log");
        let action = control::prepare(&control, &self.env, &self.workspace, process.pid(), workers, &log)?;
        let sender = self.sender.clone();
        dispatch.controls_running += 1;
        tokio::spawn(async move {
            let error = action.run().await.err().map(|error| format!("{error:#}"));
            let _ = sender.send(Event::ControlDone { fault, at_ns: now_ns(), error });
        });
        Ok(())
    }

    /// Without a PID namespace, a process id may belong to anybody: only descendants are signalled.
    fn prove_own(&self, pids: &[nix::unistd::Pid]) -> Result<()> {
        if self.is_exclusive() {
            return Ok(());
        }
        match pids.iter().find(|pid| !self.inside.owns(pid.as_raw())) {
            Some(pid) => bail!("process {pid} is not a descendant of holdline"),
            None => Ok(()),
        }
    }

    fn note_supervisor_end(
        &mut self,
        process: &Supervised,
        status: std::process::ExitStatus,
        dispatch: &mut Dispatch,
    ) {
        let status = status_in_words(status);
        let at_ns = now_ns();
        self.log.write(at_ns, "supervisor_ended", json!({ "status": status }));
        let pid = u32::try_from(process.pid().as_raw()).unwrap_or(0);
        dispatch.facts.supervisor_exits.push(ProcessEnd { pid, at_ns, status });
    }

    /// A trial in which a fault did not strike shows nothing.
    fn check_faults(&self, dispatch: &mut Dispatch, client: &[ClientRecord]) {
        let facts = &mut dispatch.facts;
        let failed = facts.faults.iter().find_map(|fact| {
            let error = fact.error.as_ref()?;
            Some(format!("fault {} ({}) could not be injected: {error}", fact.fault + 1, fact.text))
        });
        let struck = |index: usize| facts.faults.iter().any(|fact| fact.fault == index);
        let missed = (0..self.scenario.faults.len()).find(|index| !struck(*index)).map(|index| {
            let text = faults::in_words(&self.scenario.faults[index].action);
            format!("fault {} ({text}) never struck: the load ended before it was due", index + 1)
        });
        let unsent = facts.faults.iter().filter_map(|fact| fact.poison).find(|attempt| {
            client.iter().any(|r| r.attempt == *attempt && matches!(r.outcome, Outcome::NotSent(_)))
        });
        let unsent = unsent.map(|attempt| format!("the poison of attempt {attempt} could not be sent"));
        facts.environment = if dispatch.stopped {
            Some("interrupted before the load had ended".to_owned())
        } else {
            failed.or(missed).or(unsent)
        };
    }

    /// Asks the supervisor to stop, waits for it, and counts the workers that it left behind: those
    /// that lost it during the load, and those that still run a while after it has stopped.
    async fn stop_supervisor(&mut self, mut process: Supervised) -> Result<u32> {
        let mut orphans = self.orphaned_workers()?;
        let workers = self.workers.pids();
        let log = self.spec.folder.join("control.log");
        let control = self.supervisor.stop.clone();
        let asked =
            match control::prepare(&control, &self.env, &self.workspace, process.pid(), &workers, &log) {
                Ok(action) => action.run().await,
                Err(error) => Err(error),
            };
        let in_time = match &asked {
            Ok(()) => tokio::time::timeout(control::STOP_LIMIT, process.wait()).await.is_ok(),
            // It may have ended long ago; else the sandbox ends it.
            Err(_) => process.has_ended().is_some(),
        };
        let patience_ns = now_ns() + LEFT_BEHIND_NS;
        while !self.workers.pids().is_empty() && now_ns() < patience_ns {
            tokio::time::sleep(TICK).await;
            self.note_events()?;
        }
        orphans.extend(self.workers.pids());
        orphans.sort_unstable();
        orphans.dedup();
        let error = asked.err().map(|error| format!("{error:#}"));
        let event = json!({ "in_time": in_time, "error": error, "left_behind": orphans });
        self.log.write(now_ns(), "stopped", event);
        self.note_events()?;
        Ok(u32::try_from(orphans.len()).unwrap_or(u32::MAX))
    }

    /// Workers that init had to adopt, dead or alive.
    fn orphaned_workers(&mut self) -> Result<Vec<u32>> {
        let workers = self.workers.all_pids();
        let ended = self.inside.adoptions.drain().context("failed to read what init adopted")?;
        let alive = self.inside.adopted_now().context("failed to ask what init has adopted")?;
        let adopted = ended.iter().map(|adopted| adopted.pid).chain(alive);
        Ok(adopted.filter_map(|pid| u32::try_from(pid).ok()).filter(|pid| workers.contains(pid)).collect())
    }
}

fn note(dispatch: &mut Dispatch, fault: usize, at_ns: u64, text: String, error: Option<String>) {
    dispatch.facts.faults.push(FaultFact { fault, at_ns, text, poison: None, done_ns: None, error });
}

fn tell_progress(running: &Running) {
    let finished = running.progress.finished.load(Ordering::Relaxed).into();
    let lost = running.progress.lost.load(Ordering::Relaxed).into();
    tell(&Message::Progress { finished, lost, planned: running.planned });
}

/// Standard input, on which the outer process asks for an early end.
fn orders() -> Result<pipe::Receiver> {
    let input = nix::unistd::dup(std::io::stdin()).context("failed to take over standard input")?;
    pipe::Receiver::from_owned_fd(input).context("standard input must be the outer process's pipe")
}

/// Whether a byte came. An end of file is the sandbox's to notice.
fn asked_to_stop(orders: &pipe::Receiver) -> bool {
    let mut byte = [0];
    matches!(orders.try_read(&mut byte), Ok(1))
}
