//! Calls at which whoever makes them is held until a fault has struck.

use holdline_model::scenario::AtCall;
use holdline_model::sweep::When;
use serde::{Deserialize, Serialize};

use super::page::Page;

/// A call at which the supervisor is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// The fault that strikes then.
    fault: usize,
    /// The fault from whose strike on calls are counted; `None`: from the load's start.
    since: Option<usize>,
    /// The call.
    call: String,
    /// The last one before it that others can see; `None`: whichever it was.
    following: Option<String>,
    /// The how-many-th time that a thread comes there.
    nth: u32,
    /// On which side of it.
    side: When,
}

impl Hold {
    /// Of a fault that strikes there.
    pub(crate) fn new(fault: usize, at: AtCall) -> Self {
        let meeting = at.meeting;
        Self {
            fault,
            since: at.since,
            call: meeting.call.to_owned(),
            following: meeting.following.map(str::to_owned),
            nth: meeting.nth,
            side: meeting.side,
        }
    }

    fn is_there(&self, side: When, call: &str, previous: Option<&str>) -> bool {
        self.side == side
            && self.call == call
            && self.following.as_deref().is_none_or(|following| previous == Some(following))
    }
}

/// Those at which nobody has been held yet.
#[derive(Debug)]
pub(super) struct Holds {
    page: Page,
    /// Each with how often a thread came there.
    waiting: Vec<(Hold, u32)>,
}

impl Holds {
    pub(super) fn new(holds: Vec<Hold>, page: Page) -> Self {
        Self { page, waiting: holds.into_iter().map(|hold| (hold, 0)).collect() }
    }

    /// A thread is at this side of a call: the faults that strike here. `has_begun` says whether the load has.
    pub(super) fn comes(
        &mut self,
        side: When,
        call: &str,
        previous: Option<&str>,
        has_begun: bool,
    ) -> Vec<usize> {
        let page = &self.page;
        let mut strike = Vec::new();
        self.waiting.retain_mut(|(hold, count)| {
            let counts = hold.since.map_or(has_begun, |fault| page.has_struck(fault));
            if counts && hold.is_there(side, call, previous) {
                *count += 1;
            }
            let is_it = *count == hold.nth;
            if is_it {
                strike.push(hold.fault);
            }
            !is_it
        });
        strike
    }

    /// Whether whoever is held for a fault may go on.
    pub(super) fn is_let_go(&self, fault: usize) -> bool {
        self.page.is_let_go(fault)
    }

    /// Whether nobody is to be held any more.
    pub(super) fn are_over(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use holdline_model::syscall::Meeting;

    use super::*;

    fn hold(fault: usize, since: Option<usize>, nth: u32, following: Option<&'static str>) -> Hold {
        let meeting = Meeting { call: "wait4", following, nth, side: When::After };
        Hold::new(fault, AtCall { since, meeting, optional: false })
    }

    #[test]
    fn calls_count_from_the_strike_of_another_fault_or_from_the_loads_start() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let page = Page::create(file.as_file(), 3).expect("a page");
        let all = vec![hold(1, Some(0), 2, None), hold(2, None, 2, Some("poll"))];
        let mut holds = Holds::new(all, Page::open(file.path()).expect("the same"));
        let mut comes = |previous, has_begun| holds.comes(When::After, "wait4", previous, has_begun);
        assert!(comes(Some("poll"), false).is_empty(), "nothing has begun");
        assert!(comes(Some("poll"), true).is_empty(), "the first since the load's start");
        page.strikes(0);
        assert!(comes(Some("read"), true).is_empty(), "the first since the fault, and another one");
        assert_eq!(comes(Some("poll"), true), [1, 2]);
        assert!(comes(Some("poll"), true).is_empty(), "each strikes once");
        assert!(holds.are_over() && !holds.is_let_go(1));
        page.let_go(1);
        assert!(holds.is_let_go(1));
    }

    #[test]
    fn the_other_side_and_another_call_are_not_meant() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let page = Page::create(file.as_file(), 1).expect("a page");
        let mut holds = Holds::new(vec![hold(0, None, 1, None)], page);
        assert!(holds.comes(When::Before, "wait4", None, true).is_empty());
        assert!(holds.comes(When::After, "waitid", None, true).is_empty());
        assert!(!holds.are_over());
        assert_eq!(holds.comes(When::After, "wait4", None, true), [0]);
    }
}
