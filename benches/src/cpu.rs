//! CPU time of the calling thread.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The CPU time that `work` took on the calling thread, user and system together. What it spent
/// waiting, and what other threads and processes did for it, does not count.
///
/// # Panics
///
/// Never on Linux, where every thread has this clock.
pub fn time_of(work: impl FnOnce()) -> Duration {
    let before = now();
    work();
    now() - before
}

/// CLOCK_THREAD_CPUTIME_ID has the scheduler's own nanoseconds; `getrusage` derives its two parts
/// from the same sum (`cputime_adjust` in kernel/sched/cputime.c).
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux always has this clock").into()
}
