//! The pace of a thread that looks at something at regular instants until another stops it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// The shortest interval; a shorter one would leave the thread no time to rest.
pub(super) const INTERVAL_MIN: Duration = Duration::from_micros(100);

/// A timer and an order to stop, shared by the thread and its owner.
#[derive(Debug)]
pub(super) struct Ticker {
    timer: TimerFd,
    stop: AtomicBool,
}

impl Ticker {
    pub(super) fn new() -> Result<Self, Errno> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
        Ok(Self { timer, stop: AtomicBool::new(false) })
    }

    /// Ticks every `interval` from an instant of CLOCK_MONOTONIC on.
    pub(super) fn start(&self, began_ns: u64, interval: Duration) -> Result<(), Errno> {
        let interval = interval.max(INTERVAL_MIN);
        let first = TimeSpec::from_duration(Duration::from_nanos(began_ns) + interval);
        let ticks = Expiration::IntervalDelayed(first, TimeSpec::from_duration(interval));
        self.timer.set(ticks, TimerSetTimeFlags::TFD_TIMER_ABSTIME)
    }

    /// Waits for the next tick; those that were missed count as one. Says whether to stop.
    pub(super) fn wait(&self) -> Result<bool, Errno> {
        self.timer.wait()?;
        Ok(self.stop.load(Ordering::Acquire))
    }

    /// Lets the thread stop at once.
    pub(super) fn stop(&self) -> Result<(), Errno> {
        self.stop.store(true, Ordering::Release);
        let at_once = Expiration::OneShot(TimeSpec::from_duration(Duration::from_nanos(1)));
        self.timer.set(at_once, TimerSetTimeFlags::empty())
    }
}
