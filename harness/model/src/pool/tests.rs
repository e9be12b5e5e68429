//! Pools as stories: what each attempt met, told by clients and workers, must come out again.

use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;
use crate::ledger::{TrialRecords, WorkerLog, reconcile};
use crate::record::{Carried, Ending, KernelRecord};
use crate::said::Said;
use crate::scenario::Pool;
use crate::shm::WorkerRecord;
use crate::wire::{Peer, client_v4};
use crate::words::{Fate, Retry, Transport};

const POOLED: Connection = Connection {
    pool: Some(Pool { idle_max: 4, idle_timeout_ns: None, retry: true }),
    ..Connection::ONE_SHOT
};

/// What an attempt meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meets {
    /// A fresh connection, and the answer.
    Fresh,
    /// One that others have used, if there is one, and the answer.
    Idle,
    /// The same, and an answer that is the last.
    LastOf,
    /// One that others have used, which ends before the answer; it is given up.
    Broken { read: bool },
    /// The same, and is sent once more.
    Retried { read: bool, served: bool },
}

/// A trial with one worker, told step by step.
struct Trial {
    client: Vec<ClientRecord>,
    log: WorkerLog,
    idle: Vec<(u32, u32)>,
    now_ns: u64,
    expected: PoolResult,
}

impl Trial {
    fn told(story: &[Meets]) -> Self {
        let log = WorkerLog { pid: 7, generation: 1, window_open: false, records: Vec::new().into() };
        let expected = PoolResult { read_twice: Some(0), ..PoolResult::default() };
        let mut trial = Self { client: Vec::new(), log, idle: Vec::new(), now_ns: 1_000, expected };
        for (attempt, meets) in (0..).zip(story) {
            trial.tell(attempt, *meets);
        }
        trial
    }

    fn now(&mut self) -> NonZeroU64 {
        self.now_ns += 1_000;
        NonZeroU64::new(self.now_ns).expect("later than 0")
    }

    fn write(&mut self, kind: RecordKind, opener: u32, detail: u64) {
        let at_ns = self.now().get();
        let peer = Some(Peer::Ip(client_v4(opener).into(), 5));
        // The serial number of a connection is that of who opened it, from 1.
        self.log.records.gathered().push(WorkerRecord {
            kind,
            pid: 7,
            generation: 1,
            connection: opener + 1,
            at_ns,
            detail,
            peer,
        });
    }

    fn answer(&mut self, opener: u32, attempt: u32) {
        self.write(RecordKind::Read, opener, number_of(attempt, 0));
        self.write(RecordKind::Replied, opener, number_of(attempt, 0));
    }

    fn tell(&mut self, attempt: u32, meets: Meets) {
        let idle = if meets == Meets::Fresh { None } else { self.idle.pop() };
        let by = idle.map_or(attempt, |(opener, _)| opener);
        if let Some((_, last)) = idle {
            self.client[last as usize].carried.as_mut().expect("pooled").afterwards = Afterwards::Reused;
        }
        let started = self.now();
        let mut carried = Carried { by, retried: None, afterwards: Afterwards::Idle };
        let mut record = ClientRecord {
            started: Some(started),
            outcome: Outcome::Replied,
            requests_answered: 1,
            ..ClientRecord::planned(attempt, started.get(), false)
        };
        self.expected.reused += u64::from(idle.is_some());
        let open = |trial: &mut Self, record: &mut ClientRecord| {
            record.connected = Some(trial.now());
            trial.write(RecordKind::Accepted, attempt, 0);
            trial.expected.connections += 1;
        };
        if idle.is_none() {
            open(self, &mut record);
        }
        let (broken, retried) = match (idle, meets) {
            (Some(_), Meets::Broken { read }) => (Some(read), None),
            (Some(_), Meets::Retried { read, served }) => (Some(read), Some(served)),
            _ => (None, None),
        };
        if let Some(read) = broken {
            self.expected.broken += 1;
            if read {
                self.write(RecordKind::Read, by, number_of(attempt, 0));
            }
            self.write(RecordKind::Closed, by, 0);
        }
        let mut carrier = by;
        let mut is_served = broken.is_none();
        if let Some(served) = retried {
            (carrier, is_served) = (attempt, served);
            carried.retried = Some(Ending::Fin);
            self.expected.retried += 1;
            self.expected.retried_lost += u64::from(!served);
            open(self, &mut record);
            let is_twice = broken == Some(true);
            self.expected.read_twice = self.expected.read_twice.map(|twice| twice + u64::from(is_twice));
        }
        if is_served {
            self.answer(carrier, attempt);
            if meets == Meets::LastOf {
                carried.afterwards = Afterwards::Announced;
                self.expected.announced += 1;
                self.write(RecordKind::Closed, carrier, 0);
            } else {
                self.idle.push((carrier, attempt));
            }
        } else {
            (record.outcome, record.requests_answered) = (Outcome::Closed, 0);
            carried.afterwards = Afterwards::Ended;
            if retried.is_some() {
                self.write(RecordKind::Read, carrier, number_of(attempt, 0));
                self.write(RecordKind::Closed, carrier, 0);
            }
        }
        record.carried = Some(carried);
        record.finished = Some(self.now());
        self.client.push(record);
    }

