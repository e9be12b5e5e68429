//! How init tells the runner of orphans that ended.
//!
//! Through a pipe of fixed-size records, because init may never block: one that does no longer
//! reaps. What does not fit into the pipe is counted, and the count is told as soon as there is room.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use holdline_contract::clock::now_ns;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::Pid;

use super::error::{SandboxError, Step};
use super::process::{self, Ended};

/// Room for more than forty thousand records; the most that an ordinary user may have by default
/// (`fs.pipe-max-size`).
const PIPE_BYTES: i32 = 1 << 20;

/// An orphan that init adopted and that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adopted {
    /// Its PID, in the runner's PID namespace.
    pub pid: Pid,
    /// How it ended.
    pub status: ExitStatus,
    /// When init reaped it, in nanoseconds of `CLOCK_MONOTONIC`.
    pub ended_ns: u64,
}

/// The runner's end of the pipe.
#[derive(Debug)]
pub struct Adoptions {
    reader: PipeReader,
    lost: u64,
}

impl Adoptions {
    /// The orphans that have ended since the last call. Does not wait; the descriptor becomes
    /// readable when there is something new.
    ///
    /// # Errors
    ///
    /// Fails if the pipe cannot be read.
    pub fn drain(&mut self) -> io::Result<Vec<Adopted>> {
        let mut adopted = Vec::new();
        // Writes this short are atomic, pipe(7), so a multiple of their size holds only whole ones.
        let mut buffer = [0; Record::BYTES * 128];
        loop {
            let read = match self.reader.read(&mut buffer) {
                Ok(0) => return Ok(adopted),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(adopted),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for record in buffer[..read].as_chunks().0.iter().map(Record::decode) {
                self.lost = self.lost.max(record.lost);
                adopted.extend(record.adopted());
            }
        }
    }

    /// How many orphans ended without a report, because nobody read for too long.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl AsFd for Adoptions {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl AsRawFd for Adoptions {
    fn as_raw_fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }
}

/// Init's end of the pipe.
#[derive(Debug)]
pub(super) struct Reporter {
    writer: PipeWriter,
    lost: u64,
    lost_told: u64,
}

impl Reporter {
    pub(super) fn report(&mut self, ended: Ended) {
        let record =
            Record { pid: Some(ended.pid), status: ended.status, ended_ns: now_ns(), lost: self.lost };
        if self.write(record) == Err(Errno::EAGAIN) {
            self.lost += 1;
        }
    }

    /// Whether to wait for room in the pipe.
    pub(super) fn has_untold(&self) -> bool {
        self.lost_told < self.lost
    }

    /// Tells of lost records, if there is room by now.
    pub(super) fn tell_lost(&mut self) {
        if self.has_untold() {
            let _ = self.write(Record { pid: None, status: 0, ended_ns: now_ns(), lost: self.lost });
        }
    }

    fn write(&mut self, record: Record) -> Result<(), Errno> {
        // All or nothing: see `Adoptions::drain`.
        match self.writer.write_all(&record.encode()) {
            Ok(()) => {
                self.lost_told = record.lost;
                Ok(())
            }
            Err(error) => {
                let errno = process::errno_of(&error);
                if errno == Errno::EPIPE {
                    // The runner does not want to know.
                    self.lost_told = u64::MAX;
                }
                Err(errno)
            }
        }
    }
}

impl AsFd for Reporter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }
}

/// A pipe for reports.
pub(super) fn channel() -> Result<(Adoptions, Reporter), SandboxError> {
    let (reader, writer) = process::pipe()?;
    for end in [reader.as_fd(), writer.as_fd()] {
        fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .map_err(|errno| SandboxError::refused(Step::Pipe, errno))?;
    }
    // Refused when the user has many pipes already; then it is a smaller one.
    let _ = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
    Ok((Adoptions { reader, lost: 0 }, Reporter { writer, lost: 0, lost_told: 0 }))
}

/// One message through the pipe. Without a PID it only tells how many were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    pid: Option<Pid>,
    status: i32,
    ended_ns: u64,
    /// Records lost before this one.
    lost: u64,
}

impl Record {
    const BYTES: usize = 24;

    fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.pid.map_or(0, Pid::as_raw).to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.status.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.ended_ns.to_ne_bytes());
        bytes[16..].copy_from_slice(&self.lost.to_ne_bytes());
        bytes
    }

    fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|index| bytes[at + index]));
        let half = |at: usize| i32::from_ne_bytes(std::array::from_fn(|index| bytes[at + index]));
        let pid = Some(half(0)).filter(|pid| *pid != 0).map(Pid::from_raw);
        Self { pid, status: half(4), ended_ns: word(8), lost: word(16) }
    }

    fn adopted(self) -> Option<Adopted> {
        let status = ExitStatus::from_raw(self.status);
        self.pid.map(|pid| Adopted { pid, status, ended_ns: self.ended_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_arrive_in_order() {
        let (mut adoptions, mut reporter) = channel().expect("a pipe");
        assert_eq!(adoptions.drain().expect("nothing"), []);
        for pid in 1..=300 {
            reporter.report(Ended { pid: Pid::from_raw(pid), status: pid << 8 & 0xff00 });
        }
        let adopted = adoptions.drain().expect("reports");
        assert!(adopted.iter().map(|adopted| adopted.pid).eq((1..=300).map(Pid::from_raw)));
        assert_eq!(adopted[6].status.code(), Some(7));
        assert_eq!(adoptions.lost(), 0);
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told_later() {
        let (mut adoptions, mut reporter) = channel().expect("a pipe");
        let mut sent = 0;
        while reporter.lost < 5 {
            sent += 1;
            reporter.report(Ended { pid: Pid::from_raw(sent), status: 0 });
        }
        reporter.tell_lost();
        assert!(reporter.has_untold());
        let adopted = adoptions.drain().expect("reports");
        assert_eq!(adopted.len() + 5, usize::try_from(sent).expect("a count"));
        assert_eq!(adoptions.lost(), 0);
        reporter.tell_lost();
        assert!(!reporter.has_untold());
        assert_eq!(adoptions.drain().expect("a notice"), []);
        assert_eq!(adoptions.lost(), 5);
    }

    #[test]
    fn a_runner_that_does_not_listen_is_left_alone() {
        let (adoptions, mut reporter) = channel().expect("a pipe");
        drop(adoptions);
        reporter.report(Ended { pid: Pid::from_raw(1), status: 0 });
        assert!(!reporter.has_untold());
    }
}
