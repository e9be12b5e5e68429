//! Harness.

pub mod kernel;
pub mod load;
