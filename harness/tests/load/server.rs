//! Servers that do to each attempt what the test planted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::JoinHandle;

use holdline_model::wire::{self, Address, Peer, ReplyFields, Request};
use holdline_model::words::Transport;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, UnixAddr, bind, listen, setsockopt,
    socket, sockopt,
};
use tempfile::TempDir;

/// What the server does to a connection that it has accepted. All but `CloseAtOnce` read the request
/// line first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Replies rightly, version 3, and closes.
    Serve,
    /// Replies rightly in three pieces, and closes.
    ServeInPieces,
    /// Replies rightly, and leaves the connection open.
    ServeAndKeep,
    /// Closes without having read.
    CloseAtOnce,
    /// Closes.
    Close,
    /// Resets.
    Reset,
    /// Writes half of a reply, and closes.
    Truncate,
    /// Writes half of a reply, and resets.
    TruncateByReset,
    /// Replies as if another number had been asked for, and closes.
    AnswerAnother,
    /// Writes a line that is longer than what is kept of one, and leaves the connection open.
    Babble,
    /// Leaves the connection open.
    Keep,
    /// Writes half of a reply, and leaves the connection open.
    HalfAndKeep,
}

/// What the server saw and still holds.
pub(crate) struct Log {
    /// For each connection in order of `accept`: the attempt that its address names, and the request
    /// line, if it was read.
    pub(crate) seen: Vec<(Option<u32>, String)>,
    kept: Vec<Stream>,
}

impl Log {
    /// Whether the client has closed all that the server left open, without a reset.
    pub(crate) fn client_closed_kept(&mut self) -> bool {
        self.kept.iter_mut().all(|stream| matches!(stream.read(&mut [0; 9]), Ok(0)))
    }
}

/// Checks that each client's address named the attempt whose number it sent.
#[track_caller]
pub(crate) fn assert_named(log: &Log) {
    for (attempt, line) in &log.seen {
        let attempt = attempt.expect("an address that names its attempt");
        assert_eq!(*line, format!("{attempt}\n"));
    }
}

/// A socket in state LISTEN.
pub(crate) struct Server {
    listener: Listener,
    pub(crate) address: Address,
    _dir: Option<TempDir>,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Server {
    /// Listens on a free port, or on a path of its own.
    pub(crate) fn listen(transport: Transport, backlog: i32) -> Self {
        let family = match transport {
            Transport::Tcp => AddressFamily::Inet,
            Transport::Tcp6 => AddressFamily::Inet6,
            Transport::Unix => AddressFamily::Unix,
        };
        let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("socket");
        let any_port = |ip: std::net::IpAddr| SocketAddr::new(ip, 0);
        match any_port(match transport {
            Transport::Tcp6 => wire::SERVER_V6.into(),
            _ => wire::SERVER_V4.into(),
        }) {
            _ if transport == Transport::Unix => {
                bind(fd.as_raw_fd(), &UnixAddr::new(&path).expect("a short path"))
            }
            SocketAddr::V4(address) => bind(fd.as_raw_fd(), &SockaddrIn::from(address)),
            SocketAddr::V6(address) => bind(fd.as_raw_fd(), &SockaddrIn6::from(address)),
        }
        .expect("an address");
        listen(&fd, Backlog::new(backlog).expect("a backlog")).expect("a listener");
        Self::of(fd, transport, path, dir)
    }

    fn of(fd: OwnedFd, transport: Transport, path: std::path::PathBuf, dir: TempDir) -> Self {
        if transport == Transport::Unix {
            let listener = Listener::Unix(fd.into());
            return Self { listener, address: Address::Unix(path), _dir: Some(dir) };
        }
        let listener = TcpListener::from(fd);
        let address = Address::Tcp(listener.local_addr().expect("an address"));
        Self { listener: Listener::Tcp(listener), address, _dir: None }
    }

    /// Accepts `count` connections in a thread of its own and treats each as `deed` says for its
    /// attempt. Attempts whose address does not name them are known by their request.
    pub(crate) fn serve(self, count: usize, deed: impl Fn(u32) -> Deed + Send + 'static) -> JoinHandle<Log> {
        std::thread::spawn(move || {
            let mut log = Log { seen: Vec::new(), kept: Vec::new() };
            for _ in 0..count {
                let (stream, attempt) = self.accept();
                let (line, kept) = stream.treat(attempt, &deed);
                log.seen.push((attempt, line));
                log.kept.extend(kept);
            }
            log
        })
    }

    fn accept(&self) -> (Stream, Option<u32>) {
        match &self.listener {
            Listener::Tcp(listener) => {
                await_connection(listener);
                let (stream, address) = listener.accept().expect("a connection");
                (Stream::Tcp(stream), Peer::Ip(address.ip(), address.port()).attempt())
            }
            Listener::Unix(listener) => {
                await_connection(listener);
                let (stream, address) = listener.accept().expect("a connection");
                (Stream::Unix(stream), address.as_abstract_name().and_then(wire::parse_client_unix))
            }
        }
    }
}

/// A client that does not come is a failure, not a test that hangs.
fn await_connection(listener: &impl AsFd) {
    let mut waits_for = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    let ready = poll(&mut waits_for, PollTimeout::from(60_000_u16)).expect("poll");
    assert_eq!(ready, 1, "no client came within a minute");
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Gives the request line, and the connection if it stays open.
    fn treat(mut self, attempt: Option<u32>, deed: impl Fn(u32) -> Deed) -> (String, Option<Self>) {
        if deed(attempt.unwrap_or(u32::MAX)) == Deed::CloseAtOnce {
            return (String::new(), None);
        }
        let mut line = String::new();
        BufReader::new(&mut self).read_line(&mut line).expect("a request");
        let number = match Request::parse(line.as_bytes()) {
            Request::Square(number) => number,
            Request::Poison(_) => 0,
        };
        let deed = deed(attempt.unwrap_or(number as u32));
        let reply = wire::reply_line(number, &ReplyFields { version: Some(3), ..ReplyFields::default() });
        let half = &reply[..reply.len() / 2];
        match deed {
            Deed::CloseAtOnce | Deed::Close | Deed::Keep => {}
            Deed::Serve | Deed::ServeAndKeep => self.say(&reply),
            Deed::ServeInPieces => reply.split_inclusive(['*', '=']).for_each(|piece| self.say(piece)),
            Deed::Truncate | Deed::HalfAndKeep => self.say(half),
            Deed::TruncateByReset => {
                self.say(half);
                self.close_with_reset();
            }
            Deed::Reset => self.close_with_reset(),
            Deed::AnswerAnother => self.say(&wire::reply_line(number + 1, &ReplyFields::default())),
            Deed::Babble => self.say(&("9".repeat(20_000) + "\n")),
        }
        let keeps = matches!(deed, Deed::ServeAndKeep | Deed::Keep | Deed::HalfAndKeep | Deed::Babble);
        (line, keeps.then_some(self))
    }

    /// The client may have closed already; then it does not hear it.
    fn say(&mut self, text: &str) {
        let _ = match self {
            Self::Tcp(stream) => stream.write_all(text.as_bytes()),
            Self::Unix(stream) => stream.write_all(text.as_bytes()),
        };
    }

    fn close_with_reset(&self) {
        let Self::Tcp(stream) = self else { panic!("Unix sockets have no resets of this kind") };
        let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(stream, sockopt::Linger, &at_once).expect("an option that every socket has");
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}
