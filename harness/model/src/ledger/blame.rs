//! Who is to blame for an attempt that was lost, and whether it may be sent again.

use super::{Attempt, NO_WORKER, TrialRecords, WorkerLog};
use crate::record::{ClientRecord, Outcome};
use crate::words::{Blame, Fate, Retry};

/// For each worker, when it crashed by its own fault. Found once: an attempt that was lost must not
/// cost a look through the whole log of the worker that lost it.
pub(super) fn crash_instants(records: &TrialRecords<'_>) -> Vec<Option<u64>> {
    records.workers.unwrap_or_default().iter().map(WorkerLog::crashed_ns).collect()
}

pub(super) fn blame_of(
    records: &TrialRecords<'_>,
    crashes_ns: &[Option<u64>],
    record: &ClientRecord,
    attempt: &Attempt,
) -> Blame {
    let never_left_queue = matches!(attempt.fate, Fate::Refused | Fate::SynDropped | Fate::QueueReset);
    let reached_worker = attempt.worker != NO_WORKER || !records.tell_accepts() && !never_left_queue;
    // Of a request that was not sent, nobody can have died.
    if record.poison && reached_worker && !record.ended_in_tls() {
        return Blame::Poison;
    }
    if was_cut_short(records, record, attempt)
        && reached_worker
        && worker_crashed(records, crashes_ns, attempt, record)
    {
        return Blame::InFlight;
    }
    Blame::Collateral
}

/// Whether an attempt ended as it does when the worker that has it dies: without a complete reply, or with
/// that of a gateway in front of it, which says so by 502 or 504 (RFC 9110, sections 15.6.3 and 15.6.5). One may also hand on
/// as all of a reply what it has got of it, as nginx does with what comes by FastCGI: where nobody tells who had it, a reply
/// that is not the answer may be that.
fn was_cut_short(records: &TrialRecords<'_>, record: &ClientRecord, attempt: &Attempt) -> bool {
    match record.outcome {
        Outcome::ErrorReply(status) => matches!(status, 502 | 504),
        Outcome::WrongReply => records.workers.is_none(),
        Outcome::Tls(failure) => failure.is_cut(),
        // Who says that it has not begun has not died of it.
        Outcome::Stream(end) => !end.is_untouched(),
        _ => matches!(attempt.fate, Fate::NoReply | Fate::Truncated),
    }
}

/// Whether the worker that had accepted this attempt crashed before it ended, by its own fault or by
/// a signal that the injector sent: a worker that its supervisor stops has not crashed. Of a worker
/// with several connections, this is so for all that were open.
fn worker_crashed(
    records: &TrialRecords<'_>,
    crashes_ns: &[Option<u64>],
    attempt: &Attempt,
    record: &ClientRecord,
) -> bool {
    let Some(log) = records.workers.unwrap_or_default().get(attempt.worker as usize) else {
        // Nobody knows who had accepted it: an attempt that was open when a worker died, and ended
        // after that, may have been that worker's.
        let span = record.started.zip(record.finished).map(|(start, end)| (start.get(), end.get()));
        let mut ends_ns =
            records.deaths.iter().map(|death| death.at_ns).chain(crashes_ns.iter().flatten().copied());
        return !records.tell_accepts()
            && span
                .is_some_and(|(start_ns, end_ns)| ends_ns.any(|at_ns| start_ns <= at_ns && at_ns <= end_ns));
    };
    // A worker records its crash before it fails, so that no client can see the end of it earlier;
    // of a death from outside, the instant is only known after the fact.
    let ended_ns = record.finished.map_or(u64::MAX, std::num::NonZeroU64::get);
    let crashed_ns = crashes_ns.get(attempt.worker as usize).copied().flatten();
    crashed_ns.is_some_and(|crashed_ns| crashed_ns <= ended_ns)
        || records.deaths.iter().any(|death| death.pid == log.pid)
}

/// Safe is what nobody accepted, what ended before anything was asked, what was sent behind a request with the reply
/// to which the server said that it closes (RFC 9112, section 9.6), and what a server that was there turned away: 503 says that it could not
/// handle the request (RFC 9110, section 15.6.4), REFUSED_STREAM and GOAWAY that it was not begun (RFC 9113, section 8.7). Behind any other status something may have been done.
pub(super) fn retry_of(records: &TrialRecords<'_>, record: &ClientRecord, attempt: &Attempt) -> Retry {
    let is_safe = match attempt.fate {
        Fate::Refused | Fate::SynDropped | Fate::QueueReset | Fate::NotSent => true,
        Fate::ErrorReply if record.outcome == Outcome::ErrorReply(503) => true,
        _ => {
            record.ended_in_tls()
                || record.unasked
                || record.was_turned_away()
                || record.announced
                || records.tell_accepts() && attempt.worker == NO_WORKER
        }
    };
    // What was sent twice may have been done the first time.
    if is_safe && !record.was_retried() { Retry::Safe } else { Retry::Ambiguous }
}
