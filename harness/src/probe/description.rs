//! The description of a service that is probed.

use std::fmt::Write as _;

use holdline_model::wire::Address;
use holdline_model::words::Verb;

use super::{Asks, Do, Service, Subject, port, quoted, time, word};

/// Becomes the command, in its folder (`$1`), with its process id in the trial's (`$2`). The file of a Unix socket
/// (`$3`) goes first: whoever was killed could not remove it, and it cannot be bound anew.
const START: &str = "cd \"$1\" && echo $$ > \"$2/probe.pid\" && { [ ! -S \"$3\" ] || rm -f -- \"$3\"; } && \
                     shift 3 && exec \"$@\"";

impl Subject<'_> {
    /// The description of the service; `done`: what is done on which verb.
    pub(super) fn description(&self, name: &str, done: &[(Verb, &Do)]) -> String {
        self.described(name, done, None)
    }

    /// The same; where this port is named, it is the scenario's to give.
    fn described(&self, name: &str, done: &[(Verb, &Do)], port: Option<u16>) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "name = {}", quoted(name));
        match self.service {
            Service::Started { command, has_workers } => self.started(&mut text, command, has_workers, port),
            Service::Attached => self.attached(&mut text),
        }
        let _ = writeln!(text, "runs = [\"itself\"]");
        let _ = writeln!(text, "socket = {{ holder = \"supervisor\", passing = \"own\" }}");
        let _ = writeln!(text, "transports = [\"{}\"]", self.transport());
        let _ = writeln!(text, "ready = {{ reply = true, timeout = \"{}\" }}", time(self.wait));
        match self.asks {
            Asks::Http(path) => {
                let _ = writeln!(text, "protocol = \"http\"\n[request]\npath = {}", quoted(path));
            }
            Asks::Http2(path) => {
                let _ = writeln!(text, "protocol = \"http2\"\n[request]\npath = {}", quoted(path));
            }
            Asks::WebSocket { path, message } => {
                let _ = writeln!(text, "protocol = \"websocket\"\n[request]\npath = {}", quoted(path));
                if let Some((send, expect)) = message {
                    exchange(&mut text, send, expect);
                }
            }
            Asks::Bytes { send, expect } => {
                let _ = writeln!(text, "protocol = \"bytes\"");
                exchange(&mut text, send, expect);
            }
        }
        if let Some(tls) = self.tls {
            let _ = writeln!(text, "[tls]");
            let _ = match &tls.ca {
                Some(ca) => writeln!(text, "ca = {}", quoted(ca)),
                None => writeln!(text, "insecure = true"),
            };
            if let Some(name) = &tls.server_name {
                let _ = writeln!(text, "server-name = {}", quoted(name));
            }
        }
        let _ = writeln!(text, "[env]");
        if let Ok(home) = std::env::var("HOME") {
            let _ = writeln!(text, "HOME = {}", word(&home));
        }
        if matches!(self.service, Service::Attached) {
            // What is started anew outlives the trial, and its folder.
            let _ = writeln!(text, "TMPDIR = {}", word(&std::env::temp_dir().to_string_lossy()));
        }
        if !done.is_empty() {
            let _ = writeln!(text, "[control]");
        }
        for (verb, Do { command, .. }) in done {
            let pid = if matches!(self.service, Service::Attached) {
                ""
            } else {
                "pid=$(cat \"$2/probe.pid\") && "
            };
            let shell = format!("cd \"$1\" && {pid}{}", command.replace("{pid}", "$pid"));
            let own = ["sh", "-c"].map(word);
            let given = ["sh", self.folder].map(word);
            let words = own.into_iter().chain([port::line(&shell, port)]).chain(given);
            let _ = writeln!(text, "{verb} = [{}, \"{{dir}}\"]", words.collect::<Vec<_>>().join(", "));
        }
        text
    }

    fn started(&self, text: &mut String, command: &[String], has_workers: bool, port: Option<u16>) {
        let program = command.first().map(String::as_str).unwrap_or_default();
        let _ = writeln!(text, "about = {}", quoted(&format!("As probed: {}", command.join(" "))));
        let look = "cd \"$1\" && command -v \"$0\"";
        let version: Vec<String> = ["sh", "-c", look, program, self.folder].map(word).to_vec();
        let _ = writeln!(text, "version = [{}]", version.join(", "));
        let _ = writeln!(text, "single-process = {}", !has_workers);
        let socket = self.address.file().map(|path| path.display().to_string()).unwrap_or_default();
        let start = ["sh", "-c", START, "sh", self.folder].map(word).to_vec();
        let words = start.into_iter().chain(["\"{dir}\"".to_owned(), word(&socket)]);
        let words = words.chain(command.iter().map(|word| port::word(word, port)));
        let _ = writeln!(text, "start = [{}]", words.collect::<Vec<_>>().join(", "));
    }

    /// Somebody must stand for whoever serves: a process that does nothing, for longer than any trial lasts.
    fn attached(&self, text: &mut String) {
        let _ = writeln!(text, "about = {}", quoted(&format!("What runs already at {}", self.address)));
        let _ = writeln!(text, "single-process = true\nstart = [\"sleep\", \"600\"]");
    }

    /// The description that `run` and others go on with: what is done is what verbs of their names do.
    #[must_use]
    pub fn saved(&self, dos: &[Do]) -> String {
        let verbs: Vec<(Verb, &Do)> = dos.iter().filter_map(|it| Some((it.own_verb()?, it))).collect();
        let given = self.port_in_command();
        let place = match (&self.address, given) {
            (Address::Tcp(_), Some(_)) => "where a scenario says: `{port}`".to_owned(),
            (Address::Tcp(address), None) => {
                format!("at port {}, which scenarios name in [listen]", address.port())
            }
            (Address::Unix(_), _) => format!("at {}, which scenarios name in [listen]", self.address),
        };
        format!(
            "# As `holdline probe` saw it. It listens {}.\n{}",
            place.replace(char::is_control, "?"),
            self.described(&self.name(), &verbs, given)
        )
    }

    /// The port at which it listens, if its command names it.
    fn port_in_command(&self) -> Option<u16> {
        match (self.service, &self.address) {
            (Service::Started { command, .. }, Address::Tcp(address)) => {
                Some(address.port()).filter(|port| port::is_named(command, *port))
            }
            (Service::Attached, _) | (Service::Started { .. }, Address::Unix(_)) => None,
        }
    }
}

/// What is sent, and how its answer begins.
fn exchange(text: &mut String, send: &str, expect: &str) {
    let _ = writeln!(text, "[[exchange]]\nsend = {}", quoted(send));
    let _ = writeln!(text, "expect = {{ starts-with = {} }}", quoted(expect));
}
