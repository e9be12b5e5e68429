//! What a service understands and what counts as its reply, as a description or a scenario says it: for programs
//! that are run as they are, and answer no squares.

pub mod file;
mod fill;
mod template;
mod validate;

pub use self::fill::{FillProblem, Outside, ReadFile};
pub use self::template::Template;
pub(crate) use self::validate::service;

use crate::wire::{Search, Statuses};

/// What a file says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// What attempts ask for, over HTTP.
    pub request: Option<Request>,
    /// What counts as served, over HTTP.
    pub reply: Option<Reply>,
    /// What crashes a worker.
    pub poison: Option<PoisonRequest>,
    /// What is said over bare bytes.
    pub exchanges: Option<Exchanges>,
}

/// Which file says it, whose folder paths are relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The description of the service.
    Description,
    /// The scenario.
    Scenario,
}

/// An HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query, as they are written.
    pub path: String,
    /// The same, to be filled in.
    pub target: Template,
    /// Headers, in their order.
    pub headers: Vec<(String, Template)>,
    /// The body; `None`: there is none.
    pub body: Option<Body>,
    /// Which file says it.
    pub origin: Origin,
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A text.
    Text(Template),
    /// A file, by its path.
    File(String),
}

/// What counts as served, over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Statuses that do.
    pub statuses: Vec<Statuses>,
    /// What the content must be.
    pub content: Option<Content>,
    /// What names the version.
    pub version: Option<VersionIn>,
}

/// What the content of a reply must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// It has this somewhere.
    Contains(Template),
    /// It is this.
    Equals(Template),
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

/// What crashes a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoisonRequest {
    /// An HTTP request.
    Http(Request),
    /// Bytes, in place of the first that are sent.
    Bytes(Template),
}

/// What is said over bare bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanges {
    /// In their order, at least one.
    pub all: Vec<Exchange>,
    /// How many of them, from the first on, are made once on each connection: fewer than all, unless none sends.
    pub once: usize,
    /// Whether the server ends the connection, and not the client.
    pub server_closes: bool,
}

/// Bytes that are sent, and those that are to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// What is sent; empty: the server speaks first.
    pub send: Template,
    /// Where the answer ends.
    pub end: AnswerEnd,
    /// How it begins.
    pub starts_with: Option<Template>,
    /// What it matches somewhere.
    pub matches: Option<Search>,
}

/// Where an answer ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerEnd {
    /// It is just this.
    Equals(Template),
    /// Behind the first occurrence of this.
    Until(Template),
    /// After so many bytes.
    Bytes(usize),
    /// As soon as it is right, with all that has come by then.
    WhenRight,
}

impl Exchanges {
    /// Whether nothing is sent, and the server does all the talking: who is greeted has asked for nothing.
    #[must_use]
    pub fn listen(&self) -> bool {
        self.all.iter().all(|exchange| exchange.send.is_empty())
    }
}

impl Service {
    /// What this says, overridden by what another file says.
    #[must_use]
    pub fn overridden_by(&self, other: &Self) -> Self {
        Self {
            request: other.request.as_ref().or(self.request.as_ref()).cloned(),
            reply: other.reply.as_ref().or(self.reply.as_ref()).cloned(),
            poison: other.poison.as_ref().or(self.poison.as_ref()).cloned(),
            exchanges: other.exchanges.as_ref().or(self.exchanges.as_ref()).cloned(),
        }
    }

    /// Whether it says nothing of requests over HTTP: then squares are asked for.
    #[must_use]
    pub const fn asks_squares(&self) -> bool {
        self.request.is_none() && self.reply.is_none()
    }
}

impl Request {
    /// Whether it does nothing to a service, by what its method means (RFC 9110, section 9.2.1).
    #[must_use]
    pub fn is_safe(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }
}

#[cfg(test)]
mod tests;
