//! Accept queues: what they hold and drop, and how it is known when somebody was accepted.

use std::path::Path;

use holdline_model::reason::Reason;
use holdline_model::result::{Backlog, LossKind, Need, TrialResult, What};
use holdline_model::sampling::Method;
use holdline_model::words::{Fate, Grade};

use crate::support::{Files, Place, conclusive, of, result, stdout};

fn count(trial: &TrialResult, fate: Fate) -> u64 {
    trial.fates[&fate]
}

/// The span in which an attempt was accepted, as sampling has it.
#[derive(Debug, serde::Deserialize)]
struct Span {
    attempt: u32,
    not_before_ns: i128,
    not_after_ns: i128,
    seen_waiting: u8,
}

fn spans(run_dir: &Path, trial: &TrialResult) -> Vec<Span> {
    let file = std::fs::File::open(run_dir.join(&trial.folder).join("accepts.csv.gz")).expect("accepts");
    let mut csv = csv::Reader::from_reader(flate2::read::GzDecoder::new(file));
    csv.deserialize().map(|row| row.expect("a row")).collect()
}

/// A worker boots for 300 ms while 200 come a second, so that dozens wait long.
const WAITING: &str = r#"
name = "waiting"
asks = "When is who waits accepted?"
[workers]
boot = "300ms"
[load]
arrivals = { constant = "200/s" }
duration = "1s"
deadline = "2s"
send-lag = "2s"
[[fault]]
at = "302500us"
signal = { to = "worker", name = "KILL" }
[kernel]
sample-accepts = true
"#;

#[test]
fn sampled_accepts_are_those_that_workers_stamp() {
    let place = Place::new();
    let path = place.write("waiting.toml", WAITING);
    let (output, run) = conclusive(&place, &[path.to_str().expect("UTF-8"), "-s", "held-socket"]);
    let trial = of(&run, "held-socket");
    assert_eq!((trial.books.is_balanced(), trial.latency.accept.how), (true, Some(Method::Stamped)));
    let files = Files::of(&output, trial);
    let shown = stdout(&output);
    let dir = shown.lines().find_map(|line| line.strip_prefix("run directory: ")).expect("its line");
    let spans = spans(Path::new(dir), trial);
    // A worker may be put off between `accept` and its stamp, on a busy machine for as long as the
    // sampler itself was at times between two looks, and now and then for longer.
    let width_ns = |span: &Span| span.not_after_ns - span.not_before_ns;
    let slack_ns =
        spans.iter().filter(|span| span.seen_waiting == 1).map(width_ns).max().expect("some waited");
    let (mut compared, mut waited, mut put_off) = (0, 0, 0);
    for span in &spans {
        let stamped = files.attempts.iter().find(|row| row.attempt == span.attempt).expect("an attempt");
        // Only a worker that was killed between `accept` and its stamp leaves none.
        let Some(stamped_ns) = stamped.accepted_ns.map(i128::from) else { continue };
        assert!(span.not_before_ns <= stamped_ns, "{span:?}: {stamped_ns}");
        put_off += u32::from(stamped_ns > span.not_after_ns + slack_ns);
        compared += 1;
        waited += u32::from(span.seen_waiting);
    }
    assert!(put_off <= compared / 20, "{put_off} of {compared}, slack {slack_ns}");
    let served = u64::from(count(trial, Fate::Served) > 0);
    assert!(served == 1 && compared >= 199 && waited >= 20, "{compared} compared, {waited} of them waited");
}

/// A server with workers of its own, which keep no ledger: it takes 20 ms for each request, so that
/// those that come at once wait for one another.
const OWN_SERVER: &str = r#"
import os, signal, socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
while True:
    connection, _ = server.accept()
    number = int(connection.makefile().readline())
    time.sleep(0.02)
    connection.sendall(b"%d*%d=%d\n" % (number, number, number * number))
    connection.close()
"#;

const OWN: &str = r#"
name = "own"
about = "A server that brings its own workers"
runs = ["itself"]
socket = { holder = "worker", passing = "own" }
transports = ["tcp"]
start = ["python3", "{source}/server.py", "{port}"]
ready = { listening = true, workers = false, timeout = "30s" }
stop = { signal = "TERM", to = "supervisor" }
"#;

const BURSTS: &str = r#"
name = "bursts"
asks = "How long do those wait who come at once?"
[load]
arrivals = { burst = { size = 20, every = "1s" } }
attempts = 20
deadline = "5s"
send-lag = "2s"
"#;

