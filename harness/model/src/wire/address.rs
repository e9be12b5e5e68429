//! Addresses: of servers, and of clients, whose addresses name their attempts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ATTEMPTS_MAX;
use super::shared::{self, Clients};

/// The server's address in `tcp` trials.
pub const SERVER_V4: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// The server's address in `tcp6` trials.
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::LOCALHOST;
/// The prefix that the sandbox routes to its loopback, so that IPv6 clients can have addresses of
/// their own: IPv6 has just one loopback address. From the unique local range of RFC 4193.
pub const CLIENT_V6_PREFIX: Ipv6Addr = Ipv6Addr::new(0xfd68, 0x6f6c, 0x6400, 0, 0, 0, 0, 0);
/// Length of [`CLIENT_V6_PREFIX`], in bits.
pub const CLIENT_V6_PREFIX_LEN: u8 = 64;

/// Skips 127.0.0.0 to 127.0.0.31, where servers live, and whoever asks them outside of all counts.
const FIRST_CLIENT: u32 = 32;
/// The host part of the address from which a service is asked outside of all counts.
const ASKER: u32 = FIRST_CLIENT - 1;

/// The other end of a connection, as `accept` reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// A TCP client.
    Ip(IpAddr, u16),
    /// A Unix client bound to the abstract name that [`client_unix`] gives this attempt.
    Unix(u32),
}

impl Peer {
    /// The attempt that this address names, with its port where the address is shared; `None` for one that
    /// no attempt has.
    #[must_use]
    pub fn attempt(&self) -> Option<u32> {
        let attempt = match self {
            Self::Ip(address, port) => {
                let host = host_in(*address)?;
                if host >> 16 == shared::PREFIX {
                    return shared::attempt_of(host, *port);
                }
                host.checked_sub(FIRST_CLIENT)?
            }
            Self::Unix(attempt) => *attempt,
        };
        (attempt < ATTEMPTS_MAX).then_some(attempt)
    }

    /// Whether this is the address of a client that asks outside of all counts: see [`asker`].
    #[must_use]
    pub fn is_asker(&self) -> bool {
        match self {
            Self::Ip(IpAddr::V4(address), _) => *address == client_v4(ATTEMPTS_MAX),
            Self::Ip(IpAddr::V6(address), _) => *address == client_v6(ATTEMPTS_MAX),
            Self::Unix(client) => *client >= ATTEMPTS_MAX,
        }
    }
}

/// The number of a client that asks a service outside of all counts, the `n`th that does so: beyond those
/// of all attempts. It stands where an attempt's number stands, so that address and request tell servers and
/// ledgers that it is none. Those over IP share an address.
#[must_use]
pub const fn asker(n: u32) -> u32 {
    ATTEMPTS_MAX + (n & 0x00ff_ffff)
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address, port) => write!(f, "{}", SocketAddr::new(*address, *port)),
            Self::Unix(attempt) => write!(f, "@{}", String::from_utf8_lossy(&client_unix(*attempt))),
        }
    }
}

/// Where a server listens: `host:port`, `[host]:port`, the absolute path of a Unix socket, or `@` and the name of
/// an abstract one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix stream socket. An abstract one has its name behind a NUL byte, as the kernel has it.
    Unix(PathBuf),
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither host:port with a numeric host, nor an absolute path, nor @ and a name")]
pub struct NotAnAddress(String);

impl Address {
    /// The name of an abstract Unix socket, without the NUL byte that begins it; `None` for any other address.
    #[must_use]
    pub fn abstract_name(&self) -> Option<&str> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(path) => path.to_str()?.strip_prefix('\0'),
        }
    }

    /// Whether it is an abstract Unix socket, be its name text or not.
    #[must_use]
    pub fn is_abstract(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Unix(path) => path.as_os_str().as_encoded_bytes().first() == Some(&0),
        }
    }

    /// The path of a Unix socket that is a file; `None` for any other address.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(path) => path.is_absolute().then_some(path),
        }
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        if text.starts_with('/') {
            return Ok(Self::Unix(PathBuf::from(text)));
        }
        if let Some(name) = text.strip_prefix('@').filter(|name| !name.is_empty()) {
            return Ok(Self::Unix(PathBuf::from(format!("\0{name}"))));
        }
        text.parse().map(Self::Tcp).map_err(|_| NotAnAddress(text.to_owned()))
    }
}

impl TryFrom<String> for Address {
    type Error = NotAnAddress;

    fn try_from(text: String) -> Result<Self, NotAnAddress> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => match self.abstract_name() {
                Some(name) => write!(f, "@{name}"),
                None => path.display().fmt(f),
            },
        }
    }
}

/// The IPv4 address from which a client connects: of an attempt, or of an [`asker`].
///
/// The whole of 127.0.0.0/8 is loopback (RFC 5735), so that each attempt can have an address of
/// its own: no 4-tuple repeats, and no ephemeral port runs out.
#[must_use]
pub fn client_v4(client: u32) -> Ipv4Addr {
    v4_of(host_of(client))
}

/// The IPv6 address from which a client connects: of an attempt, or of an [`asker`].
#[must_use]
pub fn client_v6(client: u32) -> Ipv6Addr {
    v6_of(host_of(client))
}

/// The IPv4 addresses, of which any will do, from which an attempt connects that shares one with others.
/// `None` beyond [`Clients::attempts_max`].
#[must_use]
pub fn shared_v4(clients: Clients, attempt: u32) -> Option<[SocketAddrV4; 2]> {
    let (host, ports) = clients.place(attempt)?;
    Some(ports.map(|port| SocketAddrV4::new(v4_of(host), port)))
}

