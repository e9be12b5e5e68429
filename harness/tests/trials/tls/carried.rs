//! What lies over or under TLS: pools of connections, and the header of a proxy.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use holdline::load::LoadPlan;
use holdline_model::arrivals::Schedule;
use holdline_model::record::{Afterwards, ClientRecord, Outcome};
use holdline_model::scenario::{Connection, Pool, Until};
use holdline_model::wire::{Address, Asked, Protocol, ProxyVersion, ReplyFields, Request, reply_line};
use rustls::{ServerConnection, Stream};

use super::authority::Authority;
use super::client::{client, config, listen, plan, run, serve};

const POOL: Pool = Pool { idle_max: 8, idle_timeout_ns: None, retry: true };

fn one_by_one(plan: LoadPlan, attempts: u32) -> LoadPlan {
    let connection = Connection { pool: Some(POOL), ..Connection::ONE_SHOT };
    let schedule = Schedule::Sequential { gap_ns: 0, until: Until::Attempts(attempts) };
    LoadPlan { schedule, connection, ..plan }
}

/// What carried each attempt, whether it was retried, and what became of its connection.
fn carried(records: &[ClientRecord]) -> Vec<(u32, bool, Afterwards)> {
    let one = |record: &ClientRecord| record.carried.map(|it| (it.by, it.retried.is_some(), it.afterwards));
    records.iter().map(|record| one(record).expect("an attempt of a pool")).collect()
}

#[test]
fn a_pool_reuses_a_connection_with_its_handshake() {
    let authority = Authority::new();
    let (tls, _folder) = client(&authority, &[]);
    let config = config(&authority.sign("server"), &[]);
    let address = listen(1, move |socket| serve(socket, &config, true));
    let (records, _) = run(&one_by_one(plan(address, tls, 0), 4));
    assert!(records.iter().all(|record| record.outcome == Outcome::Replied), "{records:?}");
    use Afterwards::{Idle, Reused};
    assert_eq!(
        carried(&records),
        [(0, false, Reused), (0, false, Reused), (0, false, Reused), (0, false, Idle)]
    );
    // The handshake was the first one's.
    let greeted: Vec<bool> = records.iter().map(|record| record.tls.is_some()).collect();
    assert_eq!(greeted, [true, false, false, false]);
}

#[test]
fn what_a_reused_connection_broke_is_sent_once_more_behind_a_handshake_of_its_own() {
    let authority = Authority::new();
    let (tls, _folder) = client(&authority, &[]);
    let config = config(&authority.sign("server"), &[]);
    let served = AtomicUsize::new(0);
    // The first connection ends with the second request unanswered.
    let address = listen(2, move |mut socket| {
        if served.fetch_add(1, Ordering::Relaxed) > 0 {
            return serve(socket, &config, true);
        }
        let mut session = ServerConnection::new(Arc::clone(&config)).expect("a session");
        let mut stream = Stream::new(&mut session, &mut socket);
        answer_one(&mut stream);
        let _ = stream.read(&mut [0; 4096]);
    });
    let (records, _) = run(&one_by_one(plan(address, tls, 0), 3));
    assert!(records.iter().all(|record| record.outcome == Outcome::Replied), "{records:?}");
    let carried: Vec<(u32, bool)> = carried(&records).iter().map(|it| (it.0, it.1)).collect();
    assert_eq!(carried, [(0, false), (0, true), (1, false)]);
    assert!(records[1].tls.is_some(), "{:?}", records[1]);
}

/// Answers one request, and keeps the connection.
fn answer_one(stream: &mut (impl Read + Write)) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let head = loop {
        let count = stream.read(&mut buffer).expect("a request");
        bytes.extend_from_slice(&buffer[..count]);
        if let Some(head) = Protocol::Http.read(&bytes) {
            break head;
        }
    };
    let Asked::For(Request::Square(number)) = head.asked else { panic!("{head:?}") };
    let reply = Protocol::Http.answer(reply_line(number, &ReplyFields::default()), true);
    stream.write_all(&reply).expect("room");
}

/// Serves so many connections that begin with a header of version 1, and tells what it was.
fn behind_headers(count: usize, authority: &Authority) -> (Address, Receiver<String>) {
    let config = config(&authority.sign("server"), &[]);
    let (sender, headers) = channel();
    let address = listen(count, move |mut socket: TcpStream| {
        let mut header = Vec::new();
        while !header.ends_with(b"\r\n") {
            let mut byte = [0];
            if !matches!(socket.read(&mut byte), Ok(1)) {
                break;
            }
            header.extend(byte);
        }
        let _ = sender.send(String::from_utf8_lossy(&header).into_owned());
        serve(socket, &config, true);
    });
    (address, headers)
}

#[test]
fn a_proxy_says_whose_connection_it_is_before_the_handshake() {
    let authority = Authority::new();
    let (tls, _folder) = client(&authority, &[]);
    let (address, headers) = behind_headers(5, &authority);
    let (records, _) = run(&LoadPlan { proxy: Some(ProxyVersion::V1), ..plan(address, tls, 5) });
    for record in &records {
        assert_eq!(record.outcome, Outcome::Replied, "{record:?}");
        assert!(record.connected <= record.tls && record.tls.is_some(), "{record:?}");
        let header = headers.recv().expect("a header");
        assert!(header.starts_with("PROXY TCP4 127.0."), "{header:?}");
    }
}

#[test]
fn who_asks_for_nothing_behind_a_header_makes_the_handshake_all_the_same() {
    let authority = Authority::new();
    let (tls, _folder) = client(&authority, &[]);
    let (address, headers) = behind_headers(1, &authority);
    let connection = Connection { connect_pause_ns: 1_000_000, ..Connection::ONE_SHOT };
    let plan = LoadPlan { proxy: Some(ProxyVersion::V1), connection, ..plan(address, tls, 1) };
    let (records, _) = run(&plan);
    assert_eq!(records[0].outcome, Outcome::Replied, "{records:?}");
    assert!(records[0].tls.is_some() && headers.recv().is_ok());
}
