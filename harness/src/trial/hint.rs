//! What to write into a description so that a service gives the right reply that has not given one.

use holdline_model::answer::Answer;
use holdline_model::tls::{Certificate, TlsFailure};

/// What else may be tried where nothing else is known.
const ELSE: &str = "If the service answers something else, write `ready = { request = \"/healthz\" }` with a path that it \
                    serves into its description; `ready = { reply = false }` asks nothing before the load";

/// What came last, and what came of asking the other way round: over TLS for without, and without for over.
pub(super) fn remedy(is_over_tls: bool, came: Option<&Answer>, otherwise: Option<&Answer>) -> String {
    match (is_over_tls, otherwise) {
        (false, Some(answer)) if speaks_tls(answer) => {
            "The service speaks TLS, and was asked without: write `[tls]` into its description, with `ca = \
             \"ca.pem\"` for whose signature counts, or `insecure = true`"
                .to_owned()
        }
        (true, Some(answer)) if speaks_plainly(answer) => {
            "The service speaks no TLS here: take `[tls]` out of its description, or let it listen with TLS"
                .to_owned()
        }
        _ => came.and_then(of_handshake).unwrap_or_else(|| ELSE.to_owned()),
    }
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
        Answer::Refused | Answer::TimedOut { .. } | Answer::NotAsked { .. } => false,
    }
}

/// Whether somebody answered who speaks no TLS. One who merely speaks TLS may tell a plain client so in plain words.
fn speaks_plainly(answer: &Answer) -> bool {
    match answer {
        Answer::Served { .. } | Answer::Late { .. } => true,
        Answer::Wrong { status, .. } => *status != Some(400),
        Answer::Cut { .. }
        | Answer::Refused
        | Answer::Tls { .. }
        | Answer::TimedOut { .. }
        | Answer::NotAsked { .. } => false,
    }
}

/// What to write where the handshake failed.
fn of_handshake(came: &Answer) -> Option<String> {
    let Answer::Tls { failure, certificate, .. } = came else { return None };
    let name = certificate.as_deref().and_then(first_name);
    let what = match failure {
        TlsFailure::Untrusted | TlsFailure::BadCertificate | TlsFailure::Revoked => {
            "Write `ca = \"ca.pem\"` below `[tls]`, with the certificate of whoever has signed the server's, or \
             `insecure = true`"
                .to_owned()
        }
        TlsFailure::Expired | TlsFailure::NotYetValid => {
            "Give the service a certificate that is valid now, or write `insecure = true` below `[tls]`".to_owned()
        }
        TlsFailure::WrongName => format!(
            "Write `server-name = \"{}\"` below `[tls]`, as the server's certificate has it",
            name.unwrap_or("the name in it")
        ),
        // certificate_unknown, handshake_failure, bad_certificate, unknown_ca, access_denied, certificate_required
        TlsFailure::Alert(40 | 42 | 46 | 48 | 49 | 116) => {
            "Where the service wants to know who asks, write `client-cert = \"client.pem\"` and `client-key = \
             \"client.key\"` below `[tls]`"
                .to_owned()
        }
        // unrecognized_name
        TlsFailure::Alert(112) => {
            "Write `server-name` below `[tls]`, with a name that the service has a certificate for".to_owned()
        }
        // no_application_protocol
        TlsFailure::NoProtocol | TlsFailure::Alert(120) => {
            "Write `alpn` below `[tls]`, with the protocols that the service offers".to_owned()
        }
        TlsFailure::NotTls => {
            "The service speaks no TLS here: take `[tls]` out of its description, or let it listen with TLS".to_owned()
        }
        TlsFailure::Incompatible => {
            "holdline speaks TLS 1.2 and 1.3, with ciphers that are held to be safe: let the service speak one of them"
                .to_owned()
        }
        TlsFailure::Cut | TlsFailure::Reset | TlsFailure::Alert(_) | TlsFailure::Violation => {
            "Look into what the service itself says of the handshake; `ready = { reply = false }` asks nothing before \
             the load"
                .to_owned()
        }
    };
    Some(what)
}

fn first_name(certificate: &Certificate) -> Option<&str> {
    certificate.names.iter().map(String::as_str).find(|name| !name.starts_with('*'))
}
