//! The square protocol over HTTP/1.1, as far as holdline needs it: `/square?n=7`, and the line as the body.
//!
//! A service that has requests of its own is asked those: see `own.rs`.
//!
//! What a server may send is bounded and never trusted: a reply that is malformed, too long, or not
//! what was asked for is not the right one, and one that ends too early is truncated.

use std::borrow::Cow;

use httparse::{EMPTY_HEADER, Header, Response, Status};
use percent_encoding::percent_decode;

use super::body::Framing;
use super::request::Request;
use super::rest::{Excerpt, Framed, Heard, Keeps, Wrong};
use super::script::{HttpScript, Script, version_of};
use super::speak::{Ask, Asked, Can, Head, Speak};
use super::text::Text;

mod own;

/// The longest head of a request that a worker reads, in bytes.
const REQUEST_BYTES_MAX: usize = 8192;
/// Where workers serve squares; what is asked for stands behind it.
const TARGET: &str = "/square?n=";
/// The longest head that the client reads, in bytes; as much as most servers allow.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// The most headers of a head.
pub const HEADERS_MAX: usize = 64;

/// The most headers of a request: proxies in between add some.
const REQUEST_HEADERS_MAX: usize = 128;

/// The protocol.
pub(super) struct Http;

impl Speak for Http {
    const CAN: Can = Can {
        poison: true,
        body: true,
        say_last: true,
        server_ends: true,
        pipeline: true,
        pool: true,
        workers: true,
    };
    const REQUEST_BYTES_MAX: usize = REQUEST_BYTES_MAX;

    /// Behind the head, what holds an answer: the framing of chunks is bounded, too.
    fn reply_bytes_max(script: &Script) -> usize {
        own(script).map_or(3 * HEAD_BYTES_MAX, own::reply_bytes_max)
    }

    fn encode(ask: &Ask, script: &Script, into: &mut Vec<u8>) {
        if let Some(script) = own(script) {
            return own::encode(ask, script, into);
        }
        let mut put = |text: &str| into.extend_from_slice(text.as_bytes());
        put(if ask.body_bytes > 0 { "POST " } else { "GET " });
        put(TARGET);
        ask.request().encode(into);
        let mut put = |text: &str| into.extend_from_slice(text.as_bytes());
        put(" HTTP/1.1\r\nHost: localhost\r\nConnection: ");
        put(connection(ask.keeps));
        if ask.body_bytes > 0 {
            put("\r\nContent-Type: application/octet-stream\r\nContent-Length: ");
            put(itoa::Buffer::new().format(ask.body_bytes));
        }
        put("\r\n\r\n");
    }

    fn body<'a>(ask: &Ask, script: &'a Script) -> Option<&'a Text> {
        own(script).and_then(|script| own::body(ask, script))
    }

    fn judge(ask: &Ask, script: &Script, reply: &[u8], at_end: bool) -> Heard {
        if let Some(script) = own(script) {
            return own::judge(ask, script, reply, at_end);
        }
        match parse(reply, Asks::default()) {
            Reply::Part => Heard::Part,
            Reply::Wrong(why) => Heard::Wrong(why),
            Reply::Headed(headed) => headed.framed().judge(ask.request(), at_end),
        }
    }

    fn excerpt(reply: &[u8]) -> Excerpt {
        let content = match parse(reply, Asks::default()) {
            Reply::Headed(headed) => headed.framed().excerpt(),
            Reply::Part | Reply::Wrong(_) => Excerpt::of(reply),
        };
        // Of a reply without a body, the head says all.
        if content.as_bytes().is_empty() { Excerpt::of(reply) } else { content }
    }

    fn read(bytes: &[u8]) -> Option<Head> {
        let mut headers = [EMPTY_HEADER; REQUEST_HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(Status::Partial) => None,
            Ok(Status::Complete(head_bytes)) => Some(Head {
                bytes: head_bytes,
                asked: asked(request.path.unwrap_or_default()),
                keeps: keeps(request.version, request.headers),
                body_bytes: body_bytes(request.headers),
            }),
            // Nothing can come of it, whatever follows.
            Err(_) => {
                Some(Head { bytes: bytes.len(), asked: Asked::SomethingElse, keeps: false, body_bytes: 0 })
            }
        }
    }

    fn answer(line: String, keeps: bool) -> Vec<u8> {
        response("200 OK", &line, keeps)
    }

    fn refuse(keeps: bool) -> Vec<u8> {
        response("404 Not Found", "only /square?n=NUMBER is served\n", keeps)
    }
}

/// What is said to a service that has requests of its own.
const fn own(script: &Script) -> Option<&HttpScript> {
    match script {
        Script::Http(script) => Some(script),
        Script::Squares | Script::Bytes(_) | Script::Messages(_) => None,
    }
}

const fn connection(keeps: bool) -> &'static str {
    if keeps { "keep-alive" } else { "close" }
}

