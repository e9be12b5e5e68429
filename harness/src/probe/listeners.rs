//! Which of the listeners that a command has opened is probed, and by which address.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use holdline_model::wire::{Address, SERVER_V4, SERVER_V6};
use serde::{Deserialize, Serialize};

/// A listener that a command has opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bound {
    /// What it is bound to. The path of a Unix socket is absolute.
    pub address: Address,
    /// Of one that is bound to all of IPv6: whether it takes no IPv4.
    pub ipv6_only: bool,
    /// Whether a process below the command holds it.
    pub is_below: bool,
}

/// Where a service is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The address.
    pub address: Address,
    /// The listener that takes what comes there.
    pub bound: Bound,
}

/// Why none can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// There are several.
    #[error("name the one that is meant by --address")]
    Several,
    /// None is at the address that was named.
    #[error("and not on {0}")]
    NotThere(String),
    /// What there is cannot be reached over loopback.
    #[error(
        "which neither 127.0.0.1 nor ::1 reaches: there is no other network in the sandbox; let it listen on one of them"
    )]
    NotOnLoopback,
    /// Holdline's clients cannot connect there.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// An address to which holdline's clients cannot connect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// An abstract Unix socket.
    #[error(
        "holdline's clients cannot connect to abstract sockets ({0}); let it listen at a path, or on a port"
    )]
    Abstract(Address),
    /// IPv6 where clients have no addresses of their own.
    #[error(
        "{0}: IPv6 has one loopback address, so that attempts cannot be told apart outside of a sandbox; name an IPv4 \
         address or a Unix socket of the service"
    )]
    V6(Address),
}

/// Whether holdline's clients can connect to an address.
fn check(address: &Address) -> Result<(), Unreachable> {
    if address.is_abstract() { Err(Unreachable::Abstract(address.clone())) } else { Ok(()) }
}

/// Whether they can also outside of a sandbox.
///
/// # Errors
///
/// They cannot.
pub fn outside_of_a_sandbox(address: &Address) -> Result<(), Unreachable> {
    match address {
        Address::Tcp(at) if at.is_ipv6() => Err(Unreachable::V6(address.clone())),
        Address::Tcp(_) | Address::Unix(_) => check(address),
    }
}

impl Bound {
    /// Whether connections to this address end up here.
    fn takes(&self, address: &Address) -> bool {
        match (&self.address, address) {
            (Address::Tcp(bound), Address::Tcp(address)) => {
                bound.port() == address.port() && self.takes_ip(bound.ip(), address.ip())
            }
            (Address::Unix(bound), Address::Unix(path)) => bound == path,
            (Address::Tcp(_), Address::Unix(_)) | (Address::Unix(_), Address::Tcp(_)) => false,
        }
    }

    fn takes_ip(&self, bound: IpAddr, ip: IpAddr) -> bool {
        match bound {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => ip.is_ipv6() || !self.ipv6_only,
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => ip.is_ipv4(),
            bound => bound.to_canonical() == ip,
        }
    }

    /// By which of the loopback addresses it is reached, IPv4 first.
    fn reached(&self) -> Option<Address> {
        let Address::Tcp(bound) = self.address else { return Some(self.address.clone()) };
        let on = |ip: IpAddr| Address::Tcp(SocketAddr::new(ip, bound.port()));
        [on(SERVER_V4.into()), on(SERVER_V6.into())].into_iter().find(|address| self.takes(address))
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        match self.address {
            Address::Tcp(bound) if bound.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
                f.write_str(if self.ipv6_only { " (IPv6 alone)" } else { " (dual-stack: IPv4, too)" })
            }
            Address::Tcp(_) | Address::Unix(_) => Ok(()),
        }
    }
}

/// Chooses where to ask: at the address that was named, else at the one port, else at the one Unix socket.
///
/// # Errors
///
/// There are several, or none that can be reached.
pub fn choose(listeners: &BTreeSet<Bound>, wanted: Option<&str>) -> Result<Chosen, ChoiceError> {
    let chosen = match wanted {
        Some(wanted) => named(listeners, wanted),
        None => only(listeners),
    }?;
    check(&chosen.address)?;
    Ok(chosen)
}

/// Named as it is bound, or by a loopback address at which it is reached.
fn named(listeners: &BTreeSet<Bound>, wanted: &str) -> Result<Chosen, ChoiceError> {
    let not_there = || ChoiceError::NotThere(wanted.to_owned());
    if let Some(bound) = listeners.iter().find(|bound| bound.address.to_string() == wanted) {
        let address = bound.reached().ok_or(ChoiceError::NotOnLoopback)?;
        return Ok(Chosen { address, bound: bound.clone() });
    }
    let address: Address = wanted.parse().map_err(|_| not_there())?;
    let Some(bound) = listeners.iter().find(|bound| bound.takes(&address)) else { return Err(not_there()) };
    let is_reached = match address {
        Address::Tcp(address) => address.ip() == SERVER_V4 || address.ip() == SERVER_V6,
        Address::Unix(_) => true,
    };
    if !is_reached {
        return Err(ChoiceError::NotOnLoopback);
    }
    Ok(Chosen { address, bound: bound.clone() })
}

