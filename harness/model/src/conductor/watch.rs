//! The watch: once the load has ended and nothing is under way, the service is asked one request after the
//! other until one is served, the scenario's patience is over, or nothing is left that could come back.

use super::event::Order;
use crate::answer::Answer;
use crate::watch::{Found, Watched};

/// From the end of one request of the watch to the next: sparse, so that a service which comes back is not
/// put under load, and often enough to say when it did.
const DISTANCE_NS: u64 = 100_000_000;

/// How far the watch is.
#[derive(Debug)]
pub(super) struct Watch {
    patience_ns: u64,
    state: State,
    /// What came of the last request.
    last: Option<Answer>,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// The load runs, or a fault is due or under way.
    Awaited,
    /// There is nothing to find out.
    Needless,
    /// It goes on, and the next request is due.
    Rests {
        began_ns: u64,
        next_ns: u64,
    },
    /// It goes on, and a request is under way.
    Asks {
        began_ns: u64,
    },
    Over(Watched),
}

impl Watch {
    pub(super) const fn new(patience_ns: u64) -> Self {
        Self { patience_ns, state: State::Awaited, last: None }
    }

    /// Whether it is not decided yet whether there is something to find out.
    pub(super) fn is_awaited(&self) -> bool {
        self.state == State::Awaited
    }

    /// Decides it. Without patience there is no watch.
    pub(super) fn decide(&mut self, now_ns: u64, is_needed: bool) {
        let is_needed = is_needed && self.patience_ns > 0;
        self.state = if is_needed {
            // What was ordered with this is done first.
            State::Rests { began_ns: now_ns, next_ns: now_ns + 1 }
        } else {
            State::Needless
        };
    }

    /// Whether it goes on.
    pub(super) const fn goes_on(&self) -> bool {
        self.began_ns().is_some()
    }

    /// Whether nothing is to be waited for any more.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Needless | State::Over(_))
    }

    /// When it wants to be woken.
    pub(super) fn wake_at(&self) -> Option<u64> {
        let end_ns = self.began_ns()?.saturating_add(self.patience_ns);
        match self.state {
            State::Rests { next_ns, .. } => Some(next_ns.min(end_ns)),
            State::Awaited | State::Needless | State::Asks { .. } | State::Over(_) => Some(end_ns),
        }
    }

    /// Orders a request that is due by now, or ends it.
    pub(super) fn wake(&mut self, now_ns: u64) -> Option<Order> {
        let began_ns = self.began_ns()?;
        if began_ns.saturating_add(self.patience_ns) <= now_ns {
            let last = self.last.take();
            let found = match last {
                Some(Answer::NotAsked { cause }) => Found::Unasked { cause },
                last => Found::NotBack { last },
            };
            self.end(now_ns, found);
            return None;
        }
        match self.state {
            State::Rests { next_ns, .. } if next_ns <= now_ns => {
                self.state = State::Asks { began_ns };
                Some(Order::Request)
            }
            State::Awaited | State::Needless | State::Rests { .. } | State::Asks { .. } | State::Over(_) => {
                None
            }
        }
    }

    /// Takes in what came of a request, which was known at `at_ns`.
    pub(super) fn answered(&mut self, at_ns: u64, answer: &Answer) {
        let State::Asks { began_ns } = self.state else { return };
        match answer {
            Answer::Served { waited_ns } => {
                self.end(at_ns, Found::Back { at_ns: at_ns.saturating_sub(*waited_ns).max(began_ns) });
            }
            Answer::Late { .. } => self.end(at_ns, Found::Back { at_ns }),
            Answer::Refused
            | Answer::NoPath
            | Answer::Wrong { .. }
            | Answer::Cut { .. }
            | Answer::Tls { .. }
            | Answer::TimedOut { .. }
            | Answer::NotAsked { .. } => {
                self.last = Some(answer.clone());
                self.state = State::Rests { began_ns, next_ns: at_ns.saturating_add(DISTANCE_NS) };
            }
        }
    }

    /// Ends it, if it goes on.
    pub(super) fn end(&mut self, at_ns: u64, found: Found) {
        if let Some(began_ns) = self.began_ns() {
            self.state = State::Over(Watched { began_ns, ended_ns: at_ns, found });
        }
    }

    /// What it found so far.
    pub(super) const fn found(&self) -> Option<&Found> {
        match &self.state {
            State::Over(watched) => Some(&watched.found),
            State::Awaited | State::Needless | State::Rests { .. } | State::Asks { .. } => None,
        }
    }

    /// What it found; `None`: there was none, or it was not over.
    pub(super) fn into_watched(self) -> Option<Watched> {
        match self.state {
            State::Over(watched) => Some(watched),
            State::Awaited | State::Needless | State::Rests { .. } | State::Asks { .. } => None,
        }
    }

    const fn began_ns(&self) -> Option<u64> {
        match self.state {
            State::Rests { began_ns, .. } | State::Asks { began_ns } => Some(began_ns),
            State::Awaited | State::Needless | State::Over(_) => None,
        }
    }
}
