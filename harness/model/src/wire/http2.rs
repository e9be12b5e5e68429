//! HTTP/2, as far as it is said what is asked for and what counts as the reply: in the same text as over HTTP/1.1.
//! Whoever carries the bytes makes a stream of each request in it, and tells the stream's reply in it.
//!
//! Workers of ours do not speak it.

use super::http::Http;
use super::rest::{Excerpt, Heard};
use super::script::Script;
use super::speak::{Ask, Can, Head, Speak};
use super::text::Text;

/// The protocol.
pub(super) struct Http2;

impl Speak for Http2 {
    /// Servers go on for as long as their clients do.
    const CAN: Can = Can {
        poison: true,
        body: true,
        say_last: false,
        server_ends: false,
        pipeline: false,
        pool: true,
        workers: false,
    };
    const REQUEST_BYTES_MAX: usize = Http::REQUEST_BYTES_MAX;

    fn reply_bytes_max(script: &Script) -> usize {
        Http::reply_bytes_max(script)
    }

    fn encode(ask: &Ask, script: &Script, into: &mut Vec<u8>) {
        Http::encode(ask, script, into);
    }

    fn body<'a>(ask: &Ask, script: &'a Script) -> Option<&'a Text> {
        Http::body(ask, script)
    }

    fn judge(ask: &Ask, script: &Script, reply: &[u8], at_end: bool) -> Heard {
        Http::judge(ask, script, reply, at_end)
    }

    fn excerpt(reply: &[u8]) -> Excerpt {
        Http::excerpt(reply)
    }

    fn read(bytes: &[u8]) -> Option<Head> {
        Http::read(bytes)
    }

    fn answer(line: String, keeps: bool) -> Vec<u8> {
        Http::answer(line, keeps)
    }

    fn refuse(keeps: bool) -> Vec<u8> {
        Http::refuse(keeps)
    }
}
