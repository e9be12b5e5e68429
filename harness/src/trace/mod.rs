//! `holdline __trace`: a process inside a trial's sandbox that follows the system calls of others (ptrace(2)), writes
//! them down, kills one exactly at one side of one of them, or holds one there until a fault has struck.
//!
//! It is a process of its own, since a tracer is told of the ends of those that it traces before their parents are,
//! and the runner is the supervisor's parent. It reads [`Orders`] from standard input, a line of JSON, attaches and
//! answers [`Answer::Attached`]; then it reads the [`Span`] of the life, and once that is over, or it has killed whom it
//! was to kill, or has held whom it was to hold, it answers [`Answer::Done`] and ends, which lets go of all whom it
//! traces.
//!
//! ```text
//! main thread    attaches, and handles each stop: stops.rs, follower.rs
//! timer thread   reads the span, waits for its end, answers
//! ```

mod follower;
mod holds;
mod page;
mod stops;

pub(crate) use holds::Hold;
pub(crate) use page::Page;

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdline_contract::clock::now_ns;
use holdline_model::sweep::calls::{Call, Place};
use holdline_model::sweep::life::Follow;
use nix::errno::Errno;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use self::follower::{Follower, Turn};
use self::holds::Holds;
use self::stops::{Resume, Stop};
use crate::proc;

/// What is to be traced.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// The processes that tracing begins with.
    pub(crate) pids: Vec<u32>,
    /// Whose calls count.
    pub(crate) follow: Follow,
    /// Where one is to be killed; `None`: calls are written down.
    pub(crate) kill: Option<Place>,
    /// Where one is to be held instead, if anywhere.
    pub(crate) held: Option<Held>,
}

/// Calls at which those are held who are traced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Where.
    pub(crate) at: Vec<Hold>,
    /// The file with the page that tells what has struck.
    pub(crate) page: PathBuf,
}

/// When a life begins and ends, in CLOCK_MONOTONIC nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    /// Its beginning.
    pub(crate) begin_ns: u64,
    /// Its end.
    pub(crate) end_ns: u64,
}

/// What the tracer answers, a line of JSON each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// It traces them.
    Attached,
    /// It may not, or cannot.
    Refused {
        /// The process.
        pid: u32,
        /// What the kernel said, as an errno.
        errno: i32,
    },
    /// A process has come to the call at which a fault strikes, and stands still.
    Reached {
        /// The fault.
        fault: usize,
        /// The process.
        pid: u32,
        /// When, in CLOCK_MONOTONIC nanoseconds.
        at_ns: u64,
    },
    /// It goes on.
    Left {
        /// The fault.
        fault: usize,
        /// For how long it stood still, in nanoseconds.
        held_ns: u64,
    },
    /// The life is over.
    Done(Traced),
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Traced {
    /// The calls that were written down, in the order in which they were entered.
    pub(crate) calls: Vec<Call>,
    /// Whether there were more than are written down.
    pub(crate) cut: bool,
    /// Who was killed, and when; `None`: nobody, for the place did not come.
    pub(crate) killed: Option<Killed>,
}

/// A process that was killed at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Killed {
    /// The process.
    pub(crate) pid: u32,
    /// When, in CLOCK_MONOTONIC nanoseconds.
    pub(crate) at_ns: u64,
}

/// For so long a process is held at most: whoever asks it for something may wait for its answer.
const HELD_MAX: Duration = Duration::from_millis(50);
/// How often it is looked whether it may go on.
const HELD_LOOK: Duration = Duration::from_micros(20);

/// Exit status of one that could not even read its orders.
const NO_ORDERS: u8 = 1;

/// Traces what standard input says.
#[must_use]
pub(crate) fn main() -> u8 {
    // Those under test must not look into it.
    let _ = nix::sys::prctl::set_dumpable(false);
    let Some(orders) = read_line::<Orders>() else { return NO_ORDERS };
    // Whoever is opened later is not there any more.
    let held = orders.held.map(|held| Ok::<_, std::io::Error>(Holds::new(held.at, Page::open(&held.page)?)));
    let Ok(held) = held.transpose() else { return NO_ORDERS };
    if let Err((pid, errno)) = attach(&orders.pids, held.is_none()) {
        tell(&Answer::Refused { pid: proc::number(pid), errno: errno as i32 });
        return 0;
    }
    let roots = orders.pids.iter().filter_map(|pid| proc::numbered(*pid));
    let mut follower = Follower::new(roots, orders.follow, orders.kill);
    if let Some(holds) = held {
        // A look is to come when it is due.
        let _ = nix::sys::prctl::set_timerslack(1);
        follower.holds_at(holds);
    }
    let follower = Arc::new(Mutex::new(follower));
    tell(&Answer::Attached);
    let timed = Arc::clone(&follower);
    std::thread::spawn(move || until_the_end(&timed));
    follow(&follower)
}

