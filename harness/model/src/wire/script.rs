//! What is said to a service that has requests of its own, and what counts as its reply: ready to be said, with
//! every placeholder but the number filled in.

use std::ops::Range;

use super::search::Search;
use super::text::Text;

/// How much of a reply's content is looked at for what is to be in it, in bytes.
pub const LOOKED_BYTES_MAX: usize = 32 << 10;

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
    /// What is sent instead of the first that is sent, to crash a worker; `None`: nothing does.
    pub poison: Option<Text>,
    /// Whether the server ends the connection, and not the client.
    pub server_closes: bool,
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

impl Script {
    /// Whether a request of its own can crash a worker. Where it cannot, the harness has to.
    #[must_use]
    pub const fn has_poison(&self) -> bool {
        match self {
            Self::Squares => true,
            Self::Http(http) => http.poison.is_some(),
            Self::Bytes(bytes) => bytes.poison.is_some(),
        }
    }

    /// Whether the server ends the connection behind the last reply, if the service says so itself.
    #[must_use]
    pub const fn server_closes(&self) -> Option<bool> {
        match self {
            Self::Squares | Self::Http(_) => None,
            Self::Bytes(bytes) => Some(bytes.server_closes),
        }
    }

    /// Of which turns, by their numbers, a request on a connection consists, counted from 0. What a server says
    /// before anything is sent is heard once on each connection.
    #[must_use]
    pub fn turns(&self, request: u16) -> Range<u16> {
        let Self::Bytes(bytes) = self else { return 0..1 };
        let end = u16::try_from(bytes.exchanges.len()).unwrap_or(u16::MAX);
        let first = bytes.first_sent().and_then(|index| u16::try_from(index).ok()).unwrap_or(0);
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
    /// Which exchange is the first that sends anything.
    pub(super) fn first_sent(&self) -> Option<usize> {
        self.exchanges.iter().position(|exchange| !exchange.send.is_empty())
    }
}

/// The version that a text names: a whole number, or `v` and one; 0 where it is none that a record can hold.
pub(super) fn version_of(text: &[u8]) -> u16 {
    let text = text.trim_ascii();
    let digits = text.strip_prefix(b"v").unwrap_or(text);
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
