//! Finds workers that run in a PID namespace of their own, as in a container.
//!
//! A worker writes down its process id as `getpid` gives it, which in another namespace is another
//! number than here, and often that of somebody else. Its process is the one that has its ledger open.

use nix::unistd::Pid;

use crate::proc::{self, Look};

/// The process, as it is numbered here, that has recorded this process id and generation; `None`: it has
/// ended already.
pub(super) fn process_of(pid: u32, generation: u32) -> Option<Pid> {
    let ledger = format!("/{generation}-{pid}.ledger");
    let here = proc::numbered(pid)?;
    match writes(here, &ledger) {
        Ok(Some(true)) => return Some(here),
        // What may not be looked at is taken at its word.
        Err(error) if error.is_denied() => return Some(here),
        Ok(_) | Err(_) => {}
    }
    let is_it =
        |process: &Pid| is_numbered(*process, pid) && matches!(writes(*process, &ledger), Ok(Some(true)));
    proc::all().into_iter().find(is_it)
}

/// Whether a process has this number in a PID namespace below ours: the last of several.
fn is_numbered(process: Pid, pid: u32) -> bool {
    proc::numbers(process).ok().flatten().is_some_and(|numbers| innermost(&numbers) == Some(pid))
}

fn innermost(numbers: &[u32]) -> Option<u32> {
    numbers.get(1..)?.last().copied()
}

/// Whether a process has a ledger open, or mapped. We read all ledgers, and are none of their writers.
fn writes(process: Pid, ledger: &str) -> Look<bool> {
    if process == Pid::this() { Ok(Some(false)) } else { proc::has_open(process, ledger) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_innermost_number_counts_where_there_are_several() {
        assert_eq!(innermost(&[4711, 12, 2]), Some(2));
        assert_eq!(innermost(&[4711]), None);
        assert_eq!(innermost(&[]), None);
    }

    #[test]
    fn a_worker_is_the_process_that_has_its_ledger_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = "exec 3>\"7-$$.ledger\"; exec sleep 1000";
        let mut command = Command::new("sh");
        let mut child = command.args(["-c", script]).current_dir(folder.path()).spawn().expect("sh");
        let ledger = folder.path().join(format!("7-{}.ledger", child.id()));
        while !ledger.exists() {
            std::thread::yield_now();
        }
        // We have it open as well.
        let read = std::fs::File::open(&ledger).expect("a file");
        let found = [process_of(child.id(), 7), process_of(child.id(), 8)];
        child.kill().expect("a signal");
        child.wait().expect("a status");
        assert_eq!(found, [proc::numbered(child.id()), None]);
        assert_eq!(process_of(child.id(), 7), None);
        assert_eq!(process_of(std::process::id(), 7), None);
        drop(read);
    }
}
