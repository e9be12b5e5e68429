//! Clients that connect before they have anything to ask, or never ask, against a server that does to them
//! what was planted.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use holdline::load::{Hooks, LoadPlan, StopFlag};
use holdline_model::record::{ClientRecord, Outcome, RequestRecord, SilentEnd};
use holdline_model::scenario::{Connection, Timeouts};
use holdline_model::wire::{Address, Peer, Poison, ReplyFields, reply_line};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};

use super::{MS, PATIENT, assert_tally, burst, plan, run, run_with};

const SILENT: Connection = Connection { silent: true, ..Connection::ONE_SHOT };
const PAUSE_NS: u64 = 20 * MS;
const PRECONNECT: Connection = Connection { connect_pause_ns: PAUSE_NS, ..Connection::ONE_SHOT };

/// What the server does to a connection as soon as it has accepted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Waits for a request, and answers it.
    Answer,
    /// Closes.
    Close,
    /// Says something, and closes.
    TellAndClose,
    /// Resets.
    Reset,
}

/// Treats `count` connections, one after the other; gives how many requests it read.
fn serve(
    listener: TcpListener,
    count: usize,
    deed: impl Fn(u32) -> Deed + Send + 'static,
) -> JoinHandle<usize> {
    std::thread::spawn(move || {
        let treat = |_| {
            let (stream, peer) = listener.accept().expect("a connection");
            let attempt = Peer::Ip(peer.ip(), peer.port()).attempt().expect("an attempt's address");
            usize::from(treat(stream, attempt, deed(attempt)))
        };
        (0..count).map(treat).sum()
    })
}

/// Whether a request came. To be answered, it must be there in one piece.
fn treat(mut stream: TcpStream, attempt: u32, deed: Deed) -> bool {
    match deed {
        Deed::Answer => {
            let mut line = [0; 64];
            let bytes = stream.read(&mut line).expect("a request, or the end");
            if bytes > 0 {
                assert_eq!(line[..bytes], *format!("{attempt}\n").as_bytes());
                let reply = reply_line(attempt.into(), &ReplyFields::default());
                stream.write_all(reply.as_bytes()).expect("room");
            }
            return bytes > 0;
        }
        Deed::Close => {}
        Deed::TellAndClose => stream.write_all(b"say something\n").expect("room"),
        Deed::Reset => {
            let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(&stream, sockopt::Linger, &at_once).expect("an option that every socket has");
        }
    }
    false
}

fn listen(count: usize, connection: Connection) -> (TcpListener, LoadPlan) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = Address::Tcp(listener.local_addr().expect("an address"));
    (listener, LoadPlan { connection, ..plan(address, burst(count)) })
}

#[derive(Default)]
struct Requests(Vec<RequestRecord>);

impl Hooks for Requests {
    fn before_attempt(&mut self, _attempt: u32, _now_ns: u64) -> Option<Poison> {
        None
    }

    fn after_request(&mut self, request: &RequestRecord) {
        self.0.push(*request);
    }
}

#[test]
fn a_client_that_connects_early_pauses_on_its_own_account() {
    let (listener, plan) = listen(6, PRECONNECT);
    let server = serve(listener, 6, |_| Deed::Answer);
    let mut requests = Requests::default();
    let records = run_with(&plan, &mut requests, &StopFlag::new().expect("a descriptor"));
    assert_tally(&records, &[(Outcome::Replied, 6)]);
    assert_eq!(server.join().expect("a server"), 6);
    assert_eq!(requests.0.len(), 6);
    for request in &requests.0 {
        assert_eq!(request.paused_ns, PAUSE_NS);
        let connected = records[request.attempt as usize].connected.expect("a handshake").get();
        assert!(request.answered_ns >= connected + PAUSE_NS, "it asked before its time: {request:?}");
    }
}

#[test]
fn only_the_first_request_of_a_session_waits() {
    let session = Connection { requests: 3, ..PRECONNECT };
    let (listener, plan) = listen(1, session);
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        for request in 0..3 {
            let bytes = stream.read(&mut [0; 64]).expect("a request");
            assert!(bytes > 0);
            let number = holdline_model::wire::number_of(0, request);
            stream.write_all(reply_line(number, &ReplyFields::default()).as_bytes()).expect("room");
        }
    });
    let mut requests = Requests::default();
    let records = run_with(&plan, &mut requests, &StopFlag::new().expect("a descriptor"));
    server.join().expect("a server");
    assert_tally(&records, &[(Outcome::Replied, 1)]);
    let paused: Vec<u64> = requests.0.iter().map(|request| request.paused_ns).collect();
    assert_eq!(paused, [PAUSE_NS, 0, 0]);
}

