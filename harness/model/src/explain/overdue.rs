//! Attempts whose time ran out: in whose hands each was then.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use super::story::Story;
use crate::custody::Custody;
use crate::ledger::{Attempt, NO_WORKER};
use crate::record::{ClientRecord, Outcome};
use crate::result::{Cause, How, Loss, Place, Stuck};
use crate::words::{Blame, Fate, Stage};

type Lost<'a> = (&'a Attempt, &'a ClientRecord);

/// One for each place in which they were.
pub(super) fn timed_out(story: &Story<'_>) -> Vec<Loss> {
    let mut places: BTreeMap<Place, Vec<Lost<'_>>> = BTreeMap::new();
    for lost in story.lost(Blame::Collateral, Some(Fate::TimedOut)) {
        places.entry(place_of(story, lost)).or_default().push(lost);
    }
    places.into_iter().map(|(place, lost)| in_one_place(story, place, &lost)).collect()
}

/// What the kernel showed counts; where it was not asked, what a ledger proves.
fn place_of(story: &Story<'_>, (attempt, record): Lost<'_>) -> Place {
    let known = story.records.tell_accepts();
    match story.records.kernel.held.custody(record.attempt) {
        Some(custody) => Place::Seen(custody.clone()),
        None if known && attempt.worker == NO_WORKER => Place::Seen(Custody::Queue),
        None if known => Place::Accepted,
        None => Place::Unknown,
    }
}

fn in_one_place(story: &Story<'_>, place: Place, lost: &[Lost<'_>]) -> Loss {
    let partly = lost.iter().filter(|(_, record)| record.outcome == Outcome::TimedOut(Stage::Reply)).count();
    let why = match place {
        Place::Seen(Custody::Queue) => why_nobody_accepted(story, lost),
        Place::Seen(Custody::HalfOpen | Custody::Held { .. } | Custody::Hidden | Custody::Closed)
        | Place::Accepted
        | Place::Unknown => Why::default(),
    };
    let Why { cause, stuck, failed_starts } = why;
    let in_tls = lost.iter().filter(|(_, record)| record.ended_in_tls()).count() as u64;
    let how = How::TimedOut { place, partly: partly as u64, in_tls, stuck, failed_starts };
    Loss::new(lost.len() as u64, how).after(cause)
}

/// Why nobody accepted.
#[derive(Default)]
struct Why {
    cause: Option<Cause>,
    stuck: Vec<Stuck>,
    failed_starts: u64,
}

/// Who lived and did not accept, or how often nobody came to be.
fn why_nobody_accepted(story: &Story<'_>, waiting: &[Lost<'_>]) -> Why {
    let records: Vec<&ClientRecord> = waiting.iter().map(|(_, record)| *record).collect();
    let exhausted = story.out_of_descriptors(&records);
    let stuck = story.stuck_workers();
    if exhausted.is_some() || !stuck.is_empty() {
        return Why { cause: exhausted, stuck, failed_starts: 0 };
    }
    let from_ns = records.iter().map(|record| record.intended_ns).min().unwrap_or(0);
    let to_ns = records.iter().filter_map(|record| record.finished).map(NonZeroU64::get).max();
    let failed_starts = story.failed_starts(from_ns, to_ns);
    Why { cause: story.cause(from_ns), stuck, failed_starts }
}
