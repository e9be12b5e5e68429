//! What the kernel itself knows of a trial: the listeners at the scenario's address, their accept
//! queues and drops, who holds them, and the TCP counters of the network namespace.
//!
//! [`observer`] looks at regular intervals and writes the record, and so does [`accepts`] where workers
//! keep no ledger; the other modules are what they are made of. Nothing here connects to a server, so that nothing here can be counted by one, and
//! nothing judges: records go to the ledger.

pub mod accepts;
pub mod counters;
pub mod diag;
mod gaze;
pub mod holders;
mod intervals;
mod netlink;
pub mod observer;
mod samples;
mod ticker;
pub mod timeline;

use nix::time::{ClockId, clock_gettime};

/// The present in CLOCK_MONOTONIC nanoseconds.
///
/// # Panics
///
/// Never on Linux, where this clock always exists and counts from boot.
#[must_use]
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has CLOCK_MONOTONIC");
    u64::try_from(now.tv_sec()).expect("the clock counts from boot") * 1_000_000_000
        + u64::try_from(now.tv_nsec()).expect("nanoseconds are not negative")
}
