//! CPU time of the calling thread.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeSpec;
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

/// The CPU time that all other threads of this process took while `work` ran on this one, ended ones included.
///
/// # Panics
///
/// Never on Linux, where every process has this clock.
pub fn of_others_during<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let others = || Duration::from(read(ClockId::CLOCK_PROCESS_CPUTIME_ID)).saturating_sub(now());
    let before = others();
    let result = work();
    (result, others().saturating_sub(before))
}

/// CLOCK_THREAD_CPUTIME_ID has the scheduler's own nanoseconds; `getrusage` derives its two parts
/// from the same sum (`cputime_adjust` in kernel/sched/cputime.c).
fn now() -> Duration {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID).into()
}

fn read(clock: ClockId) -> TimeSpec {
    clock_gettime(clock).expect("Linux always has this clock")
}

/// The part of the CPU time of `work` that it spent in user mode. It is run on a thread of its own, whose ticks the
/// kernel counts (`account_process_tick`): it is to take a second or more, or this says nothing.
///
/// # Panics
///
/// If the work does.
pub fn user_part_of(work: impl FnOnce() + Send) -> f64 {
    std::thread::scope(|scope| {
        let measured = scope.spawn(|| {
            work();
            let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("Linux always tells");
            let seconds =
                |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1_000_000.0;
            let (user, system) = (seconds(usage.user_time()), seconds(usage.system_time()));
            user / (user + system).max(f64::MIN_POSITIVE)
        });
        measured.join().expect("the work does not panic")
    })
}
