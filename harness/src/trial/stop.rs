//! After the trial: the supervisor is asked to stop, and what it leaves behind is counted.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use holdline_contract::clock::now_ns;
use holdline_model::conductor::Event;
use holdline_model::exit::Exit;
use holdline_model::reason::Note;
use holdline_model::signals::Signal;
use holdline_model::worded::Worded;
use nix::unistd::Pid;
use tokio::time::timeout;

use super::cast::Cast;
use super::ends;
use super::hands::ask::{self, AskError};
use super::process::Supervised;
use super::sight::SightError;
use super::stage::Stage;
use crate::proc;

/// How long a supervisor may take to stop.
pub(super) const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How long one is given to be seen dead that could not be asked to stop.
const DEATH_LIMIT: Duration = Duration::from_secs(1);
/// Workers that still run this long after their supervisor has stopped were left behind.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// How long after it found workers without a supervisor, or nobody to hold a listener, another look is taken.
const SECOND_LOOK: Duration = Duration::from_millis(10);

/// What came of stopping a supervisor.
pub(super) struct Stopped {
    /// Workers that it lost during the load, and that still ran a while after it had stopped; `None`: not
    /// known.
    pub(super) orphans: Option<u32>,
    /// What is amiss: the load is over, so that it is no failure of the trial.
    pub(super) notes: Vec<Note>,
}

/// Heals faults that made a worker hang: what the supervisor does about it while the load runs is what is
/// measured, and after it nobody shall wait for it.
pub(super) fn end_hung_workers(stage: &mut Stage) -> Result<(), SightError> {
    stage.look()?;
    let hung = stage.sight.workers.hung();
    stage.sight.prove_own(&hung)?;
    for pid in hung {
        stage.log.event(now_ns(), &Event::HungKilled { pid: proc::number(pid) });
        // It may have ended meanwhile.
        let _ = ends::send(pid, Signal::KILL);
    }
    Ok(())
}

/// Lets those go on that a signal has stopped: what one does that stands still has been noted, and who is asked to stop shall
/// hear of it, as systemd does it (systemd.kill(5), SIGCONT).
pub(super) fn let_go_on(stage: &Stage, stopped: &[u32]) -> Result<(), SightError> {
    let stopped: Vec<Pid> = stopped.iter().filter_map(|pid| proc::numbered(*pid)).collect();
    stage.sight.prove_own(&stopped)?;
    for pid in stopped {
        // It may have ended meanwhile.
        let _ = ends::send(pid, Signal::CONT);
    }
    Ok(())
}

/// Asks the supervisor to stop, waits for it, and counts the workers that it left behind.
pub(super) async fn stop(stage: &mut Stage, supervised: &mut Supervised) -> Result<Stopped, SightError> {
    let last = supervised.pid();
    let lives = supervised.has_ended().is_none() || last != supervised.started();
    let lost = lost_workers(stage, last, lives).await?;
    let below = if stage.sight.is_blind() { stage.sight.worker_pids(last) } else { Vec::new() };
    let asked = if lives { ask_to_stop(stage, supervised).await } else { Ok(()) };
    let limit = match &asked {
        Ok(()) => STOP_LIMIT,
        // It may have died of being asked; else the sandbox ends it.
        Err(_) => DEATH_LIMIT,
    };
    let in_time = timeout(limit, end_of(supervised, last)).await.is_ok();
    if lives {
        let _ = timeout(LEFT_BEHIND, end_of_workers(stage, &below)).await;
    }
    stage.look()?;
    let orphans =
        lost.map(|lost| BTreeSet::from_iter(lost.into_iter().chain(left_behind(stage, below, last))));
    let error = asked.err().map(|error| error.hindrance());
    let mut notes = Vec::new();
    if !in_time {
        notes.push(Note::Killed { limit_s: limit.as_secs(), error: error.clone().map(Worded::Value) });
    } else if let Some(status) =
        supervised.has_ended().map(proc::exit_of).filter(|status| lives && is_unclean(*status))
    {
        notes.push(Note::DiedOfStop { status });
    }
    let left_behind = orphans.iter().flatten().copied().map(proc::number).collect();
    stage.log.event(now_ns(), &Event::Stopped { asked: lives, in_time, error, left_behind });
    let orphans = orphans.map(|orphans| u32::try_from(orphans.len()).unwrap_or(u32::MAX));
    Ok(Stopped { orphans, notes })
}

/// Workers that the supervisor has lost. Those of one that it has replaced may be about to leave: where there is somebody who
/// goes on without them, they are given time to. And a listener that closes just now has no holder any more: where nobody is
/// seen to hold one, it is looked at again.
async fn lost_workers(
    stage: &mut Stage,
    supervisor: Pid,
    lives: bool,
) -> Result<Option<Vec<Pid>>, SightError> {
    // Of one that keeps a ledger it is known that init had to adopt it, whatever becomes of it.
    let may_leave = lives && stage.sight.is_blind();
    let until = Instant::now() + if may_leave { LEFT_BEHIND } else { Duration::ZERO };
    let mut is_second = false;
    loop {
        stage.look()?;
        let lost = stage.sight.orphaned_workers(supervisor)?;
        let is_known = lost.as_ref().map_or(is_second, |lost| lost.is_empty() || Instant::now() >= until);
        if is_known {
            return Ok(lost);
        }
        is_second = true;
        tokio::time::sleep(SECOND_LOOK).await;
    }
}

/// Workers that still run, though their supervisor should have stopped them. Of those that keep no ledger,
/// these are all that were below it or hold the listener now, and are not below it any more.
fn left_behind(stage: &Stage, below: Vec<Pid>, supervisor: Pid) -> Vec<Pid> {
    if !stage.sight.is_blind() {
        return stage.sight.workers.pids();
    }
    let holders = stage.sight.holders().unwrap_or_default();
    let all = below.into_iter().chain(holders).filter(|pid| *pid != supervisor && proc::is_alive(*pid));
    all.filter(|pid| !proc::descends_from(*pid, supervisor)).collect()
}

async fn ask_to_stop(stage: &Stage, supervised: &Supervised) -> Result<(), AskError> {
    let cast = Cast { front: supervised, behind: &stage.companions };
    ask::prepare(&stage.place.supervisor.stop, &stage.place, &stage.sight, cast, None)?.run().await
}

/// Waits for the end of the process that was started, and of the one that was the supervisor last. Keeps
/// the log from filling the disk meanwhile.
async fn end_of(supervised: &mut Supervised, last: Pid) {
    loop {
        tokio::select! {
            _ = supervised.wait() => break,
            () = tokio::time::sleep(Duration::from_millis(20)) => supervised.cut_log(),
        }
    }
    ends::ended(last).await;
    supervised.cut_log();
}

/// Waits until no worker lives, also none that was noticed only meanwhile, and none of these.
async fn end_of_workers(stage: &mut Stage, below: &[Pid]) {
    for pid in below {
        ends::ended(*pid).await;
    }
    while let Some(pid) = stage.sight.workers.pids().first().copied() {
        tokio::select! {
            () = ends::ended(pid) => {}
            () = stage.ledgers.changed() => {}
        }
        if stage.look().is_err() {
            return;
        }
    }
}

/// Whether a supervisor died of being asked to stop: by a signal that means a crash. To end by the signal
/// that asks, or with a status that names it, is what many do.
fn is_unclean(exit: Exit) -> bool {
    match exit {
        Exit::Signal(signal) => signal.is_crash(),
        Exit::Status(_) | Exit::Numbered(_) | Exit::Unknown => false,
    }
}
