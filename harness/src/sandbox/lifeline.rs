//! How a trial notices that the outer process is gone: a pair of sockets of which only that holds one.
//!
//! Not a pipe, since the servers under test could open its other end in `/proc` and give orders: `open` of
//! a socket's `/proc/PID/fd/N` is ENXIO.

use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::error::SandboxError;

/// The outer process's end of a trial's lifeline. Dropping it ends the trial.
///
/// The other end goes to the trial's process, best as its standard input: `Stdio::from(end)`,
/// with `lifeline: Some(0)` in its [`SandboxSpec`](super::SandboxSpec). A `Stdio::piped` input will
/// not do, since waiting for a child closes that.
#[derive(Debug)]
#[must_use = "dropping a lifeline ends the trial"]
pub struct Lifeline {
    ours: UnixStream,
}

impl Lifeline {
    /// A new lifeline, and the end that the trial's process inherits.
    ///
    /// # Errors
    ///
    /// Fails if no sockets can be had.
    pub fn new() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self { ours }, theirs.into()))
    }

    /// Lets go of a lifeline whose trial has ended, beside whatever follows: the kernel closes what the runner
    /// [left](leave) with it, which may take its time.
    pub fn release(self) {
        // Where there is no thread to be had, it is released here.
        drop(std::thread::Builder::new().name("release".to_owned()).spawn(move || drop(self)));
    }

    /// Asks the trial to end early, by a byte that its runner can read. A trial that has ended does
    /// not hear it.
    pub fn ask_to_stop(&mut self) {
        let _ = self.ours.write(b"s");
    }
}

/// Leaves a descriptor that takes long to close with the outer process, by way of the lifeline that this
/// process has as its standard input: then neither the end of this process nor that of the sandbox, in which
/// the kernel closes what is open, waits for it. Nobody reads it: it is closed with the lifeline.
///
/// # Errors
///
/// Gives the descriptor back where there is no lifeline, or it is full.
pub fn leave(fd: OwnedFd) -> Result<(), OwnedFd> {
    leave_on(io::stdin().as_fd(), fd)
}

fn leave_on(end: BorrowedFd<'_>, fd: OwnedFd) -> Result<(), OwnedFd> {
    let (byte, passed) = ([IoSlice::new(b"l")], [fd.as_raw_fd()]);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let sent = sendmsg::<()>(end.as_raw_fd(), &byte, &[ControlMessage::ScmRights(&passed)], flags, None);
    if sent.is_ok() { Ok(()) } else { Err(fd) }
}

/// The trial's end of a lifeline, an inherited descriptor that stays open for as long as the process
/// lives.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    fd: BorrowedFd<'static>,
}

impl End {
    /// Takes over an inherited descriptor, and keeps it from what is executed later unless it is a
    /// standard stream.
    pub(super) fn adopt(fd: RawFd) -> Result<Self, SandboxError> {
        if fd < 0 {
            return Err(SandboxError::Lifeline { fd, errno: Errno::EBADF });
        }
        let refused = |errno| SandboxError::Lifeline { fd, errno };
        // SAFETY: nobody else in this process owns the descriptor that the outer process passed for
        // this purpose, so nobody closes it; if it is not open, the next call says so.
        let end = Self { fd: unsafe { BorrowedFd::borrow_raw(fd) } };
        let flags = fcntl(end.fd, FcntlArg::F_GETFD).map_err(refused)?;
        if fd > 2 {
            let flags = FdFlag::from_bits_retain(flags) | FdFlag::FD_CLOEXEC;
            fcntl(end.fd, FcntlArg::F_SETFD(flags)).map_err(refused)?;
        }
        Ok(end)
    }

    /// Whether the other end has been closed.
    pub(super) fn is_cut(&self) -> bool {
        is_cut(self.fd)
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd
    }
}

/// Whether the other end of a pipe or of a pair of sockets has been closed.
pub(super) fn is_cut(reader: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(reader, PollFlags::empty())];
    while poll(&mut fds, PollTimeout::ZERO) == Err(Errno::EINTR) {}
    fds[0].revents().is_some_and(|events| events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_lifeline_is_cut_when_its_writing_end_is_dropped() {
        let (mut lifeline, end) = Lifeline::new().expect("sockets");
        lifeline.ask_to_stop();
        assert!(!is_cut(end.as_fd()));
        drop(lifeline);
        assert!(is_cut(end.as_fd()), "also with an order that was not read");
    }

    #[test]
    fn what_is_left_stays_open_until_the_lifeline_goes() {
        let (lifeline, end) = Lifeline::new().expect("sockets");
        let (mut reader, writer) = io::pipe().expect("a pipe");
        leave_on(end.as_fd(), writer.into()).expect("it is left");
        drop(end);
        assert!(!is_cut(reader.as_fd()));
        lifeline.release();
        // Returns once the last writer is gone.
        assert_eq!(reader.read(&mut [0]).expect("an end"), 0);
    }

    #[test]
    fn what_cannot_be_left_is_given_back() {
        let (reader, writer) = io::pipe().expect("a pipe");
        assert!(leave_on(reader.as_fd(), writer.into()).is_err());
        let (_lifeline, end) = Lifeline::new().expect("sockets");
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").expect("a device"));
        let refused = std::iter::repeat_with(|| leave_on(end.as_fd(), null())).find(Result::is_err);
        assert!(refused.is_some(), "nobody waits for room");
    }

    #[test]
    fn a_descriptor_that_is_not_open_is_refused() {
        assert!(matches!(End::adopt(-1), Err(SandboxError::Lifeline { fd: -1, .. })));
        assert!(matches!(End::adopt(1 << 20), Err(SandboxError::Lifeline { errno: Errno::EBADF, .. })));
    }
}
