//! Bytes that hold the number of a request in some places: what is sent to services that have requests of their
//! own, and what is looked for in their replies. Made before the load, and read where they lie while it runs.

use std::sync::Arc;

/// The most digits of a number.
const DIGITS_MAX: usize = 20;

/// Bytes, in some places of which the number of the request stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text {
    bytes: Arc<[u8]>,
    /// Where a number stands: in front of which of the bytes, in ascending order.
    places: Arc<[usize]>,
}

/// A number, written down.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    digits: [u8; DIGITS_MAX],
    length: usize,
}

/// How a text and the beginning of some content go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// They differ.
    No,
    /// So far they are alike, and some of the text is still to come.
    Part,
    /// The content begins with the text, which takes so many bytes.
    Whole(usize),
}

impl Number {
    /// Writes it down.
    #[must_use]
    pub fn new(number: u64) -> Self {
        let (mut digits, mut buffer) = ([0; DIGITS_MAX], itoa::Buffer::new());
        let text = buffer.format(number).as_bytes();
        digits[..text.len()].copy_from_slice(text);
        Self { digits, length: text.len() }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.digits[..self.length]
    }
}

impl Text {
    /// Of these bytes, with a number in front of each of these places, which are in ascending order.
    #[must_use]
    pub fn new(bytes: Vec<u8>, places: Vec<usize>) -> Self {
        Self { bytes: bytes.into(), places: places.into() }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.places.is_empty()
    }

    /// Its length with this number.
    #[must_use]
    pub fn length(&self, number: &Number) -> usize {
        self.bytes.len() + self.places.len() * number.length
    }

    /// Some bytes from this offset on, which are all of one piece; none at its end.
    #[must_use]
    pub fn from<'a>(&'a self, offset: usize, number: &'a Number) -> &'a [u8] {
        let start = |index: usize| self.places[index] + index * number.length;
        // How many numbers end at the offset or before.
        let (mut low, mut high) = (0, self.places.len());
        while low < high {
            let middle = low.midpoint(high);
            if start(middle) + number.length <= offset { low = middle + 1 } else { high = middle }
        }
        if low < self.places.len() && start(low) <= offset {
            return &number.as_bytes()[offset - start(low)..];
        }
        let end = self.places.get(low).copied().unwrap_or(self.bytes.len());
        self.bytes.get(offset - low * number.length..end).unwrap_or_default()
    }

    /// Appends it.
    pub(super) fn put(&self, number: &Number, into: &mut Vec<u8>) {
        let mut from = 0;
        for &place in self.places.iter() {
            into.extend_from_slice(&self.bytes[from..place]);
            into.extend_from_slice(number.as_bytes());
            from = place;
        }
        into.extend_from_slice(&self.bytes[from..]);
    }

    /// Whether some content begins with it.
    pub(super) fn begins(&self, content: &[u8], number: &Number) -> Fit {
        let length = self.length(number);
        let mut at = 0;
        while at < length {
            let piece = self.from(at, number);
            let left = &content[at..];
            let count = piece.len().min(left.len());
            if piece[..count] != left[..count] {
                return Fit::No;
            }
            if count < piece.len() {
                return Fit::Part;
            }
            at += count;
        }
        Fit::Whole(length)
    }

    /// Where its first occurrence in some content ends.
    pub(super) fn end_in(&self, content: &[u8], number: &Number) -> Option<usize> {
        let first = self.from(0, number).first().copied();
        (0..=content.len()).filter(|at| first.is_none() || content.get(*at).copied() == first).find_map(
            |at| match self.begins(&content[at..], number) {
                Fit::Whole(length) => Some(at + length),
                Fit::No | Fit::Part => None,
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(text: &Text, number: u64) -> Vec<u8> {
        let mut into = Vec::new();
        text.put(&Number::new(number), &mut into);
        into
    }

    #[test]
    fn a_number_stands_in_its_places() {
        let text = Text::new(b"a=&b=!".to_vec(), vec![0, 2, 5, 5, 6]);
        assert_eq!(put(&text, 42), b"42a=42&b=4242!42");
        assert_eq!(put(&Text::default(), 42), b"");
        let number = Number::new(42);
        assert_eq!(text.begins(b"42a=42&b=4242!42 and more", &number), Fit::Whole(16));
        assert_eq!(text.begins(b"42a=42&", &number), Fit::Part);
        assert_eq!(text.begins(b"42a=43", &number), Fit::No);
        assert_eq!(Text::new(b"x".to_vec(), vec![1]).end_in(b"x4x42", &number), Some(5));
        assert_eq!(Text::default().end_in(b"", &number), Some(0));
    }

    proptest! {
        #[test]
        fn pieces_make_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            mut places in prop::collection::vec(0..40_usize, 0..6),
            number: u64,
        ) {
            places.iter_mut().for_each(|place| *place = (*place).min(bytes.len()));
            places.sort_unstable();
            let text = Text::new(bytes, places);
            let whole = put(&text, number);
            let number = Number::new(number);
            prop_assert_eq!(whole.len(), text.length(&number));
            for offset in 0..=whole.len() {
                let piece = text.from(offset, &number);
                prop_assert!(whole[offset..].starts_with(piece));
                prop_assert_eq!(piece.is_empty(), offset == whole.len());
            }
            prop_assert_eq!(text.begins(&whole, &number), Fit::Whole(whole.len()));
            prop_assert!(text.end_in(&whole, &number).is_some());
        }
    }
}
