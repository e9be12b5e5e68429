//! Scenario files as they are written. `scenarios/FORMAT.md` describes them for people, the JSON
//! Schema of these types describes them for editors; what they mean is checked in `validate`.

mod read;

use schemars::JsonSchema;

use super::{Drain, Target};
use crate::file::{At, Bytes, Rate, Table, Time};
use crate::service::file::{CloseFile, ExchangeFile, PoisonChoiceFile, ReplyFile, RequestFile};
use crate::syscall::When;
use crate::tls::file::TlsFile;
use crate::wire::{Protocol, ProxyVersion};
use crate::words::{CrashMode, CrashStep, Transport, Verb};

/// A scenario: what happens to a supervisor.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScenarioFile {
    /// Its stable name: small letters, digits, `-`, `_`, `.`, and `/` after the name of a folder.
    pub name: At<String>,
    /// The question it answers.
    pub asks: At<String>,
    /// A paragraph that explains it.
    #[serde(default)]
    pub about: String,
    /// What each grade means here.
    #[serde(default)]
    pub means: Table<String>,
    /// Whether it runs only where it is named, not as one of `all` or of a pattern. Default: false.
    #[serde(default)]
    pub opt_in: bool,
    /// The grade that each reference supervisor gets here; where the kernel's choice or chance
    /// decides between two, `held or lossy`. `alike` says why, if all get the same.
    #[serde(default)]
    pub reference: Table<String>,
    /// The listening socket.
    #[serde(default)]
    pub listen: ListenFile,
    /// The workers.
    #[serde(default)]
    pub workers: WorkersFile,
    /// The load.
    pub load: At<LoadFile>,
    /// How the load client speaks TLS, in place of what the supervisor's description says.
    pub tls: Option<TlsFile>,
    /// What attempts ask for, over HTTP. Default: what the description says.
    pub request: Option<At<RequestFile>>,
    /// What counts as served, over HTTP. Default: what the description says.
    pub reply: Option<At<ReplyFile>>,
    /// A request that crashes a worker. Default: what the description says.
    pub poison: Option<At<PoisonChoiceFile>>,
    /// What is said on a connection, in order, over bytes. Default: what the description says.
    #[serde(default)]
    pub exchange: Vec<At<ExchangeFile>>,
    /// Who ends the connection behind the last exchange. Default: client.
    pub close: Option<At<CloseFile>>,
    /// What is done to the system.
    #[serde(default)]
    pub fault: Vec<At<FaultFile>>,
    /// Sysctls of the trial's namespaces, by dotted name.
    #[serde(default)]
    pub sysctl: Table<SysctlFile>,
    /// How the kernel is observed.
    #[serde(default)]
    pub kernel: KernelFile,
    /// What must hold at the end, by metric.
    #[serde(default)]
    pub expect: Table<ExpectFile>,
}

/// How the kernel is observed.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KernelFile {
    /// Whether connections that nobody has accepted are sampled also where workers keep a ledger,
    /// so that the two can be compared. Default: false.
    #[serde(default)]
    pub sample_accepts: bool,
}

/// The listening socket.
#[derive(Debug, Clone, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ListenFile {
    /// What carries the connections. Default: tcp.
    pub transport: Option<At<Transport>>,
    /// The backlog that is asked for, 1 to 65535. Default: 128.
    pub backlog: Option<At<i64>>,
    /// The port, 1 to 65535; not with unix. Default: one that is free.
    pub port: Option<At<i64>>,
    /// Where a Unix socket is that is always at the same place: an absolute path, or `@` and the name of an
    /// abstract one; only with unix. Default: a path in the trial's folder.
    pub path: Option<At<String>>,
}

/// The workers.
#[derive(Debug, Clone, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WorkersFile {
    /// How many, 1 to 256. Default: 1.
    pub count: Option<At<i64>>,
    /// How long a worker takes to boot, up to 2min. Default: 0.
    pub boot: Option<At<Time>>,
    /// How long a worker works on each request; less than the time-out. Default: 0.
    pub work: Option<At<Time>>,
    /// What a worker does on TERM. Default: graceful.
    pub drain: Option<Drain>,
    /// For how long it is waited after the load until there are as many workers as there should be, up to
    /// 2min; then it is looked at what the supervisor has left open or unreaped. Default: neither.
    pub settle: Option<At<Time>>,
    /// Limit of open descriptors of a worker, from 16. Default: inherited.
    pub nofile: Option<At<i64>>,
    /// Limit of the memory that a worker takes, 64MiB to 4GiB. Default: inherited.
    pub memory: Option<At<Bytes>>,
    /// The user that workers run as, by name or id. Default: the supervisor's.
    pub user: Option<At<UserFile>>,
}

