//! Harness.

pub mod sandbox;
