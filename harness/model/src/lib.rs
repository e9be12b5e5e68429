//! What a trial means.
//!
//! This crate does no I/O, starts nothing and reads no clock: files come in as text, records as
//! values, time as numbers. Everything that decides is here, so that it can be tested with plain
//! values and with proptest.

#![forbid(unsafe_code)]

pub mod arrivals;
pub mod record;
pub mod result;
pub mod scenario;
pub mod shm;
pub mod supervisor;
pub mod wire;
pub mod words;
