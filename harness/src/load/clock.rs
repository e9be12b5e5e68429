//! Stamps, and the timer that wakes the load client.

use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};

use holdline_model::record::Stamp;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

const NS_PER_SECOND: u64 = 1_000_000_000;

/// `at_ns` as a stamp.
pub(super) fn stamp(at_ns: u64) -> Stamp {
    NonZeroU64::new(at_ns)
}

/// A one-shot timer with the resolution of the kernel's high-resolution timers.
///
/// A timerfd, unlike the time-out of `epoll_wait`, counts in nanoseconds and takes an absolute
/// instant, so that neither rounding nor the time until the call delays an attempt. It is meant to
/// be watched edge-triggered: then it need not be read.
pub(crate) struct Timer {
    descriptor: TimerFd,
    armed_ns: Option<u64>,
}

impl Timer {
    pub(crate) fn new() -> Result<Self, Errno> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        Ok(Self { descriptor: TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?, armed_ns: None })
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Sees to it that the timer fires no later than at `at_ns`.
    ///
    /// It may fire earlier, since moving an earlier instant further away would cost a syscall for
    /// each attempt and save next to nothing.
    pub(crate) fn fire_by(&mut self, at_ns: u64) -> Result<(), Errno> {
        if self.armed_ns.is_some_and(|armed_ns| armed_ns <= at_ns) {
            return Ok(());
        }
        // Zero would disarm it.
        let at_ns = at_ns.clamp(1, i64::MAX.cast_unsigned());
        let instant =
            TimeSpec::new((at_ns / NS_PER_SECOND).cast_signed(), (at_ns % NS_PER_SECOND).cast_signed());
        self.descriptor.set(Expiration::OneShot(instant), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        self.armed_ns = Some(at_ns);
        Ok(())
    }

    /// Takes note that it fired.
    pub(crate) fn fired(&mut self) {
        self.armed_ns = None;
    }
}

/// Keeps the calling thread's timer slack at its least (1 ns instead of the default 50 µs) until it
/// is dropped.
pub(super) struct LeastSlack {
    before_ns: Option<u64>,
}

impl LeastSlack {
    /// Does what it can: a refusal leaves the slack as it is.
    pub(super) fn set() -> Self {
        let before_ns = prctl::get_timerslack().ok().and_then(|slack_ns| u64::try_from(slack_ns).ok());
        let is_set = prctl::set_timerslack(1).is_ok();
        Self { before_ns: before_ns.filter(|_| is_set) }
    }
}

impl Drop for LeastSlack {
    fn drop(&mut self) {
        if let Some(before_ns) = self.before_ns {
            // It was this before, so it cannot be refused; and nothing depends on it.
            let _ = prctl::set_timerslack(before_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use holdline_contract::clock::now_ns;

    use super::*;

    #[test]
    fn a_timer_is_only_moved_forward() {
        let mut timer = Timer::new().expect("a timer");
        let far_ns = now_ns() + 3600 * NS_PER_SECOND;
        timer.fire_by(far_ns).expect("armed");
        timer.fire_by(far_ns + 1).expect("still armed");
        assert_eq!(timer.armed_ns, Some(far_ns));
        timer.fire_by(far_ns - 1).expect("armed");
        assert_eq!(timer.armed_ns, Some(far_ns - 1));
        timer.fired();
        timer.fire_by(u64::MAX).expect("armed for the end of time");
    }

    #[test]
    fn slack_is_put_back() {
        let before = prctl::get_timerslack().expect("slack");
        let least = LeastSlack::set();
        assert_eq!(prctl::get_timerslack(), Ok(1));
        drop(least);
        assert_eq!(prctl::get_timerslack(), Ok(before));
    }
}
