//! Looks at the same address again and again, and does not list all listeners each time.
//!
//! A list makes the kernel walk a hash table of up to 1 MiB, which costs time, and drives what it measures
//! out of the processor's cache. So while there is one TCP listener or none, the kernel is only asked who
//! would take a connection, and everything is listed when the answer is another than before. With
//! several listeners, and for Unix sockets, whose table is small, everything is listed each time.

use holdline_model::wire::Address;

use super::diag::{Diag, DiagError, ListenerSeen};
use super::taker::Taker;

/// How many looks in a row may do without a list. A second listener is found sooner if it shares the
/// address by SO_REUSEPORT: each look asks for another client port, of which it gets every other.
const GLANCES_MAX: u32 = 20;

/// The client ports that are asked for: all that a client can have without privileges.
const CLIENT_PORTS: std::ops::RangeInclusive<u16> = 1024..=u16::MAX;

/// One address under observation.
#[derive(Debug)]
pub(super) struct Gaze {
    address: Address,
    /// Of a TCP address.
    taker: Option<Taker>,
    known: Vec<ListenerSeen>,
    glances_left: u32,
    client_port: u16,
}

impl Gaze {
    pub(super) fn new(address: Address) -> Self {
        let taker = match address {
            Address::Tcp(address) => Some(Taker::of(address)),
            Address::Unix(_) => None,
        };
        Self { address, taker, known: Vec::new(), glances_left: 0, client_port: *CLIENT_PORTS.start() }
    }

    /// The listeners as they are now.
    pub(super) fn look(&mut self, diag: &mut Diag) -> Result<&[ListenerSeen], DiagError> {
        if !self.glance(diag)? {
            self.known = diag.listeners(&self.address)?;
            self.glances_left = GLANCES_MAX;
        }
        Ok(&self.known)
    }

    /// Brings up to date what is known, if nobody came or went; otherwise returns false.
    fn glance(&mut self, diag: &mut Diag) -> Result<bool, DiagError> {
        let Some(taker) = &mut self.taker else { return Ok(false) };
        if self.known.len() > 1 || self.glances_left == 0 {
            return Ok(false);
        }
        self.glances_left -= 1;
        self.client_port = self.client_port.checked_add(1).unwrap_or(*CLIENT_PORTS.start());
        let seen = taker.ask(diag, self.client_port)?;
        let known = self.known.first().copied();
        let as_before = seen.map(|listener| listener.inode) == known.map(|listener| listener.inode);
        if as_before && seen != known {
            self.known = seen.into_iter().collect();
        }
        Ok(as_before)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::os::fd::{AsRawFd, OwnedFd};

    use nix::sys::socket::{
        AddressFamily, Backlog, Shutdown, SockFlag, SockType, SockaddrIn, bind, getsockname, listen,
        setsockopt, shutdown, socket, sockopt,
    };

    use super::*;

    /// Binds a socket that shares its port.
    fn bound(port: u16) -> (OwnedFd, u16) {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
        setsockopt(&socket, sockopt::ReusePort, &true).unwrap();
        bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port)).unwrap();
        let port = getsockname::<SockaddrIn>(socket.as_raw_fd()).unwrap().port();
        (socket, port)
    }

    fn listening(port: u16) -> OwnedFd {
        let (socket, _) = bound(port);
        listen(&socket, Backlog::new(3).unwrap()).unwrap();
        socket
    }

    #[test]
    fn a_few_glances_see_what_a_list_would() {
        let (_keeps_the_port, port) = bound(0);
        let address = Address::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
        let mut diag = Diag::open().unwrap();
        let mut gaze = Gaze::new(address.clone());
        let mut settled = |count: usize| {
            let mut seen = Vec::new();
            for _ in 0..=GLANCES_MAX {
                seen = gaze.look(&mut diag).unwrap().to_vec();
            }
            assert_eq!(seen, diag.listeners(&address).unwrap());
            assert_eq!(seen.len(), count);
        };
        settled(0);
        let first = listening(port);
        settled(1);
        let second = listening(port);
        settled(2);
        // Other tests start processes, which hold our sockets until they call `exec`, so that
        // only a shutdown makes sure that nobody listens.
        let silence = |socket: &OwnedFd| shutdown(socket.as_raw_fd(), Shutdown::Both).unwrap();
        silence(&first);
        settled(1);
        silence(&second);
        settled(0);
    }

    #[test]
    fn what_comes_and_goes_is_seen_at_the_next_look() {
        let (_keeps_the_port, port) = bound(0);
        let address = Address::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
        let mut diag = Diag::open().unwrap();
        let mut gaze = Gaze::new(address);
        for _ in 0..2 * GLANCES_MAX {
            assert_eq!(gaze.look(&mut diag).unwrap(), []);
            let server = listening(port);
            let seen = gaze.look(&mut diag).unwrap();
            assert_eq!((seen.len(), seen[0].limit), (1, 3));
            shutdown(server.as_raw_fd(), Shutdown::Both).unwrap();
        }
    }
}
