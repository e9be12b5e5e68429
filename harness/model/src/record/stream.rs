//! Streams of HTTP/2 that a server ended without a reply.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a server ended a stream that was open, while the connection went on or was to end in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamEnd {
    /// By REFUSED_STREAM: it says that it has done nothing (RFC 9113, section 8.7).
    Refused,
    /// By GOAWAY, with the last stream that it takes up before this one: it says that it has done nothing
    /// (RFC 9113, section 6.8).
    GoneAway,
    /// By RST_STREAM, with this error code (RFC 9113, section 7).
    Reset(u32),
}

/// Error codes by their numbers (RFC 9113, section 7).
const CODES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

impl StreamEnd {
    /// Whether the server says that it has done nothing of what was asked.
    #[must_use]
    pub const fn is_untouched(self) -> bool {
        match self {
            Self::Refused | Self::GoneAway => true,
            Self::Reset(_) => false,
        }
    }

    /// In one word.
    #[must_use]
    pub fn in_short(self) -> String {
        match self {
            Self::Refused => "refused".to_owned(),
            Self::GoneAway => "gone_away".to_owned(),
            Self::Reset(code) => format!("reset_{code}"),
        }
    }
}

impl fmt::Display for StreamEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str(
                "turned away by REFUSED_STREAM: the server says that it has done nothing of it, so that it can be \
                 sent again",
            ),
            Self::GoneAway => f.write_str(
                "turned away by GOAWAY, which named an earlier stream as the last: the server says that it has done \
                 nothing of it, so that it can be sent again",
            ),
            Self::Reset(code) => match CODES.get(*code as usize) {
                Some(name) => write!(f, "ended without a reply by RST_STREAM ({name})"),
                None => write!(f, "ended without a reply by RST_STREAM (error code {code})"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_names() {
        assert!(StreamEnd::Reset(8).to_string().contains("(CANCEL)"));
        assert!(StreamEnd::Reset(14).to_string().contains("error code 14"));
        assert!(StreamEnd::Refused.is_untouched() && !StreamEnd::Reset(7).is_untouched());
    }
}
