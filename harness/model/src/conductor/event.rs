//! What happens in a trial, and what is ordered: the vocabulary of `events.jsonl`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::aim::Sighting;
use crate::answer::Answer;
use crate::exit::Exit;
use crate::hindrance::Hindrance;
use crate::mishap::LeftRunning;
use crate::reason::Reason;
use crate::scenario::Target;
use crate::shm::RecordKind;
use crate::signals::Signal;
use crate::watch::LastRequest;
use crate::wire::Address;
use crate::words::{CrashMode, CrashStep, Verb};

/// The value of `schema` in the first line of `events.jsonl`.
pub const SCHEMA: &str = "holdline.events/1";

/// Something that happened in a trial, besides what happens to single connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The work folder, the control page and the observer are there.
    SetUp {
        /// Where the service is to listen.
        #[schemars(with = "String")]
        address: Address,
    },
    /// The supervisor's process was started.
    SupervisorStarted {
        /// Its process id.
        pid: u32,
        /// Its command line.
        command: Vec<String>,
    },
    /// A program behind the front was started.
    ProgramStarted {
        /// What it is called.
        program: String,
        /// Its process id.
        pid: u32,
        /// Its command line.
        command: Vec<String>,
    },
    /// It listens.
    ProgramReady {
        /// What it is called.
        program: String,
    },
    /// It has ended while the load ran, which is seen to some 20 ms.
    ProgramEnded {
        /// What it is called.
        program: String,
        /// Its process id.
        pid: u32,
        /// How, in words that fit "ended with …".
        #[schemars(with = "String")]
        status: Exit,
    },
    /// The service can be put under load.
    Ready,
    /// It never got ready.
    NotReady {
        /// Why.
        reason: Reason,
    },
    /// Workers that are not root were denied the port that they have to bind.
    Denied,
    /// The load begins: all instants of this file count from here.
    LoadStarted,
    /// A fault is due that strikes with an attempt and that no request carries.
    AttemptDue {
        /// The fault's index in the scenario.
        fault: usize,
        /// The attempt.
        attempt: u32,
    },
    /// The supervisor has come to the system call at which a fault strikes, and stands still there.
    CallReached {
        /// The fault's index in the scenario.
        fault: usize,
        /// The process.
        pid: u32,
    },
    /// It goes on from there.
    CallLeft {
        /// The fault's index in the scenario.
        fault: usize,
        /// For how long it stood still, in nanoseconds.
        held_ns: u64,
    },
    /// Who there is to be hit by a fault. It fails where nobody can tell who the workers are.
    Sighted {
        /// The fault's index in the scenario.
        fault: usize,
        /// Who was seen.
        seen: Sighting,
    },
    /// An attempt sets out with poison.
    Poisoned {
        /// The fault's index in the scenario.
        fault: usize,
        /// The attempt that carries it.
        attempt: u32,
        /// Where the worker is to fail.
        step: CrashStep,
        /// How.
        mode: CrashMode,
        /// Why it could not be handed out; absent where it could.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Hindrance>,
    },
    /// An attempt sets out in place of poison: the end of its request is held back, and whoever has it is killed.
    HeldBack {
        /// The fault's index in the scenario.
        fault: usize,
        /// The attempt.
        attempt: u32,
    },
    /// The process that had that attempt was killed. Where there was none, the answer is [`Event::Fault`].
    HolderKilled {
        /// The fault's index in the scenario.
        fault: usize,
        /// The attempt.
        attempt: u32,
        /// The process.
        pid: u32,
        /// Whether it was the supervisor itself, so that nobody starts it again.
        supervises: bool,
    },
    /// A signal has reached a process.
    Signalled {
        /// The fault's index in the scenario.
        fault: usize,
        /// The process.
        pid: u32,
    },
    /// What became of an order that injects a fault.
    Fault {
        /// The fault's index in the scenario.
        fault: usize,
        /// Whether it struck.
        hit: Hit,
        /// The processes that it struck at once, also where it failed with others.
        pids: Vec<u32>,
        /// Why it could not be injected; absent where it could.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Hindrance>,
    },
    /// Workers have come to what they were armed with, as often as they should.
    ArmedStruck {
        /// The fault's index in the scenario.
        fault: usize,
    },
    /// A control verb has ended.
    ControlDone {
        /// The fault's index in the scenario.
        fault: usize,
        /// Why it failed; absent where it did not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Hindrance>,
    },
    /// A fault was undone.
    Healed {
        /// The fault's index in the scenario.
        fault: usize,
        /// Whether it was armed and no worker had come to it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unused: bool,
    },
    /// A listener opened at the service's address.
    ListenerOpened {
        /// Its inode.
        inode: u32,
        /// Its backlog, as the kernel limits it.
        limit: u32,
    },
    /// Who has a listener open.
    ListenerHeld {
        /// Its inode.
        inode: u32,
        /// The processes.
        holders: Vec<u32>,
    },
    /// A listener is gone.
    ListenerClosed {
        /// Its inode.
        inode: u32,
    },
    /// A worker wrote something down, other than about a connection.
    Worker {
        /// Its process id, as it recorded it.
        pid: u32,
        /// Which incarnation it is, from 1.
        generation: u32,
        /// What.
        #[schemars(with = "String")]
        kind: RecordKind,
        /// Depends on the kind.
        detail: u64,
    },
    /// A worker's process has ended.
    WorkerEnded {
        /// Its process id.
        pid: u32,
    },
    /// The supervisor's process ended while the load ran.
    SupervisorEnded {
        /// Its process id.
        pid: u32,
        /// How, in words that fit "ended with …".
        #[schemars(with = "String")]
        status: Exit,
        /// The process that had taken over; absent: none had.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        successor: Option<u32>,
        /// Where it went to the background and left others running: what to do about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<LeftRunning>,
    },
    /// The user asks for an early end.
    StopAsked,
    /// The last attempt has ended.
    LoadEnded {
        /// The last request that was due; absent: none was sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<LastRequest>,
    },
    /// What came of a request that was made outside of all counts.
    Answered {
        /// What came.
        answer: Answer,
    },
    /// The supervisor has ended, and no process is left that could listen.
    NothingLeft,
    /// Every fault is healed, and nothing more is ordered.
    TrialEnded {
        /// Processes of the trial that a signal still stops, which must be none.
        still_stopped: Vec<u32>,
    },
    /// A worker that hung was killed, so that nobody waits for it.
    HungKilled {
        /// Its process id.
        pid: u32,
    },
    /// The supervisor was stopped, after the trial.
    Stopped {
        /// Whether there was one to ask.
        asked: bool,
        /// Whether it ended in time.
        in_time: bool,
        /// Why it could not be asked; absent where it could.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Hindrance>,
        /// Workers that it left behind.
        left_behind: Vec<u32>,
    },
}

