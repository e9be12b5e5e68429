//! For how long processors were idle.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::thread;

use nix::unistd::{SysconfVar, sysconf};

/// How many nanoseconds the kernel's unit of idle time has.
pub(super) const TICK_NS: u64 = 10_000_000;

/// Where the kernel tells for how long processors were idle.
#[derive(Debug)]
pub(crate) struct IdleTime {
    /// `None`: it says nothing of the processors that are ours.
    uptime: Option<File>,
}

impl IdleTime {
    /// On this machine. Where others of its processors, or more of their time, are out of our reach, it is not known
    /// what is idle of ours.
    pub(crate) fn of_machine() -> Self {
        let all = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
        let has_all = all.is_some_and(|all| usize::try_from(all).is_ok_and(|all| processors() >= all));
        Self { uptime: has_all.then(|| File::open("/proc/uptime").ok()).flatten() }
    }

    /// For how long they were idle since the machine was started, all of them together, in nanoseconds, counted in
    /// hundredths of a second; `None`: it is not known.
    pub(crate) fn ns(&self) -> Option<u64> {
        let mut text = [0; 64];
        let length = self.uptime.as_ref()?.read_at(&mut text, 0).ok()?;
        idle_of(std::str::from_utf8(&text[..length]).ok()?)
    }
}

/// The second number of `/proc/uptime`, in nanoseconds: `350735.47 234388.90`.
fn idle_of(uptime: &str) -> Option<u64> {
    let (seconds, hundredths) = uptime.split_ascii_whitespace().nth(1)?.split_once('.')?;
    let (seconds, hundredths): (u64, u64) = (seconds.parse().ok()?, hundredths.parse().ok()?);
    Some((seconds * 100 + hundredths) * TICK_NS)
}

/// How many threads run or want to, just now and on the whole machine, the caller's among them; `None`: it is not known.
pub(crate) fn running() -> Option<u64> {
    running_of(&std::fs::read_to_string("/proc/loadavg").ok()?)
}

/// What stands before the slash in `/proc/loadavg`: `0.20 0.18 0.12 1/80 11206` (proc_loadavg(5)).
fn running_of(loadavg: &str) -> Option<u64> {
    loadavg.split_ascii_whitespace().nth(3)?.split_once('/')?.0.parse().ok()
}

/// How many processors are ours.
pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_runs_is_read_as_the_kernel_writes_it() {
        assert_eq!(running_of("0.20 0.18 0.12 3/80 11206\n"), Some(3));
        assert_eq!((running_of(""), running_of("0.2 0.1 0.1 x/8 1")), (None, None));
        assert!(running().is_some_and(|running| running > 0), "this thread runs");
    }

    #[test]
    fn idle_time_is_read_as_the_kernel_writes_it() {
        assert_eq!(idle_of("350735.47 234388.09\n"), Some(234_388_090_000_000));
        assert_eq!((idle_of(""), idle_of("1.0 x"), idle_of("1.0 2")), (None, None, None));
        let idle = IdleTime { uptime: File::open("/proc/uptime").ok() };
        assert!(idle.ns().is_some());
        assert_eq!(IdleTime { uptime: None }.ns(), None);
    }
}
