//! The command line as a user types it: what it prints, how it exits, what it leaves behind.

mod bad_input;
mod commands;
mod ladder;
mod support;
