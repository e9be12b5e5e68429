//! The socket calls of one attempt, without any policy.

use std::mem::{MaybeUninit, size_of};
use std::net::{SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use holdline_model::wire::{self, Address, Clients};
use netlink_packet_sock_diag::constants::TCP_SYN_SENT;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, UnixAddr,
    bind, connect, recv, send, setsockopt, shutdown, socket, sockopt,
};

/// The way from the clients to the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    server: Server,
    spread: bool,
    clients: Option<Clients>,
}

#[derive(Debug, Clone, Copy)]
enum Server {
    V4(SockaddrIn),
    V6(SockaddrIn6),
    Unix(UnixAddr),
}

impl Route {
    /// Fails with ENAMETOOLONG for a path that does not fit into a socket address.
    pub(super) fn new(address: &Address, spread: bool) -> Result<Self, Errno> {
        let server = match address {
            Address::Tcp(std::net::SocketAddr::V4(address)) => Server::V4((*address).into()),
            Address::Tcp(std::net::SocketAddr::V6(address)) => Server::V6((*address).into()),
            Address::Unix(path) => Server::Unix(UnixAddr::new(path)?),
        };
        Ok(Self { server, spread, clients: None })
    }

    /// The same way, for attempts that share so many addresses.
    pub(super) fn shared_by(self, clients: Option<Clients>) -> Self {
        Self { clients, ..self }
    }

    pub(super) fn is_tcp(&self) -> bool {
        !matches!(self.server, Server::Unix(_))
    }

    /// Makes a socket, bound to the attempt's own address if clients are spread, or to its own port of one
    /// that it shares.
    pub(super) fn open(&self, attempt: u32) -> Result<OwnedFd, Errno> {
        let family = match self.server {
            Server::V4(_) => AddressFamily::Inet,
            Server::V6(_) => AddressFamily::Inet6,
            Server::Unix(_) => AddressFamily::Unix,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(family, SockType::Stream, flags, None)?;
        match self.clients {
            Some(clients) => self.bind_shared(&socket, clients, attempt)?,
            None if self.spread => self.bind(&socket, attempt)?,
            None => {}
        }
        Ok(socket)
    }

    /// Without IP_BIND_ADDRESS_NO_PORT (ip(7)), `bind` would search for a free port at once, for all
    /// servers; with it, `connect` chooses one that is free towards this server. It holds for IPv6
    /// sockets too (`__inet6_bind` in net/ipv6/af_inet6.c).
    fn bind(&self, socket: &OwnedFd, attempt: u32) -> Result<(), Errno> {
        match self.server {
            Server::V4(_) => {
                setsockopt(socket, sockopt::IpBindAddressNoPort, &true)?;
                let client = SockaddrIn::from(SocketAddrV4::new(wire::client_v4(attempt), 0));
                bind(socket.as_raw_fd(), &client)
            }
            Server::V6(_) => {
                setsockopt(socket, sockopt::IpBindAddressNoPort, &true)?;
                allow_nonlocal_v6(socket)?;
                let client = SockaddrIn6::from(SocketAddrV6::new(wire::client_v6(attempt), 0, 0, 0));
                bind(socket.as_raw_fd(), &client)
            }
            Server::Unix(_) => {
                bind(socket.as_raw_fd(), &UnixAddr::new_abstract(&wire::client_unix(attempt))?)
            }
        }
    }

    /// Takes the attempt's second port where the first is in use: by a server that listens at any address, or
    /// in TIME_WAIT. The server's own port is left alone, as a server that starts anew shall find it free.
    fn bind_shared(&self, socket: &OwnedFd, clients: Clients, attempt: u32) -> Result<(), Errno> {
        match self.server {
            Server::V4(server) => {
                let ports = wire::shared_v4(clients, attempt).ok_or(Errno::EADDRNOTAVAIL)?;
                let free = ports.into_iter().filter(|client| client.port() != server.port());
                bind_first(socket, free.map(SockaddrIn::from))
            }
            Server::V6(server) => {
                allow_nonlocal_v6(socket)?;
                let ports = wire::shared_v6(clients, attempt).ok_or(Errno::EADDRNOTAVAIL)?;
                let free = ports.into_iter().filter(|client| client.port() != server.port());
                bind_first(socket, free.map(SockaddrIn6::from))
            }
            Server::Unix(_) => Err(Errno::EADDRNOTAVAIL),
        }
    }

    pub(super) fn connect(&self, socket: impl AsFd) -> Result<(), Errno> {
        let socket = socket.as_fd().as_raw_fd();
        match &self.server {
            Server::V4(address) => connect(socket, address),
            Server::V6(address) => connect(socket, address),
            Server::Unix(address) => connect(socket, address),
        }
    }
}

/// Binds to the first address that is not in use.
fn bind_first(socket: &OwnedFd, addresses: impl Iterator<Item = impl SockaddrLike>) -> Result<(), Errno> {
    let mut result = Err(Errno::EADDRINUSE);
    for address in addresses {
        result = bind(socket.as_raw_fd(), &address);
        if result != Err(Errno::EADDRINUSE) {
            break;
        }
    }
    result
}

/// Lets small pieces be sent at once. The end of a handshake and the request behind it are two; the second would wait
/// for the first to be acknowledged (RFC 896), which a server delays as it has nothing to say yet, by 40 ms. Sockets
/// other than TCP's never wait.
pub(super) fn send_at_once(socket: &OwnedFd) {
    let _ = setsockopt(socket, sockopt::TcpNoDelay, &true);
}

/// Sends without raising SIGPIPE.
pub(super) fn send_some(socket: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    uninterrupted(|| send(socket.as_fd().as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL))
}

pub(super) fn receive_some(socket: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    uninterrupted(|| recv(socket.as_raw_fd(), buffer, MsgFlags::empty()))
}

/// Whether something can be read, or the connection is over; nothing is taken.
pub(super) fn peek(socket: &OwnedFd) -> Result<usize, Errno> {
    uninterrupted(|| recv(socket.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK))
}

/// Ends this side of a connection: the server reads an end of file behind what was sent.
pub(super) fn half_close(socket: &OwnedFd) {
    // Where it fails, the connection is over, and reading tells.
    let _ = shutdown(socket.as_raw_fd(), Shutdown::Write);
}

fn uninterrupted<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// How often a TCP socket has retransmitted anything. Before data was sent, that is SYNs.
pub(super) fn retransmits(socket: impl AsFd) -> u8 {
    info(socket).map_or(0, |info| u8::try_from(info.tcpi_total_retrans).unwrap_or(u8::MAX))
}

/// Whether a TCP socket on which `connect` was called still waits for the end of its handshake.
pub(super) fn is_connecting(socket: impl AsFd) -> bool {
    info(socket).is_some_and(|info| info.tcpi_state == TCP_SYN_SENT)
}

/// What the kernel tells of a TCP socket, without a change to it.
fn info(socket: impl AsFd) -> Option<libc::tcp_info> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: `info` is writable for `length` bytes, and the kernel writes no more than that.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    // SAFETY: the structure holds integers only, and was zeroed before the kernel wrote to it.
    (result == 0).then(|| unsafe { info.assume_init() })
}

