//! The planted server: fails as it is told, by attempt number, and keeps a ledger like any worker.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use holdline_contract::clock::now_ns;
use holdline_contract::control::{ControlError, ControlPage};
use holdline_contract::ledger::{LedgerError, LedgerWriter};
use holdline_model::shm::{RecordKind, WorkerRecord};
use holdline_model::wire::{Address, Peer, ReplyFields, reply_line};
use nix::libc::linger;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket, sockopt,
};

use crate::kernel::diag::{Diag, DiagError};

/// Attempts that are answered right, late ones included.
pub(super) const SERVED: u64 = 14 + LATE;
/// Attempts that are answered right, but after the deadline.
pub(super) const LATE: u64 = 3;
/// Attempts that are accepted and closed.
pub(super) const CLOSED: u64 = 5;
/// Attempts that are accepted and reset.
pub(super) const RESET: u64 = 2;
/// Attempts whose replies are cut short.
pub(super) const TRUNCATED: u64 = 4;
/// Attempts that get a wrong answer.
pub(super) const WRONG: u64 = 3;
/// Attempts that are never answered.
pub(super) const SILENT: u64 = 2;

/// Attempts over HTTP that are answered right.
pub(super) const RIGHT_STATUS: u64 = 8;
/// Attempts over HTTP that get status 503.
pub(super) const TURNED_AWAY: u64 = 5;
/// Attempts over HTTP that get any status of failure.
pub(super) const FAILED: u64 = TURNED_AWAY + 3;
/// Attempts over HTTP that get a wrong answer with status 200.
pub(super) const WRONG_BODY: u64 = 2;

/// How long a late answer takes: longer than the deadline of `replies.toml`, shorter than its
/// time-out.
const DELAY: Duration = Duration::from_millis(700);

