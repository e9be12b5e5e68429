//! What to write where a service gave no right reply.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to write into the description of a service that gives no right reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// It speaks TLS, and was asked in plain text.
    SpeaksTls,
    /// It was asked over TLS, and speaks none.
    SpeaksNoTls,
    /// Whose signature counts.
    SayAuthority,
    /// Its certificate is not valid now.
    RenewCertificate,
    /// Which name its certificate has.
    SayServerName,
    /// By which certificate the client shows who it is.
    SayClientCertificate,
    /// Which protocols are offered in the handshake.
    SayAlpn,
    /// It speaks no version or cipher that is held to be safe.
    SpeakSafely,
    /// What it says itself of the handshake.
    LookAtHandshake,
    /// It answers only behind a header of the PROXY protocol.
    ExpectsHeader,
    /// It answers only without one.
    ExpectsNoHeader,
    /// It speaks HTTP/1.1, and was asked over HTTP/2.
    SpeaksHttp1,
    /// It speaks HTTP/2, and was asked otherwise.
    SpeaksHttp2,
    /// What it is asked over HTTP, and what counts as its reply.
    SayRequest,
    /// By which request it is opened.
    SayOpening,
    /// What is sent and what is expected.
    SayExchanges,
    /// Which protocol it speaks.
    #[serde(other)]
    SayProtocol,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SpeaksTls => {
                "It speaks TLS, and was asked in plain text: write `[tls]` into its description, with `ca = \"ca.pem\"` for \
                 whose signature counts, or `insecure = true`"
            }
            Self::SpeaksNoTls => {
                "It speaks no TLS here: take `[tls]` out of its description, or let it listen with TLS"
            }
            Self::SayAuthority => {
                "Write `ca = \"ca.pem\"` below `[tls]`, with the certificate of whoever has signed the server's, or \
                 `insecure = true`"
            }
            Self::RenewCertificate => {
                "Give the service a certificate that is valid now, or write `insecure = true` below `[tls]`"
            }
            Self::SayServerName => {
                "Write `server-name` below `[tls]`, with a name that the service has a certificate for"
            }
            Self::SayClientCertificate => {
                "Where the service wants to know who asks, write `client-cert = \"client.pem\"` and `client-key = \
                 \"client.key\"` below `[tls]`"
            }
            Self::SayAlpn => {
                "Write `protocol = \"http2\"` into its description if it speaks HTTP/2 alone, else `alpn` below `[tls]`, with the \
                 protocols that the service offers"
            }
            Self::SpeakSafely => {
                "holdline speaks TLS 1.2 and 1.3, with ciphers that are held to be safe: let the service speak one of them"
            }
            Self::ExpectsHeader => {
                "It answers where a header of the PROXY protocol comes first: write `proxy = \"v1\"`, or `\"v2\"`, below the \
                 scenario's `[load]`"
            }
            Self::ExpectsNoHeader => {
                "It answers where no header of the PROXY protocol comes first: take `proxy` out of the scenario's `[load]`"
            }
            Self::SpeaksHttp1 => {
                "It speaks HTTP/1.1 here, and was asked over HTTP/2: write `protocol = \"http\"` into its description, or let it \
                 listen for HTTP/2"
            }
            Self::SpeaksHttp2 => {
                "It speaks HTTP/2 here, and was asked otherwise: write `protocol = \"http2\"` into its description"
            }
            Self::LookAtHandshake => "Look into what the service itself says of the handshake",
            Self::SayRequest => {
                "If the service answers something else, say in its description what it is asked and what counts as \
                 its reply, by [request] and [reply], or write `ready = { request = \"/healthz\" }` with a path that \
                 it serves"
            }
            Self::SayOpening => {
                "It does not open a connection of WebSocket for this request, or answers other messages: say the path and the \
                 headers that it wants by [request], and messages by [[exchange]]"
            }
            Self::SayExchanges => {
                "If the service answers something else, say in its description what is sent and what is expected, \
                 by [[exchange]]"
            }
            Self::SayProtocol => {
                "If the service answers something else, name its `protocol` in its description, and what it is asked"
            }
        })?;
        f.write_str("; `ready = { reply = false }` asks nothing before the load")
    }
}
