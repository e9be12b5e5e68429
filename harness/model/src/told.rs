//! Sentences with the numbers in them apart, so that many which differ in numbers alone are told as one.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::show_ns;

/// A part of a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// Words.
    Text(String),
    /// How many.
    Count(u64),
    /// How long, in nanoseconds.
    Ns(u64),
    /// When, in nanoseconds from the start of the load.
    At(u64),
    /// The number by which something is called: an attempt, a process, an inode.
    Id(u64),
}

/// A sentence. Its Display is what reports print.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Phrase(Vec<Piece>);

/// Something that reports tell in a sentence of its own.
pub trait Told {
    /// The sentence.
    fn phrase(&self) -> Phrase;
}

impl Phrase {
    /// One that begins with words.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self::default().text(text)
    }

    /// Goes on with words.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        match self.0.last_mut() {
            Some(Piece::Text(last)) => last.push_str(&text),
            _ if text.is_empty() => {}
            _ => self.0.push(Piece::Text(text)),
        }
        self
    }

    /// Goes on with a count.
    #[must_use]
    pub fn count(self, count: u64) -> Self {
        self.piece(Piece::Count(count))
    }

    /// Goes on with a time.
    #[must_use]
    pub fn ns(self, ns: u64) -> Self {
        self.piece(Piece::Ns(ns))
    }

    /// Goes on with an instant, in nanoseconds from the start of the load.
    #[must_use]
    pub fn at(self, ns: u64) -> Self {
        self.piece(Piece::At(ns))
    }

    /// Goes on with the number by which something is called.
    #[must_use]
    pub fn id(self, id: impl Into<u64>) -> Self {
        self.piece(Piece::Id(id.into()))
    }

    /// Goes on with another phrase.
    #[must_use]
    pub fn then(self, other: Self) -> Self {
        other.0.into_iter().fold(self, Self::piece)
    }

    /// Goes on with another phrase after a space, if there is anything in it.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if other.is_empty() { self } else { self.text(" ").then(other) }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn piece(mut self, piece: Piece) -> Self {
        match piece {
            Piece::Text(text) => self.text(text),
            number @ (Piece::Count(_) | Piece::Ns(_) | Piece::At(_) | Piece::Id(_)) => {
                self.0.push(number);
                self
            }
        }
    }
}

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| Span::of(piece).fmt(f))
    }
}

/// A part of several sentences that are alike: the same words, or from which number to which.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Span {
    Text(String),
    Count(u64, u64),
    Ns(u64, u64),
    At(u64, u64),
    Id(u64, u64),
}

impl Span {
    fn of(piece: &Piece) -> Self {
        match piece {
            Piece::Text(text) => Self::Text(text.clone()),
            Piece::Count(n) => Self::Count(*n, *n),
            Piece::Ns(n) => Self::Ns(*n, *n),
            Piece::At(n) => Self::At(*n, *n),
            Piece::Id(n) => Self::Id(*n, *n),
        }
    }

    /// Whether the piece differs from it by a number at the most.
    fn is_like(&self, piece: &Piece) -> bool {
        match (self, piece) {
            (Self::Text(mine), Piece::Text(text)) => mine == text,
            (Self::Count(..), Piece::Count(_))
            | (Self::Ns(..), Piece::Ns(_))
            | (Self::At(..), Piece::At(_))
            | (Self::Id(..), Piece::Id(_)) => true,
            (Self::Text(_) | Self::Count(..) | Self::Ns(..) | Self::At(..) | Self::Id(..), _) => false,
        }
    }

    fn widen(&mut self, piece: &Piece) {
        if let (Self::Count(low, high), Piece::Count(n))
        | (Self::Ns(low, high), Piece::Ns(n))
        | (Self::At(low, high), Piece::At(n))
        | (Self::Id(low, high), Piece::Id(n)) = (self, piece)
        {
            (*low, *high) = ((*low).min(*n), (*high).max(*n));
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Count(low, high) | Self::Id(low, high) if low == high => write!(f, "{low}"),
            Self::Count(low, high) => write!(f, "{low} to {high}"),
            Self::Id(low, high) => write!(f, "{low}…{high}"),
            Self::Ns(low, high) => {
                let (low, high) = (show_ns(*low), show_ns(*high));
                if low == high { f.write_str(&low) } else { write!(f, "{low} to {high}") }
            }
            // Sentences go on with "to", "for" or "and": a range of instants is one word.
            Self::At(low, high) => {
                let (low, high) = (show_ns(*low), show_ns(*high));
                if low == high {
                    f.write_str(&low)
                } else {
                    write!(f, "{}…{high}", without_unit(&low, &high))
                }
            }
        }
    }
}

/// `53.3` of `53.3 ms`, if the other has the same unit.
fn without_unit<'a>(text: &'a str, other: &str) -> &'a str {
    match (text.rsplit_once(' '), other.rsplit_once(' ')) {
        (Some((number, unit)), Some((_, others))) if unit == others => number,
        (Some(_) | None, _) => text,
    }
}

