//! The square protocol over HTTP/1.1, as far as holdline needs it: `/square?n=7`, and the line as the body.
//!
//! What a server may send is bounded and never trusted: a reply that is malformed, too long, or not
//! what was asked for is a wrong reply, and one that ends too early is truncated.

use std::borrow::Cow;

use httparse::{EMPTY_HEADER, Header, Response, Status};
use percent_encoding::percent_decode;

use super::reply::judge_line;
use super::request::Request;
use super::speak::{Ask, Asked, Can, Head, Heard, Right, Speak, Wrong};

/// The longest head of a request that a worker reads, in bytes.
const REQUEST_BYTES_MAX: usize = 8192;
/// Where workers serve squares; what is asked for stands behind it.
const TARGET: &str = "/square?n=";
/// The longest head that the client reads, in bytes; as much as most servers allow.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// The longest body that the client reads, in bytes, framing of chunks included. A square reply has
/// some hundred.
const BODY_BYTES_MAX: usize = 16 << 10;
/// The most headers of a head.
const HEADERS_MAX: usize = 64;

/// The most headers of a request: proxies in between add some.
const REQUEST_HEADERS_MAX: usize = 128;

/// The protocol.
pub(super) struct Http;

impl Speak for Http {
    const CAN: Can = Can { poison: true, body: true, say_last: true };
    const REPLY_BYTES_MAX: usize = HEAD_BYTES_MAX + BODY_BYTES_MAX;
    const REQUEST_BYTES_MAX: usize = REQUEST_BYTES_MAX;

    fn encode(ask: &Ask, into: &mut Vec<u8>) {
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

    fn judge(ask: &Ask, reply: &[u8], at_end: bool) -> Heard {
        let Whole { status, body, bytes, keeps } = match parse(reply, at_end) {
            Reply::Part => return Heard::Part,
            Reply::Malformed => return Heard::Wrong(Wrong::Malformed),
            Reply::Whole(whole) => whole,
        };
        if !(200..300).contains(&status) {
            return Heard::Wrong(Wrong::Status(status));
        }
        body.with(|body| match judge_line(body, ask.request()) {
            Some(version) => Heard::Right(Right { bytes, version, keeps }),
            // Where the close ends the body, half of a line is no wrong one.
            None if at_end && !body.ends_with(b"\n") => Heard::Part,
            None => Heard::Wrong(Wrong::Answer),
        })
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

/// What has come of a reply.
#[derive(Debug, PartialEq, Eq)]
enum Reply<'a> {
    /// Less than all of it.
    Part,
    /// Something that is no reply, or too long for one.
    Malformed,
    /// All of it.
    Whole(Whole<'a>),
}

/// A complete reply.
#[derive(Debug, PartialEq, Eq)]
struct Whole<'a> {
    /// The status code.
    status: u16,
    /// The body.
    body: Body<'a>,
    /// How many bytes head and body take together.
    bytes: usize,
    /// Whether the server would go on over the same connection.
    keeps: bool,
}

/// A complete body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body<'a> {
    Plain(&'a [u8]),
    /// In so many bytes of chunks, with their framing.
    Chunked(&'a [u8]),
}

impl Body<'_> {
    /// Hands over the body without its framing.
    fn with<T>(self, look: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Plain(body) => look(body),
            Self::Chunked(chunks) => {
                let (mut buffer, mut length) = ([0; BODY_BYTES_MAX], 0);
                // They have been found to be complete and no longer than that.
                let _ = unchunk(chunks, |chunk| {
                    buffer[length..length + chunk.len()].copy_from_slice(chunk);
                    length += chunk.len();
                });
                look(&buffer[..length])
            }
        }
    }
}

/// Reads a reply. `at_end`: nothing more will come.
fn parse(bytes: &[u8], at_end: bool) -> Reply<'_> {
    let mut from = 0;
    loop {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut response = Response::new(&mut headers);
        let head_bytes = match response.parse(&bytes[from..]) {
            Ok(Status::Complete(head_bytes)) if head_bytes <= HEAD_BYTES_MAX => head_bytes,
            Ok(Status::Partial) if bytes.len() - from < HEAD_BYTES_MAX => return Reply::Part,
            _ => return Reply::Malformed,
        };
        let status = response.code.unwrap_or(0);
        let body_from = from + head_bytes;
        match status {
            // Nobody asked to switch protocols.
            101 => return Reply::Malformed,
            // Interim replies come before the one that counts; as many as fit into a head may.
            100..200 if body_from <= HEAD_BYTES_MAX => from = body_from,
            200..1000 => {
                let keeps = keeps(response.version, response.headers);
                return match framing(status, response.headers) {
                    Some(framing) => whole(bytes, body_from, framing, at_end, status, keeps),
                    None => Reply::Malformed,
                };
            }
            _ => return Reply::Malformed,
        }
    }
}

