//! The kernel observer against real sockets, in whatever network namespace the tests run.
//!
//! Other tests and programs may use TCP meanwhile, so that the namespace's counters can only be said
//! to have risen by at least so much.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{fs, process};

use holdline::kernel::counters;
use holdline::kernel::diag::{Diag, ListenerSeen};
use holdline::kernel::observer::{INTERVAL, Observer, ObserverError};
use holdline::kernel::timeline::ListenerEvent;
use holdline_model::wire::Address;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, connect, getsockname,
    listen, setsockopt, socket, sockopt,
};

/// How long something may take that should happen soon.
const PATIENCE: Duration = Duration::from_secs(30);
/// An interval that leaves a loaded machine alone.
const UNHURRIED: Duration = Duration::from_millis(5);

/// What to do with a socket before it is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Option {
    None,
    ReusePort,
    V6Only(bool),
}

/// Listens as std cannot: with this backlog and option.
fn tcp_listener(address: &str, backlog: i32, option: Option) -> (OwnedFd, SocketAddr) {
    let (socket, address) = bound(address, option);
    listen(&socket, Backlog::new(backlog).unwrap()).unwrap();
    (socket, address)
}

/// Binds without listening, which keeps the port from everybody who does not share it.
fn bound(address: &str, option: Option) -> (OwnedFd, SocketAddr) {
    let address: SocketAddr = address.parse().unwrap();
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    match option {
        Option::None => {}
        Option::ReusePort => setsockopt(&socket, sockopt::ReusePort, &true).unwrap(),
        Option::V6Only(only) => setsockopt(&socket, sockopt::Ipv6V6Only, &only).unwrap(),
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address)).unwrap();
    let bound: SockaddrStorage = getsockname(socket.as_raw_fd()).unwrap();
    let port = bound.as_sockaddr_in().map(nix::sys::socket::SockaddrIn::port);
    let port = port.or_else(|| Some(bound.as_sockaddr_in6()?.port())).unwrap();
    (socket, SocketAddr::new(address.ip(), port))
}

fn unix_listener(path: &Path, backlog: i32) -> OwnedFd {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(socket.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
    listen(&socket, Backlog::new(backlog).unwrap()).unwrap();
    socket
}

/// Sends a SYN and does not wait for what becomes of it.
fn knock(address: SocketAddr) -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
    assert_eq!(connect(socket.as_raw_fd(), &SockaddrStorage::from(address)), Err(Errno::EINPROGRESS));
    socket
}

fn inode(socket: &impl AsRawFd) -> u32 {
    let metadata = fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
    u32::try_from(metadata.ino()).unwrap()
}

fn inodes(seen: &[ListenerSeen]) -> Vec<u32> {
    seen.iter().map(|listener| listener.inode).collect()
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values
}