/// What became of a fault as it was injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hit {
    /// It struck, or waits in the workers.
    Struck,
    /// All that it was aimed at had ended.
    Nobody,
    /// It could not be injected.
    Failed,
}

/// What the conductor wants done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// Poison goes with the first attempt that sets out at an instant or later.
    HandOut {
        /// The fault's index in the scenario.
        fault: usize,
        /// The instant: in CLOCK_MONOTONIC nanoseconds, in the file from the load's start.
        due_ns: u64,
    },
    /// Look who there is to be hit. The answer is [`Event::Sighted`].
    Look {
        /// The fault's index in the scenario.
        fault: usize,
        /// Who is meant.
        whom: Target,
        /// Of which program; absent: of the one that has the service's address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program: Option<String>,
    },
    /// Send a signal. The answer is [`Event::Fault`].
    Signal {
        /// The fault's index in the scenario.
        fault: usize,
        /// To whom.
        to: Target,
        /// Which.
        #[schemars(with = "String")]
        signal: Signal,
        /// The processes, those that are meant first.
        among: Vec<u32>,
        /// Whether all of them are meant: else the first that still runs.
        each: bool,
    },
    /// Stop processes, until it is healed. The answer is [`Event::Fault`].
    Pause {
        /// The fault's index in the scenario.
        fault: usize,
        /// Whom.
        whom: Target,
        /// The processes, those that are meant first.
        among: Vec<u32>,
        /// Whether all of them are meant: else the first that still runs.
        each: bool,
    },
    /// Tell workers to fail, until it is healed. The answer is [`Event::Fault`].
    Arm {
        /// The fault's index in the scenario.
        fault: usize,
        /// Boot, idle or drain.
        step: CrashStep,
        /// How.
        mode: CrashMode,
        /// How many starts are to fail.
        times: u32,
        /// The workers of which the first that still runs is told that it is meant; absent where it may be any.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        among: Vec<u32>,
    },
    /// Ask the supervisor. The answer is [`Event::Fault`] and, where it struck, [`Event::ControlDone`].
    Ask {
        /// The fault's index in the scenario.
        fault: usize,
        /// For what.
        verb: Verb,
        /// How many workers, for `scale`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workers: Option<u32>,
        /// Which program; absent: the one that has the service's address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program: Option<String>,
    },
    /// Undo a fault. The answer is [`Event::Healed`].
    Heal {
        /// The fault's index in the scenario.
        fault: usize,
        /// Why now.
        why: Why,
        /// The processes that go on: those that it has stopped and that no other fault stops, too.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        resume: Vec<u32>,
    },
    /// End the load early.
    StopLoad,
    /// Read what is counted: the load is over, and nothing else has been asked of the service.
    Count,
    /// Make one request outside of all counts. The answer is [`Event::Answered`].
    Request,
}

/// Why a fault is healed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Its time is over.
    TimeOver,
    /// It has struck as often as it should.
    HasStruck,
    /// It could be injected in part only.
    Failed,
    /// The trial ends.
    TrialEnds,
}

impl Order {
    /// The fault that it is about; `None`: it is about the whole load.
    #[must_use]
    pub const fn fault(&self) -> Option<usize> {
        match *self {
            Self::HandOut { fault, .. }
            | Self::Look { fault, .. }
            | Self::Signal { fault, .. }
            | Self::Pause { fault, .. }
            | Self::Arm { fault, .. }
            | Self::Ask { fault, .. }
            | Self::Heal { fault, .. } => Some(fault),
            Self::StopLoad | Self::Count | Self::Request => None,
        }
    }
}
