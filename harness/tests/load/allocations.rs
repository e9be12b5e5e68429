//! Nothing is allocated for an attempt while the load runs: ten times the attempts take no more
//! allocations than what is in flight at once, and how often a queue doubles, can explain.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use holdline::load::{self, LoadPlan, Progress, StopFlag};
use holdline_contract::clock::now_ns;
use holdline_model::arrivals::Schedule;
use holdline_model::record::Outcome;
use holdline_model::scenario::{Connection, Pool, Until};
use holdline_model::wire::{
    Address, AnswerEnd, Asked, BytesScript, Content, Exchange, Expect, HttpReply, HttpRequest, HttpScript,
    Protocol, ReplyFields, Request, Script, Search, Text, VersionIn, reply_line,
};

use super::plan;

/// The system's allocator, with a count for each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every request is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps to the contract of `alloc`, which is the same there.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps to the contract of `realloc`, and `block` came from there.
        unsafe { System.realloc(block, layout, bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the contract of `dealloc`, and `block` came from there.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FEW: u32 = 100;
const MANY: u32 = 10 * FEW;
/// For queues that double, and for connections that wait for the server's close.
const SLACK: u64 = 60;

/// Answers one connection after the other, each reply in two pieces.
fn serve(mut stream: impl Read + Write, protocol: Protocol) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        while let Some(head) = protocol.read(&bytes) {
            let body = usize::try_from(head.body_bytes).expect("a small body");
            while bytes.len() < head.bytes + body {
                let count = stream.read(&mut buffer).expect("a body");
                bytes.extend_from_slice(&buffer[..count]);
            }
            bytes.drain(..head.bytes + body);
            let Asked::For(Request::Square(number)) = head.asked else { panic!("{head:?}") };
            let reply = protocol.answer(reply_line(number, &ReplyFields::default()), head.keeps);
            let (first, rest) = reply.split_at(reply.len() / 2);
            stream.write_all(first).expect("room");
            std::thread::yield_now();
            stream.write_all(rest).expect("room");
            if protocol.can().say_last && !head.keeps {
                return;
            }
        }
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
}

/// A server for so many connections; one-shot connections of the bare protocol are closed by it.
fn listen(
    is_unix: bool,
    protocol: Protocol,
    connection: Connection,
    count: u32,
) -> (Address, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let closes = !protocol.can().say_last && !connection.keeps_alive();
    let one =
        move |stream: &mut dyn Stream| if closes { once(stream, protocol) } else { serve(stream, protocol) };
    if is_unix {
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).expect("a listener");
        std::thread::spawn(move || (0..count).for_each(|_| one(&mut listener.accept().expect("a client").0)));
        (Address::Unix(path), dir)
    } else {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = Address::Tcp(listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            (0..count).for_each(|_| {
                let mut stream = listener.accept().expect("a client").0;
                stream.set_nodelay(true).expect("an option");
                one(&mut stream);
            });
        });
        (address, dir)
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn once(stream: &mut dyn Stream, protocol: Protocol) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let head = loop {
        let count = stream.read(&mut buffer).expect("a request");
        bytes.extend_from_slice(&buffer[..count]);
        if let Some(head) = protocol.read(&bytes) {
            break head;
        }
    };
    let Asked::For(Request::Square(number)) = head.asked else { panic!("{head:?}") };
    let reply = protocol.answer(reply_line(number, &ReplyFields::default()), false);
    let (first, rest) = reply.split_at(3);
    stream.write_all(first).expect("room");
    std::thread::yield_now();
    stream.write_all(rest).expect("room");
}

fn allocations(is_unix: bool, protocol: Protocol, connection: Connection, attempts: u32) -> u64 {
    let (address, _dir) = listen(is_unix, protocol, connection, attempts);
    // The server has one connection at a time, and a pool keeps the first one.
    let clients = if connection.pool.is_some() { 1 } else { 4 };
    let schedule = Schedule::Closed { clients, until: Until::Attempts(attempts) };
    let plan = LoadPlan { protocol, connection, ..plan(address, schedule) };
    let (progress, stop) = (Progress::default(), StopFlag::new().expect("a descriptor"));
    let before = ALLOCATIONS.get();
    let records = load::run(&plan, now_ns(), &mut (), &progress, &stop).expect("a load");
    let allocations = ALLOCATIONS.get() - before;
    assert_eq!(records.len(), attempts as usize);
    assert!(records.iter().all(|record| record.outcome == Outcome::Replied), "{:?}", records.first());
    allocations
}

#[track_caller]
fn check(is_unix: bool, protocol: Protocol, connection: Connection) {
    let few = allocations(is_unix, protocol, connection, FEW);
    let many = allocations(is_unix, protocol, connection, MANY);
    assert!(few > 0 && many <= few + SLACK, "{few} allocations for {FEW} attempts, {many} for {MANY}");
}

/// Answers each connection once all of its request is there, by what was read of it, and closes.
fn answering(count: u32, answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = Address::Tcp(listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        for _ in 0..count {
            let (mut stream, mut bytes) = (listener.accept().expect("a client").0, Vec::new());
            loop {
                let reply = answer(&bytes);
                if let Some(reply) = reply {
                    stream.write_all(&reply).expect("room");
                    if bytes.ends_with(b"end\n") {
                        break;
                    }
                }
                let read = stream.read(&mut buffer).expect("a request");
                bytes.extend_from_slice(&buffer[..read]);
            }
        }
    });
    address
}