/// Asks until the answer is as wanted: the kernel may finish a handshake after `connect` returned.
#[track_caller]
fn eventually<T: std::fmt::Debug>(mut ask: impl FnMut() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let began = Instant::now();
    loop {
        let answer = ask();
        if wanted(&answer) {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "still {answer:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_full_queue_holds_one_more_than_its_limit_and_drops_the_rest() {
    let (server, address) = tcp_listener("127.0.0.1:0", 4, Option::None);
    let at = Address::Tcp(address);
    let mut diag = Diag::open().unwrap();
    let empty = ListenerSeen { inode: inode(&server), queue: 0, limit: 4, drops: Some(0) };
    assert_eq!(diag.listeners(&at).unwrap(), [empty]);

    let queued: Vec<_> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
    let full = eventually(|| diag.listeners(&at).unwrap(), |seen| seen[0].queue == 5);
    assert_eq!(full, [ListenerSeen { queue: 5, ..empty }]);
    let clients = sorted(queued.iter().map(|client| client.local_addr().unwrap()).collect());
    let unaccepted = || diag.unaccepted(&at).unwrap().iter().map(|one| one.client).collect::<Vec<_>>();
    assert_eq!(eventually(unaccepted, |seen| seen.len() == 5), clients);

    let before = counters::read().unwrap();
    let dropped: Vec<_> = (0..7).map(|_| knock(address)).collect();
    let seen = eventually(|| diag.listeners(&at).unwrap(), |seen| seen[0].drops >= Some(7));
    assert_eq!((seen[0].queue, seen[0].limit), (5, 4));
    let since = counters::read().unwrap().since(&before);
    assert!(since.listen_overflows >= 7 && since.listen_drops >= 7, "{since:?}");
    drop(dropped);
}

#[test]
fn what_is_accepted_or_gone_is_not_waiting() {
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let server = TcpListener::bind(host).unwrap();
        let address = server.local_addr().unwrap();
        let at = Address::Tcp(address);
        let mut diag = Diag::open().unwrap();
        let mut waiting = |count| {
            let ask = || diag.unaccepted(&at).unwrap().iter().map(|one| one.client).collect::<Vec<_>>();
            eventually(ask, |seen| seen.len() == count)
        };
        assert_eq!(waiting(0), []);
        let first = TcpStream::connect(address).unwrap();
        let second = TcpStream::connect(address).unwrap();
        let (accepted, _) = server.accept().unwrap();
        assert_eq!(waiting(1), [second.local_addr().unwrap()]);

        // A client that gave up waiting is in the queue all the same.
        let gave_up = second.local_addr().unwrap();
        drop(second);
        assert_eq!(waiting(1), [gave_up]);
        drop((server.accept().unwrap(), accepted, first));
        assert_eq!(waiting(0), []);
    }
    assert_eq!(Diag::open().unwrap().unaccepted(&Address::Unix("/nowhere".into())).unwrap(), []);
}

#[test]
fn listeners_are_found_by_where_they_would_take_connections() {
    let mut diag = Diag::open().unwrap();
    let mut found = |address: SocketAddr, host: &str| {
        let at = Address::Tcp(SocketAddr::new(host.parse().unwrap(), address.port()));
        inodes(&diag.listeners(&at).unwrap())
    };
    let mut diag = Diag::open().unwrap();
    let mut taken = |address: SocketAddr, host: &str| {
        let at = SocketAddr::new(host.parse().unwrap(), address.port());
        Some(diag.taker(at, 40_000).unwrap()?.inode)
    };
    for (bound, option, takes, does_not) in [
        ("127.0.0.1:0", Option::None, &["127.0.0.1"][..], &["127.0.0.2", "::1"][..]),
        ("0.0.0.0:0", Option::None, &["127.0.0.1", "127.0.0.2"], &["::1"]),
        ("[::1]:0", Option::None, &["::1"], &["127.0.0.1"]),
        ("[::]:0", Option::V6Only(false), &["::1", "127.0.0.1"], &[]),
        ("[::]:0", Option::V6Only(true), &["::1"], &["127.0.0.1"]),
        ("[::ffff:127.0.0.1]:0", Option::V6Only(false), &["127.0.0.1"], &["::1", "127.0.0.2"]),
    ] {
        let (server, address) = tcp_listener(bound, 1, option);
        for host in takes {
            assert_eq!(found(address, host), [inode(&server)], "{bound} {option:?} takes {host}");
            assert_eq!(taken(address, host), Some(inode(&server)), "{bound} {option:?} takes {host}");
        }
        for host in does_not {
            // Another test's listener may have the same port at another address.
            assert!(!found(address, host).contains(&inode(&server)), "{bound} {option:?}, {host}");
            assert_ne!(taken(address, host), Some(inode(&server)), "{bound} {option:?}, {host}");
        }
        let inode = inode(&server);
        drop(server);
        assert!(!found(address, takes[0]).contains(&inode), "{bound} {option:?} is closed");
    }
}

#[test]
fn listeners_that_share_a_port_are_all_found() {
    let (first, address) = tcp_listener("127.0.0.1:0", 3, Option::ReusePort);
    let (second, _) = tcp_listener(&address.to_string(), 5, Option::ReusePort);
    let mut diag = Diag::open().unwrap();
    let seen = diag.listeners(&Address::Tcp(address)).unwrap();
    for port in 40_000..41_000 {
        assert!(seen.contains(&diag.taker(address, port).unwrap().unwrap()));
    }
    assert_eq!(inodes(&seen), sorted(vec![inode(&first), inode(&second)]));
    assert_eq!(sorted(seen.iter().map(|listener| listener.limit).collect()), [3, 5]);
    drop(first);
    assert_eq!(inodes(&diag.listeners(&Address::Tcp(address)).unwrap()), [inode(&second)]);
}

#[test]
fn the_queue_of_a_unix_listener_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let server = unix_listener(&path, 2);
    let _other = unix_listener(&dir.path().join("other"), 1);
    let mut diag = Diag::open().unwrap();
    let at = Address::Unix(path.clone());
    let empty = ListenerSeen { inode: inode(&server), queue: 0, limit: 2, drops: None };
    assert_eq!(diag.listeners(&at).unwrap(), [empty]);
    let queued: Vec<_> = (0..3).map(|_| UnixStream::connect(&path).unwrap()).collect();
    assert_eq!(diag.listeners(&at).unwrap(), [ListenerSeen { queue: 3, ..empty }]);
    drop((queued, server));
    assert_eq!(diag.listeners(&at).unwrap(), []);
}