fn read_line<T: serde::de::DeserializeOwned>() -> Option<T> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

fn tell(answer: &Answer) {
    let Ok(mut line) = serde_json::to_string(answer) else { return };
    line.push('\n');
    let mut out = std::io::stdout().lock();
    // A runner that has gone has no use for it.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

/// Attaches to all threads of these processes, also to those that they start meanwhile, and to their children.
fn attach(pids: &[u32], with_children: bool) -> Result<(), (Pid, Errno)> {
    for pid in pids.iter().filter_map(|pid| proc::numbered(*pid)) {
        let mut known = Vec::new();
        loop {
            let threads = proc::threads(pid).ok().flatten().unwrap_or_default();
            let new: Vec<Pid> = threads.into_iter().filter(|thread| !known.contains(thread)).collect();
            if new.is_empty() {
                break;
            }
            for thread in new {
                known.push(thread);
                match stops::seize(thread, with_children) {
                    // One that has ended meanwhile, or was started by one that is traced already.
                    Ok(()) | Err(Errno::ESRCH) => {}
                    Err(Errno::EPERM) if stops::is_traced_by_us(thread) => {}
                    Err(errno) => return Err((pid, errno)),
                }
            }
        }
    }
    Ok(())
}

/// Reads when the life begins and ends, and ends this process with it.
fn until_the_end(follower: &Mutex<Follower>) {
    let Some(span) = read_line::<Span>() else { std::process::exit(0) };
    lock(follower).begins(span);
    while let Some(left_ns) = span.end_ns.checked_sub(now_ns()).filter(|ns| *ns > 0) {
        std::thread::sleep(Duration::from_nanos(left_ns));
    }
    finish(&mut lock(follower), None)
}

/// Answers, and ends this process. Whoever comes second waits for the lock until it is gone.
fn finish(follower: &mut MutexGuard<'_, Follower>, killed: Option<Killed>) -> ! {
    let (calls, cut) = follower.take_calls();
    tell(&Answer::Done(Traced { calls, cut, killed }));
    std::process::exit(0)
}

fn lock(follower: &Mutex<Follower>) -> MutexGuard<'_, Follower> {
    follower.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Handles stops until nobody is left to be traced, and then leaves the rest to the timer.
fn follow(follower: &Mutex<Follower>) -> u8 {
    while let Some((thread, stop)) = stops::next() {
        let mut follower = lock(follower);
        let resume = match stop {
            Stop::Ended => {
                follower.ended(thread);
                continue;
            }
            Stop::Entry { call } => match follower.enters(thread, &call, now_ns()) {
                Turn::GoOn => Resume::UntilCall(0),
                Turn::Hold(faults) => hold(&mut follower, thread, &faults),
                Turn::Kill(process) => kill(&mut follower, process),
            },
            Stop::Exit { result } => match follower.leaves(thread, result, now_ns()) {
                Turn::GoOn => Resume::UntilCall(0),
                Turn::Hold(faults) => hold(&mut follower, thread, &faults),
                Turn::Kill(process) => kill(&mut follower, process),
            },
            Stop::Executed if follower.lets_go(thread) => Resume::LetGo,
            Stop::Executed | Stop::Event => Resume::UntilCall(0),
            Stop::Signal(signal) => Resume::UntilCall(signal),
            Stop::Group => Resume::StayStopped,
        };
        stops::resume(thread, resume);
    }
    loop {
        std::thread::park();
    }
}

/// Kills a process, one of whose threads is stopped at the place, and ends.
fn kill(follower: &mut MutexGuard<'_, Follower>, process: Pid) -> ! {
    let at_ns = now_ns();
    let killed = nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL).is_ok();
    finish(follower, killed.then_some(Killed { pid: proc::number(process), at_ns }))
}

/// Holds a thread, which is stopped, until each of these faults has struck. Threads beside it stop at their next call.
/// Once nobody is to be held any more, all go on as if nobody had traced them.
fn hold(follower: &mut MutexGuard<'_, Follower>, thread: Pid, faults: &[usize]) -> Resume {
    let pid = proc::number(thread);
    for fault in faults.iter().copied() {
        let at_ns = now_ns();
        tell(&Answer::Reached { fault, pid, at_ns });
        let is_let_go = || follower.holds().is_none_or(|holds| holds.is_let_go(fault));
        let most_ns = u64::try_from(HELD_MAX.as_nanos()).unwrap_or(u64::MAX);
        while !is_let_go() && now_ns() < at_ns.saturating_add(most_ns) {
            std::thread::sleep(HELD_LOOK);
        }
        tell(&Answer::Left { fault, held_ns: now_ns() - at_ns });
    }
    if follower.holds().is_some_and(Holds::are_over) {
        finish(follower, None);
    }
    Resume::UntilCall(0)
}
