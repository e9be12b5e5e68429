//! The peer of the load client: a blocking loop of the syscalls that an attempt cannot do without.
//!
//! It has no time-outs, no records and one connection at a time, allocates and formats nothing, and looks at no reply.
//! A client that does its work with fewer instructions is hard to imagine.
//!
//! No client of many connections can block in one of them, nor can one that lets none take longer than it may. What that takes
//! by itself is told by a loop that does the same, and polls before it reads.

use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use holdline::load::LoadPlan;
use holdline_model::wire::{self, Address, Ask};
use nix::Result;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, UnixAddr, bind, connect, recv, send, setsockopt,
    socket, sockopt,
};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};

/// When the connections are made.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// Each as soon as the one before is closed.
    AtOnce,
    /// The nth so many times this after the first, or as soon as the one before is closed. It sleeps
    /// in between, as whoever keeps to a schedule has to.
    Every(Duration),
}

/// How a reply is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// By a read that blocks, for as long as it takes.
    Blocks,
    /// By `poll`, with a time-out that no reply meets.
    Polls,
}

/// No reply takes so long, in milliseconds.
const PATIENCE_MS: u16 = 10_000;

/// What is done over and over again.
#[derive(Debug, Clone)]
pub struct Bare {
    server: Server,
    wait: Wait,
    /// What is sent on each connection, one after the other.
    requests: Vec<Vec<u8>>,
    /// Whether the server ends the connection behind the last reply.
    server_closes: bool,
}

#[derive(Debug, Clone)]
enum Server {
    V4(SockaddrIn),
    Unix(UnixAddr),
}

impl Bare {
    /// Does what a load client does that follows this plan. What is sent is the same in each connection.
    ///
    /// # Panics
    ///
    /// If the address is not IPv4, or a path that is too long.
    #[must_use]
    pub fn like(plan: &LoadPlan) -> Self {
        let server = match &plan.address {
            Address::Tcp(SocketAddr::V4(server)) => Server::V4(SockaddrIn::from(*server)),
            Address::Unix(path) => Server::Unix(UnixAddr::new(path).expect("a short path")),
            Address::Tcp(server) => panic!("the bare loop does not speak to {server}"),
        };
        let count = plan.connection.requests;
        let request = |exchange| {
            let keeps = exchange + 1 < count;
            let ask = Ask { attempt: 7, exchange, turn: 0, poison: None, keeps, body_bytes: 0 };
            let mut request = Vec::new();
            plan.protocol.encode(&ask, &plan.script, &mut request);
            request
        };
        let server_closes = count == 1 || plan.protocol.can().say_last;
        Self { server, wait: Wait::Blocks, requests: (0..count).map(request).collect(), server_closes }
    }

    /// The same with another way to wait.
    #[must_use]
    pub fn that(self, wait: Wait) -> Self {
        Self { wait, ..self }
    }

    /// Connects `count` times, one after the other, from the addresses of attempts 0, 1, 2 and so on.
    ///
    /// # Errors
    ///
    /// The first errno that came up.
    ///
    /// # Panics
    ///
    /// If a connection ends without a reply: nothing was measured then.
    pub fn run(&self, count: u32, pace: Pace) -> Result<()> {
        let mut buffer = [0; 4096];
        let clock = ClockId::CLOCK_MONOTONIC;
        let start = Duration::from(clock_gettime(clock)?);
        // As the load client does for its own timer; it would sleep 50 µs longer otherwise.
        prctl::set_timerslack(1)?;
        for attempt in 0..count {
            if let Pace::Every(gap) = pace {
                let due = TimeSpec::from_duration(start + gap * attempt);
                clock_nanosleep(clock, ClockNanosleepFlags::TIMER_ABSTIME, &due)?;
            }
            self.one(attempt, &mut buffer)?;
        }
        Ok(())
    }

    /// The socket is closed by its drop.
    fn one(&self, attempt: u32, buffer: &mut [u8]) -> Result<()> {
        let socket = self.server.connected(attempt, self.wait)?;
        for request in &self.requests {
            send(socket.as_raw_fd(), request, MsgFlags::MSG_NOSIGNAL)?;
            // It cannot be there yet.
            self.await_any(&socket)?;
            assert!(self.read(&socket, buffer)? > 0, "attempt {attempt} was not answered");
        }
        while self.server_closes && self.read(&socket, buffer)? > 0 {}
        Ok(())
    }

    fn read(&self, socket: &OwnedFd, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match recv(socket.as_raw_fd(), buffer, MsgFlags::empty()) {
                Err(Errno::EAGAIN) => self.await_any(socket)?,
                result => return result,
            }
        }
    }

    fn await_any(&self, socket: &OwnedFd) -> Result<()> {
        if self.wait == Wait::Blocks {
            return Ok(());
        }
        let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        if poll(&mut polled, PollTimeout::from(PATIENCE_MS))? == 0 { Err(Errno::ETIMEDOUT) } else { Ok(()) }
    }
}

impl Server {
    fn connected(&self, attempt: u32, wait: Wait) -> Result<OwnedFd> {
        let family = match self {
            Self::V4(_) => AddressFamily::Inet,
            Self::Unix(_) => AddressFamily::Unix,
        };
        let flags = match wait {
            Wait::Blocks => SockFlag::SOCK_CLOEXEC,
            Wait::Polls => SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        };
        let client = socket(family, SockType::Stream, flags, None)?;
        match self {
            Self::V4(server) => {
                setsockopt(&client, sockopt::IpBindAddressNoPort, &true)?;
                let own = SocketAddrV4::new(wire::client_v4(attempt), 0);
                bind(client.as_raw_fd(), &SockaddrIn::from(own))?;
                // Over loopback the handshake is done all the same by the time the call returns.
                match connect(client.as_raw_fd(), server) {
                    Err(Errno::EINPROGRESS) if wait == Wait::Polls => {}
                    result => result?,
                }
            }
            Self::Unix(server) => {
                bind(client.as_raw_fd(), &UnixAddr::new_abstract(&wire::client_unix(attempt))?)?;
                connect(client.as_raw_fd(), server)?;
            }
        }
        Ok(client)
    }
}
