//! Threads: which a process has, and whose one is.

use std::fs;

use nix::unistd::Pid;

use super::{Look, numbered, path, text, unless_gone};

/// The threads of a process, as far as they stay while they are listed.
pub(crate) fn threads(pid: Pid) -> Look<Vec<Pid>> {
    let Some(entries) = unless_gone(pid, "task", fs::read_dir(path(pid, "task")))? else { return Ok(None) };
    let id = |entry: fs::DirEntry| numbered(entry.file_name().to_str()?.parse().ok()?);
    Ok(Some(entries.flatten().filter_map(id).collect()))
}

/// The process that a thread belongs to, and that process's parent: proc_pid_status(5).
pub(crate) fn family(thread: Pid) -> Look<(Pid, Pid)> {
    Ok(text(thread, "status")?.and_then(|status| family_in(&status)))
}

/// Who traces a thread; `None`: nobody, or it is gone.
pub(crate) fn tracer(thread: Pid) -> Look<Pid> {
    Ok(text(thread, "status")?.and_then(|status| field(&status, "TracerPid:")).filter(|pid| pid.as_raw() > 0))
}

/// How often a thread has run, if it does not wait to run right now: as often as it gave up its processor, or lost it
/// (proc_pid_status(5)). As long as that stays, it has done nothing.
pub(crate) fn asleep(thread: Pid) -> Look<u64> {
    Ok(text(thread, "status")?.and_then(|status| asleep_in(&status)))
}

fn asleep_in(status: &str) -> Option<u64> {
    let count = |name: &str| value(status, name)?.parse::<u64>().ok();
    value(status, "State:")?.starts_with('S').then_some(())?;
    Some(count("voluntary_ctxt_switches:")? + count("nonvoluntary_ctxt_switches:")?)
}

fn family_in(status: &str) -> Option<(Pid, Pid)> {
    Some((field(status, "Tgid:")?, field(status, "PPid:")?))
}

fn field(status: &str, name: &str) -> Option<Pid> {
    value(status, name)?.parse().ok().map(Pid::from_raw)
}

fn value<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    Some(status.lines().find_map(|line| line.strip_prefix(name))?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sleeps_is_known_and_how_often_it_woke() {
        let status =
            "Name:\tx\nState:\tS (sleeping)\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t2\n";
        assert_eq!(asleep_in(status), Some(9));
        assert_eq!(asleep_in(&status.replace("S (sleeping)", "R (running)")), None);
        assert_eq!(asleep_in("State:\tS (sleeping)\n"), None);
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep");
        let pid = numbered(child.id()).expect("a pid");
        // It sleeps once it has begun to.
        while asleep(pid).expect("a look").is_none() {
            std::thread::yield_now();
        }
        child.kill().expect("a signal");
        child.wait().expect("an end");
        assert_eq!(asleep(pid).expect("a look"), None);
    }

    #[test]
    fn a_thread_knows_its_process_and_a_process_its_threads() {
        let status = "Name:\tx\nTgid:\t7\nNgid:\t0\nPid:\t9\nPPid:\t1\n";
        assert_eq!(family_in(status), Some((Pid::from_raw(7), Pid::from_raw(1))));
        assert_eq!(family_in("Name:\tx\n"), None);
        let me = nix::unistd::gettid();
        let (process, parent) = family(me).expect("a look").expect("a thread");
        assert_eq!((process, parent), (Pid::this(), Pid::parent()));
        assert!(threads(Pid::this()).expect("a look").expect("a process").contains(&me));
    }
}
