//! Looks at connections whose client's time has run out, before the client lets go of them, and at processes
//! that have all of their descriptors in use.
//!
//! A thread of its own, so that the load client waits for nothing: it gives a copy of the socket away, and
//! goes on. What comes faster than it can be looked at is let go unseen. See [`holdline_model::custody`] for
//! what is told apart.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use holdline_contract::clock::now_ns;
use holdline_model::custody::{Custody, Held, InHands, Process, Reading};
use holdline_model::wire::Address;

use super::diag::Diag;
use super::ends::ServerEnd;
use super::exhaustion::{Exhaustion, INTERVAL};
use super::holders;
use super::observer::ObserverError;
use super::tested::{Processes, process};
use crate::proc;

/// How many sockets may wait to be looked at: less than what the load client leaves of descriptors.
const WAITING_MAX: usize = 128;
/// How many are looked at together, with one pass over `/proc`.
const TOGETHER_MAX: usize = 64;

/// A thread that looks, until it is told to finish.
#[derive(Debug)]
pub struct CustodyWatch {
    handover: Handover,
    thread: JoinHandle<Held>,
}

/// Where sockets are handed over whose time has run out.
#[derive(Debug, Clone)]
pub struct Handover(SyncSender<Overdue>);

/// A connection whose time has run out.
#[derive(Debug)]
struct Overdue {
    attempt: u32,
    socket: OwnedFd,
    /// Bytes of the request in hand that were sent.
    sent: u64,
}

impl CustodyWatch {
    /// Begins, in the network namespace of the caller.
    ///
    /// # Errors
    ///
    /// If there is no thread, or sock_diag cannot be asked.
    pub fn start(address: Address, processes: impl Processes) -> Result<Self, ObserverError> {
        let diag = Diag::open()?;
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let looker = Looker { diag, exhaustion: Exhaustion::new(address), processes, overdue: Vec::new() };
        let thread = thread::Builder::new()
            .name("custody".to_owned())
            .spawn(move || looker.run(&receiver))
            .map_err(ObserverError::Start)?;
        Ok(Self { handover: Handover(sender), thread })
    }

    /// Where the load client hands sockets over.
    #[must_use]
    pub fn handover(&self) -> Handover {
        self.handover.clone()
    }

    /// Looks at what was handed over and not looked at yet, and returns what was seen. To be called when every
    /// other [`Handover`] is gone, for which it waits.
    ///
    /// # Errors
    ///
    /// [`ObserverError::Panicked`].
    pub fn finish(self) -> Result<Held, ObserverError> {
        let Self { handover, thread } = self;
        drop(handover);
        thread.join().map_err(|_| ObserverError::Panicked)
    }
}

impl Handover {
    /// Hands over a copy of a socket, so that its connection stays open until it was looked at; not if too many
    /// wait already, or there is no descriptor for it. It waits for nothing.
    pub fn give(&self, attempt: u32, socket: BorrowedFd<'_>, sent: u64) {
        if let Ok(socket) = socket.try_clone_to_owned() {
            // A thread that lags behind, or is gone, sees less.
            let _ = self.0.try_send(Overdue { attempt, socket, sent });
        }
    }
}

/// The thread's side.
struct Looker<P> {
    diag: Diag,
    exhaustion: Exhaustion,
    processes: P,
    overdue: Vec<InHands>,
}

impl<P: Processes> Looker<P> {
    fn run(mut self, receiver: &Receiver<Overdue>) -> Held {
        let mut next = Instant::now();
        loop {
            match receiver.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(first) => self.look_at(first, receiver),
                Err(RecvTimeoutError::Timeout) => {
                    self.exhaustion.look(now_ns(), &mut self.diag, &self.processes);
                    next = Instant::now() + INTERVAL;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.overdue.sort_by_key(|seen| seen.attempt);
                    return Held { overdue: self.overdue, exhausted: self.exhaustion.into_found() };
                }
            }
        }
    }

    /// Looks at one and those that wait behind it, and lets them go.
    fn look_at(&mut self, first: Overdue, receiver: &Receiver<Overdue>) {
        let mut together = vec![first];
        together.extend(receiver.try_iter().take(TOGETHER_MAX - 1));
        let mut ends = Vec::new();
        for overdue in &together {
            // Where the kernel gives no answer, nothing is known of it.
            if let Ok(end) = self.diag.server_end(&overdue.socket) {
                ends.push((overdue, end));
            }
        }
        let inodes: Vec<u32> = ends.iter().filter_map(|(_, end)| accepted(*end)).collect();
        let holders = if inodes.is_empty() { Default::default() } else { holders::scan(&inodes) };
        for (overdue, end) in ends {
            let pids = accepted(end).and_then(|inode| holders.get(&inode)).map_or(&[][..], Vec::as_slice);
            let custody = self.custody(end, pids, overdue.sent);
            self.overdue.push(InHands { attempt: overdue.attempt, custody });
        }
    }

    fn custody(&self, end: ServerEnd, pids: &[u32], sent: u64) -> Custody {
        match end {
            ServerEnd::HalfOpen => Custody::HalfOpen,
            ServerEnd::Gone => Custody::Closed,
            ServerEnd::Open { inode: 0, .. } => Custody::Queue,
            ServerEnd::Open { unread, .. } => {
                let processes = pids.iter().filter_map(|pid| proc::numbered(*pid));
                let mut processes: Vec<Process> =
                    processes.map(|pid| process(pid, &self.processes)).collect();
                // A supervisor may keep a copy of what it has passed on.
                processes.sort_by_key(|process| (process.supervises, process.pid));
                let others = u32::try_from(processes.len().saturating_sub(1)).unwrap_or(u32::MAX);
                match processes.into_iter().next() {
                    Some(by) => Custody::Held { by, others, request: Reading::of(sent, unread) },
                    None => Custody::Hidden,
                }
            }
        }
    }
}

/// The inode of an end that somebody has accepted.
fn accepted(end: ServerEnd) -> Option<u32> {
    match end {
        ServerEnd::Open { inode, .. } => Some(inode).filter(|inode| *inode > 0),
        ServerEnd::HalfOpen | ServerEnd::Gone => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use nix::unistd::Pid;

    use super::*;

    struct Own;

    impl Processes for Own {
        fn all(&self) -> Vec<Pid> {
            Vec::new()
        }

        fn supervisor(&self) -> Pid {
            Pid::from_raw(1)
        }
    }

    #[test]
    fn what_is_handed_over_is_looked_at_although_its_owner_lets_go() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let watch = CustodyWatch::start(Address::Tcp(address), Own).unwrap();
        let handover = watch.handover();
        let mut accepted = Vec::new();
        for (attempt, reads) in [Some(0), Some(3), Some(5), None].into_iter().enumerate() {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(b"hello").unwrap();
            if let Some(reads) = reads {
                let (mut taken, _) = server.accept().unwrap();
                taken.read_exact(&mut vec![0; reads]).unwrap();
                accepted.push(taken);
            }
            handover.give(u32::try_from(attempt).unwrap(), client.as_fd(), 5);
        }
        drop(handover);
        let held = watch.finish().unwrap();
        let request = |attempt| match held.custody(attempt) {
            Some(Custody::Held { by, request, .. }) if by.pid == std::process::id() => Some(*request),
            Some(Custody::Queue) => None,
            other => panic!("{other:?}"),
        };
        let read = [Some(Reading::Unread), Some(Reading::Part), Some(Reading::Read), None];
        assert_eq!([0, 1, 2, 3].map(request), read);
        assert_eq!(held.custody(4), None);
    }
}
