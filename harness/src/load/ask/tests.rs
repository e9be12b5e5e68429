use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use holdline_model::words::Stage;

use super::*;

fn load(text: &str) -> Load {
    let text = format!(
        "name = \"x\"\nasks = \"?\"\n[load]\narrivals = {{ constant = \"1/s\" }}\nattempts = 1\n{text}"
    );
    scenario::parse(&text, "x.toml").expect("a scenario").load
}

fn asker_of(address: &Address, protocol: Protocol, text: &str) -> Asker {
    Asker::new(address, protocol, &Arc::default(), &load(text)).expect("an address")
}

/// What a server says to one request, of which it is told the first line, and where it came from.
fn server(said: impl FnOnce(&str) -> Vec<u8> + Send + 'static) -> (Address, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = Address::Tcp(listener.local_addr().expect("an address"));
    let thread = std::thread::spawn(move || {
        let (mut stream, client) = listener.accept().expect("a connection");
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).expect("a request");
        let request = String::from_utf8_lossy(&buffer[..count]).into_owned();
        stream.write_all(&said(request.lines().next().unwrap_or_default())).expect("sent");
        client.ip().to_string()
    });
    (address, thread)
}

fn http(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn a_right_reply_is_served_to_an_address_that_no_attempt_has() {
    let (address, thread) = server(|line| {
        let n: u64 = line.parse().expect("a number");
        format!("{n}*{n}={}\n", n * n).into_bytes()
    });
    let asked = asker_of(&address, Protocol::Square, "timeout = \"20s\"\ndeadline = \"20s\"").ask().await;
    assert!(matches!(asked.answer, Answer::Served { .. }), "{asked:?}");
    assert_eq!(thread.join().expect("a client"), "127.0.0.31");
}

#[tokio::test]
async fn what_comes_after_the_deadline_is_late() {
    let (address, _thread) = server(|line| {
        std::thread::sleep(Duration::from_millis(5));
        let n: u64 = line.parse().expect("a number");
        format!("{n}*{n}={}\n", n * n).into_bytes()
    });
    let asked = asker_of(&address, Protocol::Square, "timeout = \"20s\"\ndeadline = \"1ms\"").ask().await;
    assert!(matches!(asked.answer, Answer::Late { .. }), "{asked:?}");
}

#[tokio::test]
async fn another_status_is_said_with_what_came() {
    let (address, _thread) = server(|_| http("503 Oh", "draining"));
    let asked = asker_of(&address, Protocol::Http, "timeout = \"20s\"").ask().await;
    let Answer::Wrong { status, said } = asked.answer else { panic!("{asked:?}") };
    assert_eq!(status, Some(503));
    assert!(said.starts_with("HTTP/1.1 503 Oh\r\n") && said.ends_with("draining"), "{said}");
}

#[tokio::test]
async fn a_reply_that_is_not_the_answer_is_wrong_and_half_of_one_is_cut() {
    let (address, _thread) = server(|_| b"1*1=1\n".to_vec());
    let asked = asker_of(&address, Protocol::Square, "timeout = \"20s\"").ask().await;
    assert_eq!(asked.answer, Answer::Wrong { status: None, said: "1*1=1\n".to_owned() });
    for said in ["1*", ""] {
        let (address, _thread) = server(|_| said.as_bytes().to_vec());
        let asked = asker_of(&address, Protocol::Square, "timeout = \"20s\"").ask().await;
        assert_eq!(asked.answer, Answer::Cut { said: said.to_owned() });
    }
}

#[tokio::test]
async fn where_nobody_listens_it_is_refused() {
    // Bound and not listening: nobody else can be given that port meanwhile.
    let bound = tokio::net::TcpSocket::new_v4().expect("a socket");
    bound.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = Address::Tcp(bound.local_addr().expect("an address"));
    assert_eq!(asker_of(&address, Protocol::Square, "").ask().await.answer, Answer::Refused);
    let nowhere = Address::Unix("/nowhere/at/all".into());
    assert_eq!(asker_of(&nowhere, Protocol::Square, "").ask().await.answer, Answer::NoPath);
}

#[tokio::test]
async fn a_server_that_does_not_accept_is_given_the_time_of_an_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = Address::Tcp(listener.local_addr().expect("an address"));
    let asked = asker_of(&address, Protocol::Square, "timeout = \"10ms\"").ask().await;
    let Answer::TimedOut { stage: Stage::FirstByte, waited_ns } = asked.answer else { panic!("{asked:?}") };
    assert!(waited_ns >= 10_000_000);
}

#[tokio::test]
async fn over_a_unix_socket_each_request_has_a_name_of_its_own_and_waits_for_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a listener");
    // SAFETY: `listen` only changes how many connections may wait, and the descriptor is open.
    assert_eq!(unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&listener), 0) }, 0);
    let asker = asker_of(&Address::Unix(path), Protocol::Square, "timeout = \"10ms\"");
    let stage = |answer| match answer {
        Answer::TimedOut { stage, .. } => stage,
        other => panic!("{other:?}"),
    };
    assert_eq!(stage(asker.ask().await.answer), Stage::FirstByte);
    // The connection that was given up still waits in the queue, which has no more room.
    assert_eq!(stage(asker.ask().await.answer), Stage::Connect);
}
