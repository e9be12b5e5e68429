//! How often connections are sampled: as often as it is useful, and no more than the server can bear.

use std::thread;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The shortest and the longest time between two looks.
const SHORTEST: Duration = Duration::from_micros(100);
const LONGEST: Duration = Duration::from_millis(1);
/// What looking may take of all processors' time.
const SHARE: f64 = 0.02;
/// After so many looks it is computed anew how often there may be one.
const LOOKS: u32 = 64;

/// A pace that keeps to a share of the machine: where a look is dear, since the machine's table is large or
/// there are many connections in it, there are fewer.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// What looking may take of one processor's time.
    share: f64,
    interval: Duration,
    looks: u32,
    cpu_ns: u64,
}

impl Pace {
    /// On this machine.
    #[must_use]
    pub fn of_machine() -> Self {
        Self::on(thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }

    fn on(processors: usize) -> Self {
        Self { share: SHARE * processors as f64, interval: SHORTEST, looks: 0, cpu_ns: 0 }
    }

    /// How long it is from one look to the next.
    pub(super) const fn interval(&self) -> Duration {
        self.interval
    }

    /// Takes note of a look, and says if the interval is another from now on. `cpu_ns` tells how much
    /// processor time the thread has used so far.
    pub(super) fn looked(&mut self, cpu_ns: impl FnOnce() -> u64) -> Option<Duration> {
        self.looks += 1;
        if self.looks < LOOKS {
            return None;
        }
        let used_ns = cpu_ns();
        let cost_ns = used_ns.saturating_sub(self.cpu_ns) as f64 / f64::from(self.looks);
        (self.looks, self.cpu_ns) = (0, used_ns);
        let interval = Duration::from_nanos((cost_ns / self.share) as u64).clamp(SHORTEST, LONGEST);
        let differs = interval.abs_diff(self.interval) > self.interval / 10;
        differs.then(|| {
            self.interval = interval;
            interval
        })
    }
}

/// The processor time that this thread has used, in nanoseconds; 0 where the kernel does not say.
pub(super) fn own_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map_or(0, |time| u64::try_from(Duration::from(time).as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The interval after many looks each of which costs so much.
    fn settled(processors: usize, cost_us: u64) -> Duration {
        let mut pace = Pace::on(processors);
        let mut used_ns = 0;
        for _ in 0..10 * LOOKS {
            used_ns += cost_us * 1000;
            let _ = pace.looked(|| used_ns);
        }
        pace.interval()
    }

    #[test]
    fn looks_are_as_frequent_as_their_cost_allows() {
        assert_eq!(settled(2, 1), SHORTEST, "cheap ones no more often than is useful");
        assert_eq!(settled(2, 10), Duration::from_micros(250));
        assert_eq!(settled(8, 10), SHORTEST, "more processors bear more");
        assert_eq!(settled(2, 900), LONGEST, "dear ones are made all the same");
    }

    #[test]
    fn what_hardly_differs_changes_nothing() {
        let mut pace = Pace::on(1);
        let mut changes = 0;
        for look in 1..=10 * u64::from(LOOKS) {
            changes += u32::from(pace.looked(|| look * 2000 + look % 3).is_some());
        }
        assert_eq!((changes, pace.interval()), (0, SHORTEST));
    }
}
