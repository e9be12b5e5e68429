//! The command line as a user types it: what it prints, how it exits, what it leaves behind.

mod again;
mod answers;
mod bad_input;
mod commands;
#[path = "../common/mod.rs"]
mod common;
mod compare;
mod completions;
mod costs;
mod deaths;
mod descriptors;
mod dry;
mod example;
mod exports;
mod first;
mod formats;
mod gate;
mod hostile;
mod ladder;
#[path = "../common/lag.rs"]
mod lag;
mod limits;
mod merge;
mod misbehaviour;
#[path = "../common/neighbours.rs"]
mod neighbours;
mod page;
mod paths;
mod pipes;
mod pools;
mod printed;
mod probe;
mod queues;
mod readiness;
mod require;
mod schema;
mod sessions;
mod support;
mod threads;
mod told;
mod untraced;
