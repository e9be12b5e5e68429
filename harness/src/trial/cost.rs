//! What a supervisor and its workers cost: CPU time, from `/proc`.
//!
//! The kernel adds the time of a process that has ended to that of whoever waited for it (`cutime`
//! and `cstime` in proc(5)), so that a sum over all processes that there are holds those that there
//! were, too. Only the children of a process that ignores SIGCHLD are lost: nobody waits for them.

use std::fs;
use std::io;

use holdline_model::result::CostResult;
use nix::unistd::{SysconfVar, getpid, sysconf};

use crate::sandbox::Inside;

/// The CPU time that a trial's processes have used by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meter {
    cpu_ns: u64,
    tick_ns: u64,
}

impl Meter {
    /// Reads it. The harness's own time does not count, and neither does init's.
    pub(super) fn read(inside: &Inside) -> io::Result<Self> {
        let per_second = sysconf(SysconfVar::CLK_TCK)?.and_then(|ticks| u64::try_from(ticks).ok());
        let tick_ns = 1_000_000_000 / per_second.filter(|ticks| *ticks > 0).unwrap_or(100);
        let (runner, init) = (getpid().as_raw(), inside.init());
        let ticks: u64 = inside
            .processes()
            .into_iter()
            .chain([init])
            .filter_map(|pid| {
                // A process that ended just now is counted where it was waited for, or next time.
                let ticks = Ticks::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
                Some(ticks.waited + if pid == runner || pid == init { 0 } else { ticks.own })
            })
            .sum();
        Ok(Self { cpu_ns: ticks * tick_ns, tick_ns })
    }

    /// What was used since `earlier`, in a load that ran for `elapsed_ns`.
    pub(super) fn since(self, earlier: Self, elapsed_ns: u64) -> CostResult {
        CostResult {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            elapsed_ns,
            method: format!(
                "/proc: all processes of the trial but the harness, ended ones included, to within {} ms each",
                self.tick_ns / 1_000_000
            ),
        }
    }
}

/// CPU time in clock ticks: fields 14 to 17 of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    /// Of the process itself, user and system.
    own: u64,
    /// Of its children that ended and were waited for.
    waited: u64,
}

impl Ticks {
    /// The second field is the command in parentheses, which may hold any character.
    fn parse(stat: &str) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
        let mut next = || fields.next()?.ok();
        let (user, system, children_user, children_system) = (next()?, next()?, next()?, next()?);
        Some(Self { own: user + system, waited: children_user + children_system })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 162 512 0 0 12 3 40 5 20 0 1 0 1377 3411968 231";
        assert_eq!(Ticks::parse(stat), Some(Ticks { own: 15, waited: 45 }));
        assert_eq!(Ticks::parse("7 (a) S 1 2"), None);
    }

    #[test]
    fn a_meter_never_runs_backwards() {
        let at = |cpu_ns| Meter { cpu_ns, tick_ns: 10_000_000 };
        assert_eq!(at(50).since(at(20), 9).cpu_ns, 30);
        assert_eq!(at(20).since(at(50), 9).cpu_ns, 0);
        assert!(at(0).since(at(0), 9).method.ends_with("to within 10 ms each"));
    }
}
