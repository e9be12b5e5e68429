//! Asks a service one request, outside of all counts: from an address that belongs to no attempt, and for a
//! number that none asks for. What comes of it is judged as an attempt's outcome is, by the same
//! [`Connection`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use holdline_contract::clock::now_ns;
use holdline_model::answer::{Answer, first_bytes, pid_in};
use holdline_model::record::{ClientRecord, Outcome};
use holdline_model::scenario::{self, Load};
use holdline_model::tls::TlsFailure;
use holdline_model::wire::{Address, Ask, Excerpt, Protocol, asker};
use nix::errno::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use super::connection::{Connection, End, SCRATCH_BYTES, Step};
use super::deadlines::Limit;
use super::errno::{At, outcome_of};
use super::socket::Route;
use super::talk::Manner;
use super::tls::Secured;
use super::transport::{Bare, Broken, Carrier, Greeting, Shown, Transport};
use super::{LoadError, no_route};
use crate::tls::{TlsClient, describe};
use crate::waitable::waitable;

/// How often a client that waits for room in a Unix server's accept queue calls `connect` again.
const ROOM_RETRY: Duration = Duration::from_millis(1);

/// The most bytes of a reply that are kept: its head, and the line that names who answers.
const KEPT_BYTES_MAX: usize = 4096;

/// Asks a service, one request after the other, as the attempts of a load would.
#[derive(Debug)]
pub struct Asker {
    route: Route,
    protocol: Protocol,
    connection: scenario::Connection,
    timeouts: scenario::Timeouts,
    deadline_ns: u64,
    /// The path that it asks for instead of what attempts ask for.
    path: Option<String>,
    /// How it speaks TLS; `None`: it does not.
    tls: Option<TlsClient>,
    /// How often it has asked.
    asked: AtomicU32,
}

/// A request that was made, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// When it began, in CLOCK_MONOTONIC nanoseconds.
    pub began_ns: u64,
    /// What came of it.
    pub answer: Answer,
    /// The process that answered, if its reply names one.
    pub pid: Option<u32>,
}

impl Asker {
    /// Asks the service at an address as the attempts of this load do, one request on each connection and
    /// without pauses of its own.
    ///
    /// # Errors
    ///
    /// If the address is none that can be connected to.
    pub fn new(address: &Address, protocol: Protocol, load: &Load) -> Result<Self, LoadError> {
        Ok(Self {
            route: Route::new(address, true).map_err(|errno| no_route(address, errno))?,
            protocol,
            connection: scenario::Connection {
                body_bytes: load.connection.body_bytes,
                ..scenario::Connection::ONE_SHOT
            },
            timeouts: load.timeouts,
            deadline_ns: load.deadline_ns,
            path: None,
            tls: None,
            asked: AtomicU32::new(0),
        })
    }

    /// Asks for a path over HTTP, without a body. Any complete reply with a status of success is right.
    #[must_use]
    pub fn for_path(mut self, path: Option<String>) -> Self {
        if path.is_some() {
            self.connection = scenario::Connection::ONE_SHOT;
        }
        self.path = path;
        self
    }

    /// Asks over TLS.
    #[must_use]
    pub fn over(mut self, tls: Option<TlsClient>) -> Self {
        self.tls = tls;
        self
    }

    /// The same over TLS where it asks without, whatever the certificate, and the other way round; to see whether it
    /// was the wrong way to ask. `None`: TLS cannot be had.
    #[must_use]
    pub fn otherwise(&self) -> Option<Self> {
        let tls = match self.tls {
            None => Some(TlsClient::of_any().ok()?),
            Some(_) => None,
        };
        // It is one request more of the same asker.
        let asked = AtomicU32::new(self.asked.load(Ordering::Relaxed));
        let path = self.path.clone();
        let Self { route, protocol, connection, timeouts, deadline_ns, .. } = *self;
        Some(Self { route, protocol, connection, timeouts, deadline_ns, path, tls, asked })
    }

