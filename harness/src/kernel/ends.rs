//! The server's end of one connection, asked for by its client's socket.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_packet_core::Parseable;
use netlink_packet_sock_diag::constants::{
    AF_INET, AF_INET6, IPPROTO_TCP, TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_SYN_RECV, UNIX_DIAG_PEER,
    UNIX_DIAG_RQLEN,
};
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags as TcpStates,
};
use netlink_packet_sock_diag::unix;
use netlink_packet_sock_diag::unix::{ShowFlags, StateFlags as UnixStates, UnixRequest};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockaddrStorage, getpeername, getsockname, recv};
use nix::sys::stat::fstat;

use super::diag::{Diag, DiagError, INET_DIAG_NOCOOKIE, attributes, word};
use super::netlink::Request;

/// The server's end of a connection, at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerEnd {
    /// The kernel has not finished the handshake on its side.
    HalfOpen,
    /// It is open.
    Open {
        /// Its inode; 0 until somebody has accepted it (`sock_graft`).
        inode: u32,
        /// Bytes that came and were not read.
        unread: u64,
    },
    /// It was closed, or there is none.
    Gone,
}

impl Diag {
    /// The server's end of the connection of this client's socket.
    ///
    /// # Errors
    ///
    /// Any [`DiagError`]; a socket that is not connected any more has no other end.
    pub(super) fn server_end(&mut self, client: impl AsFd) -> Result<ServerEnd, DiagError> {
        let client = client.as_fd();
        let address = |found: nix::Result<SockaddrStorage>| ip(&found.ok()?);
        let ours = address(getsockname(client.as_raw_fd()));
        match (ours, address(getpeername(client.as_raw_fd()))) {
            (Some(ours), Some(theirs)) => self.tcp_end(theirs, ours),
            // Of a peer that has closed the kernel says what it says of one that nobody has accepted.
            (None, None) if is_over(client) => Ok(ServerEnd::Gone),
            (None, None) => {
                let inode = fstat(client).map(|file| file.st_ino).unwrap_or_default();
                self.unix_end(u32::try_from(inode).unwrap_or_default())
            }
            _ => Ok(ServerEnd::Gone),
        }
    }

    /// By the look-up that a segment of the client's would go through.
    fn tcp_end(&mut self, server: SocketAddr, client: SocketAddr) -> Result<ServerEnd, DiagError> {
        let (family, mut socket_id) = match server.ip() {
            IpAddr::V4(_) => (AF_INET, SocketId::new_v4()),
            IpAddr::V6(_) => (AF_INET6, SocketId::new_v6()),
        };
        socket_id.source_address = server.ip();
        socket_id.source_port = server.port();
        socket_id.destination_address = client.ip();
        socket_id.destination_port = client.port();
        socket_id.cookie = INET_DIAG_NOCOOKIE;
        let (states, extensions) = (TcpStates::all(), ExtensionFlags::empty());
        let request = InetRequest { family, protocol: IPPROTO_TCP, extensions, states, socket_id };
        let found = self.netlink.ask(&Request::TcpOne(request), |payload| {
            let header = InetResponseHeader::parse(payload)
                .map_err(|_| DiagError::Malformed("no answer about a TCP socket"))?;
            let unread = u64::from(header.recv_queue);
            Ok(Some(match header.state {
                TCP_SYN_RECV => ServerEnd::HalfOpen,
                TCP_ESTABLISHED => ServerEnd::Open { inode: header.inode, unread },
                // The client's FIN counts as a byte until the server has read up to it (`tcp_fin`).
                TCP_CLOSE_WAIT => ServerEnd::Open { inode: header.inode, unread: unread.saturating_sub(1) },
                // Also a listener, which is found where there is no connection.
                _ => ServerEnd::Gone,
            }))
        })?;
        Ok(found.first().copied().unwrap_or(ServerEnd::Gone))
    }

    /// By the inode of the client's socket, whose peer the kernel names by its own.
    fn unix_end(&mut self, client: u32) -> Result<ServerEnd, DiagError> {
        match self.unix_attribute(client, ShowFlags::PEER, UNIX_DIAG_PEER)? {
            None => Ok(ServerEnd::Gone),
            Some(0) => Ok(ServerEnd::Open { inode: 0, unread: 0 }),
            Some(inode) => {
                let unread = self.unix_attribute(inode, ShowFlags::RQLEN, UNIX_DIAG_RQLEN)?;
                Ok(unread.map_or(ServerEnd::Gone, |unread| ServerEnd::Open { inode, unread: unread.into() }))
            }
        }
    }

