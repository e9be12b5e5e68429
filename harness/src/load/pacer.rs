//! Which attempt is due next, and when: the schedule as the run goes along.
//!
//! Pure: it reads no clock. It is told the time, and when attempts ended. It never skips an attempt
//! and never moves its intended start, however late the caller is: what is late is due at once. Where several clients
//! make a load, each follows it for its part.

use std::collections::VecDeque;

use holdline_model::arrivals::Schedule;
use holdline_model::scenario::Until;
use holdline_model::wire::ATTEMPTS_MAX;

use super::lot::{Counter, Lot};

/// An attempt whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) attempt: u32,
    pub(super) intended_ns: u64,
}

/// Follows a schedule.
#[derive(Debug)]
pub(super) struct Pacer<'a> {
    source: Source<'a>,
    /// Attempts from this number on are not made.
    attempts_max: u32,
    /// Attempts intended at or after this instant are not made.
    end_ns: u64,
}

#[derive(Debug)]
enum Source<'a> {
    /// Known from the start. `next`: the number of the next attempt; each `step`-th is made here.
    Fixed { start_ns: u64, offsets_ns: &'a [u64], next: u32, step: u32 },
    /// Each attempt follows from the end of another: one instant for each client that is ready.
    /// Attempts end in the order of time, so that this queue is in order.
    Feedback { gap_ns: u64, ready_ns: VecDeque<u64>, numbers: Counter<'a> },
}

impl<'a> Pacer<'a> {
    /// Follows that part of a schedule which is a client's lot: attempts in turn, or some of the clients.
    pub(super) fn new(schedule: &'a Schedule, start_ns: u64, lot: Lot<'a>) -> Self {
        let part = lot.part();
        match *schedule {
            Schedule::Fixed(ref offsets_ns) => Self {
                attempts_max: u32::try_from(offsets_ns.len()).unwrap_or(u32::MAX),
                source: Source::Fixed { start_ns, offsets_ns, next: part.index(), step: part.of() },
                end_ns: u64::MAX,
            },
            Schedule::Sequential { gap_ns, until } => Self::feedback(1, gap_ns, until, start_ns, lot),
            Schedule::Closed { clients, until } => Self::feedback(clients, 0, until, start_ns, lot),
        }
    }

    /// The same, ended when there are no addresses left.
    pub(super) fn at_most(mut self, attempts: u32) -> Self {
        self.attempts_max = self.attempts_max.min(attempts);
        self
    }

    fn feedback(clients: u32, gap_ns: u64, until: Until, start_ns: u64, lot: Lot<'a>) -> Self {
        let (attempts_max, end_ns) = match until {
            Until::Attempts(attempts) => (attempts, u64::MAX),
            Until::Elapsed(elapsed_ns) => (ATTEMPTS_MAX, start_ns.saturating_add(elapsed_ns)),
        };
        let clients = lot.part().share_of(clients).min(attempts_max);
        let ready_ns = (0..clients).map(|_| start_ns).collect();
        Self { source: Source::Feedback { gap_ns, ready_ns, numbers: lot.counter() }, attempts_max, end_ns }
    }

    /// When the next attempt is due. `None`: not before another one ended, or never.
    pub(super) fn next_ns(&self) -> Option<u64> {
        let (next, intended_ns) = match &self.source {
            Source::Fixed { start_ns, offsets_ns, next, .. } => {
                (*next, start_ns.saturating_add(*offsets_ns.get(*next as usize)?))
            }
            Source::Feedback { ready_ns, numbers, .. } => (numbers.next(), *ready_ns.front()?),
        };
        (next < self.attempts_max && intended_ns < self.end_ns).then_some(intended_ns)
    }

    /// Hands out the next attempt if it is due at `now_ns`.
    pub(super) fn take(&mut self, now_ns: u64) -> Option<Due> {
        let intended_ns = self.next_ns().filter(|&intended_ns| intended_ns <= now_ns)?;
        let attempt = match &mut self.source {
            Source::Fixed { next, step, .. } => {
                let attempt = *next;
                *next += *step;
                attempt
            }
            Source::Feedback { ready_ns, numbers, .. } => {
                let attempt = numbers.take(self.attempts_max)?;
                ready_ns.pop_front();
                attempt
            }
        };
        Some(Due { attempt, intended_ns })
    }

    /// Takes note that an attempt ended. To be told in the order of time.
    pub(super) fn ended(&mut self, at_ns: u64) {
        if let Source::Feedback { gap_ns, ready_ns, .. } = &mut self.source {
            ready_ns.push_back(at_ns.saturating_add(*gap_ns));
        }
    }

    /// Hands out nothing from now on.
    pub(super) fn stop(&mut self) {
        self.attempts_max = 0;
    }
}

#[cfg(test)]
mod tests {
    use holdline_model::part::Part;
    use proptest::prelude::*;

    use super::super::lot::Common;
    use super::*;

    const START_NS: u64 = 1_000;

    /// Follows `schedule` as a server would that takes `service_ns` for each attempt in turn, looking
    /// at the clock every `tick_ns` only. Gives what was handed out and when it ended.
    fn follow(schedule: &Schedule, tick_ns: u64, service_ns: &[u64]) -> Vec<(Due, u64)> {
        let mut pacer = Pacer::new(schedule, START_NS, Lot::Whole);
        let mut running: Vec<(Due, u64)> = Vec::new();
        let mut ended = Vec::new();
        let mut now_ns = 0;
        while pacer.next_ns().is_some() || !running.is_empty() {
            running.sort_by_key(|&(_, end_ns)| end_ns);
            while running.first().is_some_and(|&(_, end_ns)| end_ns <= now_ns) {
                let (due, _) = running.remove(0);
                pacer.ended(now_ns);
                ended.push((due, now_ns));
            }
            while let Some(due) = pacer.take(now_ns) {
                let service_ns = service_ns[due.attempt as usize % service_ns.len()];
                running.push((due, now_ns + service_ns));
            }
            now_ns += tick_ns;
        }
        ended.sort_by_key(|&(due, _)| due.attempt);
        ended
    }

    #[test]
    fn an_attempt_is_not_due_before_its_time() {
        let schedule = Schedule::Fixed(vec![0, 5, 5, 9]);
        let mut pacer = Pacer::new(&schedule, START_NS, Lot::Whole);
        assert_eq!(pacer.take(START_NS - 1), None);
        assert_eq!(pacer.take(START_NS), Some(Due { attempt: 0, intended_ns: 1_000 }));
        assert_eq!(pacer.take(START_NS + 4), None);
        assert_eq!(pacer.next_ns(), Some(1_005));
        let late: Vec<Due> = std::iter::from_fn(|| pacer.take(START_NS + 1_000_000)).collect();
        let intended_ns: Vec<u64> = late.iter().map(|due| due.intended_ns).collect();
        assert_eq!(intended_ns, [1_005, 1_005, 1_009]);
        assert_eq!(pacer.next_ns(), None);
    }

    #[test]
    fn a_sequence_waits_for_the_end_of_the_previous() {
        let schedule = Schedule::Sequential { gap_ns: 10, until: Until::Attempts(2) };
        let mut pacer = Pacer::new(&schedule, START_NS, Lot::Whole);
        assert!(pacer.take(START_NS).is_some());
        assert_eq!(pacer.next_ns(), None);
        pacer.ended(1_500);
        assert_eq!(pacer.next_ns(), Some(1_510));
        assert_eq!(pacer.take(1_509), None);
        assert_eq!(pacer.take(1_600), Some(Due { attempt: 1, intended_ns: 1_510 }));
        pacer.ended(1_700);
        assert_eq!(pacer.next_ns(), None);
    }

    #[test]
    fn nothing_is_due_after_the_end_or_a_stop() {
        let schedule = Schedule::Sequential { gap_ns: 10, until: Until::Elapsed(100) };
        let mut pacer = Pacer::new(&schedule, START_NS, Lot::Whole);
        assert!(pacer.take(START_NS).is_some());
        pacer.ended(START_NS + 89);
        assert_eq!(pacer.next_ns(), Some(START_NS + 99));
        assert!(pacer.take(START_NS + 99).is_some());
        pacer.ended(START_NS + 90);
        assert_eq!(pacer.next_ns(), None);

        let schedule = Schedule::Fixed(vec![0, 1, 2]);
        let mut pacer = Pacer::new(&schedule, START_NS, Lot::Whole);
        assert!(pacer.take(START_NS).is_some());
        pacer.stop();
        assert_eq!((pacer.next_ns(), pacer.take(u64::MAX)), (None, None));
    }

    #[test]
    fn empty_schedules_are_over_at_once() {
        for schedule in [
            Schedule::Fixed(Vec::new()),
            Schedule::Sequential { gap_ns: 0, until: Until::Attempts(0) },
            Schedule::Closed { clients: 3, until: Until::Elapsed(0) },
        ] {
            assert_eq!(Pacer::new(&schedule, START_NS, Lot::Whole).next_ns(), None, "{schedule:?}");
        }
    }

    #[test]
    fn a_client_whose_number_another_takes_is_not_ready_any_more() {
        let schedule = Schedule::Closed { clients: 3, until: Until::Attempts(2) };
        let common = Common::default();
        let mut pacers: Vec<Pacer<'_>> =
            Part::all(2).map(|part| Pacer::new(&schedule, START_NS, Lot::One(part, &common))).collect();
        assert_eq!(pacers[1].take(START_NS), Some(Due { attempt: 0, intended_ns: START_NS }));
        assert_eq!(pacers[1].take(START_NS), None);
        assert_eq!(pacers[0].take(START_NS), Some(Due { attempt: 1, intended_ns: START_NS }));
        pacers[1].ended(START_NS + 5);
        assert!(pacers.iter().all(|pacer| pacer.next_ns().is_none()));
    }

    proptest! {
        #[test]
        fn parts_of_a_schedule_are_all_of_it_at_the_same_instants(
            mut offsets_ns in proptest::collection::vec(0_u64..5_000, 0..200),
            threads in 1_u32..9,
        ) {
            offsets_ns.sort_unstable();
            let schedule = Schedule::Fixed(offsets_ns.clone());
            let common = Common::default();
            let mut all = Vec::new();
            for part in Part::all(threads) {
                let mut pacer = Pacer::new(&schedule, START_NS, Lot::One(part, &common));
                all.extend(std::iter::from_fn(|| pacer.take(u64::MAX)));
            }
            all.sort_by_key(|due| due.attempt);
            prop_assert!(all.iter().map(|due| due.attempt).eq(0..offsets_ns.len() as u32));
            prop_assert!(all.iter().map(|due| due.intended_ns - START_NS).eq(offsets_ns));
        }

        #[test]
        fn clients_of_several_threads_make_exactly_so_many_attempts(
            clients in 1_u32..9,
            threads in 1_u32..9,
            attempts in 0_u32..60,
            order in proptest::collection::vec(0_usize..9, 200),
        ) {
            let schedule = Schedule::Closed { clients, until: Until::Attempts(attempts) };
            let common = Common::default();
            let mut pacers: Vec<(Pacer<'_>, u32)> = Part::all(threads)
                .map(|part| (Pacer::new(&schedule, START_NS, Lot::One(part, &common)), 0))
                .collect();
            let mut made = Vec::new();
            // Whoever has its turn ends an attempt, if it has one, and begins what it can; at the end all do.
            let turns = order.into_iter().chain((0..attempts as usize + 1).flat_map(|_| 0..9));
            for (now_ns, turn) in (START_NS..).zip(turns) {
                let Some((pacer, busy)) = pacers.get_mut(turn) else { continue };
                if *busy > 0 {
                    *busy -= 1;
                    pacer.ended(now_ns);
                }
                while let Some(due) = pacer.take(now_ns) {
                    *busy += 1;
                    made.push(due.attempt);
                }
                prop_assert!(pacers.iter().map(|(_, busy)| busy).sum::<u32>() <= clients);
            }
            prop_assert!(made.into_iter().eq(0..attempts));
        }

        #[test]
        fn fixed_attempts_are_never_skipped_or_moved(
            mut offsets_ns in proptest::collection::vec(0_u64..5_000, 0..200),
            tick_ns in 1_u64..2_000,
        ) {
            offsets_ns.sort_unstable();
            let handed_out = follow(&Schedule::Fixed(offsets_ns.clone()), tick_ns, &[7]);
            let intended_ns: Vec<u64> = handed_out.iter().map(|(due, _)| due.intended_ns - START_NS).collect();
            prop_assert_eq!(intended_ns, offsets_ns);
        }

        #[test]
        fn each_of_a_sequence_follows_from_the_previous(
            gap_ns in 0_u64..50,
            attempts in 1_u32..40,
            tick_ns in 1_u64..20,
            service_ns in proptest::collection::vec(0_u64..90, 1..9),
        ) {
            let schedule = Schedule::Sequential { gap_ns, until: Until::Attempts(attempts) };
            let handed_out = follow(&schedule, tick_ns, &service_ns);
            prop_assert_eq!(handed_out.len(), attempts as usize);
            prop_assert_eq!(handed_out[0].0.intended_ns, START_NS);
            for pair in handed_out.windows(2) {
                prop_assert_eq!(pair[1].0.intended_ns, pair[0].1 + gap_ns);
            }
        }

        #[test]
        fn closed_clients_are_always_busy_and_never_more(
            clients in 1_u32..9,
            attempts in 1_u32..60,
            service_ns in proptest::collection::vec(1_u64..90, 1..9),
        ) {
            let schedule = Schedule::Closed { clients, until: Until::Attempts(attempts) };
            let handed_out = follow(&schedule, 1, &service_ns);
            prop_assert_eq!(handed_out.len(), attempts as usize);
            for &(due, _) in &handed_out {
                let busy = handed_out
                    .iter()
                    .filter(|(other, end_ns)| other.intended_ns <= due.intended_ns && due.intended_ns < *end_ns)
                    .count();
                prop_assert!(busy <= clients as usize, "{} busy at {}", busy, due.intended_ns);
                let left = attempts - due.attempt;
                prop_assert!(busy >= clients.min(left) as usize || due.attempt < clients);
            }
        }
    }
}