#[test]
fn a_server_without_a_ledger_has_its_accept_latency_sampled() {
    let place = Place::new();
    place.write("own/server.py", OWN_SERVER);
    place.write("own/supervisor.toml", OWN);
    place.write("bursts.toml", BURSTS);
    let (output, run) = conclusive(&place, &["./bursts.toml", "-s", "./own"]);
    let trial = of(&run, "own");
    assert_eq!((trial.books.is_balanced(), count(trial, Fate::Served)), (true, 20), "{trial:#?}");
    assert!(!trial.workers.ledger);
    let accept = &trial.latency.accept;
    assert!(matches!(accept.how, Some(Method::Sampled { .. })), "{:?}", accept.method);
    assert_eq!((accept.count, trial.latency.queue_wait.count), (20, 20));
    assert!(accept.max_ns <= trial.latency.response.max_ns, "{accept:?}");
    assert!(trial.kernel.queue_max > 1 && trial.latency.queue_wait.max_ns > 0, "{accept:?}");
    assert!(stdout(&output).contains("accept latency: sampled every"), "{}", stdout(&output));
}

/// What a server listens with of its own accord is not what the kernel allows.
#[test]
fn a_server_with_a_backlog_of_its_own_is_told_from_what_the_kernel_allows() {
    let place = Place::new();
    place.write("own/server.py", OWN_SERVER.replace("backlog=128", "backlog=4").as_str());
    place.write("own/supervisor.toml", OWN);
    place.write("bursts.toml", BURSTS);
    let (_, run) = conclusive(&place, &["./bursts.toml", "-s", "./own"]);
    let advised = of(&run, "own").advised.expect("advice");
    let Backlog { listeners, asked, limit, somaxconn } = advised.backlog;
    assert_eq!((listeners, asked, limit), (1, 128, 4), "{advised}");
    assert!(somaxconn.is_some_and(|most| most > 4), "{advised:?}");
}

/// A server that accepts everybody and answers nobody. It ends at once when it is asked to stop.
const RUDE_SERVER: &str = r#"
import os, signal, socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
while True:
    server.accept()[0].close()
"#;

#[test]
fn what_holdline_closes_by_stopping_a_server_reset_nobody() {
    let place = Place::new();
    place.write("own/server.py", RUDE_SERVER);
    place.write("own/supervisor.toml", OWN);
    place.write(
        "last.toml",
        "name = \"last\"\nasks = \"Who hung up?\"\n[load]\narrivals = { constant = \"1000/s\" }\n\
         attempts = 50\nsend-lag = \"2s\"\n",
    );
    let (_, run) = conclusive(&place, &["./last.toml", "-s", "./own", "-r", "10"]);
    for trial in &run.trials {
        let fates = (count(trial, Fate::NoReply), count(trial, Fate::QueueReset));
        assert_eq!(fates, (50, 0), "{:?}", trial.losses);
    }
}

#[test]
fn a_server_without_processes_beneath_it_has_no_worker_to_strike() {
    let place = Place::new();
    place.write("own/server.py", OWN_SERVER);
    place.write("own/supervisor.toml", OWN);
    let text = format!("{BURSTS}[[fault]]\nat = \"10ms\"\nsignal = {{ to = \"worker\", name = \"KILL\" }}\n");
    place.write("killed.toml", &text);
    let arguments = ["run", "--out", "out", "./killed.toml", "-s", "./own"];
    place.holdline(&arguments).output().expect("holdline runs");
    let run = result(&place.path("out"));
    let own = of(&run, "own");
    assert_eq!(own.grade, Grade::Inconclusive);
    assert!(matches!(own.why, Some(Reason::FaultFailed { fault: 1, .. })), "{:?}", own.why);
}

/// Everything that holds of an overflow at a backlog of 16, by whatever transport.
#[track_caller]
fn overflowed(trial: &TrialResult) {
    let name = &trial.scenario;
    assert!(trial.books.is_balanced(), "{name}");
    assert_eq!((trial.kernel.queue_limit, trial.kernel.queue_max), (16, 17), "{name}");
    let full = trial.timeline.iter().any(|entry| entry.what == Some(What::QueueFull));
    assert!(full, "{:#?}", trial.timeline);
    assert!(trial.causes.iter().any(|loss| loss.kind == LossKind::QueueFull), "{:?}", trial.losses);
    let advised = trial.advised.expect("advice");
    assert_eq!((advised.backlog.listeners, advised.backlog.limit), (1, 16), "{advised}");
    match advised.need {
        Need::Stall { backlog, .. } | Need::AtOnce { backlog } => assert!(backlog > 16, "{advised}"),
        // A machine that is busy accepts more slowly than attempts come: then no backlog is long enough.
        Need::TooMuch { came, accepted, .. } => assert!(accepted < came, "{advised}"),
        Need::Endless => panic!("the queue was emptied in the end: {advised}"),
    }
}