#[track_caller]
fn check_script(protocol: Protocol, script: &Script, answer: fn(&[u8]) -> Option<Vec<u8>>) {
    let script = Arc::new(script.clone());
    let allocations = |attempts| {
        let address = answering(attempts, answer);
        let schedule = Schedule::Closed { clients: 4, until: Until::Attempts(attempts) };
        let plan = LoadPlan { protocol, script: Arc::clone(&script), ..plan(address, schedule) };
        let (progress, stop) = (Progress::default(), StopFlag::new().expect("a descriptor"));
        let before = ALLOCATIONS.get();
        let records = load::run(&plan, now_ns(), &mut (), &progress, &stop).expect("a load");
        let allocations = ALLOCATIONS.get() - before;
        assert!(records.iter().all(|record| record.outcome == Outcome::Replied), "{:?}", records.first());
        allocations
    };
    let (few, many) = (allocations(FEW), allocations(MANY));
    assert!(few > 0 && many <= few + SLACK, "{few} allocations for {FEW} attempts, {many} for {MANY}");
}

fn text(bytes: &[u8], places: &[usize]) -> Text {
    Text::new(bytes.to_vec(), places.to_vec())
}

/// A request with a body of so many bytes, the number in it, and what is looked for in the reply.
fn order(body_bytes: usize) -> Script {
    let mut body = vec![b'x'; body_bytes];
    body.extend_from_slice(b"end\n");
    let request = HttpRequest {
        method: "POST".to_owned(),
        target: text(b"/orders/", &[8]),
        headers: vec![("Host".to_owned(), text(b"shop.test", &[]))],
        body: Some(text(&body, &[10])),
    };
    let content = Some(Content::Matches(Search::new("order [0-9]+ acc").expect("an expression")));
    let version = Some(VersionIn::Content(Search::new(r"v=(\d+)").expect("an expression")));
    let reply = HttpReply { content, version, ..HttpReply::default() };
    Script::Http(Box::new(HttpScript { request, reply, poison: None }))
}

fn accepted(request: &[u8]) -> Option<Vec<u8>> {
    let reply =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\norder 7 a\r\n9\r\nccept v=3\r\n0\r\n\r\n";
    request.ends_with(b"end\n").then(|| reply.to_vec())
}

#[test]
fn requests_of_their_own_allocate_nothing() {
    check_script(Protocol::Http, &order(100), accepted);
    // Longer than what is sent in one piece with the head: from where it lies, with the number in between.
    check_script(Protocol::Http, &order(300_000), accepted);
}

#[test]
fn exchanges_allocate_nothing() {
    let expect = |end| Expect { end, starts_with: Some(text(b"2", &[])), matches: None };
    let until = || AnswerEnd::Until(text(b"\n", &[]));
    let exchanges = vec![
        Exchange { send: Text::default(), expect: expect(until()) },
        Exchange { send: text(b"HELO \n", &[5]), expect: expect(until()) },
        Exchange { send: text(b"end\n", &[]), expect: expect(AnswerEnd::Bytes(4)) },
    ];
    let script = Script::Bytes(BytesScript { exchanges, once: 1, poison: None, server_closes: true });
    check_script(Protocol::Bytes, &script, |heard| match heard {
        b"" => Some(b"220 hi\n".to_vec()),
        heard if heard.ends_with(b"end\n") => Some(b"221\n".to_vec()),
        heard if heard.ends_with(b"\n") => Some(b"250 ok\n".to_vec()),
        _ => None,
    });
}

const SESSION: Connection = Connection { requests: 3, ..Connection::ONE_SHOT };

#[test]
fn attempts_allocate_nothing() {
    check(false, Protocol::Square, Connection::ONE_SHOT);
    check(true, Protocol::Square, Connection::ONE_SHOT);
    check(false, Protocol::Http, Connection::ONE_SHOT);
}

#[test]
fn sessions_pauses_and_bodies_allocate_nothing() {
    check(false, Protocol::Square, SESSION);
    check(true, Protocol::Http, SESSION);
    let slow = Connection { send_pause_ns: 20_000, read_pause_ns: 20_000, gap_ns: 20_000, ..SESSION };
    // Over TCP, the second half of each request would wait for a delayed acknowledgement of the first.
    check(true, Protocol::Http, Connection { body_bytes: 9_000, ..slow });
    check(false, Protocol::Http, Connection { connect_pause_ns: 20_000, ..SESSION });
}

#[test]
fn requests_that_are_sent_at_once_allocate_nothing() {
    check(true, Protocol::Square, Connection { pipeline: true, ..SESSION });
    check(false, Protocol::Http, Connection { pipeline: true, ..SESSION });
}

#[test]
fn connections_that_are_used_again_allocate_nothing() {
    let pool = Some(Pool { idle_max: 4, idle_timeout_ns: None, retry: true });
    check(false, Protocol::Http, Connection { pool, ..Connection::ONE_SHOT });
    check(true, Protocol::Square, Connection { pool, ..Connection::ONE_SHOT });
}
