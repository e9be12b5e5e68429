//! Replies of any length: judged by how they begin, and read to their end without being kept.

use super::REPLY_BYTES_MAX;
use super::body::{Body, Framing, Taken};
use super::reply::{begins_answer, judge_line};
use super::request::Request;

/// What has come of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Less than all of it. If nothing more will come, it was cut short.
    Part,
    /// Enough of it to tell whether it is the right one once it is complete. What follows goes to this, and
    /// nothing of it need be kept.
    Long(Rest),
    /// Not the right one, and it cannot become so.
    Wrong(Wrong),
    /// The right one.
    Right(Right),
}

/// Why a reply is not the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It is longer than what is read: a head, or [`CONTENT_BYTES_MAX`](super::CONTENT_BYTES_MAX).
    TooLong,
    /// It is nothing that the protocol knows.
    Malformed,
    /// It has a status that is not that of success.
    Status(u16),
    /// It is complete and well-formed, and answers something else.
    Answer,
}

/// The right reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// How many bytes it takes. What follows belongs to something else.
    pub bytes: usize,
    /// The version that the server gave of itself, 0 if none, or one that a record cannot hold.
    pub version: u16,
    /// Whether the server would go on over the same connection.
    pub keeps: bool,
    /// For how many seconds the server leaves the connection open once it is idle, where it says so.
    pub idle_s_max: Option<u32>,
}

/// How many first bytes of a reply that is not the answer are kept.
pub const EXCERPT_BYTES_MAX: usize = 128;

/// The first bytes of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start<const MAX: usize> {
    bytes: [u8; MAX],
    length: usize,
}

/// The first bytes of a reply.
pub type Excerpt = Start<EXCERPT_BYTES_MAX>;

/// A reply whose beginning has been judged, and whose end is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    body: Body,
    verdict: Result<u16, Wrong>,
    keeps: Keeps,
}

/// Whether a server would go on over the same connection, and for how many seconds of idleness, if it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keeps {
    pub(super) keeps: bool,
    pub(super) idle_s_max: Option<u32>,
}

/// Content that is to be judged, with its framing, behind a head that has been read.
pub(super) struct Framed<'a> {
    pub(super) framing: Framing,
    /// All that has come of it.
    pub(super) bytes: &'a [u8],
    /// Length of the head.
    pub(super) head_bytes: usize,
    /// Why the head alone makes the reply wrong.
    pub(super) wrong: Option<Wrong>,
    /// Whether the server would go on over the same connection.
    pub(super) keeps: Keeps,
}

impl Keeps {
    /// For as long as anybody likes.
    pub(super) const ALWAYS: Self = Self { keeps: true, idle_s_max: None };
    /// Not at all.
    pub(super) const NEVER: Self = Self { keeps: false, idle_s_max: None };
}

impl<const MAX: usize> Start<MAX> {
    /// The first of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut start = Self { bytes: [0; MAX], length: 0 };
        start.put(bytes);
        start
    }

    /// They themselves.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Goes on with these, as far as there is room.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let count = bytes.len().min(MAX - self.length);
        self.bytes[self.length..self.length + count].copy_from_slice(&bytes[..count]);
        self.length += count;
    }

    pub(super) const fn is_full(&self) -> bool {
        self.length == MAX
    }
}

impl Framed<'_> {
    /// Judges it. The answer is the first line of the content, and stands within the first
    /// [`REPLY_BYTES_MAX`] bytes of it; whatever comes behind it is read and not looked at.
    pub(super) fn judge(&self, request: Request, at_end: bool) -> Heard {
        let mut body = Body::new(self.framing);
        let mut start = Start::<REPLY_BYTES_MAX>::of(&[]);
        let taken = body.take(self.bytes, |some| start.put(some));
        let verdict = || self.verdict(start.as_bytes(), request);
        match taken {
            Taken::Malformed => Heard::Wrong(Wrong::Malformed),
            Taken::TooLong => Heard::Wrong(Wrong::TooLong),
            Taken::End(count) => heard(verdict(), self.head_bytes + count, self.keeps),
            Taken::All if at_end && body.ends_by_close() => match verdict() {
                // Where the close ends the body, half of an answer is no wrong one.
                Err(Wrong::Answer) if begins_answer(start.as_bytes(), request) => Heard::Part,
                verdict => heard(verdict, self.head_bytes + self.bytes.len(), Keeps::NEVER),
            },
            Taken::All if start.is_full() && !at_end => {
                Heard::Long(Rest { body, verdict: verdict(), keeps: self.keeps })
            }
            Taken::All => Heard::Part,
        }
    }

    /// The first bytes of the content.
    pub(super) fn excerpt(&self) -> Excerpt {
        let mut excerpt = Excerpt::of(&[]);
        let _ = Body::new(self.framing).take(self.bytes, |some| excerpt.put(some));
        excerpt
    }

    /// The version that a right answer names, or why it is wrong.
    fn verdict(&self, content: &[u8], request: Request) -> Result<u16, Wrong> {
        let end = content.iter().position(|byte| *byte == b'\n').map_or(content.len(), |at| at + 1);
        self.wrong.map_or_else(|| judge_line(&content[..end], request).ok_or(Wrong::Answer), Err)
    }
}

impl Rest {
    /// The rest of a reply with this body, whose beginning was judged.
    pub(super) const fn new(body: Body, verdict: Result<u16, Wrong>, keeps: Keeps) -> Self {
        Self { body, verdict, keeps }
    }

    /// Goes on with the next piece. Of the right reply, the number of bytes is of this piece. `at_end`:
    /// nothing more will come.
    #[must_use]
    pub fn hear(&mut self, bytes: &[u8], at_end: bool) -> Heard {
        match self.body.take(bytes, |_| {}) {
            Taken::Malformed => Heard::Wrong(Wrong::Malformed),
            Taken::TooLong => Heard::Wrong(Wrong::TooLong),
            Taken::End(count) => heard(self.verdict, count, self.keeps),
            Taken::All if at_end && self.body.ends_by_close() => {
                heard(self.verdict, bytes.len(), Keeps::NEVER)
            }
            Taken::All => Heard::Part,
        }
    }
}

pub(super) fn heard(verdict: Result<u16, Wrong>, bytes: usize, Keeps { keeps, idle_s_max }: Keeps) -> Heard {
    match verdict {
        Ok(version) => Heard::Right(Right { bytes, version, keeps, idle_s_max }),
        Err(why) => Heard::Wrong(why),
    }
}
