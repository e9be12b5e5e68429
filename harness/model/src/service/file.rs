//! What a service understands, as descriptions and scenarios write it. The JSON Schema of these types describes
//! them for editors; what they mean is checked in `validate`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::file::{At, Never, OneOf, Table, read_one_of};

/// An HTTP request. In path, values of headers and body, {n} is the attempt's number and {env.NAME} the value of an
/// environment variable of holdline's, which no report shows.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RequestFile {
    /// The method. Default: GET, or POST where there is a body.
    pub method: Option<At<String>>,
    /// The path, with the query if there is one. Default: /.
    pub path: Option<At<String>>,
    /// Headers. Host and Connection are set where they are not among them.
    #[serde(default)]
    pub headers: Table<String>,
    /// The body. Default: none.
    pub body: Option<At<String>>,
    /// The file that holds the body, relative to the folder of this one. One that is text may have placeholders.
    pub body_file: Option<At<String>>,
}

/// What counts as served, over HTTP.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReplyFile {
    /// Statuses that do. Default: 2xx.
    pub status: Option<At<Vec<At<StatusFile>>>>,
    /// What the content has somewhere in its first 32 KiB; {n} and {env.NAME} are as in requests.
    pub contains: Option<At<String>>,
    /// A regular expression that it matches somewhere in its first 32 KiB.
    pub matches: Option<At<String>>,
    /// What it is, up to 32 KiB; {n} and {env.NAME} are as in requests.
    pub equals: Option<At<String>>,
    /// How an answer names its version, a whole number. Default: it does not.
    pub version: Option<At<VersionFile>>,
}

/// A status, or a class of them.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum StatusFile {
    /// One, 100 to 599.
    Number(i64),
    /// A class such as 2xx.
    Class(String),
}

/// How an answer names its version: exactly one of these.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VersionFile {
    /// The header that holds it.
    pub header: Option<At<String>>,
    /// A regular expression over the first 32 KiB of the content, whose first group is it.
    pub matches: Option<At<String>>,
}

/// What crashes a worker: whether a request that makes no sense does, or a request that does.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum PoisonChoiceFile {
    /// Whether a request that makes no sense can make its workers fail.
    Whether(bool),
    /// A request that does.
    Request(Box<PoisonRequestFile>),
}

/// A request that crashes a worker: over HTTP as a request is written, over bytes what is sent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PoisonRequestFile {
    /// As in a request.
    pub method: Option<At<String>>,
    /// As in a request.
    pub path: Option<At<String>>,
    /// As in a request.
    #[serde(default)]
    pub headers: Table<String>,
    /// As in a request.
    pub body: Option<At<String>>,
    /// As in a request.
    pub body_file: Option<At<String>>,
    /// Sent in place of the first bytes that are sent.
    pub send: Option<At<String>>,
    /// The same in hexadecimal.
    pub send_hex: Option<At<String>>,
}

/// Bytes that are sent, and what counts as their answer. In `send`, `equals`, `starts-with` and `until`, {n} is the
/// attempt's number, {env.NAME} an environment variable, and \r \n \t \0 \\ \xFF are escapes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExchangeFile {
    /// What is sent. Default: nothing, the server speaks first.
    pub send: Option<At<String>>,
    /// The same in hexadecimal.
    pub send_hex: Option<At<String>>,
    /// What counts as the answer.
    pub expect: At<AnswerFile>,
    /// Whether it is made once on each connection, as a login is, and not anew for each request of a session. Those
    /// that are come first. Default: false, but true where the server speaks first.
    pub once: Option<At<bool>>,
}

/// What counts as an answer: all of what is given. It ends behind `until`, after `bytes`, or with `equals`; else as
/// soon as it is right.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AnswerFile {
    /// What it is.
    pub equals: Option<At<String>>,
    /// The same in hexadecimal.
    pub equals_hex: Option<At<String>>,
    /// How it begins.
    pub starts_with: Option<At<String>>,
    /// The same in hexadecimal.
    pub starts_with_hex: Option<At<String>>,
    /// Behind the first occurrence of what it ends.
    pub until: Option<At<String>>,
    /// The same in hexadecimal.
    pub until_hex: Option<At<String>>,
    /// A regular expression that it matches somewhere.
    pub matches: Option<At<String>>,
    /// Its length, 1 to 67108864.
    pub bytes: Option<At<i64>>,
}

/// Who ends the connection behind the last exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CloseFile {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// All that a file says of what a service understands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServiceFile<'a> {
    pub(crate) request: Option<&'a At<RequestFile>>,
    pub(crate) reply: Option<&'a At<ReplyFile>>,
    pub(crate) poison: Option<&'a At<PoisonChoiceFile>>,
    pub(crate) exchange: &'a [At<ExchangeFile>],
    pub(crate) close: Option<&'a At<CloseFile>>,
}

read_one_of!(
    StatusFile,
    OneOf::<Self, Never>::new("a status such as 404, or a class such as \"2xx\"")
        .number(Self::Number)
        .text(|text| Ok(Self::Class(text.to_owned())))
);
read_one_of!(
    PoisonChoiceFile,
    OneOf::<Self, PoisonRequestFile>::new("true, false, or a table of a request that crashes a worker")
        .boolean(Self::Whether)
        .table(|table| Self::Request(Box::new(table)))
);
