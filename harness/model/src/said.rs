//! What servers said instead of the answer: the first bytes of replies, each of them kept once.

use std::fmt::Write as _;
use std::num::NonZeroU16;

use crate::part::Renumbered;
use crate::secrets::Secrets;
use crate::wire::Excerpt;

/// How many that differ are kept. They are many where each reply holds a number or a date of its own.
const DIFFERENT_MAX: usize = 1024;

/// First bytes of replies, kept in room that is there beforehand.
#[derive(Debug, Clone)]
pub struct Said {
    texts: Vec<Excerpt>,
    /// Of each text, so that most need not be compared.
    hashes: Vec<u64>,
}

/// Where nothing was kept.
pub static NOTHING_SAID: Said = Said { texts: Vec::new(), hashes: Vec::new() };

/// Which of them a reply was.
pub type Which = Option<NonZeroU16>;

impl Said {
    /// With room for all that is kept.
    #[must_use]
    pub fn with_room() -> Self {
        Self { texts: Vec::with_capacity(DIFFERENT_MAX), hashes: Vec::with_capacity(DIFFERENT_MAX) }
    }

    /// Keeps one, unless it is there already. `None`: there is no room, or nothing to keep. Allocates nothing.
    pub fn keep(&mut self, text: &Excerpt) -> Which {
        if text.as_bytes().is_empty() {
            return None;
        }
        let hash = hash_of(text.as_bytes());
        let same = |(_, other): &(usize, &u64)| **other == hash;
        let known = self.hashes.iter().enumerate().filter(same).map(|(index, _)| index);
        let index = known.into_iter().find(|index| self.texts[*index] == *text).or_else(|| {
            let has_room = self.texts.len() < self.texts.capacity().min(DIFFERENT_MAX);
            has_room.then(|| {
                self.texts.push(*text);
                self.hashes.push(hash);
                self.texts.len() - 1
            })
        })?;
        NonZeroU16::new(u16::try_from(index + 1).ok()?)
    }

    /// Keeps what others have kept as well, as far as there is room, and tells which each of theirs is here.
    pub fn take_in(&mut self, others: &Self) -> Renumbered {
        others.texts.iter().map(|text| self.keep(text)).collect()
    }

    /// Shows none of these values from now on. To be called once nothing more is kept.
    pub fn hide(&mut self, secrets: &Secrets) {
        for text in &mut self.texts {
            *text = Excerpt::of(&secrets.hidden(text.as_bytes(), true));
        }
    }

    /// The bytes that were kept.
    #[must_use]
    pub fn get(&self, which: Which) -> Option<&[u8]> {
        self.texts.get(usize::from(which?.get()) - 1).map(Excerpt::as_bytes)
    }
}

/// FNV-1a, 64 bits: short inputs, and no enemy.
fn hash_of(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Bytes as text that steers no terminal and holds no line break: what cannot be printed is escaped, as
/// in the source text of a program.
#[must_use]
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                // No end of the quotation.
                '\'' => text.push(char),
                _ => text.extend(char.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// What was [`escaped`], in quotation marks, and of at most so many characters.
#[must_use]
pub fn in_quotes(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("\"{}…\"", &text[..end]),
        None => format!("\"{text}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(said: &mut Said, text: &str) -> Which {
        said.keep(&Excerpt::of(text.as_bytes()))
    }

    #[test]
    fn each_is_kept_once_and_so_many_at_most() {
        let mut said = Said::with_room();
        let first = keep(&mut said, "sorry");
        assert_eq!(said.get(first), Some(&b"sorry"[..]));
        assert_ne!(keep(&mut said, "gone"), first);
        assert_eq!(keep(&mut said, "sorry"), first);
        assert_eq!((keep(&mut said, ""), said.get(None)), (None, None));
        let kept = (0..2_000).filter(|number| keep(&mut said, &number.to_string()).is_some()).count();
        assert_eq!(kept, DIFFERENT_MAX - 2);
        assert_eq!(keep(&mut said, "gone").and_then(|which| said.get(Some(which))), Some(&b"gone"[..]));
        assert_eq!(keep(&mut NOTHING_SAID.clone(), "sorry"), None);
    }

    #[test]
    fn what_others_have_kept_is_kept_once_and_found_again() {
        let (mut all, mut others) = (Said::with_room(), Said::with_room());
        keep(&mut all, "sorry");
        let theirs = ["gone", "sorry", "busy"].map(|text| (text, keep(&mut others, text)));
        let here = all.take_in(&others);
        for (text, which) in theirs {
            assert_eq!(all.get(here.of(which)), Some(text.as_bytes()));
        }
        assert_eq!((all.texts.len(), here.of(None)), (3, None));
        // What there is no room for is as if it had never been said.
        let full = (0..2_000).filter(|number| keep(&mut all, &number.to_string()).is_none());
        assert!(full.count() > 0);
        let late = keep(&mut others, "late");
        assert_eq!(all.take_in(&others).of(late), None);
    }

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        assert_eq!(
            escaped(b"<p>\x1b[31m\r\n\"it's\" \xff\xc3\xa4"),
            "<p>\\u{1b}[31m\\r\\n\\\"it's\\\" \\xffä"
        );
        assert_eq!(escaped("\u{202e}\u{9b}x".as_bytes()), "\\u{202e}\\u{9b}x");
        assert_eq!(in_quotes("abcdef", 3), "\"abc…\"");
        assert_eq!(in_quotes("abc", 3), "\"abc\"");
    }
}
