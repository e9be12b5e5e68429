//! What can be typed behind the verbs that look for what nobody has thought of: fuzz, sweep and probe.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use holdline_model::duration;
use holdline_model::fuzz::Invariant;
use holdline_model::plan::Partition;
use holdline_model::supervisor::WorkerKind;
use holdline_model::sweep::SweepTarget;

use super::super::complete;
use super::{RunArgs, TrialArgs, examples, worker_kinds};

/// Options of `fuzz`.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples::FUZZ)]
pub struct FuzzArgs {
    /// The supervisor: a catalogue name, or the path of a supervisor.toml file
    #[arg(
        short,
        long = "supervisor",
        value_name = "SUPERVISOR",
        num_args = 1,
        required = true,
        add = ArgValueCompleter::new(complete::supervisors)
    )]
    pub supervisors: Vec<OsString>,
    /// Supervisors that must run, by name, or `all`: nothing else than the one that is fuzzed
    #[arg(long, value_name = "all|NAME", num_args = 1, value_delimiter = ',')]
    pub require: Vec<String>,
    /// Draw and try only a part of the cases, M from 1: of --cases its share, of saved ones these
    /// [default: JOB_COMPLETION_INDEX of JOB_COMPLETIONS, if both are set]
    #[arg(long, value_name = "slice:M/N|hash:M/N")]
    pub partition: Option<Partition>,
    /// End with the first failure that is confirmed
    #[arg(long)]
    pub fail_fast: bool,
    /// What `run` takes and makes no sense here, so that it can be said why.
    #[arg(value_name = "SCENARIO", hide = true)]
    pub scenarios: Vec<OsString>,
    /// The same.
    #[arg(short = 'r', long = "repetitions", value_name = "N", hide = true)]
    pub repeated: Option<OsString>,
    /// The same.
    #[arg(long = "dry-run", hide = true)]
    pub dry: bool,
    /// End after so many cases
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub cases: Option<u64>,
    /// How long all of it takes: no trial begins after this time [default: 60s, or none if --cases is given]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub budget: Option<Duration>,
    /// Keep cases that fail in this folder, and try what is there first; by default they are kept in the run directory
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
    /// What must hold; may be repeated [default: all]
    #[arg(long = "invariant", value_name = "NAME", num_args = 1, value_parser = invariants())]
    pub invariants: Vec<Invariant>,
    /// The share of cases that are aimed at moments of the supervisor's own story, 0 to 1; others strike at uniform times
    #[arg(long, value_name = "SHARE", default_value_t = 0.75, value_parser = share)]
    pub aimed: f64,
    /// Within what time the service must be back [default: ten times what its restart of a worker takes, at least 1s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub recovery: Option<Duration>,
    /// How many trials run side by side [default: as many as there are processors, or fewer if these disturb
    /// each other]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub lanes: Option<u32>,
    /// For how long each failure is made plainer; 0s keeps it as it was found
    /// [default: a third of --budget, 3s to 60s]
    #[arg(long, value_name = "TIME", value_parser = time_or_none)]
    pub shrink: Option<Duration>,
    /// Which worker to run under a supervisor that can run any command
    #[arg(long, value_name = "KIND", value_parser = worker_kinds())]
    pub worker: Option<WorkerKind>,
    /// How each trial is made, and where its result goes.
    #[command(flatten)]
    pub trial: TrialArgs,
}

/// The longest time that an option takes.
const TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

fn time(given: &str) -> Result<Duration, String> {
    match time_or_none(given)? {
        Duration::ZERO => Err("no time at all is too short".to_owned()),
        time => Ok(time),
    }
}

fn time_or_none(given: &str) -> Result<Duration, String> {
    let ns = duration::parse(given).map_err(|error| error.to_string())?;
    match Duration::from_nanos(ns) {
        time if time > TIME_MAX => Err("it is longer than 30 days".to_owned()),
        time => Ok(time),
    }
}

