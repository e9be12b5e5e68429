//! From what a file says of a service to what is valid.

use super::file::{
    AnswerFile, CloseFile, ExchangeFile, PoisonChoiceFile, PoisonRequestFile, ReplyFile, RequestFile,
    ServiceFile, StatusFile, VersionFile,
};
use super::template::NotATemplate;
use super::{
    AnswerEnd, Body, Content, Exchange, Exchanges, Origin, PoisonRequest, Reply, Request, Service, Template,
    VersionIn,
};
use crate::file::{At, Problem, integer};
use crate::wire::{CONTENT_BYTES_MAX, LOOKED_BYTES_MAX, Protocol, Search, Statuses};

/// The longest path, in bytes.
const PATH_BYTES_MAX: usize = 8192;
/// The most exchanges on a connection.
const EXCHANGES_MAX: usize = 256;
/// Headers that say how long a body is, which is known already.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

/// Checks what a file says. `protocol`: which it names, if it does.
pub(crate) fn service(
    file: ServiceFile<'_>,
    protocol: Option<Protocol>,
    origin: Origin,
) -> Result<Service, Problem> {
    let opens = protocol == Some(Protocol::WebSocket);
    let request = file.request.filter(|_| !opens).map(|at| at.span.clone());
    let of_http = request.or(file.reply.map(|at| at.span.clone()));
    if let Some(span) = of_http.filter(|_| !protocol.is_none_or(Protocol::is_http)) {
        return Err(Problem::new(span, "only HTTP has requests and replies of this kind")
            .expecting("`protocol = \"http\"` beside it, or [[exchange]]"));
    }
    if let Some(opening) = file.request.filter(|at| opens && !opens_by(&at.value)) {
        return Err(opening
            .problem("a connection of WebSocket is opened by a GET without a body")
            .expecting("`path` and `headers` at most"));
    }
    let has_exchanges = protocol.is_none_or(Protocol::has_exchanges);
    if let Some(first) = file.exchange.first().filter(|_| !has_exchanges) {
        return Err(first
            .problem("exchanges are of bytes, or of messages")
            .expecting("`protocol = \"bytes\"` beside it, or `\"websocket\"`"));
    }
    Ok(Service {
        request: file.request.map(|at| self::request(&at.value, origin)).transpose()?,
        reply: file.reply.map(|at| reply(&at.value)).transpose()?,
        poison: file.poison.and_then(|at| poison(at, protocol, file, origin).transpose()).transpose()?,
        exchanges: exchanges(file)?,
    })
}

/// Whether a request can open a connection of WebSocket.
fn opens_by(file: &RequestFile) -> bool {
    let is_get = file.method.as_ref().is_none_or(|method| method.value == "GET");
    is_get && file.body.is_none() && file.body_file.is_none()
}

fn request(file: &RequestFile, origin: Origin) -> Result<Request, Problem> {
    let body = body(file)?;
    let path = file.path.as_ref();
    Ok(Request {
        method: file
            .method
            .as_ref()
            .map_or_else(|| Ok(if body.is_some() { "POST" } else { "GET" }.to_owned()), checked_method)?,
        target: path.map_or_else(|| Ok(Template::plain("/").unwrap_or_default()), checked_path)?,
        path: path.map_or_else(|| "/".to_owned(), |path| path.value.clone()),
        headers: file.headers.entries.iter().map(header).collect::<Result<_, _>>()?,
        body,
        origin,
    })
}

/// A token (RFC 9110, section 5.6.2). CONNECT asks for a tunnel, which nobody here would use.
fn checked_method(method: &At<String>) -> Result<String, Problem> {
    let is_method =
        !method.value.is_empty() && method.value.bytes().all(is_token) && method.value != "CONNECT";
    if is_method {
        return Ok(method.value.clone());
    }
    Err(method
        .problem(format!("`{}` is no method of a request", method.value))
        .expecting("a method such as GET or POST"))
}

const fn is_token(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
        || byte.is_ascii_alphanumeric()
}

fn checked_path(path: &At<String>) -> Result<Template, Problem> {
    let template = template(path, Template::plain)?;
    let is_path = path.value.starts_with('/') && template.all(|byte| byte.is_ascii_graphic());
    if is_path && path.value.len() <= PATH_BYTES_MAX {
        return Ok(template);
    }
    Err(path
        .problem(format!("`{}` is no path of a request", shown(&path.value)))
        .expecting("something like \"/orders/{n}?try=1\", with blanks and other letters percent-encoded"))
}

