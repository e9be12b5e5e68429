//! Which versions of the worker answered, and for how long two of them did side by side.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use crate::record::{ClientRecord, Outcome};
use crate::result::Served;
use crate::series::Series;

/// The versions that replies named, in ascending order. Replies that named none are left out.
///
/// Instants are those at which replies were complete, counted from the load's start.
#[must_use]
pub fn served(client: Series<'_, ClientRecord>, start_ns: u64) -> Vec<Served> {
    let mut found: BTreeMap<u16, Served> = BTreeMap::new();
    for record in client.iter().filter(|record| record.outcome == Outcome::Replied && record.version > 0) {
        let at_ns = record.finished.map_or(0, NonZeroU64::get).saturating_sub(start_ns);
        let version = record.version;
        let served =
            found.entry(version).or_insert(Served { version, served: 0, first_ns: at_ns, last_ns: at_ns });
        served.served += 1;
        served.first_ns = served.first_ns.min(at_ns);
        served.last_ns = served.last_ns.max(at_ns);
    }
    found.into_values().collect()
}

/// The longest time for which two versions answered side by side: from the first reply of one to
/// the last reply of the one before it. 0 where each was gone before the next one came, and where
/// there was just one; `None` where no reply named a version.
#[must_use]
pub fn overlap_ns(versions: &[Served]) -> Option<u64> {
    let overlap = |pair: &[Served]| pair[0].last_ns.saturating_sub(pair[1].first_ns);
    (!versions.is_empty()).then(|| versions.windows(2).map(overlap).max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Stage;

    fn reply(version: u16, at_ns: u64, outcome: Outcome) -> ClientRecord {
        ClientRecord {
            requests_answered: 0,
            attempt: 0,
            intended_ns: 0,
            started: None,
            connected: None,
            finished: NonZeroU64::new(at_ns),
            outcome,
            poison: false,
            syn_retransmits: 0,
            version,
            ..ClientRecord::planned(0, 0, false)
        }
    }

    fn replies(replies: &[(u16, u64)]) -> Vec<Served> {
        let records: Vec<ClientRecord> =
            replies.iter().map(|(version, at_ns)| reply(*version, *at_ns, Outcome::Replied)).collect();
        served((&records).into(), 100)
    }

    #[test]
    fn versions_are_counted_from_first_to_last_reply() {
        let versions = replies(&[(1, 130), (1, 110), (2, 120), (0, 500), (2, 140)]);
        let expected = [
            Served { version: 1, served: 2, first_ns: 10, last_ns: 30 },
            Served { version: 2, served: 2, first_ns: 20, last_ns: 40 },
        ];
        assert_eq!(versions, expected);
        assert_eq!(overlap_ns(&versions), Some(10));
    }

    #[test]
    fn what_did_not_answer_answered_nothing() {
        let lost = [reply(2, 300, Outcome::TimedOut(Stage::Reply)), reply(2, 300, Outcome::Truncated)];
        assert_eq!(served((&lost).into(), 0), []);
        assert_eq!(overlap_ns(&[]), None);
    }

    #[test]
    fn one_after_the_other_do_not_overlap() {
        assert_eq!(overlap_ns(&replies(&[(1, 110), (2, 120)])), Some(0));
        assert_eq!(overlap_ns(&replies(&[(1, 110)])), Some(0));
        assert_eq!(overlap_ns(&replies(&[(1, 110), (2, 120), (1, 190), (3, 185), (2, 188)])), Some(70));
    }
}