/// How a body shows its end (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    /// By the end of the connection.
    Close,
}

/// `None`: the head contradicts itself, or promises more than is read.
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
    let length: usize = std::str::from_utf8(first).ok()?.parse().ok()?;
    let is_sound = is_number && lengths.all(|other| other == first) && length <= BODY_BYTES_MAX;
    is_sound.then_some(Framing::Length(length))
}

fn keeps(version: Option<u8>, headers: &[Header<'_>]) -> bool {
    let says = |word: &[u8]| {
        named(headers, "connection")
            .flat_map(|header| tokens(header.value))
            .any(|t| t.eq_ignore_ascii_case(word))
    };
    !says(b"close") && (version == Some(1) || says(b"keep-alive"))
}

fn named<'a>(headers: &'a [Header<'a>], name: &'a str) -> impl Iterator<Item = &'a Header<'a>> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name))
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn whole(bytes: &[u8], from: usize, framing: Framing, at_end: bool, status: u16, keeps: bool) -> Reply<'_> {
    let rest = &bytes[from..];
    let (body, length, keeps) = match framing {
        Framing::Length(length) if rest.len() < length => return Reply::Part,
        Framing::Length(length) => (Body::Plain(&rest[..length]), length, keeps),
        Framing::Close if rest.len() > BODY_BYTES_MAX => return Reply::Malformed,
        Framing::Close if at_end => (Body::Plain(rest), rest.len(), false),
        Framing::Close => return Reply::Part,
        Framing::Chunked => match unchunk(rest, |_| {}) {
            Ok(Some(length)) if length <= BODY_BYTES_MAX => (Body::Chunked(&rest[..length]), length, keeps),
            Ok(None) if rest.len() < BODY_BYTES_MAX => return Reply::Part,
            _ => return Reply::Malformed,
        },
    };
    Reply::Whole(Whole { status, body, bytes: from + length, keeps })
}

/// Hands out chunk after chunk, and says how many bytes they take. `Ok(None)`: some are missing.
fn unchunk(bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<Option<usize>, httparse::InvalidChunkSize> {
    let mut from = 0;
    loop {
        let Status::Complete((start, length)) = httparse::parse_chunk_size(&bytes[from..])? else {
            return Ok(None);
        };
        from += start;
        if length == 0 {
            return Ok(end_of_trailers(&bytes[from..]).map(|end| from + end));
        }
        // A chunk that is longer than anything that is read never becomes complete.
        let Some(end) = usize::try_from(length).ok().and_then(|length| from.checked_add(length)) else {
            return Err(httparse::InvalidChunkSize);
        };
        match bytes.get(from..end) {
            Some(chunk) => each(chunk),
            None if end > BODY_BYTES_MAX => return Err(httparse::InvalidChunkSize),
            None => return Ok(None),
        }
        match bytes.get(end..end + 2) {
            Some(b"\r\n") => from = end + 2,
            Some(_) => return Err(httparse::InvalidChunkSize),
            None => return Ok(None),
        }
    }
}

/// Where the trailers behind the last chunk end; there are none most of the time.
fn end_of_trailers(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"\r\n") {
        return Some(2);
    }
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

#[cfg(test)]
mod tests;