/// What went wrong with a planted server; its log says so.
#[derive(Debug, thiserror::Error)]
enum PlantError {
    /// A step failed.
    #[error("failed to {what}: {error}")]
    Failed { what: &'static str, error: Box<dyn Error + Send + Sync> },
    /// A reply could not be written.
    #[error("failed to reply: {0}")]
    Reply(#[from] io::Error),
    /// The control page could not be used.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The ledger could not be made.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The queue could not be looked at.
    #[error(transparent)]
    Diag(#[from] DiagError),
    /// It was not asked as it expects to be.
    #[error("{0}")]
    Unfit(&'static str),
}

fn failed<E: Into<Box<dyn Error + Send + Sync>>>(what: &'static str) -> impl FnOnce(E) -> PlantError {
    move |error| PlantError::Failed { what, error: error.into() }
}

/// Options of the planted server.
#[derive(Debug, Args)]
pub struct PlantArgs {
    /// What is planted
    pub plan: Plan,
    /// The trial's worker home
    #[arg(long)]
    pub home: PathBuf,
    /// Where to listen
    #[arg(long)]
    pub address: Address,
    /// The listener's backlog
    #[arg(long)]
    pub backlog: i32,
}

/// What is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Plan {
    /// Every way to spoil a reply
    Replies,
    /// Statuses, over HTTP
    Statuses,
    /// Answers 12 attempts, then closes the listener
    Refuse,
    /// Answers 8 attempts, waits for 8 more to queue, then closes the listener
    ResetQueue,
    /// Never accepts
    Overflow,
}

/// What is done to one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Right,
    Late,
    Close,
    Reset,
    Truncate,
    Wrong,
    Silence,
}

/// What attempts get, in order. Right answers in between show that nothing is carried over.
const REPLIES: [(Reply, u64); 13] = [
    (Reply::Right, 4),
    (Reply::Close, CLOSED),
    (Reply::Right, 1),
    (Reply::Reset, RESET),
    (Reply::Right, 2),
    (Reply::Truncate, TRUNCATED),
    (Reply::Right, 1),
    (Reply::Wrong, WRONG),
    (Reply::Right, 2),
    (Reply::Late, LATE),
    (Reply::Right, 1),
    (Reply::Silence, SILENT),
    (Reply::Right, 3),
];

/// What attempts over HTTP get, in order: the status, and whether the body is the answer.
const STATUSES: [((&str, bool), u64); 8] = [
    (OK, 3),
    (("503 Service Unavailable", false), TURNED_AWAY - 1),
    (OK, 2),
    (("502 Bad Gateway", false), 2),
    // Whatever stands behind it, the status says that it failed.
    (("500 Internal Server Error", true), 1),
    (("200 OK", false), WRONG_BODY),
    (("503 Service Unavailable", true), 1),
    (OK, 3),
];
const OK: (&str, bool) = ("200 OK", true);

fn reply_to(attempt: u32) -> Reply {
    nth_of(&REPLIES, attempt).unwrap_or(Reply::Right)
}

fn status_for(attempt: u32) -> (&'static str, bool) {
    nth_of(&STATUSES, attempt).unwrap_or(OK)
}

/// The value that an attempt gets of a list of values with how many attempts get each.
fn nth_of<T: Copy>(list: &[(T, u64)], attempt: u32) -> Option<T> {
    let mut left = u64::from(attempt);
    for &(value, count) in list {
        if left < count {
            return Some(value);
        }
        left -= count;
    }
    None
}

/// Runs the planted server until it is killed.
#[must_use]
pub fn main(args: &PlantArgs) -> ExitCode {
    match Server::new(args).and_then(|server| server.run(args.plan)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("planted server: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Server {
    listener: Option<TcpListener>,
    address: Address,
    ledger: LedgerWriter,
    pid: u32,
    generation: u32,
    connections: u32,
}

impl Server {
    fn new(args: &PlantArgs) -> Result<Self, PlantError> {
        let Address::Tcp(address) = args.address else {
            return Err(PlantError::Unfit("only TCP is planted"));
        };
        let generation = ControlPage::open(&args.home)?.begin();
        let pid = std::process::id();
        let ledger = LedgerWriter::create(&args.home, pid, generation)?;
        let listener = listen_at(address, args.backlog)?;
        let mut server = Self {
            listener: Some(listener),
            address: args.address.clone(),
            ledger,
            pid,
            generation,
            connections: 0,
        };
        server.record(RecordKind::Boot, None, 1)?;
        server.record(RecordKind::Ready, None, 0)?;
        Ok(server)
    }

    fn run(mut self, plan: Plan) -> Result<(), PlantError> {
        match plan {
            Plan::Replies => loop {
                self.accept_one(
                    |_| false,
                    |it, stream, attempt| it.answer(stream, attempt, reply_to(attempt)),
                )?;
            },
            Plan::Statuses => loop {
                self.accept_one(|_| false, Self::answer_over_http)?;
            },
            Plan::Refuse => {
                // The listener closes before the twelfth answer, so before the next attempt begins.
                for served in 1..=12 {
                    self.accept_one(|_| served == 12, Self::answer_right)?;
                }
            }
            Plan::ResetQueue => {
                for _ in 0..8 {
                    self.accept_one(|_| false, Self::answer_right)?;
                }
                self.wait_for_queue(8)?;
                self.listener = None;
            }
            Plan::Overflow => {}
        }
        loop {
            std::thread::park();
        }
    }

    /// Accepts one connection and does to it what is planted. Where `closes` says so, the listener
    /// is closed before the answer.
    fn accept_one(
        &mut self,
        closes: impl Fn(u32) -> bool,
        answer: impl Fn(&mut Self, TcpStream, u32) -> Result<(), PlantError>,
    ) -> Result<(), PlantError> {
        let listener = self.listener.as_ref().ok_or(PlantError::Unfit("the listener is closed"))?;
        self.ledger.window(true);
        let (stream, from) = listener.accept().map_err(failed("accept"))?;
        let peer = Peer::Ip(from.ip(), from.port());
        self.connections += 1;
        self.record(RecordKind::Accepted, Some(peer), 0)?;
        self.ledger.window(false);
        let attempt = peer.attempt().ok_or(PlantError::Unfit("a connection that no attempt made"))?;
        if closes(attempt) {
            self.listener = None;
        }
        answer(self, stream, attempt)?;
        self.record(RecordKind::Closed, Some(peer), 0)
    }

    fn answer_right(&mut self, stream: TcpStream, attempt: u32) -> Result<(), PlantError> {
        self.answer(stream, attempt, Reply::Right)
    }

    fn answer_over_http(&mut self, mut stream: TcpStream, attempt: u32) -> Result<(), PlantError> {
        while !read_line(&mut stream)?.is_empty() {}
        self.record(RecordKind::Read, None, u64::from(attempt))?;
        let (status, is_right) = status_for(attempt);
        let number = u64::from(attempt) + u64::from(!is_right);
        let body = reply_line(number, &ReplyFields::default());
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")?;
        if (status, is_right) == OK {
            self.record(RecordKind::Replied, None, u64::from(attempt))?;
        }
        Ok(())
    }

    fn answer(&mut self, mut stream: TcpStream, attempt: u32, reply: Reply) -> Result<(), PlantError> {
        read_line(&mut stream)?;
        self.record(RecordKind::Read, None, u64::from(attempt))?;
        let line = reply_line(u64::from(attempt), &ReplyFields::default());
        match reply {
            Reply::Close => {}
            Reply::Reset => setsockopt(&stream, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 })
                .map_err(failed("set SO_LINGER"))?,
            Reply::Truncate => stream.write_all(&line.as_bytes()[..line.len() / 2])?,
            Reply::Wrong => {
                stream.write_all(reply_line(u64::from(attempt) + 1, &ReplyFields::default()).as_bytes())?;
            }
            Reply::Silence => {
                // Until the client gives up.
                let _ = stream.read(&mut [0]);
            }
            Reply::Right | Reply::Late => {
                if reply == Reply::Late {
                    std::thread::sleep(DELAY);
                }
                stream.write_all(line.as_bytes())?;
                self.record(RecordKind::Replied, None, u64::from(attempt))?;
            }
        }
        Ok(())
    }

    fn wait_for_queue(&self, length: u32) -> Result<(), PlantError> {
        let mut diag = Diag::open()?;
        while diag.listeners(&self.address)?.iter().all(|listener| listener.queue < length) {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Long enough for the observer to have seen the queue as well.
        std::thread::sleep(Duration::from_millis(50));
        Ok(())
    }

    fn record(&mut self, kind: RecordKind, peer: Option<Peer>, detail: u64) -> Result<(), PlantError> {
        let record = WorkerRecord {
            kind,
            pid: self.pid,
            generation: self.generation,
            connection: self.connections,
            at_ns: now_ns(),
            detail,
            peer,
        };
        self.ledger.append(&record).map_err(failed("write the ledger"))
    }
}

fn listen_at(address: SocketAddr, backlog: i32) -> Result<TcpListener, PlantError> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd =
        socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map_err(failed("open a socket"))?;
    setsockopt(&fd, sockopt::ReuseAddr, &true).map_err(failed("set SO_REUSEADDR"))?;
    bind(std::os::fd::AsRawFd::as_raw_fd(&fd), &SockaddrStorage::from(address)).map_err(failed("bind"))?;
    listen(&fd, Backlog::new(backlog).map_err(failed("use that backlog"))?).map_err(failed("listen"))?;
    Ok(TcpListener::from(fd))
}

/// Reads a line, which it gives without its end.
fn read_line(stream: &mut TcpStream) -> Result<Vec<u8>, PlantError> {
    let (mut byte, mut line) = ([0], Vec::new());
    while stream.read(&mut byte).map_err(failed("read a request"))? == 1 {
        match byte[0] {
            b'\n' => return Ok(line),
            b'\r' => {}
            other => line.push(other),
        }
    }
    Err(PlantError::Unfit("a client left before it had asked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_has_as_many_of_each_as_it_says() {
        let attempts: u64 = REPLIES.iter().map(|(_, count)| count).sum();
        let count =
            |reply| (0..attempts).filter(|n| reply_to(u32::try_from(*n).unwrap()) == reply).count() as u64;
        assert_eq!(count(Reply::Right) + count(Reply::Late), SERVED);
        assert_eq!(count(Reply::Late), LATE);
        assert_eq!(count(Reply::Close), CLOSED);
        assert_eq!(count(Reply::Reset), RESET);
        assert_eq!(count(Reply::Truncate), TRUNCATED);
        assert_eq!(count(Reply::Wrong), WRONG);
        assert_eq!(count(Reply::Silence), SILENT);
        assert_eq!(planned_by(include_str!("replies.toml")), attempts);
    }

    #[test]
    fn as_many_get_each_status_as_it_says() {
        let count = |is: fn(&str, bool) -> bool| -> u64 {
            STATUSES.iter().filter(|((status, is_right), _)| is(status, *is_right)).map(|(_, n)| n).sum()
        };
        assert_eq!(count(|status, is_right| (status, is_right) == OK), RIGHT_STATUS);
        assert_eq!(count(|status, _| status.starts_with("503")), TURNED_AWAY);
        assert_eq!(count(|status, _| status != OK.0), FAILED);
        assert_eq!(count(|status, is_right| status == OK.0 && !is_right), WRONG_BODY);
        assert_eq!(planned_by(include_str!("statuses.toml")), count(|_, _| true));
    }

    fn planned_by(scenario: &str) -> u64 {
        let scenario = holdline_model::scenario::parse(scenario, "scenario.toml").unwrap();
        let holdline_model::scenario::Until::Attempts(planned) = scenario.load.until else {
            panic!("attempts")
        };
        planned.into()
    }
}
