//! Sharing the machine: trials mostly wait, so that several may run side by side, but a neighbour may
//! make a load client lag, or requests wait. What then differs from what is expected is measured alone.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Held shared by trials that may have neighbours, exclusively by those that may not.
static MACHINE: RwLock<()> = RwLock::new(());

/// Waits for those that measure alone, and keeps them waiting until it is dropped.
pub(crate) fn beside_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for all others, and keeps them waiting until it is dropped.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}
