//! The load client over TLS, against a server of rustls that does one thing to each of its clients.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use holdline::load::{self, Hooks, LoadPlan, Progress, RecordLogs, StopFlag};
use holdline::tls::{Folders, TlsClient, describe_all};
use holdline_contract::clock::now_ns;
use holdline_model::arrivals::Schedule;
use holdline_model::record::{ClientRecord, Ending, Outcome};
use holdline_model::scenario::{Connection, Timeouts};
use holdline_model::tls::{Beside, Certificates, PemFile, Tls, TlsFailure};
use holdline_model::wire::{Address, Asked, Peer, Poison, Protocol, ReplyFields, Request, reply_line};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

use super::authority::{Authority, Signed};
use super::expired;

const MS: u64 = 1_000_000;
const PATIENT: Timeouts =
    Timeouts { connect_ns: 60_000 * MS, first_byte_ns: 60_000 * MS, total_ns: 60_000 * MS };

/// Keeps certificates, and carries no poison.
#[derive(Default)]
struct Keeps(Certificates);

impl Hooks for Keeps {
    fn before_attempt(&mut self, _attempt: u32, _now_ns: u64) -> Option<Poison> {
        None
    }

    fn certificates(&mut self) -> Option<&mut Certificates> {
        Some(&mut self.0)
    }
}

/// A server of this certificate that serves with the given protocols (ALPN).
pub(super) fn config(signed: &Signed, alpn: &[&str]) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = CertificateDer::from_pem_slice(signed.certificate.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).expect("a key");
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate with its key");
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Answers the requests of one connection, to the last; with whether it says that it ends.
pub(super) fn serve(mut socket: impl Read + Write, config: &Arc<ServerConfig>, says_end: bool) {
    let mut session = ServerConnection::new(Arc::clone(config)).expect("a session");
    let mut stream = Stream::new(&mut session, &mut socket);
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..count]);
        while let Some(head) = Protocol::Http.read(&bytes) {
            let length = head.bytes + usize::try_from(head.body_bytes).expect("a small body");
            if bytes.len() < length {
                break;
            }
            bytes.drain(..length);
            let Asked::For(Request::Square(number)) = head.asked else { panic!("{head:?}") };
            let reply = Protocol::Http.answer(reply_line(number, &ReplyFields::default()), head.keeps);
            let _ = stream.write_all(&reply);
            if !head.keeps {
                if says_end {
                    stream.conn.send_close_notify();
                }
                let _ = stream.flush();
                return;
            }
        }
    }
}

/// What the client trusts, and the folder that the file is in.
pub(super) fn client(authority: &Authority, alpn: &[&str]) -> (TlsClient, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("ca.pem"), authority.certificate()).expect("room");
    let ca = PemFile { path: "ca.pem".to_owned(), beside: Beside::Description };
    let tls = Tls { ca: Some(ca), ..Tls::default() };
    let folders = Folders { description: Some(folder.path().to_owned()), ..Folders::default() };
    let alpn: Vec<String> = alpn.iter().map(|&name| name.to_owned()).collect();
    (TlsClient::new(&tls, &alpn, &folders).expect("a client"), folder)
}

pub(super) fn plan(address: Address, tls: TlsClient, count: usize) -> LoadPlan {
    LoadPlan {
        spread: matches!(address, Address::Tcp(_)),
        address,
        schedule: Schedule::Fixed(vec![0; count]),
        timeouts: PATIENT,
        in_flight_max: 1_000,
        clients: None,
        protocol: Protocol::Http,
        connection: Connection::ONE_SHOT,
        tls: Some(tls),
        proxy: None,
        script: Arc::default(),
    }
}

pub(super) fn run(plan: &LoadPlan) -> (Vec<ClientRecord>, Certificates) {
    let mut keeps = Keeps::default();
    let (progress, stop) = (Progress::default(), StopFlag::new().expect("a descriptor"));
    let records = load::run(plan, now_ns(), &mut keeps, &progress, &stop).expect("a load");
    (records, keeps.0)
}

/// Serves so many connections over TCP, one after the other.
pub(super) fn listen(count: usize, one: impl Fn(std::net::TcpStream) + Send + 'static) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = Address::Tcp(listener.local_addr().expect("an address"));
    std::thread::spawn(move || (0..count).for_each(|_| one(listener.accept().expect("a client").0)));
    address
}

/// Of two servers that take turns, each shows a certificate of its own: threads must not take one for the other's.
#[test]
fn certificates_are_those_of_their_sessions_whichever_thread_has_them() {
    const COUNT: usize = 60;
    let authority = Authority::new();
    let (tls, _folder) = client(&authority, &["http/1.1"]);
    let configs = ["server", "server"].map(|name| config(&authority.sign(name), &["http/1.1"]));
    // Two kinds of attempts, by their addresses, served side by side.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = Address::Tcp(listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for _ in 0..COUNT {
            let (socket, peer) = listener.accept().expect("a client");
            let attempt = Peer::Ip(peer.ip(), peer.port()).attempt().expect("an attempt's address");
            let config = Arc::clone(&configs[attempt as usize / 3 % 2]);
            std::thread::spawn(move || serve(socket, &config, true));
        }
    });
    let plan = plan(address, tls, COUNT);
    let mut hooks: Vec<Keeps> = (0..3).map(|_| Keeps::default()).collect();
    let (progress, stop) = (Progress::default(), StopFlag::new().expect("a descriptor"));
    let logs = RecordLogs::in_memory(3);
    let records = load::run_in_threads(logs, &plan, now_ns(), &mut hooks, &progress, &stop).expect("a load");
    assert_eq!(hooks[0].0.all().count(), 2);
    let shown: Vec<_> =
        records.series().iter().map(|record| record.certificate.expect("one was shown")).collect();
    assert!((0..COUNT).all(|attempt| shown[attempt] == shown[attempt % 6 / 3 * 3]), "{shown:?}");
    assert_ne!(shown[0], shown[3]);
}

