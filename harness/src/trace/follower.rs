//! What is known of the threads that are traced, and whose turn it is: it is told of entries and exits with their
//! instants, and says whether somebody is to be killed. It asks the kernel only whose thread one is that it has not
//! seen before.

use std::collections::HashMap;

use holdline_model::sweep::When;
use holdline_model::sweep::calls::{Call, Place, is_visible};
use holdline_model::sweep::life::Follow;
use holdline_model::syscall::has_done;
use nix::unistd::Pid;

use super::Span;
use super::holds::Holds;
use crate::proc;

/// The most calls that are written down.
const CALLS_MAX: usize = 10_000;

/// What is to be done with a thread that has stopped at a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// It goes on.
    GoOn,
    /// It is held until each of these faults has struck.
    Hold(Vec<usize>),
    /// This process, which it belongs to, is killed.
    Kill(Pid),
}

/// A thread that is traced.
#[derive(Debug, Clone)]
struct Thread {
    process: Pid,
    depth: u32,
    open: Option<Open>,
    /// The last call that it has entered and that others can see.
    previous: Option<String>,
}

/// A call that a thread is in.
#[derive(Debug, Clone)]
struct Open {
    name: String,
    entered_ns: u64,
    /// The last call before it that others can see.
    previous: Option<String>,
    /// Once the life has begun, and if its process is one that counts.
    counted: Option<Counted>,
}

/// The how-many-th a call is, and where it is written down.
#[derive(Debug, Clone, Copy)]
struct Counted {
    nth: u32,
    written: Option<usize>,
}

/// Those who are traced.
#[derive(Debug)]
pub(super) struct Follower {
    threads: HashMap<Pid, Thread>,
    /// The processes that were ever seen, by how many forks away from the first they are.
    depths: HashMap<Pid, u32>,
    follow: Follow,
    kill: Option<Place>,
    holds: Option<Holds>,
    span: Option<Span>,
    has_begun: bool,
    /// Calls by name.
    counts: HashMap<String, u32>,
    /// Calls by name and the one before.
    pairs: HashMap<(String, Option<String>), u32>,
    calls: Vec<Call>,
    cut: bool,
}

impl Follower {
    pub(super) fn new(roots: impl Iterator<Item = Pid>, follow: Follow, kill: Option<Place>) -> Self {
        Self {
            threads: HashMap::new(),
            depths: roots.map(|pid| (pid, 0)).collect(),
            follow,
            kill,
            holds: None,
            span: None,
            has_begun: false,
            counts: HashMap::new(),
            pairs: HashMap::new(),
            calls: Vec::new(),
            cut: false,
        }
    }

    /// From now on threads are held at these.
    pub(super) fn holds_at(&mut self, holds: Holds) {
        self.holds = Some(holds);
    }

    /// The calls at which threads are held, if there are any.
    pub(super) const fn holds(&self) -> Option<&Holds> {
        self.holds.as_ref()
    }

    /// When the life begins and ends.
    pub(super) fn begins(&mut self, span: Span) {
        self.span = Some(span);
    }

    /// The calls that were written down, and whether there were more.
    pub(super) fn take_calls(&mut self) -> (Vec<Call>, bool) {
        (std::mem::take(&mut self.calls), self.cut)
    }

    /// A thread enters a call.
    pub(super) fn enters(&mut self, thread: Pid, name: &str, now_ns: u64) -> Turn {
        self.begin_if_due(now_ns);
        let known = self.known(thread);
        let previous = known.previous.clone();
        let mut open = Open { name: name.to_owned(), entered_ns: now_ns, previous, counted: None };
        let turn = if self.holds.is_some() {
            self.meets(&open, When::Before)
        } else if self.has_begun {
            self.count(thread, &mut open)
        } else {
            Turn::GoOn
        };
        let previous = if is_visible(name) { Some(name.to_owned()) } else { known.previous.clone() };
        self.threads.insert(thread, Thread { open: Some(open), previous, ..known });
        turn
    }

    /// A thread leaves the call that it is in.
    pub(super) fn leaves(&mut self, thread: Pid, result: i64, now_ns: u64) -> Turn {
        self.begin_if_due(now_ns);
        let Some(Thread { process, open, .. }) = self.threads.get_mut(&thread) else { return Turn::GoOn };
        let process = *process;
        // One that was entered before tracing began is not known.
        let Some(open) = open.take() else { return Turn::GoOn };
        if self.holds.is_some() {
            // What came to nothing is none of those that count.
            return if has_done(&open.name, result) { self.meets(&open, When::After) } else { Turn::GoOn };
        }
        let Some(counted) = open.counted else { return Turn::GoOn };
        if let Some(call) = counted.written.and_then(|index| self.calls.get_mut(index)) {
            call.left_ns = Some(now_ns);
            call.result = Some(result);
        }
        if self.is_place(&open, counted.nth, When::After) { Turn::Kill(process) } else { Turn::GoOn }
    }

