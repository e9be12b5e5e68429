//! Which services that run already may be put under load: those at loopback addresses, and at Unix sockets. Nothing
//! here asks a name server, since that would send something before it is known whether it may be.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::wire::Address;

/// The most bytes of a Unix socket's path or name: the NUL byte behind or before it takes one of 108.
const PATH_BYTES_MAX: usize = 107;

/// An address at which no service is put under load.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAttachable {
    /// It is another machine's, or is reached over a network.
    #[error(
        "{address} is {ip}, which is no loopback address: only services on 127.0.0.0/8, on ::1 and at Unix sockets are put \
         under load, and nothing was sent"
    )]
    Elsewhere {
        /// What was given.
        address: String,
        /// What it stands for.
        ip: IpAddr,
    },
    /// A name that only a name server might know.
    #[error(
        "`{host}` is not in /etc/hosts, and no name server is asked, since only loopback addresses are put under load: \
         write 127.0.0.1:{port}"
    )]
    UnknownName {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
    /// A path or name that no socket can have.
    #[error("{address} cannot be a Unix socket: its path or name has 1 to {PATH_BYTES_MAX} bytes")]
    NoSocket {
        /// What was given.
        address: String,
    },
    /// It is none of all that.
    #[error(
        "`{0}` is no address of a service: write 127.0.0.1:PORT, [::1]:PORT, the path of a Unix socket, or @ and the name of \
         an abstract one"
    )]
    NotAnAddress(String),
}

/// The address of a service that may be put under load. `hosts` is what `/etc/hosts` says, `folder` where relative
/// paths begin.
///
/// # Errors
///
/// It is none, or reached over a network.
pub fn attachable(text: &str, hosts: &str, folder: &Path) -> Result<Address, NotAttachable> {
    if text.starts_with('@') || text.contains('/') && !text.contains("://") {
        return socket(text, folder);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return on_loopback(text, address.ip(), address.port());
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(|| NotAttachable::NotAnAddress(text.to_owned()))?;
    let Ok(port) = port.parse::<u16>() else { return Err(NotAttachable::NotAnAddress(text.to_owned())) };
    if host.is_empty() || !host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')) {
        return Err(NotAttachable::NotAnAddress(text.to_owned()));
    }
    named(text, host, port, hosts)
}

fn socket(text: &str, folder: &Path) -> Result<Address, NotAttachable> {
    let no_socket = || NotAttachable::NoSocket { address: text.to_owned() };
    let address: Address = match text.strip_prefix('@') {
        Some(_) => text.parse().map_err(|_| no_socket())?,
        None => Address::Unix(folder.join(text).components().collect()),
    };
    let Address::Unix(path) = &address else { return Err(no_socket()) };
    let bytes = path.as_os_str().len();
    if bytes > PATH_BYTES_MAX { Err(no_socket()) } else { Ok(address) }
}

/// A name that the machine itself knows: all that it may stand for must be loopback addresses.
fn named(text: &str, host: &str, port: u16, hosts: &str) -> Result<Address, NotAttachable> {
    let known: Vec<IpAddr> = hosts.lines().filter_map(|line| address_of(line, host)).collect();
    if let Some(ip) = known.iter().find(|ip| !is_loopback(**ip)) {
        return Err(NotAttachable::Elsewhere { address: text.to_owned(), ip: *ip });
    }
    let first = known.iter().find(|ip| ip.is_ipv4()).or(known.first());
    match first {
        Some(ip) => on_loopback(text, *ip, port),
        // RFC 6761, section 6.3: it is loopback wherever it is not written down.
        None if is_localhost(host) => on_loopback(text, Ipv4Addr::LOCALHOST.into(), port),
        None => Err(NotAttachable::UnknownName { host: host.to_owned(), port }),
    }
}

fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// The address in a line of `/etc/hosts` (hosts(5)) that has this name.
fn address_of(line: &str, host: &str) -> Option<IpAddr> {
    let mut words = line.split('#').next()?.split_whitespace();
    let ip = words.next()?.parse().ok()?;
    words.any(|name| name.eq_ignore_ascii_case(host)).then_some(ip)
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn on_loopback(text: &str, ip: IpAddr, port: u16) -> Result<Address, NotAttachable> {
    if !is_loopback(ip) {
        return Err(NotAttachable::Elsewhere { address: text.to_owned(), ip });
    }
    if port == 0 {
        return Err(NotAttachable::NotAnAddress(text.to_owned()));
    }
    Ok(Address::Tcp(SocketAddr::new(ip.to_canonical(), port)))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;

    const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost ip6-localhost # loopback\n10.1.2.3 db web\n127.0.1.1 Box\n\
                         127.0.0.1 mixed\n192.0.2.7 mixed\n";

    fn attached(text: &str) -> Result<String, NotAttachable> {
        attachable(text, HOSTS, Path::new("/srv")).map(|address| address.to_string())
    }

    #[test]
    fn loopback_and_unix_sockets_are_taken() {
        for (text, address) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("127.9.9.9:80", "127.9.9.9:80"),
            ("[::1]:80", "[::1]:80"),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
            ("localhost:80", "127.0.0.1:80"),
            ("ip6-localhost:80", "[::1]:80"),
            ("app.localhost:80", "127.0.0.1:80"),
            ("box:80", "127.0.1.1:80"),
            ("/run/web.sock", "/run/web.sock"),
            ("./web.sock", "/srv/web.sock"),
            ("@web", "@web"),
        ] {
            assert_eq!(attached(text).as_deref(), Ok(address), "{text}");
        }
    }

    #[test]
    fn what_is_elsewhere_or_might_be_is_refused() {
        for text in ["10.0.0.1:80", "0.0.0.0:80", "[::]:80", "[2001:db8::1]:80", "db:80", "mixed:80"] {
            assert!(matches!(attached(text), Err(NotAttachable::Elsewhere { .. })), "{text}");
        }
        assert!(matches!(attached("example.com:80"), Err(NotAttachable::UnknownName { .. })));
        for text in [
            "8080",
            ":8080",
            "127.0.0.1",
            "127.0.0.1:http",
            "127.0.0.1:0",
            "http://127.0.0.1:80",
            "",
            "[::1]",
        ] {
            assert!(matches!(attached(text), Err(NotAttachable::NotAnAddress(_))), "{text}");
        }
        for text in ["@".to_owned(), format!("/{}", "x".repeat(107)), format!("@{}", "x".repeat(107))] {
            assert!(matches!(attached(&text), Err(NotAttachable::NoSocket { .. })), "{text}");
        }
    }

    proptest! {
        /// Whatever is written: what is attached to is loopback, or a Unix socket.
        #[test]
        fn nothing_else_is_ever_attached_to(text in "\\PC{0,40}", hosts in "\\PC{0,80}") {
            if let Ok(Address::Tcp(address)) = attachable(&text, &hosts, Path::new("/")) {
                prop_assert!(address.ip().is_loopback(), "{address}");
            }
        }

        #[test]
        fn an_address_is_taken_if_it_is_loopback(bits in any::<u32>(), port in 1..=u16::MAX) {
            let ip = Ipv4Addr::from(bits);
            let taken = attachable(&format!("{ip}:{port}"), "", Path::new("/")).is_ok();
            prop_assert_eq!(taken, ip.is_loopback());
            let mapped = attachable(&format!("[{}]:{port}", ip.to_ipv6_mapped()), "", Path::new("/")).is_ok();
            prop_assert_eq!(mapped, ip.is_loopback());
            let v6 = Ipv6Addr::from(u128::from(bits) << 64);
            let elsewhere = attachable(&format!("[{v6}]:{port}"), "", Path::new("/"));
            prop_assert!(elsewhere.is_err());
        }
    }
}
