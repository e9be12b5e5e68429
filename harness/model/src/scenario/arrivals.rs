//! When attempts are due, as offsets from the load's start.
//!
//! Every offset is computed from the start, never from the one before it, so that nothing drifts
//! and a late attempt delays no other. The exceptions are the two closed models, in which an
//! attempt waits for the end of another by definition: they have rules in place of offsets.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use super::{Arrivals, Load, Until};
use crate::shm::RECORD_BYTES;
use crate::wire::ATTEMPTS_MAX;

const SECOND_NS: f64 = 1e9;

/// When the attempts of one trial are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// Fixed before the trial: nanoseconds from the load's start, in ascending order.
    Fixed(Vec<u64>),
    /// Each attempt is due a while after the previous one ended, the first at once.
    Sequential {
        /// The pause, in nanoseconds.
        gap_ns: u64,
        /// When to end; in no case are there more than [`ATTEMPTS_MAX`] attempts.
        until: Until,
    },
    /// Clients that begin again as soon as their attempt ended.
    Closed {
        /// How many.
        clients: u32,
        /// When to end; in no case are there more than [`ATTEMPTS_MAX`] attempts.
        until: Until,
    },
}

impl Schedule {
    /// How many attempts there will be, where that is certain before the trial.
    #[must_use]
    pub fn attempts(&self) -> Option<usize> {
        match self {
            Self::Fixed(offsets) => Some(offsets.len()),
            Self::Sequential { until, .. } | Self::Closed { until, .. } => match until {
                Until::Attempts(attempts) => usize::try_from(*attempts).ok(),
                Until::Elapsed(_) => None,
            },
        }
    }
}

/// The schedule of a load. The same load and seed always give the same schedule, on any machine.
///
/// `seed` matters for Poisson arrivals only. A ramp that ends after a number of attempts lasts as
/// long as that number takes at the mean of its two rates.
#[must_use]
pub fn schedule(load: &Load, seed: u64) -> Schedule {
    let until = load.until;
    let offsets = match load.arrivals {
        Arrivals::Sequential { gap_ns } => return Schedule::Sequential { gap_ns, until },
        Arrivals::Closed { clients } => return Schedule::Closed { clients, until },
        Arrivals::Constant { per_second } => take(until, |i| f64::from(i) * SECOND_NS / per_second),
        Arrivals::Poisson { per_second } => {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut sum = 0.0;
            take(until, |_| {
                let step: f64 = Exp1.sample(&mut rng);
                sum += step;
                sum * SECOND_NS / per_second
            })
        }
        Arrivals::Ramp { from_per_second: from, to_per_second: to } => {
            let duration = ramp_duration(from, to, until);
            take(until, |i| ramp_offset(from, to, duration, i) * SECOND_NS)
        }
        Arrivals::Burst { size, every_ns } => take(until, |i| f64::from(i / size.max(1)) * every_ns as f64),
    };
    Schedule::Fixed(offsets)
}

/// What is certain of a load before it runs. For Poisson arrivals it is so on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extent {
    /// Attempts that are planned, where the schedule is fixed or their number is given.
    pub attempts_planned: Option<f64>,
    /// The earliest possible end, in nanoseconds from the load's start.
    pub end_ns_min: f64,
    /// The latest possible end, in nanoseconds from the load's start.
    pub end_ns_max: f64,
}

impl Extent {
    /// Computes it without making the schedule.
    #[must_use]
    pub fn of(load: &Load) -> Self {
        match load.until {
            Until::Attempts(attempts) => {
                let (end_ns_min, end_ns_max) = ends_of_attempts(load, attempts);
                Self { attempts_planned: Some(attempts.into()), end_ns_min, end_ns_max }
            }
            Until::Elapsed(ns) => {
                let end = ns as f64;
                Self { attempts_planned: planned_by(load, ns), end_ns_min: end, end_ns_max: end }
            }
        }
    }
}

/// Nanoseconds that an attempt takes at least where nothing but the server's answers holds the next one back.
const ATTEMPT_NS_MIN: f64 = 25_000.0;

/// How much workers write into their ledgers under a load, at most, in bytes: that each connection was accepted and
/// closed, and that each request was read and answered.
#[must_use]
pub fn ledger_bytes(load: &Load) -> u64 {
    let extent = Extent::of(load);
    let attempts = extent.attempts_planned.unwrap_or(extent.end_ns_max / ATTEMPT_NS_MIN);
    let records = attempts.min(f64::from(ATTEMPTS_MAX)) * (2.0 + 2.0 * f64::from(load.connection.requests));
    records as u64 * RECORD_BYTES as u64
}

