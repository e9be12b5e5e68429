//! What was late or lost before any fault, while one made itself felt, and after that.
//!
//! A service that is late or loses requests before anything was done to it cannot be graded for what was done:
//! what comes later may be its own way, too.

use crate::requests::{Request, Service};
use crate::result::{Outage, Phase, Phases};

/// Sorts a trial's requests, in order of their intended start, by its faults; `None` where there was none. The
/// outages are those of these requests.
///
/// *Before* is what was clear when the first fault struck: answered, lost, or late already; not what carried it.
/// *During* goes on until the last fault
/// has struck and the last interruption after the first one is over; *after* is what was due from then on.
#[must_use]
pub fn phases(order: &[Request], faults_ns: &[u64], outages: &[Outage]) -> Option<Phases> {
    let first_ns = *faults_ns.iter().min()?;
    let last_ns = *faults_ns.iter().max()?;
    let over_ns = outages.iter().map(|outage| outage.end_ns).filter(|end_ns| *end_ns > first_ns).max();
    let restored_ns = over_ns.map_or(last_ns, |over_ns| over_ns.max(last_ns));
    let mut phases = Phases::default();
    for request in order {
        if request.clear_ns <= first_ns && !request.is_poison {
            phases.before.add(request.service);
        } else if request.due_ns < restored_ns || matches!(request.service, Service::Late | Service::Lost) {
            // Of several that were due at once, the one that was served ended the interruption.
            phases.during.add(request.service);
        } else {
            phases.after.add(request.service);
        }
    }
    Some(phases)
}

impl Phases {
    /// How many requests were sent.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.before.requests() + self.during.requests() + self.after.requests()
    }
}

impl Phase {
    fn add(&mut self, service: Service) {
        match service {
            Service::InTime => self.in_time += 1,
            Service::Late => self.late += 1,
            Service::Lost => self.lost += 1,
            Service::NotSent => {}
        }
    }

    /// How many requests were due in it, and sent.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.in_time + self.late + self.lost
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outage::outages;

    const DEADLINE_NS: u64 = 10;

    /// The phases of a trial that ends then.
    fn phases(order: &[Request], faults_ns: &[u64], end_ns: u64) -> Option<Phases> {
        super::phases(order, faults_ns, &outages(order, end_ns))
    }

    fn served(due_ns: u64, answered_ns: u64) -> Request {
        let is_late = answered_ns - due_ns > DEADLINE_NS;
        let (service, clear_ns) =
            if is_late { (Service::Late, due_ns + DEADLINE_NS) } else { (Service::InTime, answered_ns) };
        Request { due_ns, clear_ns, service, is_poison: false }
    }

    fn lost(due_ns: u64, ended_ns: u64) -> Request {
        Request { due_ns, clear_ns: ended_ns, service: Service::Lost, is_poison: false }
    }

    fn phase(in_time: u64, late: u64, lost: u64) -> Phase {
        Phase { in_time, late, lost }
    }

    #[test]
    fn what_carries_the_fault_does_not_come_before_it() {
        let order = [served(60, 65), Request { is_poison: true, ..lost(70, 80) }, served(90, 95)];
        let phases = phases(&order, &[80], 200).expect("a fault");
        assert_eq!((phases.before, phases.during.lost), (phase(1, 0, 0), 1));
    }

    #[test]
    fn what_was_clear_when_the_fault_struck_came_before_it() {
        // Due before the fault, and late only because of it; late already; lost already; under way.
        let order = [
            served(60, 100),
            served(70, 75),
            lost(80, 85),
            served(95, 120),
            served(96, 101),
            served(130, 131),
        ];
        let found = phases(&order, &[100], 200).expect("a fault");
        assert_eq!(found.before, phase(1, 1, 1));
        assert_eq!(found.during, phase(1, 1, 0));
        assert_eq!(found.after, phase(1, 0, 0));
    }

    #[test]
    fn an_interruption_to_the_end_has_nothing_after_it() {
        let order = [served(10, 11), lost(30, 31), lost(40, 41)];
        let found = phases(&order, &[20], 50).expect("a fault");
        assert_eq!(
            (found.before, found.during, found.after),
            (phase(1, 0, 0), phase(0, 0, 2), phase(0, 0, 0))
        );
        assert_eq!(phases(&order, &[], 50), None);
    }

    #[test]
    fn what_was_lost_as_the_service_came_back_is_not_after_it() {
        let found = phases(&[lost(965, 965), served(965, 965)], &[1], 2000).expect("a fault");
        assert_eq!((found.during, found.after), (phase(0, 0, 1), phase(1, 0, 0)));
    }

    proptest! {
        #[test]
        fn every_request_that_was_sent_is_in_one_phase_and_all_after_are_in_time(
            requests in prop::collection::vec((1..1000_u64, 0..30_u64, any::<bool>()), 0..60),
            faults_ns in prop::collection::vec(1..1000_u64, 1..4),
        ) {
            let mut order: Vec<Request> = requests
                .into_iter()
                .map(|(due_ns, length_ns, is_lost)| {
                    if is_lost { lost(due_ns, due_ns + length_ns) } else { served(due_ns, due_ns + length_ns) }
                })
                .collect();
            order.sort_by_key(|request| request.due_ns);
            let found = phases(&order, &faults_ns, 2000).expect("faults");
            let all = found.before.requests() + found.during.requests() + found.after.requests();
            prop_assert_eq!(all, order.len() as u64);
            prop_assert_eq!((found.after.late, found.after.lost), (0, 0));
        }
    }
}
