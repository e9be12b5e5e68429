//! What holdline says of services that speak TLS, with certificates that the tests make.

mod authority;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod files;
#[path = "../common/lag.rs"]
mod lag;
mod planted;
