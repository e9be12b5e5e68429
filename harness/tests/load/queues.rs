//! Accept queues that are full, and listeners that close with connections in them.

use std::sync::mpsc::{Sender, channel};

use holdline::load::{Hooks, LoadPlan, StopFlag};
use holdline_model::arrivals::Schedule;
use holdline_model::record::{NotSent, Outcome};
use holdline_model::scenario::Timeouts;
use holdline_model::wire::Poison;
use holdline_model::words::{Stage, Transport};

use super::server::{Deed, Server};
use super::{MS, PATIENT, assert_tally, burst, plan, run, run_with};

const BOTH: [Transport; 2] = [Transport::Tcp, Transport::Unix];

/// Apart from one another, so that each handshake is over before the next begins.
fn spaced(count: u64) -> Schedule {
    Schedule::Fixed((0..count).map(|attempt| attempt * 10 * MS).collect())
}

/// Calls a function just before the attempt of this number.
struct Before<F>(u32, F);

impl<F: FnMut()> Hooks for Before<F> {
    fn before_attempt(&mut self, attempt: u32, _now_ns: u64) -> Option<Poison> {
        if attempt == self.0 {
            (self.1)();
        }
        None
    }
}

/// A queue holds one more than the backlog (`sk_acceptq_is_full`, `unix_recvq_full`). The SYN is sent
/// again after a second, which is later than this time-out.
#[test]
fn what_overflows_times_out_connecting() {
    for transport in BOTH {
        let server = Server::listen(transport, 4);
        let timeouts = Timeouts { connect_ns: 300 * MS, first_byte_ns: 600 * MS, ..PATIENT };
        let plan = LoadPlan { timeouts, ..plan(server.address.clone(), spaced(12)) };
        let records = run(&plan);
        for record in &records {
            let stage = if record.attempt < 5 { Stage::FirstByte } else { Stage::Connect };
            assert_eq!(record.outcome, Outcome::TimedOut(stage), "{transport}: {record:?}");
            assert_eq!(record.connected.is_some(), record.attempt < 5, "{transport}: {record:?}");
        }
        assert_eq!(records.len(), 12);
    }
}

/// Starts to accept only just before the third attempt, when the second has met a full queue.
#[test]
fn a_dropped_syn_is_named_by_its_retransmit() {
    let server = Server::listen(Transport::Tcp, 0);
    let plan = plan(server.address.clone(), spaced(3));
    let mut server = Some(server);
    let mut log = None;
    let mut start = Before(2, || log = server.take().map(|server| server.serve(3, |_| Deed::Serve)));
    let records = run_with(&plan, &mut start, &StopFlag::new().expect("a descriptor"));
    assert_tally(&records, &[(Outcome::Replied, 3)]);
    assert_eq!(records[0].syn_retransmits, 0);
    assert!(records[1].syn_retransmits >= 1, "{:?}", records[1]);
    log.expect("a server").join().expect("a server that did as it was told");
}

#[test]
fn unix_clients_wait_for_room_in_their_order() {
    let server = Server::listen(Transport::Unix, 0);
    let plan = plan(server.address.clone(), burst(40));
    let mut server = Some(server);
    let mut log = None;
    let mut start = Before(39, || log = server.take().map(|server| server.serve(40, |_| Deed::Serve)));
    let records = run_with(&plan, &mut start, &StopFlag::new().expect("a descriptor"));
    assert_tally(&records, &[(Outcome::Replied, 40)]);
    let log = log.expect("a server").join().expect("a server that did as it was told");
    let asked: Vec<String> = log.seen.into_iter().map(|(_, line)| line).collect();
    assert!(asked.iter().eq(&(0..40).map(|attempt| format!("{attempt}\n")).collect::<Vec<_>>()), "{asked:?}");
}

/// Those in the queue are reset with it; those that wait for room find nobody.
#[test]
fn a_listener_that_closes_resets_its_queue() {
    let both = [(Transport::Tcp, 0, Outcome::Refused), (Transport::Unix, 3, Outcome::NoPath)];
    for (transport, waiting, turned_away) in both {
        let server = Server::listen(transport, 4);
        let plan = plan(server.address.clone(), spaced(5 + waiting + 1));
        let last = u32::try_from(5 + waiting).expect("a small number");
        let mut server = Some(server);
        let mut close = Before(last, || drop(server.take()));
        let records = run_with(&plan, &mut close, &StopFlag::new().expect("a descriptor"));
        assert_tally(&records, &[(Outcome::Reset, 5), (turned_away, waiting as usize + 1)]);
        assert!(records[..5].iter().all(|record| record.outcome == Outcome::Reset));
    }
}

#[test]
fn a_stop_leaves_no_attempt_without_a_record() {
    let server = Server::listen(Transport::Unix, 4);
    let plan = plan(server.address.clone(), spaced(50));
    let stop = StopFlag::new().expect("a descriptor");
    let mut at_seventh = Before(7, || stop.stop());
    let records = run_with(&plan, &mut at_seventh, &stop);
    // Five fill the queue, three wait for room, the others have not begun.
    assert_tally(
        &records,
        &[(Outcome::TimedOut(Stage::FirstByte), 5), (Outcome::NotSent(NotSent::Stopped), 3)],
    );
    assert!(records.iter().all(|record| record.started.is_some()));
    drop(server);
}

#[test]
fn a_stop_from_another_thread_wakes_the_client() {
    let server = Server::listen(Transport::Tcp, 4);
    let plan = plan(server.address.clone(), Schedule::Fixed(vec![0, 3_600_000 * MS]));
    let stop = &StopFlag::new().expect("a descriptor");
    let (begun, has_begun) = channel();
    let records = std::thread::scope(|scope| {
        scope.spawn(move || {
            has_begun.recv().expect("an attempt");
            stop.stop();
        });
        run_with(&plan, &mut tell(0, begun), stop)
    });
    assert_tally(&records, &[(Outcome::TimedOut(Stage::FirstByte), 1)]);
}

fn tell(attempt: u32, to: Sender<()>) -> impl Hooks {
    Before(attempt, move || to.send(()).expect("a thread that listens"))
}

#[test]
fn a_stop_lets_those_in_flight_end_as_they_do() {
    let server = Server::listen(Transport::Tcp, 128);
    let plan = plan(server.address.clone(), burst(50));
    let stop = StopFlag::new().expect("a descriptor");
    let mut server = Some(server);
    let mut log = None;
    let mut at_last = Before(20, || {
        stop.stop();
        log = server.take().map(|server| server.serve(21, |_| Deed::Close));
    });
    let records = run_with(&plan, &mut at_last, &stop);
    assert_eq!(records.len(), 21);
    log.expect("a server").join().expect("a server that did as it was told");
}

#[test]
fn beyond_the_cap_attempts_are_not_sent() {
    for transport in BOTH {
        let server = Server::listen(transport, 128);
        let timeouts = Timeouts { first_byte_ns: 1_000 * MS, ..PATIENT };
        let plan = LoadPlan { timeouts, in_flight_max: 7, ..plan(server.address.clone(), burst(100)) };
        let records = run(&plan);
        assert_tally(
            &records,
            &[(Outcome::TimedOut(Stage::FirstByte), 7), (Outcome::NotSent(NotSent::InFlightCap), 93)],
        );
        assert!(records.iter().skip(7).all(|record| record.started.is_none()));
        drop(server);
    }
}
