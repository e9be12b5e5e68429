//! Descriptions of supervisors as they are written. The JSON Schema of these types describes them
//! for editors; what they mean is checked in `validate`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Holder, Passing, Protocol, Runs, WorkerKind};
use crate::file::{At, OneOf, Table, Time, read_one_of, unknown_word};
use crate::service::file::{CloseFile, ExchangeFile, PoisonChoiceFile, ReplyFile, RequestFile};
use crate::tls::file::TlsFile;
use crate::words::{Transport, UnknownWord, nearest};

/// A supervisor under test: how it is started, asked and stopped.
///
/// Commands are lists of words, run without a shell. They, and the values of `[env]`, may have
/// the placeholders {dir} {source} {address} {host} {port} {path} {backlog} {workers} {version}
/// {user} {worker} {holdline}.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SupervisorFile {
    /// Its name: small letters, digits, `-`, `_` and `.`.
    pub name: At<String>,
    /// What it is, in a line.
    pub about: At<String>,
    /// Whether it is one of the reference supervisors, which run where no other is named. Default: false.
    #[serde(default)]
    pub reference: bool,
    /// Command that prints its version; fails where it is not installed. Default: none, it is part of holdline.
    #[serde(default)]
    pub version: Vec<At<String>>,
    /// Command that installs it, for people to read.
    pub install: Option<String>,
    /// What it can run. Default: command.
    pub runs: Option<At<Vec<Runs>>>,
    /// The kind of worker it runs where `--worker` names none. Default: rust.
    pub worker: Option<WorkerKind>,
    /// What its workers speak. Default: square.
    pub protocol: Option<At<Protocol>>,
    /// How the load client speaks TLS to it. Default: it does not.
    pub tls: Option<TlsFile>,
    /// What attempts ask for, over HTTP. Default: GET /square?n={n}, with a square as the reply.
    pub request: Option<At<RequestFile>>,
    /// What counts as served, over HTTP. Default: a complete reply with a status of 2xx.
    pub reply: Option<At<ReplyFile>>,
    /// A request that crashes a worker, or whether one that makes no sense does. Default: true; where the service has
    /// requests of its own, the worker that has the request is killed instead.
    pub poison: Option<At<PoisonChoiceFile>>,
    /// What is said on a connection, in order, over bytes.
    #[serde(default)]
    pub exchange: Vec<At<ExchangeFile>>,
    /// Who ends the connection behind the last exchange. Default: client.
    pub close: Option<At<CloseFile>>,
    /// Who holds the listener, and how workers get it.
    pub socket: SocketFile,
    /// Transports that it can listen on. Default: all.
    pub transports: Option<At<Vec<Transport>>>,
    /// Fewest workers that its strategy needs, 1 to 256. Default: 1.
    pub workers_min: Option<At<i64>>,
    /// Most workers that it can run, 1 to 256. Default: 256.
    pub workers_max: Option<At<i64>>,
    /// The command that starts it, in the foreground.
    pub start: At<Vec<At<String>>>,
    /// When it counts as ready.
    pub ready: Option<At<ReadyFile>>,
    /// How it is stopped. Default: TERM to the process that was started.
    pub stop: Option<At<ControlFile>>,
    /// The program that `start` starts, where others run behind it. Default: it is called as the description.
    pub front: Option<At<FrontFile>>,
    /// Programs that run behind it, and are started before it, in this order.
    #[serde(default)]
    pub program: Vec<At<ProgramFile>>,
    /// Files that are rendered into the trial's folder before it starts, by name.
    #[serde(default)]
    pub files: Table<TemplateFileFile>,
    /// What it can be asked to do, by verb. A verb that is absent is unsupported.
    #[serde(default)]
    pub control: Table<ControlFile>,
    /// Fixed absolute paths that it insists on; each gets an empty tmpfs of the trial's own.
    #[serde(default)]
    pub private: Vec<At<String>>,
    /// Environment variables.
    #[serde(default)]
    pub env: Table<String>,
    /// Grades that it is expected to get, by scenario.
    #[serde(default)]
    pub expected: Table<String>,
    /// A trap that users should know of.
    pub trap: Option<String>,
    /// The backlog that it listens with unless told otherwise, for people to read.
    pub backlog_default: Option<String>,
    /// How long it waits, unless told otherwise, until it starts a dead worker again, for people to read.
    pub restart_delay_default: Option<String>,
    /// Whether it must be started by the machine's own root, without a user namespace. Default: false.
    #[serde(default)]
    pub needs_root: bool,
    /// What else it needs of a machine, in a few words for people to read.
    pub needs: Option<String>,
    /// The file in which it keeps its process id, relative to the trial's folder. Default: none, it
    /// stays the process that was started.
    pub pid_file: Option<At<String>>,
    /// Whether it can run its workers as the user {user}. Default: false.
    #[serde(default)]
    pub can_drop: bool,
    /// Whether it is a single process, which serves by itself and has no worker for a fault to hit.
    /// Default: false.
    #[serde(default)]
    pub single_process: bool,
    /// Whether it takes a worker more or a worker less, and no number: whoever scales it counts from what is there.
    /// Default: false.
    #[serde(default)]
    pub scales_by_one: bool,
}

