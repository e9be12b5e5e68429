//! Other processes, as `/proc` shows them: the only place that reads `/proc/PID`.
//!
//! Each look opens the one file that has the answer and takes from it what is asked for, since some looks
//! are taken every millisecond while a load runs. A process that is gone is an answer, `None`; only what may
//! not be read, or cannot be understood, is an error. Process ids are those of the PID namespace whose
//! `/proc` the caller sees.
//!
//! The harness knows a process by a [`Pid`]; records, and what is told of processes, hold numbers. Here one
//! becomes the other.

mod exit;
mod files;
mod stat;
mod threads;
mod tree;

use std::fs;
use std::io;

use nix::unistd::Pid;

pub(crate) use self::exit::exit_of;
pub(crate) use self::files::{descriptors_max, descriptors_open, has_open, sockets};
pub(crate) use self::stat::{is_alive, is_stopped, stat};
pub(crate) use self::threads::{asleep, family, threads, tracer};
pub(crate) use self::tree::{children, descendants, descends_from};

/// A file of `/proc/PID` that did not give an answer.
#[derive(Debug, thiserror::Error)]
#[error("failed to read /proc/{pid}/{file}")]
pub(crate) struct ProcError {
    pid: Pid,
    file: &'static str,
    source: io::Error,
}

impl ProcError {
    /// Whether the process may not be looked at, for want of privilege (`PTRACE_MODE_READ`, ptrace(2)).
    pub(crate) fn is_denied(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }
}

/// What a look at a process gives: `None`, if there is no such process.
pub(crate) type Look<T> = Result<Option<T>, ProcError>;

/// The number of a process, as records hold it.
pub(crate) fn number(pid: Pid) -> u32 {
    // Those of groups, which are negative, are never recorded.
    pid.as_raw().unsigned_abs()
}

/// The process that a number stands for; `None`, if it is none that a process can have.
pub(crate) fn numbered(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().filter(|raw| *raw > 0).map(Pid::from_raw)
}

/// All processes, in ascending order of their ids; none, if there is no `/proc`.
pub(crate) fn all() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<Pid> =
        entries.filter_map(|entry| numbered(entry.file_name().to_str()?.parse().ok()?)).collect();
    pids.sort_unstable();
    pids
}

/// What a process is called: its executable's name, cut to 15 bytes, or what it calls itself.
pub(crate) fn name(pid: Pid) -> Look<String> {
    Ok(text(pid, "comm")?.map(|name| name.trim_end_matches('\n').to_owned()))
}

/// The cgroups of a process, a line for each hierarchy: cgroups(7).
pub(crate) fn cgroups(pid: Pid) -> Look<String> {
    text(pid, "cgroup")
}

/// The numbers of a process in the PID namespaces that it is in, from ours inwards: proc_pid_status(5).
pub(crate) fn numbers(pid: Pid) -> Look<Vec<u32>> {
    Ok(text(pid, "status")?.map(|status| numbers_in(&status)))
}

fn numbers_in(status: &str) -> Vec<u32> {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    numbers.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// A file of a process. What is not UTF-8, as a path in `maps` may be, is replaced.
fn text(pid: Pid, file: &'static str) -> Look<String> {
    let bytes = unless_gone(pid, file, fs::read(path(pid, file)))?;
    Ok(bytes.map(|bytes| match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }))
}

fn path(pid: Pid, file: &str) -> String {
    format!("/proc/{pid}/{file}")
}

/// A process that ends while its file is open gives ESRCH: fs/proc/base.c.
fn unless_gone<T>(pid: Pid, file: &'static str, result: io::Result<T>) -> Look<T> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        Err(source) => Err(ProcError { pid, file, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One greater than the largest that there can be: `PID_MAX_LIMIT` in include/linux/threads.h.
    const NEVER: Pid = Pid::from_raw(1 << 22);

    #[test]
    fn numbers_come_from_ours_inwards() {
        assert_eq!(numbers_in("Name:\tsh\nNSpid:\t4711\t12\t2\nNSpgid:\t1\n"), [4711, 12, 2]);
        assert_eq!(numbers_in("Name:\tsh\n"), [0; 0]);
        let own = numbers(Pid::this()).expect("a status").expect("this process");
        assert_eq!(own.first().copied(), Some(number(Pid::this())));
    }

    #[test]
    fn a_process_is_found_again_by_its_number() {
        assert_eq!(numbered(number(Pid::this())), Some(Pid::this()));
        assert_eq!(numbered(std::process::id()), Some(Pid::this()));
        for none in [0, 1 << 31, u32::MAX] {
            assert_eq!(numbered(none), None, "{none}");
        }
    }

    #[test]
    fn a_process_that_is_gone_is_no_error() {
        assert!(stat(NEVER).expect("a look").is_none());
        assert!(cgroups(NEVER).expect("a look").is_none());
        assert!(numbers(NEVER).expect("a look").is_none());
        assert!(has_open(NEVER, "x").expect("a look").is_none());
        assert!(children(NEVER).expect("a look").is_none());
        assert!(!is_alive(NEVER) && !is_stopped(NEVER));
        assert_eq!(sockets(NEVER).count(), 0);
    }

    #[test]
    fn this_process_is_among_all() {
        assert!(all().contains(&Pid::this()));
        assert!(!all().contains(&NEVER));
    }

    #[test]
    fn an_error_names_process_and_file() {
        let denied = Err::<(), _>(io::Error::from_raw_os_error(libc::EACCES));
        let error = unless_gone(Pid::from_raw(7), "maps", denied).expect_err("an error");
        assert!(error.is_denied());
        assert_eq!((error.pid, error.file), (Pid::from_raw(7), "maps"));
    }
}