/// Lets a socket bind to an address that is routed to loopback, but assigned to no interface.
fn allow_nonlocal_v6(socket: &OwnedFd) -> Result<(), Errno> {
    let yes: libc::c_int = 1;
    // SAFETY: the option's value is an int, which `yes` is.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IPV6,
            libc::IPV6_FREEBIND,
            (&raw const yes).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop)
}

/// Whether IPv6 clients can have addresses of their own here: whether the calling thread's network
/// namespace routes [`wire::CLIENT_V6_PREFIX`] to its loopback. A sandbox sees to that by
/// `ip -6 route add local fd68:6f6c:6400::/64 dev lo`.
#[must_use]
pub fn v6_spread_available() -> bool {
    std::fs::read_to_string("/proc/thread-self/net/ipv6_route")
        .is_ok_and(|routes| routes_client_prefix(&routes))
}

/// Looks for a local route to the clients' prefix in the text of /proc/net/ipv6_route: destination
/// and its prefix length first, flags next to last, device last, numbers in hexadecimal
/// (`rt6_native_seq_show` in net/ipv6/ip6_fib.c).
fn routes_client_prefix(routes: &str) -> bool {
    const RTF_LOCAL: u32 = 0x8000_0000;
    let destination = format!("{:032x}", u128::from(wire::CLIENT_V6_PREFIX));
    let length = format!("{:02x}", wire::CLIENT_V6_PREFIX_LEN);
    routes.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [to, to_length, .., flags, device] = words[..] else { return false };
        let is_local = u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & RTF_LOCAL != 0);
        to == destination && to_length == length && is_local && device == "lo"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_of_the_sandbox_is_recognised() {
        let zeros = "00000000000000000000000000000000";
        let line = |to: &str, length: &str, flags: &str, device: &str| {
            format!("{to} {length} {zeros} 00 {zeros} 00000400 00000002 00000000 {flags}       {device}\n")
        };
        let prefix = "fd686f6c640000000000000000000000";
        let others = line("00000000000000000000000000000001", "80", "80200001", "lo");
        assert!(routes_client_prefix(&(others.clone() + &line(prefix, "40", "80000001", "lo"))));
        assert!(!routes_client_prefix(&others));
        assert!(!routes_client_prefix(&line(prefix, "80", "80000001", "lo")));
        assert!(!routes_client_prefix(&line(prefix, "40", "00000001", "lo")));
        assert!(!routes_client_prefix(&line(prefix, "40", "80000001", "eth0")));
        assert!(!routes_client_prefix("nonsense\n\n"));
    }

    #[test]
    fn a_path_that_is_too_long_is_refused() {
        let path = format!("/{}", "x".repeat(108));
        let route = Route::new(&Address::Unix(path.into()), true);
        assert_eq!(route.err(), Some(Errno::ENAMETOOLONG));
    }
}
