//! What `probe` runs: from a command and what was found of it, or from the address of a service that runs already,
//! to descriptions and scenarios, made in memory.

mod beside;
mod description;
pub mod discover;
pub mod listeners;
mod port;
mod story;
mod tail;

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use holdline_model::wire::Address;
use holdline_model::words::{Transport, Verb};

pub use self::story::{NOISE, STOPPED, Step, Story};

pub use self::beside::portable;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// A path over HTTP/1.1.
    Http(String),
    /// A path over HTTP/2.
    Http2(String),
    /// That a WebSocket is opened, and then a message, if there is one.
    WebSocket {
        /// The path at which it is opened.
        path: String,
        /// What is sent, and how the answer begins, with escapes; absent: to be opened is all.
        message: Option<(String, String)>,
    },
    /// Bytes, and how their answer begins.
    Bytes {
        /// What is sent, with escapes.
        send: String,
        /// How the answer begins, with escapes.
        expect: String,
    },
}

/// How TLS is spoken to the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The file, with its absolute path, of whose signature counts; absent: any certificate will do.
    pub ca: Option<String>,
    /// The name that is asked for; absent: that of the address.
    pub server_name: Option<String>,
}

/// Something that is done to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Do {
    /// What it is called.
    pub name: String,
    /// A shell command; `{pid}` is the process that was started.
    pub command: String,
}

impl Do {
    /// The verb of this name, or `restart` where there is none that something can be done to a service by.
    fn verb(&self) -> Verb {
        self.own_verb().unwrap_or(Verb::Restart)
    }

    /// The verb of this name.
    fn own_verb(&self) -> Option<Verb> {
        let verb = self.name.parse().ok()?;
        (!matches!(verb, Verb::Stop | Verb::Scale)).then_some(verb)
    }
}

/// Who serves.
#[derive(Debug, Clone, Copy)]
pub enum Service<'a> {
    /// A command that is started for each step.
    Started {
        /// Its words.
        command: &'a [String],
        /// Whether processes below it accept.
        has_workers: bool,
    },
    /// Somebody who runs already, and to whom nothing is done but what is asked for.
    Attached,
}

/// A service that is probed.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// Who serves.
    pub service: Service<'a>,
    /// Where commands are started; absolute.
    pub folder: &'a str,
    /// What it is asked.
    pub asks: &'a Asks,
    /// How TLS is spoken to it; absent: it is not.
    pub tls: Option<&'a Tls>,
    /// Where it listens.
    pub address: Address,
    /// Attempts per second.
    pub rate: f64,
    /// How long each step lasts.
    pub duration: Duration,
    /// How long it may take until it replies.
    pub wait: Duration,
}

impl Subject<'_> {
    /// What it is called: as the command's own file, as far as a name may have its letters.
    fn name(&self) -> String {
        let Service::Started { command, .. } = self.service else { return "attached".to_owned() };
        let file = command.first().and_then(|program| Path::new(program).file_name()).unwrap_or_default();
        let is_letter = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-';
        let name: String = file.to_string_lossy().to_lowercase().chars().filter(is_letter).take(40).collect();
        let name = name.trim_start_matches('-').to_owned();
        if name.is_empty() || name == "all" { "service".to_owned() } else { name }
    }

    fn transport(&self) -> Transport {
        match &self.address {
            Address::Tcp(address) if address.is_ipv6() => Transport::Tcp6,
            Address::Tcp(_) => Transport::Tcp,
            Address::Unix(_) => Transport::Unix,
        }
    }
}

/// Removes the file of a Unix socket, and no other.
pub fn remove_socket(path: &Path) {
    if std::fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket()) {
        // Where it cannot be removed, whoever binds to it next will say so.
        let _ = std::fs::remove_file(path);
    }
}

/// A TOML basic string (a JSON string is one).
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A word of a command, in which braces stand for themselves.
fn word(text: &str) -> String {
    quoted(&text.replace('{', "{{").replace('}', "}}"))
}

/// A time as files have it.
fn time(duration: Duration) -> String {
    format!("{}ms", duration.as_millis().max(1))
}

#[cfg(test)]
mod tests {
    use holdline_model::supervisor::Control;

    use super::*;
    use crate::catalogue::{Source, SupervisorEntry};

    fn subject<'a>(service: Service<'a>, asks: &'a Asks, address: &str) -> Subject<'a> {
        Subject {
            service,
            folder: "/srv/it's here",
            asks,
            tls: None,
            address: address.parse().expect("an address"),
            rate: 100.0,
            duration: Duration::from_secs(3),
            wait: Duration::from_secs(30),
        }
    }

    fn dos() -> [Do; 2] {
        [("reload", "kill -HUP {pid} && echo {a}"), ("renew", "true")]
            .map(|(name, command)| Do { name: name.to_owned(), command: command.to_owned() })
    }

