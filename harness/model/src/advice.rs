//! The backlog that a trial's load would have needed: what to advise, from what was recorded.
//!
//! Whoever has set out and is not accepted yet wants a place in the accept queue, whether the kernel
//! gave it one or dropped its SYN. The most of these at any instant is the backlog that was needed,
//! and what kept them waiting is the time without an accept around that instant.
//!
//! It is advice for this load on this machine, not a bound: another time the restart takes longer.
//! Where attempts come faster than they are accepted all the time, no backlog is long enough; the advice
//! says so. It is given only where a queue was full, or nearly so.

use crate::ledger::{Reconciled, TrialRecords};
use crate::record::{ClientRecord, Listener};
use crate::result::{Advice, Backlog, Need};
use crate::series::Series;
use crate::words::Fate;

/// A queue that was filled to this share of its limit, in per cent, came near it.
const NEAR_PERCENT: u64 = 80;
/// But not with fewer than this: two clients that meet are no sign of anything.
const NEAR_MIN: u32 = 8;
/// A time without an accept that is shorter than this is the scheduler's doing, not a restart's.
const STALL_NS_MIN: u64 = 10_000_000;
/// Over a load shorter than this, no rates can be told.
const RATE_NS_MIN: u64 = 200_000_000;

/// The advice for a trial, if its queue was full or nearly so and it is known who was accepted when.
/// `backlog_asked` is what the scenario asks the listener for.
#[must_use]
pub fn advice(
    backlog_asked: u32,
    records: &TrialRecords<'_>,
    reconciled: &Reconciled,
    start_ns: u64,
) -> Option<Advice> {
    let knows_accepts = records.tell_accepts() || records.kernel.accepts.is_some();
    let listener = fullest(&records.kernel.listeners)?;
    let overflowed = has_overflowed(records, reconciled, listener);
    let came_near = listener.queue_max >= NEAR_MIN
        && u64::from(listener.queue_max) * 100 >= u64::from(listener.limit) * NEAR_PERCENT;
    if !knows_accepts || !(overflowed || came_near) {
        return None;
    }
    let demand = Demand::of(records.client, reconciled, start_ns)?;
    let backlog = Backlog {
        listeners: at_once(&records.kernel.listeners),
        asked: backlog_asked,
        limit: listener.limit,
        somaxconn: records.kernel.somaxconn,
    };
    Some(Advice { need: demand.need(), backlog })
}

/// The listener whose queue came closest to its limit, or went beyond it the farthest.
fn fullest(listeners: &[Listener]) -> Option<&Listener> {
    listeners
        .iter()
        .max_by_key(|listener| u64::from(listener.queue_max) * 1_000_000 / u64::from(listener.limit).max(1))
}

fn has_overflowed(records: &TrialRecords<'_>, reconciled: &Reconciled, fullest: &Listener) -> bool {
    fullest.queue_max > fullest.limit
        || records.kernel.listeners.iter().any(|listener| listener.drops.is_some_and(|drops| drops > 0))
        || records.client.iter().any(|record| record.syn_retransmits > 0)
        || reconciled.attempts.iter().any(|attempt| attempt.fate == Fate::SynDropped)
}

/// The most listeners that were open at the same time.
fn at_once(listeners: &[Listener]) -> u64 {
    let open_at = |ns: u64| {
        listeners
            .iter()
            .filter(|listener| {
                listener.opened_ns <= ns && listener.gone_ns.is_none_or(|gone_ns| gone_ns > ns)
            })
            .count() as u64
    };
    listeners.iter().map(|listener| open_at(listener.opened_ns)).max().unwrap_or(0)
}

/// How many wanted in at the worst instant, and what kept them waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Demand {
    /// The most that had set out and were not accepted yet.
    peak: u64,
    /// How many still were when the last attempt set out.
    at_last_start: u64,
    /// The last accept before the peak, or the load's start, in CLOCK_MONOTONIC nanoseconds.
    stalled_from_ns: u64,
    /// The first accept after the peak; `None`: there was none.
    stalled_to_ns: Option<u64>,
    /// Attempts that set out in between, and of these in the second half.
    in_stall: u64,
    in_second_half: u64,
    /// Attempts that set out up to the last start, accepts up to then, and how long that took.
    started: u64,
    accepted: u64,
    lasted_ns: u64,
}

