//! The load client: makes the attempts of a trial and writes down what became of each.
//!
//! One thread, one epoll, non-blocking sockets; or several such threads, where one processor cannot drive the load. It
//! is an *open-loop* generator: attempts begin when the schedule wants them to, whatever became of those before; one
//! that is late begins at once and keeps its intended start, and none is skipped. It judges what it saw of each
//! connection alone; what really happened (the fate) only the ledger can tell, from the workers' records too.
//!
//! # Several threads
//!
//! Each makes a part of the load ([`run_in_threads`]), with all that one alone would have: a loop, a timer, a pool, a
//! log. Attempts have the same numbers, and with them addresses and faults, as if one thread made them, and are due at
//! the same instants: of a schedule that is fixed, the threads take turns, so that thread *k* of *n* makes the attempts
//! *k*, *k* + *n*, *k* + 2*n* and so on; of a closed loop, each has some of the clients, and a number is taken by
//! whoever is ready, from one counter, so that a load of so many attempts has exactly so many. There a client that is
//! ready a moment earlier may take the later number. The bounds of attempts in flight and of descriptors hold for all
//! threads together, while idle connections of a pool are divided among them, and no thread uses those of another. What
//! is said below of an order (who connects first, which connection is used next) holds for the attempts of one thread.
//! Logs are merged once all are over. Of a load that is stopped, an attempt that its thread had not come to, while another
//! thread was further, is [`NotSent::Stopped`](holdline_model::record::NotSent::Stopped), never begun.
//!
//! # Waiting
//!
//! The client sleeps until something happens or is due. Where processors are idle, it is awake a moment before an attempt is due,
//! and looks for events until then, so that what it takes to wake up does not make the attempt late; that ends as soon as
//! anybody else needs them ([`Lead`](lead::Lead)).
//!
//! Most one-shot connections wait once, for the reply and the close behind it. While there are no more than two
//! connections, those that only read are polled, beside the epoll that has the timer and the rest; beyond that, and
//! after a few waits, epoll has them. An end that was reported before the last read, which left nothing, is not read
//! once more. Neither changes a stamp: each is taken where it was, before or behind the call that it belongs to.
//!
//! # What a record promises
//!
//! Each attempt whose turn came has exactly one record, in the order of attempt numbers.
//!
//! - `started` is set if `connect` was called, `connected` if the handshake is known to be over;
//!   `finished` is always set.
//! - `connected` is stamped when the client knows of it, just before it sends the request. A
//!   handshake that was over and then reset, before anything was sent, counts as connected: the
//!   kernel reports a reset *during* it as ECONNREFUSED.
//! - `poison` says that the attempt was to carry a fault; if it was not sent, the outcome says so.
//! - A time-out is declared after the socket was asked once more, so that the client's own lateness
//!   cannot turn an answer into a time-out.
//!
//! # TLS
//!
//! Over TLS, an attempt is connected when its socket is; then comes the handshake, whose end has a stamp of its own.
//! A client that asks for nothing makes the handshake all the same. Time-outs for the first byte hold for the
//! handshake as well. A stream that ends without the server having said so cuts a reply short of which nothing else
//! tells the end (RFC 9112, section 9.8). Certificates that servers show are kept once each.
//!
//! # Sessions, and slow clients
//!
//! An attempt is one connection, whatever it carries. In a session each request waits for the reply to
//! the one before and then for the gap; the first is due with the attempt. Time-outs for the reply hold
//! for each request, and count from its beginning. Poison is the first request.
//!
//! A server may end a session between two requests. Whether it has done so is looked at just before a
//! request is sent, so that the client's own lateness does not send requests into a connection that is
//! known to be over; a close that meets a request on its way is a loss. See
//! [`Outcome::ClosedIdle`](holdline_model::record::Outcome::ClosedIdle).
//!
//! # HTTP/2
//!
//! Each request is a stream. A one-shot attempt and a session have a connection of their own, which the client ends,
//! with a GOAWAY. Attempts of a pool whose connections are all busy join one that is open, up to as many streams as
//! the server allows; each is a stream with a record of its own, and what ends a connection ends all that are open on
//! it. A server that says GOAWAY is asked nothing more on that connection. Streams that it turns away, by
//! REFUSED_STREAM or by a GOAWAY that names an earlier one, are
//! [`Outcome::Stream`](holdline_model::record::Outcome::Stream), before a byte of a reply; a pool sends them once more,
//! if it does so.
//!
//! # WebSocket
//!
//! The request that opens the connection is the first turn of the first request, and a message is sent in each that
//! follows. The client closes behind its last one, with status code 1000, unless the server is to. That a server closes
//! between two requests ends a session as over HTTP/1.1, if its status code says that it has failed at nothing
//! ([`CloseCode::is_in_order`](holdline_model::record::CloseCode::is_in_order)); if it ends the connection without
//! that, what was to follow is lost.
//!
//! # Pools
//!
//! Attempts of a pool send one request each over whichever connection is idle, the one that was used last first, or
//! over one that they open. A connection is named by the attempt that opened it, and each attempt's record says which
//! one carried it. One that the server is known to have ended is not used again, nor one that it has said it ends; the
//! client looks just before it sends. What fails all the same before a byte of the reply is sent once more over a fresh
//! connection, if the pool does so; the attempt's time-outs go on from its start. Poison goes over a connection of its
//! own, and once.
//!
//! A client that pauses while it writes notices at once if the server ends the connection; one that
//! pauses before it reads does not look.
//!
//! # Full accept queues
//!
//! A TCP client whose SYN meets a full queue waits for the kernel to send it again. A Unix client
//! waits in `connect` until there is room; as non-blocking sockets get EAGAIN instead, waiting
//! attempts form a queue here, the first of which calls `connect` again whenever the client is awake,
//! at least once per millisecond. So they connect in the order in which they came, as blocking
//! clients do (they wait in an exclusive wait queue), but up to a millisecond late. Unlike a blocking
//! client, which waits for the listener that it found first, they look up the path each time.
//!
//! # Descriptors
//!
//! Each connection in flight takes a descriptor, and so does each one that was answered and that the
//! server has not closed yet; the client waits for that, within the attempt's total time-out, so
//! that TIME_WAIT stays with the server. See [`raise_nofile`]. A quarter of what the limit allows, 256 at
//! most, is left to the rest of the process; beyond that, attempts are
//! [`NotSent::Descriptors`](holdline_model::record::NotSent::Descriptors).

