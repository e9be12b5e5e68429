//! Injecting faults: finds whom a fault is aimed at, does it, and says afterwards which faults struck.
//!
//! What a fault is and when it is due stands in [`super::faults`], how it is undone in
//! [`super::heal`].

use anyhow::{Context, Result, bail};
use holdline_contract::clock::now_ns;
use holdline_model::facts::FaultFact;
use holdline_model::reason::{Note, Reason};
use holdline_model::record::{ClientRecord, Outcome};
use holdline_model::scenario::{Action, Target};
use holdline_model::support;
use holdline_model::words::{CrashStep, Verb};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::control;
use super::faults::{self, Pause, TimedFault, ordinal};
use super::heal::Armed;
use super::inner::{Event, Trial};
use super::measure::Dispatch;
use super::process::Supervised;
use super::ready::{is_alive, is_stopped};

/// What became of a fault that was injected.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hit {
    /// It struck these processes, and is over.
    AndOver(Vec<Pid>),
    /// It struck, these processes as far as it is aimed at any, and is over later.
    AndLasts(Vec<Pid>),
    /// There was no process that it could have struck: all that it was aimed at had ended.
    Nobody,
}

impl Hit {
    /// The processes that were hit at once.
    fn pids(&self) -> Vec<i32> {
        match self {
            Self::AndOver(pids) | Self::AndLasts(pids) => pids.iter().map(|pid| pid.as_raw()).collect(),
            Self::Nobody => Vec::new(),
        }
    }
}

impl Trial {
    /// Injects what is due by now.
    pub(super) fn strike_due(&mut self, process: &Supervised, dispatch: &mut Dispatch) {
        let now = now_ns();
        while let Some(index) = dispatch.plan.timed.iter().position(|timed| timed.at_ns <= now) {
            let timed = dispatch.plan.timed.swap_remove(index);
            self.inject(timed, process, dispatch);
        }
    }

    /// Injects one fault, and writes down what became of it.
    pub(super) fn inject(&mut self, timed: TimedFault, process: &Supervised, dispatch: &mut Dispatch) {
        let fault = timed.fault;
        let action = self.scenario.faults[fault].action.clone();
        let at_ns = now_ns();
        let hit = self.act(fault, &action, process, dispatch);
        let mut text = faults::in_words(&action);
        if let Ok(Hit::Nobody) = hit {
            dispatch.facts.notes.push(Note::HitNobody { fault: ordinal(fault), action: text.clone() });
            text.push_str(": hit nobody");
        }
        let pids = hit.as_ref().map_or_else(|_| Vec::new(), Hit::pids);
        let is_over = matches!(hit, Ok(Hit::AndOver(_) | Hit::Nobody));
        let error = hit.err().map(|error| format!("{error:#}"));
        let event = json!({ "fault": fault, "text": text, "pids": pids, "error": error });
        self.log.write(at_ns, "fault", event);
        dispatch.note_fault(fault, at_ns, text, error);
        if is_over {
            self.complete(fault, at_ns, dispatch);
        }
    }

    fn act(
        &mut self,
        fault: usize,
        action: &Action,
        process: &Supervised,
        dispatch: &mut Dispatch,
    ) -> Result<Hit> {
        match action {
            Action::Poison(_) => bail!("poison goes with an attempt"),
            Action::Signal { to, signal } => {
                let pids = self.aim(*to, process)?;
                if pids.is_empty() {
                    return Ok(Hit::Nobody);
                }
                dispatch.deaths.extend(faults::strike(signal, &pids)?);
                if faults::stops(signal) {
                    dispatch.pauses.push((Pause::begun(fault, pids.clone()), u64::MAX));
                }
                Ok(Hit::AndOver(pids))
            }
            Action::Pause { whom, for_ns } => {
                let pids = self.aim(*whom, process)?;
                if pids.is_empty() {
                    return Ok(Hit::Nobody);
                }
                let until_ns = for_ns.map_or(u64::MAX, |ns| now_ns().saturating_add(ns));
                dispatch.pauses.push((Pause::begin(fault, pids.clone())?, until_ns));
                Ok(Hit::AndLasts(pids))
            }
            Action::Crash { step, mode, times } => {
                self.workspace.control.arm(*step, *mode, *times)?;
                dispatch.armed.push(Armed { fault, step: *step, times: *times });
                if *step != CrashStep::Idle {
                    return Ok(Hit::AndLasts(Vec::new()));
                }
                let Some(worker) = self.aim(Target::Worker, process)?.first().copied() else {
                    return Ok(Hit::Nobody);
                };
                holdline_contract::control::send_idle_signal(worker)?;
                Ok(Hit::AndOver(vec![worker]))
            }
            Action::Control { verb, workers } => {
                self.ask(fault, *verb, *workers, process, dispatch)?;
                Ok(Hit::AndLasts(Vec::new()))
            }
        }
    }