/// [`shared_v4`] for IPv6.
#[must_use]
pub fn shared_v6(clients: Clients, attempt: u32) -> Option<[SocketAddrV6; 2]> {
    let (host, ports) = clients.place(attempt)?;
    Some(ports.map(|port| SocketAddrV6::new(v6_of(host), port, 0, 0)))
}

fn v4_of(host: u32) -> Ipv4Addr {
    Ipv4Addr::from((127 << 24) + host)
}

fn v6_of(host: u32) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(CLIENT_V6_PREFIX) + u128::from(host))
}

/// What tells the client addresses of a family apart.
fn host_in(address: IpAddr) -> Option<u32> {
    match address {
        IpAddr::V4(address) => {
            let bits = u32::from(address);
            (bits >> 24 == 127).then_some(bits & 0x00ff_ffff)
        }
        IpAddr::V6(address) => {
            let offset = u128::from(address).checked_sub(u128::from(CLIENT_V6_PREFIX))?;
            u32::try_from(offset).ok()
        }
    }
}

const fn host_of(client: u32) -> u32 {
    if client < ATTEMPTS_MAX { FIRST_CLIENT + client } else { ASKER }
}

/// The abstract name, without the leading NUL byte, to which a Unix client binds: of an attempt, or of an
/// [`asker`].
///
/// A name chosen by the kernel (autobind) would not do: Linux draws it at random from 2^20 names
/// (`unix_autobind` in net/unix/af_unix.c), so that two attempts of a long trial share one.
#[must_use]
pub fn client_unix(client: u32) -> [u8; 9] {
    let mut name = *b"h00000000";
    let mut rest = client;
    for digit in name[1..].iter_mut().rev() {
        *digit = b"0123456789abcdef"[(rest & 0xf) as usize];
        rest >>= 4;
    }
    name
}

/// Reads back what [`client_unix`] wrote; `name` comes without the leading NUL byte.
#[must_use]
pub fn parse_client_unix(name: &[u8]) -> Option<u32> {
    let digits = name.strip_prefix(b"h").filter(|digits| digits.len() == 8)?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn servers_and_strangers_are_no_attempts() {
        assert_eq!(Peer::Ip(IpAddr::V4(SERVER_V4), 80).attempt(), None);
        assert_eq!(Peer::Ip(IpAddr::V6(SERVER_V6), 80).attempt(), None);
        assert_eq!(Peer::Ip(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 99)), 80).attempt(), None);
        assert_eq!(parse_client_unix(b"00042"), None);
    }

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in ["127.0.0.1:80", "[::1]:80", "/run/web.sock", "@web", "@/with a slash"] {
            let address: Address = text.parse().expect("an address");
            assert_eq!(address.to_string(), text);
        }
        let name =
            |text: &str| text.parse::<Address>().expect("an address").abstract_name().map(str::to_owned);
        assert_eq!(name("@web").as_deref(), Some("web"));
        assert_eq!(name("/@web"), None);
        let file = |text: &str| text.parse::<Address>().expect("an address").file().map(Path::to_owned);
        assert_eq!(file("/run/web.sock"), Some(PathBuf::from("/run/web.sock")));
        assert!(file("@web").is_none() && file("127.0.0.1:80").is_none());
        for text in ["@", "web.sock", "localhost:80", ""] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn who_asks_outside_of_all_counts_is_no_attempt_and_no_stranger() {
        for n in [0, 1, 5_000, u32::MAX] {
            let client = asker(n);
            let name = parse_client_unix(&client_unix(client)).expect("a client's name");
            for peer in [
                Peer::Ip(client_v4(client).into(), 9),
                Peer::Ip(client_v6(client).into(), 9),
                Peer::Unix(name),
            ] {
                assert_eq!((peer.attempt(), peer.is_asker()), (None, true), "{peer}");
            }
        }
        assert!(u32::from(client_v4(asker(0))) & 0xff < 32);
        for server in [IpAddr::V4(SERVER_V4), IpAddr::V6(SERVER_V6)] {
            assert!(!Peer::Ip(server, 80).is_asker());
        }
    }

    proptest! {
        #[test]
        fn a_shared_address_and_its_port_name_their_attempt(addresses in 1..=Clients::MAX, at: prop::sample::Index) {
            let clients = Clients::new(addresses).expect("within bounds");
            let attempt = at.index(clients.attempts_max() as usize) as u32;
            let v4 = shared_v4(clients, attempt).expect("a place").map(SocketAddr::V4);
            let v6 = shared_v6(clients, attempt).expect("a place").map(SocketAddr::V6);
            for address in v4.into_iter().chain(v6) {
                let peer = Peer::Ip(address.ip(), address.port());
                prop_assert_eq!((peer.attempt(), peer.is_asker()), (Some(attempt), false));
            }
            // None of them is the address of an attempt that has one alone.
            prop_assert!(v4[0].ip() > IpAddr::V4(client_v4(ATTEMPTS_MAX - 1)));
        }

        #[test]
        fn an_address_names_its_attempt(attempt in 0..ATTEMPTS_MAX, port: u16) {
            prop_assert_eq!(Peer::Ip(client_v4(attempt).into(), port).attempt(), Some(attempt));
            prop_assert_eq!(Peer::Ip(client_v6(attempt).into(), port).attempt(), Some(attempt));
            prop_assert_eq!(parse_client_unix(&client_unix(attempt)), Some(attempt));
            prop_assert_ne!(client_v4(attempt), Ipv4Addr::new(127, 255, 255, 255));
            prop_assert!(!Peer::Ip(client_v4(attempt).into(), port).is_asker() && !Peer::Unix(attempt).is_asker());
        }
    }
}
