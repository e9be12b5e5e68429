//! A service's own requests over HTTP/1.1, and what counts as their reply.

use super::super::body::{Body, Taken};
use super::super::rest::{EXCERPT_BYTES_MAX, Heard, Keeps, Rest, Start, Wrong, heard};
use super::super::script::{
    Content, HttpReply, HttpRequest, HttpScript, INLINE_BYTES_MAX, LOOKED_BYTES_MAX, VersionIn, version_of,
};
use super::super::speak::Ask;
use super::super::text::{Fit, Number, Text};
use super::{Asks, HEAD_BYTES_MAX, Headed, Reply, connection, parse};

/// So many times the content is read that is looked at, since chunks have sizes.
const FRAMING_FACTOR: usize = 4;

/// How a reply's content and what it must be go together.
enum Match {
    Yes,
    No,
    /// As far as it is looked at, it is not there; it may stand behind that.
    NotYet,
}

pub(super) fn reply_bytes_max(script: &HttpScript) -> usize {
    let looked = if script.reply.looks() { FRAMING_FACTOR * LOOKED_BYTES_MAX } else { HEAD_BYTES_MAX };
    HEAD_BYTES_MAX + looked
}

/// The request that is meant.
fn request<'a>(ask: &Ask, script: &'a HttpScript) -> &'a HttpRequest {
    ask.poison.and(script.poison.as_ref()).unwrap_or(&script.request)
}

pub(super) fn encode(ask: &Ask, script: &HttpScript, into: &mut Vec<u8>) {
    let (request, number) = (request(ask, script), ask.number());
    into.extend_from_slice(request.method.as_bytes());
    into.push(b' ');
    request.target.put(&number, into);
    into.extend_from_slice(b" HTTP/1.1");
    for (name, value) in &request.headers {
        into.extend_from_slice(b"\r\n");
        into.extend_from_slice(name.as_bytes());
        into.extend_from_slice(b": ");
        value.put(&number, into);
    }
    let has = |name: &str| request.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    if !has("host") {
        into.extend_from_slice(b"\r\nHost: localhost");
    }
    if !has("connection") {
        into.extend_from_slice(b"\r\nConnection: ");
        into.extend_from_slice(connection(ask.keeps).as_bytes());
    }
    if let Some(body) = &request.body {
        into.extend_from_slice(b"\r\nContent-Length: ");
        into.extend_from_slice(itoa::Buffer::new().format(body.length(&number)).as_bytes());
    }
    into.extend_from_slice(b"\r\n\r\n");
    if let Some(body) = request.body.as_ref().filter(|body| is_short(body, &number)) {
        body.put(&number, into);
    }
}

pub(super) fn body<'a>(ask: &Ask, script: &'a HttpScript) -> Option<&'a Text> {
    request(ask, script).body.as_ref().filter(|body| !is_short(body, &ask.number()))
}

fn is_short(body: &Text, number: &Number) -> bool {
    body.length(number) <= INLINE_BYTES_MAX
}

pub(super) fn judge(ask: &Ask, script: &HttpScript, reply: &[u8], at_end: bool) -> Heard {
    let version = match &script.reply.version {
        Some(VersionIn::Header(name)) => Some(name.as_str()),
        Some(VersionIn::Content(_)) | None => None,
    };
    let head_alone = request(ask, script).method == "HEAD";
    match parse(reply, Asks { head_alone, version }) {
        Reply::Part => Heard::Part,
        Reply::Wrong(why) => Heard::Wrong(why),
        Reply::Headed(headed) if !script.reply.asks_for(headed.status) => {
            let verdict = Err(Wrong::Status(headed.status));
            judge_content::<EXCERPT_BYTES_MAX>(&headed, at_end, |_, _| verdict)
        }
        Reply::Headed(headed) if script.reply.looks() => {
            let number = ask.number();
            judge_content::<LOOKED_BYTES_MAX>(&headed, at_end, |content, is_all| {
                verdict(&script.reply, &headed, content, is_all, &number)
            })
        }
        Reply::Headed(headed) => {
            judge_content::<EXCERPT_BYTES_MAX>(&headed, at_end, |_, _| Ok(headed.version))
        }
    }
}

/// Judges a reply by the first bytes of its content, once these are there. `verdict` is also told whether they
/// are all of it.
fn judge_content<const LOOKED: usize>(
    headed: &Headed<'_>,
    at_end: bool,
    verdict: impl Fn(&[u8], bool) -> Result<u16, Wrong>,
) -> Heard {
    let mut body = Body::new(headed.framing);
    let mut start = Start::<LOOKED>::of(&[]);
    let taken = body.take(headed.behind, |some| start.put(some));
    let is_all = body.content_bytes() <= LOOKED as u64;
    match taken {
        Taken::Malformed => Heard::Wrong(Wrong::Malformed),
        Taken::TooLong => Heard::Wrong(Wrong::TooLong),
        Taken::End(count) => {
            heard(verdict(start.as_bytes(), is_all), headed.head_bytes + count, headed.keeps)
        }
        Taken::All if at_end && body.ends_by_close() => {
            heard(verdict(start.as_bytes(), is_all), headed.head_bytes + headed.behind.len(), Keeps::NEVER)
        }
        // More may come, so that what is there is not all.
        Taken::All if start.is_full() && !at_end => match verdict(start.as_bytes(), false) {
            Err(Wrong::TooLong) => Heard::Wrong(Wrong::TooLong),
            verdict => Heard::Long(Rest::new(body, verdict, headed.keeps)),
        },
        Taken::All => Heard::Part,
    }
}

/// The version that a right reply names, or why it is wrong.
fn verdict(
    reply: &HttpReply,
    headed: &Headed<'_>,
    content: &[u8],
    is_all: bool,
    number: &Number,
) -> Result<u16, Wrong> {
    let found = reply.content.as_ref().map_or(Match::Yes, |wanted| matches(wanted, content, is_all, number));
    match found {
        Match::No => return Err(Wrong::Answer),
        // That no more is looked at is not the server's doing.
        Match::NotYet => return Err(Wrong::TooLong),
        Match::Yes => {}
    }
    Ok(match &reply.version {
        Some(VersionIn::Content(search)) => search.first_group(content).map_or(0, version_of),
        Some(VersionIn::Header(_)) | None => headed.version,
    })
}

fn matches(wanted: &Content, content: &[u8], is_all: bool, number: &Number) -> Match {
    let (is_there, may_follow) = match wanted {
        Content::Equals(text) => (is_all && text.begins(content, number) == Fit::Whole(content.len()), false),
        Content::Contains(text) => (text.end_in(content, number).is_some(), true),
        Content::Matches(search) => (search.is_in(content), true),
    };
    match (is_there, may_follow && !is_all) {
        (true, _) => Match::Yes,
        (false, true) => Match::NotYet,
        (false, false) => Match::No,
    }
}

#[cfg(test)]
mod tests;
