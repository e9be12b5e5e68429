//! What is said to a service that has requests of its own, and what counts as its reply: ready to be said, with
//! every placeholder but the number filled in.

use std::ops::Range;

use super::search::Search;
use super::text::{Number, Text};

/// How much of a reply's content is looked at for what is to be in it, in bytes.
pub const LOOKED_BYTES_MAX: usize = 32 << 10;
/// The greatest number that a request has.
const NUMBER_MAX: u64 = (1 << 25) - 1;
/// Bodies up to this long are sent along with the head, in one piece; longer ones from where they lie.
pub(super) const INLINE_BYTES_MAX: usize = 16 << 10;

/// What is said to a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Script {
    /// What every protocol says by itself: numbers are asked for, and squares are right.
    #[default]
    Squares,
    /// HTTP requests.
    Http(Box<HttpScript>),
    /// Bytes.
    Bytes(BytesScript),
    /// Messages, on a connection that a request opens.
    Messages(Box<MessagesScript>),
}

/// HTTP requests, and what counts as their reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpScript {
    /// What attempts ask for.
    pub request: HttpRequest,
    /// What crashes a worker; `None`: no request does.
    pub poison: Option<HttpRequest>,
    /// What counts as served.
    pub reply: HttpReply,
}

/// An HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method, a token.
    pub method: String,
    /// What stands behind it.
    pub target: Text,
    /// Headers of its own. `Host` and `Connection` are ours where they are not among them.
    pub headers: Vec<(String, Text)>,
    /// The body; `None`: there is none.
    pub body: Option<Text>,
}

/// What counts as served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// Statuses that do, at least one.
    pub statuses: Vec<Statuses>,
    /// What the content must be; `None`: anything.
    pub content: Option<Content>,
    /// What names the version.
    pub version: Option<VersionIn>,
}

/// Statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statuses {
    /// This one.
    One(u16),
    /// All that begin with this digit: `2xx`.
    Class(u16),
}

/// What the content of a reply must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// It has this somewhere.
    Contains(Text),
    /// It is this.
    Equals(Text),
    /// It matches this somewhere.
    Matches(Search),
}

/// What names the version of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionIn {
    /// This header.
    Header(String),
    /// The first group of this expression, over the content.
    Content(Search),
}

/// Exchanges of bytes on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BytesScript {
    /// In their order, at least one.
    pub exchanges: Vec<Exchange>,
    /// How many of them, from the first on, are made once on each connection.
    pub once: usize,
    /// What is sent instead of the first that is sent for each request, to crash a worker; `None`: nothing does.
    pub poison: Option<Text>,
    /// Whether the server ends the connection, and not the client.
    pub server_closes: bool,
}

/// A request over HTTP that opens a connection, and messages on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagesScript {
    /// The request, of which target and headers count.
    pub open: HttpRequest,
    /// What is said in messages, a message for each that is sent; there may be none.
    pub messages: BytesScript,
}

/// Bytes that are sent, and those that are to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// What is sent; empty: the server speaks first.
    pub send: Text,
    /// What counts as the answer.
    pub expect: Expect,
}

/// What counts as an answer. All of what is given must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// Where the answer ends.
    pub end: AnswerEnd,
    /// How it begins.
    pub starts_with: Option<Text>,
    /// What it matches somewhere.
    pub matches: Option<Search>,
}

/// Where an answer ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerEnd {
    /// It is just this.
    Equals(Text),
    /// Behind the first occurrence of this.
    Until(Text),
    /// After so many bytes.
    Bytes(usize),
    /// As soon as it is right, with all that has come by then.
    WhenRight,
}

/// Why requests cannot be sent at once, before any reply came, or share a connection as a scenario wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAtOnce {
    /// They are kept together while they are sent.
    #[error(
        "requests that are sent at once have bodies of at most {INLINE_BYTES_MAX} bytes, and one of its own has {bytes}: \
         leave `pipeline` out, or send a shorter one"
    )]
    LongBody {
        /// How long one is at most, in bytes.
        bytes: usize,
    },
    /// Replies come in any order.
    #[error(
        "over HTTP/2 requests that are sent at once are streams, which the attempts of a pool share a connection for: \
         write `pool` in place of `pipeline` and `requests`"
    )]
    Streams,
    /// What is sent at once is one message.
    #[error("messages each wait for the answer to the one before: leave `pipeline` out")]
    Messages,
    /// A connection is opened for one client.
    #[error("over WebSocket a connection is its client's own: leave `pool` out, or write `requests`")]
    Pool,
    /// Nothing is left to be said behind the first request.
    #[error(
        "behind the request that opens the connection nothing is said: describe an [[exchange]], or leave `requests` out"
    )]
    Silent,
    /// Each waits for an answer itself.
    #[error(
        "requests that are sent at once wait for no answer in between, and its own have several exchanges that send: \
         leave `pipeline` out, or describe one"
    )]
    Turns,
    /// Nothing shows where an answer ends and the next begins.
    #[error(
        "the answers to requests that are sent at once come one behind the other, and nothing shows where its own \
         end: leave `pipeline` out, or say `until`, `bytes` or `equals`"
    )]
    Endless,
}

