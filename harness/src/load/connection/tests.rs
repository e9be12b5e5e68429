//! A connection against a listener that does one thing at a time.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use holdline_model::scenario;
use holdline_model::wire::{Address, Protocol, REPLY_BYTES_MAX};

use super::super::talk::{Manner, Silence};
use super::super::transport::{Bare, Carrier, Greeting, Plain};
use super::*;

fn record() -> ClientRecord {
    ClientRecord::planned(0, 0, false)
}

/// A connection whose handshake is over, while it does not know of that and has sent nothing.
fn unaware() -> (TcpListener, Route, Connection<Plain>) {
    unaware_over(|socket| Bare.over(socket, 0))
}

/// A connection whose request is sent.
fn asked() -> (TcpListener, Route, Connection<Plain>) {
    let (listener, route, mut connection) = unaware();
    connection.is_sent = true;
    (listener, route, connection)
}

fn unaware_over<T: Transport>(over: impl Fn(OwnedFd) -> T) -> (TcpListener, Route, Connection<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = Address::Tcp(listener.local_addr().expect("an address"));
    let route = Route::new(&address, true).expect("a route");
    let socket = route.open(0).expect("a socket");
    let talk = Manner::new(Protocol::Square, &Arc::default(), scenario::Connection::ONE_SHOT).talk(
        0,
        0,
        None,
        Vec::new(),
    );
    let mut connection = Connection::new(over(socket), 0, talk, Vec::new());
    assert_eq!(route.connect(&connection.transport), Err(Errno::EINPROGRESS));
    connection.phase = Phase::Handshake;
    (listener, route, connection)
}

fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().expect("a connection").0
}

#[track_caller]
fn check(route: &Route, mut connection: Connection<Plain>, outcome: Outcome) {
    let mut record = record();
    let step = connection.advance(route, &mut record, &mut [0; SCRATCH_BYTES]);
    let Step::Ended(end) = step else { panic!("{step:?}") };
    assert_eq!(end.outcome, outcome);
    assert!(record.connected.is_some());
}

#[test]
fn a_reset_before_anything_was_sent_is_no_refusal() {
    let (listener, route, connection) = unaware();
    drop(listener);
    check(&route, connection, Outcome::Reset);
}

/// Says something and resets the connection.
fn say_and_reset(listener: &TcpListener, said: &[u8]) {
    let mut stream = accept(listener);
    stream.write_all(said).expect("room");
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    let linger = nix::sys::socket::sockopt::Linger;
    nix::sys::socket::setsockopt(&stream, linger, &at_once).expect("an option that all have");
}

#[test]
fn what_was_said_before_a_reset_is_read() {
    let (listener, route, connection) = unaware();
    say_and_reset(&listener, b"0*");
    check(&route, connection, Outcome::Truncated);
}

#[test]
fn a_reset_before_a_silence_is_one_and_what_was_said_before_it_is_read() {
    for (said, silence, outcome) in [
        (b"".as_slice(), Silence::For(u64::MAX), Outcome::Reset),
        (b"", Silence::ToListen, Outcome::Reset),
        (b"0*", Silence::ToListen, Outcome::Truncated),
    ] {
        let (listener, route, mut connection) = unaware();
        say_and_reset(&listener, said);
        let mut record = record();
        let step = connection.fall_silent(silence, &route, &mut record);
        assert!(step.is_none() && record.connected.is_some(), "{step:?}");
        let step = connection.advance(&route, &mut record, &mut [0; SCRATCH_BYTES]);
        assert_eq!(end_of(Some(step)), (outcome, false));
    }
}

#[test]
fn a_reply_that_comes_before_the_request_counts() {
    let (listener, route, connection) = unaware();
    let mut stream = accept(&listener);
    stream.write_all(b"0*0=0 version=9\n").expect("room");
    check(&route, connection, Outcome::Replied);
}

#[test]
fn of_a_line_that_is_longer_than_an_answer_only_the_start_is_kept() {
    let (_listener, _route, mut connection) = asked();
    let longest = [b"0*0=0 ".as_slice(), &[b'x'; REPLY_BYTES_MAX - 7], b"\n"].concat();
    assert_eq!(longest.len(), REPLY_BYTES_MAX);
    let (first, rest) = longest.split_at(100);
    assert!(connection.hear(first, false).is_none());
    assert_eq!(end_of(connection.hear(rest, false)), (Outcome::Replied, true));

    let (_listener, _route, mut connection) = asked();
    for _ in 0..1_000 {
        assert!(connection.hear(&[b'0'; REPLY_BYTES_MAX], false).is_none());
        assert!(connection.reply.len() <= REPLY_BYTES_MAX);
    }
    assert_eq!(end_of(connection.hear(b"0\n", false)), (Outcome::WrongReply, true));
    assert_eq!(connection.said().as_bytes(), [b'0'; 128]);
}

