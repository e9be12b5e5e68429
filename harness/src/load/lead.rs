//! How long before an attempt is due the load client stays awake for it.
//!
//! A timer that fires on time still takes 20 to 50 µs to wake who sleeps (a virtual machine, Linux 6.18), and a
//! processor that fell asleep longer. Who is awake a moment before begins on time. That takes a processor for that moment,
//! which is to be one that nobody else needs: whether there is one shows in how long processors were idle, and before that is
//! known, in how many threads run as the load begins.

use holdline_contract::clock::now_ns;

use crate::kernel::idle::{self, IdleTime};

/// How long before an attempt is due the client stays awake, in nanoseconds.
const LEAD_NS: u64 = 50_000;
/// After so long it is decided anew, in nanoseconds: idle time is told in hundredths of a second.
const PERIOD_NS: u64 = 100_000_000;
/// The same for the first time.
const FIRST_NS: u64 = 15_000_000;
/// So much of a processor is left idle, at least, in thousandths.
const LEFT_PERMILLE: u64 = 250;

/// How long before an attempt is due the client stays awake: not at all, or for a moment.
#[derive(Debug)]
pub(super) struct Lead {
    idle: IdleTime,
    /// When it was decided last, and for how long processors had been idle by then; `None`: not known.
    before: Option<(u64, Option<u64>)>,
    /// For how many attempts the client has waited since.
    waits: u64,
    /// When the one was due for which it waited last.
    due_ns: u64,
    is_on: bool,
    /// After how long it is decided.
    period_ns: u64,
}

impl Lead {
    /// Of a load that is about to begin: nothing is known of the machine yet.
    pub(super) fn new() -> Self {
        Self {
            idle: IdleTime::of_machine(),
            before: None,
            waits: 0,
            due_ns: 0,
            is_on: false,
            period_ns: FIRST_NS,
        }
    }

    /// How long before the next attempt, which is due at this instant, the client is to be awake, in nanoseconds.
    pub(super) fn ns(&mut self, at_ns: u64, due_ns: u64) -> u64 {
        self.waits += u64::from(due_ns != self.due_ns);
        self.due_ns = due_ns;
        match self.before {
            None => {
                self.is_on = is_somebody_idle(idle::running(), idle::processors());
                self.before = Some((at_ns, self.idle.ns()));
            }
            Some((before_ns, idle_before_ns)) if at_ns.saturating_sub(before_ns) >= self.period_ns => {
                let idle_ns = self.idle.ns();
                let idle = idle_ns.zip(idle_before_ns).map(|(now, before)| now.saturating_sub(before));
                let elapsed_ns = at_ns - before_ns;
                self.is_on = idle.is_some_and(|idle| has_room(elapsed_ns, idle, self.waits, self.is_on));
                // To read it takes a moment.
                (self.before, self.waits, self.period_ns) = (Some((now_ns(), idle_ns)), 0, PERIOD_NS);
            }
            Some(_) => {}
        }
        if self.is_on { LEAD_NS.min(due_ns) } else { 0 }
    }
}

/// Whether one of so many processors is idle while so many threads run, the caller's among them. Where it is not known how many
/// run, none is.
fn is_somebody_idle(running: Option<u64>, processors: usize) -> bool {
    running.is_some_and(|running| running < processors as u64)
}

/// Whether processors leave room for being awake before each of so many attempts in this time, for which all of them
/// together were idle for so long; `was_on`: beside a client that was awake already.
fn has_room(elapsed_ns: u64, idle_ns: u64, waits: u64, was_on: bool) -> bool {
    // It is awake for no longer than all the time.
    let awake_ns = waits.saturating_mul(LEAD_NS).min(elapsed_ns);
    let free_ns = idle_ns + if was_on { awake_ns } else { 0 };
    free_ns >= awake_ns + elapsed_ns / 1000 * LEFT_PERMILLE
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn who_needs_the_processors_has_them() {
        // One processor and a half idle, and 10 000 attempts a second, for which half a processor is awake.
        assert!(has_room(SECOND_NS, SECOND_NS / 10 * 15, 10_000, false));
        assert!(has_room(SECOND_NS, SECOND_NS, 10_000, true), "of its own time it takes none away");
        assert!(!has_room(SECOND_NS, SECOND_NS / 2, 10_000, false));
        assert!(!has_room(SECOND_NS, SECOND_NS / 10, 10_000, true), "somebody else came");
        assert!(!has_room(SECOND_NS, 0, 20, false));
        assert!(has_room(SECOND_NS, SECOND_NS / 3, 20, false), "few attempts take next to nothing");
        assert!(!has_room(SECOND_NS, SECOND_NS, u64::MAX, false));
        assert!(has_room(SECOND_NS, SECOND_NS * 2, u64::MAX, false));
    }

    #[test]
    fn it_stays_as_it_is_where_nobody_else_comes_or_goes() {
        for (idle, waits) in [(13, 10_000), (3, 10_000), (20, 30_000), (12, 30_000), (1, 100)] {
            let free_ns = SECOND_NS / 10 * idle;
            let mut is_on = false;
            let mut seen = Vec::new();
            for _ in 0..6 {
                let awake_ns = if is_on { (waits * LEAD_NS).min(SECOND_NS) } else { 0 };
                is_on = has_room(SECOND_NS, free_ns.saturating_sub(awake_ns), waits, is_on);
                seen.push(is_on);
            }
            assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{idle} {waits}: {seen:?}");
        }
    }

    #[test]
    fn at_first_it_counts_who_runs() {
        assert!(is_somebody_idle(Some(1), 2) && is_somebody_idle(Some(3), 4));
        assert!(
            !is_somebody_idle(Some(2), 2) && !is_somebody_idle(Some(1), 1) && !is_somebody_idle(None, 64)
        );
        let mut lead = Lead::new();
        assert!(lead.ns(5, LEAD_NS) <= LEAD_NS && lead.ns(FIRST_NS, LEAD_NS * 2) <= LEAD_NS);
        assert_eq!(lead.waits, 2);
    }
}
