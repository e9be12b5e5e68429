//! What to write into a description so that a service gives the right reply that has not given one.

use holdline_model::answer::Answer;
use holdline_model::reason::Remedy;
use holdline_model::tls::TlsFailure;
use holdline_model::wire::Protocol;

use crate::load::Way;

/// An alert of TLS, by its first bytes (RFC 8446, section 5.1).
const TLS_ALERT: &str = "\x15\x03";

/// What came last, and what came of asking in other ways.
pub(super) fn remedy(came: Option<&Answer>, otherwise: &[(Way, Answer)], protocol: Protocol) -> Remedy {
    if came.and_then(Answer::said).is_some_and(wants_tls) {
        return Remedy::SpeaksTls;
    }
    let is_http1 = |said: &str| said.starts_with("HTTP/1.");
    if protocol == Protocol::Http2 && came.and_then(Answer::said).is_some_and(is_http1) {
        return Remedy::SpeaksHttp1;
    }
    let is_asked_for_http2 = matches!(protocol, Protocol::Http2 | Protocol::WebSocket);
    if !is_asked_for_http2 && came.and_then(Answer::said).is_some_and(begins_http2) {
        return Remedy::SpeaksHttp2;
    }
    // One who takes no notice of a header answers as before.
    let is_silent = !came.is_some_and(speaks_plainly);
    let shown = otherwise.iter().find_map(|(way, answer)| match way {
        Way::OverTls => speaks_tls(answer).then_some(Remedy::SpeaksTls),
        Way::WithoutTls => speaks_plainly(answer).then_some(Remedy::SpeaksNoTls),
        Way::BehindHeader => (is_silent && speaks_plainly(answer)).then_some(Remedy::ExpectsHeader),
        Way::WithoutHeader => (is_silent && speaks_plainly(answer)).then_some(Remedy::ExpectsNoHeader),
        Way::OverHttp1 => answer.is_served().then_some(Remedy::SpeaksHttp1),
        Way::OverHttp2 => answer.is_served().then_some(Remedy::SpeaksHttp2),
    });
    shown.or_else(|| came.and_then(of_handshake)).unwrap_or(match protocol {
        Protocol::Square => Remedy::SayProtocol,
        Protocol::Http | Protocol::Http2 => Remedy::SayRequest,
        Protocol::Bytes => Remedy::SayExchanges,
        Protocol::WebSocket => Remedy::SayOpening,
    })
}

/// Whether this is what a server says in plain text that expects TLS: an alert, or what web servers tell
/// people (nginx, Apache, Go).
fn wants_tls(said: &str) -> bool {
    const TOLD: [&str; 3] = [
        "The plain HTTP request was sent to HTTPS port",
        "speaking plain HTTP to an SSL-enabled server port",
        "Client sent an HTTP request to an HTTPS server",
    ];
    said.starts_with(TLS_ALERT) || TOLD.iter().any(|told| said.contains(told))
}

/// Whether this is how a server begins HTTP/2, whoever asks for what: an empty or a short frame of settings (RFC 9113,
/// section 3.4 and 6.5).
fn begins_http2(said: &str) -> bool {
    const SETTINGS: char = '\u{4}';
    let begun: Vec<char> = said.chars().take(9).collect();
    matches!(begun[..], ['\0', _, _, SETTINGS, '\0', '\0', '\0', '\0', '\0'])
}

/// Whether somebody answered who speaks TLS.
fn speaks_tls(answer: &Answer) -> bool {
    match answer {
        Answer::Served { .. } | Answer::Late { .. } | Answer::Wrong { .. } => true,
        Answer::Tls { failure, .. } => match failure {
            TlsFailure::Cut | TlsFailure::Reset | TlsFailure::NotTls => false,
            TlsFailure::Alert(_)
            | TlsFailure::Untrusted
            | TlsFailure::Expired
            | TlsFailure::NotYetValid
            | TlsFailure::WrongName
            | TlsFailure::Revoked
            | TlsFailure::BadCertificate
            | TlsFailure::NoProtocol
            | TlsFailure::Incompatible
            | TlsFailure::Violation => true,
        },
        // What was cut was cut behind the handshake.
        Answer::Cut { .. } => true,
        Answer::Refused | Answer::NoPath | Answer::TimedOut { .. } | Answer::NotAsked { .. } => false,
    }
}

/// Whether somebody answered who speaks no TLS. One who merely speaks TLS may tell a plain client so in plain words.
fn speaks_plainly(answer: &Answer) -> bool {
    match answer {
        Answer::Served { .. } | Answer::Late { .. } => true,
        Answer::Wrong { status, .. } => *status != Some(400),
        Answer::Cut { .. }
        | Answer::Refused
        | Answer::NoPath
        | Answer::Tls { .. }
        | Answer::TimedOut { .. }
        | Answer::NotAsked { .. } => false,
    }
}

/// What to write where the handshake failed.
fn of_handshake(came: &Answer) -> Option<Remedy> {
    let Answer::Tls { failure, .. } = came else { return None };
    Some(match failure {
        TlsFailure::Untrusted | TlsFailure::BadCertificate | TlsFailure::Revoked => Remedy::SayAuthority,
        TlsFailure::Expired | TlsFailure::NotYetValid => Remedy::RenewCertificate,
        // unrecognized_name
        TlsFailure::WrongName | TlsFailure::Alert(112) => Remedy::SayServerName,
        // certificate_unknown, handshake_failure, bad_certificate, unknown_ca, access_denied, certificate_required
        TlsFailure::Alert(40 | 42 | 46 | 48 | 49 | 116) => Remedy::SayClientCertificate,
        // no_application_protocol
        TlsFailure::NoProtocol | TlsFailure::Alert(120) => Remedy::SayAlpn,
        TlsFailure::NotTls => Remedy::SpeaksNoTls,
        TlsFailure::Incompatible => Remedy::SpeakSafely,
        TlsFailure::Cut | TlsFailure::Reset | TlsFailure::Alert(_) | TlsFailure::Violation => {
            Remedy::LookAtHandshake
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_expects_tls_is_told_from_who_does_not() {
        for said in [
            "\x15\x03\x01\0\x02\x02\x46",
            "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
            "<center>The plain HTTP request was sent to HTTPS port</center>",
        ] {
            assert!(wants_tls(said), "{said:?}");
        }
        assert!(!wants_tls("HTTP/1.1 400 Bad Request\r\n\r\n") && !wants_tls(""));
    }

    #[test]
    fn who_begins_http2_unasked_speaks_it() {
        let wrong = |said: &str| Some(Answer::Wrong { status: None, said: said.to_owned() });
        let cut = |said: &str| Some(Answer::Cut { said: said.to_owned() });
        for came in [wrong("\0\0\0\u{4}\0\0\0\0\0"), cut("\0\0\u{12}\u{4}\0\0\0\0\0\0\u{3}\0\0\0\u{fffd}")] {
            for protocol in [Protocol::Square, Protocol::Http, Protocol::Bytes] {
                assert_eq!(remedy(came.as_ref(), &[], protocol), Remedy::SpeaksHttp2, "{came:?}");
            }
        }
        assert_eq!(remedy(wrong("\0\0\0\u{4}").as_ref(), &[], Protocol::Http), Remedy::SayRequest);
    }
}
