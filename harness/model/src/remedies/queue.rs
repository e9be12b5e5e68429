//! Where an accept queue was full, or was closed while others of the same address stayed.

use super::listening::{closed_under, others_beside};
use super::{Evidence, Find, Loss};
use crate::record::Listener;
use crate::result::{Change, Need};
use crate::words::{Fate, Transport};

/// A longer queue, for those whose SYN was dropped, or who were reset for want of room. Where nobody accepted any
/// more, or never fast enough, none is long enough.
pub(super) fn backlog(evidence: &Evidence<'_>, losses: &[Loss<'_>]) -> Vec<Find> {
    let kernel = evidence.story.records.kernel;
    let overflowed = |loss: &&Loss<'_>| {
        loss.is(Fate::SynDropped) || loss.is(Fate::QueueReset) && closed_under(evidence, loss).is_none()
    };
    let saved: Vec<Loss<'_>> = losses.iter().filter(overflowed).copied().collect();
    let Some(fullest) = kernel.listeners.iter().max_by_key(|listener| fill(listener)) else {
        return Vec::new();
    };
    let was_full = fullest.queue_max > fullest.limit || kernel.listeners.iter().any(dropped);
    let at_least = match evidence.advised.map(|advised| advised.need) {
        Some(Need::Endless | Need::TooMuch { .. }) => return Vec::new(),
        Some(Need::Stall { backlog, .. } | Need::AtOnce { backlog }) => {
            Some(backlog.max(u64::from(fullest.limit) + 1))
        }
        None if !was_full => return Vec::new(),
        None => None,
    };
    let somaxconn = kernel
        .somaxconn
        .filter(|allowed| at_least.unwrap_or_else(|| u64::from(fullest.limit) + 1) > u64::from(*allowed));
    let change = Change::Backlog { at_least, had: fullest.limit, somaxconn };
    Find::of(change, &saved).into_iter().collect()
}

/// The kernel moves what waits in the queue of one listener to another of the same address.
pub(super) fn migrate(evidence: &Evidence<'_>, losses: &[Loss<'_>]) -> Vec<Find> {
    let records = evidence.story.records;
    let is_possible = records.transport != Transport::Unix && records.kernel.tcp_migrate_req != Some(true);
    if !is_possible {
        return Vec::new();
    }
    let beside =
        |loss: &Loss<'_>| closed_under(evidence, loss).map_or(0, |closed| others_beside(evidence, closed));
    let saved: Vec<Loss<'_>> = losses.iter().filter(|loss| beside(loss) > 0).copied().collect();
    let listeners = saved.iter().map(|loss| beside(loss) + 1).max().unwrap_or(0);
    Find::of(Change::MigrateRequests { listeners }, &saved).into_iter().collect()
}

/// How full a queue was, of a million.
fn fill(listener: &Listener) -> u64 {
    u64::from(listener.queue_max) * 1_000_000 / u64::from(listener.limit).max(1)
}

fn dropped(listener: &Listener) -> bool {
    listener.drops.is_some_and(|drops| drops > 0)
}
