//! How often connections are sampled: as often as it is useful, and no more than the server can bear.
//!
//! What a look costs is mostly the wake-up before it: 15 µs of a processor's time for that and 5 µs for the look
//! itself were seen in a virtual machine (Linux 6.18). One every 100 µs takes a fifth of a processor, which a server
//! that uses all of them would feel, and one that leaves them idle does not.

use std::time::Duration;

use holdline_contract::clock::now_ns;
use nix::time::{ClockId, clock_gettime};

use super::idle::{IdleTime, processors};

/// The shortest and the longest time between two looks.
const SHORTEST: Duration = Duration::from_micros(100);
const LONGEST: Duration = Duration::from_millis(1);
/// What looking may take of all processors' time. Who looks at the listeners takes 1 % of two beside it, and both
/// together are to take less than 3 % from a server that uses them all.
const SHARE: f64 = 0.015;
/// What it may take beyond that of the time for which processors are idle.
const SHARE_OF_IDLE: f64 = 0.25;
/// After so long it is computed anew how often there may be a look: idle time is told in hundredths of a second.
const PERIOD_NS: u64 = 100_000_000;

/// A pace that keeps to a share of the machine: where a look is dear, since the machine's table is large or
/// there are many connections in it, there are fewer; where processors are idle, there are more.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// How many processors there are.
    processors: f64,
    interval: Duration,
    looks: u32,
    /// What was used when the interval was computed last; `None`: it never was.
    used: Option<Used>,
}

/// What has been used of the machine by an instant, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Used {
    /// The instant, of CLOCK_MONOTONIC.
    at_ns: u64,
    /// Processor time that the thread which looks has used.
    own_ns: u64,
    /// For how long processors were idle, all of them together; `None`: not known.
    idle_ns: Option<u64>,
}

impl Pace {
    /// On this machine.
    #[must_use]
    pub fn of_machine() -> Self {
        Self::on(processors())
    }

    /// Begins as one should on a machine of which nothing is known.
    const fn on(processors: usize) -> Self {
        Self { processors: processors as f64, interval: LONGEST, looks: 0, used: None }
    }

    /// How long it is from one look to the next.
    pub(super) const fn interval(&self) -> Duration {
        self.interval
    }

    /// Takes note of a look, and says if the interval is another from now on.
    pub(super) fn looked(&mut self, at_ns: u64, used: impl FnOnce() -> Used) -> Option<Duration> {
        self.looks += 1;
        let Some(before) = self.used else {
            self.begin(used());
            return None;
        };
        if at_ns.saturating_sub(before.at_ns) < PERIOD_NS {
            return None;
        }
        let (looks, now) = (self.looks, used());
        self.begin(now);
        let elapsed_ns = now.at_ns.saturating_sub(before.at_ns).max(1) as f64;
        let cost_ns = now.own_ns.saturating_sub(before.own_ns) as f64 / f64::from(looks);
        let idle_ns = now.idle_ns.zip(before.idle_ns).map_or(0, |(now, before)| now.saturating_sub(before));
        let share = SHARE * self.processors + SHARE_OF_IDLE * idle_ns as f64 / elapsed_ns;
        let interval = Duration::from_nanos((cost_ns / share) as u64).clamp(SHORTEST, LONGEST);
        let differs = interval.abs_diff(self.interval) > self.interval / 10;
        differs.then(|| {
            self.interval = interval;
            interval
        })
    }

    fn begin(&mut self, used: Used) {
        (self.looks, self.used) = (0, Some(used));
    }
}

/// Reads what has been used, on the thread that looks.
#[derive(Debug)]
pub(super) struct Meter {
    idle: IdleTime,
}

impl Meter {
    /// On this machine.
    pub(super) fn of_machine() -> Self {
        Self { idle: IdleTime::of_machine() }
    }

    pub(super) fn read(&self) -> Used {
        Used { at_ns: now_ns(), own_ns: own_cpu_ns(), idle_ns: self.idle.ns() }
    }
}

/// The processor time that this thread has used, in nanoseconds; 0 where the kernel does not say.
fn own_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map_or(0, |time| u64::try_from(Duration::from(time).as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::idle::TICK_NS;
    use super::*;

    /// The interval after many looks each of which costs so much, on so many processors, of which, but for the looks,
    /// so many are idle all the time; `None`: that is not known.
    fn settled(processors: usize, cost_us: u64, idle: Option<f64>) -> Duration {
        let mut pace = Pace::on(processors);
        let (mut at_ns, mut own_ns, mut idle_ns) = (0, 0, 0.0);
        for _ in 0..100_000 {
            let interval_ns = pace.interval().as_nanos() as f64;
            at_ns += interval_ns as u64;
            own_ns += cost_us * 1000;
            idle_ns += (idle.unwrap_or(0.0) * interval_ns - cost_us as f64 * 1000.0).max(0.0);
            let idle_ns = idle.map(|_| idle_ns as u64 / TICK_NS * TICK_NS);
            let _ = pace.looked(at_ns, || Used { at_ns, own_ns, idle_ns });
        }
        pace.interval()
    }

    #[test]
    fn looks_are_as_frequent_as_their_cost_allows() {
        for idle in [None, Some(0.0)] {
            assert_eq!(settled(2, 1, idle), SHORTEST, "cheap ones no more often than is useful");
            assert_eq!(settled(2, 12, idle), Duration::from_micros(400));
            assert_eq!(settled(8, 10, idle), SHORTEST, "more processors bear more");
            assert_eq!(settled(2, 900, idle), LONGEST, "dear ones are made all the same");
        }
    }

    #[test]
    fn idle_processors_bear_more() {
        assert_eq!(settled(2, 18, Some(0.0)), Duration::from_micros(600));
        let some = settled(2, 18, Some(0.2));
        assert!(SHORTEST < some && some < Duration::from_micros(400), "{some:?}");
        assert_eq!(settled(2, 20, Some(1.5)), SHORTEST);
        assert!(settled(2, 400, Some(2.0)) > LONGEST / 2, "but not any cost");
    }

    #[test]
    fn nothing_is_known_of_a_machine_at_first() {
        let mut pace = Pace::on(64);
        assert_eq!(pace.interval(), LONGEST);
        let used = |at_ns| Used { at_ns, own_ns: at_ns / 1000, idle_ns: Some(0) };
        assert_eq!(pace.looked(5, || used(5)), None);
        assert_eq!(pace.looked(PERIOD_NS, || unreachable!("too early to be read")), None);
        assert_eq!(pace.looked(PERIOD_NS + 5, || used(PERIOD_NS + 5)), Some(SHORTEST));
    }

    #[test]
    fn what_hardly_differs_changes_nothing() {
        let mut pace = Pace::on(1);
        let mut changes = 0;
        for look in 1..=1000 {
            let used = Used { at_ns: look * 1_000_000, own_ns: look * 9_000 + look % 3, idle_ns: None };
            changes += u32::from(pace.looked(used.at_ns, || used).is_some());
        }
        assert_eq!((changes, pace.interval()), (1, Duration::from_micros(600)));
    }
}
