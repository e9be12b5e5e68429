//! Attempts that use each other's connections.

use holdline_model::record::{Afterwards, ClientRecord, Ending, Outcome};
use holdline_model::scenario::{Connection, Pool, Until};
use holdline_model::wire::{Poison, Protocol};
use holdline_model::words::{CrashMode, CrashStep, Stage};

use holdline::load::{Hooks, LoadPlan, StopFlag};
use holdline_model::arrivals::Schedule;
use holdline_model::scenario::Timeouts;

use crate::visits::{Seen, Server, Then};
use crate::{MS, assert_tally, run, run_with};

const POOL: Pool = Pool { idle_max: 8, idle_timeout_ns: None, retry: true };

fn pooled(pool: Pool) -> Connection {
    Connection { pool: Some(pool), ..Connection::ONE_SHOT }
}

/// So many attempts, one after the other.
fn one_by_one(server: &Server, attempts: u32, pool: Pool) -> LoadPlan {
    let schedule = Schedule::Sequential { gap_ns: 0, until: Until::Attempts(attempts) };
    LoadPlan { schedule, ..server.plan(0, pooled(pool)) }
}

/// What carried each attempt, how it was retried, and what became of its connection.
fn carried(records: &[ClientRecord]) -> Vec<(u32, Option<Ending>, Afterwards)> {
    let one = |record: &ClientRecord| record.carried.map(|it| (it.by, it.retried, it.afterwards));
    records.iter().map(|record| one(record).expect("an attempt of a pool")).collect()
}

/// For each connection, who opened it and who asked over it.
fn asked(seen: Seen) -> Vec<(u32, String)> {
    seen.into_iter().map(|(attempt, numbers)| (attempt, numbers.join(" "))).collect()
}

#[test]
fn one_connection_carries_all_that_come_one_after_the_other() {
    for protocol in [Protocol::Square, Protocol::Http] {
        let server = Server::new(protocol);
        let plan = one_by_one(&server, 4, POOL);
        let seen = server.serve(1, |_| (9, Then::Answer));
        let records = run(&plan);
        assert_tally(&records, &[(Outcome::Replied, 4)]);
        use Afterwards::{Idle, Reused};
        assert_eq!(
            carried(&records),
            [(0, None, Reused), (0, None, Reused), (0, None, Reused), (0, None, Idle)]
        );
        assert_eq!(asked(seen.join().expect("a server")), [(0, "0 1 2 3".to_owned())]);
        let connected: Vec<bool> = records.iter().map(|record| record.connected.is_some()).collect();
        assert_eq!(connected, [true, false, false, false]);
        assert!(records.iter().all(|record| record.version == 3));
    }
}

#[test]
fn what_breaks_under_a_request_is_sent_once_more_or_lost() {
    for (then, ending) in [
        (Then::ReadAndClose, Some(Ending::Fin)),
        (Then::Reset, Some(Ending::Reset)),
        // The client may read the end of the stream, or the reset behind it.
        (Then::CloseUnread, None),
    ] {
        let server = Server::new(Protocol::Http);
        let plan = one_by_one(&server, 3, POOL);
        let deed = move |opener| (1, if opener == 0 { then } else { Then::Answer });
        let seen = server.serve(2, deed);
        let records = run(&plan);
        assert_tally(&records, &[(Outcome::Replied, 3)]);
        let carried = carried(&records);
        assert_eq!((carried[1].0, carried[1].1.is_some(), carried[2].0), (0, true, 1), "{then:?}");
        assert!(ending.is_none() || carried[1].1 == ending, "{then:?}: {carried:?}");
        let second = asked(seen.join().expect("a server")).into_iter().find(|(opener, _)| *opener == 1);
        assert_eq!(second, Some((1, "1 2".to_owned())), "{then:?}");
        assert!(records[1].connected.is_some() && records[1].started < records[1].connected);

        let server = Server::new(Protocol::Http);
        let plan = one_by_one(&server, 3, Pool { retry: false, ..POOL });
        let seen = server.serve(2, deed);
        let records = run(&plan);
        assert!(matches!(records[1].outcome, Outcome::Closed | Outcome::Reset), "{then:?}: {records:?}");
        assert_eq!((records[0].outcome, records[2].outcome), (Outcome::Replied, Outcome::Replied));
        assert_eq!(records[2].carried.map(|it| it.by), Some(2));
        drop(seen.join());
    }
}

#[test]
fn what_is_sent_once_more_is_not_sent_a_third_time() {
    let server = Server::new(Protocol::Http);
    let plan = one_by_one(&server, 2, POOL);
    let seen = server.serve(2, |opener| (1 - opener.min(1) as u16, Then::ReadAndClose));
    let records = run(&plan);
    assert_tally(&records, &[(Outcome::Replied, 1), (Outcome::Closed, 1)]);
    assert_eq!(carried(&records)[1], (0, Some(Ending::Fin), Afterwards::Ended));
    assert_eq!(asked(seen.join().expect("a server")), [(0, "0 1".to_owned()), (1, "1".to_owned())]);
}

#[test]
fn once_some_of_the_reply_is_there_nothing_is_sent_again() {
    let server = Server::new(Protocol::Http);
    let plan = one_by_one(&server, 2, POOL);
    let seen = server.serve(1, |_| (1, Then::Truncate));
    assert_tally(&run(&plan), &[(Outcome::Replied, 1), (Outcome::Truncated, 1)]);
    drop(seen.join());
}

