//! Placeholders in the commands and configuration templates of supervisors.
//!
//! Commands are ours: a `{word}` that is no placeholder is an error there. Templates are written in
//! other programs' languages, which have braces of their own: only exact placeholders are replaced
//! there, and everything else is left alone.
//!
//! In both, `{{dir}}` stands for the text `{dir}`. In commands `{{` and `}}` stand for single braces
//! wherever they are; a `}}` without a `{{` before it, as JSON has it, is left alone.

use crate::wire::Address;
use crate::words::nearest;

/// Every placeholder, without braces.
pub const PLACEHOLDERS: &[&str] = &[
    "dir", "source", "address", "host", "port", "path", "backlog", "workers", "version", "user", "worker",
    "holdline",
];

/// What placeholders stand for in one trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// `{dir}`: the trial's private work folder.
    pub dir: String,
    /// `{source}`: the folder of supervisor.toml.
    pub source: String,
    /// `{address}`, and its parts `{host}` and `{port}`, or `{path}`.
    pub address: Address,
    /// `{backlog}`
    pub backlog: u32,
    /// `{workers}`
    pub workers: u32,
    /// `{version}`: of the worker, for upgrades.
    pub version: u32,
    /// `{user}`: the id of the user that workers are to run as; the supervisor's own where the
    /// scenario names none.
    pub user: u32,
    /// `{worker}`: the worker's command line.
    pub worker: Vec<String>,
    /// `{holdline}`: the path of the holdline executable.
    pub holdline: String,
}

/// A text that cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is no such placeholder.
    #[error(
        "unknown placeholder {{{given}}}{}; expected one of {}, or {{{{{given}}}}} for the text itself",
        .nearest.map(|word| format!(" (did you mean {{{word}}}?)")).unwrap_or_default(),
        PLACEHOLDERS.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(" "),
    )]
    Unknown {
        /// What was given, without braces.
        given: String,
        /// The most similar placeholder.
        nearest: Option<&'static str>,
    },
    /// The placeholder has no value for this transport.
    #[error("{{{placeholder}}} has no value here: the server listens at {address}")]
    NoValue {
        /// Which, without braces.
        placeholder: &'static str,
        /// Where the server listens.
        address: Address,
    },
}

impl Values {
    /// What a placeholder stands for; `{worker}` as words for a shell.
    fn get(&self, placeholder: &'static str) -> Result<String, TemplateError> {
        let value = match (placeholder, &self.address) {
            ("dir", _) => Some(self.dir.clone()),
            ("source", _) => Some(self.source.clone()),
            ("address", address) => Some(address.to_string()),
            // Without brackets: what surrounds it knows whether it wants them.
            ("host", Address::Tcp(address)) => Some(address.ip().to_string()),
            ("port", Address::Tcp(address)) => Some(address.port().to_string()),
            ("path", address @ Address::Unix(_)) => Some(address.to_string()),
            ("backlog", _) => Some(self.backlog.to_string()),
            ("workers", _) => Some(self.workers.to_string()),
            ("version", _) => Some(self.version.to_string()),
            ("user", _) => Some(self.user.to_string()),
            ("worker", _) => Some(shell_words(&self.worker)),
            ("holdline", _) => Some(self.holdline.clone()),
            _ => None,
        };
        value.ok_or_else(|| TemplateError::NoValue { placeholder, address: self.address.clone() })
    }
}

