//! A transport that says whose connection it is before anything else, as a proxy does that passes one on.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use holdline_model::wire::{Ends, Excerpt, ProxyHeader, ProxyVersion};
use nix::errno::Errno;
use nix::sys::socket::{SockaddrStorage, getpeername, getsockname};

use super::socket;
use super::transport::{Broken, Carrier, Greeting, Shown, Transport};

/// Length of `sun_path`, in bytes.
const UNIX_BYTES: usize = 108;

/// Which version of the PROXY protocol is spoken, as a type.
pub(super) trait Speaks: fmt::Debug + Send + 'static {
    const VERSION: ProxyVersion;
}

/// Version 1.
#[derive(Debug, Clone)]
pub(super) struct V1;

/// Version 2.
#[derive(Debug, Clone)]
pub(super) struct V2;

impl Speaks for V1 {
    const VERSION: ProxyVersion = ProxyVersion::V1;
}

impl Speaks for V2 {
    const VERSION: ProxyVersion = ProxyVersion::V2;
}

/// Carries behind a header of the PROXY protocol.
#[derive(Debug, Clone)]
pub(super) struct Behind<V, C> {
    carrier: C,
    version: PhantomData<V>,
}

impl<V, C> Behind<V, C> {
    pub(super) fn header(carrier: C) -> Self {
        Self { carrier, version: PhantomData }
    }
}

impl<V: Speaks, C: Carrier> Carrier for Behind<V, C> {
    type Over = Proxied<V, C::Over>;

    fn over(&self, socket: OwnedFd, attempt: u32) -> Self::Over {
        // What is sent behind the header must not wait for the header's acknowledgement.
        socket::send_at_once(&socket);
        let transport = self.carrier.over(socket, attempt);
        Proxied { transport, sent: 0, is_greeted: false, version: PhantomData }
    }
}

/// Another transport behind a header of the PROXY protocol.
#[derive(Debug)]
pub(super) struct Proxied<V, T> {
    transport: T,
    /// How many bytes of the header are sent.
    sent: usize,
    is_greeted: bool,
    version: PhantomData<V>,
}

impl<V, T: AsFd> AsFd for Proxied<V, T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.transport.as_fd()
    }
}

impl<V: Speaks, T: Transport> Transport for Proxied<V, T> {
    const GREETS: bool = true;
    const LAYERED: bool = T::LAYERED;
    const SECURED: bool = T::SECURED;

    fn greet(&mut self) -> Result<Greeting, Errno> {
        if !self.is_greeted {
            // Only a connected socket knows both of its ends; of one that is not yet, they are asked for anew.
            let header = match header(self.transport.as_fd(), V::VERSION) {
                // Sending nothing says what became of `connect`.
                Err(Errno::ENOTCONN) => {
                    return socket::send_some(&self.transport, &[]).and(Err(Errno::EAGAIN));
                }
                header => header?,
            };
            // It stands before whatever the transport beneath makes of what is sent.
            while self.sent < header.as_bytes().len() {
                self.sent += socket::send_some(&self.transport, &header.as_bytes()[self.sent..])?;
            }
            self.is_greeted = true;
        }
        self.transport.greet()
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        self.transport.send(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.transport.receive(buffer)
    }

    fn peek(&mut self) -> Result<usize, Errno> {
        self.transport.peek()
    }

    fn half_close(&mut self) {
        self.transport.half_close();
    }

    fn owes(&self) -> bool {
        !self.is_greeted || self.transport.owes()
    }

    fn part(&mut self) {
        self.transport.part();
    }

    fn broken(&self) -> Option<Broken> {
        self.transport.broken()
    }

    fn ended_in_full(&self) -> bool {
        self.transport.ended_in_full()
    }

    fn sent(&self, of_request: u64) -> u64 {
        self.transport.sent(of_request)
    }

    fn first(&self) -> Option<Excerpt> {
        self.transport.first()
    }

    fn is_secured(&self) -> bool {
        self.transport.is_secured()
    }

    fn shown<R>(&self, look: impl FnOnce(Shown<'_>) -> R) -> Option<R> {
        self.transport.shown(look)
    }
}

/// The header of a connection, with both ends as the kernel knows them.
fn header(socket: BorrowedFd<'_>, version: ProxyVersion) -> Result<ProxyHeader, Errno> {
    let own: SockaddrStorage = getsockname(socket.as_raw_fd())?;
    let peer: SockaddrStorage = getpeername(socket.as_raw_fd())?;
    Ok(match (ip(&own), ip(&peer)) {
        (Some(own), Some(peer)) => ProxyHeader::new(version, Ends::Tcp(own, peer)),
        _ => ProxyHeader::new(version, Ends::Unix(&name(&own), &name(&peer))),
    })
}

fn ip(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

/// The name of a Unix socket as `sun_path` holds it: that of an abstract one begins with a NUL byte.
fn name(address: &SockaddrStorage) -> [u8; UNIX_BYTES] {
    let mut name = [0; UNIX_BYTES];
    let unix = address.as_unix_addr();
    let path = unix.and_then(|unix| unix.path()).map(|path| (path.as_os_str().as_bytes(), 0));
    let hidden = unix.and_then(|unix| unix.as_abstract()).map(|hidden| (hidden, 1));
    if let Some((bytes, from)) = path.or(hidden) {
        let count = bytes.len().min(UNIX_BYTES - from);
        name[from..from + count].copy_from_slice(&bytes[..count]);
    }
    name
}
