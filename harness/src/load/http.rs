//! HTTP/1.1 as far as the load client needs it: requests as text, and replies as they come in.
//!
//! What a server may send is bounded and never trusted: a reply that is malformed, too long, or not
//! what was asked for is a wrong reply, and one that ends too early is truncated.

use std::borrow::Cow;

use httparse::{EMPTY_HEADER, Header, Response, Status};

/// The longest head that the client reads, in bytes; as much as most servers allow.
pub(super) const HEAD_BYTES_MAX: usize = 16 << 10;
/// The longest body that the client reads, in bytes, framing of chunks included. A square reply has
/// some hundred.
pub(super) const BODY_BYTES_MAX: usize = 16 << 10;
/// The most headers of a head.
const HEADERS_MAX: usize = 64;

/// What has come of a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply<'a> {
    /// Less than all of it.
    Part,
    /// Something that is no reply, or too long for one.
    Malformed,
    /// All of it.
    Whole(Whole<'a>),
}

/// A complete reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whole<'a> {
    /// The status code.
    pub(super) status: u16,
    /// The body, without its framing.
    pub(super) body: Cow<'a, [u8]>,
    /// How many bytes head and body take together.
    pub(super) bytes: usize,
    /// Whether the server would go on over the same connection.
    pub(super) keeps: bool,
}

/// The head of a request for the square of `number`, which may be poison. With `body_bytes`, a body of
/// that length is to follow.
pub(super) fn request(number: &str, body_bytes: u32, keeps: bool) -> Vec<u8> {
    let connection = if keeps { "keep-alive" } else { "close" };
    let (method, length) = match body_bytes {
        0 => ("GET", String::new()),
        length => ("POST", format!("Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n")),
    };
    format!(
        "{method} /square?n={number} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n{length}\r\n"
    )
    .into_bytes()
}

/// Reads a reply. `at_end`: nothing more will come.
pub(super) fn parse(bytes: &[u8], at_end: bool) -> Reply<'_> {
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
        Framing::Length(length) => (Cow::Borrowed(&rest[..length]), length, keeps),
        Framing::Close if rest.len() > BODY_BYTES_MAX => return Reply::Malformed,
        Framing::Close if at_end => (Cow::Borrowed(rest), rest.len(), false),
        Framing::Close => return Reply::Part,
        Framing::Chunked => match unchunked(rest) {
            Ok(Some((body, length))) => (Cow::Owned(body), length, keeps),
            Ok(None) if rest.len() < BODY_BYTES_MAX => return Reply::Part,
            _ => return Reply::Malformed,
        },
    };
    Reply::Whole(Whole { status, body, bytes: from + length, keeps })
}

