//! What `probe` runs: from a command and what was found of it to descriptions and scenarios, made in memory.

mod beside;
pub mod discover;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use holdline_model::plan::{TrialPlan, trial_seed};
use holdline_model::words::Verb;

use crate::catalogue::{ScenarioEntry, Source, SupervisorEntry};

pub use self::beside::portable;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// A path over HTTP.
    Http(String),
    /// Bytes, and how their answer begins.
    Bytes {
        /// What is sent, with escapes.
        send: String,
        /// How the answer begins, with escapes.
        expect: String,
    },
}

/// Something that is done to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Do {
    /// What it is called.
    pub name: String,
    /// A shell command; `{pid}` is the process that was started.
    pub command: String,
}

/// A service that is probed.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// Its command.
    pub command: &'a [String],
    /// Where it is started; absolute.
    pub folder: &'a str,
    /// What it is asked.
    pub asks: &'a Asks,
    /// Where it listens on loopback.
    pub port: u16,
    /// Whether that is IPv6.
    pub v6: bool,
    /// Whether processes below the command accept.
    pub has_workers: bool,
    /// Attempts per second.
    pub rate: f64,
    /// How long each step lasts.
    pub duration: Duration,
}

/// One step of the story: its name, and what is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name, which is also its scenario's.
    pub name: String,
    /// What is done, in words.
    pub what: String,
}

/// All that is to be run.
pub struct Story {
    /// In their order.
    pub steps: Vec<Step>,
    /// Their scenarios.
    pub scenarios: Vec<ScenarioEntry>,
    /// The service, once for each thing that is done to it.
    pub supervisors: Vec<SupervisorEntry>,
    /// Their trials.
    pub trials: Vec<TrialPlan>,
}

/// A TOML basic string (a JSON string is one).
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A word of a command, in which braces stand for themselves.
fn word(text: &str) -> String {
    quoted(&text.replace('{', "{{").replace('}', "}}"))
}

/// The command's own name, as far as a name may have its letters.
fn name_of(command: &[String]) -> String {
    let file = command.first().and_then(|program| Path::new(program).file_name()).unwrap_or_default();
    let name: String = file
        .to_string_lossy()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
        .take(40)
        .collect();
    let name = name.trim_start_matches('-').to_owned();
    if name.is_empty() || name == "all" { "service".to_owned() } else { name }
}

