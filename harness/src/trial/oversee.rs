//! The supervisor's life while the load runs: its end, and its replacement by another process.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result};
use holdline_contract::clock::now_ns;
use holdline_model::facts::{ProcessEnd, TrialFacts};
use holdline_model::reason::Note;
use holdline_model::support;
use nix::unistd::Pid;
use serde_json::json;

use super::control;
use super::heirs;
use super::inner::{TICK, Trial};
use super::measure::Dispatch;
use super::process::{Supervised, status_in_words};
use super::ready::is_alive;
use crate::proc;

/// How a process ends that daemonises, or that was asked to stop.
const LEFT: &str = "status 0";

impl Trial {
    /// Notes the end of the process that was started. With status 0 and a successor that runs, it
    /// was replaced.
    pub(super) fn note_supervisor_end(
        &mut self,
        process: &Supervised,
        status: ExitStatus,
        dispatch: &mut Dispatch,
    ) {
        let successor = if status.success() { process.successor_of(process.started()) } else { None };
        self.note_end(process.started(), &status_in_words(status), successor, dispatch);
    }

    /// Looks whether the process that took over from the one that was started, or from one that
    /// did, still runs.
    pub(super) fn watch_successor(&mut self, process: &Supervised, dispatch: &mut Dispatch) -> Result<()> {
        let Some(watched) = dispatch.successor else { return Ok(()) };
        if u32::try_from(watched.as_raw()).is_ok_and(is_alive) {
            return Ok(());
        }
        // Its end reaches init and then us; until then it is a zombie.
        self.note_adoptions()?;
        let status = self.adopted.iter().find(|adopted| adopted.pid == watched.as_raw());
        let status = status.map(|adopted| adopted.status);
        if status.is_none() && matches!(proc::stat(watched), Ok(Some(_))) {
            return Ok(());
        }
        let left = status.is_none_or(|status| status.success());
        let next = if left { process.successor_of(watched) } else { None };
        let words = status.map_or_else(|| "an unknown status".to_owned(), status_in_words);
        self.note_end(watched, &words, next, dispatch);
        Ok(())
    }

    fn note_end(&mut self, pid: Pid, status: &str, successor: Option<Pid>, dispatch: &mut Dispatch) {
        let at_ns = now_ns();
        let hint = self.hint_of_background();
        if successor.is_none() && status == LEFT && !hint.is_empty() {
            dispatch.facts.notes.push(Note::LeftBehind { status: status.to_owned(), hint });
        }
        dispatch.successor = successor;
        let successor = successor.and_then(|pid| u32::try_from(pid.as_raw()).ok());
        let pid = u32::try_from(pid.as_raw()).unwrap_or(0);
        let event = json!({ "pid": pid, "status": status, "successor": successor });
        self.log.write(at_ns, "supervisor_ended", event);
        let end = ProcessEnd { pid, at_ns, status: status.to_owned(), successor };
        dispatch.facts.supervisor_exits.push(end);
    }

    /// Asks the supervisor to stop, waits for it, and counts the workers that it left behind: those
    /// that lost it during the load, and those that still run a while after it has stopped. What is
    /// amiss is noted: the load is over, so that it is no failure of the trial.
    pub(super) async fn stop_supervisor(
        &mut self,
        mut process: Supervised,
        patience: Duration,
        facts: &mut TrialFacts,
    ) -> Result<()> {
        let mut orphans = self.orphaned_workers()?;
        let last = process.pid();
        let lives = process.has_ended().is_none() || last != process.started();
        let asked = if lives { self.ask_to_stop(&process).await } else { Ok(()) };
        let limit = match &asked {
            Ok(()) => control::STOP_LIMIT,
            // It may have died of being asked; else the sandbox ends it.
            Err(_) => control::DEATH_LIMIT,
        };
        let in_time = tokio::time::timeout(limit, end_of(&mut process, last)).await.is_ok();
        process.cut_log();
        let patience = if lives { patience } else { Duration::ZERO };
        let patience_ns = now_ns() + u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        while !self.workers.pids().is_empty() && now_ns() < patience_ns {
            tokio::time::sleep(TICK).await;
            self.note_events()?;
        }
        orphans.extend(self.workers.pids());
        orphans.sort_unstable();
        orphans.dedup();
        let error = asked.err().map(|error| format!("{error:#}"));
        if !in_time {
            facts.notes.push(Note::Killed { limit_s: limit.as_secs(), error: error.clone() });
        } else if let Some(status) = process.has_ended().filter(|status| lives && is_unclean(*status)) {
            facts.notes.push(Note::DiedOfStop { status: status_in_words(status) });
        }
        let event = json!({ "asked": lives, "in_time": in_time, "error": error, "left_behind": orphans });
        self.log.write(now_ns(), "stopped", event);
        self.note_events()?;
        facts.orphans = u32::try_from(orphans.len()).unwrap_or(u32::MAX);
        Ok(())
    }

    /// Process ids of the workers that live, those that accept first, of these the oldest first.
    ///
    /// Workers that keep no ledger are known by what makes a worker: they descend from the supervisor
    /// and hold the service's listener.
    pub(super) fn worker_pids(&self, supervisor: Pid) -> Vec<u32> {
        if support::keeps_ledger(&self.supervisor) {
            return self.workers.pids();
        }
        heirs::of(supervisor, &self.listeners, |pid| self.inside.owns(pid))
    }

    /// How many workers can accept now that the load has ended.
    pub(super) fn workers_at_end(&self, supervisor: Pid) -> u32 {
        let count = match support::keeps_ledger(&self.supervisor) {
            true => self.workers.ready(),
            false => self.worker_pids(supervisor).len(),
        };
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    async fn ask_to_stop(&self, process: &Supervised) -> Result<()> {
        let log = self.spec.folder.join("control.log");
        let (workers, stop) = (self.worker_pids(process.pid()), &self.supervisor.stop);
        control::prepare(stop, &self.env, &self.workspace, process.pid(), &workers, &log)?.run().await
    }

    /// Workers that init had to adopt, dead or alive.
    fn orphaned_workers(&mut self) -> Result<Vec<u32>> {
        let workers = self.workers.all_pids();
        self.note_adoptions()?;
        let alive = self.inside.adopted_now().context("failed to ask what init has adopted")?;
        let adopted = self.adopted.iter().map(|adopted| adopted.pid).chain(alive);
        Ok(adopted.filter_map(|pid| u32::try_from(pid).ok()).filter(|pid| workers.contains(pid)).collect())
    }

    fn note_adoptions(&mut self) -> Result<()> {
        self.adopted.extend(self.inside.adoptions.drain().context("failed to read what init adopted")?);
        Ok(())
    }
}

/// Whether a supervisor died of being asked to stop: by a signal that means a crash. To end by the
/// signal that asks, or with a status that names it, is what many do.
fn is_unclean(status: ExitStatus) -> bool {
    let crash = [libc::SIGKILL, libc::SIGSEGV, libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGILL];
    status.signal().is_some_and(|signal| crash.contains(&signal))
}

/// Waits for the end of the process that was started, and of the one that was the supervisor last.
async fn end_of(process: &mut Supervised, last: Pid) {
    process.wait().await;
    while u32::try_from(last.as_raw()).is_ok_and(is_alive) {
        tokio::time::sleep(TICK).await;
    }
}
