//! Attempts that had no TLS.

use super::*;
use crate::tls::TlsFailure;

/// What becomes of an attempt with this story whose handshake failed so; workers keep no ledger.
fn failed(
    story: Story,
    failure: TlsFailure,
    adapt: impl FnOnce(&mut Trial),
) -> (Fate, Option<Blame>, Option<Retry>) {
    let mut trial = trial(&[story]);
    trial.client[0].outcome = Outcome::Tls(failure);
    trial.client[0].requests_answered = 0;
    adapt(&mut trial);
    let death = InjectedDeath { pid: 7, at_ns: SECOND_NS + 500, had: None };
    let deaths = [death];
    let records = TrialRecords {
        workers: None,
        accepts_stamped: false,
        deaths: if story == Story::InFlight { &deaths } else { &[] },
        ..records(&trial, 1)
    };
    let reconciled = reconcile(&records);
    assert!(reconciled.books.is_balanced(), "{}", reconciled.books);
    let attempt = reconciled.attempts[0];
    (attempt.fate, attempt.blame, attempt.retry)
}

const COLLATERAL: (Fate, Option<Blame>, Option<Retry>) =
    (Fate::NoReply, Some(Blame::Collateral), Some(Retry::Safe));

#[test]
fn whatever_a_handshake_failed_of_nothing_was_asked() {
    for failure in TlsFailure::NAMED {
        assert_eq!(failed(Story::Dropped, failure, |_| {}), COLLATERAL, "{failure:?}");
    }
    assert_eq!(failed(Story::Dropped, TlsFailure::Alert(40), |_| {}), COLLATERAL);
}

#[test]
fn one_that_was_cut_in_the_queue_or_by_a_death_is_told_from_one_that_the_client_gave_up() {
    let queue_reset = (Fate::QueueReset, Some(Blame::Collateral), Some(Retry::Safe));
    let in_flight = (Fate::NoReply, Some(Blame::InFlight), Some(Retry::Safe));
    for cut in [TlsFailure::Cut, TlsFailure::Reset] {
        assert_eq!(failed(Story::QueueReset, cut, |_| {}), queue_reset);
        assert_eq!(failed(Story::InFlight, cut, |_| {}), in_flight);
    }
    for failure in [TlsFailure::Expired, TlsFailure::Alert(80)] {
        assert_eq!(failed(Story::QueueReset, failure, |_| {}), COLLATERAL);
        assert_eq!(failed(Story::InFlight, failure, |_| {}), COLLATERAL);
    }
}

#[test]
fn poison_that_was_not_sent_is_not_to_blame_and_what_was_sent_is_ambiguous() {
    let poisoned = |trial: &mut Trial| trial.client[0].poison = true;
    assert_eq!(failed(Story::Dropped, TlsFailure::Cut, poisoned), COLLATERAL);
    // In TLS 1.3 a server refuses the client's certificate once the request is on its way.
    let sent = |trial: &mut Trial| trial.client[0].tls = at(SECOND_NS + 500);
    let ambiguous = (Fate::NoReply, Some(Blame::Collateral), Some(Retry::Ambiguous));
    assert_eq!(failed(Story::Dropped, TlsFailure::Alert(116), sent), ambiguous);
}