    #[test]
    fn whatever_the_command_is_its_story_is_valid() {
        let command = ["/opt/My Shop/{x}\"'", "-c", "a\\b\n{port}"].map(str::to_owned);
        let http = Asks::Http("/healthz".to_owned());
        let bytes = Asks::Bytes { send: "PING\\r\\n".to_owned(), expect: "+PONG".to_owned() };
        let http2 = Asks::Http2("/healthz".to_owned());
        let message = Some(("hello \"you\"".to_owned(), "hello".to_owned()));
        let websocket = Asks::WebSocket { path: "/chat".to_owned(), message };
        let opened = Asks::WebSocket { path: "/chat".to_owned(), message: None };
        for (asks, has_workers, address) in [
            (&http2, true, "127.0.0.1:8000"),
            (&websocket, true, "127.0.0.1:8000"),
            (&opened, false, "127.0.0.1:8000"),
            (&http, true, "127.0.0.1:8000"),
            (&bytes, false, "[::1]:8000"),
            (&http, false, "/run/it's \"here\"/web.sock"),
            (&bytes, true, "@web"),
        ] {
            let service = Service::Started { command: &command, has_workers };
            let subject = subject(service, asks, address);
            let story = subject.story(&dos(), 1).unwrap_or_else(|error| panic!("{error}"));
            let names: Vec<&str> = story.steps.iter().map(|step| step.name.as_str()).collect();
            assert_eq!(names, [NOISE, "killed", "do-reload", "do-renew", "frozen", STOPPED]);
            assert_eq!((story.trials.len(), story.supervisors.len()), (6, 3));
            let listen = &story.scenarios[0].scenario.listen;
            let wanted = subject.address.clone();
            match wanted {
                Address::Tcp(address) => assert_eq!(listen.port, Some(address.port())),
                Address::Unix(_) => assert_eq!(listen.path, Some(wanted)),
            }
            let saved =
                SupervisorEntry::parse(subject.saved(&dos()), "saved".to_owned(), Source::Folder("/".into()));
            let control = saved.unwrap_or_else(|error| panic!("{error}")).supervisor.control;
            assert!(matches!(control[&Verb::Reload], Control::Command(_)));
            assert_eq!(control.len(), 1, "only verbs are saved");
        }
    }

    #[test]
    fn what_is_saved_listens_where_a_scenario_says_if_its_command_names_the_port() {
        let asks = Asks::Http("/".to_owned());
        let dos = [("reload", "curl 127.0.0.1:8000/-/reload")]
            .map(|(name, command)| Do { name: name.to_owned(), command: command.to_owned() });
        for (typed, named) in [("serve -b 127.0.0.1:8000", true), ("serve --config web.conf", false)] {
            let command: Vec<String> = typed.split(' ').map(str::to_owned).collect();
            let subject =
                subject(Service::Started { command: &command, has_workers: false }, &asks, "127.0.0.1:8000");
            let text = subject.saved(&dos);
            assert_eq!(text.contains("127.0.0.1:{port}/-/reload"), named, "{text}");
            assert_eq!(text.contains("\"127.0.0.1:{port}\""), named, "{text}");
            let saved = SupervisorEntry::parse(text, "saved".to_owned(), Source::Folder("/".into()));
            saved.unwrap_or_else(|error| panic!("{error}"));
            // The story's own scenarios name the port.
            let story = subject.story(&dos, 1).unwrap_or_else(|error| panic!("{error}"));
            assert!(!story.supervisors[0].text.contains("{port}"));
        }
    }

    #[test]
    fn what_is_spoken_over_tls_says_whose_signature_counts() {
        let asks = Asks::Http("/".to_owned());
        let signed =
            Tls { ca: Some("/etc/our \"ca\".pem".to_owned()), server_name: Some("shop.test".to_owned()) };
        for (tls, any) in [(Tls::default(), true), (signed, false)] {
            let command = ["./web".to_owned()];
            let service = Service::Started { command: &command, has_workers: false };
            let subject = Subject { tls: Some(&tls), ..subject(service, &asks, "127.0.0.1:8443") };
            let entry =
                SupervisorEntry::parse(subject.saved(&[]), "saved".to_owned(), Source::Folder("/".into()));
            let spoken = entry.unwrap_or_else(|error| panic!("{error}")).supervisor.tls.expect("TLS");
            assert_eq!(
                (spoken.is_insecure(), spoken.server_name.as_deref()),
                (any, tls.server_name.as_deref())
            );
        }
    }

    #[test]
    fn to_one_that_runs_already_nothing_is_done_but_what_is_asked_for() {
        let asks = Asks::Http("/".to_owned());
        let story = subject(Service::Attached, &asks, "127.0.0.1:8000").story(&dos(), 1);
        let story = story.unwrap_or_else(|error| panic!("{error}"));
        let names: Vec<&str> = story.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, [NOISE, "do-reload", "do-renew"]);
        for entry in &story.scenarios {
            for fault in &entry.scenario.faults {
                assert!(
                    matches!(fault.action, holdline_model::scenario::Action::Control { .. }),
                    "{fault:?}"
                );
            }
        }
    }
}