    /// The processes that a fault is aimed at, as far as they run and are ours.
    fn aim(&self, target: Target, process: &Supervised) -> Result<Vec<Pid>> {
        let pids = faults::targets(target, process.pid(), &self.worker_pids(process.pid()));
        self.prove_own(&pids)?;
        let aims_at_workers = matches!(target, Target::Worker | Target::Workers);
        let is_blind = aims_at_workers && !support::keeps_ledger(&self.supervisor);
        if pids.is_empty() && is_blind && u32::try_from(process.pid().as_raw()).is_ok_and(is_alive) {
            bail!("no process beneath the supervisor holds its listener, by which its workers are known");
        }
        Ok(pids)
    }

    fn ask(
        &mut self,
        fault: usize,
        verb: Verb,
        count: Option<u32>,
        process: &Supervised,
        dispatch: &mut Dispatch,
    ) -> Result<()> {
        let control = match verb {
            Verb::Stop => Some(self.supervisor.stop.clone()),
            _ => self.supervisor.control.get(&verb).cloned(),
        };
        let control = control.with_context(|| format!("this supervisor has no `{verb}`"))?;
        if let Some(count) = count {
            self.workspace.values.workers = count;
            self.workspace.render()?;
        }
        if verb == Verb::Upgrade {
            self.workspace.upgrade_worker()?;
        }
        let log = self.spec.folder.join("control.log");
        let workers = self.worker_pids(process.pid());
        let action = control::prepare(&control, &self.env, &self.workspace, process.pid(), &workers, &log)?;
        let sender = self.sender.clone();
        dispatch.controls_running += 1;
        tokio::spawn(async move {
            let error = action.run().await.err().map(|error| format!("{error:#}"));
            let _ = sender.send(Event::ControlDone { fault, at_ns: now_ns(), error });
        });
        Ok(())
    }

    /// Without a PID namespace, a process id may belong to anybody: only descendants are signalled.
    fn prove_own(&self, pids: &[Pid]) -> Result<()> {
        if self.is_exclusive() {
            return Ok(());
        }
        match pids.iter().find(|pid| !self.inside.owns(pid.as_raw())) {
            Some(pid) => bail!("process {pid} is not a descendant of holdline"),
            None => Ok(()),
        }
    }

    /// Heals faults that made a worker hang: what the supervisor does about it while the load runs is
    /// what is measured, and after it nobody shall wait for it.
    pub(super) fn end_hung_workers(&mut self) -> Result<()> {
        self.note_workers()?;
        let hung: Vec<_> = self.workers.hung().into_iter().filter_map(control::pid_of).collect();
        self.prove_own(&hung)?;
        for pid in hung {
            self.log.write(
                now_ns(),
                "heal",
                json!({ "pid": pid.as_raw(), "text": "a hung worker is killed" }),
            );
            // It may have ended meanwhile.
            let _ = kill(pid, Signal::SIGKILL);
        }
        Ok(())
    }

    /// The trial's processes that a signal stopped, which after healing are none.
    pub(super) fn still_stopped(&self) -> Vec<i32> {
        let mut pids = self.inside.processes();
        pids.retain(|pid| is_stopped(Pid::from_raw(*pid)));
        pids
    }

    /// A trial in which a fault did not strike shows nothing.
    pub(super) fn check_faults(&self, dispatch: &mut Dispatch, client: &[ClientRecord]) {
        let failed = dispatch.facts.faults.iter().find_map(|fact| {
            let error = fact.error.as_ref()?;
            let (action, error) = (fact.text.clone(), error.clone());
            Some(Reason::FaultFailed { fault: ordinal(fact.fault), action, error })
        });
        let missed = self.missed_fault(dispatch);
        let facts = &mut dispatch.facts;
        let unsent = facts.faults.iter().filter_map(|fact| fact.poison).find(|attempt| {
            client.iter().any(|r| r.attempt == *attempt && matches!(r.outcome, Outcome::NotSent(_)))
        });
        let unsent = unsent.map(|attempt| Reason::PoisonNotSent { attempt });
        facts.environment =
            if dispatch.stopped { Some(Reason::Interrupted) } else { failed.or(missed).or(unsent) };
    }

    /// The first fault that should have struck and did not. One that waited for the supervisor's
    /// doing is noted only: whether starts fail or workers drain is up to the supervisor.
    fn missed_fault(&self, dispatch: &mut Dispatch) -> Option<Reason> {
        let facts = &mut dispatch.facts;
        let has_struck: Vec<bool> = (0..self.scenario.faults.len())
            .map(|index| facts.faults.iter().any(|fact| fact.fault == index))
            .collect();
        let mut missed = None;
        for index in (0..has_struck.len()).filter(|index| !has_struck[*index]) {
            let (fault, action) = (ordinal(index), faults::in_words(&self.scenario.faults[index].action));
            match dispatch.plan.waits_for(index).filter(|other| has_struck[*other]) {
                Some(other) => {
                    facts.notes.push(Note::NeverStruck { fault, action, waited_for: ordinal(other) });
                }
                None => {
                    missed.get_or_insert(Reason::FaultNeverDue { fault, action });
                }
            }
        }
        missed
    }
}

impl Dispatch {
    /// Writes down that a fault struck, or could not be injected.
    pub(super) fn note_fault(&mut self, fault: usize, at_ns: u64, text: String, error: Option<String>) {
        self.facts.faults.push(FaultFact { fault, at_ns, text, poison: None, done_ns: None, error });
    }
}
