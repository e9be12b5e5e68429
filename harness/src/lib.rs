//! Harness.

pub mod kernel;
pub mod load;
pub mod sandbox;
