//! What the kernel itself knows of a trial: the listeners at the scenario's address, their accept
//! queues and drops, who holds them, and the TCP counters of the network namespace.
//!
//! [`observer`] looks at regular intervals and writes the record, and so does [`accepts`] where workers
//! keep no ledger; [`custody`] looks at connections whose time has run out, and
//! [`acceptor`] for whoever has one that is to be hit by a fault. The other modules are what they
//! are made of. Nothing here connects to a server, so that nothing here can be counted by one, and
//! nothing judges: records go to the ledger.

pub mod acceptor;
pub mod accepts;
pub mod counters;
pub mod custody;
pub mod diag;
mod ends;
mod exhaustion;
mod gaze;
pub mod holders;
pub(crate) mod idle;
mod intervals;
pub mod listening;
mod netlink;
pub mod observer;
pub mod pace;
mod samples;
mod taker;
pub mod tested;
mod ticker;
pub mod timeline;
