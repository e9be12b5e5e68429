//! Sharing the machine: trials mostly wait, so that several may run side by side, but a neighbour may
//! make a load client lag, or requests wait. What then differs from what is expected is measured alone.

use std::sync::{PoisonError, RwLock};

/// How many tests run side by side.
pub(crate) const SIDE_BY_SIDE: usize = 6;

/// Held shared by trials that may have neighbours, exclusively by those that may not.
static MACHINE: RwLock<()> = RwLock::new(());

pub(crate) fn beside_others<T>(measure: impl FnOnce() -> T) -> T {
    let _shared = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    measure()
}

pub(crate) fn alone<T>(measure: impl FnOnce() -> T) -> T {
    let _exclusive = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    measure()
}
