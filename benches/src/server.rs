//! The server of the client benches: answers every request rightly and closes first.
//!
//! It is a process of its own, so that it shares nothing with the client but the kernel: the bench's
//! own executable, started again with the listener as standard input.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use holdline_model::wire::{Address, ReplyFields, Request, SERVER_V4, reply_line};
use nix::sys::prctl;
use nix::sys::signal::Signal;

/// The argument by which an executable is asked to be the server.
const SERVE: &str = "__serve";

/// A running server. It ends when this is dropped, or its parent dies.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: Address,
}

impl Server {
    /// Starts it on a free port.
    ///
    /// # Errors
    ///
    /// If there is no port, or no process.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((SERVER_V4, 0))?;
        let address = Address::Tcp(listener.local_addr()?);
        let child = Command::new(std::env::current_exe()?)
            .arg(SERVE)
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { child, address })
    }
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
    if std::env::args().nth(1).as_deref() == Some(SERVE) {
        let error = serve().err().unwrap_or_else(|| io::Error::other("no more connections"));
        eprintln!("the bench's server ended: {error}");
        std::process::exit(1);
    }
}

fn serve() -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    for stream in listener.incoming() {
        // A client may go away at any time.
        let _ = answer(&stream?);
    }
    Ok(())
}

fn answer(mut stream: &TcpStream) -> io::Result<()> {
    let mut line = Vec::with_capacity(32);
    BufReader::with_capacity(64, stream).read_until(b'\n', &mut line)?;
    match Request::parse(&line) {
        Request::Square(number) => stream.write_all(reply_line(number, &ReplyFields::default()).as_bytes()),
        Request::Poison(_) => Ok(()),
    }
}
