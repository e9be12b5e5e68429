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

/// How many processors are ours.
pub(super) fn processors() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_read_as_the_kernel_writes_it() {
        assert_eq!(idle_of("350735.47 234388.09\n"), Some(234_388_090_000_000));
        assert_eq!((idle_of(""), idle_of("1.0 x"), idle_of("1.0 2")), (None, None, None));
        let idle = IdleTime { uptime: File::open("/proc/uptime").ok() };
        assert!(idle.ns().is_some());
        assert_eq!(IdleTime { uptime: None }.ns(), None);
    }
}