/// The body that these chunks make, and how many bytes they take. `Ok(None)`: some are missing.
fn unchunked(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, httparse::InvalidChunkSize> {
    let mut body = Vec::new();
    let mut from = 0;
    loop {
        let Status::Complete((start, length)) = httparse::parse_chunk_size(&bytes[from..])? else {
            return Ok(None);
        };
        from += start;
        if length == 0 {
            return Ok(end_of_trailers(&bytes[from..]).map(|end| (body, from + end)));
        }
        // A chunk that is longer than anything that is read never becomes complete.
        let Some(end) = usize::try_from(length).ok().and_then(|length| from.checked_add(length)) else {
            return Err(httparse::InvalidChunkSize);
        };
        match bytes.get(from..end) {
            Some(chunk) => body.extend_from_slice(chunk),
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\n";

    #[track_caller]
    fn whole_of(text: &str, at_end: bool) -> (u16, String, usize, bool) {
        match parse(text.as_bytes(), at_end) {
            Reply::Whole(Whole { status, body, bytes, keeps }) => {
                (status, String::from_utf8(body.into_owned()).expect("text"), bytes, keeps)
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[track_caller]
    fn check(headers: &str, body: &str, expected: &str, keeps: bool) {
        let text = format!("{HEAD}{headers}\r\n{body}");
        assert_eq!(whole_of(&text, false), (200, expected.to_owned(), text.len(), keeps), "{text}");
        // What follows belongs to something else, and any part of it is a part.
        let longer = format!("{text}HTTP");
        assert_eq!(whole_of(&longer, false).2, text.len());
        for end in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..end], false), Reply::Part, "{end} of {text}");
        }
    }

    #[test]
    fn bodies_end_as_their_heads_say() {
        check("Content-Length: 7\r\n", "7*7=49\n", "7*7=49\n", true);
        check("content-length:7\r\nContent-Length: 7\r\n", "7*7=49\n", "7*7=49\n", true);
        check("Content-Length: 0\r\nConnection: x, Close\r\n", "", "", false);
        check("Transfer-Encoding: chunked\r\n", "3\r\n7*7\r\n4;x=y\r\n=49\n\r\n0\r\n\r\n", "7*7=49\n", true);
        check("Transfer-Encoding: gzip, Chunked\r\n", "1\r\n7\r\n0\r\nA: b\r\nC: d\r\n\r\n", "7", true);
        // Chunks count, whatever length is named besides (RFC 9112, section 6.3).
        check("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "1\r\n7\r\n0\r\n\r\n", "7", true);
    }

    #[test]
    fn without_a_length_the_close_ends_the_body() {
        let text = format!("{HEAD}X: y\r\n\r\n7*7=49\n");
        assert_eq!(parse(text.as_bytes(), false), Reply::Part);
        assert_eq!(whole_of(&text, true), (200, "7*7=49\n".to_owned(), text.len(), false));
        assert_eq!(parse(format!("{HEAD}X: y").as_bytes(), true), Reply::Part);
        let endless = format!("{HEAD}\r\n{}", "7".repeat(BODY_BYTES_MAX + 1));
        assert_eq!(parse(endless.as_bytes(), false), Reply::Malformed);
    }

    #[test]
    fn old_servers_close_unless_they_say_otherwise() {
        let of = |headers: &str| {
            whole_of(&format!("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n{headers}\r\n"), false).3
        };
        assert!(!of(""));
        assert!(of("Connection: Keep-Alive\r\n"));
    }

    #[test]
    fn interim_replies_are_passed_over() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(whole_of(text, false), (404, String::new(), text.len(), true));
        assert_eq!(parse(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", false), Reply::Malformed);
        let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(2_000);
        assert_eq!(parse(endless.as_bytes(), false), Reply::Malformed);
        assert_eq!(whole_of("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", false).1, "");
    }

    #[test]
    fn hostile_heads_are_malformed() {
        let many = "X: y\r\n".repeat(HEADERS_MAX + 1);
        let long = format!("X: {}\r\n", "y".repeat(HEAD_BYTES_MAX));
        let huge = (BODY_BYTES_MAX + 1).to_string();
        for headers in [
            many.as_str(),
            &long,
            "Content-Length: -1\r\n",
            "Content-Length: +7\r\n",
            "Content-Length: seven\r\n",
            "Content-Length:\r\n",
            "Content-Length: 7\r\nContent-Length: 8\r\n",
            "Content-Length: 7, 8\r\n",
            "Content-Length: 99999999999999999999999\r\n",
            &format!("Content-Length: {huge}\r\n"),
            "no colon\r\n",
        ] {
            let text = format!("{HEAD}{headers}\r\n7*7=49\n");
            assert_eq!(parse(text.as_bytes(), false), Reply::Malformed, "{headers:.60}");
        }
        for start in
            ["7*7=49\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n", "\0"]
        {
            assert_eq!(parse(start.as_bytes(), false), Reply::Malformed, "{start}");
        }
        // A head that never ends is not waited for.
        let endless = format!("{HEAD}X: {}", "y".repeat(HEAD_BYTES_MAX));
        assert_eq!(parse(endless.as_bytes(), false), Reply::Malformed);
    }

    #[test]
    fn hostile_chunks_are_malformed() {
        let huge = format!("{:x}\r\n", BODY_BYTES_MAX + 1);
        let endless = "1\r\n7\r\n".repeat(BODY_BYTES_MAX);
        for chunks in
            ["x\r\n", "1\r\n77\r\n", "ffffffffffffffff\r\n7", "fffffffffffffffff\r\n", &huge, &endless]
        {
            let text = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{chunks}");
            assert_eq!(parse(text.as_bytes(), false), Reply::Malformed, "{chunks:.40}");
        }
    }

    #[test]
    fn requests_say_whether_they_go_on_and_what_follows() {
        let text = |body, keeps| String::from_utf8(request("7", body, keeps)).expect("text");
        let get = text(0, true);
        assert!(get.starts_with("GET /square?n=7 HTTP/1.1\r\nHost: ") && get.ends_with("\r\n\r\n"), "{get}");
        assert!(get.contains("Connection: keep-alive\r\n") && !get.contains("Content-Length"), "{get}");
        let post = text(65_536, false);
        assert!(post.starts_with("POST ") && post.contains("Content-Length: 65536\r\n"), "{post}");
        assert!(post.contains("Connection: close\r\n"), "{post}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, at_end: bool) {
            let _ = parse(&bytes, at_end);
        }

        #[test]
        fn damaged_replies_are_read_or_refused(
            at in 0..200_usize, junk in proptest::collection::vec(any::<u8>(), 0..6), at_end: bool,
        ) {
            let text = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\n7*7\r\n4\r\n=49\n\r\n0\r\n\r\n");
            let mut bytes = text.into_bytes();
            let at = at.min(bytes.len());
            bytes.splice(at..(at + 1).min(bytes.len()), junk);
            if let Reply::Whole(whole) = parse(&bytes, at_end) {
                prop_assert!(whole.bytes <= bytes.len());
            }
        }
    }
}
