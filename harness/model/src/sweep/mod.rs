//! A sweep: instead of drawing when something crashes, it tries every place at which something can.
//!
//! [`steps`] plans a trial for each crash step × mode; [`calls`] says at which system calls of a recorded life
//! a process is killed, and finds them again in another run; [`verdict`] says what a trial shows of such a place,
//! and [`windows`] where the places lie at which a crash costs something. What comes of it all is a
//! [`SweepResult`], `holdline.sweep/1`.

pub mod calls;
pub mod life;
mod result;
pub mod steps;
pub mod verdict;
pub mod windows;

pub use result::{BoundaryResult, CallResult, CellResult, LifeResult, SCHEMA, SweepResult, WindowResult};

pub use crate::syscall::When;
use crate::words::words;

words! {
    /// Whom a sweep lets crash.
    SweepTarget ("target of a sweep", "kebab-case") {
        /// A worker.
        Worker = "worker",
        /// The supervisor.
        Supervisor = "supervisor",
    }
}

words! {
    /// What a crash at a place costs that it need not have cost, or what it cannot but cost.
    Costs ("costs", "kebab-case") {
        /// Nothing that anybody sees.
        Nothing = "nothing",
        /// The connection that the crashed process had, or carried the fault.
        Connection = "connection",
        /// Connections that had nothing to do with it.
        Others = "others",
        /// The listener: nobody was listening, or who was in its queue was reset.
        Listener = "listener",
        /// The service: it was not back within the patience.
        Service = "service",
        /// It cannot be told.
        NotKnown = "not-known",
    }
}
