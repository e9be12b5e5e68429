//! A trial's story in moments: what the supervisor and its workers were doing when, and when faults struck. And the
//! order in which they came, which tells one story from another whatever its instants.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::act::{Done, Made, done_by, made_of};
use crate::conductor::{Event, Hit};
use crate::scenario::{Action, Target};
use crate::shm::RecordKind;
use crate::sweep::calls::Call;
use crate::words::words;

words! {
    /// A moment's kind.
    Beat ("moment", "kebab-case") {
        /// The load began.
        Start = "start",
        /// A fault struck.
        Struck = "struck",
        /// What was asked for was done, a pause was over, armed failures had struck.
        Over = "over",
        /// A worker's process began.
        Began = "began",
        /// A worker could accept.
        Ready = "ready",
        /// A spare took over.
        TookOver = "took-over",
        /// A worker was about to fail.
        Fails = "fails",
        /// A worker failed before it could accept.
        BootFailed = "boot-failed",
        /// A worker began to drain.
        Drains = "drains",
        /// A worker left of its own accord.
        Leaves = "leaves",
        /// A worker's process had ended.
        Died = "died",
        /// A listener opened.
        Opened = "opened",
        /// Another set of processes had the listener.
        Held = "held",
        /// A listener was gone.
        Closed = "closed",
        /// The supervisor's process had ended.
        Ended = "ended",
        /// The load was over.
        End = "end",
    }
}

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When, in nanoseconds from the load's start.
    pub at_ns: i64,
    /// What.
    pub beat: Beat,
    /// Which fault, of those in the scenario, where one struck or was over.
    pub fault: Option<usize>,
}

/// What happened while a load ran, in order of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Story {
    /// The moments.
    pub moments: Vec<Moment>,
    /// What the supervisor's processes did, where they were traced.
    pub done: Vec<Done>,
    /// The calls of the supervisor itself by which things are done, whether or not they were this time.
    pub made: Vec<Made>,
}

/// One line of `events.jsonl` that is an event.
#[derive(Deserialize)]
struct Line {
    at_ns: i64,
    #[serde(flatten)]
    event: Event,
}

impl Story {
    /// Reads it from `events.jsonl`. Lines that are no events are passed over.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        Self::of(lines.map(|line| (line.at_ns, line.event)))
    }

    /// Of these events, up to the load's end.
    pub fn of(events: impl IntoIterator<Item = (i64, Event)>) -> Self {
        let moment = |(at_ns, event): (i64, Event)| {
            let (beat, fault) = beat(&event)?;
            (at_ns >= 0).then_some(Moment { at_ns, beat, fault })
        };
        let mut moments: Vec<Moment> = events.into_iter().filter_map(moment).collect();
        moments.sort_by_key(|moment| moment.at_ns);
        let end = moments.iter().position(|moment| moment.beat == Beat::End);
        moments.truncate(end.map_or(moments.len(), |end| end + 1));
        Self { moments, done: Vec::new(), made: Vec::new() }
    }

    /// The same story, with what the supervisor's processes did by these calls while the load ran.
    #[must_use]
    pub fn with_calls(self, calls: &[Call]) -> Self {
        let end_ns = self.moments.last().map_or(0, |moment| moment.at_ns);
        let mut done = done_by(calls);
        done.retain(|done| (0..=end_ns).contains(&done.from_ns));
        let mut made = made_of(calls);
        made.retain(|made| made.entered_ns <= end_ns && made.left_ns.is_none_or(|left_ns| left_ns >= 0));
        Self { done, made, ..self }
    }

    /// How many faults struck.
    #[must_use]
    pub fn struck(&self) -> usize {
        self.moments.iter().filter(|moment| moment.beat == Beat::Struck).count()
    }

    /// The instant at which a fault struck.
    #[must_use]
    pub fn struck_at(&self, fault: usize) -> Option<i64> {
        let is_it = |moment: &&Moment| moment.beat == Beat::Struck && moment.fault == Some(fault);
        self.moments.iter().find(is_it).map(|moment| moment.at_ns)
    }

    /// The orders of its moments around each two faults that follow each other, or the only one: what had happened last
    /// before each struck, and what came next. They tell apart all that a case may have reached for the first time; with
    /// more faults in each, all that is long would be new.
    #[must_use]
    pub fn orders(&self, actions: &[Action]) -> BTreeSet<Order> {
        let around = self.moments.iter().enumerate().filter_map(|(index, moment)| {
            let action = actions.get(moment.fault.filter(|_| moment.beat == Beat::Struck)?)?;
            let before = self.moments[..index].last().map_or(Beat::Start, |moment| moment.beat);
            let after = self.moments.get(index + 1).map_or(Beat::End, |moment| moment.beat);
            Some(Around { before, deed: deed(action), after })
        });
        let around: Vec<Around> = around.collect();
        match around.len() {
            0 | 1 => BTreeSet::from([Order { faults: around }]),
            _ => around.windows(2).map(|pair| Order { faults: pair.to_vec() }).collect(),
        }
    }
}

