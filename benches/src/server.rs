//! The server of the client benches: answers every request rightly, and closes first unless it is to serve sessions.
//!
//! It is a process of its own, so that it shares nothing with the client but the kernel: the bench's
//! own executable, started again with the listener as standard input.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

use holdline_model::wire::{Address, Asked, Protocol, ReplyFields, Request, SERVER_V4, reply_line};
use nix::sys::prctl;
use nix::sys::signal::Signal;

/// The argument by which an executable is asked to be the server, in front of what it serves.
const SERVE: &str = "__serve";

/// What a server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The square protocol, one request for each connection.
    Squares,
    /// The square protocol, as many requests on a connection as the client likes.
    Sessions,
    /// HTTP/1.1, until the client says that a request is the last.
    Http,
}

impl Service {
    const ALL: [Self; 3] = [Self::Squares, Self::Sessions, Self::Http];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Squares => "squares",
            Self::Sessions => "sessions",
            Self::Http => "http",
        }
    }

    const fn protocol(self) -> Protocol {
        match self {
            Self::Squares | Self::Sessions => Protocol::Square,
            Self::Http => Protocol::Http,
        }
    }
}

/// A running server. It ends when this is dropped, or its parent dies.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: Address,
    /// The folder of its socket's path.
    _folder: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts one for squares on a free port.
    ///
    /// # Errors
    ///
    /// If there is no port, or no process.
    pub fn start() -> io::Result<Self> {
        Self::of(Service::Squares)
    }

    /// Starts one on a free port.
    ///
    /// # Errors
    ///
    /// If there is no port, or no process.
    pub fn of(service: Service) -> io::Result<Self> {
        let listener = TcpListener::bind((SERVER_V4, 0))?;
        let address = Address::Tcp(listener.local_addr()?);
        let child = spawn(listener.into(), "tcp", service)?;
        Ok(Self { child, address, _folder: None })
    }

    /// Starts one for squares at a path.
    ///
    /// # Errors
    ///
    /// If there is no folder, or no process.
    pub fn at_path() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("socket");
        let child = spawn(UnixListener::bind(&path)?.into(), "unix", Service::Squares)?;
        Ok(Self { child, address: Address::Unix(path), _folder: Some(folder) })
    }
}

fn spawn(listener: OwnedFd, family: &str, service: Service) -> io::Result<Child> {
    let mut server = Command::new(std::env::current_exe()?);
    server.args([SERVE, family, service.as_str()]);
    server.stdin(Stdio::from(listener)).stdout(Stdio::null()).spawn()
}

impl Drop for Server {
    fn drop(&mut self) {
        // It can only have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// To be called first in `main`: serves, and never returns, in a process that [`Server::start`]
/// started.
pub fn serve_if_asked() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(SERVE) {
        return;
    }
    let (family, word) = (arguments.next(), arguments.next());
    let service = Service::ALL.into_iter().find(|service| Some(service.as_str()) == word.as_deref());
    let service = service.unwrap_or(Service::Squares);
    let error = serve(family.as_deref() == Some("unix"), service).err();
    let error = error.unwrap_or_else(|| io::Error::other("no more connections"));
    eprintln!("the bench's server ended: {error}");
    std::process::exit(1);
}

fn serve(is_unix: bool, service: Service) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let listener = io::stdin().as_fd().try_clone_to_owned()?;
    let mut room = Room::default();
    // A client may go away at any time.
    if is_unix {
        for stream in UnixListener::from(listener).incoming() {
            let _ = room.answer(stream?, service);
        }
    } else {
        for stream in TcpListener::from(listener).incoming() {
            let _ = room.answer(stream?, service);
        }
    }
    Ok(())
}

/// Room for a request, which goes from one connection to the next.
#[derive(Debug)]
struct Room {
    bytes: [u8; 1024],
}

impl Default for Room {
    fn default() -> Self {
        Self { bytes: [0; 1024] }
    }
}

impl Room {
    fn answer(&mut self, mut stream: impl Read + Write, service: Service) -> io::Result<()> {
        let protocol = service.protocol();
        loop {
            let mut count = 0;
            let head = loop {
                let read = stream.read(&mut self.bytes[count..])?;
                if read == 0 {
                    return Ok(());
                }
                count += read;
                if let Some(head) = protocol.read(&self.bytes[..count]) {
                    break head;
                }
            };
            let Asked::For(Request::Square(number)) = head.asked else { return Ok(()) };
            let keeps = head.keeps && service != Service::Squares;
            stream.write_all(&protocol.answer(reply_line(number, &ReplyFields::default()), keeps))?;
            if !keeps {
                return Ok(());
            }
        }
    }
}
