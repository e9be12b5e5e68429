//! The load client's CPU time per connection over TLS, against a bare blocking loop of rustls.
//!
//! The bare loop makes the same handshakes with the same settings, has no time-outs and no records, and looks at no
//! reply. What it costs beyond a connection without TLS is what rustls costs.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use holdline::load::{LoadPlan, raise_nofile};
use holdline::tls::{Folders, TlsClient};
use holdline_benches::in_turn::{self, InTurn};
use holdline_benches::{cpu, load, print_if_measured};
use holdline_model::arrivals::Schedule;
use holdline_model::scenario::Until;
use holdline_model::tls::{Beside, PemFile, Tls};
use holdline_model::wire::{Address, ReplyFields, Request, SERVER_V4, reply_line};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, Stream};

/// Connections of one side of a pair.
const CONNECTIONS: u32 = 100;
/// The budget for the client's CPU per connection, in times that of a bare loop.
const BUDGET: f64 = 1.0;

fn main() {
    raise_nofile().expect("a limit of open descriptors");
    let mut criterion = Criterion::default().configure_from_args();
    let mut pair = Pair::start();
    let group = "client CPU of 100 connections over TLS";
    in_turn::bench(&mut criterion, group, "one at a time", || pair.run());
    criterion.final_summary();
    let verdict = pair.times.summary().map(|(summary, _, bare)| {
        let (verdict, bare) = (summary.against(BUDGET), bare / CONNECTIONS);
        format!("client/bare, over TLS: {summary}, {verdict} {BUDGET}; bare: {bare:.1?} per connection")
    });
    print_if_measured(verdict);
}

/// Client and bare loop in turn, against one server.
struct Pair {
    plan: LoadPlan,
    address: std::net::SocketAddr,
    config: Arc<ClientConfig>,
    times: InTurn,
}

impl Pair {
    fn start() -> Self {
        let signed = generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let listener = TcpListener::bind((SERVER_V4, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let config = bare_config(&signed.cert.der().clone());
        let plan = LoadPlan {
            tls: Some(client(&signed.cert.pem())),
            ..load::plan(&Address::Tcp(address), schedule())
        };
        serve(listener, &signed);
        Self { plan, address, config, times: InTurn::default() }
    }

    fn run(&mut self) -> Duration {
        let client = || cpu::time_of(|| load::run_served(black_box(&self.plan)));
        let bare =
            || cpu::time_of(|| (0..CONNECTIONS).for_each(|attempt| one(self.address, &self.config, attempt)));
        self.times.measure(client, bare)
    }
}

fn schedule() -> Schedule {
    Schedule::Sequential { gap_ns: 0, until: Until::Attempts(CONNECTIONS) }
}

/// The load client's side: it trusts this certificate, and resumes nothing.
fn client(pem: &str) -> TlsClient {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("ca.pem"), pem).expect("room");
    let ca = PemFile { path: "ca.pem".to_owned(), beside: Beside::Description };
    let folders = Folders { description: Some(folder.path().to_owned()), ..Folders::default() };
    TlsClient::new(&Tls { ca: Some(ca), ..Tls::default() }, &[], &folders).expect("a client")
}

/// The bare loop's side, which does the same.
fn bare_config(certificate: &CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

fn one(address: std::net::SocketAddr, config: &Arc<ClientConfig>, attempt: u32) {
    let mut socket = TcpStream::connect(address).expect("a connection");
    socket.set_nodelay(true).expect("an option");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = ClientConnection::new(Arc::clone(config), name).expect("a session");
    let mut stream = Stream::new(&mut session, &mut socket);
    stream.write_all(format!("{attempt}\n").as_bytes()).expect("sent");
    let mut reply = [0; 256];
    assert!(stream.read(&mut reply).expect("a reply") > 0, "attempt {attempt} was not answered");
    while let Ok(1..) = stream.read(&mut reply) {}
}

/// Answers on a thread of its own, whose CPU time is nobody's.
fn serve(listener: TcpListener, signed: &CertifiedKey<rcgen::KeyPair>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).expect("a key");
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .expect("a certificate with its key");
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            // A client may go away at any time.
            let _ = answer(socket, &config);
        }
    });
}

fn answer(mut socket: TcpStream, config: &Arc<ServerConfig>) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut session = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    let mut stream = Stream::new(&mut session, &mut socket);
    let mut line = [0; 64];
    let count = stream.read(&mut line)?;
    let Request::Square(number) = Request::parse(&line[..count]) else { return Ok(()) };
    stream.write_all(reply_line(number, &ReplyFields::default()).as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}
