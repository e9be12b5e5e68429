//! What harness and workers agree on: the clock, the memory that they share, the worker's ledger, the
//! control page, how a worker is told to behave, and how it writes down what it was given.
//!
//! The layouts themselves are fixed in [`holdline_model::shm`], so that they can be tested with values;
//! here are the files. Nothing here knows of trials, and nothing of how a worker serves.

// A new word must be seen wherever words are told apart: no wildcard swallows it.
#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

pub mod clock;
pub mod config;
pub mod control;
pub mod inherit;
pub mod ledger;
mod shared;