/// A user: a name, or an id.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum UserFile {
    /// By id.
    Id(i64),
    /// By name.
    Name(String),
}

/// The load. It ends after `attempts` or after `duration`, one of which must be there.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoadFile {
    /// When attempts are due.
    pub arrivals: At<ArrivalsFile>,
    /// End after this many attempts.
    pub attempts: Option<At<i64>>,
    /// End after this time, up to 10min.
    pub duration: Option<At<Time>>,
    /// Time-outs of an attempt, up to 2min. Default: 5s.
    pub timeout: Option<At<TimeoutFile>>,
    /// Served later than this after the intended start: delayed. Default: 50ms.
    pub deadline: Option<At<Time>>,
    /// How long the watch goes on after the load if the service is not back, up to 10min; 0s: no watch.
    /// Default: 10s.
    pub patience: Option<At<Time>>,
    /// What is spoken. Default: what the supervisor's workers speak, which is square where they are
    /// ours.
    pub protocol: Option<Protocol>,
    /// The PROXY protocol, v1 or v2: a header with both ends' addresses in front of the first byte. Default: none.
    pub proxy: Option<ProxyVersion>,
    /// What an attempt does with its connection. Default: one-shot.
    pub connection: Option<At<ConnectionFile>>,
    /// How many client addresses attempts share, 1 to 254, each for up to 31744 attempts; not with unix.
    /// Default: each attempt has one of its own.
    pub clients: Option<At<i64>>,
    /// Most connections in flight, 1 to 100000; beyond it attempts are `not_sent`. Default: 10000.
    pub in_flight: Option<At<i64>>,
    /// How many threads of the load client make the attempts, 1 to 64; not with sequential arrivals, and no more than
    /// closed clients or connections of a pool. Default: 1.
    pub threads: Option<At<i64>>,
    /// Beyond this send lag (99th percentile) the trial is inconclusive. Default: 50ms.
    pub send_lag: Option<At<Time>>,
}

/// When attempts are due: exactly one of these.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArrivalsFile {
    /// Each is due this time after the previous one ended, the first at once.
    Sequential(At<Time>),
    /// Evenly spaced.
    Constant(At<Rate>),
    /// At random, with this mean rate, drawn from the seed.
    Poisson(At<Rate>),
    /// A rate that changes linearly over the load's duration.
    Ramp(RampFile),
    /// Several at once, again and again.
    Burst(BurstFile),
    /// This many clients, each of which begins again as soon as its attempt ended.
    Closed(At<i64>),
}

/// A rate that changes linearly.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RampFile {
    /// The rate at the beginning.
    pub from: At<Rate>,
    /// The rate at the end.
    pub to: At<Rate>,
}

/// Several attempts at once, again and again.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BurstFile {
    /// How many at once.
    pub size: At<i64>,
    /// From one burst to the next.
    pub every: At<Time>,
}

/// Time-outs: one for everything, or one each.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum TimeoutFile {
    /// For the whole attempt.
    Total(Time),
    /// One each.
    Each(TimeoutsFile),
}

/// Time-outs, each counted from the start of the attempt; in a session, those for the reply count from
/// the beginning of each request.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TimeoutsFile {
    /// For the handshake. Default: as total.
    pub connect: Option<At<Time>>,
    /// For the first byte of the reply. Default: as total.
    pub first_byte: Option<At<Time>>,
    /// For the whole attempt. Default: 5s.
    pub total: Option<At<Time>>,
}

/// What an attempt does with its connection: `one-shot`, or a table.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum ConnectionFile {
    /// One request, sent and read at once.
    Word(ConnectionWord),
    /// Anything else.
    Table(Box<ConnectionTableFile>),
}

/// The connection that needs no table.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionWord {
    /// One request, sent and read at once.
    OneShot,
}

/// What an attempt does with its connection. What is left out is as in one-shot.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConnectionTableFile {
    /// Requests on a connection, one after the other, 1 to 10000. Default: 1.
    pub requests: Option<At<i64>>,
    /// Whether all requests are sent at once, before any reply came; with `requests` of 2 to 1000. Default: false.
    pub pipeline: Option<At<bool>>,
    /// From a reply to the next request. Default: 0.
    pub gap: Option<At<Time>>,
    /// Pause between the end of the handshake and the first byte. Default: 0.
    pub connect_pause: Option<At<Time>>,
    /// Whether it connects and asks for nothing; with `every` alone. Default: false.
    pub silent: Option<At<bool>>,
    /// Pause after the first half of each request. Default: 0.
    pub send_pause: Option<At<Time>>,
    /// Pause between the end of each request and the first look for its reply. Default: 0.
    pub read_pause: Option<At<Time>>,
    /// Length of each request's body, up to 64MiB; needs protocol http. Default: no body.
    pub body: Option<At<Bytes>>,
    /// Whether the client ends its side behind the last request. Default: false.
    pub half_close: Option<bool>,
    /// Attempts use idle connections of others again, and keep so many of them, 1 to 10000. Default: no pool.
    pub pool: Option<At<i64>>,
    /// With `pool`: after how long an idle connection is not used again. Default: as the server says, or never.
    pub idle_timeout: Option<At<Time>>,
    /// With `pool`: whether what fails on a connection that was used before, and before a byte of its reply came, is
    /// sent once more over a fresh one. Default: true.
    pub retry: Option<At<bool>>,
    /// Only every n-th attempt is like this, counted from 1; all others are one-shot. Default: 1.
    pub every: Option<At<i64>>,
}

