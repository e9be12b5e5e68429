//! Replies that were not the answer, how servers ended connections, and paths that were not there.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use super::story::Story;
use crate::ledger::Attempt;
use crate::record::{ClientRecord, Listener, Outcome};
use crate::result::{How, Loss};
use crate::said::escaped;
use crate::words::{Blame, Fate};

/// What servers and gateways turned away or failed at, by the status that they gave.
pub(super) fn error_replies(story: &Story<'_>) -> Vec<Loss> {
    let mut by_status: BTreeMap<u16, Vec<&ClientRecord>> = BTreeMap::new();
    for (_, record) in story.lost(Blame::Collateral, Some(Fate::ErrorReply)) {
        if let Some(status) = record.outcome.status() {
            by_status.entry(status).or_default().push(record);
        }
    }
    let loss = |(status, lost): (u16, Vec<&ClientRecord>)| {
        Loss::new(lost.len() as u64, How::ErrorStatus { status }).quoting(first_kept(story, &lost))
    };
    by_status.into_iter().map(loss).collect()
}

pub(super) fn wrong_replies(story: &Story<'_>) -> Option<Loss> {
    let wrong: Vec<&ClientRecord> =
        story.lost(Blame::Collateral, Some(Fate::WrongReply)).into_iter().map(|(_, record)| record).collect();
    let is_alert = |record: &&ClientRecord| story.records.said.get(record.said).is_some_and(is_tls_alert);
    let how = if wrong.iter().any(is_alert) { How::TlsAlert } else { How::NotTheAnswer };
    some(wrong.len(), how).map(|loss| loss.quoting(first_kept(story, &wrong)))
}

/// Whether bytes begin as an alert of TLS does (RFC 8446, section 5.1): kind 21, major version 3.
fn is_tls_alert(bytes: &[u8]) -> bool {
    bytes.starts_with(&[21, 3])
}

/// The first of these replies that was kept, escaped.
pub(super) fn first_kept(story: &Story<'_>, replies: &[&ClientRecord]) -> Option<String> {
    replies.iter().find_map(|record| story.records.said.get(record.said)).map(escaped)
}

/// So many, if there are any.
pub(super) fn some(count: usize, how: How) -> Option<Loss> {
    (count > 0).then(|| Loss::new(count as u64, how))
}

/// So many attempts as are like that, if there are any.
pub(super) fn all_that(story: &Story<'_>, are: impl Fn(&ClientRecord) -> bool, how: How) -> Option<Loss> {
    some(story.records.client.iter().filter(|record| are(record)).count(), how)
}

/// Replies of which the load client did not read the end.
pub(super) fn too_long(story: &Story<'_>) -> Option<Loss> {
    all_that(story, |record| record.outcome == Outcome::TooLong, How::TooLong)
}

/// Requests that could not be sent to their end, although the reply came.
pub(super) fn send_failed(story: &Story<'_>) -> Option<Loss> {
    all_that(story, ClientRecord::was_answered_unsent, How::AnsweredUnsent)
}

/// What a pool sent once more: no loss, unless it was lost the second time, but perhaps done twice.
pub(super) fn sent_twice(story: &Story<'_>) -> Option<Loss> {
    all_that(story, ClientRecord::was_retried, How::SentTwice)
}

/// Servers that ended their side early, and read on.
pub(super) fn half_closed(story: &Story<'_>) -> Option<Loss> {
    all_that(story, |record| record.half_closed, How::HalfClosed)
}

/// Takes those out who found no path although somebody listened, and tells of them.
pub(super) fn no_path(story: &Story<'_>, lost: &mut Vec<(&Attempt, &ClientRecord)>) -> Vec<Loss> {
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
    by_listener.into_iter().map(|(inode, lost)| Loss::new(lost, How::NoPath { inode })).collect()
}
