//! Harness.

pub mod load;