/// Something done to the system: when, and exactly one action.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FaultFile {
    /// A name, by which the `after` of a later fault can refer to this one.
    pub name: Option<At<String>>,
    /// When.
    pub at: At<AtFile>,
    /// The program that is meant by `signal`, `pause` or `control`, where a service is several. Default: the one that
    /// has the service's address.
    pub target: Option<At<String>>,
    /// The attempt that is due carries poison.
    pub poison: Option<At<PoisonFile>>,
    /// Workers are told to fail at a step that no request carries.
    pub crash: Option<At<CrashFile>>,
    /// A signal is sent.
    pub signal: Option<At<SignalFile>>,
    /// SIGSTOP, and after a while SIGCONT.
    pub pause: Option<At<PauseFile>>,
    /// The supervisor is asked to do something.
    pub control: Option<At<ControlFile>>,
}

/// When a fault strikes: a time from the load's start, or a table.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum AtFile {
    /// This time after the load's start.
    Time(Time),
    /// Another moment.
    Moment(Box<MomentFile>),
}

/// The moment of a fault: `attempt`, `fraction`, `after` with `delay`, or `call`.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MomentFile {
    /// With this attempt, from 0.
    pub attempt: Option<At<i64>>,
    /// When this share of the load is due, from 0 to below 1.
    pub fraction: Option<At<f64>>,
    /// After the earlier fault of this name, or with this index from 0.
    pub after: Option<At<FaultRef>>,
    /// This time after the other fault is over. Default: 0.
    pub delay: Option<At<Time>>,
    /// At this system call of the supervisor, which is held there until the fault has struck. With `after`, calls are
    /// counted from the strike of that fault on, else from the load's start.
    pub call: Option<At<String>>,
    /// With `call`: only where this was the last call before it in the same thread that others can see.
    pub following: Option<At<String>>,
    /// With `call`: the how-many-th such call. Default: 1.
    pub nth: Option<At<i64>>,
    /// With `call`: before it is made, or after. Default: after.
    pub side: Option<At<When>>,
    /// With `call`: whether the trial tells something where the supervisor does not come there, which is then noted.
    /// Default: false, it is inconclusive.
    pub optional: Option<At<bool>>,
}

/// Another fault.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum FaultRef {
    /// By its place in the file, from 0.
    Index(i64),
    /// By its name.
    Name(String),
}

/// Poison: what the worker that gets it does.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PoisonFile {
    /// When the worker fails: accept, read, work, reply or close.
    pub step: At<CrashStep>,
    /// How it fails.
    pub mode: At<CrashMode>,
}

/// A crash that no request carries.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CrashFile {
    /// When the worker fails: boot, idle or drain.
    pub step: At<CrashStep>,
    /// How it fails.
    pub mode: At<CrashMode>,
    /// How many starts fail, with step boot. Default: 1.
    pub times: Option<At<i64>>,
}

/// A signal.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SignalFile {
    /// To whom.
    pub to: Target,
    /// Its name without `SIG`, for example TERM.
    pub name: At<String>,
}

/// SIGSTOP, and after a while SIGCONT.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PauseFile {
    /// Whom.
    pub whom: Target,
    /// For how long. Default: to the end of the load.
    pub r#for: Option<At<Time>>,
}

/// What the supervisor is asked to do: a verb, or a table.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum ControlFile {
    /// A verb that needs nothing else.
    Verb(Verb),
    /// With what belongs to it.
    Table(ControlTableFile),
}

/// What the supervisor is asked to do.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ControlTableFile {
    /// What.
    pub verb: Verb,
    /// For scale: how many workers.
    pub workers: Option<At<i64>>,
}

/// The value of a sysctl.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum SysctlFile {
    /// A number.
    Number(i64),
    /// A text, where one number does not do.
    Text(String),
}

/// What a metric is compared with: a number, or a sign and a number or time.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum ExpectFile {
    /// Equal to this number.
    Number(i64),
    /// A sign (`<`, `<=`, `=`, `!=`, `>=`, `>`) and a number or time, for example `< 250ms`.
    Text(String),
}
