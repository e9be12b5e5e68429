//! Room for so many at the same time.

use std::sync::{Condvar, Mutex, PoisonError};

/// Room for so many.
pub(crate) struct Room {
    left: Mutex<usize>,
    freed: Condvar,
}

/// A place in it, which is free again when this is dropped.
#[must_use = "dropping it frees the place"]
pub(crate) struct Taken<'a>(&'a Room);

impl Room {
    pub(crate) const fn of(many: usize) -> Self {
        Self { left: Mutex::new(many), freed: Condvar::new() }
    }

    /// Waits for a place, and takes it.
    pub(crate) fn enter(&self) -> Taken<'_> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = self.freed.wait_while(left, |left| *left == 0).unwrap_or_else(PoisonError::into_inner);
        *left -= 1;
        Taken(self)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.0.left.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
