//! Calls of the supervisor at which it can be held until a fault has struck: however short the time is until it does the
//! next thing, the fault comes before that.

use std::collections::BTreeMap;

use super::act::Made;
use super::anchors::anchors;
use super::case::Case;
use super::story::Story;
use crate::syscall::{Meeting, When};

/// Where a supervisor was seen, and can be met again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spotted {
    /// The fault's place in the case from whose strike calls are counted; `None`: the load's start.
    pub(super) since: Option<usize>,
    /// Where.
    pub(super) meeting: Meeting,
    /// How long after that it was, in nanoseconds.
    pub(super) about_ns: u64,
}

/// Both sides of each call by which the supervisor did something, by what they are: for a call that waits for something
/// to happen, only the one behind it.
pub(super) fn spotted(case: &Case, story: &Story) -> BTreeMap<Meeting, Vec<Spotted>> {
    let anchors = anchors(case, story);
    let mut all: BTreeMap<Meeting, Vec<Spotted>> = BTreeMap::new();
    for made in &story.made {
        let Some(done) = made.done else { continue };
        for side in [When::Before, When::After] {
            let Some(at_ns) = instant(made, side).filter(|_| side == When::After || !done.act.waits()) else {
                continue;
            };
            let Some((from_ns, since)) = anchors.iter().rfind(|(from_ns, _)| *from_ns <= at_ns) else {
                continue;
            };
            let Made { call, following, .. } = *made;
            let nth = times(story, made, side, *from_ns..=at_ns);
            let meeting = Meeting { call, following, nth, side };
            let about_ns = u64::try_from(at_ns - from_ns).unwrap_or(0);
            let kind = Meeting { nth: 1, ..meeting };
            all.entry(kind).or_default().push(Spotted { since: *since, meeting, about_ns });
        }
    }
    all
}

const fn instant(made: &Made, side: When) -> Option<i64> {
    match side {
        When::Before => Some(made.entered_ns),
        When::After => made.left_ns,
    }
}

/// How often the supervisor came to that side of such a call within these instants; behind it, having done something.
fn times(story: &Story, like: &Made, side: When, within: std::ops::RangeInclusive<i64>) -> u32 {
    let is_like = |made: &&Made| (made.call, made.following) == (like.call, like.following);
    let counts = |made: &&Made| side == When::Before || made.done.is_some();
    let comes = |made: &&Made| instant(made, side).is_some_and(|at_ns| within.contains(&at_ns));
    let count = story.made.iter().filter(is_like).filter(counts).filter(comes).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::ability::Abilities;
    use crate::fuzz::case::{Strike, When as Due};
    use crate::fuzz::story::{Beat, Moment};
    use crate::scenario::{Action, Target};
    use crate::signals::Signal;
    use crate::sweep::calls::Call;

    fn call(name: &str, previous: &str, entered_ns: u64, left_ns: u64, result: i64) -> Call {
        let previous = Some(previous.to_owned());
        Call { previous, result: Some(result), ..Call::example(name, entered_ns, Some(left_ns)) }
    }

    #[test]
    fn calls_are_counted_from_the_fault_before_them() {
        let text = "name = \"t\"\nabout = \"x\"\nstart = [\"x\"]\n\
                    socket = { holder = \"supervisor\", passing = \"stdin\" }\n";
        let supervisor = crate::supervisor::parse(text, "t.toml").expect("a description");
        let around = Abilities::of(&supervisor, false).plainest_around(50_000_000);
        let kill = Action::Signal { to: Target::Worker, signal: Signal::KILL };
        let strike = Strike { when: Due::Share(200), action: kill };
        let case = Case { strikes: vec![strike], around };
        let moment = |at_ns, beat, fault| Moment { at_ns, beat, fault };
        let moments = vec![moment(1_000, Beat::Struck, Some(0)), moment(9_000, Beat::End, None)];
        let calls = [
            call("wait4", "poll", 100, 200, 0),
            // It reaches over the strike.
            call("wait4", "poll", 900, 1_100, 0),
            call("wait4", "poll", 1_200, 1_300, 77),
            call("clone3", "wait4", 1_400, 1_500, 78),
            call("close", "clone3", 1_600, 1_700, -9),
        ];
        let story = Story { moments, ..Story::default() }.with_calls(&calls);
        let all: Vec<Spotted> = spotted(&case, &story).into_values().flatten().collect();
        let of = |call, following, nth, side, about_ns| Spotted {
            since: Some(0),
            meeting: Meeting { call, following: Some(following), nth, side },
            about_ns,
        };
        let expected = [
            of("clone3", "wait4", 1, When::Before, 400),
            of("clone3", "wait4", 1, When::After, 500),
            // One came to nothing, and is not counted.
            of("wait4", "poll", 1, When::After, 300),
        ];
        assert_eq!(all, expected);
    }
}
