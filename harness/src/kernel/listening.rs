//! All listeners of a network namespace, wherever they listen: for who does not know yet where a service does.

use holdline_model::wire::Address;
use netlink_packet_core::Parseable;
use netlink_packet_sock_diag::constants::SOCK_STREAM;
use netlink_packet_sock_diag::inet::{ExtensionFlags, StateFlags as TcpStates};
use netlink_packet_sock_diag::unix::{ShowFlags, StateFlags as UnixStates, UnixRequest, UnixResponseHeader};

use super::diag::{Diag, DiagError, TcpListener, UnixListener};
use super::netlink::{Request, TcpRequest};

/// A socket in state LISTEN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// Its inode.
    pub inode: u32,
    /// What it is bound to. The path of a Unix socket is as it was passed to `bind`, and may be relative.
    pub address: Address,
    /// Of one that is bound to all of IPv6: whether it takes no IPv4.
    pub ipv6_only: bool,
}

impl Diag {
    /// All TCP listeners, in order of their inodes.
    ///
    /// # Errors
    ///
    /// Any [`DiagError`].
    pub fn listening_tcp(&mut self) -> Result<Vec<Listening>, DiagError> {
        let (states, extensions) = (TcpStates::LISTEN, ExtensionFlags::empty());
        // Port 0 is any.
        let request = Request::Tcp(TcpRequest { port: 0, states, extensions });
        let found = self.netlink.ask(&request, |payload| {
            let TcpListener { local, ipv6_only, seen } = TcpListener::parse(payload)?;
            Ok(Some(Listening { inode: seen.inode, address: Address::Tcp(local), ipv6_only }))
        })?;
        Ok(in_order(found))
    }

    /// All listening Unix stream sockets that have a name, in order of their inodes.
    ///
    /// # Errors
    ///
    /// Any [`DiagError`].
    pub fn listening_unix(&mut self) -> Result<Vec<Listening>, DiagError> {
        let request = Request::Unix(UnixRequest {
            state_flags: UnixStates::LISTEN,
            inode: 0,
            show_flags: ShowFlags::NAME,
            cookie: [0xff; 8],
        });
        let found = self.netlink.ask(&request, |payload| {
            let header = UnixResponseHeader::parse(payload)
                .map_err(|_| DiagError::Malformed("no answer about a Unix socket"))?;
            let listener = UnixListener::parse(payload)?;
            let address = Address::Unix(listener.name.to_owned());
            let is_named = header.kind == SOCK_STREAM && !listener.name.as_os_str().is_empty();
            Ok(is_named.then_some(Listening { inode: listener.seen.inode, address, ipv6_only: false }))
        })?;
        Ok(in_order(found))
    }
}

fn in_order(mut found: Vec<Listening>) -> Vec<Listening> {
    found.sort_unstable_by_key(|listening| listening.inode);
    found.dedup_by_key(|listening| listening.inode);
    found
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};

    use super::*;

    #[test]
    fn listeners_of_every_kind_are_found() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("a path with spaces");
        let name = format!("holdline-listening-{}", std::process::id());
        let tcp = TcpListener::bind("127.0.0.1:0").expect("listens");
        let file = UnixListener::bind(&path).expect("listens");
        let abstract_address = SocketAddr::from_abstract_name(&name).expect("a name");
        let abstract_one = UnixListener::bind_addr(&abstract_address).expect("listens");
        let mut diag = Diag::open().expect("sock_diag");
        let all: Vec<Address> = [diag.listening_tcp(), diag.listening_unix()]
            .into_iter()
            .flat_map(|found| found.expect("an answer"))
            .map(|listening| listening.address)
            .collect();
        let wanted = [
            Address::Tcp(tcp.local_addr().expect("an address")),
            Address::Unix(path),
            format!("@{name}").parse().expect("an address"),
        ];
        for address in wanted {
            assert!(all.contains(&address), "{address}");
        }
        drop((file, abstract_one));
    }
}