#[test]
fn a_full_queue_drops_what_the_kernel_counts() {
    let place = Place::new();
    let scenarios = ["backlog/16", "backlog/somaxconn", "backlog/unix", "-s", "held-socket"];
    let (output, run) = conclusive(&place, &scenarios);
    for trial in &run.trials {
        overflowed(trial);
        let dropped = count(trial, Fate::SynDropped);
        if trial.scenario == "backlog/unix" {
            assert_eq!((trial.grade, dropped), (Grade::Delayed, 0), "{:?}", trial.losses);
            assert_eq!(trial.kernel.listener_drops(), None, "listeners of Unix sockets count no drops");
        } else {
            assert_eq!(trial.grade, Grade::Lossy, "{:?}", trial.losses);
            // Each gave up before its SYN would have been sent again, unless the client was late.
            let drops = dropped + trial.kernel.syn_retransmits;
            assert_eq!((trial.kernel.listen_drops, trial.kernel.listen_overflows), (drops, drops));
            assert_eq!(trial.kernel.listeners.len(), 1, "{:?}", trial.kernel.listeners);
            assert_eq!(trial.kernel.listener_drops(), Some(drops));
        }
    }
    let capped = run.trials.iter().find(|trial| trial.scenario == "backlog/somaxconn").expect("a trial");
    let expected = Backlog { listeners: 1, asked: 4096, limit: 16, somaxconn: Some(16) };
    assert_eq!(capped.advised.map(|advised| advised.backlog), Some(expected));
    assert!(stdout(&output).contains("\nadvice\n"), "{}", stdout(&output));
}

#[test]
fn dropped_syns_are_sent_again_and_counted() {
    let place = Place::new();
    let (_, run) = conclusive(&place, &["backlog-overflow", "-s", "held-socket"]);
    let trial = of(&run, "held-socket");
    overflowed(trial);
    assert_eq!(
        (trial.grade, count(trial, Fate::Served)),
        (Grade::Delayed, trial.attempts),
        "{:?}",
        trial.losses
    );
    let kernel = &trial.kernel;
    assert!(kernel.syn_retransmits > 0 && kernel.counters["RetransSegs"] >= kernel.syn_retransmits);
    assert!(kernel.listen_drops >= kernel.syn_retransmits, "{kernel:?}");
    assert!(trial.causes.iter().any(|loss| loss.kind == LossKind::SentAgain), "{:?}", trial.losses);
    assert!(trial.latency.connect.max_ns >= 1_000_000_000, "a SYN is sent again after a second");
}

#[test]
fn without_reuse_addr_a_restarted_worker_cannot_bind() {
    let place = Place::new();
    let selection = ["reuse-addr", "-s", "restart-loop", "-s", "restart-loop-no-reuseaddr"];
    let (_, run) = conclusive(&place, &selection);
    let (with, without) = (of(&run, "restart-loop"), of(&run, "restart-loop-no-reuseaddr"));
    assert_eq!((with.grade, with.workers.bind_failures), (Grade::Lossy, 0), "{:?}", with.losses);
    assert_eq!(without.grade, Grade::Down, "{:?}", without.losses);
    assert!(without.workers.bind_failures > 0);
    assert!(with.books.is_balanced() && without.books.is_balanced());
}

#[test]
fn migration_saves_who_waits_on_a_listener_that_closes() {
    let place = Place::new();
    let (_, run) = conclusive(&place, &["migrate-req/*", "reuse-port-close", "-s", "reuse-port"]);
    for trial in &run.trials {
        assert!(trial.books.is_balanced(), "{}", trial.scenario);
        let migrated = trial.kernel.counters["TCPMigrateReqSuccess"];
        if trial.scenario == "migrate-req/1" {
            assert!(migrated > 0, "{:?}", trial.kernel.counters);
            assert_eq!(count(trial, Fate::QueueReset), 0, "{:?}", trial.losses);
        } else {
            assert_eq!((trial.grade, migrated), (Grade::Lossy, 0), "{:?}", trial.losses);
            assert!(count(trial, Fate::QueueReset) > 0, "{:?}", trial.losses);
        }
    }
}

#[test]
fn scenarios_of_a_folder_and_throughputs_are_compared() {
    let place = Place::new();
    let selection = ["unix-vs-tcp/*", "throughput", "-s", "bare", "-s", "held-socket"];
    let (output, run) = conclusive(&place, &selection);
    assert_eq!(run.trials.len(), 6);
    for trial in &run.trials {
        assert_eq!(trial.throughput_per_second.is_some(), trial.scenario == "throughput");
    }
    let shown = stdout(&output);
    for line in ["response times, against unix-vs-tcp/tcp", "served per second in throughput, against bare"] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }
}