impl Subject<'_> {
    /// The description of the service; `done`: what a `restart` does.
    fn description(&self, name: &str, done: &[(Verb, &Do)]) -> String {
        let mut text = String::new();
        let shell = "cd \"$1\" && echo $$ > \"$2/probe.pid\" && shift 2 && exec \"$@\"";
        let program = self.command.first().map(String::as_str).unwrap_or_default();
        let _ = writeln!(text, "name = {}", quoted(name));
        let _ = writeln!(text, "about = {}", quoted(&format!("As probed: {}", self.command.join(" "))));
        let look = "cd \"$1\" && command -v \"$0\"";
        let version: Vec<String> = ["sh", "-c", look, program, self.folder].map(word).to_vec();
        let _ = writeln!(text, "version = [{}]", version.join(", "));
        let _ = writeln!(text, "runs = [\"itself\"]");
        let _ = writeln!(text, "single-process = {}", !self.has_workers);
        let _ = writeln!(text, "socket = {{ holder = \"supervisor\", passing = \"own\" }}");
        let _ = writeln!(text, "transports = [\"{}\"]", self.transport());
        let start = ["sh", "-c", shell, "sh", self.folder].map(word).to_vec();
        let words =
            start.into_iter().chain(["\"{dir}\"".to_owned()]).chain(self.command.iter().map(|w| word(w)));
        let _ = writeln!(text, "start = [{}]", words.collect::<Vec<_>>().join(", "));
        let _ = writeln!(text, "ready = {{ reply = true, timeout = \"30s\" }}");
        match self.asks {
            Asks::Http(path) => {
                let _ = writeln!(text, "protocol = \"http\"\n[request]\npath = {}", quoted(path));
            }
            Asks::Bytes { send, expect } => {
                let _ = writeln!(text, "protocol = \"bytes\"\n[[exchange]]\nsend = {}", quoted(send));
                let _ = writeln!(text, "expect = {{ starts-with = {} }}", quoted(expect));
            }
        }
        if let Ok(home) = std::env::var("HOME") {
            let _ = writeln!(text, "[env]\nHOME = {}", word(&home));
        }
        if !done.is_empty() {
            let _ = writeln!(text, "[control]");
        }
        for (verb, Do { command, .. }) in done {
            let shell =
                format!("cd \"$1\" && pid=$(cat \"$2/probe.pid\") && {}", command.replace("{pid}", "$pid"));
            let words = ["sh", "-c", &shell, "sh", self.folder].map(word);
            let _ = writeln!(text, "{verb} = [{}, \"{{dir}}\"]", words.join(", "));
        }
        text
    }

    /// The description that `run` and others go on with: what is done is what verbs of their names do.
    #[must_use]
    pub fn saved(&self, dos: &[Do]) -> String {
        let verbs = dos.iter().filter_map(|it| Some((it.name.parse::<Verb>().ok()?, it)));
        let verbs: Vec<(Verb, &Do)> =
            verbs.filter(|(verb, _)| !matches!(verb, Verb::Stop | Verb::Scale)).collect();
        let port = self.port;
        format!(
            "# As `holdline probe` saw it. It listens at port {port}, which scenarios name in [listen].\n{}",
            self.description(&name_of(self.command), &verbs)
        )
    }

    const fn transport(&self) -> &'static str {
        if self.v6 { "tcp6" } else { "tcp" }
    }

    fn scenario(&self, name: &str, asks: &str, more: &str) -> String {
        let (duration, rate) = (humantime(self.duration), self.rate);
        format!(
            "name = {}\nasks = {}\n[listen]\ntransport = \"{}\"\nport = {}\n[load]\narrivals = {{ constant = \"{rate}/s\" }}\n\
             duration = \"{duration}\"\ndeadline = \"250ms\"\nsend-lag = \"250ms\"\npatience = \"3s\"\ntimeout = \"5s\"\n{more}",
            quoted(name),
            quoted(asks),
            self.transport(),
            self.port,
        )
    }

    /// The story: nothing, a worker killed, whatever is to be done, nobody accepts, and TERM. `limit`: how many
    /// connections may wait to be accepted.
    ///
    /// # Errors
    ///
    /// What was given makes no valid description or scenario.
    pub fn story(&self, dos: &[Do], seed: u64) -> Result<Story, Box<holdline_model::file::FileError>> {
        let name = name_of(self.command);
        let third = humantime(self.duration / 3);
        let whom = if self.has_workers { "worker" } else { "supervisor" };
        let kill = format!("[[fault]]\nat = \"{third}\"\nsignal = {{ to = \"{whom}\", name = \"KILL\" }}\n");
        let everybody = if self.has_workers { "workers" } else { "supervisor" };
        let freeze =
            format!("[[fault]]\nat = \"{third}\"\npause = {{ whom = \"{everybody}\", for = \"1s\" }}\n");
        // Some connections stay open, to be found idle.
        let sessions = "connection = { requests = 4, gap = \"200ms\", every = 10 }\n";
        let stop = format!("{sessions}[[fault]]\nat = \"{third}\"\ncontrol = \"stop\"\n");
        let restart = format!("[[fault]]\nat = \"{third}\"\ncontrol = \"restart\"\n");
        let killed = if self.has_workers { "a worker is killed" } else { "its only process is killed" };
        let mut planned: Vec<(Step, String, Option<&Do>)> = vec![
            (step("nothing", "nothing: the noise"), String::new(), None),
            (step("killed", killed), kill, None),
        ];
        for it in dos {
            planned.push((step(&format!("do-{}", it.name), &it.command), restart.clone(), Some(it)));
        }
        planned.push((step("frozen", "nobody accepts for 1 s (SIGSTOP)"), freeze, None));
        planned.push((step(STOPPED, "TERM, with some sessions open"), stop, None));
        let mut story =
            Story { steps: Vec::new(), scenarios: Vec::new(), supervisors: Vec::new(), trials: Vec::new() };
        for (index, (step, more, done)) in (0_u32..).zip(planned) {
            let asks = format!("What does it lose? {}", step.what);
            let text = self.scenario(&step.name, &asks, &more);
            story.scenarios.push(ScenarioEntry::parse(text, format!("probe: {}", step.name))?);
            let service = if done.is_some() { format!("{name}.{index}") } else { name.clone() };
            if done.is_some() || index == 0 {
                let verbs: Vec<(Verb, &Do)> = done.into_iter().map(|it| (Verb::Restart, it)).collect();
                let text = self.description(&service, &verbs);
                let source = Source::Folder(self.folder.into());
                story.supervisors.push(SupervisorEntry::parse(
                    text,
                    "probe: the description".to_owned(),
                    source,
                )?);
            }
            story.trials.push(TrialPlan {
                index,
                seed: trial_seed(seed, &service, &step.name, 0),
                supervisor: service,
                scenario: step.name.clone(),
                repetition: 0,
            });
            story.steps.push(step);
        }
        Ok(story)
    }
}

/// The step after which nobody is to listen any more.
pub const STOPPED: &str = "stopped";

fn step(name: &str, what: &str) -> Step {
    Step { name: name.to_owned(), what: what.to_owned() }
}

fn humantime(duration: Duration) -> String {
    format!("{}ms", duration.as_millis().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_command_is_its_story_is_valid() {
        let command = ["/opt/My Shop/{x}\"'", "-c", "a\\b\n{port}"].map(str::to_owned);
        for (asks, has_workers) in [
            (Asks::Http("/healthz".to_owned()), true),
            (Asks::Bytes { send: "PING\\r\\n".to_owned(), expect: "+PONG".to_owned() }, false),
        ] {
            let subject = Subject {
                command: &command,
                folder: "/srv/it's here",
                asks: &asks,
                port: 8000,
                v6: !has_workers,
                has_workers,
                rate: 100.0,
                duration: Duration::from_secs(3),
            };
            let dos = [Do { name: "reload".to_owned(), command: "kill -HUP {pid} && echo {a}".to_owned() }];
            let story = subject.story(&dos, 1).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((story.steps.len(), story.trials.len(), story.supervisors.len()), (5, 5, 2));
            let saved = subject.saved(&dos);
            let saved = SupervisorEntry::parse(saved, "saved".to_owned(), Source::Folder("/".into()));
            assert!(
                saved
                    .unwrap_or_else(|error| panic!("{error}"))
                    .supervisor
                    .control
                    .contains_key(&Verb::Reload)
            );
        }
    }
}