mod ask;
mod client;
pub(crate) mod clock;
mod connection;
mod control;
mod deadlines;
mod descriptors;
mod errno;
mod http2;
mod lead;
mod lot;
mod messages;
mod pacer;
mod pauses;
mod pool;
mod proxied;
mod records;
mod room;
mod slab;
mod socket;
mod talk;
mod threads;
mod tls;
mod transport;

use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;

use holdline_model::arrivals::Schedule;
use holdline_model::record::{ClientRecord, RequestRecord};
use holdline_model::said::Said;
use holdline_model::scenario::{Connection, Timeouts, Until};
use holdline_model::tls::Certificates;
use holdline_model::wire::{ATTEMPTS_MAX, Address, Clients, Poison, Protocol, ProxyVersion, Script};
use nix::errno::Errno;

use self::client::Client;
use self::http2::Streams;
use self::lot::Lot;
use self::messages::Opened;

pub use self::ask::{Asked, Asker, Way};
pub use self::control::{Progress, StopFlag};
pub use self::descriptors::{DESCRIPTORS_MIN, check_nofile, raise_nofile};
pub use self::records::{RecordLog, RecordLogs, Records};
pub use self::socket::v6_spread_available;
pub use self::threads::run_in_threads;
use crate::tls::TlsClient;

/// How long a stopped load waits for the attempts in flight.
pub const STOP_GRACE_NS: u64 = 250_000_000;

/// What load is put on which server.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// The server.
    pub address: Address,
    /// When attempts are due.
    pub schedule: Schedule,
    /// Time-outs of an attempt.
    pub timeouts: Timeouts,
    /// Most attempts in flight; beyond it they are not sent. A closed loop has as many as clients.
    pub in_flight_max: u32,
    /// Whether each attempt has a client address of its own, which names it to the server.
    ///
    /// Always possible for IPv4. IPv6 needs a route ([`v6_spread_available`]). The abstract names of
    /// Unix clients are those of the network namespace, so that two trials must not share one.
    pub spread: bool,
    /// How many client addresses attempts share, instead of each having one of its own. Over TCP alone.
    pub clients: Option<Clients>,
    /// What is spoken.
    pub protocol: Protocol,
    /// What is said in it.
    pub script: Arc<Script>,
    /// The header of the PROXY protocol in front of the first byte.
    pub proxy: Option<ProxyVersion>,
    /// What an attempt does with its connection.
    pub connection: Connection,
    /// How TLS is spoken beneath; `None`: it is not.
    pub tls: Option<TlsClient>,
}

