//! The peers of the load client's pacer: a load generator that is paced by `tokio::time::interval`,
//! whose timer wheel counts in milliseconds, and that makes each connection in a task of its own; and one that does nothing
//! but look at the clock, and is late by what the machine alone makes late.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use holdline_model::wire::{self, Request};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{interval, timeout};

/// How long a connection is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Makes `count` connections, `gap` apart, and gives for each how long after its tick was due it
/// began to connect. What becomes of a connection after that does not matter here.
///
/// # Panics
///
/// If there is no runtime.
#[must_use]
pub fn lags(server: SocketAddr, count: u32, gap: Duration) -> Vec<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut ticks = interval(gap);
        let mut tasks = Vec::with_capacity(count as usize);
        for attempt in 0..count {
            let due = ticks.tick().await.into_std();
            tasks.push(tokio::spawn(connect(server, attempt, due)));
        }
        let mut lags = Vec::with_capacity(tasks.len());
        for task in tasks {
            lags.extend(task.await.ok());
        }
        lags
    })
}

/// How long after each of `count` instants, `gap` apart, somebody saw that it had come who looks at the clock all the time,
/// and does nothing else.
#[must_use]
pub fn lags_of_a_look(count: u32, gap: Duration) -> Vec<Duration> {
    let start = Instant::now() + gap;
    let seen = |attempt| {
        let due = start + gap * attempt;
        loop {
            let now = Instant::now();
            if now >= due {
                return now - due;
            }
        }
    };
    (0..count).map(seen).collect()
}

async fn connect(server: SocketAddr, attempt: u32, due: Instant) -> Duration {
    let socket = socket(attempt);
    let lag = due.elapsed();
    if let Ok(socket) = socket {
        // At a rate that the machine cannot bear, some are not answered.
        let _ = timeout(PATIENCE, exchange(socket, server, attempt)).await;
    }
    lag
}

fn socket(attempt: u32) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
    socket.bind((wire::client_v4(attempt), 0).into())?;
    Ok(socket)
}

async fn exchange(socket: TcpSocket, server: SocketAddr, attempt: u32) -> io::Result<()> {
    let mut stream = socket.connect(server).await?;
    let mut request = Vec::with_capacity(64);
    Request::Square(attempt.into()).encode(&mut request);
    request.push(b'\n');
    stream.write_all(&request).await?;
    request.clear();
    stream.read_to_end(&mut request).await.map(drop)
}
