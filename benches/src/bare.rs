//! The peer of the load client: a blocking loop of the syscalls that an attempt cannot do without.
//!
//! It has no time-outs, no records and one connection at a time, allocates nothing, and looks at no reply. A
//! client
//! that does its work with fewer instructions is hard to imagine.

use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use holdline_model::wire::{self, Address, Request};
use nix::Result;
use nix::sys::prctl;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, bind, connect, recv, send, setsockopt, socket,
    sockopt,
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

/// Connects `count` times, one after the other, from the addresses of attempts 0, 1, 2 and so on.
///
/// # Errors
///
/// The first errno that came up.
///
/// # Panics
///
/// If the address is not IPv4, or a connection ends without a reply: nothing was measured then.
pub fn run(server: &Address, count: u32, pace: Pace) -> Result<()> {
    let Address::Tcp(SocketAddr::V4(server)) = server else {
        panic!("the bare loop speaks TCP over IPv4, not to {server}")
    };
    let server = SockaddrIn::from(*server);
    let (mut request, mut buffer) = (Vec::with_capacity(32), [0; 4096]);
    let clock = ClockId::CLOCK_MONOTONIC;
    let start = Duration::from(clock_gettime(clock)?);
    // As the load client does for its own timer; it would sleep 50 µs longer otherwise.
    prctl::set_timerslack(1)?;
    for attempt in 0..count {
        if let Pace::Every(gap) = pace {
            let due = TimeSpec::from_duration(start + gap * attempt);
            clock_nanosleep(clock, ClockNanosleepFlags::TIMER_ABSTIME, &due)?;
        }
        one(&server, attempt, &mut request, &mut buffer)?;
    }
    Ok(())
}

/// The socket is closed by its drop.
fn one(server: &SockaddrIn, attempt: u32, request: &mut Vec<u8>, buffer: &mut [u8]) -> Result<()> {
    let socket: OwnedFd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
    bind(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(wire::client_v4(attempt), 0)))?;
    connect(socket.as_raw_fd(), server)?;
    request.clear();
    Request::Square(attempt.into()).encode(request);
    request.push(b'\n');
    send(socket.as_raw_fd(), request, MsgFlags::MSG_NOSIGNAL)?;
    let mut reply_bytes = 0;
    loop {
        match recv(socket.as_raw_fd(), buffer, MsgFlags::empty())? {
            0 => break,
            bytes => reply_bytes += bytes,
        }
    }
    assert!(reply_bytes > 0, "attempt {attempt} was not answered");
    Ok(())
}