fn share(given: &str) -> Result<f64, String> {
    let share = given.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "it is no share; give a number from 0 to 1".to_owned())
}

fn invariants() -> impl TypedValueParser<Value = Invariant> {
    let value = |invariant: &Invariant| PossibleValue::new(invariant.as_str()).help(invariant.in_words());
    PossibleValuesParser::new(Invariant::ALL.iter().map(value)).try_map(|given| given.parse::<Invariant>())
}

/// Options of `sweep`.
#[derive(Debug, Args)]
#[command(after_help = examples::SWEEP)]
pub struct SweepArgs {
    /// Record the system calls of a life, and kill the target before and after each of them
    #[arg(long)]
    pub syscalls: bool,
    /// Who crashes: worker or supervisor [default: the worker, and the supervisor where it is one of
    /// holdline's own; with --syscalls the worker]
    #[arg(long, value_name = "WHO")]
    pub target: Option<SweepTarget>,
    /// With --syscalls: most places of a life at which somebody is killed
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub boundaries_max: u32,
    /// The options of `run`. A sweep makes its own scenarios.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Options of `probe`.
#[derive(Debug, Args)]
#[command(after_help = examples::PROBE)]
pub struct ProbeArgs {
    /// Ask for this path over HTTP; any complete 2xx reply is right [default: /]
    #[arg(long, value_name = "PATH")]
    pub http: Option<String>,
    /// Ask for this path over HTTP/2: each request is a connection with one stream
    #[arg(long, value_name = "PATH", conflicts_with = "http")]
    pub http2: Option<String>,
    /// Open a WebSocket at this path; with --send and --expect, say something over it
    #[arg(long, value_name = "PATH", conflicts_with_all = ["http", "http2"])]
    pub websocket: Option<String>,
    /// Send these bytes, with the escapes \r \n \t \0 \\ \xFF
    #[arg(long, value_name = "BYTES", requires = "expect", conflicts_with_all = ["http", "http2"])]
    pub send: Option<String>,
    /// How the answer to them begins
    #[arg(long, value_name = "BYTES", requires = "send")]
    pub expect: Option<String>,
    /// Speak TLS to it, whatever certificate it shows
    #[arg(long)]
    pub tls: bool,
    /// Speak TLS to it, and take only certificates that are signed by one of this file (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub tls_ca: Option<PathBuf>,
    /// Speak TLS to it, and ask for this name [default: that of the address]
    #[arg(long, value_name = "NAME")]
    pub tls_name: Option<String>,
    /// Do this to it, too: a shell command, in which {pid} is the process that was started
    #[arg(long = "do", value_name = "NAME=COMMAND", num_args = 1)]
    pub dos: Vec<String>,
    /// How many attempts are made, up to 5000/s; with --attach up to 1000/s
    #[arg(long, value_name = "RATE", default_value = "100/s")]
    pub rate: String,
    /// How long each step lasts, up to 60s
    #[arg(long, value_name = "TIME", default_value = "3s")]
    pub duration: String,
    /// How long it may take until it listens, and then until it replies [default: 30s, and 15s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub wait: Option<Duration>,
    /// Which of several listeners is meant: as the command binds it, or a loopback address that it takes
    #[arg(long, value_name = "ADDRESS", conflicts_with = "attach")]
    pub address: Option<String>,
    /// Put a service under load that runs already, at a loopback address, the path of a Unix socket, or @NAME: nothing
    /// is done to it but what --do says
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["command", "isolation"])]
    pub attach: Option<String>,
    /// Run each step that lost something once more, with those remedies that holdline can apply by itself
    #[arg(long, conflicts_with = "attach")]
    pub prove_remedy: bool,
    /// Write the description that was used into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "attach")]
    pub save: Option<PathBuf>,
    /// How each trial is made, and where its result goes.
    #[command(flatten)]
    pub trial: TrialArgs,
    /// The command, which stays in the foreground
    #[arg(last = true, required_unless_present = "attach", value_name = "COMMAND")]
    pub command: Vec<String>,
}
