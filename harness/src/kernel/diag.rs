//! Asks the kernel for the listeners at an address, and for connections that nobody has accepted.
//!
//! This is what `ss` does (sock_diag(7)): no connection is made, so that no server notices. It
//! answers for one instant; what changes from one instant to the next is for
//! [`timeline`](super::timeline).
//!
//! Attributes are read here rather than by `netlink-packet-sock-diag`, which hides the fields of
//! `UNIX_DIAG_VFS`, and refuses a whole answer for one Unix socket whose name it does not expect.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use holdline_model::wire::Address;
use netlink_packet_core::{NlasIterator, Parseable};
use netlink_packet_sock_diag::constants::{
    INET_DIAG_SKMEMINFO, INET_DIAG_SKV6ONLY, TCP_SYN_RECV, UNIX_DIAG_NAME, UNIX_DIAG_RQLEN, UNIX_DIAG_VFS,
};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetResponseHeader, StateFlags as TcpStates};
use netlink_packet_sock_diag::unix::{ShowFlags, StateFlags as UnixStates, UnixRequest, UnixResponseHeader};
use netlink_packet_sock_diag::{inet, unix};
use nix::libc;

pub use super::netlink::DiagError;
use super::netlink::{Netlink, Request, TcpRequest};

/// Index of the drop count in `INET_DIAG_SKMEMINFO` (include/uapi/linux/sock_diag.h), in words.
const SK_MEMINFO_DROPS: usize = 8;
/// Asks for a socket by its addresses alone (include/uapi/linux/inet_diag.h).
pub(super) const INET_DIAG_NOCOOKIE: [u8; 8] = [0xff; 8];
/// Length and kind of an attribute, in bytes.
const NLA_HEADER_BYTES: usize = 4;

/// A socket in state LISTEN, at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerSeen {
    /// Its inode, as in `/proc/PID/fd` (`socket:[INODE]`).
    pub inode: u32,
    /// Connections in its accept queue.
    pub queue: u32,
    /// Its backlog, cut to `somaxconn`; the kernel holds one connection more than this.
    pub limit: u32,
    /// What it dropped since it was opened (`sk_drops`); not counted for Unix sockets.
    pub drops: Option<u32>,
}

/// A connection that nobody has accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Unaccepted {
    /// The client's address.
    pub client: SocketAddr,
    /// Whether the kernel has not finished its handshake on the server's side.
    pub half_open: bool,
}

/// A client of the kernel's sock_diag. It asks about the network namespace of the thread that
/// opened it, and should stay with that thread: after a failure it opens a new socket.
#[derive(Debug)]
pub struct Diag {
    pub(super) netlink: Netlink,
}

impl Diag {
    /// Opens a client.
    ///
    /// # Errors
    ///
    /// [`DiagError::Open`], if there is no descriptor or no NETLINK_SOCK_DIAG.
    pub fn open() -> Result<Self, DiagError> {
        Ok(Self { netlink: Netlink::open()? })
    }

    /// The listeners that would take a connection to `address`, in order of their inodes.
    ///
    /// For TCP these are the sockets at the port that are bound to the address itself or to the
    /// wildcard of its family, and for an IPv4 address also dual-stack IPv6 sockets. Sockets that
    /// share it by SO_REUSEPORT are all there. A wildcard socket counts also while one that is bound
    /// to the address itself is preferred.
    ///
    /// For Unix sockets these are the ones that were bound by this very path, or by another
    /// path to the same file. Of sockets bound by the same path only the ones whose file is still
    /// there count, unless none has a file there that we can see: the kernel names each after what
    /// was passed to `bind`, even when the file was since replaced.
    ///
    /// # Errors
    ///
    /// Any [`DiagError`].
    pub fn listeners(&mut self, address: &Address) -> Result<Vec<ListenerSeen>, DiagError> {
        let mut found = match address {
            Address::Tcp(address) => self.tcp_listeners(*address)?,
            Address::Unix(path) => self.unix_listeners(path)?,
        };
        found.sort_unstable_by_key(|seen| seen.inode);
        found.dedup_by_key(|seen| seen.inode);
        Ok(found)
    }