impl Demand {
    fn of(client: Series<'_, ClientRecord>, reconciled: &Reconciled, start_ns: u64) -> Option<Self> {
        let (mut starts, mut accepts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for attempt in &reconciled.attempts {
            let Some(record) = client.get(attempt.record as usize) else { continue };
            // Where nobody listened, no backlog would have helped.
            if matches!(attempt.fate, Fate::Refused | Fate::NotSent) {
                continue;
            }
            // What goes over a connection that is open already waits in no queue.
            let Some(started) = record.started.filter(|_| record.opened()) else { continue };
            starts.push(started.get());
            accepts.extend(attempt.accepted.map(std::num::NonZeroU64::get));
            ends.extend(attempt.accepted.or(record.finished).map(std::num::NonZeroU64::get));
        }
        starts.sort_unstable();
        accepts.sort_unstable();
        ends.sort_unstable();
        let last_start_ns = *starts.last()?;
        let ended_by = |ns: u64| ends.partition_point(|end_ns| *end_ns < ns) as u64;
        // The number of those who wait is highest just when one more sets out.
        let (peak, peak_ns) = (1..)
            .zip(&starts)
            .map(|(started, ns)| (started - ended_by(*ns).min(started), *ns))
            .max_by_key(|(waiting, _)| *waiting)?;
        let next = accepts.partition_point(|ns| *ns < peak_ns);
        let stalled_from_ns = next.checked_sub(1).map_or(start_ns, |index| accepts[index]);
        let stalled_to_ns = accepts.get(next).copied();
        let half_ns = stalled_to_ns.map_or(u64::MAX, |to_ns| stalled_from_ns.midpoint(to_ns));
        let started_by = |ns: u64| starts.partition_point(|start_ns| *start_ns <= ns) as u64;
        Some(Self {
            peak,
            at_last_start: starts.len() as u64 - ended_by(last_start_ns).min(starts.len() as u64),
            stalled_from_ns,
            stalled_to_ns,
            in_stall: started_by(stalled_to_ns.unwrap_or(u64::MAX)) - started_by(stalled_from_ns),
            in_second_half: started_by(stalled_to_ns.unwrap_or(u64::MAX)) - started_by(half_ns),
            started: starts.len() as u64,
            accepted: accepts.partition_point(|ns| *ns <= last_start_ns) as u64,
            lasted_ns: last_start_ns.saturating_sub(starts[0]),
        })
    }

    fn need(&self) -> Need {
        let Some(stalled_to_ns) = self.stalled_to_ns else { return Need::Endless };
        let stalled_ns = stalled_to_ns.saturating_sub(self.stalled_from_ns);
        // Of a burst, all come at the beginning: its rate means nothing.
        let is_spread = self.in_second_half * 4 >= self.in_stall;
        if stalled_ns >= STALL_NS_MIN && is_spread && self.in_stall * 2 >= self.peak {
            return Need::Stall { came: self.in_stall, stalled_ns, backlog: self.peak };
        }
        if self.lasted_ns >= RATE_NS_MIN && self.at_last_start * 2 >= self.peak {
            return Need::TooMuch { came: self.started, accepted: self.accepted, lasted_ns: self.lasted_ns };
        }
        Need::AtOnce { backlog: self.peak }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use proptest::prelude::*;

    use super::*;
    use crate::ledger::{Attempt, Books, NO_WORKER};
    use crate::record::{KernelRecord, Outcome};
    use crate::words::Transport;

    const MS: u64 = 1_000_000;

    /// Each attempt: when it set out, and when it was accepted, in milliseconds.
    fn trial(attempts: &[(u64, Option<u64>)]) -> (Vec<ClientRecord>, Reconciled) {
        let stamp = |ms: u64| NonZeroU64::new(ms * MS);
        let record = |(attempt, (start, accepted)): (u32, &(u64, Option<u64>))| ClientRecord {
            requests_answered: 0,
            attempt,
            intended_ns: start * MS,
            started: stamp(*start),
            connected: stamp(*start),
            finished: stamp(accepted.unwrap_or(start + 5000)),
            outcome: Outcome::Replied,
            poison: false,
            syn_retransmits: 0,
            version: 0,
            ..ClientRecord::planned(0, 0, false)
        };
        let client: Vec<ClientRecord> = (0..).zip(attempts).map(record).collect();
        let attempt = |(record, (_, accepted)): (u32, &(u64, Option<u64>))| Attempt {
            waited_ns: 0,
            accepted: accepted.and_then(stamp),
            worker: if accepted.is_some() { 0 } else { NO_WORKER },
            record,
            fate: if accepted.is_some() { Fate::Served } else { Fate::TimedOut },
            blame: None,
            retry: None,
        };
        let attempts = (0..).zip(attempts).map(attempt).collect();
        (client, Reconciled { attempts, books: Books::default() })
    }

    fn listener(queue_max: u32, limit: u32) -> Listener {
        Listener {
            inode: 1,
            opened_ns: 0,
            last_seen_ns: None,
            gone_ns: None,
            holders: Vec::new(),
            queue_max,
            limit,
            drops: Some(0),
        }
    }

    fn given(attempts: &[(u64, Option<u64>)], asked: u32, listeners: Vec<Listener>) -> Option<Advice> {
        let (client, reconciled) = trial(attempts);
        let kernel = KernelRecord { listeners, somaxconn: Some(4096), ..KernelRecord::default() };
        let records = TrialRecords {
            said: &crate::said::NOTHING_SAID,
            requests: &[],
            transport: Transport::Tcp,
            attempts: client.len() as u32,
            client: (&client).into(),
            workers: Some(&[]),
            accepts_stamped: true,
            kernel: &kernel,
            deaths: &[],
            foreign_connects_expected: false,
            end_ns: u64::MAX,
        };
        advice(asked, &records, &reconciled, MS)
    }

    #[track_caller]
    fn needs(attempts: &[(u64, Option<u64>)], limit: u32, need: Need) {
        let given = given(attempts, limit, vec![listener(limit + 1, limit)]);
        let backlog = Backlog { listeners: 1, asked: limit, limit, somaxconn: Some(4096) };
        assert_eq!(given, Some(Advice { need, backlog }));
    }

    /// An attempt every 2 ms, accepted at once but for a second and a bit from 501 ms on.
    fn stalled() -> Vec<(u64, Option<u64>)> {
        (0..1000)
            .map(|index| {
                let start = 1 + index * 2;
                let accepted = if (501..1701).contains(&start) { 1701 + (start - 501) / 8 } else { start };
                (start, Some(accepted))
            })
            .collect()
    }

    const STALL: Need = Need::Stall { came: 601, stalled_ns: 1_202 * MS, backlog: 601 };

    #[test]
    fn a_stall_needs_what_comes_during_it() {
        needs(&stalled(), 128, STALL);
        let several = given(&stalled(), 4096, vec![listener(129, 128), listener(0, 128)]).expect("advice");
        assert_eq!(several.backlog, Backlog { listeners: 2, asked: 4096, limit: 128, somaxconn: Some(4096) });
    }

    #[test]
    fn advice_is_for_queues_that_were_full_or_nearly_so() {
        for (asked, listeners) in [
            (4096, vec![listener(601, 4096)]),
            (751, vec![listener(600, 751)]),
            (128, vec![]),
            (7, vec![listener(7, 7)]),
        ] {
            assert_eq!(given(&stalled(), asked, listeners), None, "{asked}");
        }
        let near = given(&stalled(), 750, vec![listener(601, 750)]).expect("advice");
        assert_eq!(near.need, STALL);
    }

    #[test]
    fn too_much_work_is_not_cured_by_a_backlog() {
        let slow: Vec<_> = (0..500).map(|index| (1 + index * 2, Some(5 + index * 10))).collect();
        needs(&slow, 16, Need::TooMuch { came: 500, accepted: 100, lasted_ns: 998 * MS });
    }

    #[test]
    fn a_burst_needs_room_for_all_of_it() {
        let burst: Vec<_> = (0..50).map(|index| (1, Some(2 + index))).chain([(900, Some(900))]).collect();
        needs(&burst, 16, Need::AtOnce { backlog: 50 });
        // All at once to a worker that takes long for each: nothing else comes while it works.
        let heavy: Vec<_> = (0..32).map(|index| (1, Some(2 + index * 100))).collect();
        needs(&heavy, 16, Need::AtOnce { backlog: 32 });
    }

    #[test]
    fn when_nobody_accepts_any_more_no_backlog_helps() {
        let dead: Vec<_> = (0..100).map(|index| (1 + index, (index < 10).then_some(1 + index))).collect();
        needs(&dead, 16, Need::Endless);
    }

    proptest! {
        /// The peak is what counting at every instant gives.
        #[test]
        fn the_peak_is_the_most_that_wait_at_once(
            attempts in prop::collection::vec((1..200_u64, prop::option::of(1..100_u64)), 1..60),
        ) {
            let attempts: Vec<_> =
                attempts.into_iter().map(|(start, wait)| (start, wait.map(|wait| start + wait))).collect();
            let (client, reconciled) = trial(&attempts);
            let waiting = |ms: u64| {
                let waits = |(start, accepted): &&(u64, Option<u64>)| {
                    *start <= ms && accepted.unwrap_or(start + 5000) >= ms
                };
                attempts.iter().filter(waits).count() as u64
            };
            let expected = (1..300).map(waiting).max().unwrap_or(0);
            prop_assert_eq!(Demand::of((&client).into(), &reconciled, MS).map(|demand| demand.peak), Some(expected));
        }
    }
}
