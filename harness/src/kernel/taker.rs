//! Who would take the next connection to an address, asked again and again.
//!
//! Whoever looks each millisecond mostly gets the answer that it got before, byte for byte. So the question is written down
//! once, with the client's port to be filled in, and an answer that is the one before is not read again.

use std::net::{IpAddr, SocketAddr};

use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};

use super::diag::{Diag, DiagError, INET_DIAG_NOCOOKIE, ListenerSeen, TcpListener, reached};
use super::netlink::{Question, Request};

impl Diag {
    /// The listener that would take the next connection to the TCP address from a client's port, or
    /// `None` if it would be refused. Of listeners that share the address by SO_REUSEPORT it is a
    /// different one for different ports.
    ///
    /// This is the look-up that a SYN goes through, so that it costs little however large the
    /// machine's tables are; [`Diag::listeners`] walks one of them.
    ///
    /// # Errors
    ///
    /// Any [`DiagError`]; but a kernel without tcp_diag is not told from one where nobody listens.
    pub fn taker(
        &mut self,
        address: SocketAddr,
        client_port: u16,
    ) -> Result<Option<ListenerSeen>, DiagError> {
        Taker::of(address).ask(self, client_port)
    }
}

/// An address under the same question.
#[derive(Debug)]
pub(super) struct Taker {
    question: Question,
    /// By the last answer that was read.
    seen: Option<ListenerSeen>,
}

impl Taker {
    /// Nobody was asked yet.
    pub(super) fn of(address: SocketAddr) -> Self {
        let address = reached(address);
        let (family, mut socket_id) = match address.ip() {
            IpAddr::V4(_) => (AF_INET, SocketId::new_v4()),
            IpAddr::V6(_) => (AF_INET6, SocketId::new_v6()),
        };
        socket_id.source_address = address.ip();
        socket_id.source_port = address.port();
        socket_id.cookie = INET_DIAG_NOCOOKIE;
        let (states, extensions) = (StateFlags::LISTEN, ExtensionFlags::SKMEMINFO);
        let request = InetRequest { family, protocol: IPPROTO_TCP, extensions, states, socket_id };
        Self { question: Question::new(Request::TcpOne(request)), seen: None }
    }

    /// The listener that would take a connection from a client's port now, as [`Diag::taker`] says.
    pub(super) fn ask(
        &mut self,
        diag: &mut Diag,
        client_port: u16,
    ) -> Result<Option<ListenerSeen>, DiagError> {
        self.question.set_client_port(client_port);
        let found =
            diag.netlink.ask_again(&mut self.question, |payload| Ok(Some(TcpListener::parse(payload)?)))?;
        if let Some(found) = found {
            self.seen = found.first().map(|listener| listener.seen);
        }
        Ok(self.seen)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener as Server, TcpStream};

    use holdline_model::wire::Address;

    use super::*;

    #[test]
    fn an_answer_that_is_the_one_before_is_not_read_again() {
        let server = Server::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens");
        let mut diag = Diag::open().expect("sock_diag");
        let mut taker = Taker::of(server.local_addr().expect("an address"));
        let mut is_read = |port| {
            taker.question.set_client_port(port);
            diag.netlink.ask_again(&mut taker.question, |_| Ok(Some(()))).expect("an answer").is_some()
        };
        assert_eq!([2000, 2001, 2002].map(&mut is_read), [true, false, false]);
        let _client = TcpStream::connect(server.local_addr().expect("an address")).expect("connects");
        assert_eq!([2000, 2001].map(&mut is_read), [true, false]);
    }

    #[test]
    fn an_answer_that_stays_is_what_is_there() {
        let server = Server::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens");
        let address = server.local_addr().expect("an address");
        let mut diag = Diag::open().expect("sock_diag");
        let mut taker = Taker::of(address);
        let mut clients = Vec::new();
        for port in 2000..2008 {
            // By another port, by the same once more, and by somebody who was never asked before.
            let [seen, again] = [port, port].map(|port| taker.ask(&mut diag, port).expect("an answer"));
            assert_eq!(seen, again);
            assert_eq!(seen, diag.taker(address, port).expect("an answer"));
            assert_eq!(seen.map(|seen| seen.queue as usize), Some(clients.len()));
            clients.push(TcpStream::connect(address).expect("connects"));
        }
        drop((server, clients));
        assert_eq!(diag.listeners(&Address::Tcp(address)).expect("an answer"), []);
        assert_eq!(taker.ask(&mut diag, 2000).expect("an answer"), None);
        assert_eq!(taker.ask(&mut diag, 2001).expect("an answer"), None);
        let _server = Server::bind(address).expect("listens");
        let seen = taker.ask(&mut diag, 2000).expect("an answer");
        assert_eq!(seen.map(|seen| seen.queue), Some(0), "another one");
    }
}