/// The pause is so long that nobody would wait for its end.
#[test]
fn a_server_that_ends_the_connection_before_it_was_asked_is_noticed_at_once() {
    let patient = Connection { connect_pause_ns: PATIENT.total_ns - 1, ..Connection::ONE_SHOT };
    let (listener, plan) = listen(4, patient);
    let server = serve(listener, 4, |attempt| if attempt % 2 == 0 { Deed::Close } else { Deed::Reset });
    let records = run(&plan);
    assert_eq!(server.join().expect("a server"), 0);
    assert_tally(&records, &[(Outcome::Closed, 2), (Outcome::Reset, 2)]);
}

/// Nobody waits for the first byte of an answer to nothing; when all its time is over, it leaves.
#[test]
fn a_silent_client_that_is_left_alone_stays_for_its_time() {
    let times = Timeouts { connect_ns: 500 * MS, first_byte_ns: 500 * MS, total_ns: 600 * MS };
    let (listener, plan) = listen(3, SILENT);
    let server = serve(listener, 3, |_| Deed::Answer);
    let records = run(&LoadPlan { timeouts: times, ..plan });
    assert_eq!(server.join().expect("a server"), 0, "it asked for something");
    assert_tally(&records, &[(Outcome::Silent(SilentEnd::Open), 3)]);
    for record in &records {
        let [started, finished] = [record.started, record.finished].map(|at| at.expect("an instant").get());
        assert!(finished >= started + times.total_ns, "{record:?}");
    }
}

#[test]
fn a_silent_client_hears_each_end_for_what_it_is() {
    for (deed, end) in [
        (Deed::Close, SilentEnd::Closed),
        (Deed::TellAndClose, SilentEnd::Told),
        (Deed::Reset, SilentEnd::Reset),
    ] {
        let (listener, plan) = listen(5, SILENT);
        let server = serve(listener, 5, move |_| deed);
        let records = run(&plan);
        server.join().expect("a server");
        assert_tally(&records, &[(Outcome::Silent(end), 5)]);
    }
}

#[test]
fn a_listener_that_closes_resets_the_silent_in_its_queue() {
    let (listener, plan) = listen(3, SILENT);
    let closer = std::thread::spawn(move || {
        let first = listener.accept().expect("a connection");
        // The other one is in the queue before it closes: else it would be refused.
        let waits = &mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        poll(waits, PollTimeout::NONE).expect("another in the queue");
        drop((first, listener));
    });
    let records = run(&LoadPlan { schedule: holdline_model::arrivals::Schedule::Fixed(vec![0, 0]), ..plan });
    closer.join().expect("a closer");
    let ends: Vec<Outcome> = records.iter().map(|record| record.outcome).collect();
    assert_eq!(ends, [Outcome::Silent(SilentEnd::Closed), Outcome::Silent(SilentEnd::Reset)]);
}

#[test]
fn only_every_nth_client_is_silent() {
    let (listener, plan) = listen(9, Connection { every: 3, ..SILENT });
    let server = std::thread::spawn(move || {
        let accept = |_| listener.accept().expect("a connection");
        let all: Vec<(TcpStream, std::net::SocketAddr)> = (0..9).map(accept).collect();
        let asked = all.into_iter().map(|(stream, peer)| {
            let attempt = Peer::Ip(peer.ip(), peer.port()).attempt().expect("an attempt");
            treat(stream, attempt, if attempt % 3 == 2 { Deed::Close } else { Deed::Answer })
        });
        asked.filter(|has_asked| *has_asked).count()
    });
    let records = run(&plan);
    assert_eq!(server.join().expect("a server"), 6);
    assert_tally(&records, &[(Outcome::Replied, 6), (Outcome::Silent(SilentEnd::Closed), 3)]);
    let silent = |record: &&ClientRecord| matches!(record.outcome, Outcome::Silent(_));
    assert!(records.iter().filter(silent).all(|record| record.attempt % 3 == 2));
}

#[test]
fn quiet_clients_find_that_nobody_listens() {
    for connection in [SILENT, PRECONNECT] {
        let (listener, plan) = listen(2, connection);
        drop(listener);
        assert_tally(&run(&plan), &[(Outcome::Refused, 2)]);
    }
}

#[test]
fn unix_clients_can_be_quiet_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a listener");
    let server = std::thread::spawn(move || {
        drop(listener.accept().expect("a connection"));
        let (mut stream, _) = listener.accept().expect("a connection");
        assert_eq!(stream.read(&mut [0; 64]).expect("a request"), 2);
        stream.write_all(reply_line(0, &ReplyFields::default()).as_bytes()).expect("room");
    });
    let address = Address::Unix(path);
    let silent = LoadPlan { connection: SILENT, ..plan(address.clone(), burst(1)) };
    assert_tally(&run(&silent), &[(Outcome::Silent(SilentEnd::Closed), 1)]);
    let early = LoadPlan { connection: PRECONNECT, ..plan(address, burst(1)) };
    assert_tally(&run(&early), &[(Outcome::Replied, 1)]);
    server.join().expect("a server");
}
