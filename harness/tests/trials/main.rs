//! Trials of all kinds, whose tests take little of a processor: what users plant, deploy and encrypt.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/copied.rs"]
mod copied;
mod deploys;
mod faults;
#[path = "../common/lag.rs"]
mod lag;
mod tls;
