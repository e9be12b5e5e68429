//! Harness.

pub mod kernel;
