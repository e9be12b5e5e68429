//! A service that takes the listener that it is given (`LISTEN_FDS`), and binds one itself where there is none.

use axum::{Json, Router, routing::get};
use listenfd::ListenFd;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = match ListenFd::from_env().take_tcp_listener(0)? {
        Some(given) => {
            given.set_nonblocking(true)?;
            TcpListener::from_std(given)?
        }
        None => TcpListener::bind("127.0.0.1:8000").await?,
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let app = Router::new().route("/", get(|| async { Json(json!({ "orders": 7 })) }));
    let stopped = async move {
        terminate.recv().await;
    };
    axum::serve(listener, app).with_graceful_shutdown(stopped).await
}
