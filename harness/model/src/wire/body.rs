//! Where a body or a line ends: read piece by piece, of which nothing is kept.

/// The most bytes of content that are read of one reply.
pub const CONTENT_BYTES_MAX: u64 = 64 << 20;
/// The most bytes that the framing of chunks may have besides sizes: extensions and trailers.
const EXTRAS_BYTES_MAX: u32 = 16 << 10;
/// The most digits of a chunk's size: those of 64 bits.
const SIZE_DIGITS_MAX: u8 = 16;

/// How a body shows its end (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By its length in bytes.
    Length(u64),
    Chunked,
    /// By the end of the connection.
    Close,
    /// By the end of a line.
    Line,
}

/// A body of which some has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Body {
    next: Next,
    /// Bytes of content so far.
    content_bytes: u64,
    /// Bytes of extensions and trailers so far.
    extras_bytes: u32,
}

/// What is expected next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Content(Content),
    Frame(Frame),
}

/// Content, and where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// With so many bytes more, and with them the body.
    Length(u64),
    /// With so many bytes more, and with them the chunk.
    Chunk(u64),
    Close,
    Line,
}

/// A byte of the framing of chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// Of the size of a chunk, so far.
    Size { size: u64, digits: u8 },
    /// Of what may stand behind a size, to the end of the line.
    Extension(u64),
    /// The line feed behind a size.
    SizeFeed(u64),
    /// The carriage return behind a chunk.
    ChunkReturn,
    /// The line feed behind that.
    ChunkFeed,
    /// Of a trailer, or of the empty line that ends them.
    Trailer { is_empty: bool },
}

/// What came of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// All of it belongs to the body, and more is to come.
    All,
    /// So much of it belongs to the body, which is complete.
    End(usize),
    /// It is no body.
    Malformed,
    /// It is, or is going to be, longer than what is read.
    TooLong,
}

impl Body {
    pub(super) const fn new(framing: Framing) -> Self {
        let next = match framing {
            Framing::Length(bytes) => Next::Content(Content::Length(bytes)),
            Framing::Chunked => Next::Frame(Frame::Size { size: 0, digits: 0 }),
            Framing::Close => Next::Content(Content::Close),
            Framing::Line => Next::Content(Content::Line),
        };
        Self { next, content_bytes: 0, extras_bytes: 0 }
    }

    /// Whether the end of the connection ends it.
    pub(super) const fn ends_by_close(&self) -> bool {
        matches!(self.next, Next::Content(Content::Close))
    }

    /// How much of its content has been read, in bytes.
    pub(super) const fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// Takes the next piece, and hands out its content.
    pub(super) fn take(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) -> Taken {
        let mut from = 0;
        loop {
            if self.is_too_long() {
                return Taken::TooLong;
            }
            let left = &bytes[from..];
            let is_end = match self.next {
                Next::Content(content) => {
                    let (count, next) = content.take(left);
                    each(&left[..count]);
                    self.content_bytes += count as u64;
                    from += count;
                    next.map(|next| self.next = next).is_none()
                }
                Next::Frame(frame) => {
                    let Some(&byte) = left.first() else { return Taken::All };
                    from += 1;
                    match frame.take(byte) {
                        Framed::Next(next) => {
                            self.extras_bytes += u32::from(frame.is_extra());
                            self.next = next;
                            false
                        }
                        Framed::End => true,
                        Framed::Malformed => return Taken::Malformed,
                    }
                }
            };
            if is_end {
                return Taken::End(from);
            }
            if from == bytes.len() {
                return if self.is_too_long() { Taken::TooLong } else { Taken::All };
            }
        }
    }

    fn is_too_long(&self) -> bool {
        let to_come = match self.next {
            Next::Content(Content::Length(left) | Content::Chunk(left)) => left,
            Next::Content(Content::Close | Content::Line) | Next::Frame(_) => 0,
        };
        self.content_bytes.saturating_add(to_come) > CONTENT_BYTES_MAX || self.extras_bytes > EXTRAS_BYTES_MAX
    }
}

impl Content {
    /// How much of this belongs to it, and what is expected next; `None`: that ends the body.
    fn take(self, bytes: &[u8]) -> (usize, Option<Next>) {
        let most = |length: u64| bytes.len().min(usize::try_from(length).unwrap_or(usize::MAX));
        match self {
            Self::Length(length) => {
                let count = most(length);
                let left = length - count as u64;
                (count, (left > 0).then_some(Next::Content(Self::Length(left))))
            }
            Self::Chunk(length) => {
                let count = most(length);
                let left = length - count as u64;
                let more =
                    if left > 0 { Next::Content(Self::Chunk(left)) } else { Next::Frame(Frame::ChunkReturn) };
                (count, Some(more))
            }
            Self::Close => (bytes.len(), Some(Next::Content(self))),
            Self::Line => match bytes.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, None),
                None => (bytes.len(), Some(Next::Content(self))),
            },
        }
    }
}

/// What came of a byte of framing.
enum Framed {
    Next(Next),
    End,
    Malformed,
}

impl Frame {
    /// Whether its bytes are neither content nor needed to find it.
    const fn is_extra(self) -> bool {
        match self {
            Self::Extension(_) | Self::Trailer { .. } => true,
            Self::Size { .. } | Self::SizeFeed(_) | Self::ChunkReturn | Self::ChunkFeed => false,
        }
    }