/// What stands around a fault in the order of moments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub(super) struct Around {
    before: Beat,
    deed: String,
    after: Beat,
}

/// In which order one or two faults struck, and between which moments of the supervisor's story.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    faults: Vec<Around>,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.faults.iter().map(|it| format!("{} → {} → {}", it.before, it.deed, it.after));
        f.write_str(&all.collect::<Vec<_>>().join(", "))
    }
}

fn beat(event: &Event) -> Option<(Beat, Option<usize>)> {
    Some(match event {
        Event::LoadStarted => (Beat::Start, None),
        Event::Poisoned { fault, error: None, .. } => (Beat::Struck, Some(*fault)),
        Event::Fault { fault, hit: Hit::Struck, .. } => (Beat::Struck, Some(*fault)),
        Event::HolderKilled { fault, .. } => (Beat::Struck, Some(*fault)),
        Event::ControlDone { fault, .. } | Event::Healed { fault, .. } => (Beat::Over, Some(*fault)),
        Event::ListenerOpened { .. } => (Beat::Opened, None),
        Event::ListenerHeld { .. } => (Beat::Held, None),
        Event::ListenerClosed { .. } => (Beat::Closed, None),
        Event::Worker { kind, .. } => (of_record(*kind)?, None),
        Event::WorkerEnded { .. } => (Beat::Died, None),
        Event::SupervisorEnded { .. } => (Beat::Ended, None),
        Event::LoadEnded { .. } => (Beat::End, None),
        Event::Poisoned { .. }
        | Event::Fault { .. }
        | Event::SetUp { .. }
        | Event::SupervisorStarted { .. }
        | Event::ProgramStarted { .. }
        | Event::ProgramReady { .. }
        | Event::ProgramEnded { .. }
        | Event::Ready
        | Event::NotReady { .. }
        | Event::Denied
        | Event::AttemptDue { .. }
        | Event::Sighted { .. }
        | Event::CallReached { .. }
        | Event::CallLeft { .. }
        | Event::HeldBack { .. }
        | Event::Signalled { .. }
        | Event::ArmedStruck { .. }
        | Event::StopAsked
        | Event::Answered { .. }
        | Event::NothingLeft
        | Event::TrialEnded { .. }
        | Event::HungKilled { .. }
        | Event::Stopped { .. } => return None,
    })
}

fn of_record(kind: RecordKind) -> Option<Beat> {
    match kind {
        RecordKind::Boot => Some(Beat::Began),
        RecordKind::Ready => Some(Beat::Ready),
        RecordKind::TookOver => Some(Beat::TookOver),
        RecordKind::Crash => Some(Beat::Fails),
        RecordKind::BootFailed | RecordKind::BindFailed => Some(Beat::BootFailed),
        RecordKind::Drain => Some(Beat::Drains),
        RecordKind::Exit => Some(Beat::Leaves),
        RecordKind::Accepted
        | RecordKind::Read
        | RecordKind::Replied
        | RecordKind::Closed
        | RecordKind::AcceptFailed
        | RecordKind::StoppedAccepting => None,
    }
}

/// A fault by its kind: which death it was matters less than when.
pub(super) fn deed(action: &Action) -> String {
    let whom = |target: Target| match target {
        Target::Worker => "worker",
        Target::Workers => "workers",
        Target::Supervisor => "supervisor",
    };
    match action {
        Action::Poison(poison) => format!("poison at {}", poison.step),
        Action::Crash { step, .. } => format!("crash at {step}"),
        Action::Signal { to, signal } if signal.is_crash() => format!("death of {}", whom(*to)),
        Action::Signal { to, signal } => format!("{signal} to {}", whom(*to)),
        Action::Pause { whom: target, .. } => format!("pause of {}", whom(*target)),
        Action::Control { verb, .. } => verb.to_string(),
    }
}
