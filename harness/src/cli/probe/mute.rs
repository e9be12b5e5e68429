//! A service that gives no right reply: what it was asked, what came, and how to ask otherwise.

use holdline_model::answer::Answer;
use holdline_model::reason::Remedy;

use crate::probe::Asks;

/// How replies over HTTP begin.
const HTTP: &str = "HTTP/";

/// All that, in a sentence or two.
pub(super) fn in_words(
    asked: &str,
    times: u32,
    answer: Option<&Answer>,
    remedy: Remedy,
    asks: &Asks,
) -> String {
    let came = answer.map_or_else(|| "no reply came in time".to_owned(), Answer::to_string);
    let times = if times == 1 { "once".to_owned() } else { format!("{times} times") };
    let hint = match remedy {
        Remedy::SpeaksTls => "It speaks TLS: probe it with --tls",
        Remedy::SpeaksNoTls => "It speaks no TLS: probe it without --tls",
        Remedy::SpeaksHttp1 => "It speaks HTTP/1.1: ask it by --http",
        Remedy::SpeaksHttp2 => "It speaks HTTP/2: ask it by --http2",
        Remedy::SayAlpn => alpn(asks),
        _ if matches!(answer, Some(Answer::Tls { .. })) => {
            "--tls takes any certificate; --tls-ca says whose signature counts, and --tls-name which name"
        }
        _ => hint(answer, asks),
    };
    format!("asked {times} for {asked}, it gave no right reply; the last time: {came}. {hint}")
}

/// What to ask it for where it agreed to no protocol in the handshake.
fn alpn(asks: &Asks) -> &'static str {
    match asks {
        Asks::Http(_) => {
            "In TLS's handshake (ALPN) it agrees to no HTTP/1.1: if it speaks HTTP/2, ask it by --http2"
        }
        Asks::Http2(_) => {
            "In TLS's handshake (ALPN) it agrees to no HTTP/2: if it speaks HTTP/1.1, ask it by --http"
        }
        Asks::WebSocket { .. } | Asks::Bytes { .. } => {
            "In TLS's handshake (ALPN) it agrees to nothing that it was offered: `alpn` below [tls] of a supervisor.toml says \
             what to offer"
        }
    }
}

fn hint(answer: Option<&Answer>, asks: &Asks) -> &'static str {
    let said = answer.and_then(Answer::said).filter(|said| !said.is_empty());
    match (asks, said) {
        (Asks::Http(_), Some(said)) if said.starts_with(HTTP) => {
            "It speaks HTTP: name a path that it serves by --http, or say in a supervisor.toml what it is asked and what \
             counts as its reply"
        }
        (Asks::Http(_), Some(_)) => {
            "That is no HTTP: say what it is asked by --send, and how its answer begins by --expect; a service that speaks \
             first is described by [[exchange]] in a supervisor.toml"
        }
        (Asks::Http(_), None) => {
            "If it speaks another protocol than HTTP, say what it is asked by --send, and how its answer begins by \
             --expect; --wait gives it longer"
        }
        (Asks::Http2(_), _) => {
            "If it speaks HTTP/1.1, ask it by --http; over TLS it has to agree to `h2` (ALPN); --wait gives it longer"
        }
        (Asks::WebSocket { .. }, Some(said)) if said.starts_with(HTTP) => {
            "It opens no WebSocket there: name another path by --websocket, or ask it by --http"
        }
        (Asks::WebSocket { .. }, _) => {
            "See that --send and --expect say what it answers over a WebSocket; --wait gives it longer"
        }
        (Asks::Bytes { .. }, Some(_)) => {
            "If that is its answer, say so by --expect; a service that speaks first, or in several turns, is described by \
             [[exchange]] in a supervisor.toml"
        }
        (Asks::Bytes { .. }, None) => {
            "See that --send is all of a request, as with a line its end (\\r\\n), and that its answer begins as --expect \
             says; --wait gives it longer"
        }
    }
}

#[cfg(test)]
mod tests {
    use holdline_model::tls::TlsFailure;

    use super::*;

    #[test]
    fn what_came_is_quoted_and_how_to_ask_otherwise_fits_it() {
        let http = Asks::Http("/".to_owned());
        let bytes = Asks::Bytes { send: "PING\\r\\n".to_owned(), expect: "+PONG".to_owned() };
        let http2 = Asks::Http2("/".to_owned());
        let websocket = Asks::WebSocket { path: "/".to_owned(), message: None };
        let wrong = |status, said: &str| Answer::Wrong { status, said: said.to_owned() };
        for (asks, answer, quoted, option) in [
            (&http, Some(wrong(Some(404), "HTTP/1.1 404 Not Found")), "404 Not Found", "--http"),
            (&http, Some(wrong(None, "220 mail")), "220 mail", "--send"),
            (&http, Some(Answer::Cut { said: String::new() }), "without a byte", "--send"),
            (&http, None, "no reply", "--wait"),
            (&bytes, Some(wrong(None, "220 mail")), "220 mail", "--expect"),
            (&bytes, None, "no reply", "--send"),
            (&http2, Some(wrong(None, "HTTP/1.1 400 Bad Request")), "400", "--http"),
            (&websocket, Some(wrong(Some(404), "HTTP/1.1 404 Not Found")), "404", "--websocket"),
            (
                &http,
                Some(Answer::Tls { failure: TlsFailure::Cut, certificate: None, said: String::new() }),
                "TLS",
                "--tls-ca",
            ),
        ] {
            let text = in_words("`X`", 2, answer.as_ref(), Remedy::SayRequest, asks);
            assert!(text.contains(quoted) && text.contains(option) && text.contains("`X`"), "{text}");
        }
        for (asks, remedy, option) in [
            (&http, Remedy::SpeaksHttp2, "--http2"),
            (&http, Remedy::SayAlpn, "--http2"),
            (&http2, Remedy::SpeaksHttp1, "--http"),
            (&bytes, Remedy::SpeaksHttp2, "--http2"),
            (&websocket, Remedy::SayAlpn, "alpn"),
        ] {
            let text = in_words("`X`", 2, None, remedy, asks);
            assert!(text.contains(option), "{text}");
        }
    }
}
