//! Asks a service one request, outside of all counts: from an address that belongs to no attempt, and for a
//! number that none asks for. What comes of it is judged as an attempt's outcome is, by the same
//! [`Connection`].

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use holdline_contract::clock::now_ns;
use holdline_model::answer::{Answer, NotAsked, first_bytes, pid_in};
use holdline_model::record::{ClientRecord, Outcome};
use holdline_model::said::escaped;
use holdline_model::scenario::{self, Load};
use holdline_model::secrets::Secrets;
use holdline_model::tls::TlsFailure;
use holdline_model::wire::{Address, Ask, HttpScript, Protocol, ProxyVersion, Script, asker};
use nix::errno::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use super::connection::{Connection, End, SCRATCH_BYTES, Step};
use super::deadlines::Limit;
use super::errno::{At, outcome_of};
use super::http2::Streams;
use super::messages::Opened;
use super::proxied::{Behind, V1, V2};
use super::socket::Route;
use super::talk::Manner;
use super::tls::Secured;
use super::transport::{Bare, Carrier, Transport};
use super::{LoadError, no_route};
use crate::tls::{TlsClient, describe};
use crate::waitable::waitable;

mod kept;

use kept::{Came, Kept};

/// How often a client that waits for room in a Unix server's accept queue calls `connect` again.
const ROOM_RETRY: Duration = Duration::from_millis(1);

/// Asks a service, one request after the other, as the attempts of a load would.
#[derive(Debug)]
pub struct Asker {
    route: Route,
    protocol: Protocol,
    script: Arc<Script>,
    /// What nothing may show of what it says and hears.
    secrets: Arc<Secrets>,
    connection: scenario::Connection,
    proxy: Option<ProxyVersion>,
    timeouts: scenario::Timeouts,
    deadline_ns: u64,
    /// How it speaks TLS; `None`: it does not.
    tls: Option<TlsClient>,
}

/// Another way to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Over TLS.
    OverTls,
    /// Without TLS.
    WithoutTls,
    /// Behind a header of the PROXY protocol.
    BehindHeader,
    /// Without that.
    WithoutHeader,
    /// Over HTTP/1.1.
    OverHttp1,
    /// Over HTTP/2.
    OverHttp2,
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

/// A number that no asker of this process has had, nor soon has one of another process: without a sandbox their names
/// ([`wire::client_unix`](holdline_model::wire::client_unix)) are those of one machine.
fn number() -> u32 {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    (std::process::id() << 12).wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed))
}

