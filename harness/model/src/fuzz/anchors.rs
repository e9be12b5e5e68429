//! What the instants and the calls of a story are counted from.

use super::case::Case;
use super::story::Story;
use crate::scenario::{Action, Arrivals};

/// The instants that others can count from, in order: those at which faults struck, and the load's start where the load
/// is the same each time.
pub(super) fn anchors(case: &Case, story: &Story) -> Vec<(i64, Option<usize>)> {
    let is_regular = match case.around.arrivals {
        Arrivals::Constant { .. } | Arrivals::Burst { .. } | Arrivals::Ramp { .. } => true,
        Arrivals::Poisson { .. } | Arrivals::Sequential { .. } | Arrivals::Closed { .. } => false,
    };
    let faults = case.strikes.iter().enumerate().filter_map(|(fault, strike)| {
        // What comes after a pause counts from its end.
        let is_pause = matches!(strike.action, Action::Pause { .. });
        Some((story.struck_at(fault).filter(|_| !is_pause)?, Some(fault)))
    });
    let mut anchors: Vec<_> = is_regular.then_some((0, None)).into_iter().chain(faults).collect();
    anchors.sort_unstable();
    anchors
}