#[test]
fn a_fresh_connection_that_ends_is_lost() {
    let server = Server::new(Protocol::Http);
    let plan = one_by_one(&server, 3, POOL);
    let seen = server.serve(3, |_| (0, Then::ReadAndClose));
    assert_tally(&run(&plan), &[(Outcome::Closed, 3)]);
    drop(seen.join());
}

#[test]
fn what_the_server_says_it_closes_is_not_used_again() {
    let server = Server::new(Protocol::Http);
    let plan = one_by_one(&server, 4, POOL);
    let seen = server.serve(2, |_| (2, Then::Announce));
    let records = run(&plan);
    assert_tally(&records, &[(Outcome::Replied, 4)]);
    use Afterwards::{Announced, Reused};
    let expected = [(0, None, Reused), (0, None, Announced), (2, None, Reused), (2, None, Announced)];
    assert_eq!(carried(&records), expected);
    drop(seen.join());
}

#[test]
fn what_was_idle_for_too_long_is_not_used_again() {
    let server = Server::new(Protocol::Square);
    let schedule = Schedule::Sequential { gap_ns: 30 * MS, until: Until::Attempts(3) };
    let pool = Pool { idle_timeout_ns: Some(20 * MS), ..POOL };
    let plan = LoadPlan { schedule, ..server.plan(0, pooled(pool)) };
    let seen = server.serve(3, |_| (9, Then::Answer));
    use Afterwards::{Expired, Idle};
    assert_eq!(carried(&run(&plan)), [(0, None, Expired), (1, None, Expired), (2, None, Idle)]);
    drop(seen.join());
}

#[test]
fn what_the_server_ended_meanwhile_is_not_used_again() {
    let server = Server::new(Protocol::Square);
    let schedule = Schedule::Sequential { gap_ns: 50 * MS, until: Until::Attempts(3) };
    let plan = LoadPlan { schedule, ..server.plan(0, pooled(POOL)) };
    let seen = server.serve(3, |_| (1, Then::Close));
    let records = run(&plan);
    assert_tally(&records, &[(Outcome::Replied, 3)]);
    // The last may still be idle when the load ends.
    let carried = carried(&records);
    assert_eq!(carried[..2], [(0, None, Afterwards::Closed), (1, None, Afterwards::Closed)]);
    assert_eq!(records[0].ended, Some(Ending::Fin));
    drop(seen.join());
}

#[test]
fn a_pool_keeps_as_many_as_it_may() {
    let server = Server::new(Protocol::Square);
    let plan = server.plan(10, pooled(Pool { idle_max: 3, ..POOL }));
    let seen = server.serve(10, |_| (9, Then::Answer));
    let records = run(&plan);
    assert_tally(&records, &[(Outcome::Replied, 10)]);
    // All are due at once, so that none is idle yet when the last begins.
    assert!(records.iter().all(ClientRecord::opened), "{records:?}");
    let count = |what| carried(&records).iter().filter(|it| it.2 == what).count();
    assert_eq!((count(Afterwards::Idle), count(Afterwards::Surplus)), (3, 7));
    drop(seen.join());
}

#[test]
fn poison_goes_over_a_connection_of_its_own_and_once() {
    struct PoisonSecond;
    impl Hooks for PoisonSecond {
        fn before_attempt(&mut self, attempt: u32, _now_ns: u64) -> Option<Poison> {
            (attempt == 1).then_some(Poison { step: CrashStep::Work, mode: CrashMode::Panic })
        }
    }
    let server = Server::new(Protocol::Http);
    let plan = one_by_one(&server, 3, POOL);
    let seen = server.serve(2, |opener| match opener {
        0 => (9, Then::Answer),
        _ => (0, Then::ReadAndClose),
    });
    let records = run_with(&plan, &mut PoisonSecond, &StopFlag::new().expect("a descriptor"));
    assert_tally(&records, &[(Outcome::Replied, 2), (Outcome::Closed, 1)]);
    assert_eq!((records[1].carried, records[2].carried.map(|it| it.by)), (None, Some(0)));
    let asked = asked(seen.join().expect("a server"));
    assert_eq!(asked, [(0, "0 2".to_owned()), (1, "!work:panic".to_owned())]);
}

/// Its time goes on from the attempt's start, whichever connection carries it.
#[test]
fn time_outs_hold_over_a_connection_that_is_used_again() {
    let server = Server::new(Protocol::Http);
    let timeouts = Timeouts { connect_ns: 200 * MS, first_byte_ns: 200 * MS, total_ns: 200 * MS };
    let plan = LoadPlan { timeouts, ..one_by_one(&server, 2, POOL) };
    let seen = server.serve(1, |_| (1, Then::Keep));
    assert_tally(&run(&plan), &[(Outcome::Replied, 1), (Outcome::TimedOut(Stage::FirstByte), 1)]);
    drop(seen.join());

    let server = Server::new(Protocol::Http);
    let plan = LoadPlan { timeouts, ..one_by_one(&server, 2, POOL) };
    let seen = server.serve(2, |opener| match opener {
        0 => (1, Then::ReadAndClose),
        _ => (0, Then::Keep),
    });
    let records = run(&plan);
    assert_tally(&records, &[(Outcome::Replied, 1), (Outcome::TimedOut(Stage::FirstByte), 1)]);
    assert!(records[1].was_retried());
    drop(seen.join());
}