/// Who holds the listener, and how workers get it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SocketFile {
    /// Who holds it.
    pub holder: Holder,
    /// How workers get it.
    pub passing: At<Passing>,
}

/// When a supervisor counts as ready.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReadyFile {
    /// A listener at the address must be seen through sock_diag. Default: true.
    pub listening: Option<bool>,
    /// As many workers as asked for must have recorded that they can accept. Default: true, but
    /// false for workers that keep no ledger or start with a connection.
    pub workers: Option<At<bool>>,
    /// The service must have given a right reply, to a request outside of all counts. Default: true for
    /// services that run `itself` where a request is a GET, else false.
    pub reply: Option<At<bool>>,
    /// The path of another, harmless request to ask it for, over HTTP: any complete 2xx reply is right then.
    /// Default: the same request that attempts make.
    pub request: Option<At<String>>,
    /// How many spare workers must be ready as well. Default: 0.
    pub spares: Option<u32>,
    /// How long it may take, up to 2min. Default: 10s.
    pub timeout: Option<At<Time>>,
}

/// The program that has the service's address.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FrontFile {
    /// What it is called: small letters, digits, `-`, `_` and `.`.
    pub name: At<String>,
    /// What it can be asked to do, by verb, where a fault is aimed at it. A verb that is absent is unsupported.
    #[serde(default)]
    pub control: Table<ControlFile>,
}

/// A program that runs behind the one that has the service's address.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProgramFile {
    /// What it is called: small letters, digits, `-`, `_` and `.`.
    pub name: At<String>,
    /// The command that starts it, in the foreground.
    pub start: At<Vec<At<String>>>,
    /// Where it listens: host:port, or the path of a Unix socket. It is ready once somebody does there.
    pub listens: At<String>,
    /// How long that may take, up to 2min. Default: 10s.
    pub timeout: Option<At<Time>>,
    /// How it is stopped. Default: TERM to the process that was started.
    pub stop: Option<At<ControlFile>>,
    /// What it can be asked to do, by verb, where a fault is aimed at it. A verb that is absent is unsupported.
    #[serde(default)]
    pub control: Table<ControlFile>,
    /// The file in which it keeps its process id, as for the supervisor.
    pub pid_file: Option<At<String>>,
}

/// A file that is rendered before the supervisor starts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TemplateFileFile {
    /// The template's path, relative to the folder of the description.
    pub template: At<String>,
    /// The template in its place where the service listens on a Unix socket. Default: the same.
    pub unix: Option<At<String>>,
    /// Whether the file is made executable. Default: false.
    #[serde(default)]
    pub executable: bool,
}

/// How a supervisor is asked to do something: a command, a signal, or why it cannot.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum ControlFile {
    /// A command. It must end with status 0.
    Command(Vec<String>),
    /// A signal, or why it cannot.
    Table(ControlTableFile),
}

/// A signal and to whom it goes, or why the verb is not possible.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ControlTableFile {
    /// The signal's name without `SIG`.
    pub signal: Option<At<String>>,
    /// To whom. Default: supervisor.
    pub to: Option<At<SignalToFile>>,
    /// Why this is not possible.
    pub unsupported: Option<At<String>>,
}

/// Whom a control signal goes to.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum SignalToFile {
    /// One of the processes that holdline knows.
    Known(KnownTarget),
    /// The process whose id is in a file, or a program behind the front.
    Table(SignalTableFile),
}

/// A process that holdline knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub enum KnownTarget {
    /// The process that was started.
    Supervisor,
    /// That process and all of its process group.
    Group,
    /// Every worker.
    Workers,
}

/// A process by the file that its id is in, or a program by its name: one of the two.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SignalTableFile {
    /// The file: relative to the trial's folder, or an absolute path below one of `private`.
    pub pidfile: Option<At<String>>,
    /// The program, one of `[[program]]`.
    pub program: Option<At<String>>,
}

read_one_of!(
    ControlFile,
    OneOf::<Self, ControlTableFile>::new(
        "a command as a list of words, or a table of signal and to, or of unsupported"
    )
    .list(Self::Command)
    .table(Self::Table)
);
read_one_of!(
    SignalToFile,
    OneOf::<Self, SignalTableFile>::new(
        "one of `supervisor`, `group`, `workers`, or a table of pidfile or of program"
    )
    .text(|text| known_target(text).map(Self::Known).map_err(|word| unknown_word(&word)))
    .table(Self::Table)
);

fn known_target(given: &str) -> Result<KnownTarget, UnknownWord> {
    const WORDS: [(&str, KnownTarget); 3] = [
        ("supervisor", KnownTarget::Supervisor),
        ("group", KnownTarget::Group),
        ("workers", KnownTarget::Workers),
    ];
    let allowed = WORDS.map(|(word, _)| word);
    let found = WORDS.into_iter().find(|(word, _)| *word == given);
    found.map(|(_, target)| target).ok_or_else(|| UnknownWord {
        what: "target",
        given: given.to_owned(),
        nearest: nearest(given, allowed).map(str::to_owned),
        allowed: allowed.to_vec(),
    })
}