/// Renders a template of another program's configuration. `{worker}` becomes words quoted for a
/// POSIX shell.
///
/// # Errors
///
/// A placeholder without a value: `{port}` of a Unix socket, `{path}` of a TCP one.
pub fn render(text: &str, values: &Values) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((name, after)) =
            rest.strip_prefix("{{").and_then(known).filter(|(_, after)| after.starts_with('}'))
        {
            out.push_str(&format!("{{{name}}}"));
            rest = &after[1..];
        } else if let Some((name, after)) = known(&rest[1..]) {
            out.push_str(&values.get(name)?);
            rest = after;
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Renders the words of a command. An element that is exactly `{worker}` becomes all words of the
/// worker's command line; within an element `{worker}` becomes words quoted for a POSIX shell.
///
/// # Errors
///
/// Unknown placeholders, and those without a value.
pub fn command(words: &[String], values: &Values) -> Result<Vec<String>, TemplateError> {
    let mut out = Vec::with_capacity(words.len() + values.worker.len());
    for word in words {
        if word == "{worker}" {
            out.extend(values.worker.iter().cloned());
        } else {
            out.push(argument(word, values)?);
        }
    }
    Ok(out)
}

/// Renders one element of a command, or the value of an environment variable.
///
/// # Errors
///
/// Unknown placeholders, and those without a value.
pub fn argument(text: &str, values: &Values) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece? {
            Piece::Text(text) => out.push_str(text),
            Piece::Placeholder(name) => out.push_str(&values.get(name)?),
        }
    }
    Ok(out)
}

/// Checks that an element of a command has only known placeholders.
///
/// # Errors
///
/// The first unknown one.
pub fn check(text: &str) -> Result<(), TemplateError> {
    pieces(text).try_for_each(|piece| piece.map(drop))
}

enum Piece<'a> {
    Text(&'a str),
    Placeholder(&'static str),
}

/// Takes an element of a command apart.
fn pieces(text: &str) -> impl Iterator<Item = Result<Piece<'_>, TemplateError>> {
    let mut rest = text;
    let mut doubled = 0_u32;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let piece = if let Some(after) = rest.strip_prefix("{{") {
            doubled += 1;
            rest = after;
            Piece::Text("{")
        } else if doubled > 0
            && let Some(after) = rest.strip_prefix("}}")
        {
            doubled -= 1;
            rest = after;
            Piece::Text("}")
        } else if let Some((word, after)) = rest.strip_prefix('{').and_then(braced_word) {
            let Some(name) = PLACEHOLDERS.iter().find(|name| **name == word) else {
                rest = "";
                return Some(Err(unknown(word)));
            };
            rest = after;
            Piece::Placeholder(name)
        } else {
            let end = rest.char_indices().skip(1).find(|(_, c)| matches!(c, '{' | '}'));
            let end = end.map_or(rest.len(), |(at, _)| at);
            let (head, tail) = rest.split_at(end);
            rest = tail;
            Piece::Text(head)
        };
        Some(Ok(piece))
    })
}

fn unknown(word: &str) -> TemplateError {
    let nearest = nearest(&word.to_lowercase(), PLACEHOLDERS.iter().copied())
        .and_then(|near| PLACEHOLDERS.iter().copied().find(|name| *name == near));
    TemplateError::Unknown { given: word.to_owned(), nearest }
}

/// A known placeholder and its closing brace at the beginning of the text, and what follows.
fn known(text: &str) -> Option<(&'static str, &str)> {
    PLACEHOLDERS.iter().find_map(|name| Some((*name, text.strip_prefix(name)?.strip_prefix('}')?)))
}

/// A word and its closing brace at the beginning of the text, and what follows.
fn braced_word(text: &str) -> Option<(&str, &str)> {
    let (word, after) = text.split_once('}')?;
    let is_word = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    is_word.then_some((word, after))
}