    /// Whether whoever is at this side of a call is held there.
    fn meets(&mut self, open: &Open, side: When) -> Turn {
        let has_begun = self.has_begun;
        let holds = self.holds.as_mut();
        let faults = holds.map(|holds| holds.comes(side, &open.name, open.previous.as_deref(), has_begun));
        faults.filter(|faults| !faults.is_empty()).map_or(Turn::GoOn, Turn::Hold)
    }

    /// A thread has executed another program. Whether it is let go, for what it does now is not looked at.
    pub(super) fn lets_go(&mut self, thread: Pid) -> bool {
        let lets_go = self.known(thread).depth > self.follow.beyond_exec;
        if lets_go {
            self.threads.remove(&thread);
        }
        lets_go
    }

    /// A thread is gone.
    pub(super) fn ended(&mut self, thread: Pid) {
        self.threads.remove(&thread);
    }

    /// At its beginning, the calls that threads are in are the first of the life.
    fn begin_if_due(&mut self, now_ns: u64) {
        if self.has_begun || self.span.is_none_or(|span| now_ns < span.begin_ns) {
            return;
        }
        self.has_begun = true;
        let mut open: Vec<(u64, Pid)> = self
            .threads
            .iter()
            .filter_map(|(pid, thread)| Some((thread.open.as_ref()?.entered_ns, *pid)))
            .collect();
        open.sort_unstable();
        for (_, pid) in open {
            let Some(mut call) = self.threads.get(&pid).and_then(|thread| thread.open.clone()) else {
                continue;
            };
            // It was entered before: only its other side lies in the life.
            let _ = self.count(pid, &mut call);
            if let Some(thread) = self.threads.get_mut(&pid) {
                thread.open = Some(call);
            }
        }
    }

    /// Counts a call that a thread is in, if its process is one that counts.
    fn count(&mut self, thread: Pid, open: &mut Open) -> Turn {
        let Thread { process, depth, .. } = self.known(thread);
        if !(self.follow.nearest..=self.follow.furthest).contains(&depth) {
            return Turn::GoOn;
        }
        let count = self.counts.entry(open.name.clone()).or_default();
        *count += 1;
        let occurrence = *count;
        let nth = self.pairs.entry((open.name.clone(), open.previous.clone())).or_default();
        *nth += 1;
        let nth = *nth;
        let call = Call {
            name: open.name.clone(),
            occurrence,
            previous: open.previous.clone(),
            nth,
            pid: proc::number(process),
            thread: proc::number(thread),
            depth,
            entered_ns: open.entered_ns,
            left_ns: None,
            result: None,
        };
        open.counted = Some(Counted { nth, written: self.write(call) });
        let lies_in_the_life = self.span.is_some_and(|span| open.entered_ns >= span.begin_ns);
        if lies_in_the_life && self.is_place(open, nth, When::Before) {
            return Turn::Kill(process);
        }
        Turn::GoOn
    }

    fn write(&mut self, call: Call) -> Option<usize> {
        if self.kill.is_some() {
            return None;
        }
        if self.calls.len() >= CALLS_MAX {
            self.cut = true;
            return None;
        }
        self.calls.push(call);
        Some(self.calls.len() - 1)
    }

    fn is_place(&self, open: &Open, nth: u32, when: When) -> bool {
        self.kill.as_ref().is_some_and(|place| {
            place.call == open.name
                && place.previous == open.previous
                && place.nth == nth
                && place.when == when
        })
    }

    /// A thread, whose it is and how far from the first.
    fn known(&mut self, thread: Pid) -> Thread {
        if let Some(known) = self.threads.get(&thread) {
            return known.clone();
        }
        let (process, parent) = proc::family(thread).ok().flatten().unwrap_or((thread, thread));
        let above = self.depths.get(&parent).copied();
        // One whose parent has ended already was started by one that was traced.
        let depth = *self.depths.entry(process).or_insert_with(|| above.map_or(1, |above| above + 1));
        Thread { process, depth, open: None, previous: None }
    }
}

#[cfg(test)]
mod tests {
    use holdline_model::scenario::AtCall;
    use holdline_model::sweep::SweepTarget;
    use holdline_model::syscall::Meeting;

    use super::super::{Hold, Page};

    use super::*;

    const SPAN: Span = Span { begin_ns: 100, end_ns: 200 };

