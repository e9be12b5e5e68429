//! Who started whom.

use std::collections::BTreeSet;
use std::fs;

use nix::unistd::Pid;

use super::{Look, all, numbered, path, stat, unless_gone};

/// The deepest tree that is followed upwards: a deeper one is none of ours.
const DEPTH_MAX: usize = 1000;

/// The children of a process, in no particular order.
pub(crate) fn children(pid: Pid) -> Look<Vec<Pid>> {
    let file = "task";
    let Some(tasks) = unless_gone(pid, file, fs::read_dir(path(pid, file)))? else { return Ok(None) };
    let mut children = Vec::new();
    for task in tasks {
        let Some(task) = unless_gone(pid, file, task)? else { break };
        // Either the task has ended and its children have moved, or there is no CONFIG_PROC_CHILDREN.
        let Ok(text) = fs::read_to_string(task.path().join("children")) else {
            return Ok(Some(scan_for_children(pid)));
        };
        children.extend(text.split_ascii_whitespace().filter_map(|number| numbered(number.parse().ok()?)));
    }
    Ok(Some(children))
}

/// Everything that descends from a process, as far as it stays while it is looked for.
pub(crate) fn descendants(ancestor: Pid) -> BTreeSet<Pid> {
    let mut found = BTreeSet::new();
    let mut open = vec![ancestor];
    while let Some(pid) = open.pop() {
        // A process that has just ended has no children any more: they are ours or its ancestor's.
        for child in children(pid).ok().flatten().unwrap_or_default() {
            if found.insert(child) {
                open.push(child);
            }
        }
    }
    found
}

/// Whether a process descends from another, by following its parents.
pub(crate) fn descends_from(pid: Pid, ancestor: Pid) -> bool {
    let mut at = pid;
    // Parents can change while they are read.
    for _ in 0..DEPTH_MAX {
        match stat(at) {
            Ok(Some(stat)) if stat.parent == ancestor => return true,
            Ok(Some(stat)) if stat.parent.as_raw() > 1 => at = stat.parent,
            Ok(_) | Err(_) => return false,
        }
    }
    false
}

fn scan_for_children(parent: Pid) -> Vec<Pid> {
    let is_child = |pid: &Pid| stat(*pid).is_ok_and(|stat| stat.is_some_and(|stat| stat.parent == parent));
    all().into_iter().filter(is_child).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn children_are_found_both_ways_and_grandchildren_too() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & wait"]).stdin(Stdio::null());
        let mut child = command.spawn().expect("sh");
        let pid = numbered(child.id()).expect("a pid");
        let below = loop {
            match descendants(pid).pop_first() {
                Some(below) => break below,
                None => std::thread::yield_now(),
            }
        };
        assert!(children(Pid::this()).expect("a look").expect("this process").contains(&pid));
        assert!(scan_for_children(Pid::this()).contains(&pid));
        assert!(descendants(Pid::this()).is_superset(&[pid, below].into()));
        assert!(descends_from(below, Pid::this()) && descends_from(below, pid));
        assert!(!descends_from(pid, below) && !descends_from(Pid::this(), pid));
        nix::sys::signal::kill(below, nix::sys::signal::Signal::SIGKILL).expect("a signal");
        child.wait().expect("a status");
        assert!(children(pid).expect("a look").is_none());
    }
}