    /// Whether it asks over TLS.
    #[must_use]
    pub fn is_over_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// What it asks for, in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut request = match &self.path {
            Some(path) => get(path),
            None => {
                let mut request = Vec::new();
                self.protocol.encode(&self.request(asker(0)), &mut request);
                String::from_utf8_lossy(&request).into_owned()
            }
        };
        request.truncate(request.find(" HTTP/").or(request.find('\n')).unwrap_or(request.len()));
        format!("`{request}`")
    }

    fn request(&self, client: u32) -> Ask {
        let body_bytes = self.connection.body_bytes;
        Ask { attempt: client, exchange: 0, poison: None, keeps: false, body_bytes }
    }

    /// Asks once. It takes no longer than the load's time-outs allow an attempt; dropped before, the
    /// connection is closed.
    pub async fn ask(&self) -> Asked {
        match &self.tls {
            None => self.ask_over(&Bare).await,
            Some(tls) => self.ask_over(&Secured(tls.clone())).await,
        }
    }

    async fn ask_over(&self, carrier: &impl Carrier) -> Asked {
        let client = asker(self.asked.fetch_add(1, Ordering::Relaxed));
        let began_ns = now_ns();
        let (end, came) = match self.open(carrier, client, began_ns) {
            Ok(connection) => self.follow(connection, client, began_ns).await,
            Err(errno) => (End::now(outcome_of(errno, At::Socket)), Came::default()),
        };
        let waited_ns = end.at_ns.saturating_sub(began_ns);
        let answer = self.answer(end.outcome, waited_ns, &came);
        let pid = if answer.is_served() { pid_in(&came.reply) } else { None };
        Asked { began_ns, answer, pid }
    }

    fn open<C: Carrier>(
        &self,
        carrier: &C,
        client: u32,
        began_ns: u64,
    ) -> Result<Connection<Kept<C::Over>>, Errno> {
        let socket = self.route.open(client)?;
        let talk = Manner::new(self.protocol, self.connection).talk(client, began_ns, None, Vec::new());
        let talk = match &self.path {
            Some(path) => talk.instead(&get(path)),
            None => talk,
        };
        let kept = Kept { beneath: carrier.over(socket), kept: Vec::new() };
        Ok(Connection::new(kept, client, talk, Vec::new()))
    }

    /// Follows a connection to its outcome. What came is returned, too.
    async fn follow<T: Transport>(
        &self,
        mut connection: Connection<Kept<T>>,
        client: u32,
        began_ns: u64,
    ) -> (End, Came) {
        let mut record = ClientRecord::planned(client, began_ns, false);
        let mut scratch = [0; SCRATCH_BYTES];
        let mut step = connection.begin(&self.route, &mut record, false);
        let mut socket = None;
        loop {
            match step {
                Step::Ended(end) => {
                    let came = Came::over(connection.transport());
                    connection.close();
                    return (end, came);
                }
                Step::Yield => {
                    step = connection.advance(&self.route, &mut record, &mut scratch);
                    continue;
                }
                Step::Wait | Step::Pause(..) | Step::Closed => {}
            }
            let left = Duration::from_nanos(self.limit_ns(&connection).saturating_sub(now_ns()));
            let event = timeout(left, something(&mut socket, &connection)).await;
            step = connection.advance(&self.route, &mut record, &mut scratch);
            match (step, event) {
                (Step::Ended(_), _) | (_, Ok(Ok(()))) => {}
                (_, Ok(Err(error))) => step = Step::Ended(connection.failed(errno_of(&error))),
                // What came in time counts, also where it was noticed late.
                (_, Err(_)) if self.limit_ns(&connection) <= now_ns() => {
                    step = Step::Ended(connection.timed_out());
                }
                (_, Err(_)) => {}
            }
        }
    }

    /// Until when the connection may wait, as far as it has got.
    fn limit_ns(&self, connection: &Connection<impl Transport>) -> u64 {
        let started_ns = connection.started_ns();
        let limits = [
            (Limit::Connect, self.timeouts.connect_ns),
            (Limit::FirstByte, self.timeouts.first_byte_ns),
            (Limit::Total, self.timeouts.total_ns),
        ];
        let holds = limits.iter().filter(|(limit, _)| connection.is_subject_to(*limit, started_ns));
        holds.map(|(_, after_ns)| started_ns.saturating_add(*after_ns)).min().unwrap_or(started_ns)
    }

    fn answer(&self, outcome: Outcome, waited_ns: u64, came: &Came) -> Answer {
        let reply = &came.reply;
        let said = first_bytes(reply);
        let outcome = match outcome {
            Outcome::WrongReply if self.path.is_some() && says_success(reply) => Outcome::Replied,
            outcome => outcome,
        };
        match outcome {
            Outcome::Replied | Outcome::ClosedIdle if waited_ns > self.deadline_ns => {
                Answer::Late { waited_ns }
            }
            Outcome::Replied | Outcome::ClosedIdle => Answer::Served { waited_ns },
            Outcome::ErrorReply(status) => Answer::Wrong { status: Some(status), said },
            Outcome::WrongReply => Answer::Wrong { status: None, said },
            Outcome::Truncated | Outcome::TooLong | Outcome::Closed | Outcome::Reset | Outcome::Silent(_) => {
                Answer::Cut { said }
            }
            Outcome::Refused | Outcome::NoPath => Answer::Refused,
            Outcome::Tls(failure) => Answer::Tls {
                failure,
                certificate: came.certificate.as_deref().map(|der| Box::new(describe(der))),
                said: if failure == TlsFailure::NotTls {
                    first_bytes(came.first.as_bytes())
                } else {
                    String::new()
                },
            },
            Outcome::TimedOut(stage) => Answer::TimedOut { stage, waited_ns },
            Outcome::NotSent(_) => Answer::NotAsked { errno: Errno::EMFILE as i32 },
            Outcome::Errno(errno, _) => Answer::NotAsked { errno },
        }
    }
}

