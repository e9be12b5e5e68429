//! A load that several client threads make: each a part of it, with a loop, a timer, a pool and a log of its own.
//!
//! What they have in common is when attempts are due, which numbers they have, how many may be in flight, and the
//! stop. One that cannot go on ends all of them.

use std::iter;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, Scope, ScopedJoinHandle};

use holdline_contract::clock::now_ns;
use holdline_model::arrivals::Schedule;
use holdline_model::part::{Part, Renumbered};
use holdline_model::record::ClientRecord;
use nix::errno::Errno;

use super::clock::stamp;
use super::lot::{Common, Lot};
use super::records::{self, RecordLogs, Records};
use super::{Hooks, LoadError, LoadPlan, Progress, Run, StopFlag};

/// Puts the load on the server as [`run_into`](super::run_into) does, by as many threads as there are hooks, each with
/// some of its own and with one of the logs. What hooks have kept of replies and certificates is with the first of them
/// then, and records say which.
///
/// Where one thread fails, `stop` is set for the others.
///
/// # Errors
///
/// As for [`run_into`](super::run_into), and if there is no thread to be had. Of several that fail, the first tells why.
///
/// # Panics
///
/// If there are not as many logs as hooks; and if a thread does, once all are over.
pub fn run_in_threads<H: Hooks + Send>(
    logs: RecordLogs,
    plan: &LoadPlan,
    start_ns: u64,
    hooks: &mut [H],
    progress: &Progress,
    stop: &StopFlag,
) -> Result<Records, LoadError> {
    let (mut logs, merged) = logs.into_parts();
    assert_eq!(logs.len(), hooks.len(), "a log for each thread");
    if let ([hooks], true) = (&mut *hooks, logs.len() == 1) {
        return super::run_into(logs.remove(0), plan, start_ns, hooks, progress, stop);
    }
    plan.validate()?;
    let common = Common::default();
    let threads = u32::try_from(logs.len()).unwrap_or(u32::MAX);
    let parts = thread::scope(|scope| {
        let mut running = Vec::with_capacity(logs.len());
        for ((part, log), hooks) in Part::all(threads).zip(logs).zip(&mut *hooks) {
            let (script, lot) = (Arc::clone(&plan.script), Lot::One(part, &common));
            running.push(start(scope, Run { log, plan, script, lot, start_ns, hooks, progress, stop }));
        }
        ends(running)
    })?;
    let numbers = renumber(hooks);
    let missing = |attempt| {
        progress.due.fetch_add(1, Ordering::Relaxed);
        let record = never_begun(plan, start_ns, attempt);
        progress.count_outcome(record.outcome);
        record
    };
    let change = |part: usize, record: &mut ClientRecord| numbers[part].apply(record);
    records::merged(&parts, merged, change, missing).map_err(LoadError::Records)
}

/// The record of an attempt whose thread had not come to it when the load was stopped, while another thread was
/// further: its turn had come.
fn never_begun(plan: &LoadPlan, start_ns: u64, attempt: u32) -> ClientRecord {
    let offset_ns = match &plan.schedule {
        Schedule::Fixed(offsets_ns) => offsets_ns.get(attempt as usize).copied().unwrap_or_default(),
        // Their attempts are numbered as they begin, so that none is left out.
        Schedule::Sequential { .. } | Schedule::Closed { .. } => 0,
    };
    let planned = ClientRecord::planned(attempt, start_ns.saturating_add(offset_ns), false);
    ClientRecord { finished: stamp(now_ns()), ..planned }
}

/// Starts the thread of one part. Where it cannot be, the others are stopped.
fn start<'scope, 'env, H: Hooks + Send>(
    scope: &'scope Scope<'scope, 'env>,
    run: Run<'env, H>,
) -> Result<ScopedJoinHandle<'scope, Result<Records, LoadError>>, LoadError> {
    let stop = run.stop;
    let name = format!("load {}", run.lot.part().index());
    let started = thread::Builder::new().name(name).spawn_scoped(scope, move || {
        let mut guard = StopsOthers { stop, is_over: false };
        // Searches in scripts have room of their own, which one thread alone uses.
        let script = Arc::new((*run.script).clone());
        let records = Run { script, ..run }.run();
        guard.is_over = records.is_ok();
        records
    });
    started.map_err(|error| {
        stop.stop();
        LoadError::Setup { what: "threads", errno: Errno::from_raw(error.raw_os_error().unwrap_or_default()) }
    })
}

/// Waits for the ends of all.
fn ends(
    running: Vec<Result<ScopedJoinHandle<'_, Result<Records, LoadError>>, LoadError>>,
) -> Result<Vec<Records>, LoadError> {
    let ended: Vec<_> = running.into_iter().map(|thread| thread.map(ScopedJoinHandle::join)).collect();
    let records = |ended: Result<thread::Result<Result<Records, LoadError>>, LoadError>| {
        ended?.unwrap_or_else(|panic| resume_unwind(panic))
    };
    ended.into_iter().map(records).collect()
}

/// Stops all threads of a load unless this one comes to its end, also where it panics.
struct StopsOthers<'a> {
    stop: &'a StopFlag,
    is_over: bool,
}

impl Drop for StopsOthers<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.stop.stop();
        }
    }
}

/// What the numbers in one thread's records are among those of all; `None`: they are the same.
#[derive(Debug, Default)]
struct Numbers {
    said: Option<Renumbered>,
    certificates: Option<Renumbered>,
}

impl Numbers {
    fn apply(&self, record: &mut ClientRecord) {
        if let Some(said) = &self.said {
            record.said = said.of(record.said);
        }
        if let Some(certificates) = &self.certificates {
            record.certificate = certificates.of(record.certificate);
        }
    }
}

/// Gives the first what the others have kept. Tells what becomes of the numbers of each.
fn renumber<H: Hooks>(hooks: &mut [H]) -> Vec<Numbers> {
    let Some((first, others)) = hooks.split_first_mut() else { return Vec::new() };
    let others = others.iter_mut().map(|other| Numbers {
        said: first.said().zip(other.said()).map(|(all, own)| all.take_in(own)),
        certificates: first.certificates().zip(other.certificates()).map(|(all, own)| all.take_in(own)),
    });
    iter::once(Numbers::default()).chain(others).collect()
}
