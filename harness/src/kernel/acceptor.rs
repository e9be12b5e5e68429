//! Who has accepted a connection, asked by its client's end while that is open: for faults that hit whoever has a
//! certain request.
//!
//! A thread of its own, so that the load client waits for nothing: it gives a copy of the socket away. What is
//! looked for is the process that holds the server's end. Where a dispatcher accepts and hands over to a worker,
//! both hold it for a moment, or for longer: whoever is below the supervisor is meant, and the supervisor itself only
//! if nobody else comes to hold it.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::diag::Diag;
use super::ends::ServerEnd;
use super::holders;
use super::observer::ObserverError;
use super::tested::Processes;
use crate::proc;

/// Between two looks.
const APART: Duration = Duration::from_micros(200);
/// How long whoever accepts may take to hand a connection over.
const HANDOVER: Duration = Duration::from_millis(50);

/// Whoever has a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptor {
    /// This process.
    Process {
        /// Its process id.
        pid: Pid,
        /// Whether it is the supervisor itself.
        supervises: bool,
    },
    /// Nobody accepted it while the time lasted, or while it was open.
    Nobody,
    /// Somebody accepted it who cannot be seen.
    Hidden,
}

/// A connection that somebody is looked for who has it.
#[derive(Debug)]
struct Sought {
    fault: usize,
    attempt: u32,
    socket: OwnedFd,
}

/// Where connections are handed over. The thread ends when all of these are gone.
#[derive(Debug, Clone)]
pub struct Search(Sender<Sought>);

impl Search {
    /// Begins a thread that looks for whoever has a connection, for so long at most, and says whom it has found:
    /// of which fault and attempt. While it says so the connection is still open.
    ///
    /// # Errors
    ///
    /// If there is no thread, or sock_diag cannot be asked.
    pub fn start(
        processes: impl Processes,
        limit: Duration,
        mut found: impl FnMut(usize, u32, Acceptor) + Send + 'static,
    ) -> Result<(Self, JoinHandle<()>), ObserverError> {
        let mut diag = Diag::open()?;
        let (sender, receiver): (_, Receiver<Sought>) = channel();
        let thread = thread::Builder::new()
            .name("acceptors".to_owned())
            .spawn(move || {
                while let Ok(Sought { fault, attempt, socket }) = receiver.recv() {
                    let acceptor = look_for(&mut diag, &processes, &socket, limit);
                    found(fault, attempt, acceptor);
                }
            })
            .map_err(ObserverError::Start)?;
        Ok((Self(sender), thread))
    }

    /// Hands over a copy of a socket. Says whether there was a descriptor for it.
    #[must_use]
    pub fn give(&self, fault: usize, attempt: u32, socket: BorrowedFd<'_>) -> bool {
        let copy = socket.try_clone_to_owned();
        copy.is_ok_and(|socket| self.0.send(Sought { fault, attempt, socket }).is_ok())
    }
}

fn look_for(diag: &mut Diag, processes: &impl Processes, socket: &OwnedFd, limit: Duration) -> Acceptor {
    let began = Instant::now();
    let (mut accepted, mut dispatched) = (false, None::<Instant>);
    loop {
        match diag.server_end(socket) {
            Ok(ServerEnd::Open { inode, .. }) if inode > 0 => {
                accepted = true;
                let ours = processes.all();
                let pids = holders::holders(inode).into_iter().filter_map(proc::numbered);
                let mut holding: Vec<Pid> = pids.filter(|pid| ours.contains(pid)).collect();
                holding.sort_by_key(|pid| (*pid == processes.supervisor(), *pid));
                match holding.first() {
                    Some(pid) if *pid != processes.supervisor() => {
                        return Acceptor::Process { pid: *pid, supervises: false };
                    }
                    Some(pid)
                        if dispatched.is_some_and(|since| since.elapsed() >= HANDOVER) || is_alone(*pid) =>
                    {
                        return Acceptor::Process { pid: *pid, supervises: true };
                    }
                    Some(_) => {
                        dispatched.get_or_insert_with(Instant::now);
                    }
                    None => {}
                }
            }
            Ok(ServerEnd::Gone) => return Acceptor::Nobody,
            Ok(ServerEnd::Open { .. } | ServerEnd::HalfOpen) | Err(_) => {}
        }
        if began.elapsed() >= limit {
            return if accepted { Acceptor::Hidden } else { Acceptor::Nobody };
        }
        thread::sleep(APART);
    }
}

/// Whether no process is below this one.
fn is_alone(pid: Pid) -> bool {
    proc::children(pid).ok().flatten().is_none_or(|below| below.is_empty())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    /// This process as one under test; `supervises`: as the supervisor.
    struct Ours {
        supervises: bool,
    }

    impl Processes for Ours {
        fn all(&self) -> Vec<Pid> {
            vec![Pid::this()]
        }

        fn supervisor(&self) -> Pid {
            if self.supervises { Pid::this() } else { Pid::from_raw(1) }
        }
    }

    #[track_caller]
    fn check(supervises: bool, limit: Duration, accepts: bool, expected: Acceptor) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let _server = accepts.then(|| listener.accept().expect("a connection"));
        let (sender, receiver) = channel();
        let found = move |fault, attempt, acceptor| {
            let _ = sender.send((fault, attempt, acceptor));
        };
        let (search, thread) = Search::start(Ours { supervises }, limit, found).expect("a thread");
        assert!(search.give(3, 7, client.as_fd()));
        assert_eq!(receiver.recv(), Ok((3, 7, expected)));
        drop(search);
        thread.join().expect("no panic");
    }

    #[test]
    fn whoever_has_a_connection_is_found() {
        let this = |supervises| Acceptor::Process { pid: Pid::this(), supervises };
        let patient = Duration::from_secs(60);
        check(false, patient, true, this(false));
        check(true, patient, true, this(true));
        check(false, Duration::from_millis(5), false, Acceptor::Nobody);
    }
}