    /// What comes of it, with the log changed like this.
    fn reconciled(
        &self,
        change: impl FnOnce(&mut WorkerLog),
        stamped: bool,
    ) -> (Reconciled, Option<PoolResult>) {
        let mut logs = [self.log.clone()];
        change(&mut logs[0]);
        let mut kernel = KernelRecord { exclusive: true, interval_ns: 1_000_000, ..KernelRecord::default() };
        kernel.counters.active_opens = self.expected.connections;
        kernel.counters.passive_opens = self.expected.connections;
        let said = Said::with_room();
        let records = TrialRecords {
            transport: Transport::Tcp,
            attempts: self.client.len() as u32,
            client: (&self.client).into(),
            requests: &[],
            workers: Some(&logs),
            accepts_stamped: stamped,
            said: &said,
            kernel: &kernel,
            deaths: &[],
            foreign_connects_expected: false,
            end_ns: u64::MAX,
        };
        let reconciled = reconcile(&records);
        let pool = count(&POOLED, &records, &reconciled);
        (reconciled, pool)
    }
}

#[test]
fn each_attempt_is_with_the_worker_that_has_its_connection() {
    let broken = Meets::Broken { read: true };
    let retried = Meets::Retried { read: true, served: false };
    let trial = Trial::told(&[Meets::Fresh, Meets::Idle, broken, Meets::Idle, retried, Meets::LastOf]);
    let (reconciled, pool) = trial.reconciled(|_| {}, true);
    assert!(reconciled.books.is_balanced(), "{}", reconciled.books);
    let expected = PoolResult {
        connections: 4,
        reused: 3,
        broken: 2,
        retried: 1,
        retried_lost: 1,
        read_twice: Some(1),
        announced: 1,
        ..PoolResult::default()
    };
    assert_eq!(pool, Some(expected));
    let fates: Vec<Fate> = reconciled.attempts.iter().map(|attempt| attempt.fate).collect();
    use Fate::{NoReply, Served};
    assert_eq!(fates, [Served, Served, NoReply, Served, NoReply, Served]);
    assert!(reconciled.attempts.iter().all(|attempt| attempt.worker == 0));
    // Whoever uses a connection again is not accepted, and waits in no queue.
    let accepted: Vec<bool> = reconciled.attempts.iter().map(|attempt| attempt.accepted.is_some()).collect();
    assert_eq!(accepted, [true, false, false, true, true, true]);
    assert_eq!(reconciled.attempts[4].retry, Some(Retry::Ambiguous));
}

#[test]
fn what_is_read_over_the_wrong_connection_is_misread() {
    let trial = Trial::told(&[Meets::Fresh, Meets::Idle, Meets::Fresh, Meets::Idle]);
    let swap = |log: &mut WorkerLog| {
        let mut reads = log.records.gathered().iter_mut().filter(|record| record.kind == RecordKind::Read);
        let (Some(first), Some(second)) = (reads.nth(1), reads.nth(1)) else { panic!("four reads") };
        std::mem::swap(&mut first.detail, &mut second.detail);
    };
    assert!(trial.reconciled(|_| {}, true).0.books.is_balanced());
    assert!(!trial.reconciled(swap, true).0.books.is_balanced());
}

#[test]
fn what_no_worker_wrote_down_is_missed() {
    let trial = Trial::told(&[Meets::Fresh, Meets::Idle, Meets::Idle, Meets::LastOf]);
    let forget = |log: &mut WorkerLog| {
        let last = log
            .records
            .gathered()
            .iter()
            .rposition(|record| record.kind == RecordKind::Replied)
            .expect("replies");
        log.records.gathered().remove(last);
    };
    assert!(!trial.reconciled(forget, true).0.books.is_balanced());
}

fn meets() -> impl Strategy<Value = Meets> {
    prop_oneof![
        Just(Meets::Fresh),
        Just(Meets::Idle),
        Just(Meets::LastOf),
        any::<bool>().prop_map(|read| Meets::Broken { read }),
        any::<(bool, bool)>().prop_map(|(read, served)| Meets::Retried { read, served }),
    ]
}

proptest! {
    #[test]
    fn any_story_is_told_as_it_was(story in prop::collection::vec(meets(), 0..60)) {
        let trial = Trial::told(&story);
        let (reconciled, pool) = trial.reconciled(|_| {}, true);
        prop_assert!(reconciled.books.is_balanced(), "{}", reconciled.books);
        prop_assert_eq!(pool, Some(trial.expected));
        for (attempt, record) in reconciled.attempts.iter().zip(&trial.client) {
            prop_assert_eq!(attempt.fate == Fate::Served, record.outcome == Outcome::Replied);
        }
    }

    #[test]
    fn applications_tell_it_as_well(story in prop::collection::vec(meets(), 0..60), names_clients: bool) {
        let trial = Trial::told(&story);
        let as_application = |log: &mut WorkerLog| {
            log.records.gathered().retain(|record| record.kind == RecordKind::Read);
            for record in log.records.gathered() {
                (record.connection, record.peer) = (0, record.peer.filter(|_| names_clients));
            }
        };
        let (reconciled, pool) = trial.reconciled(as_application, false);
        prop_assert!(reconciled.books.is_balanced(), "{}", reconciled.books);
        prop_assert_eq!(pool, Some(trial.expected));
    }
}