/// Whether a complete reply over HTTP has a status of success, and merely answers something else.
fn says_success(reply: &[u8]) -> bool {
    reply.starts_with(b"HTTP/1.") && reply.get(9) == Some(&b'2')
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

/// Waits until a connection may be able to go on. Its socket is watched from when it is connected or about
/// to be: before, it would report that it is none.
async fn something(
    socket: &mut Option<AsyncFd<OwnedFd>>,
    connection: &Connection<impl Transport>,
) -> io::Result<()> {
    const EITHER: Interest = Interest::READABLE.add(Interest::WRITABLE);
    if connection.waits_for_room() {
        tokio::time::sleep(ROOM_RETRY).await;
        return Ok(());
    }
    if socket.is_none() {
        let copy = connection.transport().as_fd().try_clone_to_owned()?;
        *socket = Some(waitable(copy, EITHER)?);
    }
    if let Some(socket) = socket {
        // The connection goes on as far as it can, so that what is reported anew comes after this.
        socket.ready(EITHER).await?.clear_ready();
    }
    Ok(())
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

/// What came of a request.
struct Came {
    /// The first bytes of the reply.
    reply: Vec<u8>,
    /// The first bytes that came, as they came.
    first: Excerpt,
    /// The certificate that was shown.
    certificate: Option<Vec<u8>>,
}

impl Default for Came {
    fn default() -> Self {
        Self { reply: Vec::new(), first: Excerpt::of(&[]), certificate: None }
    }
}

impl Came {
    fn over(kept: &Kept<impl Transport>) -> Self {
        Self {
            reply: kept.kept.clone(),
            first: kept.first().unwrap_or(Excerpt::of(&kept.kept)),
            certificate: kept.shown().and_then(|shown| shown.certificate).map(<[u8]>::to_vec),
        }
    }
}

/// A transport that keeps the first bytes that it has received.
#[derive(Debug)]
struct Kept<T> {
    beneath: T,
    kept: Vec<u8>,
}

impl<T: Transport> AsFd for Kept<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.beneath.as_fd()
    }
}

impl<T: Transport> Transport for Kept<T> {
    const LAYERED: bool = T::LAYERED;

    fn greet(&mut self) -> Result<Greeting, Errno> {
        self.beneath.greet()
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        self.beneath.send(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let count = self.beneath.receive(buffer)?;
        let room = KEPT_BYTES_MAX.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&buffer[..count.min(room)]);
        Ok(count)
    }

    fn peek(&mut self) -> Result<usize, Errno> {
        self.beneath.peek()
    }

    fn half_close(&mut self) {
        self.beneath.half_close();
    }

    fn part(&mut self) {
        self.beneath.part();
    }

    fn broken(&self) -> Option<Broken> {
        self.beneath.broken()
    }

    fn ended_in_full(&self) -> bool {
        self.beneath.ended_in_full()
    }

    fn sent(&self, of_request: u64) -> u64 {
        self.beneath.sent(of_request)
    }

    fn first(&self) -> Option<Excerpt> {
        self.beneath.first()
    }

    fn shown(&self) -> Option<Shown<'_>> {
        self.beneath.shown()
    }
}

#[cfg(test)]
mod tests;
