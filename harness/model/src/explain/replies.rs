//! Replies that were not the answer, how servers ended connections, and paths that were not there.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use super::said::{Said, count};
use super::story::Story;
use crate::ledger::Attempt;
use crate::record::{ClientRecord, Listener, Outcome};
use crate::told::Phrase;
use crate::wire::{CONTENT_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX};
use crate::words::{Blame, Fate};

/// What servers and gateways turned away or failed at, by the status that they gave.
pub(super) fn error_replies(story: &Story<'_>) -> Vec<Said> {
    let mut by_status: BTreeMap<u16, Vec<&ClientRecord>> = BTreeMap::new();
    for (_, record) in story.lost(Blame::Collateral, Some(Fate::ErrorReply)) {
        if let Some(status) = record.outcome.status() {
            by_status.entry(status).or_default().push(record);
        }
    }
    let said = |(status, lost): (u16, Vec<&ClientRecord>)| {
        Said::quoting(count(lost.len() as u64, format!(" got status {status}")), story, &lost)
    };
    by_status.into_iter().map(said).collect()
}

pub(super) fn wrong_replies(story: &Story<'_>) -> Option<Said> {
    let wrong: Vec<&ClientRecord> =
        story.lost(Blame::Collateral, Some(Fate::WrongReply)).into_iter().map(|(_, record)| record).collect();
    let said = count(wrong.len() as u64, " got a reply that was not the answer to what they asked");
    let said = Said::quoting(said, story, &wrong);
    let is_alert = |record: &&ClientRecord| story.records.said.get(record.said).is_some_and(is_tls_alert);
    let hint = if wrong.iter().any(is_alert) { TLS_HINT } else { "" };
    (!wrong.is_empty()).then(|| said.then(Phrase::new(hint)))
}

/// What to do about a service that answers a plain request by an alert.
const TLS_HINT: &str = "; that is an alert of TLS: the service speaks it, and was asked without (write `[tls]` into its \
                        description)";

/// Whether bytes begin as an alert of TLS does (RFC 8446, section 5.1): kind 21, major version 3.
fn is_tls_alert(bytes: &[u8]) -> bool {
    bytes.starts_with(&[21, 3])
}

/// Replies of which the load client did not read the end.
pub(super) fn too_long(story: &Story<'_>) -> Option<Phrase> {
    let longer =
        story.records.client.iter().filter(|record| record.outcome == Outcome::TooLong).count() as u64;
    let (mib, kib) = (CONTENT_BYTES_MAX >> 20, HEAD_BYTES_MAX >> 10);
    let limits = format!("{mib} MiB of content, a head of {kib} KiB or {HEADERS_MAX} headers");
    let text = format!(" got a reply longer than what is read ({limits}): whether it was right is not known");
    (longer > 0).then(|| count(longer, text))
}

/// Requests that could not be sent to their end, although the reply came.
pub(super) fn send_failed(story: &Story<'_>) -> Option<Phrase> {
    let failed = story.records.client.iter().filter(|record| record.was_answered_unsent()).count() as u64;
    let text = " sent into a connection that the server had closed with the request unread: the reply came, but the send \
                failed; clients that do not read after a failed send lose it";
    (failed > 0).then(|| count(failed, text))
}

/// Servers that ended their side early, and read on.
/// Of requests that were sent at once, how many got no answer.
pub(super) fn unanswered(lost: &[&ClientRecord]) -> Phrase {
    let sum = |of: fn(&ClientRecord) -> u16| lost.iter().map(|record| u64::from(of(record))).sum::<u64>();
    let sent = sum(|record| record.requests_pipelined);
    let answered = sum(|record| record.requests_answered.min(record.requests_pipelined));
    match sent {
        0 => Phrase::default(),
        _ => {
            let head = Phrase::new("; ").count(sent - answered).text(" of ").count(sent);
            head.text(" requests that were sent at once got no answer")
        }
    }
}

/// What a pool sent once more: no loss, unless it was lost the second time, but perhaps done twice.
pub(super) fn sent_twice(story: &Story<'_>) -> Option<Phrase> {
    let retried = |record: &&ClientRecord| record.was_retried();
    let twice = story.records.client.iter().filter(retried).count() as u64;
    let text =
        " sent once more over a fresh connection, since one that others had used before ended under way";
    (twice > 0).then(|| count(twice, text))
}

pub(super) fn half_closed(story: &Story<'_>) -> Option<Phrase> {
    let halves = story.records.client.iter().filter(|record| record.half_closed).count() as u64;
    let text = " saw the server end its side before it had all of the request, which it went on to read: nothing was lost";
    (halves > 0).then(|| count(halves, text))
}

/// Takes those out who found no path although somebody listened, and tells of them.
pub(super) fn no_path(story: &Story<'_>, lost: &mut Vec<(&Attempt, &ClientRecord)>) -> Vec<Said> {
    let listeners = &story.records.kernel.listeners;
    let mut by_listener: BTreeMap<u32, u64> = BTreeMap::new();
    lost.retain(|(_, record)| {
        let at_ns = record.finished.map_or(record.intended_ns, NonZeroU64::get);
        let was_open =
            |it: &&Listener| it.opened_ns <= at_ns && it.last_seen_ns.is_none_or(|last_ns| last_ns >= at_ns);
        let listener = listeners.iter().rev().find(was_open).filter(|_| record.outcome == Outcome::NoPath);
        if let Some(listener) = listener {
            *by_listener.entry(listener.inode).or_default() += 1;
        }
        listener.is_none()
    });
    let said = |(inode, lost)| {
        let head = count(lost, " found no path to connect to: a listener was there (inode ").id(inode);
        head.text("), but its path had been removed, as by a predecessor that cleans up when it ends").into()
    };
    by_listener.into_iter().map(said).collect()
}