    /// Follows this process, whose thread is the one of the test.
    fn follower(nearest: u32, kill: Option<Place>) -> (Follower, Pid) {
        let from = SweepTarget::Worker;
        let follow = Follow { from, nearest, furthest: u32::MAX, beyond_exec: u32::MAX };
        let mut follower = Follower::new(std::iter::once(Pid::this()), follow, kill);
        follower.begins(SPAN);
        (follower, nix::unistd::gettid())
    }

    /// A call before the life, one that reaches into it, and some in it; with `again`, it waits once more.
    fn live(follower: &mut Follower, thread: Pid, again: bool) -> Vec<(u64, Turn)> {
        let mut turns = Vec::new();
        let mut call = |name: &str, entered_ns: u64, left_ns: u64| {
            turns.push((entered_ns, follower.enters(thread, name, entered_ns)));
            turns.push((left_ns, follower.leaves(thread, 0, left_ns)));
        };
        call("close", 10, 11);
        call("poll", 50, 110);
        call("mmap", 111, 112);
        call("read", 113, 114);
        if again {
            call("poll", 120, 121);
            call("read", 122, 123);
        }
        call("read", 130, 131);
        call("close", 140, 141);
        call("poll", 150, 151);
        turns
    }

    fn place(call: &str, previous: &str, when: When) -> Place {
        Place { call: call.to_owned(), previous: Some(previous.to_owned()), nth: 1, when }
    }

    #[test]
    fn calls_are_counted_from_the_lifes_beginning_and_those_under_way_first() {
        let (mut follower, thread) = follower(0, None);
        assert!(live(&mut follower, thread, false).iter().all(|(_, turn)| *turn == Turn::GoOn));
        let (calls, cut) = follower.take_calls();
        let told: Vec<_> =
            calls.iter().map(|c| (c.name.as_str(), c.occurrence, c.previous.as_deref(), c.nth)).collect();
        let read = Some("read");
        assert_eq!(
            told,
            [
                ("poll", 1, Some("close"), 1),
                ("mmap", 1, Some("poll"), 1),
                ("read", 1, Some("poll"), 1),
                ("read", 2, read, 1),
                ("close", 1, read, 1),
                ("poll", 2, Some("close"), 2)
            ]
        );
        assert_eq!((calls[0].entered_ns, calls[0].left_ns), (50, Some(110)));
        assert!(!cut && calls.iter().all(|call| call.depth == 0 && call.pid == proc::number(Pid::this())));
    }

    #[test]
    fn who_comes_to_the_place_is_killed_there_and_nowhere_else() {
        for (place, again, expected) in [
            (place("read", "read", When::Before), false, Some(130)),
            (place("read", "read", When::After), true, Some(131)),
            (place("close", "read", When::Before), true, Some(140)),
            (place("poll", "close", When::After), false, Some(110)),
            (Place { nth: 2, ..place("poll", "close", When::Before) }, true, Some(150)),
            // It was entered before the life began.
            (place("poll", "close", When::Before), false, None),
            (place("write", "read", When::Before), false, None),
        ] {
            let (mut follower, thread) = follower(0, Some(place.clone()));
            let turns = live(&mut follower, thread, again);
            let killed = turns.into_iter().find(|(_, turn)| *turn == Turn::Kill(Pid::this()));
            assert_eq!(killed.map(|(at_ns, _)| at_ns), expected, "{place:?}");
        }
    }

    #[test]
    fn whoever_comes_behind_a_call_that_has_done_something_is_held_and_nobody_else() {
        let (mut follower, thread) = follower(0, None);
        let file = tempfile::NamedTempFile::new().expect("a file");
        let page = Page::create(file.as_file(), 1).expect("a page");
        let meeting = Meeting { call: "wait4", following: Some("poll"), nth: 2, side: When::After };
        let hold = Hold::new(0, AtCall { since: None, meeting, optional: false });
        follower.holds_at(Holds::new(vec![hold], page));
        let mut turns = Vec::new();
        for (nth, (before, result)) in
            [("poll", 7), ("poll", 0), ("poll", -10), ("read", 8), ("poll", 9), ("poll", 10)]
                .into_iter()
                .enumerate()
        {
            for (name, result) in [(before, 0), ("wait4", result)] {
                assert_eq!(follower.enters(thread, name, 120), Turn::GoOn);
                let turn = follower.leaves(thread, result, 121);
                turns.extend((turn != Turn::GoOn).then_some((nth, name.to_owned(), turn)));
            }
        }
        assert_eq!(turns, [(4, "wait4".to_owned(), Turn::Hold(vec![0]))]);
    }

    #[test]
    fn who_is_nearer_than_those_that_count_is_not_looked_at() {
        let (mut follower, thread) = follower(1, Some(place("read", "read", When::Before)));
        assert!(live(&mut follower, thread, false).iter().all(|(_, turn)| *turn == Turn::GoOn));
    }
}
