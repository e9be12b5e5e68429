//! Sharing the machine: trials mostly wait, so that several may run side by side, but a neighbour may
//! make a load client lag, or requests wait. What then differs from what is expected is measured alone.
//!
//! While somebody waits to be alone, others go on beginning, so that the machine is not idle until the last of those
//! that run has ended; only once several wait does nobody begin any more, and then they go one after the other.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// So many may wait to be alone before nobody else begins.
const WAITING_MAX: usize = 3;

static MACHINE: Machine = Machine { taken: Mutex::new(Taken::NOBODY), changed: Condvar::new() };

thread_local! {
    /// Whether this thread has the machine for itself.
    static IS_ALONE: Cell<bool> = const { Cell::new(false) };
}

struct Machine {
    taken: Mutex<Taken>,
    changed: Condvar,
}

/// By whom the machine is used.
struct Taken {
    beside: usize,
    is_alone: bool,
    waiting: usize,
    /// Whether those that wait to be alone come before others.
    is_their_turn: bool,
}

impl Taken {
    const NOBODY: Self = Self { beside: 0, is_alone: false, waiting: 0, is_their_turn: false };
}

impl Machine {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl FnMut(&mut Taken) -> bool, begin: impl FnOnce(&mut Taken)) {
        let taken = self.changed.wait_while(self.lock(), condition);
        begin(&mut taken.unwrap_or_else(PoisonError::into_inner));
    }

    fn change(&self, change: impl FnOnce(&mut Taken)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// A place on the machine beside others.
#[must_use = "dropping it frees the place"]
pub(crate) struct Beside {
    is_counted: bool,
}

/// The whole machine.
#[must_use = "dropping it lets the others go on"]
pub(crate) struct Alone(());

/// Waits for those that measure alone, and keeps them waiting until it is dropped. Who is alone anyhow does not wait.
pub(crate) fn beside_others() -> Beside {
    let is_counted = !IS_ALONE.get();
    if is_counted {
        MACHINE.wait_while(|taken| taken.is_alone || taken.is_their_turn, |taken| taken.beside += 1);
    }
    Beside { is_counted }
}

/// Waits for all others, and keeps them waiting until it is dropped.
pub(crate) fn alone() -> Alone {
    MACHINE.change(|taken| {
        taken.waiting += 1;
        taken.is_their_turn |= taken.waiting >= WAITING_MAX;
    });
    let take = |taken: &mut Taken| {
        taken.waiting -= 1;
        taken.is_alone = true;
        taken.is_their_turn = taken.waiting > 0;
    };
    MACHINE.wait_while(|taken| taken.is_alone || taken.beside > 0, take);
    IS_ALONE.set(true);
    Alone(())
}

impl Drop for Beside {
    fn drop(&mut self) {
        if self.is_counted {
            MACHINE.change(|taken| taken.beside -= 1);
        }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        IS_ALONE.set(false);
        MACHINE.change(|taken| taken.is_alone = false);
    }
}