/// What the rest of the trial does along with the load. Called on the load client's thread, so that
/// what they take delays the load; of several threads, each has hooks of its own.
pub trait Hooks {
    /// Called just before each attempt, also one that then cannot be sent. Gives the fault that its
    /// request is to carry.
    fn before_attempt(&mut self, attempt: u32, now_ns: u64) -> Option<Poison>;

    /// Called where a service has no request that crashes a worker, once an attempt that is to do so is connected and
    /// all of its request but the last byte is sent: whoever has it can be killed now. The rest follows after a while.
    fn held_back(&mut self, attempt: u32, socket: BorrowedFd<'_>) {
        let _ = (attempt, socket);
    }

    /// Called as soon as a request has got its right reply. Where all connections carry one request of
    /// the bare protocol, sent and read at once, their records say it all, and it is not called.
    fn after_request(&mut self, request: &RequestRecord) {
        let _ = request;
    }

    /// Called when the time of a connection has run out, while it is still open: the client lets go of it
    /// behind this call. `sent`: how many bytes of the request in hand were sent.
    fn overdue(&mut self, attempt: u32, socket: BorrowedFd<'_>, sent: u64) {
        let _ = (attempt, socket, sent);
    }

    /// Where first bytes of replies that were not the answer are kept; `None`: nowhere.
    fn said(&mut self) -> Option<&mut Said> {
        None
    }

    /// Where certificates are kept that servers show; `None`: nowhere.
    fn certificates(&mut self) -> Option<&mut Certificates> {
        None
    }

    /// Called as soon as the outcome of an attempt is clear.
    fn after_attempt(&mut self, record: &ClientRecord) {
        let _ = record;
    }
}

/// No poison, and nothing else either.
impl Hooks for () {
    fn before_attempt(&mut self, _attempt: u32, _now_ns: u64) -> Option<Poison> {
        None
    }
}

/// Why no load could be made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel refused something that the client as a whole needs.
    #[error("set up the load client's {what}: {errno}")]
    Setup {
        /// What was refused.
        what: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The path of a Unix socket does not fit into a socket address.
    #[error("connect to {}: the path of a Unix socket has at most 107 bytes; use a shorter one", .0.display())]
    PathTooLong(PathBuf),
    /// There are more attempts than client addresses.
    #[error(
        "make {attempts} attempts: there are addresses for {most} at most; lower the rate or the duration"
    )]
    TooMany {
        /// How many there would be.
        attempts: u64,
        /// How many there can be.
        most: u32,
    },
    /// The limit of open descriptors leaves no room for a load.
    #[error(
        "make connections with a limit of {limit} open descriptors: {least} is the least; raise the limit \
         (`ulimit -n`)"
    )]
    TooFewDescriptors {
        /// How many may be open.
        limit: u64,
        /// How many must be allowed, for as many threads as there are to be.
        least: u64,
    },
    /// A fixed schedule is not in ascending order.
    #[error("follow the schedule: attempt {0} is due before the one that precedes it")]
    Unordered(usize),
    /// What became of attempts could not be written.
    #[error("keep the records of attempts on disk; make room in the run directory, or name another by --out")]
    Records(#[source] io::Error),
    /// IPv6 clients cannot have addresses of their own here.
    #[error(
        "spread IPv6 clients: their prefix is not routed to loopback in this network namespace; \
         run isolated, or without spreading"
    )]
    NoV6Route,
}

/// Puts the load on the server, from `start_ns` on, and returns one record for each attempt.
///
/// It returns when the last outcome is clear; connections that were answered and that the server has
/// not closed by then are closed at once.
///
/// When `stop` is set, attempts that have not begun are not made, and have no records. Those in
/// flight have [`STOP_GRACE_NS`] to end as they do. After that, one that is not connected is
/// [`NotSent::Stopped`](holdline_model::record::NotSent::Stopped), with `started` set, as no server
/// can have seen it; one that is connected has used up its time, and is timed out.
///
/// # Errors
///
/// If the plan cannot be followed at all, or the kernel refuses epoll or a timer. What goes wrong with
/// a single attempt is its outcome.
pub fn run(
    plan: &LoadPlan,
    start_ns: u64,
    hooks: &mut impl Hooks,
    progress: &Progress,
    stop: &StopFlag,
) -> Result<Vec<ClientRecord>, LoadError> {
    let records = run_into(RecordLog::in_memory(), plan, start_ns, hooks, progress, stop)?;
    Ok(records.into_vec())
}