    /// Connections to the TCP address whose handshake is done and that nobody has accepted, in order
    /// of their clients' addresses: they have no inode yet (`sock_graft` gives them one in `accept`).
    /// Among them are those whose client has already closed its end. For Unix sockets it is
    /// always empty: there the clients of queued connections are not to be seen.
    ///
    /// This reads the whole table of established connections, which the kernel sizes by the
    /// machine's memory, so that it costs far more than [`Diag::listeners`].
    ///
    /// # Errors
    ///
    /// Any [`DiagError`].
    pub fn unaccepted(&mut self, address: &Address) -> Result<Vec<Unaccepted>, DiagError> {
        let Address::Tcp(address) = address else { return Ok(Vec::new()) };
        let address = reached(*address);
        // SYN_RECV: requests for connections, which have no owner either (`inet_req_diag_fill`).
        let states = TcpStates::ESTABLISHED | TcpStates::CLOSE_WAIT | TcpStates::SYN_RECV;
        let request = TcpRequest { port: address.port(), states, extensions: ExtensionFlags::empty() };
        let mut found = self.netlink.ask(&Request::Tcp(request), |payload| {
            let header = InetResponseHeader::parse(payload)
                .map_err(|_| DiagError::Malformed("no answer about a TCP socket"))?;
            let ours = header.inode == 0
                && header.socket_id.source_port == address.port()
                && header.socket_id.source_address.to_canonical() == address.ip();
            let client = header.socket_id.destination_address.to_canonical();
            let client = SocketAddr::new(client, header.socket_id.destination_port);
            let half_open = header.state == TCP_SYN_RECV;
            Ok(ours.then_some(Unaccepted { client, half_open }))
        })?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn tcp_listeners(&mut self, address: SocketAddr) -> Result<Vec<ListenerSeen>, DiagError> {
        let address = reached(address);
        let (states, extensions) = (TcpStates::LISTEN, ExtensionFlags::SKMEMINFO);
        let request = TcpRequest { port: address.port(), states, extensions };
        self.netlink.ask(&Request::Tcp(request), |payload| {
            let listener = TcpListener::parse(payload)?;
            Ok(listener.takes(&address).then_some(listener.seen))
        })
    }

    fn unix_listeners(&mut self, path: &Path) -> Result<Vec<ListenerSeen>, DiagError> {
        let request = Request::Unix(UnixRequest {
            state_flags: UnixStates::LISTEN,
            inode: 0,
            show_flags: ShowFlags::NAME | ShowFlags::RQLEN | ShowFlags::VFS,
            cookie: [0xff; 8],
        });
        let file = path.metadata().ok().map(|file| File::of(&file));
        let found = self.netlink.ask(&request, |payload| {
            let listener = UnixListener::parse(payload)?;
            let same_file = listener.file.is_some() && listener.file == file;
            Ok((same_file || listener.name == path).then_some((same_file, listener.seen)))
        })?;
        let replaced = found.iter().any(|(same_file, _)| *same_file);
        Ok(found.into_iter().filter(|(same, _)| *same || !replaced).map(|(_, seen)| seen).collect())
    }
}

/// Where a connection to `address` really goes: one to the wildcard goes to the loopback address,
/// and one to an IPv4-mapped address is an IPv4 connection (ip(7), ipv6(7)).
pub(super) fn reached(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip().to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// A listener of any address.
pub(super) struct TcpListener {
    pub(super) local: SocketAddr,
    pub(super) ipv6_only: bool,
    pub(super) seen: ListenerSeen,
}

impl TcpListener {
    pub(super) fn parse(payload: &[u8]) -> Result<Self, DiagError> {
        let header = InetResponseHeader::parse(payload)
            .map_err(|_| DiagError::Malformed("no answer about a TCP socket"))?;
        let mut listener = Self {
            local: SocketAddr::new(header.socket_id.source_address, header.socket_id.source_port),
            ipv6_only: false,
            seen: ListenerSeen {
                inode: header.inode,
                queue: header.recv_queue,
                limit: header.send_queue,
                drops: None,
            },
        };
        for attribute in attributes::<inet::InetResponseBuffer>(payload) {
            let (kind, value) = attribute?;
            match kind {
                INET_DIAG_SKMEMINFO => listener.seen.drops = word(value, SK_MEMINFO_DROPS),
                INET_DIAG_SKV6ONLY => listener.ipv6_only = value.first().is_some_and(|only| *only != 0),
                _ => {}
            }
        }
        Ok(listener)
    }

    /// Whether a connection to `address` can end up here.
    fn takes(&self, address: &SocketAddr) -> bool {
        let here = match self.local.ip() {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.is_ipv6() || !self.ipv6_only,
            ip => {
                let ip = ip.to_canonical();
                ip == address.ip() || (ip.is_unspecified() && ip.is_ipv4() == address.is_ipv4())
            }
        };
        here && self.local.port() == address.port()
    }
}

/// A listener of any path or abstract name.
pub(super) struct UnixListener<'a> {
    /// What was passed to `bind`; begins with a NUL byte if it is abstract.
    pub(super) name: &'a Path,
    file: Option<File>,
    pub(super) seen: ListenerSeen,
}

/// What identifies a file, as far as `UNIX_DIAG_VFS` tells: it has only 32 bits for the inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct File {
    inode: u32,
    major: u32,
    minor: u32,
}

