//! Where nobody listened: somebody else holds the listener, or the new one listens before the old one goes.

use super::{Evidence, Find, Loss};
use crate::explain::Gap;
use crate::ledger::closed_listener;
use crate::record::Listener;
use crate::result::Change;
use crate::scenario::Action;
use crate::words::{Fate, Verb};

/// Losses within a time when nobody listened.
struct Unheard<'a> {
    gap: Gap,
    refused: Vec<Loss<'a>>,
}

/// Who was refused when nobody listened, and who waited in a queue that was closed.
pub(super) fn hold(evidence: &Evidence<'_>, losses: &[Loss<'_>]) -> Vec<Find> {
    let unheard = unheard(evidence, losses);
    let closed: Vec<Loss<'_>> =
        losses.iter().filter(|loss| was_closed_alone(evidence, loss)).copied().collect();
    let is_endless = unheard.iter().any(|it| it.gap.to_ns.is_none());
    let longest = unheard.iter().filter_map(|it| it.gap.to_ns.map(|to_ns| to_ns - it.gap.from_ns)).max();
    let most = unheard.iter().map(|it| it.refused.len() as u64).max().unwrap_or(0);
    let change = Change::HoldListener {
        gap_ns: longest.filter(|_| !is_endless),
        backlog: (!is_endless).then_some((most + closed.len() as u64).max(1)),
    };
    let saved: Vec<Loss<'_>> = unheard.into_iter().flat_map(|it| it.refused).chain(closed).collect();
    Find::of(change, &saved).into_iter().collect()
}

/// Who was refused since the service was asked to do something for which it went before it was there again.
pub(super) fn start_first(evidence: &Evidence<'_>, losses: &[Loss<'_>]) -> Vec<Find> {
    let mut found: Vec<(Verb, u64, Vec<Loss<'_>>)> = Vec::new();
    for Unheard { gap, refused } in unheard(evidence, losses) {
        let (Some(to_ns), Some(verb)) = (gap.to_ns, replaces(evidence, gap.from_ns)) else { continue };
        let gap_ns = to_ns - gap.from_ns;
        match found.iter_mut().find(|(other, _, _)| *other == verb) {
            Some((_, longest_ns, all)) => {
                *longest_ns = (*longest_ns).max(gap_ns);
                all.extend(refused);
            }
            None => found.push((verb, gap_ns, refused)),
        }
    }
    let find = |(verb, gap_ns, refused): (Verb, u64, Vec<Loss<'_>>)| {
        Find::of(Change::StartNewFirst { verb, gap_ns }, &refused)
    };
    found.into_iter().filter_map(find).collect()
}

/// The verb that asked for a replacement, if that is the last that was done before an instant.
fn replaces(evidence: &Evidence<'_>, at_ns: u64) -> Option<Verb> {
    let by_ns = at_ns + evidence.story.slack_ns();
    let last =
        evidence.asked(|_| true).filter(|(asked_ns, _)| *asked_ns <= by_ns).max_by_key(|(ns, _)| *ns)?;
    let Action::Control { verb, .. } = last.1 else { return None };
    match verb {
        Verb::Restart | Verb::RollingRestart | Verb::Reload | Verb::Upgrade | Verb::UpgradeSupervisor => {
            Some(*verb)
        }
        Verb::Scale | Verb::Stop => None,
    }
}

/// Each time when nobody listened, with those who were refused then.
fn unheard<'a>(evidence: &Evidence<'_>, losses: &[Loss<'a>]) -> Vec<Unheard<'a>> {
    let slack_ns = evidence.story.slack_ns();
    let mut left: Vec<Loss<'a>> = losses.iter().filter(|loss| loss.is(Fate::Refused)).copied().collect();
    let mut unheard = Vec::new();
    for gap in evidence.story.gaps() {
        let within = |loss: &Loss<'_>| {
            loss.ended_ns() + slack_ns >= gap.from_ns
                && gap.to_ns.is_none_or(|to_ns| loss.ended_ns() <= to_ns + slack_ns)
        };
        let (refused, others) = left.into_iter().partition(within);
        left = others;
        unheard.push(Unheard { gap, refused });
    }
    unheard.retain(|it: &Unheard<'_>| !it.refused.is_empty());
    unheard
}

/// Whether it waited in the queue of a listener that closed while no other listened at the same address.
fn was_closed_alone(evidence: &Evidence<'_>, loss: &Loss<'_>) -> bool {
    closed_under(evidence, loss).is_some_and(|closed| others_beside(evidence, closed) == 0)
}

/// The listener in whose queue it waited when that was closed.
pub(super) fn closed_under<'a>(evidence: &Evidence<'a>, loss: &Loss<'_>) -> Option<&'a Listener> {
    let is_reset = loss.is(Fate::QueueReset);
    closed_listener(evidence.story.records, loss.attempt, loss.ended_ns()).filter(|_| is_reset)
}

/// How many other listeners there were when this one closed, which stayed.
pub(super) fn others_beside(evidence: &Evidence<'_>, closed: &Listener) -> u64 {
    let Some(gone_ns) = closed.gone_ns else { return 0 };
    let since_ns = closed.last_seen_ns.unwrap_or(gone_ns);
    let stays = |other: &&Listener| {
        !std::ptr::eq(*other, closed)
            && other.opened_ns < since_ns
            && other.gone_ns.is_none_or(|other_gone_ns| other_gone_ns > gone_ns)
    };
    evidence.story.records.kernel.listeners.iter().filter(stays).count() as u64
}
