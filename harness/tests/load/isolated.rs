//! What needs a process or a network namespace of its own: the test starts itself again, alone.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

use holdline::load::{self, LoadError, LoadPlan, Progress, StopFlag};
use holdline_contract::clock::now_ns;
use holdline_model::arrivals::Schedule;
use holdline_model::record::{ClientRecord, NotSent, Outcome};
use holdline_model::scenario::{Timeouts, Until};
use holdline_model::wire::{self, Address};
use holdline_model::words::{Stage, Transport};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::server::{Deed, Server, assert_named};
use super::{MS, PATIENT, assert_tally, burst, plan, run, run_with};

/// Set for the inner run of a test.
const INNER: &str = "HOLDLINE_LOAD_TEST_INNER";
/// Makes a network namespace with a loopback device and the clients' IPv6 prefix, as the sandbox does.
const IN_NAMESPACE: [&str; 5] = [
    "unshare",
    "-Urn",
    "sh",
    "-c",
    "ip link set lo up && ip -6 route add local fd68:6f6c:6400::/64 dev lo && exec \"$@\"",
];

fn is_inner() -> bool {
    std::env::var_os(INNER).is_some()
}

/// Runs the test of this name alone, in a process of its own, started by `wrapper`.
#[track_caller]
fn run_inner(test: &str, wrapper: &[&str]) {
    let program = std::env::current_exe().expect("the path of this program");
    let mut words: Vec<&std::ffi::OsStr> = wrapper.iter().map(std::ffi::OsStr::new).collect();
    if !wrapper.is_empty() {
        words.push("sh".as_ref());
    }
    words.push(program.as_os_str());
    let output = Command::new(words[0])
        .args(&words[1..])
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INNER, "1")
        .output()
        .expect("a process");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.contains("1 passed"), "the inner test did not run: {said}{complained}");
}

/// Where unprivileged user namespaces are refused, or a tool is missing, there is nothing to test.
fn has_namespaces() -> bool {
    let works = Command::new(IN_NAMESPACE[0])
        .args(&IN_NAMESPACE[1..])
        .args(["sh", "true"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("skipped: no network namespaces here");
    }
    works
}

#[test]
fn without_descriptors_attempts_are_not_sent() {
    const LIMIT: u64 = 64;
    const ATTEMPTS: usize = 100;
    if !is_inner() {
        return run_inner("isolated::without_descriptors_attempts_are_not_sent", &[]);
    }
    // Nobody accepts, so that no descriptor goes to the server.
    let server = Server::listen(Transport::Tcp, 128);
    let timeouts = Timeouts { first_byte_ns: 1_000 * MS, ..PATIENT };
    let plan = LoadPlan { timeouts, ..plan(server.address.clone(), burst(ATTEMPTS)) };
    let stop = StopFlag::new().expect("a descriptor");
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, LIMIT, hard).expect("a lower limit");
    let own_fds = std::fs::read_dir("/proc/self/fd").expect("procfs");
    let numbers = own_fds.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok());
    // The limit is on numbers, so that higher ones take nothing; one is that of the folder itself.
    let open = numbers.filter(|&number| number < LIMIT).count() - 1;
    let own = ["epoll", "timer"].len();
    // A quarter is left to the rest of the process.
    let most = (LIMIT - LIMIT / 4) as usize - open - own;
    let records = run_with(&plan, &mut (), &stop);
    // One more is for how long processors were idle, where the kernel says that of all that are ours.
    let is_sent = |record: &&ClientRecord| record.outcome == Outcome::TimedOut(Stage::FirstByte);
    let sent = records.iter().filter(is_sent).count();
    assert!(sent == most || sent + 1 == most, "{sent} of {most}");
    assert_tally(
        &records,
        &[
            (Outcome::TimedOut(Stage::FirstByte), sent),
            (Outcome::NotSent(NotSent::Descriptors), ATTEMPTS - sent),
        ],
    );
    setrlimit(Resource::RLIMIT_NOFILE, load::DESCRIPTORS_MIN - 1, hard).expect("a lower limit");
    let refused = load::run(&plan, now_ns(), &mut (), &Progress::default(), &stop);
    assert!(matches!(refused, Err(LoadError::TooFewDescriptors { limit: 63, .. })), "{refused:?}");
    setrlimit(Resource::RLIMIT_NOFILE, LIMIT, hard).expect("the limit from before");
    assert_eq!(load::raise_nofile().expect("a limit that may be raised"), LIMIT);
    assert_eq!(getrlimit(Resource::RLIMIT_NOFILE), Ok((hard, hard)));
}