impl File {
    #[expect(clippy::cast_possible_truncation, reason = "the kernel cuts its side the same way")]
    fn of(metadata: &std::fs::Metadata) -> Self {
        let device = metadata.dev();
        Self { inode: metadata.ino() as u32, major: libc::major(device), minor: libc::minor(device) }
    }

    /// Reads `struct unix_diag_vfs`: an inode, and a device of 12 and 20 bits (include/linux/kdev_t.h).
    fn parse(value: &[u8]) -> Option<Self> {
        let device = word(value, 1)?;
        Some(Self { inode: word(value, 0)?, major: device >> 20, minor: device & 0xf_ffff })
    }
}

impl<'a> UnixListener<'a> {
    pub(super) fn parse(payload: &'a [u8]) -> Result<Self, DiagError> {
        let header = UnixResponseHeader::parse(payload)
            .map_err(|_| DiagError::Malformed("no answer about a Unix socket"))?;
        let seen = ListenerSeen { inode: header.inode, queue: 0, limit: 0, drops: None };
        let mut listener = Self { name: Path::new(""), file: None, seen };
        for attribute in attributes::<unix::UnixResponseBuffer>(payload) {
            let (kind, value) = attribute?;
            match kind {
                UNIX_DIAG_NAME => {
                    let name = value.strip_suffix(&[0]).unwrap_or(value);
                    listener.name = Path::new(OsStr::from_bytes(name));
                }
                UNIX_DIAG_VFS => listener.file = File::parse(value),
                UNIX_DIAG_RQLEN => {
                    listener.seen.queue = word(value, 0).unwrap_or_default();
                    listener.seen.limit = word(value, 1).unwrap_or_default();
                }
                _ => {}
            }
        }
        Ok(listener)
    }
}

/// Kinds and values of the attributes behind a fixed header of type `H`.
pub(super) fn attributes<H>(payload: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), DiagError>> {
    let behind = payload.get(size_of::<H>()..).unwrap_or_default();
    NlasIterator::new(behind).map(|attribute| {
        let attribute = attribute.map_err(|_| DiagError::Malformed("cut off within an attribute"))?;
        let (kind, length) = (attribute.kind(), usize::from(attribute.length()));
        Ok((kind, &attribute.into_inner()[NLA_HEADER_BYTES..length]))
    })
}

/// The word at `index` of an attribute that is an array of them.
pub(super) fn word(value: &[u8], index: usize) -> Option<u32> {
    let (words, _) = value.as_chunks::<4>();
    words.get(index).map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(local: &str, ipv6_only: bool, address: &str, takes: bool) {
        let seen = ListenerSeen { inode: 1, queue: 0, limit: 0, drops: None };
        let listener = TcpListener { local: local.parse().unwrap(), ipv6_only, seen };
        let address = reached(address.parse().unwrap());
        assert_eq!(listener.takes(&address), takes, "{local} takes {address}");
    }

    #[test]
    fn a_listener_takes_what_the_kernel_would_bring_it() {
        check("127.0.0.1:80", false, "127.0.0.1:80", true);
        check("127.0.0.1:80", false, "127.0.0.1:81", false);
        check("127.0.0.2:80", false, "127.0.0.1:80", false);
        check("0.0.0.0:80", false, "127.0.0.1:80", true);
        check("0.0.0.0:80", false, "[::1]:80", false);
        check("127.0.0.1:80", false, "0.0.0.0:80", true);
        check("127.0.0.1:80", false, "[::ffff:127.0.0.1]:80", true);
        check("[::]:80", false, "127.0.0.1:80", true);
        check("[::]:80", true, "127.0.0.1:80", false);
        check("[::]:80", true, "[::1]:80", true);
        check("[::]:80", true, "[::]:80", true);
        check("[::1]:80", false, "[::1]:80", true);
        check("[::1]:80", false, "127.0.0.1:80", false);
        check("[fd00::1]:80", false, "[::1]:80", false);
        check("[::ffff:127.0.0.1]:80", false, "127.0.0.1:80", true);
        check("[::ffff:0.0.0.0]:80", false, "127.0.0.1:80", true);
        check("[::ffff:0.0.0.0]:80", false, "[::1]:80", false);
    }

    #[test]
    fn devices_are_compared_by_their_numbers() {
        let mut value = 77u32.to_ne_bytes().to_vec();
        value.extend((8u32 << 20 | 0x123).to_ne_bytes());
        assert_eq!(File::parse(&value), Some(File { inode: 77, major: 8, minor: 0x123 }));
        assert_eq!(File::parse(&value[..7]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_not(mut bytes in proptest::collection::vec(0u8..20, 0..200)) {
            let _ = UnixListener::parse(&bytes);
            if let Some(family) = bytes.first_mut() {
                *family = libc::AF_INET6 as u8;
            }
            let _ = TcpListener::parse(&bytes);
        }
    }
}
