//! Streams of HTTP/2 with long requests and long replies, for which both ends have to make room.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use bytes::Bytes;
use h2::server::{self, SendResponse};
use holdline::load::{LoadPlan, StopFlag};
use holdline_model::record::Outcome;
use holdline_model::scenario::{Connection, Pool};
use holdline_model::wire::{Address, Protocol, ReplyFields, reply_line};

use crate::{assert_tally, burst, plan, run, run_in_threads};

/// More than a stream, and than a connection, has room for at first.
const BODY_BYTES: u32 = 300_000;

/// Answers squares, once all of a request is read, with much behind the answer.
async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    read: Arc<AtomicU64>,
) {
    let (head, mut body) = request.into_parts();
    while let Some(Ok(data)) = body.data().await {
        read.fetch_add(data.len() as u64, Ordering::Relaxed);
        let _ = body.flow_control().release_capacity(data.len());
    }
    let number = head.uri.query().and_then(|query| query.strip_prefix("n=")?.parse().ok()).expect("a number");
    let mut reply = reply_line(number, &ReplyFields::default()).into_bytes();
    reply.resize(reply.len() + BODY_BYTES as usize, b'x');
    let mut stream = respond.send_response(http::Response::new(()), false).expect("a stream");
    stream.send_data(reply.into(), true).expect("room");
}

async fn serve(listener: TcpListener, read: Arc<AtomicU64>) {
    listener.set_nonblocking(true).expect("a socket");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime");
    while let Ok((socket, _)) = listener.accept().await {
        let read = Arc::clone(&read);
        tokio::spawn(async move {
            let mut connection = server::handshake(socket).await.expect("a client that speaks HTTP/2");
            while let Some(Ok((request, respond))) = connection.accept().await {
                tokio::spawn(answer(request, respond, Arc::clone(&read)));
            }
        });
    }
}

/// The address of a server, and how many bytes of bodies it has read.
fn server() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let read = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&read);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(serve(listener, counted));
    });
    (address, read)
}

#[test]
fn long_requests_and_replies_go_through_however_many_share_a_connection() {
    const ATTEMPTS: u32 = 20;
    let pool = Some(Pool { idle_max: 8, idle_timeout_ns: None, retry: false });
    for (pool, requests) in [(None, 1), (None, 3), (pool, 1)] {
        let (address, read) = server();
        let connection = Connection { body_bytes: BODY_BYTES, pool, requests, ..Connection::ONE_SHOT };
        let plan = plan(Address::Tcp(address), burst(ATTEMPTS as usize));
        let records = run(&LoadPlan { protocol: Protocol::Http2, connection, ..plan });
        assert_tally(&records, &[(Outcome::Replied, ATTEMPTS as usize)]);
        let asked = u64::from(ATTEMPTS) * u64::from(requests);
        assert_eq!(read.load(Ordering::Relaxed), asked * u64::from(BODY_BYTES));
        let joined = records.iter().filter(|record| record.was_reused()).count();
        assert_eq!(joined, if pool.is_some() { ATTEMPTS as usize - 1 } else { 0 });
    }
}

#[test]
fn streams_join_connections_of_their_own_thread_alone() {
    const ATTEMPTS: usize = 24;
    const THREADS: usize = 3;
    let (address, _) = server();
    let pool = Some(Pool { idle_max: 4, idle_timeout_ns: None, retry: false });
    let plan = plan(Address::Tcp(address), burst(ATTEMPTS));
    let connection = Connection { pool, ..Connection::ONE_SHOT };
    let plan = LoadPlan { protocol: Protocol::Http2, connection, ..plan };
    let stop = StopFlag::new().expect("a descriptor");
    let records = run_in_threads(&plan, &mut [(); THREADS], &stop);
    assert_tally(&records, &[(Outcome::Replied, ATTEMPTS)]);
    for record in &records {
        let by = record.carried.expect("an attempt of a pool").by;
        assert_eq!(by as usize % THREADS, record.attempt as usize % THREADS, "{record:?}");
    }
    let joined = records.iter().filter(|record| record.was_reused()).count();
    assert_eq!(joined, ATTEMPTS - THREADS);
}
