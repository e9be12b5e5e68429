//! The moment of a fault that strikes at a system call of the supervisor.

use super::file::MomentFile;
use super::{Action, AtCall};
use crate::file::{At, Problem, integer};
use crate::syscall::{self, Meeting, When};
use crate::words::nearest;

/// The how-many-th call may be meant: as far as anybody counts.
const NTH: std::ops::RangeInclusive<i64> = 1..=1_000_000;

/// Reads it from the keys that go with `call`.
pub(super) fn at_call(
    moment: &MomentFile,
    call: &At<String>,
    since: Option<usize>,
) -> Result<AtCall, Problem> {
    let nth = integer("nth", moment.nth.as_ref(), NTH)?.unwrap_or(1);
    let meeting = Meeting {
        call: named(call)?,
        following: moment.following.as_ref().map(named).transpose()?,
        nth,
        side: moment.side.as_ref().map_or(When::After, |side| side.value),
    };
    let optional = moment.optional.as_ref().is_some_and(|optional| optional.value);
    Ok(AtCall { since, meeting, optional })
}

fn named(name: &At<String>) -> Result<&'static str, Problem> {
    syscall::known(&name.value).ok_or_else(|| {
        name.problem(format!("there is no system call `{}`", name.value))
            .expecting("its name as in `man 2 syscalls`, such as wait4")
            .nearest(nearest(&name.value, syscall::names()))
    })
}

/// What goes with `call` alone.
pub(super) fn check_alone(moment: &MomentFile) -> Result<(), Problem> {
    let MomentFile { following, nth, side, optional, .. } = moment;
    let keys = [
        following.as_ref().map(|key| key.problem("`following` tells calls apart")),
        nth.as_ref().map(|key| key.problem("`nth` counts calls")),
        side.as_ref().map(|key| key.problem("`side` is one of a call")),
        optional.as_ref().map(|key| key.problem("`optional` goes with a call that may not be made")),
    ];
    match keys.into_iter().flatten().next() {
        Some(problem) if moment.call.is_none() => Err(problem.expecting("`call` beside it")),
        _ => Ok(()),
    }
}

/// Poison goes with an attempt, whatever the supervisor does.
pub(super) fn check_action(moment: &MomentFile, action: &Action) -> Result<(), Problem> {
    match (action, &moment.call) {
        (Action::Poison(_), Some(call)) => Err(call
            .problem("poison goes with an attempt, and not with a call of the supervisor")
            .expecting("`signal`, `pause`, `control` or `crash` beside it")),
        _ => Ok(()),
    }
}