impl Script {
    /// Whether several requests of a connection may be sent before any reply came.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn may_be_sent_at_once(&self) -> Result<(), NotAtOnce> {
        match self {
            Self::Squares | Self::Messages(_) => Ok(()),
            Self::Http(http) => {
                let longest = Number::new(NUMBER_MAX);
                let requests = [Some(&http.request), http.poison.as_ref()].into_iter().flatten();
                let bodies = requests.filter_map(|request| Some(request.body.as_ref()?.length(&longest)));
                match bodies.max() {
                    Some(bytes) if bytes > INLINE_BYTES_MAX => Err(NotAtOnce::LongBody { bytes }),
                    Some(_) | None => Ok(()),
                }
            }
            Self::Bytes(_) if self.turns(1).len() > 1 => Err(NotAtOnce::Turns),
            Self::Bytes(bytes) => {
                let is_endless = |exchange: &Exchange| exchange.expect.end == AnswerEnd::WhenRight;
                if bytes.exchanges.iter().any(is_endless) { Err(NotAtOnce::Endless) } else { Ok(()) }
            }
        }
    }

    /// Whether a request of its own can crash a worker. Where it cannot, the harness has to.
    #[must_use]
    pub const fn has_poison(&self) -> bool {
        match self {
            Self::Squares => true,
            Self::Http(http) => http.poison.is_some(),
            Self::Bytes(bytes) => bytes.poison.is_some(),
            Self::Messages(script) => script.messages.poison.is_some(),
        }
    }

    /// Whether the server ends the connection behind the last reply, if the service says so itself.
    #[must_use]
    pub const fn server_closes(&self) -> Option<bool> {
        match self {
            Self::Squares | Self::Http(_) => None,
            Self::Bytes(bytes) => Some(bytes.server_closes),
            Self::Messages(script) => Some(script.messages.server_closes),
        }
    }

    /// Of which turns, by their numbers, a request on a connection consists, counted from 0. What a server says
    /// before anything is sent is heard once on each connection, and a login made once.
    #[must_use]
    pub fn turns(&self, request: u16) -> Range<u16> {
        // How many turns come before those that are listed: a request that opens the connection.
        let (before, bytes) = match self {
            Self::Squares | Self::Http(_) => return 0..1,
            Self::Bytes(bytes) => (0, bytes),
            Self::Messages(script) => (1, &script.messages),
        };
        let turn = |index: usize| u16::try_from(before + index).unwrap_or(u16::MAX);
        let (first, end) = (turn(bytes.once), turn(bytes.exchanges.len()));
        if request == 0 { 0..end } else { first..end }
    }
}

impl HttpScript {
    /// A GET of a path, to which any complete reply with a status of success is right.
    #[must_use]
    pub fn get(path: &str) -> Self {
        let request = HttpRequest {
            method: "GET".to_owned(),
            target: Text::new(path.as_bytes().to_vec(), Vec::new()),
            headers: Vec::new(),
            body: None,
        };
        Self { request, poison: None, reply: HttpReply::default() }
    }
}

impl Default for HttpReply {
    fn default() -> Self {
        Self { statuses: vec![Statuses::Class(2)], content: None, version: None }
    }
}

impl HttpReply {
    /// Whether this status is one that counts as served.
    pub(super) fn asks_for(&self, status: u16) -> bool {
        self.statuses.iter().any(|statuses| match statuses {
            Statuses::One(one) => *one == status,
            Statuses::Class(class) => status / 100 == *class,
        })
    }

    /// Whether the content must be looked at.
    pub(super) fn looks(&self) -> bool {
        self.content.is_some() || matches!(self.version, Some(VersionIn::Content(_)))
    }
}

impl BytesScript {
    /// Which exchange is the first that sends anything of a request, and not of what comes once before it.
    pub(super) fn first_sent(&self) -> Option<usize> {
        let of_request =
            |(index, exchange): &(usize, &Exchange)| *index >= self.once && !exchange.send.is_empty();
        self.exchanges.iter().enumerate().find(of_request).map(|(index, _)| index)
    }
}

/// The version that a text names: a whole number, or `v` and one; 0 where it is none that a record can hold.
pub(super) fn version_of(text: &[u8]) -> u16 {
    let text = text.trim_ascii();
    let digits = text.strip_prefix(b"v").unwrap_or(text);
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
