//! What passes between a running load client and the rest of the harness: progress one way, a stop
//! the other.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use holdline_model::record::Outcome;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::LoadError;

/// How far the load is, to be read by other threads while it runs.
///
/// Each count is exact; as they change one after the other, two that are read in turn need not
/// belong to the same instant. When the load has ended,
/// `due = finished = served + lost + silent + not_sent`.
#[derive(Debug, Default)]
pub struct Progress {
    /// Attempts whose turn came.
    pub due: AtomicU32,
    /// Attempts that began to connect.
    pub started: AtomicU32,
    /// Attempts whose outcome is clear.
    pub finished: AtomicU32,
    /// Attempts that got the right reply to all that they asked.
    pub served: AtomicU32,
    /// Attempts that were sent and did not get the right reply, poisoned ones included.
    pub lost: AtomicU32,
    /// Attempts that asked for nothing, as they were meant to.
    pub silent: AtomicU32,
    /// Attempts that the client could not send.
    pub not_sent: AtomicU32,
    /// Attempts that are under way now.
    pub in_flight: AtomicU32,
}

impl Progress {
    pub(super) fn count_outcome(&self, outcome: Outcome) {
        let kind = match outcome {
            Outcome::Replied | Outcome::ClosedIdle => &self.served,
            Outcome::Silent(_) => &self.silent,
            Outcome::NotSent(_) => &self.not_sent,
            _ => &self.lost,
        };
        kind.fetch_add(1, Ordering::Relaxed);
        self.finished.fetch_add(1, Ordering::Relaxed);
    }
}

/// Asks a load client to end early, from any thread, and wakes it for that.
#[derive(Debug)]
pub struct StopFlag {
    is_set: AtomicBool,
    event: EventFd,
}

impl StopFlag {
    /// A flag that is not set.
    ///
    /// # Errors
    ///
    /// If there is no descriptor left.
    pub fn new() -> Result<Self, LoadError> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| LoadError::Setup { what: "stop flag", errno })?;
        Ok(Self { is_set: AtomicBool::new(false), event })
    }

    /// Sets it. It stays set.
    pub fn stop(&self) {
        self.is_set.store(true, Ordering::Release);
        // It can only fail when the counter is full, and then the client has been woken long since.
        let _ = self.event.write(1);
    }

    /// Whether it is set.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }
}

impl AsFd for StopFlag {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
