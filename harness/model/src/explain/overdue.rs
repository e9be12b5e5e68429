//! Attempts whose time ran out: in whose hands each was then, in words.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use super::said::{Said, count};
use super::story::Story;
use crate::custody::{Custody, Process, Reading};
use crate::ledger::{Attempt, NO_WORKER};
use crate::record::{ClientRecord, Outcome};
use crate::told::{Phrase, Told};
use crate::words::{Blame, Fate, Stage};

type Lost<'a> = (&'a Attempt, &'a ClientRecord);

/// Where a connection was when its time ran out, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Whereabouts {
    /// As the kernel showed it then.
    Seen(Custody),
    /// With a worker, as that wrote down.
    Accepted,
    Unknown,
}

/// One line for each place in which they were.
pub(super) fn timed_out(story: &Story<'_>) -> Vec<Said> {
    let mut places: BTreeMap<Whereabouts, Vec<Lost<'_>>> = BTreeMap::new();
    for lost in story.lost(Blame::Collateral, Some(Fate::TimedOut)) {
        places.entry(whereabouts(story, lost)).or_default().push(lost);
    }
    places.into_iter().map(|(place, lost)| line(story, &place, &lost)).collect()
}

/// What the kernel showed counts; where it was not asked, what a ledger proves.
fn whereabouts(story: &Story<'_>, (attempt, record): Lost<'_>) -> Whereabouts {
    let known = story.records.tell_accepts();
    match story.records.kernel.held.custody(record.attempt) {
        Some(custody) => Whereabouts::Seen(custody.clone()),
        None if known && attempt.worker == NO_WORKER => Whereabouts::Seen(Custody::Queue),
        None if known => Whereabouts::Accepted,
        None => Whereabouts::Unknown,
    }
}

fn line(story: &Story<'_>, place: &Whereabouts, lost: &[Lost<'_>]) -> Said {
    let partly = lost.iter().filter(|(_, record)| record.outcome == Outcome::TimedOut(Stage::Reply)).count();
    let partly = match partly {
        0 => Phrase::default(),
        _ => Phrase::new(" (").count(partly as u64).text(" with part of the reply)"),
    };
    let partly = match lost.iter().filter(|(_, record)| record.ended_in_tls()).count() {
        0 => partly,
        _ if lost.len() == 1 => partly.text(" (in the TLS handshake)"),
        in_tls => partly.text(" (").count(in_tls as u64).text(" of them in the TLS handshake)"),
    };
    let said = |text: &str| count(lost.len() as u64, text);
    match place {
        Whereabouts::Seen(Custody::Queue) => {
            let head = said(" timed out in the queue: connected, but nobody accepted them");
            why_nobody_accepted(head, story, lost)
        }
        Whereabouts::Seen(Custody::HalfOpen) => {
            said(" timed out half-open: connected for the client, and waiting for the server's kernel").into()
        }
        Whereabouts::Seen(Custody::Held { by, others, request }) => {
            let others = match others {
                0 => Phrase::default(),
                others => Phrase::new(" (and open in ").count((*others).into()).text(" more)"),
            };
            let head = said(" timed out: accepted by ").then(by.phrase()).then(others);
            head.text(format!(", {}, no answer", reading(*request))).then(partly).into()
        }
        Whereabouts::Seen(Custody::Hidden) => {
            said(" timed out: accepted, by nobody that can be looked at, no answer").then(partly).into()
        }
        Whereabouts::Seen(Custody::Closed) => {
            said(" timed out: no reply came in time, and the server had closed its end").then(partly).into()
        }
        Whereabouts::Accepted => said(" timed out: accepted, but no reply came in time").then(partly).into(),
        Whereabouts::Unknown => {
            let text = " timed out: no reply came in time; in whose hands they were is not known";
            said(text).then(partly).into()
        }
    }
}

const fn reading(request: Reading) -> &'static str {
    match request {
        Reading::Unsent => "nothing sent to it yet",
        Reading::Unread => "request unread",
        Reading::Part => "request read in part",
        Reading::Read => "request read",
    }
}

impl Told for Process {
    fn phrase(&self) -> Phrase {
        let role = if self.supervises { "the supervisor, " } else { "" };
        Phrase::new(format!("{role}{} (process ", self.name)).id(self.pid).text(")")
    }
}

/// Goes on with who lived and did not accept, or how often nobody came to be.
fn why_nobody_accepted(head: Phrase, story: &Story<'_>, waiting: &[Lost<'_>]) -> Said {
    let records: Vec<&ClientRecord> = waiting.iter().map(|(_, record)| *record).collect();
    let exhausted = story.out_of_descriptors(&records);
    let stuck = story.stuck_workers();
    if exhausted.is_some() || !stuck.is_empty() {
        let join = |so_far: Phrase, (index, one): (usize, Phrase)| {
            so_far.text(if index > 0 { ", " } else { "; " }).then(one)
        };
        let stuck = stuck.into_iter().enumerate().fold(Phrase::default(), join);
        return Said::after(head, exhausted).then(stuck);
    }
    let from_ns = records.iter().map(|record| record.intended_ns).min().unwrap_or(0);
    let to_ns = records.iter().filter_map(|record| record.finished).map(NonZeroU64::get).max();
    Said::after(head, story.cause(from_ns)).then(story.failed_starts(from_ns, to_ns))
}
