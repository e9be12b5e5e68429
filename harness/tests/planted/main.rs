//! What holdline says of services of which it is known what they do (`fixtures/planted`).

mod clients;
#[path = "../common/mod.rs"]
mod common;
mod kernel;
#[path = "../common/lag.rs"]
mod lag;
mod marks;
mod messages;
mod own;
mod planted;
mod pools;
mod proxies;
mod ready;
mod replies;
mod sources;
mod streams;
mod table;
mod unknown;
mod watch;
