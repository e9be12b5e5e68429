//! Runs trials: a supervisor under test, crash-injecting workers beneath it, and a load client
//! against it, inside a sandbox.
//!
//! `ARCHITECTURE.md` beside this crate's manifest says where what is, and what must never be.

pub mod calibrate;
pub mod catalogue;
mod causes;
pub mod cli;
pub mod exit;
pub mod export;
pub mod fuzz;
pub mod joint;
pub mod kernel;
pub mod load;
pub mod manifest;
mod outside;
pub mod probe;
mod proc;
pub mod receipt;
mod recorded;
pub mod run;
pub mod rundir;
pub mod sandbox;
pub mod sweep;
pub mod testing;
pub mod tls;
mod trace;
pub mod trial;
mod waitable;
