//! Where requests were cut by whoever had been asked to stop: it would have had to take longer.

use std::num::NonZeroU64;

use super::{Evidence, Find, Loss};
use crate::ledger::Attempt;
use crate::record::ClientRecord;
use crate::requests::last_answered;
use crate::result::{Change, DrainBasis};
use crate::scenario::Action;
use crate::words::{Fate, Verb};

/// Signals by which processes are asked to end, or to begin anew.
const ASK: [&str; 6] = ["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"];

/// A request that was cut.
struct Cut<'a> {
    loss: Loss<'a>,
    /// When whoever had it was asked to stop.
    asked_ns: u64,
    /// Since when it was in its hands.
    since_ns: u64,
}

pub(super) fn drain(evidence: &Evidence<'_>, losses: &[Loss<'_>]) -> Vec<Find> {
    let cut: Vec<Cut<'_>> = losses.iter().filter_map(|loss| cut(evidence, loss)).collect();
    let Some(first_ns) = cut.iter().map(|cut| cut.asked_ns).min() else { return Vec::new() };
    let lived_ns = cut.iter().map(|cut| cut.loss.ended_ns().saturating_sub(cut.asked_ns)).max().unwrap_or(0);
    let needed = longest_served_ns(evidence, first_ns).map(|took_ns| {
        let rest_ns = |cut: &Cut<'_>| (cut.since_ns + took_ns).saturating_sub(cut.asked_ns);
        (cut.iter().map(rest_ns).max().unwrap_or(0), took_ns)
    });
    // One that took longer than any that was answered needs more than it had, and how much is not known.
    let change = match needed.filter(|(needed_ns, _)| *needed_ns > lived_ns) {
        Some((at_least_ns, took_ns)) => {
            Change::Drain { at_least_ns, basis: DrainBasis::LongestServed { took_ns } }
        }
        None => Change::Drain { at_least_ns: lived_ns, basis: DrainBasis::LongestCut },
    };
    let saved: Vec<Loss<'_>> = cut.into_iter().map(|cut| cut.loss).collect();
    Find::of(change, &saved).into_iter().collect()
}

/// One that ended without a complete reply after somebody was asked to stop.
fn cut<'a>(evidence: &Evidence<'_>, loss: &Loss<'a>) -> Option<Cut<'a>> {
    if !loss.is(Fate::NoReply) && !loss.is(Fate::Truncated) {
        return None;
    }
    let asks = |action: &Action| match action {
        Action::Control { verb, .. } => *verb != Verb::Scale,
        Action::Signal { signal, .. } => ASK.contains(&signal.name()),
        Action::Poison(_) | Action::Crash { .. } | Action::Pause { .. } => false,
    };
    let before = evidence.asked(asks).map(|(at_ns, _)| at_ns).filter(|at_ns| *at_ns <= loss.ended_ns());
    Some(Cut { loss: *loss, asked_ns: before.max()?, since_ns: since_ns(evidence, loss) })
}

/// When the request that was cut came into the server's hands: of a session, a gap after the answer before.
fn since_ns(evidence: &Evidence<'_>, loss: &Loss<'_>) -> u64 {
    if loss.record.requests_answered > 0
        && let Some(last) = last_answered(evidence.story.records.requests).get(&loss.record.attempt)
    {
        return last.answered_ns + evidence.scenario.load.connection.of_attempt(loss.record.attempt).gap_ns;
    }
    begun_ns(loss.attempt, loss.record)
}

fn begun_ns(attempt: &Attempt, record: &ClientRecord) -> u64 {
    let stamp = attempt.accepted.or(record.connected).or(record.started);
    stamp.map_or(record.intended_ns, NonZeroU64::get)
}

/// The longest that a request was in the server's hands which it answered, of those that were answered before
/// anybody was asked to stop, or else of all.
fn longest_served_ns(evidence: &Evidence<'_>, asked_ns: u64) -> Option<u64> {
    let story = &evidence.story;
    let requests = story.records.requests.iter().map(|request| (request.latency_ns(), request.answered_ns));
    let whole = story.reconciled.attempts.iter().filter(|attempt| attempt.fate == Fate::Served);
    let whole = whole.filter_map(|attempt| {
        let record = story.records.client.get(attempt.record as usize)?;
        let ended_ns = record.finished?.get();
        (record.requests_answered <= 1)
            .then(|| (ended_ns.saturating_sub(begun_ns(attempt, record)), ended_ns))
    });
    let all: Vec<(u64, u64)> = requests.chain(whole).collect();
    let before = all.iter().filter(|(_, ended_ns)| *ended_ns <= asked_ns).map(|(took_ns, _)| *took_ns).max();
    before.or_else(|| all.iter().map(|(took_ns, _)| *took_ns).max())
}