    /// The first word of an attribute of a Unix socket.
    fn unix_attribute(&mut self, inode: u32, show: ShowFlags, wanted: u16) -> Result<Option<u32>, DiagError> {
        let request = UnixRequest {
            state_flags: UnixStates::all(),
            inode,
            show_flags: show,
            cookie: INET_DIAG_NOCOOKIE,
        };
        let found = self.netlink.ask(&Request::UnixOne(request), |payload| {
            for attribute in attributes::<unix::UnixResponseBuffer>(payload) {
                let (kind, value) = attribute?;
                if kind == wanted {
                    return Ok(word(value, 0));
                }
            }
            Ok(None)
        })?;
        Ok(found.first().copied())
    }
}

/// Whether nothing more can be read: the other end was closed.
fn is_over(socket: BorrowedFd<'_>) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    !matches!(recv(socket.as_raw_fd(), &mut [0], flags), Ok(1..) | Err(Errno::EAGAIN))
}

/// An IP address; the kernel gives IPv4 clients of IPv6 sockets in their own form.
fn ip(address: &SockaddrStorage) -> Option<SocketAddr> {
    let found = address.as_sockaddr_in().map(|v4| SocketAddr::from(std::net::SocketAddrV4::from(*v4)));
    let found = found.or_else(|| Some(std::net::SocketAddrV6::from(*address.as_sockaddr_in6()?).into()))?;
    Some(SocketAddr::new(found.ip().to_canonical(), found.port()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    /// The kernel brings what was sent to the other end before the call returns, but may be late at that.
    #[track_caller]
    fn becomes(diag: &mut Diag, client: &impl AsFd, wanted: impl Fn(ServerEnd) -> bool) {
        let began = std::time::Instant::now();
        loop {
            let end = diag.server_end(client).unwrap();
            if wanted(end) {
                return;
            }
            assert!(began.elapsed().as_secs() < 30, "still {end:?}");
            std::thread::yield_now();
        }
    }

    fn queued(unread: u64) -> impl Fn(ServerEnd) -> bool {
        move |end| end == ServerEnd::Open { inode: 0, unread }
    }

    fn held(unread: u64) -> impl Fn(ServerEnd) -> bool {
        move |end| matches!(end, ServerEnd::Open { inode, unread: left } if inode > 0 && left == unread)
    }

    #[test]
    fn the_other_end_of_a_tcp_connection_is_followed_through_its_life() {
        for host in ["127.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
            let server = TcpListener::bind(host).unwrap();
            let mut diag = Diag::open().unwrap();
            let mut client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
            becomes(&mut diag, &client, queued(0));
            client.write_all(b"hello").unwrap();
            becomes(&mut diag, &client, queued(5));
            let (mut accepted, _) = server.accept().unwrap();
            becomes(&mut diag, &client, held(5));
            accepted.read_exact(&mut [0; 2]).unwrap();
            becomes(&mut diag, &client, held(3));
            client.shutdown(std::net::Shutdown::Write).unwrap();
            becomes(&mut diag, &client, held(3));
            accepted.read_to_end(&mut Vec::new()).unwrap();
            becomes(&mut diag, &client, held(0));
            drop(accepted);
            becomes(&mut diag, &client, |end| end == ServerEnd::Gone);
        }
    }

    #[test]
    fn the_other_end_of_a_unix_connection_is_followed_through_its_life() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("socket");
        let server = UnixListener::bind(&path).unwrap();
        let mut diag = Diag::open().unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"hello").unwrap();
        becomes(&mut diag, &client, queued(0));
        let (mut accepted, _) = server.accept().unwrap();
        becomes(&mut diag, &client, held(5));
        accepted.read_exact(&mut [0; 5]).unwrap();
        becomes(&mut diag, &client, held(0));
        drop(accepted);
        becomes(&mut diag, &client, |end| end == ServerEnd::Gone);
    }
}
