//! The same stories where workers are applications beneath a server, which record what they read.

use super::*;
use crate::record::{AcceptSamples, HalfOpen, Waiting};

/// Takes out of the ledgers what an application is not told; of clients, only `names_clients` tells.
fn as_applications(trial: &mut Trial, names_clients: bool) {
    for log in &mut trial.workers {
        let mut attempt = None;
        log.records.gathered().retain_mut(|record| {
            if record.kind == RecordKind::Accepted {
                attempt = record.peer;
            }
            record.connection = 0;
            record.peer = attempt.filter(|_| names_clients);
            matches!(record.kind, RecordKind::Read | RecordKind::Crash)
        });
    }
}

fn applications<'a>(trial: &'a Trial, attempts: usize) -> TrialRecords<'a> {
    TrialRecords { accepts_stamped: false, ..records(trial, attempts) }
}

/// What is known of a story where nobody says who was accepted.
fn expected(story: Story) -> (Fate, Option<Blame>, Option<Retry>) {
    match story {
        Story::NeverAccepted => (Fate::TimedOut, Some(Blame::Collateral), Some(Retry::Ambiguous)),
        _ => story.expected(),
    }
}

proptest! {
    #[test]
    fn every_attempt_gets_the_fate_it_had(stories in stories(), names_clients: bool) {
        let mut trial = trial(&stories);
        as_applications(&mut trial, names_clients);
        let reconciled = reconcile(&applications(&trial, stories.len()));
        prop_assert!(reconciled.books.is_balanced(), "{}", reconciled.books);
        for (attempt, story) in reconciled.attempts.iter().zip(&stories) {
            prop_assert_eq!((attempt.fate, attempt.blame, attempt.retry), expected(*story), "{:?}", story);
            prop_assert!(attempt.accepted.is_none());
            // Of whoever asks for nothing, an application hears nothing.
            let is_read = story.is_accepted() && *story != Story::AsksNothing;
            prop_assert_eq!(attempt.worker != NO_WORKER, is_read, "{:?}", story);
        }
    }

    #[test]
    fn a_request_that_was_read_otherwise_or_not_at_all_is_noticed(
        before in 0..5_usize, names_clients: bool, is_lost: bool,
    ) {
        let mut trial = trial(&vec![Story::Served; before + 1]);
        as_applications(&mut trial, names_clients);
        let reads = trial.workers[0].records.gathered();
        if is_lost {
            reads.pop();
        } else {
            reads.last_mut().expect("a read").detail = 1000;
        }
        let books = reconcile(&applications(&trial, before + 1)).books;
        prop_assert!(!books.is_balanced());
    }
}

#[test]
fn what_was_open_when_an_application_failed_and_was_never_read_was_in_flight() {
    let mut trial = trial(&[Story::Poisoned, Story::Dropped, Story::Dropped]);
    as_applications(&mut trial, true);
    let crash_ns = trial.workers[0].crashed_ns().expect("a crash");
    trial.workers.iter_mut().for_each(|log| log.records.gathered().retain(|record| record.detail != 1));
    // The second was connected when the first failed, and nobody had read it.
    trial.client[1].started = at(crash_ns - 1);
    trial.client[1].finished = at(crash_ns + 1);
    let attempts = reconcile(&applications(&trial, 3)).attempts;
    assert_eq!((attempts[1].fate, attempts[1].blame), (Fate::NoReply, Some(Blame::InFlight)));
    assert_eq!((attempts[2].fate, attempts[2].blame), (Fate::NoReply, Some(Blame::Collateral)));
}

#[test]
fn an_error_that_the_server_caught_excuses_nobody() {
    let mut trial = trial(&[Story::Poisoned, Story::Dropped]);
    as_applications(&mut trial, true);
    let caught = crash_detail(CrashStep::Work, CrashMode::Catch);
    let crash = trial.workers[0].records.gathered().last_mut().expect("a crash");
    crash.detail = caught;
    trial.client[1].started = trial.client[0].started;
    let attempts = reconcile(&applications(&trial, 2)).attempts;
    assert_eq!(attempts[0].blame, Some(Blame::Poison));
    assert_eq!(attempts[1].blame, Some(Blame::Collateral));
}

#[test]
fn requests_of_a_session_belong_to_it_whoever_the_server_says_the_client_is() {
    let mut trial = sessions();
    for log in &mut trial.workers {
        log.records.gathered().retain_mut(|record| {
            (record.peer, record.connection) = (None, 0);
            record.kind == RecordKind::Read
        });
    }
    let reconciled = reconcile(&applications(&trial, 2));
    assert!(reconciled.books.is_balanced(), "{}", reconciled.books);
    assert!(reconciled.attempts.iter().all(|attempt| attempt.worker != NO_WORKER));
}