/// The same, with the records kept in `log` while the load runs.
///
/// # Errors
///
/// As for [`run`], and if the records cannot be written.
pub fn run_into(
    log: RecordLog,
    plan: &LoadPlan,
    start_ns: u64,
    hooks: &mut impl Hooks,
    progress: &Progress,
    stop: &StopFlag,
) -> Result<Records, LoadError> {
    plan.validate()?;
    let script = Arc::clone(&plan.script);
    Run { log, plan, script, lot: Lot::Whole, start_ns, hooks, progress, stop }.run()
}

/// A load that is about to run, or a part of one.
struct Run<'a, H> {
    log: RecordLog,
    plan: &'a LoadPlan,
    /// In place of the plan's, whoever else uses that.
    script: Arc<Script>,
    lot: Lot<'a>,
    start_ns: u64,
    hooks: &'a mut H,
    progress: &'a Progress,
    stop: &'a StopFlag,
}

impl<H: Hooks> Run<'_, H> {
    /// Runs it on the calling thread.
    fn run(self) -> Result<Records, LoadError> {
        let _slack = clock::LeastSlack::set();
        match (&self.plan.tls, self.lot) {
            (None, _) => self.over(transport::Bare),
            (Some(tls), Lot::Whole) => self.over(tls::Secured(tls.clone())),
            (Some(tls), Lot::One(..)) => self.over(tls::Secured(tls.apart())),
        }
    }

    /// Runs it over what carries the bytes, behind a header where the plan says so.
    fn over(self, carrier: impl transport::Carrier) -> Result<Records, LoadError> {
        use proxied::{Behind, V1, V2};
        match self.plan.proxy {
            None => self.framed(carrier),
            Some(ProxyVersion::V1) => self.framed(Behind::<V1, _>::header(carrier)),
            Some(ProxyVersion::V2) => self.framed(Behind::<V2, _>::header(carrier)),
        }
    }

    /// The same in the frames of the protocol, if it has some.
    fn framed(self, carrier: impl transport::Carrier) -> Result<Records, LoadError> {
        match self.plan.protocol {
            Protocol::Http2 => {
                let is_pooled = self.plan.connection.pool.is_some();
                self.through(Streams::over(carrier, is_pooled))
            }
            Protocol::WebSocket => self.through(Opened(carrier)),
            Protocol::Square | Protocol::Http | Protocol::Bytes => self.through(carrier),
        }
    }

    fn through(self, carrier: impl transport::Carrier) -> Result<Records, LoadError> {
        Client::new(self, carrier)?.run()
    }
}

/// How long the end of a request is held back for whoever has it to be found, in nanoseconds: most of the time that
/// there is.
pub(crate) fn hold_ns(timeouts: &Timeouts) -> u64 {
    timeouts.first_byte_ns.min(timeouts.total_ns) / 4 * 3
}

/// Why there is no way to an address.
fn no_route(address: &Address, errno: Errno) -> LoadError {
    match address {
        Address::Unix(path) => LoadError::PathTooLong(path.clone()),
        Address::Tcp(_) => LoadError::Setup { what: "route to the server", errno },
    }
}

impl LoadPlan {
    /// How many attempts there are client addresses for.
    fn attempts_max(&self) -> u32 {
        self.clients.map_or(ATTEMPTS_MAX, Clients::attempts_max)
    }

    fn validate(&self) -> Result<(), LoadError> {
        let attempts = match self.schedule {
            Schedule::Fixed(ref offsets_ns) => offsets_ns.len() as u64,
            Schedule::Sequential { until: Until::Attempts(attempts), .. }
            | Schedule::Closed { until: Until::Attempts(attempts), .. } => u64::from(attempts),
            // It ends when the addresses do.
            Schedule::Sequential { .. } | Schedule::Closed { .. } => 0,
        };
        let most = self.attempts_max();
        if attempts > u64::from(most) {
            return Err(LoadError::TooMany { attempts, most });
        }
        if let Schedule::Fixed(offsets_ns) = &self.schedule
            && let Some(index) = offsets_ns.windows(2).position(|pair| pair[1] < pair[0])
        {
            return Err(LoadError::Unordered(index + 1));
        }
        let is_v6 = matches!(self.address, Address::Tcp(address) if address.is_ipv6());
        if is_v6 && (self.spread || self.clients.is_some()) && !v6_spread_available() {
            return Err(LoadError::NoV6Route);
        }
        Ok(())
    }
}