#[test]
fn unix_listeners_are_found_by_file_where_the_name_misleads() {
    let dir = tempfile::tempdir().unwrap();
    let (path, alias) = (dir.path().join("socket"), dir.path().join("alias"));
    std::os::unix::fs::symlink(dir.path(), &alias).unwrap();
    let mut diag = Diag::open().unwrap();
    let mut found = || inodes(&diag.listeners(&Address::Unix(path.clone())).unwrap());

    let by_alias = unix_listener(&alias.join("socket"), 1);
    assert_eq!(found(), [inode(&by_alias)], "bound by another path to the same file");
    fs::remove_file(&path).unwrap();
    assert_eq!(found(), [] as [u32; 0]);

    let old = unix_listener(&path, 1);
    fs::remove_file(&path).unwrap();
    assert_eq!(found(), [inode(&old)], "nothing took its place");
    let new = unix_listener(&dir.path().join("new"), 1);
    fs::rename(dir.path().join("new"), &path).unwrap();
    assert_eq!(found(), [inode(&new)], "bound elsewhere and moved over the old one");
}

fn observe(address: SocketAddr) -> (Observer, Receiver<ListenerEvent>) {
    let (events, received) = mpsc::channel();
    let send = move |event| events.send(event).unwrap_or_default();
    (Observer::start(Address::Tcp(address), UNHURRIED, send).unwrap(), received)
}

#[test]
fn what_opens_and_closes_is_told_at_once_and_recorded() {
    let (server, address) = tcp_listener("127.0.0.1:0", 4, Option::ReusePort);
    let first = inode(&server);
    let _keeps_the_port = bound(&address.to_string(), Option::ReusePort);
    let (observer, events) = observe(address);
    let told = || events.recv_timeout(PATIENCE).unwrap();
    assert!(observer.is_listening());
    assert!(matches!(told(), ListenerEvent::Opened { inode, limit: 4, .. } if inode == first));
    let held = told();
    assert!(
        matches!(&held, ListenerEvent::Held { inode, holders }
            if *inode == first && holders.contains(&process::id())),
        "{held:?}"
    );

    drop(server);
    let closed = |closed: u32| loop {
        match told() {
            ListenerEvent::Held { .. } => {}
            ListenerEvent::Closed { inode, .. } => break assert_eq!(inode, closed),
            ListenerEvent::Opened { .. } => panic!("another listener opened"),
        }
    };
    closed(first);
    assert!(!observer.is_listening());
    let (server, _) = tcp_listener(&address.to_string(), 7, Option::ReusePort);
    eventually(|| observer.is_listening(), |listening| *listening);

    let record = observer.finish(false).unwrap();
    let [gone, open] = &record.listeners[..] else { panic!("{:?}", record.listeners) };
    assert_eq!((gone.inode, gone.limit, open.inode, open.limit), (first, 4, inode(&server), 7));
    assert!(gone.opened_ns <= gone.last_seen_ns.unwrap() && gone.last_seen_ns < gone.gone_ns);
    assert!(gone.gone_ns.unwrap() <= open.opened_ns);
    assert_eq!((open.last_seen_ns, open.gone_ns), (None, None));
    assert!(open.holders.contains(&process::id()), "looked up again at the end: {open:?}");
    assert!(!record.exclusive && !record.thinned && record.interval_ns_max >= record.interval_ns);
}

#[test]
fn queues_drops_and_counters_are_recorded() {
    let (server, address) = tcp_listener("127.0.0.1:0", 1, Option::None);
    let (observer, _events) = observe(address);
    observer.begin().unwrap();
    let queued: Vec<_> = (0..2).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut diag = Diag::open().unwrap();
    let at = Address::Tcp(address);
    eventually(|| diag.listeners(&at).unwrap(), |seen| seen[0].queue == 2);
    let _dropped: Vec<_> = (0..3).map(|_| knock(address)).collect();
    eventually(|| diag.listeners(&at).unwrap(), |seen| seen[0].drops >= Some(3));
    observer.end().unwrap();

    let record = observer.finish(true).unwrap();
    let listener = &record.listeners[0];
    assert_eq!((listener.inode, listener.queue_max, listener.limit), (inode(&server), 2, 1));
    assert!(listener.drops >= Some(3), "{listener:?}");
    let last = record.samples.last().unwrap();
    assert_eq!((last.queue, last.limit, last.drops), (2, 1, listener.drops));
    assert!(record.counters.listen_overflows >= 3 && record.counters.passive_opens >= 2);
    assert!(record.exclusive);
    drop(queued);
}

#[test]
fn an_observer_ends_with_its_owner_and_tells_of_a_panic() {
    let (_server, address) = tcp_listener("127.0.0.1:0", 1, Option::None);
    let (observer, events) = observe(address);
    drop(observer);
    assert!(events.iter().count() >= 1, "the thread has let go of its channel");

    let (events, received) = mpsc::channel::<()>();
    let panics = move |_| {
        let _events = &events;
        panic!("this is meant to be");
    };
    let failed = Observer::start(Address::Tcp(address), INTERVAL, panics).unwrap_err();
    assert!(matches!(failed, ObserverError::Panicked), "{failed}");
    assert!(received.recv().is_err());
}
