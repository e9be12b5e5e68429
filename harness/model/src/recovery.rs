//! Recovery: for each fault, from the interruption that it made to the first attempt after which service is
//! back in time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::requests::{Request, Service};

/// What came of a fault, for those who ask the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "recovery", rename_all = "snake_case")]
pub enum Recovery {
    /// All that was due between it and the next fault was served in time.
    NotInterrupted,
    /// Service was interrupted, and came back.
    Back {
        /// How long after the interruption, in nanoseconds.
        after_ns: u64,
    },
    /// Service was interrupted, and did not come back as far as the trial was followed.
    Never,
}

impl Recovery {
    /// How long it took, in nanoseconds; `None`: nothing was interrupted, or it never came back.
    #[must_use]
    pub const fn after_ns(self) -> Option<u64> {
        match self {
            Self::Back { after_ns } => Some(after_ns),
            Self::NotInterrupted | Self::Never => None,
        }
    }
}

/// The recovery from each fault, given when they struck, what was due in order, and since
/// when the watch saw the service back.
///
/// The interruption is the first that was due after the fault and was not served in time; poison
/// interrupts nothing. What is due after the next fault is that one's doing.
#[must_use]
pub fn recoveries(faults_ns: &[u64], order: &[Request], back_ns: Option<u64>) -> Vec<Recovery> {
    let of = |fault_ns: &u64| {
        let next_ns = faults_ns.iter().copied().filter(|other| other > fault_ns).min().unwrap_or(u64::MAX);
        recovery(*fault_ns, next_ns, order, back_ns)
    };
    faults_ns.iter().map(of).collect()
}

fn recovery(fault_ns: u64, next_ns: u64, order: &[Request], back_ns: Option<u64>) -> Recovery {
    let from = order.partition_point(|request| request.due_ns <= fault_ns);
    let is_interruption =
        |request: &Request| !request.is_poison && matches!(request.service, Service::Late | Service::Lost);
    let mut due = order[from..].iter().take_while(|request| request.due_ns <= next_ns).enumerate();
    let Some((index, interruption)) = due.find(|(_, request)| is_interruption(request)) else {
        return Recovery::NotInterrupted;
    };
    let in_time = order[from + index..].iter().find(|request| request.service == Service::InTime);
    match in_time.map(|request| request.due_ns).or(back_ns) {
        Some(at_ns) => Recovery::Back { after_ns: at_ns.saturating_sub(interruption.due_ns) },
        None => Recovery::Never,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Service::{InTime, Late, Lost, NotSent};

    fn due(services: &[Service]) -> Vec<Request> {
        let request = |(due_ns, service): (u64, &Service)| Request {
            due_ns,
            clear_ns: due_ns,
            service: *service,
            is_poison: false,
        };
        (1..).map(|at| at * 10).zip(services).map(request).collect()
    }

    fn check(faults_ns: &[u64], services: &[Service], back_ns: Option<u64>, expected: &[Recovery]) {
        assert_eq!(recoveries(faults_ns, &due(services), back_ns), expected, "{services:?}");
    }

    const fn back(after_ns: u64) -> Recovery {
        Recovery::Back { after_ns }
    }

    #[test]
    fn recovery_is_from_the_interruption_to_the_first_that_is_in_time() {
        check(&[15], &[InTime, InTime, Lost, Late, NotSent, InTime], None, &[back(30)]);
        // Whoever is still there serves on for a moment: that is no recovery.
        check(&[5], &[InTime, Lost, Lost, Lost, InTime], None, &[back(30)]);
        check(&[5], &[InTime, Late, InTime], None, &[back(10)]);
    }

    #[test]
    fn what_is_not_interrupted_does_not_recover_and_what_is_not_back_never_did() {
        check(&[15], &[Lost, InTime, NotSent, InTime], None, &[Recovery::NotInterrupted]);
        check(&[15], &[InTime, Lost, Lost], None, &[Recovery::Never]);
        check(&[15], &[InTime, Lost, Lost], Some(120), &[back(100)]);
        check(&[35], &[InTime, InTime, InTime], Some(120), &[Recovery::NotInterrupted]);
    }

    #[test]
    fn poison_interrupts_nothing() {
        let mut order = due(&[InTime, InTime, Lost, InTime]);
        order[2].is_poison = true;
        assert_eq!(recoveries(&[15], &order, None), [Recovery::NotInterrupted]);
    }

    #[test]
    fn what_comes_after_the_next_fault_is_that_ones() {
        let services = [InTime, InTime, InTime, Lost, InTime];
        check(&[15, 35], &services, None, &[Recovery::NotInterrupted, back(10)]);
        // Two at once are not told apart.
        check(&[35, 35], &services, None, &[back(10), back(10)]);
        check(&[15, 35], &[InTime, Lost, Lost, Lost, InTime], None, &[back(30), back(10)]);
    }

    proptest! {
        #[test]
        fn each_fault_has_one_recovery_and_it_ends_with_something_in_time(
            faults in prop::collection::vec(0..600_u64, 0..5),
            services in prop::collection::vec(prop::sample::select(vec![InTime, Late, Lost, NotSent]), 0..60),
            back_ns in prop::option::of(600..900_u64),
        ) {
            let order = due(&services);
            let found = recoveries(&faults, &order, back_ns);
            prop_assert_eq!(found.len(), faults.len());
            let has_loss = |from: u64| order.iter().any(|it| it.due_ns > from && matches!(it.service, Late | Lost));
            for (fault, recovery) in faults.iter().zip(found) {
                prop_assert!(recovery == Recovery::NotInterrupted || has_loss(*fault));
                prop_assert!(recovery != Recovery::Never || back_ns.is_none());
            }
        }
    }
}
