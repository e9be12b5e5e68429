//! Why a TLS handshake came to nothing.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a TLS handshake came to nothing, or what the protocol broke on behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsFailure {
    /// The server ended the connection (FIN) before the handshake was over.
    Cut,
    /// It reset the connection before that.
    Reset,
    /// It refused by an alert, of this number (RFC 8446, section 6).
    Alert(u8),
    /// Nobody whom the client trusts has signed the server's certificate.
    Untrusted,
    /// The server's certificate is not valid any more.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It does not bear the name that was asked for.
    WrongName,
    /// It was revoked.
    Revoked,
    /// It is wrong in another way: malformed, for another purpose, with a signature that does not fit.
    BadCertificate,
    /// What the server said is no TLS.
    NotTls,
    /// Server and client have no protocol in common (ALPN).
    NoProtocol,
    /// They have no version, cipher or signature in common.
    Incompatible,
    /// The server broke the rules of TLS.
    Violation,
}

impl TlsFailure {
    /// All but alerts.
    pub const NAMED: [Self; 12] = [
        Self::Cut,
        Self::Reset,
        Self::Untrusted,
        Self::Expired,
        Self::NotYetValid,
        Self::WrongName,
        Self::Revoked,
        Self::BadCertificate,
        Self::NotTls,
        Self::NoProtocol,
        Self::Incompatible,
        Self::Violation,
    ];

    /// Whether the connection ended, and nobody said why.
    #[must_use]
    pub const fn is_cut(self) -> bool {
        match self {
            Self::Cut | Self::Reset => true,
            Self::Alert(_)
            | Self::Untrusted
            | Self::Expired
            | Self::NotYetValid
            | Self::WrongName
            | Self::Revoked
            | Self::BadCertificate
            | Self::NotTls
            | Self::NoProtocol
            | Self::Incompatible
            | Self::Violation => false,
        }
    }

    /// Whether it is the client that will not have the server's certificate.
    #[must_use]
    pub const fn is_of_certificate(self) -> bool {
        match self {
            Self::Untrusted
            | Self::Expired
            | Self::NotYetValid
            | Self::WrongName
            | Self::Revoked
            | Self::BadCertificate => true,
            Self::Cut
            | Self::Reset
            | Self::Alert(_)
            | Self::NotTls
            | Self::NoProtocol
            | Self::Incompatible
            | Self::Violation => false,
        }
    }

    /// In one word; an alert with its number.
    #[must_use]
    pub fn in_short(self) -> String {
        match self {
            Self::Cut => "cut".to_owned(),
            Self::Reset => "reset".to_owned(),
            Self::Alert(number) => format!("alert_{number}"),
            Self::Untrusted => "untrusted".to_owned(),
            Self::Expired => "expired".to_owned(),
            Self::NotYetValid => "not_yet_valid".to_owned(),
            Self::WrongName => "wrong_name".to_owned(),
            Self::Revoked => "revoked".to_owned(),
            Self::BadCertificate => "bad_certificate".to_owned(),
            Self::NotTls => "not_tls".to_owned(),
            Self::NoProtocol => "no_protocol".to_owned(),
            Self::Incompatible => "incompatible".to_owned(),
            Self::Violation => "violation".to_owned(),
        }
    }
}

/// In words that fit "the TLS handshake failed: …".
impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "the server closed the connection before it was over",
            Self::Reset => "the server reset the connection before it was over",
            Self::Alert(number) => {
                return match alert(*number) {
                    Some(name) => write!(f, "the server refused by the alert {name} ({number})"),
                    None => write!(f, "the server refused by an alert of unknown number {number}"),
                };
            }
            Self::Untrusted => "nobody who is trusted has signed the server's certificate",
            Self::Expired => "the server's certificate has expired",
            Self::NotYetValid => "the server's certificate is not valid yet",
            Self::WrongName => "the server's certificate bears another name",
            Self::Revoked => "the server's certificate was revoked",
            Self::BadCertificate => "the server's certificate is malformed, or made for something else",
            Self::NotTls => "what the server said is no TLS",
            Self::NoProtocol => "server and client have no protocol in common (ALPN)",
            Self::Incompatible => "server and client have no version, cipher or signature in common",
            Self::Violation => "the server broke the rules of TLS",
        })
    }
}

/// The name of an alert (RFC 8446, section 6; those that only older versions have: RFC 5246, section 7.2).
const fn alert(number: u8) -> Option<&'static str> {
    Some(match number {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => return None,
    })
}