/// The outcome, and whether the server's close is waited for.
#[track_caller]
fn end_of(step: Option<Step>) -> (Outcome, bool) {
    let Some(Step::Ended(end)) = step else { panic!("{step:?}") };
    (end.outcome, end.lingers)
}

#[test]
fn who_answers_in_full_is_left_to_close() {
    let (_listener, _route, mut connection) = asked();
    assert_eq!(end_of(connection.hear(b"1*1=1\n", false)), (Outcome::WrongReply, true));
}

#[test]
fn who_answers_before_all_is_sent_is_sent_the_rest() {
    let (_listener, _route, mut connection) = unaware();
    let step = connection.hear(b"0*0=0\n", false);
    assert!(matches!(step, Some(Step::Pause(Pause::Rest, _))), "{step:?}");
}

/// Greets in three steps, and carries one byte at a time.
#[derive(Debug)]
struct Stutter {
    plain: Plain,
    greetings: u8,
}

impl AsFd for Stutter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.plain.as_fd()
    }
}

impl Transport for Stutter {
    const GREETS: bool = true;
    const LAYERED: bool = true;
    const SECURED: bool = true;

    fn is_secured(&self) -> bool {
        self.greetings > 2
    }

    fn greet(&mut self) -> Result<Greeting, Errno> {
        self.greetings += 1;
        match self.greetings {
            1 => Err(Errno::EAGAIN),
            2 => Ok(Greeting::UnderWay),
            _ => Ok(Greeting::Over),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        self.plain.send(&bytes[..1])
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.plain.receive(&mut buffer[..1])
    }

    fn peek(&mut self) -> Result<usize, Errno> {
        self.plain.peek()
    }

    fn half_close(&mut self) {
        self.plain.half_close();
    }
}

#[test]
fn nothing_is_sent_before_the_transport_has_greeted() {
    let (listener, route, mut connection) =
        unaware_over(|socket| Stutter { plain: Bare.over(socket, 0), greetings: 0 });
    let mut stream = accept(&listener);
    stream.write_all(b"0*0=0 version=9\n").expect("room");
    let (mut record, mut scratch) = (record(), [0; SCRATCH_BYTES]);
    for is_connected in [false, true] {
        let step = connection.advance(&route, &mut record, &mut scratch);
        assert!(matches!(step, Step::Wait) && connection.is_connected() == is_connected, "{step:?}");
        assert_eq!((record.connected.is_some(), record.tls), (is_connected, None));
        assert_eq!(connection.sent(), 0);
    }
    let step = connection.advance(&route, &mut record, &mut scratch);
    assert_eq!(end_of(Some(step)), (Outcome::Replied, true));
    assert!(record.connected <= record.tls && record.tls.is_some());
    let mut request = [0; 2];
    stream.read_exact(&mut request).expect("the request");
    assert_eq!(request, *b"0\n");
}

#[test]
fn an_end_that_was_reported_before_the_last_read_is_known_unless_more_may_be_left() {
    const REPLY: &[u8] = b"0*0=0\n";
    for (room, is_reported, is_known) in
        [(SCRATCH_BYTES, true, true), (SCRATCH_BYTES, false, false), (REPLY.len(), true, false)]
    {
        let (listener, route, mut connection) = unaware();
        let (mut record, mut scratch) = (record(), vec![0; room]);
        let step = connection.advance(&route, &mut record, &mut scratch);
        assert!(matches!(step, Step::Wait) && connection.only_reads(), "{step:?}");
        let mut stream = accept(&listener);
        stream.read_exact(&mut [0; 2]).expect("the request");
        stream.write_all(REPLY).expect("room");
        drop(stream);
        if is_reported {
            connection.note_end();
        }
        assert_eq!(
            end_of(Some(connection.advance(&route, &mut record, &mut scratch))),
            (Outcome::Replied, true)
        );
        assert_eq!(connection.is_at_end, is_known);
        let step = connection.advance(&route, &mut record, &mut scratch);
        assert!(matches!(step, Step::Closed), "{step:?}");
        assert_eq!(connection.ended, Some(Ending::Fin));
    }
}
