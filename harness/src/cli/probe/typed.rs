//! What was typed behind `probe`, made valid.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use holdline_model::file::Rate;
use holdline_model::wire::Address;

use crate::cli::args::ProbeArgs;
use crate::exit::Failure;
use crate::probe::{Asks, Do, Service, Subject, Tls};

/// How many attempts per second there may be.
const RATE_MAX: f64 = 5_000.0;
/// And where others may be using the service.
const RATE_MAX_ATTACHED: f64 = 1_000.0;

/// How long it may take until it listens, and then until it replies, where nothing else is said.
const WAIT: Duration = Duration::from_secs(30);
const WAIT_FOR_REPLY: Duration = Duration::from_secs(15);

/// What was typed.
pub(super) struct Typed {
    pub(super) asks: Asks,
    tls: Option<Tls>,
    pub(super) dos: Vec<Do>,
    /// The current folder.
    pub(super) folder: String,
    rate: f64,
    duration: Duration,
    /// How long it may take until it listens.
    pub(super) wait: Duration,
    /// And then until it replies.
    wait_for_reply: Duration,
}

impl Typed {
    pub(super) fn of(args: &ProbeArgs) -> Result<Self, Failure> {
        let rate: Rate = args.rate.parse().map_err(Failure::usage)?;
        let duration_ns = holdline_model::duration::parse(&args.duration)
            .map_err(|error| Failure::usage(error.to_string()))?;
        let rate_max = if args.attach.is_some() { RATE_MAX_ATTACHED } else { RATE_MAX };
        if !(1.0..=rate_max).contains(&rate.per_second)
            || !(600_000_000..=60_000_000_000).contains(&duration_ns)
        {
            return Err(Failure::usage(format!(
                "--rate is 1/s to {rate_max}/s, and --duration 600ms to 60s"
            )));
        }
        let is_right = |wait| (Duration::from_millis(100)..=Duration::from_secs(120)).contains(&wait);
        if !args.wait.is_none_or(is_right) {
            return Err(Failure::usage("--wait is 100ms to 2min"));
        }
        let folder = std::env::current_dir().map_err(Failure::environment)?;
        let Some(folder) = folder.to_str() else {
            return Err(Failure::usage(format!(
                "{} is not UTF-8; start from another folder",
                folder.display()
            )));
        };
        Ok(Self {
            asks: asks(args)?,
            tls: tls(args, folder)?,
            dos: dos(args)?,
            folder: folder.to_owned(),
            rate: rate.per_second,
            duration: Duration::from_nanos(duration_ns),
            wait: args.wait.unwrap_or(WAIT),
            wait_for_reply: args.wait.unwrap_or(WAIT_FOR_REPLY),
        })
    }

    /// What is probed: somebody who serves at an address.
    pub(super) fn subject<'a>(&'a self, service: Service<'a>, address: Address) -> Subject<'a> {
        let Self { asks, tls, folder, rate, duration, wait_for_reply, .. } = self;
        let tls = tls.as_ref();
        Subject {
            service,
            folder,
            asks,
            tls,
            address,
            rate: *rate,
            duration: *duration,
            wait: *wait_for_reply,
        }
    }
}

fn asks(args: &ProbeArgs) -> Result<Asks, Failure> {
    let message = args.send.clone().zip(args.expect.clone());
    match (&args.http, &args.http2, &args.websocket, message) {
        (Some(path), None, None, None) => Ok(Asks::Http(path.clone())),
        (None, Some(path), None, None) => Ok(Asks::Http2(path.clone())),
        (None, None, Some(path), message) => Ok(Asks::WebSocket { path: path.clone(), message }),
        (None, None, None, Some((send, expect))) => Ok(Asks::Bytes { send, expect }),
        (None, None, None, None) => Ok(Asks::Http("/".to_owned())),
        _ => Err(Failure::usage(
            "say what it is asked in one way: --http PATH, --http2 PATH, --websocket PATH, or --send BYTES with \
             --expect BYTES",
        )),
    }
}

/// A certificate that a service on loopback shows is seldom signed for that name by anybody known: unless it is said whose
/// signature counts, any will do.
fn tls(args: &ProbeArgs, folder: &str) -> Result<Option<Tls>, Failure> {
    let ca = args.tls_ca.as_ref().map(|ca| {
        let path = Path::new(folder).join(ca);
        // What is wrong with what was typed is found before the command is started.
        std::fs::File::open(&path)
            .map_err(|error| Failure::usage(format!("failed to read --tls-ca {}: {error}", ca.display())))?;
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| Failure::usage(format!("--tls-ca {}: its path is not UTF-8", ca.display())))
    });
    let server_name = args.tls_name.clone();
    let is_spoken = args.tls || ca.is_some() || server_name.is_some();
    let tls = Tls { ca: ca.transpose()?, server_name };
    Ok(is_spoken.then_some(tls))
}

fn dos(args: &ProbeArgs) -> Result<Vec<Do>, Failure> {
    let dos = args.dos.iter().map(|text| a_do(text)).collect::<Result<Vec<_>, _>>()?;
    let mut names = BTreeSet::new();
    if let Some(twice) = dos.iter().find(|it| !names.insert(it.name.as_str())) {
        return Err(Failure::usage(format!(
            "two of --do are called `{}`; give one of them another name",
            twice.name
        )));
    }
    match dos.iter().find(|it| args.attach.is_some() && it.command.contains("{pid}")) {
        Some(it) => Err(Failure::usage(format!(
            "--do {}: with --attach there is no {{pid}}, since holdline started nothing; name the process yourself",
            it.name
        ))),
        None => Ok(dos),
    }
}

fn a_do(text: &str) -> Result<Do, Failure> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.len() <= 40
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    match text.split_once('=') {
        Some((name, command)) if is_name(name) && !command.trim().is_empty() => {
            Ok(Do { name: name.to_owned(), command: command.to_owned() })
        }
        _ => Err(Failure::usage(format!(
            "`--do {text}` is not NAME=COMMAND with a name of small letters, such as 'reload=kill -HUP {{pid}}'"
        ))),
    }
}
