//! The list of protocols. One is a file that implements [`Speak`] on a type, and a line here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rest::{Excerpt, Heard, Wrong};
use super::script::Script;
use super::speak::{Ask, Can, Head, Speak};
use super::text::Text;
use super::{bytes, http, http2, square, websocket};

/// Makes the list of protocols, and hands each call to the one that is spoken.
macro_rules! protocols {
    ($($(#[$meta:meta])* $name:ident ($word:literal) => $speaker:ty,)+) => {
        /// What is spoken on a connection.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum Protocol {
            $($(#[$meta])* #[serde(rename = $word)] $name,)+
        }

        impl Protocol {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word that files have for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// Whether its requests and replies are those of HTTP.
            #[must_use]
            pub const fn is_http(self) -> bool {
                match self {
                    Self::Http | Self::Http2 => true,
                    Self::Square | Self::Bytes | Self::WebSocket => false,
                }
            }

            /// Whether what is said in it is a list of exchanges.
            #[must_use]
            pub const fn has_exchanges(self) -> bool {
                match self {
                    Self::Bytes | Self::WebSocket => true,
                    Self::Square | Self::Http | Self::Http2 => false,
                }
            }

            /// What it can do.
            #[must_use]
            pub const fn can(self) -> Can {
                match self { $(Self::$name => <$speaker as Speak>::CAN,)+ }
            }

            /// The most bytes of a reply that are kept until it can be judged.
            #[must_use]
            pub fn reply_bytes_max(self, script: &Script) -> usize {
                match self { $(Self::$name => <$speaker as Speak>::reply_bytes_max(script),)+ }
            }

            /// The most bytes of a request that a worker reads, but for its body.
            #[must_use]
            pub const fn request_bytes_max(self) -> usize {
                match self { $(Self::$name => <$speaker as Speak>::REQUEST_BYTES_MAX,)+ }
            }

            /// Appends a request, but for its body.
            pub fn encode(self, ask: &Ask, script: &Script, into: &mut Vec<u8>) {
                match self { $(Self::$name => <$speaker>::encode(ask, script, into),)+ }
            }

            /// The body of a request that stands in the script and was not appended with it, as it is long.
            #[must_use]
            pub fn body<'a>(self, ask: &Ask, script: &'a Script) -> Option<&'a Text> {
                match self { $(Self::$name => <$speaker as Speak>::body(ask, script),)+ }
            }

            /// Judges all that has come of a reply. `at_end`: nothing more will come.
            #[must_use]
            pub fn judge(self, ask: &Ask, script: &Script, reply: &[u8], at_end: bool) -> Heard {
                let heard = match self { $(Self::$name => <$speaker>::judge(ask, script, reply, at_end),)+ };
                match heard {
                    Heard::Part if reply.len() > self.reply_bytes_max(script) => Heard::Wrong(Wrong::TooLong),
                    heard => heard,
                }
            }

            /// The first bytes of what a reply says, or of all of it where it says nothing that can be told apart.
            #[must_use]
            pub fn excerpt(self, reply: &[u8]) -> Excerpt {
                match self { $(Self::$name => <$speaker>::excerpt(reply),)+ }
            }

            /// Reads a request, but for its body. `None`: it is not complete.
            #[must_use]
            pub fn read(self, bytes: &[u8]) -> Option<Head> {
                match self { $(Self::$name => <$speaker>::read(bytes),)+ }
            }

            /// The whole reply to a number, given its line. `keeps`: the connection stays open.
            #[must_use]
            pub fn answer(self, line: String, keeps: bool) -> Vec<u8> {
                match self { $(Self::$name => <$speaker>::answer(line, keeps),)+ }
            }

            /// The reply to a request for [`Asked::SomethingElse`](super::Asked::SomethingElse).
            #[must_use]
            pub fn refuse(self, keeps: bool) -> Vec<u8> {
                match self { $(Self::$name => <$speaker>::refuse(keeps),)+ }
            }
        }
    };
}

protocols! {
    /// The square protocol, bare.
    #[default]
    Square("square") => square::Square,
    /// The square protocol over HTTP/1.1.
    Http("http") => http::Http,
    /// HTTP/2: the same requests, each on a stream of its own.
    Http2("http2") => http2::Http2,
    /// Bytes, in exchanges that a description or a scenario lists.
    Bytes("bytes") => bytes::Bytes,
    /// WebSocket: the same exchanges, in messages on a connection that a request over HTTP/1.1 opens.
    WebSocket("websocket") => websocket::WebSocket,
}

#[cfg(test)]
mod tests;
