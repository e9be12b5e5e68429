//! Finds workers that run in a PID namespace of their own, as in a container.
//!
//! A worker writes down its process id as `getpid` gives it, which in another namespace is another
//! number than here, and often that of somebody else. Its process is the one that has its ledger open.

use std::fs;
use std::io;

/// The process, as it is numbered here, that has recorded this process id and generation; `None`: it has
/// ended already.
pub(super) fn process_of(pid: u32, generation: u32) -> Option<u32> {
    let ledger = format!("/{generation}-{pid}.ledger");
    match has_open(pid, &ledger) {
        Ok(true) => return Some(pid),
        // What may not be looked at is taken at its word.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Some(pid),
        _ => {}
    }
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(|process| is_numbered(*process, pid) && has_open(*process, &ledger).unwrap_or(false))
}

/// Whether a process has this number in a PID namespace below ours: the last of several that its
/// status names, from ours inwards, proc_pid_status(5).
fn is_numbered(process: u32, pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    nested_pid(&status) == Some(pid)
}

fn nested_pid(status: &str) -> Option<u32> {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_ascii_whitespace().skip(1).last()?.parse().ok()
}

/// Whether a process has a file open, or mapped, whose path ends like this.
fn has_open(process: u32, end: &str) -> io::Result<bool> {
    // We read all ledgers, and are none of their writers.
    if process == std::process::id() {
        return Ok(false);
    }
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    if maps.lines().any(|line| line.ends_with(end)) {
        return Ok(true);
    }
    let mut descriptors = fs::read_dir(format!("/proc/{process}/fd"))?.flatten();
    Ok(descriptors.any(|entry| {
        fs::read_link(entry.path()).is_ok_and(|path| path.to_str().is_some_and(|path| path.ends_with(end)))
    }))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_innermost_number_counts_where_there_are_several() {
        assert_eq!(nested_pid("Name:\tsh\nNSpid:\t4711\t12\t2\nNSpgid:\t1\n"), Some(2));
        assert_eq!(nested_pid("Name:\tsh\nNSpid:\t4711\n"), None);
        assert_eq!(nested_pid(""), None);
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
        let read = fs::File::open(&ledger).expect("a file");
        let found = [process_of(child.id(), 7), process_of(child.id(), 8)];
        child.kill().expect("a signal");
        child.wait().expect("a status");
        assert_eq!(found, [Some(child.id()), None]);
        assert_eq!(process_of(child.id(), 7), None);
        assert_eq!(process_of(std::process::id(), 7), None);
        drop(read);
    }
}
