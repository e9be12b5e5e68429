//! What a supervisor and its workers cost: CPU time, from `/proc`.
//!
//! The kernel adds the time of a process that has ended to that of whoever waited for it (`cutime`
//! and `cstime` in proc(5)), so that a sum over all processes that there are holds those that there
//! were, too. Only the children of a process that ignores SIGCHLD are lost: nobody waits for them.

use std::io;

use holdline_model::result::{CostMethod, CostResult};
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::proc;
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
        let (runner, init) = (Pid::this(), inside.init());
        let ticks: u64 = inside
            .processes()
            .into_iter()
            .chain([init])
            .filter_map(|pid| {
                // A process that ended just now is counted where it was waited for, or next time.
                let stat = proc::stat(pid).ok()??;
                Some(stat.waited_ticks + if pid == runner || pid == init { 0 } else { stat.own_ticks })
            })
            .sum();
        Ok(Self { cpu_ns: ticks * tick_ns, tick_ns })
    }

    /// What was used since `earlier`, in a load that ran for `elapsed_ns`.
    pub(super) fn since(self, earlier: Self, elapsed_ns: u64) -> CostResult {
        CostResult {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            elapsed_ns,
            method: CostMethod::Processes { within_ms: self.tick_ns / 1_000_000 }.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_never_runs_backwards() {
        let at = |cpu_ns| Meter { cpu_ns, tick_ns: 10_000_000 };
        assert_eq!(at(50).since(at(20), 9).cpu_ns, 30);
        assert_eq!(at(20).since(at(50), 9).cpu_ns, 0);
        assert_eq!(at(0).since(at(0), 9).method, CostMethod::Processes { within_ms: 10 }.into());
    }
}