/// When a load of so many attempts ends, at the earliest and at the latest. A fixed schedule ends
/// when the next attempt, or burst, would be due: as if its duration had been given.
fn ends_of_attempts(load: &Load, attempts: u32) -> (f64, f64) {
    let total_ns = load.connection.longest_ns(load.timeouts.total_ns) as f64;
    match load.arrivals {
        Arrivals::Sequential { .. } => {
            let min = earliest_ns(load, attempts.saturating_sub(1));
            (min, min + f64::from(attempts) * total_ns)
        }
        Arrivals::Closed { clients } => (0.0, f64::from(attempts.div_ceil(clients.max(1))) * total_ns),
        Arrivals::Burst { size, every_ns } => {
            let end = f64::from(attempts.div_ceil(size.max(1))) * every_ns as f64;
            (end, end)
        }
        Arrivals::Constant { .. } | Arrivals::Poisson { .. } | Arrivals::Ramp { .. } => {
            let end = earliest_ns(load, attempts);
            (end, end)
        }
    }
}

/// When attempt `i` is due at the earliest, in nanoseconds from the load's start.
#[must_use]
pub fn earliest_ns(load: &Load, i: u32) -> f64 {
    match load.arrivals {
        Arrivals::Sequential { gap_ns } => f64::from(i) * gap_ns as f64,
        Arrivals::Closed { .. } => 0.0,
        Arrivals::Constant { per_second } | Arrivals::Poisson { per_second } => {
            f64::from(i) * SECOND_NS / per_second
        }
        Arrivals::Ramp { from_per_second: from, to_per_second: to } => {
            ramp_offset(from, to, ramp_duration(from, to, load.until), i) * SECOND_NS
        }
        Arrivals::Burst { size, every_ns } => f64::from(i / size.max(1)) * every_ns as f64,
    }
}

/// How many attempts are due before this many nanoseconds, if that is certain.
fn planned_by(load: &Load, ns: u64) -> Option<f64> {
    let seconds = ns as f64 / SECOND_NS;
    let attempts = match load.arrivals {
        Arrivals::Sequential { .. } | Arrivals::Closed { .. } => return None,
        Arrivals::Constant { per_second } | Arrivals::Poisson { per_second } => seconds * per_second,
        Arrivals::Ramp { from_per_second, to_per_second } => {
            (from_per_second + to_per_second) / 2.0 * seconds
        }
        Arrivals::Burst { size, every_ns } => f64::from(size) * ns.div_ceil(every_ns.max(1)) as f64,
    };
    Some(attempts.ceil())
}

