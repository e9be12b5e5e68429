//! What a trial means.
//!
//! This crate does no I/O, starts nothing and reads no clock: files come in as text, records as
//! values, time as numbers. Everything that decides is here, so that it can be tested with plain
//! values and with proptest.

#![forbid(unsafe_code)]

pub mod accepts;
mod addresses;
pub mod advice;
pub mod answer;
pub mod attach;
pub mod bounds;
pub mod compare;
pub mod conductor;
pub mod custody;
pub mod deed;
pub mod duration;
mod endings;
mod errno;
pub mod exit;
pub mod expect;
pub mod explain;
pub mod facts;
pub mod file;
pub mod foreseen;
pub mod fuzz;
pub mod gate;
pub mod grade;
mod handshakes;
pub mod hindrance;
pub mod lack;
pub mod latency;
pub mod ledger;
pub mod listing;
pub mod log_tail;
mod mark;
pub mod merge;
pub mod metric;
pub mod mishap;
pub mod outage;
pub mod overflow;
pub mod part;
pub mod phases;
pub mod plan;
pub mod planned;
mod pool;
pub mod reason;
pub mod record;
pub mod recovery;
pub mod remedies;
pub mod requests;
pub mod result;
pub mod said;
pub mod sampling;
pub mod scenario;
pub mod schema;
pub mod secrets;
pub mod series;
pub mod service;
pub mod sessions;
pub mod shm;
pub mod signals;
pub mod silent;
pub mod stats;
pub mod summary;
pub mod supervisor;
pub mod support;
pub mod sweep;
pub mod syscall;
pub mod template;
pub mod timeline;
pub mod tls;
pub mod told;
pub mod versions;
pub mod violation;
pub mod visible;
pub mod watch;
pub mod wire;
pub mod worded;
pub mod words;

pub use scenario::arrivals;