#[test]
fn poison_that_was_read_did_not_wait_in_the_queue_of_the_listener_that_closed_with_its_worker() {
    let mut trial = trial(&[Story::Served, Story::QueueReset]);
    as_applications(&mut trial, false);
    trial.client[1].poison = true;
    let (log, start_ns) = (&mut trial.workers[0], trial.client[1].intended_ns);
    let read = WorkerRecord { at_ns: start_ns + 30, detail: u64::MAX, ..log.records.gathered()[0] };
    let detail = crash_detail(CrashStep::Work, CrashMode::Kill);
    log.records
        .gathered()
        .extend([read, WorkerRecord { kind: RecordKind::Crash, at_ns: start_ns + 50, detail, ..read }]);
    let reconciled = reconcile(&applications(&trial, 2));
    assert!(reconciled.books.is_balanced(), "{}", reconciled.books);
    let attempt = reconciled.attempts[1];
    assert_eq!((attempt.fate, attempt.blame), (Fate::NoReply, Some(Blame::Poison)));
    // Read before the only poison set out, it was nobody's.
    trial.workers[0].records.gathered()[1].at_ns = start_ns - 30;
    assert!(!reconcile(&applications(&trial, 2)).books.is_balanced());
}

#[test]
fn what_had_left_the_queue_before_its_listener_closed_was_accepted() {
    let mut trial = trial(&[Story::QueueReset, Story::QueueReset]);
    let fates = |trial: &Trial| {
        let attempts = reconcile(&TrialRecords { workers: None, ..records(trial, 2) }).attempts;
        [attempts[0].fate, attempts[1].fate]
    };
    assert_eq!(fates(&trial), [Fate::QueueReset, Fate::QueueReset]);
    // Of the second a look knows that it waited, of the first that it did not; the listeners closed later.
    let looks = (0..3000).map(|look| (look * 1_000_000, look * 1_000_000 + 10)).collect();
    let connected_ns = trial.client[1].connected.expect("connected").get();
    let waiting = vec![Waiting {
        attempt: 1,
        first_seen_ns: connected_ns,
        last_seen_ns: connected_ns + 5_000_000,
        gone_ns: Some(connected_ns + 6_000_000),
    }];
    trial.kernel.accepts = Some(AcceptSamples {
        waiting,
        half_open: Vec::new(),
        looks,
        interval_ns: 1_000_000,
        interval_ns_max: 1_000_000,
    });
    for (client, listener) in trial.client.iter_mut().zip(&mut trial.kernel.listeners) {
        let closed_ns = client.intended_ns + 5_500_000;
        client.finished = at(closed_ns);
        (listener.last_seen_ns, listener.gone_ns) = (Some(closed_ns - 1000), Some(closed_ns + 1000));
    }
    assert_eq!(fates(&trial), [Fate::NoReply, Fate::QueueReset]);
}

/// One that the server's kernel keeps half-open is in no queue, and has not left it.
#[test]
fn what_was_kept_back_half_open_until_its_listener_closed_was_accepted_by_nobody() {
    let mut trial = trial(&[Story::QueueReset]);
    let connected_ns = trial.client[0].connected.expect("connected").get();
    let closed_ns = connected_ns + 5_500_000;
    trial.client[0].finished = at(closed_ns + 1_000_000);
    let listener = &mut trial.kernel.listeners[0];
    (listener.last_seen_ns, listener.gone_ns) = (Some(closed_ns - 1000), Some(closed_ns + 1000));
    let fate = |trial: &Trial, last_seen_ns: Option<u64>| {
        let mut trial = trial.clone();
        trial.kernel.accepts = Some(AcceptSamples {
            waiting: Vec::new(),
            half_open: last_seen_ns
                .map(|last_seen_ns| HalfOpen { attempt: 0, last_seen_ns })
                .into_iter()
                .collect(),
            looks: (0..3000).map(|look| (look * 1_000_000, look * 1_000_000 + 10)).collect(),
            interval_ns: 1_000_000,
            interval_ns_max: 1_000_000,
        });
        reconcile(&TrialRecords { workers: None, ..records(&trial, 1) }).attempts[0].fate
    };
    assert_eq!(fate(&trial, None), Fate::NoReply);
    assert_eq!(fate(&trial, Some(closed_ns - 500_000)), Fate::QueueReset);
    assert_eq!(fate(&trial, Some(closed_ns + 500_000)), Fate::QueueReset);
    // Handed over long before the listener closed.
    assert_eq!(fate(&trial, Some(connected_ns + 1_000_000)), Fate::NoReply);
}

#[test]
fn what_ended_before_anything_was_asked_is_safe_to_retry() {
    let mut trial = trial(&[Story::QueueReset]);
    trial.kernel.listeners.clear();
    let retry = |trial: &Trial| {
        let attempt = reconcile(&TrialRecords { workers: None, ..records(trial, 1) }).attempts[0];
        (attempt.fate, attempt.retry)
    };
    assert_eq!(retry(&trial), (Fate::NoReply, Some(Retry::Ambiguous)));
    trial.client[0].unasked = true;
    assert_eq!(retry(&trial), (Fate::NoReply, Some(Retry::Safe)));
}
