//! `/proc/PID/stat`: what the kernel says of a process in one line.

use std::io;

use nix::unistd::Pid;

use super::{Look, ProcError, text};

/// The fields that somebody here asks for, by their numbers in proc_pid_stat(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The third: such as `R`, `S`, `T` for stopped and `Z` for dead but not reaped.
    pub(crate) state: char,
    /// The fourth.
    pub(crate) parent: Pid,
    /// CPU time of the process itself, user and system, in clock ticks: the 14th and 15th.
    pub(crate) own_ticks: u64,
    /// CPU time of its children that ended and were waited for, in clock ticks: the 16th and 17th.
    pub(crate) waited_ticks: u64,
    /// When it started, in clock ticks since boot: the 22nd.
    pub(crate) started_ticks: u64,
}

impl Stat {
    /// Whether it runs: one that is dead but not reaped does not.
    fn is_alive(self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }

    fn parse(line: &str) -> Option<Self> {
        // The second field is the command in parentheses, which may hold any character.
        let mut fields = line.rsplit_once(") ")?.1.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = Pid::from_raw(fields.next()?.parse().ok()?);
        let mut fields = fields.skip(9).map(|field| field.parse::<u64>().ok());
        let mut next = || fields.next()?;
        let (user, system, waited_user, waited_system) = (next()?, next()?, next()?, next()?);
        let started_ticks = fields.nth(4)??;
        let (own_ticks, waited_ticks) = (user + system, waited_user + waited_system);
        Some(Self { state, parent, own_ticks, waited_ticks, started_ticks })
    }
}

/// Reads it.
pub(crate) fn stat(pid: Pid) -> Look<Stat> {
    let file = "stat";
    let Some(line) = text(pid, file)? else { return Ok(None) };
    let strange = || ProcError { pid, file, source: io::Error::from(io::ErrorKind::InvalidData) };
    Stat::parse(&line).map(Some).ok_or_else(strange)
}

/// Whether a process runs; one that is dead but not reaped does not.
pub(crate) fn is_alive(pid: Pid) -> bool {
    stat(pid).is_ok_and(|stat| stat.is_some_and(Stat::is_alive))
}

/// Whether a signal has stopped a process.
pub(crate) fn is_stopped(pid: Pid) -> bool {
    stat(pid).is_ok_and(|stat| stat.is_some_and(|stat| stat.state == 'T'))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::numbered;
    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let line = "7 (a) S 9 (b) R 34 7 7 0 -1 4194560 162 512 0 0 12 3 40 -5 20 0 1 0 1377 3411968 231";
        assert_eq!(Stat::parse(line), None, "CPU time is never negative");
        let line = line.replace("-5", "5");
        let expected = Stat {
            state: 'R',
            parent: Pid::from_raw(34),
            own_ticks: 15,
            waited_ticks: 45,
            started_ticks: 1377,
        };
        assert_eq!(Stat::parse(&line), Some(expected));
        for short in ["12 (a", "7 (a) S", "7 (a) S 1 2", ""] {
            assert_eq!(Stat::parse(short), None, "{short}");
        }
    }

    #[test]
    fn one_that_is_dead_and_not_reaped_does_not_run() {
        let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep");
        let pid = numbered(child.id()).expect("a pid");
        assert!(is_alive(pid));
        assert_eq!(stat(pid).expect("a look").expect("a process").parent, Pid::this());
        child.kill().expect("a signal");
        while is_alive(pid) {
            std::thread::yield_now();
        }
        assert_eq!(stat(pid).expect("a look").expect("a zombie").state, 'Z');
        child.wait().expect("a status");
        assert!(stat(pid).expect("a look").is_none());
    }
}