#[test]
fn attempts_are_served_over_tcp_and_unix_and_their_stamps_are_in_order() {
    let authority = Authority::new();
    let (tls, _folder) = client(&authority, &["http/1.1"]);
    let config = config(&authority.sign("server"), &["http/1.1"]);
    let (tcp_config, dir) = (Arc::clone(&config), tempfile::tempdir().expect("a folder"));
    let tcp = listen(8, move |socket| serve(socket, &tcp_config, true));
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a listener");
    std::thread::spawn(move || {
        (0..8).for_each(|_| serve(listener.accept().expect("a client").0, &config, false));
    });
    for address in [tcp, Address::Unix(path)] {
        let (records, certificates) = run(&plan(address.clone(), tls.clone(), 8));
        for record in &records {
            assert_eq!(record.outcome, Outcome::Replied, "{address}: {record:?}");
            assert!(record.started <= record.connected && record.connected <= record.tls);
            assert!(record.tls.is_some() && record.tls <= record.finished);
            assert!(record.certificate.is_some() && !record.resumed);
            // The server's close may come when the last attempt is over.
            assert!(record.ended != Some(Ending::Reset), "{record:?}");
        }
        let said = describe_all(&certificates);
        assert_eq!((said.len(), &said[0].subject[..]), (1, "CN=server"));
    }
}

#[test]
fn sessions_and_large_bodies_are_carried() {
    let authority = Authority::new();
    let (tls, _folder) = client(&authority, &[]);
    let config = config(&authority.sign("server"), &[]);
    let address = listen(4, move |socket| serve(socket, &config, true));
    let connection = Connection { requests: 3, body_bytes: 300_000, ..Connection::ONE_SHOT };
    let (records, _) = run(&LoadPlan { connection, ..plan(address, tls, 4) });
    assert!(
        records.iter().all(|it| it.outcome == Outcome::Replied && it.requests_answered == 3),
        "{records:?}"
    );
}

#[track_caller]
fn check_outcome(tls: &TlsClient, outcome: Outcome, one: impl Fn(std::net::TcpStream) + Send + 'static) {
    let address = listen(1, one);
    let (records, _) = run(&plan(address, tls.clone(), 1));
    assert_eq!(records[0].outcome, outcome, "{:?}", records[0]);
    assert!(records[0].connected.is_some() && records[0].tls.is_none(), "{:?}", records[0]);
}

#[test]
fn what_is_no_tls_at_all_has_its_outcome() {
    let authority = Authority::new();
    let (tls, _folder) = client(&authority, &["http/1.1"]);
    let failed = Outcome::Tls;
    let says = |text: &'static [u8]| {
        move |mut socket: std::net::TcpStream| {
            let _ = socket.read(&mut [0; 4096]);
            socket.write_all(text).expect("room");
            let _ = socket.read(&mut [0; 4096]);
        }
    };
    check_outcome(&tls, failed(TlsFailure::NotTls), says(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    check_outcome(&tls, failed(TlsFailure::NotTls), says(b"220 mail.test ESMTP\r\n"));
    check_outcome(&tls, failed(TlsFailure::Alert(80)), says(&[21, 3, 3, 0, 2, 2, 80]));
    // A record of TLS whose content makes no sense.
    check_outcome(&tls, failed(TlsFailure::Violation), says(&[22, 3, 3, 0, 4, 99, 0, 0, 0]));
    check_outcome(&tls, failed(TlsFailure::Cut), |mut socket| {
        let _ = socket.read(&mut [0; 4096]);
    });
    // Closed with something unread: the kernel resets.
    check_outcome(&tls, failed(TlsFailure::Reset), |mut socket| {
        let _ = socket.read(&mut [0; 1]);
    });
}

#[test]
fn what_has_nothing_in_common_has_its_outcome() {
    let authority = Authority::new();
    let (tls, _folder) = client(&authority, &["http/1.1"]);
    let other = config(&authority.sign("server"), &["h2"]);
    // no_application_protocol
    check_outcome(&tls, Outcome::Tls(TlsFailure::Alert(120)), move |socket| serve(socket, &other, true));
    let stranger = config(&Authority::new().sign("server"), &[]);
    check_outcome(&tls, Outcome::Tls(TlsFailure::Untrusted), move |socket| serve(socket, &stranger, true));
    let expired = config(&authority.sign_with("server", expired), &[]);
    check_outcome(&tls, Outcome::Tls(TlsFailure::Expired), move |socket| serve(socket, &expired, true));
}

#[test]
fn a_handshake_that_is_not_answered_runs_out_of_time_in_its_stage() {
    let authority = Authority::new();
    let (tls, _folder) = client(&authority, &[]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = Address::Tcp(listener.local_addr().expect("an address"));
    let timeouts = Timeouts { connect_ns: 5 * MS, first_byte_ns: 20 * MS, total_ns: 20 * MS };
    let (records, _) = run(&LoadPlan { timeouts, ..plan(address, tls, 3) });
    // The time to connect is no time for the handshake.
    let timed_out = Outcome::TimedOut(holdline_model::words::Stage::Tls);
    assert!(records.iter().all(|record| record.outcome == timed_out), "{records:?}");
}