    fn take(self, byte: u8) -> Framed {
        let frame = |frame| Framed::Next(Next::Frame(frame));
        match (self, byte) {
            (Self::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                let size = size << 4 | u64::from(digit);
                if digits < SIZE_DIGITS_MAX {
                    frame(Self::Size { size, digits: digits + 1 })
                } else {
                    Framed::Malformed
                }
            }
            (Self::Size { size, digits: 1.. } | Self::Extension(size), b'\r') => frame(Self::SizeFeed(size)),
            (Self::Size { size, digits: 1.. }, b' ' | b'\t' | b';') => frame(Self::Extension(size)),
            (Self::Size { .. }, _) | (Self::Extension(_), b'\n') => Framed::Malformed,
            (Self::Extension(size), _) => frame(Self::Extension(size)),
            (Self::SizeFeed(0), b'\n') => frame(Self::Trailer { is_empty: true }),
            (Self::SizeFeed(size), b'\n') => Framed::Next(Next::Content(Content::Chunk(size))),
            (Self::ChunkReturn, b'\r') => frame(Self::ChunkFeed),
            (Self::ChunkFeed, b'\n') => frame(Self::Size { size: 0, digits: 0 }),
            (Self::SizeFeed(_) | Self::ChunkReturn | Self::ChunkFeed, _) => Framed::Malformed,
            (Self::Trailer { is_empty: true }, b'\n') => Framed::End,
            (Self::Trailer { is_empty: false }, b'\n') => frame(Self::Trailer { is_empty: true }),
            (Self::Trailer { is_empty }, b'\r') => frame(Self::Trailer { is_empty }),
            (Self::Trailer { .. }, _) => frame(Self::Trailer { is_empty: false }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The content of a body in pieces that end at these places, and what came of it.
    fn read(framing: Framing, bytes: &[u8], ends: &[usize]) -> (Vec<u8>, Taken) {
        let (mut body, mut content, mut from) = (Body::new(framing), Vec::new(), 0);
        let mut taken = Taken::All;
        for end in ends.iter().copied().chain([bytes.len()]) {
            taken = body.take(&bytes[from..end], |some| content.extend_from_slice(some));
            match taken {
                Taken::All => from = end,
                Taken::End(count) => return (content, Taken::End(from + count)),
                Taken::Malformed | Taken::TooLong => return (content, taken),
            }
        }
        (content, taken)
    }

    #[track_caller]
    fn check(framing: Framing, text: &str, content: &str, taken: Taken) {
        let bytes = text.as_bytes();
        let each: Vec<usize> = (0..bytes.len()).collect();
        for ends in [&[] as &[usize], &each] {
            let (found, came) = read(framing, bytes, ends);
            assert_eq!((String::from_utf8_lossy(&found).as_ref(), came), (content, taken), "{text:?}");
        }
    }

    #[test]
    fn each_framing_shows_its_end() {
        check(Framing::Length(3), "abcd", "abc", Taken::End(3));
        check(Framing::Length(0), "", "", Taken::End(0));
        check(Framing::Length(9), "abcd", "abcd", Taken::All);
        check(Framing::Close, "ab\ncd", "ab\ncd", Taken::All);
        check(Framing::Line, "ab\ncd", "ab\n", Taken::End(3));
        check(Framing::Line, "ab", "ab", Taken::All);
        check(Framing::Chunked, "2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\nrest", "abc", Taken::End(22));
        check(Framing::Chunked, "A\r\n0123456789\r\n0\r\nX: y\r\nZ: a\r\n\r\n", "0123456789", Taken::End(32));
        check(Framing::Chunked, "2\r\nab\r\n0\r\nX: y\r\n", "ab", Taken::All);
    }

    #[test]
    fn hostile_chunks_are_malformed() {
        for (text, content) in [
            ("x\r\n", ""),
            ("\r\n", ""),
            ("-1\r\n", ""),
            ("1\n7", ""),
            ("1\r\n77\r\n", "7"),
            ("1;a\nb\r\n", ""),
        ] {
            check(Framing::Chunked, text, content, Taken::Malformed);
        }
        check(Framing::Chunked, &"0".repeat(64), "", Taken::Malformed);
    }

    #[test]
    fn what_is_longer_than_what_is_read_is_so_before_it_comes() {
        check(Framing::Length(CONTENT_BYTES_MAX + 1), "", "", Taken::TooLong);
        check(Framing::Chunked, "4000001\r\n", "", Taken::TooLong);
        check(Framing::Chunked, "ffffffffffffffff\r\n", "", Taken::TooLong);
        let trailers = format!("0\r\n{}", "X: y\r\n".repeat(9_000));
        check(Framing::Chunked, &trailers, "", Taken::TooLong);
        let piece = vec![b'x'; 1 << 20];
        for framing in [Framing::Close, Framing::Line] {
            let mut body = Body::new(framing);
            for _ in 0..64 {
                assert_eq!(body.take(&piece, |_| {}), Taken::All);
            }
            assert_eq!(body.take(b"x", |_| {}), Taken::TooLong);
        }
    }

    proptest! {
        #[test]
        fn pieces_change_nothing(
            bytes in prop::collection::vec(prop::sample::select(b"01aF;x\r\n ".to_vec()), 0..60),
            mut ends in prop::collection::vec(0..60_usize, 0..8),
        ) {
            ends.iter_mut().for_each(|end| *end = (*end).min(bytes.len()));
            ends.sort_unstable();
            for framing in [Framing::Length(20), Framing::Chunked, Framing::Close, Framing::Line] {
                prop_assert_eq!(read(framing, &bytes, &ends), read(framing, &bytes, &[]));
            }
        }
    }
}