fn only(listeners: &BTreeSet<Bound>) -> Result<Chosen, ChoiceError> {
    let (tcp, unix): (Vec<&Bound>, Vec<&Bound>) =
        listeners.iter().partition(|bound| matches!(bound.address, Address::Tcp(_)));
    let meant = if tcp.is_empty() { unix } else { tcp };
    let ports: BTreeSet<Option<u16>> = meant.iter().map(|bound| port_of(&bound.address)).collect();
    if ports.len() > 1 || ports.contains(&None) && meant.len() > 1 {
        return Err(ChoiceError::Several);
    }
    let reached = meant.iter().filter_map(|bound| Some((bound.reached()?, *bound)));
    // Of the same port, IPv4 goes first.
    let first = reached.min_by_key(|(address, _)| matches!(address, Address::Tcp(it) if it.is_ipv6()));
    let (address, bound) = first.ok_or(ChoiceError::NotOnLoopback)?;
    Ok(Chosen { address, bound: bound.clone() })
}

fn port_of(address: &Address) -> Option<u16> {
    match address {
        Address::Tcp(address) => Some(address.port()),
        Address::Unix(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(text: &str) -> Bound {
        let (address, ipv6_only) = text.strip_suffix("!").map_or((text, false), |address| (address, true));
        Bound { address: address.parse().expect("an address"), ipv6_only, is_below: false }
    }

    #[track_caller]
    fn chosen(listeners: &[&str], wanted: Option<&str>) -> Result<(String, String), ChoiceError> {
        let listeners = listeners.iter().map(|text| bound(text)).collect();
        choose(&listeners, wanted).map(|it| (it.address.to_string(), it.bound.address.to_string()))
    }

    #[track_caller]
    fn goes_to(listeners: &[&str], wanted: Option<&str>, address: &str, by: &str) {
        assert_eq!(chosen(listeners, wanted), Ok((address.to_owned(), by.to_owned())));
    }

    #[test]
    fn the_one_port_is_chosen_and_else_the_one_unix_socket() {
        goes_to(&["127.0.0.1:80"], None, "127.0.0.1:80", "127.0.0.1:80");
        goes_to(&["0.0.0.0:80"], None, "127.0.0.1:80", "0.0.0.0:80");
        goes_to(&["[::]:80"], None, "127.0.0.1:80", "[::]:80");
        goes_to(&["[::]:80!"], None, "[::1]:80", "[::]:80");
        goes_to(&["[::1]:80"], None, "[::1]:80", "[::1]:80");
        goes_to(&["[::1]:80", "127.0.0.1:80"], None, "127.0.0.1:80", "127.0.0.1:80");
        goes_to(&["127.0.0.1:80", "/run/ctl"], None, "127.0.0.1:80", "127.0.0.1:80");
        goes_to(&["/run/web"], None, "/run/web", "/run/web");
        let address: Address = "@web".parse().expect("an address");
        assert_eq!(chosen(&["@web"], None), Err(Unreachable::Abstract(address).into()));
    }

    #[test]
    fn several_are_told_apart_by_their_address() {
        let several: [&[&str]; 3] = [&["127.0.0.1:80", "127.0.0.1:81"], &["/a", "/b"], &["@a", "/a"]];
        for listeners in several {
            assert_eq!(chosen(listeners, None), Err(ChoiceError::Several));
            goes_to(listeners, Some(listeners[1]), listeners[1], listeners[1]);
        }
        let both = ["127.0.0.1:80", "[::]:80!", "/a"];
        goes_to(&both, Some("[::1]:80"), "[::1]:80", "[::]:80");
        goes_to(&both, Some("[::]:80"), "[::1]:80", "[::]:80");
        goes_to(&both, Some("/a"), "/a", "/a");
        goes_to(&["[::]:80"], Some("[::1]:80"), "[::1]:80", "[::]:80");
        assert_eq!(
            chosen(&both, Some("127.0.0.1:81")),
            Err(ChoiceError::NotThere("127.0.0.1:81".to_owned()))
        );
        assert_eq!(chosen(&both, Some("web")), Err(ChoiceError::NotThere("web".to_owned())));
    }

    #[test]
    fn what_loopback_does_not_reach_is_not_probed() {
        for listeners in [["10.0.0.1:80"], ["127.0.0.5:80"]] {
            assert_eq!(chosen(&listeners, None), Err(ChoiceError::NotOnLoopback));
            assert_eq!(chosen(&listeners, Some(listeners[0])), Err(ChoiceError::NotOnLoopback));
        }
    }
}
