//! What is known of the threads that are traced, and whose turn it is: it is told of entries and exits with their
//! instants, and says whether somebody is to be killed. It asks the kernel only whose thread one is that it has not
//! seen before.

use std::collections::HashMap;

use holdline_model::sweep::When;
use holdline_model::sweep::calls::{Call, Place};
use holdline_model::sweep::life::Follow;
use nix::unistd::Pid;

use super::Span;
use crate::proc;

/// The most calls that are written down.
const CALLS_MAX: usize = 10_000;

/// What is to be done with a thread that has stopped at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It goes on.
    GoOn,
    /// This process, which it belongs to, is killed.
    Kill(Pid),
}

/// A thread that is traced.
#[derive(Debug, Clone)]
struct Thread {
    process: Pid,
    depth: u32,
    open: Option<Open>,
}

/// A call that a thread is in.
#[derive(Debug, Clone)]
struct Open {
    name: String,
    entered_ns: u64,
    /// Once the life has begun: the how-many-th it is, and where it is written down.
    counted: Option<(u32, Option<usize>)>,
}

/// Those who are traced.
#[derive(Debug)]
pub(super) struct Follower {
    threads: HashMap<Pid, Thread>,
    /// The processes that were ever seen, by how many forks away from the first they are.
    depths: HashMap<Pid, u32>,
    follow: Follow,
    kill: Option<Place>,
    span: Option<Span>,
    has_begun: bool,
    counts: HashMap<String, u32>,
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
            span: None,
            has_begun: false,
            counts: HashMap::new(),
            calls: Vec::new(),
            cut: false,
        }
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
        let mut open = Open { name: name.to_owned(), entered_ns: now_ns, counted: None };
        let turn = if self.has_begun { self.count(thread, &mut open) } else { Turn::GoOn };
        self.threads.insert(thread, Thread { open: Some(open), ..known });
        turn
    }

    /// A thread leaves the call that it is in.
    pub(super) fn leaves(&mut self, thread: Pid, result: i64, now_ns: u64) -> Turn {
        self.begin_if_due(now_ns);
        let Some(Thread { process, open, .. }) = self.threads.get_mut(&thread) else { return Turn::GoOn };
        let process = *process;
        // One that was entered before tracing began is not known.
        let Some(Open { name, counted: Some((occurrence, written)), .. }) = open.take() else {
            return Turn::GoOn;
        };
        if let Some(call) = written.and_then(|index| self.calls.get_mut(index)) {
            call.left_ns = Some(now_ns);
            call.result = Some(result);
        }
        if self.is_place(&name, occurrence, When::After) { Turn::Kill(process) } else { Turn::GoOn }
    }

    /// A thread has executed another program. Whether it is let go, for what it does now is not looked at.
    pub(super) fn lets_go(&mut self, thread: Pid) -> bool {
        let lets_go = self.known(thread).depth > self.follow.furthest;
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
        let written = self.write(thread, process, depth, open, occurrence);
        open.counted = Some((occurrence, written));
        let lies_in_the_life = self.span.is_some_and(|span| open.entered_ns >= span.begin_ns);
        if lies_in_the_life && self.is_place(&open.name, occurrence, When::Before) {
            return Turn::Kill(process);
        }
        Turn::GoOn
    }

    fn write(
        &mut self,
        thread: Pid,
        process: Pid,
        depth: u32,
        open: &Open,
        occurrence: u32,
    ) -> Option<usize> {
        if self.kill.is_some() {
            return None;
        }
        if self.calls.len() >= CALLS_MAX {
            self.cut = true;
            return None;
        }
        self.calls.push(Call {
            name: open.name.clone(),
            occurrence,
            pid: proc::number(process),
            thread: proc::number(thread),
            depth,
            entered_ns: open.entered_ns,
            left_ns: None,
            result: None,
        });
        Some(self.calls.len() - 1)
    }

    fn is_place(&self, name: &str, occurrence: u32, when: When) -> bool {
        self.kill
            .as_ref()
            .is_some_and(|place| place.call == name && place.occurrence == occurrence && place.when == when)
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
        Thread { process, depth, open: None }
    }
}

#[cfg(test)]
mod tests {
    use holdline_model::sweep::SweepTarget;

    use super::*;

    const SPAN: Span = Span { begin_ns: 100, end_ns: 200 };

    /// Follows this process, whose thread is the one of the test.
    fn follower(nearest: u32, kill: Option<(&str, u32, When)>) -> (Follower, Pid) {
        let kill = kill.map(|(call, occurrence, when)| Place { call: call.to_owned(), occurrence, when });
        let follow = Follow { from: SweepTarget::Worker, nearest, furthest: u32::MAX };
        let mut follower = Follower::new(std::iter::once(Pid::this()), follow, kill);
        follower.begins(SPAN);
        (follower, nix::unistd::gettid())
    }

    /// One call before the life, one that reaches into it, and three in it.
    fn live(follower: &mut Follower, thread: Pid) -> Vec<(u64, Turn)> {
        let mut turns = Vec::new();
        let mut at = |now_ns, turn| turns.push((now_ns, turn));
        at(10, follower.enters(thread, "read", 10));
        at(11, follower.leaves(thread, 1, 11));
        at(50, follower.enters(thread, "accept4", 50));
        at(110, follower.leaves(thread, 4, 110));
        at(111, follower.enters(thread, "read", 111));
        at(112, follower.leaves(thread, 2, 112));
        at(113, follower.enters(thread, "read", 113));
        at(114, follower.leaves(thread, -11, 114));
        turns
    }

    #[test]
    fn calls_are_counted_from_the_lifes_beginning_and_those_under_way_first() {
        let (mut follower, thread) = follower(0, None);
        assert!(live(&mut follower, thread).iter().all(|(_, turn)| *turn == Turn::GoOn));
        let (calls, cut) = follower.take_calls();
        let told: Vec<_> = calls
            .iter()
            .map(|c| (c.name.as_str(), c.occurrence, c.entered_ns, c.left_ns, c.result))
            .collect();
        assert_eq!(
            told,
            [
                ("accept4", 1, 50, Some(110), Some(4)),
                ("read", 1, 111, Some(112), Some(2)),
                ("read", 2, 113, Some(114), Some(-11))
            ]
        );
        assert!(!cut && calls.iter().all(|call| call.depth == 0 && call.pid == proc::number(Pid::this())));
    }

    #[test]
    fn who_comes_to_the_place_is_killed_there_and_nowhere_else() {
        for (call, occurrence, when, expected) in [
            ("read", 2, When::Before, Some(113)),
            ("read", 2, When::After, Some(114)),
            ("accept4", 1, When::After, Some(110)),
            ("accept4", 1, When::Before, None),
            ("read", 3, When::Before, None),
        ] {
            let (mut follower, thread) = follower(0, Some((call, occurrence, when)));
            let killed =
                live(&mut follower, thread).into_iter().find(|(_, turn)| *turn == Turn::Kill(Pid::this()));
            assert_eq!(killed.map(|(at_ns, _)| at_ns), expected, "{call} {occurrence} {when}");
        }
    }

    #[test]
    fn who_is_nearer_than_those_that_count_is_not_looked_at() {
        let (mut follower, thread) = follower(1, Some(("read", 1, When::Before)));
        assert!(live(&mut follower, thread).iter().all(|(_, turn)| *turn == Turn::GoOn));
    }
}
