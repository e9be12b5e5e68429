//! Where the places lie at which a crash costs something: from which call to which.

use super::life::Life;
use super::result::{BoundaryResult, CallResult, WindowResult};
use super::{Costs, SweepTarget};

/// The windows of a map, whose places stand in their order: each as long as all places in it that could be reached
/// cost the same.
#[must_use]
pub fn windows(boundaries: &[BoundaryResult]) -> Vec<WindowResult> {
    let mut found: Vec<WindowResult> = Vec::new();
    // The window that the place before this one lies in.
    let mut open: Option<(SweepTarget, Life, Costs)> = None;
    for boundary in boundaries.iter().filter(|boundary| boundary.reached) {
        let key = (boundary.target, boundary.life, boundary.costs);
        let place = || CallResult {
            index: boundary.index,
            call: boundary.call.clone(),
            occurrence: boundary.occurrence,
            when: boundary.when,
        };
        match found.last_mut().filter(|_| open == Some(key)) {
            Some(window) => {
                window.last = place();
                window.boundaries += 1;
            }
            None if is_lossy(boundary.costs) => found.push(WindowResult {
                target: boundary.target,
                life: boundary.life,
                costs: boundary.costs,
                first: place(),
                last: place(),
                boundaries: 1,
            }),
            None => {}
        }
        open = is_lossy(boundary.costs).then_some(key);
    }
    found
}

const fn is_lossy(costs: Costs) -> bool {
    match costs {
        Costs::Connection | Costs::Others | Costs::Listener | Costs::Service => true,
        Costs::Nothing | Costs::NotKnown => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::When;
    use crate::words::Grade;

    fn at(index: u32, costs: Costs, reached: bool) -> BoundaryResult {
        BoundaryResult {
            target: SweepTarget::Worker,
            life: Life::Request,
            index,
            call: format!("call{index}"),
            occurrence: 1,
            previous: None,
            when: When::Before,
            depth: 0,
            at_ns: None,
            reached,
            grade: Grade::Held,
            fate: None,
            costs,
            lost: 0,
            fates: [].into(),
            repeated: 0,
            reason: None,
        }
    }

    #[test]
    fn a_window_is_as_long_as_all_that_was_reached_costs_the_same() {
        let (nothing, connection, listener) = (Costs::Nothing, Costs::Connection, Costs::Listener);
        let map = [
            at(0, nothing, true),
            at(1, connection, true),
            at(2, nothing, false),
            at(3, connection, true),
            at(4, listener, true),
            at(5, nothing, true),
            at(6, listener, true),
        ];
        let found = windows(&map);
        let spans: Vec<_> =
            found.iter().map(|w| (w.costs, w.first.index, w.last.index, w.boundaries)).collect();
        assert_eq!(spans, [(connection, 1, 3, 2), (listener, 4, 4, 1), (listener, 6, 6, 1)]);
        assert!(windows(&map[..1]).is_empty());
    }

    #[test]
    fn lives_do_not_share_windows() {
        let mut map = [at(0, Costs::Listener, true), at(0, Costs::Listener, true)];
        map[1].life = Life::Boot;
        assert_eq!(windows(&map).len(), 2);
    }
}