fn header((name, value): &(At<String>, At<String>)) -> Result<(String, Template), Problem> {
    if name.value.is_empty() || !name.value.bytes().all(is_token) {
        return Err(name
            .problem(format!("`{}` is no name of a header", shown(&name.value)))
            .expecting("something like Host or X-Request-Id"));
    }
    if FRAMING.iter().any(|framing| name.value.eq_ignore_ascii_case(framing)) {
        return Err(name
            .problem(format!("{} is set by the length of the body", name.value))
            .expecting("no such header"));
    }
    let template = template(value, Template::plain)?;
    if !template.all(is_in_header) {
        return Err(value.problem("a header is one line, without control characters"));
    }
    Ok((name.value.clone(), template))
}

/// What the value of a header may have (RFC 9110, section 5.5).
pub(super) const fn is_in_header(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

fn body(file: &RequestFile) -> Result<Option<Body>, Problem> {
    match (&file.body, &file.body_file) {
        (Some(_), Some(path)) => {
            Err(path.problem("a request has one body").expecting("one of `body`, `body-file`"))
        }
        (Some(body), None) => Ok(Some(Body::Text(template(body, Template::plain)?))),
        (None, Some(path)) if path.value.is_empty() => {
            Err(path.problem("the path is empty").expecting("the path of a file"))
        }
        (None, Some(path)) => Ok(Some(Body::File(path.value.clone()))),
        (None, None) => Ok(None),
    }
}

fn reply(file: &ReplyFile) -> Result<Reply, Problem> {
    let statuses = match &file.status {
        None => vec![Statuses::Class(2)],
        Some(list) if list.value.is_empty() => {
            return Err(list.problem("no status counts as served").expecting(STATUS_EXPECTED));
        }
        Some(list) => list.value.iter().map(status).collect::<Result<_, _>>()?,
    };
    Ok(Reply { statuses, content: content(file)?, version: file.version.as_ref().map(version).transpose()? })
}

const STATUS_EXPECTED: &str = "a list such as [\"2xx\", 404]";

fn status(file: &At<StatusFile>) -> Result<Statuses, Problem> {
    let of_class = |text: &str| {
        let digit = text.strip_suffix("xx")?.parse().ok()?;
        (2..=5).contains(&digit).then_some(Statuses::Class(digit))
    };
    // Those from 100 on are interim: another reply follows.
    let of_number = |number| (200..=599).contains(&number).then_some(Statuses::One(number));
    let (found, given) = match &file.value {
        StatusFile::Number(number) => (u16::try_from(*number).ok().and_then(of_number), number.to_string()),
        StatusFile::Class(text) => {
            (of_class(text).or_else(|| text.parse().ok().and_then(of_number)), format!("\"{}\"", shown(text)))
        }
    };
    found.ok_or_else(|| {
        let problem = file.problem(format!("{given} is no status of a final reply"));
        problem.expecting("a number from 200 to 599, or a class from \"2xx\" to \"5xx\"")
    })
}

fn content(file: &ReplyFile) -> Result<Option<Content>, Problem> {
    let content = match (&file.contains, &file.equals, &file.matches) {
        (None, None, None) => return Ok(None),
        (Some(contains), None, None) => Content::Contains(looked_for(contains)?),
        (None, Some(equals), None) => Content::Equals(looked_for(equals)?),
        (None, None, Some(matches)) => Content::Matches(search(matches)?),
        (contains, equals, matches) => {
            let last = [contains, equals, matches].into_iter().flatten().max_by_key(|at| at.span.start);
            let span = last.map_or(0..0, |at| at.span.clone());
            return Err(Problem::new(span, "the content is compared in one way")
                .expecting("one of `contains`, `matches`, `equals`"));
        }
    };
    Ok(Some(content))
}

fn looked_for(text: &At<String>) -> Result<Template, Problem> {
    let template = template(text, Template::plain)?;
    if template.bytes_min() <= LOOKED_BYTES_MAX {
        return Ok(template);
    }
    let limit = format!("at most {} KiB, as much as is looked at", LOOKED_BYTES_MAX >> 10);
    Err(text.problem("this is too long to be looked for").expecting(limit))
}

fn version(file: &At<VersionFile>) -> Result<VersionIn, Problem> {
    match (&file.value.header, &file.value.matches) {
        (Some(header), None) if !header.value.is_empty() && header.value.bytes().all(is_token) => {
            Ok(VersionIn::Header(header.value.clone()))
        }
        (Some(header), None) => {
            Err(header.problem(format!("`{}` is no name of a header", shown(&header.value))))
        }
        (None, Some(matches)) => {
            let search = search(matches)?;
            if search.groups() == 0 {
                return Err(matches
                    .problem(format!("`{}` has no group that would be the version", shown(&matches.value)))
                    .expecting(r"something like 'v=(\d+)'"));
            }
            Ok(VersionIn::Content(search))
        }
        _ => Err(file
            .problem("a version is named in one way")
            .expecting("one of `header`, such as \"X-Version\", and `matches`, such as 'v=(\\d+)'")),
    }
}

fn search(text: &At<String>) -> Result<Search, Problem> {
    Search::new(&text.value).map_err(|why| {
        text.problem(format!("`{}` is no regular expression: {why}", shown(&text.value)))
            .expecting("an expression in the syntax of the Rust crate regex")
    })
}

/// `None`: a request that makes no sense can crash a worker, or none can.
fn poison(
    file: &At<PoisonChoiceFile>,
    protocol: Option<Protocol>,
    service: ServiceFile<'_>,
    origin: Origin,
) -> Result<Option<PoisonRequest>, Problem> {
    let PoisonChoiceFile::Request(table) = &file.value else { return Ok(None) };
    let is_bytes = table.send.is_some() || table.send_hex.is_some();
    let of_request = of_request(table);
    let is_http = of_request.is_some();
    if is_bytes == is_http {
        return Err(file
            .problem("poison is one request")
            .expecting("`path` and what else a request has, or over bytes `send`"));
    }
    let wanted = if is_bytes { Protocol::Bytes } else { Protocol::Http };
    let is_other = |spoken: Protocol| if is_http { !spoken.is_http() } else { !spoken.has_exchanges() };
    if protocol.is_some_and(is_other) {
        let expected = format!("`protocol = \"{}\"` beside it", wanted.as_str());
        return Err(file.problem("this poison belongs to another protocol").expecting(expected));
    }
    if is_bytes {
        let bytes = sent(table.send.as_ref(), table.send_hex.as_ref())?;
        if bytes.is_empty() {
            return Err(file.problem("this poison is empty").expecting("bytes that crash a worker"));
        }
        return Ok(Some(PoisonRequest::Bytes(bytes)));
    }
    if service.request.is_none() && origin == Origin::Description {
        return Err(file
            .problem("poison of its own belongs to requests of its own")
            .expecting("[request] beside it; whoever answers /square is sent poison there"));
    }
    Ok(Some(PoisonRequest::Http(request(&of_request.unwrap_or_default(), origin)?)))
}

/// The table as one of a request; `None`: it says nothing of one.
fn of_request(table: &PoisonRequestFile) -> Option<RequestFile> {
    let PoisonRequestFile { method, path, headers, body, body_file, send: _, send_hex: _ } = table.clone();
    let is_any = method.is_some()
        || path.is_some()
        || !headers.entries.is_empty()
        || body.is_some()
        || body_file.is_some();
    is_any.then_some(RequestFile { method, path, headers, body, body_file })
}

fn exchanges(file: ServiceFile<'_>) -> Result<Option<Exchanges>, Problem> {
    let Some(first) = file.exchange.first() else {
        return match file.close {
            Some(close) => Err(close
                .problem("who closes is said of exchanges")
                .expecting("[[exchange]] beside it; over HTTP the header Connection says it")),
            None => Ok(None),
        };
    };
    if file.exchange.len() > EXCHANGES_MAX {
        let problem = first.problem(format!("{} exchanges are too many", file.exchange.len()));
        return Err(problem.expecting(format!("at most {EXCHANGES_MAX}")));
    }
    let all = file.exchange.iter().map(exchange).collect::<Result<_, _>>()?;
    let once = once(file.exchange)?;
    let server_closes = file.close.is_some_and(|close| close.value == CloseFile::Server);
    Ok(Some(Exchanges { all, once, server_closes }))
}

/// How many exchanges are made once on each connection: those that say so, and before them what the server says first.
fn once(files: &[At<ExchangeFile>]) -> Result<usize, Problem> {
    let says =
        |file: &At<ExchangeFile>, word: bool| file.value.once.as_ref().is_some_and(|once| once.value == word);
    let is_empty = |text: &Option<At<String>>| text.as_ref().is_none_or(|text| text.value.is_empty());
    let is_silent = |file: &At<ExchangeFile>| is_empty(&file.value.send) && is_empty(&file.value.send_hex);
    let is_first = |file: &&At<ExchangeFile>| says(file, true) || is_silent(file) && !says(file, false);
    let leading = files.iter().take_while(is_first).count();
    if let Some(late) =
        files[leading..].iter().find_map(|file| file.value.once.as_ref().filter(|once| once.value))
    {
        return Err(late
            .problem("this comes behind what is made anew for each request")
            .expecting("`once` for the first exchanges only"));
    }
    match files.last() {
        // Where nothing is sent, there is nothing to make anew.
        Some(last) if leading == files.len() && says(last, true) => Err(last
            .problem("a session has nothing to make anew")
            .expecting("an exchange without `once` behind it")),
        Some(_) if leading == files.len() => Ok(0),
        Some(_) | None => Ok(leading),
    }
}

fn exchange(file: &At<ExchangeFile>) -> Result<Exchange, Problem> {
    let ExchangeFile { send, send_hex, expect, once: _ } = &file.value;
    let AnswerFile { equals, equals_hex, starts_with, starts_with_hex, until, until_hex, matches, bytes } =
        &expect.value;
    let equals = either(equals.as_ref(), equals_hex.as_ref())?;
    let until = either(until.as_ref(), until_hex.as_ref())?;
    let bytes_max = i64::try_from(CONTENT_BYTES_MAX).unwrap_or(i64::MAX);
    let bytes = integer("bytes", bytes.as_ref(), 1..=bytes_max)?;
    let end = match (equals, until, bytes) {
        (Some(equals), None, None) => AnswerEnd::Equals(equals),
        (None, Some(until), None) => AnswerEnd::Until(until),
        (None, None, Some(bytes)) => AnswerEnd::Bytes(bytes),
        (None, None, None) => AnswerEnd::WhenRight,
        _ => {
            return Err(expect
                .problem("an answer ends in one way")
                .expecting("one of `equals`, `until`, `bytes`"));
        }
    };
    let starts_with = either(starts_with.as_ref(), starts_with_hex.as_ref())?;
    let matches = matches.as_ref().map(search).transpose()?;
    if end == AnswerEnd::WhenRight && starts_with.is_none() && matches.is_none() {
        return Err(expect
            .problem("nothing is expected here")
            .expecting("one of `equals`, `until`, `bytes`, `starts-with`, `matches`"));
    }
    Ok(Exchange { send: sent(send.as_ref(), send_hex.as_ref())?, end, starts_with, matches })
}

/// What is sent; nothing, where neither is given.
fn sent(text: Option<&At<String>>, hex: Option<&At<String>>) -> Result<Template, Problem> {
    match (text, hex) {
        (Some(_), Some(hex)) => Err(one_way(hex)),
        (Some(text), None) => template(text, Template::escaped),
        (None, Some(hex)) => template(hex, Template::hex),
        (None, None) => Ok(Template::default()),
    }
}

/// What is waited for, which is something where it is given.
fn either(text: Option<&At<String>>, hex: Option<&At<String>>) -> Result<Option<Template>, Problem> {
    let Some(given) = text.or(hex) else { return Ok(None) };
    let template = sent(text, hex)?;
    if template.is_empty() {
        return Err(given.problem("this is empty").expecting("some bytes to wait for"));
    }
    Ok(Some(template))
}

fn one_way(hex: &At<String>) -> Problem {
    hex.problem("bytes are written in one way").expecting("text, or hexadecimal, and not both")
}

fn template(
    text: &At<String>,
    read: impl Fn(&str) -> Result<Template, NotATemplate>,
) -> Result<Template, Problem> {
    read(&text.value).map_err(|why| text.problem(why.to_string()))
}

/// The beginning of what may be long.
fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}
