//! Replies that were not the answer.

use std::collections::BTreeMap;

use super::said::{Said, count};
use super::story::Story;
use crate::record::{ClientRecord, Outcome};
use crate::told::Phrase;
use crate::wire::{CONTENT_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX};
use crate::words::{Blame, Fate};

/// What servers and gateways turned away or failed at, by the status that they gave.
pub(super) fn error_replies(story: &Story<'_>) -> Vec<Said> {
    let mut by_status: BTreeMap<u16, Vec<&ClientRecord>> = BTreeMap::new();
    for (_, record) in story.lost(Blame::Collateral, Some(Fate::ErrorReply)) {
        if let Outcome::ErrorReply(status) = record.outcome {
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
    (!wrong.is_empty()).then(|| Said::quoting(said, story, &wrong))
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