/// Sentences of one kind that differ in numbers alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alike<K> {
    kind: K,
    spans: Vec<Span>,
    /// How many there were.
    pub times: usize,
    /// By how many, of whom each may say several.
    pub speakers: usize,
    /// Who said the last one.
    last: usize,
}

impl<K: PartialEq> Alike<K> {
    fn new(speaker: usize, kind: K, phrase: &Phrase) -> Self {
        Self { kind, spans: phrase.0.iter().map(Span::of).collect(), times: 1, speakers: 1, last: speaker }
    }

    fn takes(&self, kind: &K, phrase: &Phrase) -> bool {
        self.kind == *kind
            && self.spans.len() == phrase.0.len()
            && self.spans.iter().zip(&phrase.0).all(|(span, piece)| span.is_like(piece))
    }

    fn add(&mut self, speaker: usize, phrase: &Phrase) {
        self.times += 1;
        self.speakers += usize::from(speaker != self.last);
        self.last = speaker;
        self.spans.iter_mut().zip(&phrase.0).for_each(|(span, piece)| span.widen(piece));
    }
}

impl<K> fmt::Display for Alike<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spans.iter().try_for_each(|span| span.fmt(f))
    }
}

/// Each kind of sentence once, in order of first appearance, with a range where numbers differ. What each speaker says
/// comes in one piece.
pub fn alike<K: PartialEq, S: IntoIterator<Item = (K, Phrase)>>(
    said: impl IntoIterator<Item = S>,
) -> Vec<Alike<K>> {
    let mut all: Vec<Alike<K>> = Vec::new();
    for (speaker, sentences) in said.into_iter().enumerate() {
        for (kind, phrase) in sentences {
            match all.iter_mut().find(|alike| alike.takes(&kind, &phrase)) {
                Some(alike) => alike.add(speaker, &phrase),
                None => all.push(Alike::new(speaker, kind, &phrase)),
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(count: u64, ns: u64, pid: u32) -> Phrase {
        let head = Phrase::default().count(count).text(" refused: nobody listened for ").ns(ns);
        head.and(Phrase::new("after worker ").id(pid).text(" died"))
    }

    #[test]
    fn sentences_that_differ_in_numbers_are_one_with_ranges() {
        let one = [(1, refused(14, 104_000_000, 12))];
        assert_eq!(
            alike([one])[0].to_string(),
            "14 refused: nobody listened for 104 ms after worker 12 died"
        );
        let both = alike([
            vec![(1, refused(14, 104_000_000, 12)), (2, refused(3, 1_000_000, 12))],
            vec![(1, refused(9, 104_000_001, 15)), (1, Phrase::new("else"))],
        ]);
        let texts: Vec<(String, usize)> = both.iter().map(|alike| (alike.to_string(), alike.times)).collect();
        let first = "9 to 14 refused: nobody listened for 104 ms after worker 12…15 died";
        let second = "3 refused: nobody listened for 1.00 ms after worker 12 died";
        assert_eq!(texts, [(first.into(), 2), (second.into(), 1), ("else".into(), 1)]);
    }

    #[test]
    fn what_one_says_several_times_is_not_taken_for_what_several_say() {
        let said = [vec![3, 4, 5], vec![], vec![6]];
        let each =
            said.map(|counts| counts.into_iter().map(|count| ((), refused(count, 1, 1))).collect::<Vec<_>>());
        let all = alike(each);
        assert_eq!(all.iter().map(|alike| (alike.times, alike.speakers)).collect::<Vec<_>>(), [(4, 2)]);
    }

    #[test]
    fn a_range_of_instants_does_not_read_as_a_span_of_time() {
        let closed = |ns| ((), Phrase::new("nobody listened from ").at(ns).text(" to the end"));
        for (instants, words) in [
            ([53_300_000, 53_300_001], "nobody listened from 53.3 ms to the end"),
            ([54_200_000, 53_300_000], "nobody listened from 53.3…54.2 ms to the end"),
            ([900_000, 1_200_000], "nobody listened from 900 µs…1.20 ms to the end"),
        ] {
            assert_eq!(alike([instants.map(closed)])[0].to_string(), words);
        }
    }

    #[test]
    fn a_phrase_reads_back() {
        let phrase = refused(1, 2, 3);
        let json = serde_json::to_string(&phrase).expect("JSON");
        assert_eq!(serde_json::from_str::<Phrase>(&json).expect("a phrase"), phrase);
    }

    proptest! {
        /// None is left out, and the order in which they come changes no range.
        #[test]
        fn every_sentence_is_in_one_line(numbers in prop::collection::vec((0..9_u64, 0..2_u8), 1..40)) {
            let say = |(count, kind): &(u64, u8)| (*kind, Phrase::default().count(*count).text(" lost"));
            let forth = alike([numbers.iter().map(say)]);
            let mut back = alike([numbers.iter().rev().map(say)]);
            prop_assert_eq!(forth.iter().map(|alike| alike.times).sum::<usize>(), numbers.len());
            back.sort_by_key(|alike| forth.iter().position(|other| other.kind == alike.kind));
            prop_assert_eq!(forth, back);
        }
    }
}