/// Connections that were answered are given up when the server closes them, not before: otherwise
/// either descriptors would run out, or TIME_WAIT would be the client's.
#[test]
fn the_server_closes_first_and_the_client_then() {
    const LIMIT: u64 = 64;
    const ATTEMPTS: usize = 500;
    if !is_inner() {
        if has_namespaces() {
            run_inner("isolated::the_server_closes_first_and_the_client_then", &IN_NAMESPACE);
        }
        return;
    }
    let server = Server::listen(Transport::Tcp, 128);
    let Address::Tcp(address) = server.address.clone() else { unreachable!("it is a TCP server") };
    let schedule = Schedule::Closed { clients: 2, until: Until::Attempts(ATTEMPTS as u32) };
    let plan = plan(server.address.clone(), schedule);
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, LIMIT, hard).expect("a lower limit");
    let log = server.serve(ATTEMPTS, |_| Deed::Serve);
    assert_tally(&run(&plan), &[(Outcome::Replied, ATTEMPTS)]);
    log.join().expect("a server that did as it was told");

    let server_port = format!(":{:04X}", address.port());
    let sockets = std::fs::read_to_string("/proc/thread-self/net/tcp").expect("procfs");
    let in_time_wait = sockets.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[3] == "06").then(|| words[1].ends_with(&server_port))
    });
    // What the server has not closed when the last attempt ends, the client closes.
    let (of_server, of_client): (Vec<bool>, Vec<bool>) = in_time_wait.partition(|&is_server| is_server);
    assert!(of_client.len() <= 2, "{} of the client", of_client.len());
    assert!(of_server.len() >= ATTEMPTS - 2, "{} of the server", of_server.len());
}

#[test]
fn ipv6_and_unix_clients_have_addresses_of_their_own() {
    const ATTEMPTS: usize = 50;
    if !is_inner() {
        if has_namespaces() {
            run_inner("isolated::ipv6_and_unix_clients_have_addresses_of_their_own", &IN_NAMESPACE);
        }
        return;
    }
    assert!(load::v6_spread_available());
    // The short queue makes Unix clients wait for room, bound to their names.
    for (transport, backlog) in [(Transport::Tcp6, 128), (Transport::Unix, 4)] {
        let server = Server::listen(transport, backlog);
        let plan = LoadPlan { spread: true, ..plan(server.address.clone(), burst(ATTEMPTS)) };
        let log = server.serve(ATTEMPTS, |attempt| if attempt == 7 { Deed::Close } else { Deed::Serve });
        let records = run(&plan);
        assert_tally(&records, &[(Outcome::Replied, ATTEMPTS - 1), (Outcome::Closed, 1)]);
        assert_eq!(records[7].outcome, Outcome::Closed);
        assert_named(&log.join().expect("a server that did as it was told"));
    }
}

/// As when two trials without isolation ran at the same time.
#[test]
fn a_name_that_is_taken_is_not_the_servers_fault() {
    if !is_inner() {
        if has_namespaces() {
            run_inner("isolated::a_name_that_is_taken_is_not_the_servers_fault", &IN_NAMESPACE);
        }
        return;
    }
    let taken = SocketAddr::from_abstract_name(wire::client_unix(1)).expect("a short name");
    let _other = UnixListener::bind_addr(&taken).expect("a free name");
    let server = Server::listen(Transport::Unix, 4);
    let plan = LoadPlan { spread: true, ..plan(server.address.clone(), burst(3)) };
    let log = server.serve(2, |_| Deed::Serve);
    let records = run(&plan);
    assert_tally(&records, &[(Outcome::Replied, 2), (Outcome::NotSent(NotSent::Addresses), 1)]);
    assert_named(&log.join().expect("a server that did as it was told"));
}

#[test]
fn without_the_route_ipv6_clients_share_an_address() {
    if load::v6_spread_available() {
        return;
    }
    let server = Server::listen(Transport::Tcp6, 128);
    let spread = plan(server.address.clone(), burst(5));
    let stop = StopFlag::new().expect("a descriptor");
    let result = load::run(&spread, now_ns(), &mut (), &Progress::default(), &stop);
    assert!(matches!(result, Err(LoadError::NoV6Route)), "{result:?}");

    let log = server.serve(5, |_| Deed::Serve);
    assert_tally(&run(&LoadPlan { spread: false, ..spread }), &[(Outcome::Replied, 5)]);
    let log = log.join().expect("a server that did as it was told");
    assert!(log.seen.iter().all(|&(attempt, _)| attempt.is_none()));
}
