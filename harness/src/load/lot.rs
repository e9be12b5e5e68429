//! Which part of a load one client makes, and what it has in common with those that make the other parts.
//!
//! A client that makes all of it has nothing in common with anybody: it counts for itself, without atomics.

use std::sync::atomic::{AtomicU32, Ordering};

use holdline_model::arrivals::Schedule;
use holdline_model::part::Part;

/// What the clients of one load have in common.
#[derive(Debug, Default)]
pub(super) struct Common {
    /// The number of the next attempt, where it is made by whoever is ready first.
    next: AtomicU32,
    /// How many attempts are in flight.
    in_flight: AtomicU32,
}

/// Which part of a load a client makes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lot<'a> {
    /// All of it.
    Whole,
    /// One part of several.
    One(Part, &'a Common),
}

impl<'a> Lot<'a> {
    pub(super) const fn part(self) -> Part {
        match self {
            Lot::Whole => Part::WHOLE,
            Lot::One(part, _) => part,
        }
    }

    /// By what attempts are numbered that are made by whoever is ready first.
    pub(super) const fn counter(self) -> Counter<'a> {
        match self {
            Lot::Whole => Counter::Own(0),
            Lot::One(_, common) => Counter::Common(&common.next),
        }
    }

    /// How many attempts of a schedule may be in flight, of so many in all. As many as there are clients are always.
    pub(super) const fn room(self, schedule: &Schedule, most: u32) -> InFlight<'a> {
        match (schedule, self) {
            (Schedule::Closed { .. }, _) => InFlight::Own(u32::MAX),
            (Schedule::Fixed(_) | Schedule::Sequential { .. }, Lot::Whole) => InFlight::Own(most),
            (Schedule::Fixed(_) | Schedule::Sequential { .. }, Lot::One(_, common)) => {
                InFlight::Common(&common.in_flight, most)
            }
        }
    }
}

/// Numbers attempts, from 0 and without a gap.
#[derive(Debug)]
pub(super) enum Counter<'a> {
    /// Those of one client.
    Own(u32),
    /// Those of several, of which each gets numbers of its own, in ascending order.
    Common(&'a AtomicU32),
}

impl Counter<'_> {
    /// The number of the next attempt. Of several clients, another may take it meanwhile.
    pub(super) fn next(&self) -> u32 {
        match self {
            Counter::Own(next) => *next,
            Counter::Common(next) => next.load(Ordering::Relaxed),
        }
    }

    /// Takes the next number, if it is below this.
    pub(super) fn take(&mut self, end: u32) -> Option<u32> {
        let following = |next: u32| (next < end).then_some(next + 1);
        match self {
            Counter::Own(next) => {
                let taken = *next;
                *next = following(taken)?;
                Some(taken)
            }
            // Nothing but the number itself passes from one client to the other.
            Counter::Common(next) => next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, following).ok(),
        }
    }
}

/// How many attempts may be in flight.
#[derive(Debug)]
pub(super) enum InFlight<'a> {
    /// So many of one client.
    Own(u32),
    /// So many of several clients together, whoever's they are.
    Common(&'a AtomicU32, u32),
}

impl InFlight<'_> {
    /// Takes room for one more attempt of a client that has so many itself; false if there is none.
    pub(super) fn take(&self, own: u32) -> bool {
        match self {
            InFlight::Own(most) => own < *most,
            InFlight::Common(taken, most) => {
                let one_more = |taken: u32| (taken < *most).then_some(taken + 1);
                taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
            }
        }
    }

    /// Gives room back that was taken.
    pub(super) fn give_back(&self) {
        match self {
            InFlight::Own(_) => {}
            InFlight::Common(taken, _) => {
                taken.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn numbers_are_unique_and_without_a_gap_whoever_takes_them() {
        const END: u32 = 100_000;
        let common = Common::default();
        let taken: Vec<Vec<u32>> = thread::scope(|scope| {
            let threads: Vec<_> = Part::all(4)
                .map(|part| {
                    let mut counter = Lot::One(part, &common).counter();
                    scope.spawn(move || std::iter::from_fn(|| counter.take(END)).collect::<Vec<u32>>())
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("numbers")).collect()
        });
        assert!(taken.iter().all(|numbers| numbers.is_sorted()));
        let mut all = taken.concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..END));
        assert_eq!(Lot::One(Part::WHOLE, &common).counter().next(), END);
    }

    #[test]
    fn a_client_of_its_own_counts_alike() {
        let mut counter = Lot::Whole.counter();
        assert_eq!(std::iter::from_fn(|| counter.take(3)).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(counter.next(), 3);
    }

    #[test]
    fn no_more_are_in_flight_than_may_be_whoever_has_them() {
        let common = Common::default();
        let schedule = Schedule::Fixed(Vec::new());
        let rooms: Vec<InFlight<'_>> =
            Part::all(2).map(|part| Lot::One(part, &common).room(&schedule, 3)).collect();
        assert_eq!([0, 0, 1, 0].map(|index: usize| rooms[index].take(0)), [true, true, true, false]);
        rooms[1].give_back();
        assert!(rooms[0].take(2) && !rooms[1].take(0));
        let own = Lot::Whole.room(&schedule, 3);
        assert!(own.take(2) && !own.take(3));
        let clients = Schedule::Closed { clients: 9, until: holdline_model::scenario::Until::Attempts(1) };
        assert!(
            Lot::Whole.room(&clients, 3).take(100)
                && Lot::One(Part::WHOLE, &common).room(&clients, 3).take(9)
        );
    }
}