/// Offsets up to the end of the load, of a function that never decreases.
fn take(until: Until, mut offset: impl FnMut(u32) -> f64) -> Vec<u64> {
    let (attempts, end_ns) = match until {
        Until::Attempts(attempts) => (attempts.min(ATTEMPTS_MAX), u64::MAX),
        Until::Elapsed(ns) => (ATTEMPTS_MAX, ns),
    };
    (0..attempts).map(|i| nanoseconds(offset(i))).take_while(|offset| *offset < end_ns).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is meant")]
fn nanoseconds(offset: f64) -> u64 {
    offset.round() as u64
}

fn ramp_duration(from: f64, to: f64, until: Until) -> f64 {
    match until {
        Until::Elapsed(ns) => ns as f64 / SECOND_NS,
        Until::Attempts(attempts) => 2.0 * f64::from(attempts) / (from + to),
    }
}

/// The instant, in seconds, at which attempt `i` is due: the integral of the rate, inverted.
///
/// With slope = (to − from) / duration, from·t + slope·t²/2 = i. The usual solution of the quadratic
/// divides by the slope, which may be 0; this form of it does not. Past the last attempt of a ramp
/// that falls to 0 there is no solution: it is infinitely far away.
fn ramp_offset(from: f64, to: f64, duration: f64, i: u32) -> f64 {
    if i == 0 {
        return 0.0;
    }
    let i = f64::from(i);
    let slope = (to - from) / duration;
    let under_root = from * from + 2.0 * slope * i;
    if under_root < 0.0 { f64::INFINITY } else { 2.0 * i / (from + under_root.sqrt()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Connection, Timeouts};
    use super::*;

    fn load(arrivals: Arrivals, until: Until) -> Load {
        Load {
            patience_ns: 0,
            arrivals,
            until,
            timeouts: Timeouts { connect_ns: 1, first_byte_ns: 1, total_ns: 1 },
            deadline_ns: 1,
            clients: None,
            in_flight_max: 1,
            threads: 1,
            send_lag_max_ns: 1,
            protocol: None,
            proxy: None,
            connection: Connection::ONE_SHOT,
        }
    }

    fn offsets(arrivals: Arrivals, until: Until, seed: u64) -> Vec<u64> {
        match schedule(&load(arrivals, until), seed) {
            Schedule::Fixed(offsets) => offsets,
            other => panic!("not fixed: {other:?}"),
        }
    }

    #[test]
    fn ledgers_have_room_for_all_connections_that_there_can_be() {
        let bytes = |arrivals, until| ledger_bytes(&load(arrivals, until));
        let closed = Arrivals::Closed { clients: 32 };
        assert_eq!(bytes(closed, Until::Attempts(10_000_000)), 2_560_000_000);
        assert_eq!(bytes(Arrivals::Constant { per_second: 1000.0 }, Until::Elapsed(1_000_000_000)), 256_000);
        assert_eq!(bytes(closed, Until::Elapsed(1_000_000_000)), 40_000 * 256);
        assert_eq!(bytes(closed, Until::Elapsed(u64::MAX)), u64::from(ATTEMPTS_MAX) * 256);
        let session = Connection { requests: 3, ..Connection::ONE_SHOT };
        let load = Load { connection: session, ..load(closed, Until::Attempts(10)) };
        assert_eq!(ledger_bytes(&load), 10 * 8 * 64);
    }

    #[test]
    fn constant_arrivals_do_not_drift() {
        let third = Arrivals::Constant { per_second: 3.0 };
        assert_eq!(offsets(third, Until::Attempts(4), 0), [0, 333_333_333, 666_666_667, 1_000_000_000]);
        let hour = offsets(third, Until::Elapsed(3_600_000_000_000), 0);
        assert_eq!(hour.len(), 3 * 3600);
        assert_eq!(hour[3 * 1800], 1_800_000_000_000);
    }

    #[test]
    fn poisson_arrivals_are_pinned_to_the_seed() {
        let poisson = Arrivals::Poisson { per_second: 1000.0 };
        assert_eq!(
            offsets(poisson, Until::Attempts(5), 1),
            [446_903, 603_604, 1_818_402, 2_398_838, 2_550_448]
        );
    }

    #[test]
    fn ramps_follow_their_integral() {
        let up = Arrivals::Ramp { from_per_second: 0.0, to_per_second: 2.0 };
        // One second at 0 to 2 per second makes t² attempts by t.
        assert_eq!(offsets(up, Until::Elapsed(2_000_000_000), 0).len(), 2);
        assert_eq!(offsets(up, Until::Elapsed(2_000_000_000), 0)[1], 1_414_213_562);
        let down = Arrivals::Ramp { from_per_second: 100.0, to_per_second: 0.0 };
        assert_eq!(offsets(down, Until::Elapsed(2_000_000_000), 0).len(), 100);
        let flat = Arrivals::Ramp { from_per_second: 10.0, to_per_second: 10.0 };
        let constant = Arrivals::Constant { per_second: 10.0 };
        let until = Until::Elapsed(1_000_000_000);
        assert_eq!(offsets(flat, until, 0), offsets(constant, until, 0));
        assert_eq!(offsets(up, Until::Attempts(7), 0).len(), 7);
    }

    #[test]
    fn bursts_come_at_once() {
        let burst = Arrivals::Burst { size: 2, every_ns: 10 };
        assert_eq!(offsets(burst, Until::Attempts(5), 0), [0, 0, 10, 10, 20]);
        assert_eq!(offsets(burst, Until::Elapsed(20), 0), [0, 0, 10, 10]);
        assert_eq!(offsets(burst, Until::Elapsed(21), 0).len(), 6);
    }

    #[test]
    fn closed_models_keep_their_rule() {
        let until = Until::Attempts(3);
        let sequential = schedule(&load(Arrivals::Sequential { gap_ns: 5 }, until), 0);
        assert_eq!(sequential, Schedule::Sequential { gap_ns: 5, until });
        assert_eq!(sequential.attempts(), Some(3));
        let closed = schedule(&load(Arrivals::Closed { clients: 2 }, Until::Elapsed(9)), 0);
        assert_eq!(closed.attempts(), None);
    }

    fn open_arrivals() -> impl Strategy<Value = Arrivals> {
        prop_oneof![
            (1.0..2000.0).prop_map(|per_second| Arrivals::Constant { per_second }),
            (1.0..2000.0).prop_map(|per_second| Arrivals::Poisson { per_second }),
            (0.0..1000.0, 1.0..1000.0).prop_map(|(from_per_second, to_per_second)| Arrivals::Ramp {
                from_per_second,
                to_per_second
            }),
            (1..100_u32, 1_000_000..1_000_000_000_u64)
                .prop_map(|(size, every_ns)| Arrivals::Burst { size, every_ns }),
        ]
    }

    proptest! {
        #[test]
        fn schedules_are_sorted_and_end(arrivals in open_arrivals(), ns in 1..2_000_000_000_u64, seed: u64) {
            let times = offsets(arrivals, Until::Elapsed(ns), seed);
            prop_assert!(times.is_sorted());
            prop_assert!(times.iter().all(|t| *t < ns));
            prop_assert_eq!(&times, &offsets(arrivals, Until::Elapsed(ns), seed));
        }

        #[test]
        fn as_many_as_asked_for(arrivals in open_arrivals(), attempts in 1..2000_u32, seed: u64) {
            let times = offsets(arrivals, Until::Attempts(attempts), seed);
            prop_assert_eq!(times.len(), attempts as usize);
            prop_assert!(times.is_sorted());
        }

        #[test]
        fn counts_are_as_expected(arrivals in open_arrivals(), ns in 1_000_000..3_000_000_000_u64) {
            let seconds = ns as f64 / 1e9;
            let expected = match arrivals {
                Arrivals::Constant { per_second } => seconds * per_second,
                Arrivals::Ramp { from_per_second, to_per_second } =>
                    (from_per_second + to_per_second) / 2.0 * seconds,
                Arrivals::Burst { size, every_ns } => f64::from(size) * (ns.div_ceil(every_ns)) as f64,
                _ => return Ok(()),
            };
            let count = offsets(arrivals, Until::Elapsed(ns), 0).len() as f64;
            prop_assert!((count - expected.ceil()).abs() <= 1.0, "{count} of {expected}");
        }

        #[test]
        fn the_extent_is_that_of_the_schedule(arrivals in open_arrivals(), ns in 1_000_000..3_000_000_000_u64) {
            let load = load(arrivals, Until::Elapsed(ns));
            let extent = Extent::of(&load);
            let Schedule::Fixed(times) = schedule(&load, 0) else { return Ok(()) };
            if !matches!(arrivals, Arrivals::Poisson { .. }) {
                let planned = extent.attempts_planned.expect("fixed");
                prop_assert!((times.len() as f64 - planned).abs() <= 1.0, "{} of {planned}", times.len());
                let last = u32::try_from(times.len()).expect("few") - 1;
                let due = earliest_ns(&load, last);
                prop_assert!((due - *times.last().expect("some") as f64).abs() <= 1.0, "{due}");
            }
            prop_assert_eq!((extent.end_ns_min, extent.end_ns_max), (ns as f64, ns as f64));
        }

        #[test]
        fn poisson_keeps_its_rate_in_the_long_run(per_second in 10.0..5000.0_f64, seed: u64) {
            let n = 20_000_u32;
            let times = offsets(Arrivals::Poisson { per_second }, Until::Attempts(n), seed);
            let rate = f64::from(n) / (*times.last().expect("some") as f64 / 1e9);
            // The sum of n exponentials has a relative deviation of 1/√n: 0.7 %. Six of them.
            prop_assert!((rate / per_second - 1.0).abs() < 0.043, "{rate} for {per_second}");
        }

        #[test]
        fn other_seeds_make_other_schedules(seed: u64) {
            let poisson = Arrivals::Poisson { per_second: 100.0 };
            let until = Until::Attempts(10);
            prop_assert_ne!(offsets(poisson, until, seed), offsets(poisson, until, seed.wrapping_add(1)));
        }
    }
}
