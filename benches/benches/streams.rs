//! The load client's CPU time per stream of HTTP/2, against the `h2` crate's own client on tokio, which carries the
//! same streams over as many connections, has no time-outs and no records, and looks at no reply.

use std::hint::black_box;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use criterion::Criterion;
use h2::client::SendRequest;
use holdline::load::{LoadPlan, raise_nofile};
use holdline_benches::in_turn::{self, InTurn};
use holdline_benches::{cpu, load, print_if_measured};
use holdline_model::arrivals::Schedule;
use holdline_model::scenario::{Connection, Pool, Until};
use holdline_model::wire::{Address, Protocol, ReplyFields, SERVER_V4, reply_line};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// Streams of one side of a pair.
const STREAMS: u32 = 480;
/// Streams at a time, where connections are shared; fewer than any server allows.
const AT_A_TIME: u32 = 16;
/// Streams of a session, one after the other.
const REQUESTS: u16 = 12;

/// How streams lie on connections.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// Each has its own.
    OneEach,
    /// Sessions, one after the other.
    Sessions,
    /// All over one, so many at a time.
    Shared,
}

fn main() {
    raise_nofile().expect("a limit of open descriptors");
    let mut criterion = Criterion::default().configure_from_args();
    let address = serve();
    let shapes = [
        ("a connection each, one at a time", Shape::OneEach),
        ("12 of a session, one at a time", Shape::Sessions),
        ("16 at a time over one connection", Shape::Shared),
    ];
    let verdicts = shapes.map(|(name, shape)| bench(&mut criterion, name, Pair::new(address, shape)));
    criterion.final_summary();
    print_if_measured(verdicts.into_iter().flatten());
}

fn bench(criterion: &mut Criterion, name: &str, mut pair: Pair) -> Option<String> {
    in_turn::bench(criterion, "client CPU of 480 streams of HTTP/2", name, || pair.run());
    let (summary, ours, bare) = pair.times.summary()?;
    let (ours, bare) = (ours / STREAMS, bare / STREAMS);
    Some(format!("client/h2 on tokio, {name}: {summary}; {ours:.1?} and {bare:.1?} per stream"))
}

/// The load client and the bare one in turn, against one server.
struct Pair {
    plan: LoadPlan,
    address: SocketAddr,
    shape: Shape,
    runtime: Runtime,
    times: InTurn,
}

impl Pair {
    fn new(address: SocketAddr, shape: Shape) -> Self {
        let (schedule, connection) = match shape {
            Shape::OneEach => {
                (Schedule::Sequential { gap_ns: 0, until: Until::Attempts(STREAMS) }, Connection::ONE_SHOT)
            }
            Shape::Sessions => (
                Schedule::Sequential { gap_ns: 0, until: Until::Attempts(STREAMS / u32::from(REQUESTS)) },
                Connection { requests: REQUESTS, ..Connection::ONE_SHOT },
            ),
            Shape::Shared => (
                Schedule::Closed { clients: AT_A_TIME, until: Until::Attempts(STREAMS) },
                Connection {
                    pool: Some(Pool { idle_max: 1, idle_timeout_ns: None, retry: false }),
                    ..Connection::ONE_SHOT
                },
            ),
        };
        let plan = load::plan(&Address::Tcp(address), schedule);
        Self {
            plan: LoadPlan { protocol: Protocol::Http2, connection, ..plan },
            address,
            shape,
            runtime: Builder::new_current_thread().enable_all().build().expect("a runtime"),
            times: InTurn::default(),
        }
    }

    fn run(&mut self) -> Duration {
        let client = || cpu::time_of(|| load::run_served(black_box(&self.plan)));
        let bare = || cpu::time_of(|| self.runtime.block_on(bare(self.address, self.shape)));
        self.times.measure(client, bare)
    }
}

async fn bare(server: SocketAddr, shape: Shape) {
    match shape {
        Shape::OneEach => connections(server, STREAMS, 1).await,
        Shape::Sessions => connections(server, STREAMS / u32::from(REQUESTS), REQUESTS.into()).await,
        Shape::Shared => shared(server).await,
    }
}

/// So many connections, one after the other, with so many streams each.
async fn connections(server: SocketAddr, count: u32, streams: u32) {
    for connection in 0..count {
        let mut client = connect(server).await;
        for stream in 0..streams {
            client = ask(client, connection * streams + stream).await;
        }
    }
}

/// One connection, with a new stream for each that has ended.
async fn shared(server: SocketAddr) {
    let client = connect(server).await;
    let mut tasks = JoinSet::new();
    for number in 0..STREAMS {
        if number >= AT_A_TIME {
            tasks.join_next().await.expect("a stream").expect("a stream that ends");
        }
        tasks.spawn(ask(client.clone(), number));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a stream that ends");
    }
}

async fn connect(server: SocketAddr) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(server).await.expect("a connection");
    socket.set_nodelay(true).expect("an option");
    let (client, connection) = h2::client::handshake(socket).await.expect("a server that speaks HTTP/2");
    tokio::spawn(connection);
    client
}

async fn ask(client: SendRequest<Bytes>, number: u32) -> SendRequest<Bytes> {
    let mut client = client.ready().await.expect("room for a stream");
    let request =
        http::Request::get(format!("http://127.0.0.1/square?n={number}")).body(()).expect("a request");
    let (reply, _) = client.send_request(request, true).expect("a stream");
    let mut body = reply.await.expect("a reply").into_body();
    let mut bytes = 0;
    while let Some(data) = body.data().await {
        let data = data.expect("a reply to its end");
        bytes += data.len();
        body.flow_control().release_capacity(data.len()).expect("room again");
    }
    assert!(bytes > 0, "{number} was not answered");
    client
}

/// Answers squares on a thread of its own, whose CPU time is nobody's.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind((SERVER_V4, 0)).expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime");
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer(socket));
            }
        });
    });
    address
}

/// A client may go away at any time.
async fn answer(socket: TcpStream) -> Option<()> {
    socket.set_nodelay(true).ok()?;
    let mut connection = h2::server::handshake(socket).await.ok()?;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let number = request.uri().query()?.strip_prefix("n=")?.parse().ok()?;
        let line = reply_line(number, &ReplyFields::default());
        let mut stream = respond.send_response(http::Response::new(()), false).ok()?;
        stream.send_data(line.into(), true).ok()?;
    }
    Some(())
}