fn response(status: &str, body: &str, keeps: bool) -> Vec<u8> {
    let (length, connection) = (body.len(), connection(keeps));
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: {connection}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Clients may send the `!` and `:` of poison percent-encoded.
fn asked(target: &str) -> Asked {
    match target.strip_prefix(TARGET) {
        Some(number) => Asked::For(Request::parse(&Cow::from(percent_decode(number.as_bytes())))),
        None => Asked::SomethingElse,
    }
}

/// The length of a request's body; one that is no number is none.
fn body_bytes(headers: &[Header<'_>]) -> u64 {
    let length =
        named(headers, "content-length").last().and_then(|header| std::str::from_utf8(header.value).ok());
    length.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// What has come of the head of a reply.
#[derive(Debug, PartialEq, Eq)]
enum Reply<'a> {
    /// Less than all of it.
    Part,
    /// Something that is no head, or too long for one.
    Wrong(Wrong),
    /// All of it, and some of what follows.
    Headed(Headed<'a>),
}

/// A reply whose head is complete.
#[derive(Debug, PartialEq, Eq)]
struct Headed<'a> {
    /// The status code.
    status: u16,
    /// How the body shows its end.
    framing: Framing,
    /// What has come behind the head.
    behind: &'a [u8],
    /// How many bytes the head takes, those of interim replies included.
    head_bytes: usize,
    /// Whether the server would go on over the same connection.
    keeps: Keeps,
    /// The version that the head names, 0 if none.
    version: u16,
}

/// What was asked for, as far as it decides how a reply is to be read.
#[derive(Debug, Clone, Copy, Default)]
struct Asks<'a> {
    /// Whether for a head alone, to which no body belongs, whatever it says (RFC 9112, section 6.3).
    head_alone: bool,
    /// The header that names the version.
    version: Option<&'a str>,
}

impl<'a> Headed<'a> {
    fn framed(&self) -> Framed<'a> {
        let Self { framing, behind: bytes, head_bytes, keeps, status, version: _ } = *self;
        let wrong = (!(200..300).contains(&status)).then_some(Wrong::Status(status));
        Framed { framing, bytes, head_bytes, wrong, keeps }
    }
}

/// Reads the head of a reply.
fn parse<'a>(bytes: &'a [u8], asks: Asks<'_>) -> Reply<'a> {
    let mut from = 0;
    loop {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut response = Response::new(&mut headers);
        let head_bytes = match response.parse(&bytes[from..]) {
            Ok(Status::Complete(head_bytes)) if head_bytes <= HEAD_BYTES_MAX => head_bytes,
            Ok(Status::Partial) if bytes.len() - from < HEAD_BYTES_MAX => return Reply::Part,
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Reply::Wrong(Wrong::TooLong),
            Err(_) => return Reply::Wrong(Wrong::Malformed),
        };
        let status = response.code.unwrap_or(0);
        let body_from = from + head_bytes;
        match status {
            // Interim replies come before the one that counts; as many as fit into a head may. But nobody asked
            // to switch protocols.
            100..200 if status != 101 && body_from <= HEAD_BYTES_MAX => from = body_from,
            200..1000 => {
                let keeps = keeping(response.version, response.headers);
                let Some(framing) = framing(status, response.headers) else {
                    return Reply::Wrong(Wrong::Malformed);
                };
                let framing = if asks.head_alone { Framing::Length(0) } else { framing };
                let name = asks.version.and_then(|name| named(response.headers, name).last());
                let version = name.map_or(0, |header| version_of(header.value));
                let behind = &bytes[body_from..];
                return Reply::Headed(Headed {
                    status,
                    framing,
                    behind,
                    head_bytes: body_from,
                    keeps,
                    version,
                });
            }
            100..200 if status != 101 => return Reply::Wrong(Wrong::TooLong),
            _ => return Reply::Wrong(Wrong::Malformed),
        }
    }
}

/// `None`: the head contradicts itself. A length that is no number of 64 bits is longer than any that is read.
fn framing(status: u16, headers: &[Header<'_>]) -> Option<Framing> {
    if matches!(status, 204 | 304) {
        return Some(Framing::Length(0));
    }
    if let Some(coding) = named(headers, "transfer-encoding").last() {
        // Of a coding that is not chunked last, only the close shows the end.
        let is_chunked =
            tokens(coding.value).last().is_some_and(|token| token.eq_ignore_ascii_case(b"chunked"));
        return Some(if is_chunked { Framing::Chunked } else { Framing::Close });
    }
    let mut lengths = named(headers, "content-length").flat_map(|header| tokens(header.value));
    let Some(first) = lengths.next() else { return Some(Framing::Close) };
    let is_number = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
    let length: u64 = std::str::from_utf8(first).ok()?.parse().unwrap_or(u64::MAX);
    let is_sound = is_number && lengths.all(|other| other == first);
    is_sound.then_some(Framing::Length(length))
}

/// Whether a server would go on, and for how long. `Keep-Alive` has parameters of which two are in use (RFC 2068,
/// section 19.7.1.1): `timeout`, in seconds of idleness, and `max`, how many requests more it would take.
fn keeping(version: Option<u8>, headers: &[Header<'_>]) -> Keeps {
    let parameter = |name: &str| -> Option<u32> {
        let parameters = named(headers, "keep-alive").flat_map(|header| tokens(header.value));
        let mut values = parameters.filter_map(|token| {
            let (key, value) = std::str::from_utf8(token).ok()?.split_once('=')?;
            let is_named = key.trim().eq_ignore_ascii_case(name);
            is_named.then(|| value.trim().trim_matches('"').parse().ok()).flatten()
        });
        values.next()
    };
    Keeps { keeps: keeps(version, headers) && parameter("max") != Some(0), idle_s_max: parameter("timeout") }
}

fn keeps(version: Option<u8>, headers: &[Header<'_>]) -> bool {
    let says = |word: &[u8]| {
        named(headers, "connection")
            .flat_map(|header| tokens(header.value))
            .any(|t| t.eq_ignore_ascii_case(word))
    };
    !says(b"close") && (version == Some(1) || says(b"keep-alive"))
}

fn named<'h, 'b>(headers: &'h [Header<'b>], name: &'h str) -> impl Iterator<Item = &'h Header<'b>> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name))
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests;