impl Asker {
    /// Asks the service at an address as the attempts of this load do, one request on each connection and
    /// without pauses of its own.
    ///
    /// # Errors
    ///
    /// If the address is none that can be connected to.
    pub fn new(
        address: &Address,
        protocol: Protocol,
        script: &Arc<Script>,
        load: &Load,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            route: Route::new(address, true).map_err(|errno| no_route(address, errno))?,
            protocol,
            script: Arc::clone(script),
            secrets: Arc::default(),
            connection: scenario::Connection {
                body_bytes: load.connection.body_bytes,
                ..scenario::Connection::ONE_SHOT
            },
            proxy: load.proxy,
            timeouts: load.timeouts,
            deadline_ns: load.deadline_ns,
            tls: None,
        })
    }

    /// Asks for a path over HTTP, without a body. Any complete reply with a status of success is right.
    #[must_use]
    pub fn for_path(mut self, path: Option<&str>) -> Self {
        if let Some(path) = path {
            self.connection = scenario::Connection::ONE_SHOT;
            self.script = Arc::new(Script::Http(Box::new(HttpScript::get(path))));
        }
        self
    }

    /// Asks over TLS.
    #[must_use]
    pub fn over(mut self, tls: Option<TlsClient>) -> Self {
        self.tls = tls;
        self
    }

    /// The same in other ways, to see whether it was the wrong way to ask: over TLS where it asks without, whatever the
    /// certificate, behind a header of the PROXY protocol where it sends none, and the other way round.
    #[must_use]
    pub fn otherwise(&self) -> Vec<(Way, Self)> {
        let mut ways = Vec::new();
        match &self.tls {
            Some(_) => ways.push((Way::WithoutTls, Self { tls: None, ..self.copy() })),
            None => {
                let tls = TlsClient::of_any().ok();
                ways.extend(tls.map(|tls| (Way::OverTls, Self { tls: Some(tls), ..self.copy() })));
            }
        }
        match self.proxy {
            Some(_) => ways.push((Way::WithoutHeader, Self { proxy: None, ..self.copy() })),
            None => ways.extend([ProxyVersion::V1, ProxyVersion::V2].map(|version| {
                let proxy = Some(version);
                (Way::BehindHeader, Self { proxy, ..self.copy() })
            })),
        }
        // Over TLS, it is agreed on in the handshake what is spoken.
        let other = match self.protocol {
            Protocol::Http2 => Some((Way::OverHttp1, Protocol::Http)),
            Protocol::Http => Some((Way::OverHttp2, Protocol::Http2)),
            Protocol::Square | Protocol::Bytes | Protocol::WebSocket => None,
        };
        let other = other.filter(|_| self.tls.is_none());
        ways.extend(other.map(|(way, protocol)| (way, Self { protocol, ..self.copy() })));
        ways
    }

    /// The same asker.
    fn copy(&self) -> Self {
        let (script, secrets) = (Arc::clone(&self.script), Arc::clone(&self.secrets));
        let tls = self.tls.clone();
        let Self { route, protocol, connection, proxy, timeouts, deadline_ns, .. } = *self;
        Self { route, protocol, script, secrets, connection, proxy, timeouts, deadline_ns, tls }
    }

    /// Shows nothing of these, in words or in answers.
    #[must_use]
    pub fn hiding(self, secrets: &Arc<Secrets>) -> Self {
        Self { secrets: Arc::clone(secrets), ..self }
    }

    /// What it asks for, in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut request = Vec::new();
        // What opens a connection says what is asked for.
        let opens = matches!(*self.script, Script::Messages(_));
        let first_sent = if opens { 0 } else { self.script.turns(1).start };
        let ask = Ask { turn: first_sent, ..self.request(asker(0)) };
        self.protocol.encode(&ask, &self.script, &mut request);
        let request = self.secrets.hidden(&request, false);
        if request.is_empty() {
            return "what it says first".to_owned();
        }
        let end = |what: &[u8]| request.windows(what.len()).position(|window| window == what);
        let end = end(b" HTTP/").or(end(b"\r\n")).or(end(b"\n")).unwrap_or(request.len());
        format!("`{}`", escaped(&request[..end]))
    }

    fn request(&self, client: u32) -> Ask {
        let body_bytes = self.connection.body_bytes;
        Ask { attempt: client, exchange: 0, turn: 0, poison: None, keeps: false, body_bytes }
    }

    /// Asks once. It takes no longer than the load's time-outs allow an attempt; dropped before, the
    /// connection is closed.
    pub async fn ask(&self) -> Asked {
        let client = asker(number());
        let began_ns = now_ns();
        let (end, came) = match &self.tls {
            None => self.ask_over(Bare, client, began_ns).await,
            Some(tls) => self.ask_over(Secured(tls.clone()), client, began_ns).await,
        };
        let waited_ns = end.at_ns.saturating_sub(began_ns);
        let answer = self.answer(end.outcome, waited_ns, &came);
        let names_itself = answer.is_served() && *self.script == Script::Squares;
        let pid = if names_itself { pid_in(&came.reply) } else { None };
        Asked { began_ns, answer, pid }
    }

    async fn ask_over(&self, carrier: impl Carrier, client: u32, began_ns: u64) -> (End, Came) {
        match self.proxy {
            None => self.ask_in(carrier, client, began_ns).await,
            Some(ProxyVersion::V1) => self.ask_in(Behind::<V1, _>::header(carrier), client, began_ns).await,
            Some(ProxyVersion::V2) => self.ask_in(Behind::<V2, _>::header(carrier), client, began_ns).await,
        }
    }

    async fn ask_in(&self, carrier: impl Carrier, client: u32, began_ns: u64) -> (End, Came) {
        match self.protocol {
            Protocol::Http2 => self.ask_by(Streams::over(carrier, false), client, began_ns).await,
            Protocol::WebSocket => self.ask_by(Opened(carrier), client, began_ns).await,
            Protocol::Square | Protocol::Http | Protocol::Bytes => {
                self.ask_by(carrier, client, began_ns).await
            }
        }
    }

    async fn ask_by(&self, carrier: impl Carrier, client: u32, began_ns: u64) -> (End, Came) {
        match self.open(&carrier, client, began_ns) {
            Ok(connection) => self.follow(connection, client, began_ns).await,
            Err(errno) => (End::now(outcome_of(errno, At::Socket)), Came::default()),
        }
    }

    fn open<C: Carrier>(
        &self,
        carrier: &C,
        client: u32,
        began_ns: u64,
    ) -> Result<Connection<Kept<C::Over>>, Errno> {
        let socket = self.route.open(client)?;
        let manner = Manner::new(self.protocol, &self.script, self.connection);
        let talk = manner.talk(client, began_ns, None, Vec::new());
        Ok(Connection::new(Kept::over(carrier.over(socket, client)), client, talk, Vec::new()))
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
    fn limit_ns<T: Transport>(&self, connection: &Connection<Kept<T>>) -> u64 {
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
        // What is nothing that the protocol knows is no part of a reply.
        let is_strange = outcome == Outcome::WrongReply && came.reply.is_empty();
        let reply = if is_strange { came.first.as_bytes() } else { &came.reply };
        let said = first_bytes(&self.secrets.hidden(reply, true));
        match outcome {
            Outcome::Replied | Outcome::ClosedIdle if waited_ns > self.deadline_ns => {
                Answer::Late { waited_ns }
            }
            Outcome::Replied | Outcome::ClosedIdle => Answer::Served { waited_ns },
            Outcome::ErrorReply(status) => Answer::Wrong { status: Some(status), said },
            Outcome::WrongReply => Answer::Wrong { status: None, said },
            Outcome::Truncated
            | Outcome::TooLong
            | Outcome::Closed
            | Outcome::Reset
            | Outcome::Stream(_)
            | Outcome::Silent(_) => Answer::Cut { said },
            Outcome::Refused => Answer::Refused,
            Outcome::NoPath => Answer::NoPath,
            Outcome::Tls(failure) => Answer::Tls {
                failure,
                certificate: came.certificate.as_deref().map(|der| Box::new(describe(der))),
                said: if failure == TlsFailure::NotTls {
                    first_bytes(&self.secrets.hidden(came.first.as_bytes(), true))
                } else {
                    String::new()
                },
            },
            Outcome::TimedOut(stage) => Answer::TimedOut { stage, waited_ns },
            Outcome::NotSent(what) => Answer::NotAsked { cause: NotAsked::Lacks(what) },
            Outcome::Errno(errno, _) => Answer::NotAsked { cause: NotAsked::Errno(errno) },
        }
    }
}

/// Waits until a connection may be able to go on. Its socket is watched from when it is connected or about
/// to be: before, it would report that it is none.
async fn something<T: Transport>(
    socket: &mut Option<AsyncFd<OwnedFd>>,
    connection: &Connection<Kept<T>>,
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

#[cfg(test)]
mod tests;
