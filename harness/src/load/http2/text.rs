//! Requests from the text of HTTP/1.1, and replies into it.

use std::io::Write;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use httparse::{EMPTY_HEADER, Status};

/// The most headers of a request: as many as a description may have, and ours.
const HEADERS_MAX: usize = 1024;
/// Headers of one connection, which a stream has not (RFC 9113, section 8.2.2).
const OF_CONNECTIONS: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// A request, and how long its body is.
pub(super) struct Asked {
    pub(super) request: Request<()>,
    pub(super) body_bytes: u64,
}

/// How many of these bytes belong to a head that began with `head`; `None`: it does not end in them.
pub(super) fn end_of_head(head: &[u8], more: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    let from = head.len().saturating_sub(END.len() - 1);
    let seam = [&head[from..], &more[..more.len().min(END.len() - 1)]].concat();
    let at_seam = seam.windows(END.len()).position(|window| window == END).map(|at| from + at + END.len());
    at_seam
        .map(|end| end - head.len())
        .or_else(|| more.windows(END.len()).position(|window| window == END).map(|at| at + END.len()))
}

/// Reads a head. `None`: it is none, which a description does not let through.
pub(super) fn asked(head: &[u8], is_secured: bool) -> Option<Asked> {
    let mut headers = vec![EMPTY_HEADER; HEADERS_MAX];
    let mut read = httparse::Request::new(&mut headers);
    let Ok(Status::Complete(_)) = read.parse(head) else { return None };
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(read.method?.as_bytes()).ok()?;
    let mut authority = None;
    for header in read.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(header.value).ok()?;
        match name {
            HOST => authority = Authority::try_from(header.value).ok(),
            name if OF_CONNECTIONS.contains(&name.as_str()) => {}
            name => {
                request.headers_mut().append(name, value);
            }
        }
    }
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if is_secured { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(authority.unwrap_or(Authority::from_static("localhost")));
    parts.path_and_query = Some(PathAndQuery::try_from(read.path?).ok()?);
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    let body_bytes = length(request.headers()).unwrap_or(0);
    Some(Asked { request, body_bytes })
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether a body belongs to a reply (RFC 9110, section 6.4.1).
pub(super) fn has_body(method: &Method, status: StatusCode) -> bool {
    *method != Method::HEAD && status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED
}

/// Writes a head. `is_last`: the server takes up nothing more on this connection.
pub(super) fn put_head(
    status: StatusCode,
    headers: &HeaderMap,
    has_body: bool,
    is_last: bool,
    into: &mut Vec<u8>,
) {
    into.extend_from_slice(b"HTTP/1.1 ");
    into.extend_from_slice(status.as_str().as_bytes());
    into.extend_from_slice(b" \r\n");
    for (name, value) in headers {
        if *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING || *name == CONNECTION {
            continue;
        }
        into.extend_from_slice(name.as_str().as_bytes());
        into.extend_from_slice(b": ");
        into.extend_from_slice(value.as_bytes());
        into.extend_from_slice(b"\r\n");
    }
    if is_last {
        into.extend_from_slice(b"connection: close\r\n");
    }
    if has_body {
        into.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    into.extend_from_slice(b"\r\n");
}

/// Writes a piece of a body; an empty one ends it.
pub(super) fn put_chunk(data: &[u8], into: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = write!(into, "{:x}\r\n", data.len());
    into.extend_from_slice(data);
    into.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_wherever_it_is_cut() {
        let text = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nbody";
        for cut in 0..text.len() {
            let (head, more) = text.split_at(cut);
            let expected = (cut < 27).then(|| 27 - cut);
            assert_eq!(end_of_head(head, more), expected, "{cut}");
        }
        assert_eq!(end_of_head(b"", b"GET / HTTP/1.1\r\n"), None);
    }

    #[test]
    fn what_belongs_to_a_connection_is_not_said_on_a_stream() {
        let head = b"POST /a?n=7 HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\nX-A: b\r\nContent-Length: 9\r\n\r\n";
        let Asked { request, body_bytes } = asked(head, true).expect("a request");
        assert_eq!((request.uri().to_string().as_str(), body_bytes), ("https://shop.test/a?n=7", 9));
        let names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-a", "content-length"]);
        assert!(asked(b"nonsense\r\n\r\n", false).is_none());
    }

    #[test]
    fn replies_are_told_in_chunks() {
        let mut text = Vec::new();
        let headers = [(CONTENT_LENGTH, HeaderValue::from_static("3"))].into_iter().collect();
        put_head(StatusCode::OK, &headers, true, true, &mut text);
        put_chunk(b"abc", &mut text);
        put_chunk(b"", &mut text);
        assert_eq!(
            String::from_utf8_lossy(&text),
            "HTTP/1.1 200 \r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        );
    }
}
