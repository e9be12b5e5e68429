//! Streams that servers ended without a reply, by how.

use std::collections::BTreeMap;

use super::story::Story;
use crate::record::Outcome;
use crate::result::{How, Loss};
use crate::words::{Blame, Fate};

/// One for each way in which they were ended.
pub(super) fn ended(story: &Story<'_>) -> Vec<Loss> {
    let mut counts = BTreeMap::new();
    for (_, record) in story.lost(Blame::Collateral, Some(Fate::NoReply)) {
        if let Outcome::Stream(end) = record.outcome {
            *counts.entry(end).or_default() += 1;
        }
    }
    counts.into_iter().map(|(end, lost)| Loss::new(lost, How::StreamEnded { end })).collect()
}