/// Words for a POSIX shell: those that could mean something to it are in quotes.
#[must_use]
pub fn shell_words(words: &[String]) -> String {
    let quoter = shlex::Quoter::new().allow_nul(true);
    quoter.join(words.iter().map(String::as_str)).expect("only NUL cannot be quoted")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(address: &str) -> Values {
        Values {
            dir: "/w".to_owned(),
            source: "/s".to_owned(),
            address: address.parse().expect("an address"),
            backlog: 128,
            workers: 2,
            version: 1,
            user: 65534,
            worker: vec!["/bin/holdline".to_owned(), "worker".to_owned(), "it's".to_owned()],
            holdline: "/bin/holdline".to_owned(),
        }
    }

    #[test]
    fn templates_keep_every_other_brace() {
        let values = values("127.0.0.1:80");
        for (template, text) in [
            ("listen {host}:{port} backlog={backlog};", "listen 127.0.0.1:80 backlog=128;"),
            ("events { worker_connections 10; }", "events { worker_connections 10; }"),
            (r#"{"a":{"b":{port}}}"#, r#"{"a":{"b":80}}"#),
            ("{{ jinja }} {% x %} ${HOME} {unknown} {}", "{{ jinja }} {% x %} ${HOME} {unknown} {}"),
            ("{{dir}} {{dir} {dir}}", "{dir} {/w /w}"),
            ("exec {worker}", r#"exec /bin/holdline worker "it's""#),
            ("{ {address} {", "{ 127.0.0.1:80 {"),
            ("{workers} {worker {user}", "2 {worker 65534"),
        ] {
            assert_eq!(render(template, &values).as_deref(), Ok(text), "{template}");
        }
    }

    #[test]
    fn commands_are_rendered_word_by_word() {
        let values = values("[::1]:80");
        let words = ["run", "{worker}", "-d{dir}", "{address}", "{host}"].map(str::to_owned);
        assert_eq!(
            command(&words, &values).expect("known"),
            ["run", "/bin/holdline", "worker", "it's", "-d/w", "[::1]:80", "::1"]
        );
        for (word, text) in [
            ("f() { echo; }", "f() { echo; }"),
            ("f() {{ echo; }}", "f() { echo; }"),
            ("${{HOME}} {{dir}}", "${HOME} {dir}"),
            (r#"{"a": {"b": 1}}"#, r#"{"a": {"b": 1}}"#),
            (r#"{{"a": {{"b": {port}}}}}"#, r#"{"a": {"b": 80}}"#),
            ("{1..3} {} {", "{1..3} {} {"),
            ("exec {worker} ü", r#"exec /bin/holdline worker "it's" ü"#),
        ] {
            assert_eq!(argument(word, &values).as_deref(), Ok(text), "{word}");
        }
    }

    #[test]
    fn unknown_placeholders_name_the_nearest() {
        let error = check("{adress}").expect_err("unknown");
        assert_eq!(error, TemplateError::Unknown { given: "adress".to_owned(), nearest: Some("address") });
        assert!(
            error.to_string().starts_with(
                "unknown placeholder {adress} (did you mean {address}?); expected one of {dir} "
            ),
            "{error}"
        );
        assert!(check("${HOME}").is_err());
        assert!(check("{dir}/{port}").is_ok());
    }

    #[test]
    fn a_transport_has_its_own_placeholders() {
        let unix = values("/w/sock");
        assert_eq!(render("{path} {address}", &unix).as_deref(), Ok("/w/sock /w/sock"));
        let error = render("{port}", &unix).expect_err("no port");
        assert_eq!(error.to_string(), "{port} has no value here: the server listens at /w/sock");
        assert!(argument("{path}", &values("127.0.0.1:1")).is_err());
    }

    proptest! {
        #[test]
        fn texts_without_braces_stay(text in "[^{}]*") {
            let values = values("127.0.0.1:80");
            prop_assert_eq!(render(&text, &values), Ok(text.clone()));
            prop_assert_eq!(argument(&text, &values), Ok(text));
        }

        #[test]
        fn any_text_is_rendered_or_refused(text in "[{}a-z ü]{0,40}") {
            let values = values("127.0.0.1:80");
            let _ = render(&text, &values);
            let _ = argument(&text, &values);
        }

        #[test]
        fn known_placeholders_pass_the_check(name in prop::sample::select(PLACEHOLDERS)) {
            let text = format!("a{{{name}}}b");
            prop_assert!(check(&text).is_ok());
        }
    }
}
