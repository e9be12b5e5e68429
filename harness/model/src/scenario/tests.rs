//! Files that are right, and a table of files that are wrong.

use proptest::prelude::*;

use super::*;
use crate::bounds;
use crate::syscall::When;

const CRASH: &str = include_str!("../../../../scenarios/crash.toml");
const FORMAT: &str = include_str!("../../../../scenarios/FORMAT.md");

/// A file with the given lines behind the required ones; they begin in line 7.
fn with(lines: &str) -> String {
    format!(
        "name = \"t\"\nasks = \"Why?\"\n[load]\narrivals = {{ constant = \"100/s\" }}\nduration = \"1s\"\ndeadline = \"50ms\"\n{lines}"
    )
}

/// A file with the given lines as its load; they begin in line 4.
fn with_load(lines: &str) -> String {
    format!("name = \"t\"\nasks = \"Why?\"\n[load]\n{lines}\n")
}

#[track_caller]
fn right(text: &str) -> Scenario {
    parse(text, "t.toml").unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn wrong(text: &str, line: u32, column: u32, fragment: &str) {
    let error = parse(text, "t.toml").expect_err(text);
    assert_eq!((error.line, error.column), (line, column), "{text}\n{error}");
    assert!(error.to_string().contains(fragment), "{error}");
}

#[test]
fn the_crash_scenario_says_what_it_means() {
    let scenario = right(CRASH);
    assert_eq!(scenario.name, "crash");
    assert_eq!(scenario.means.len(), Grade::ALL.len());
    assert_eq!(scenario.load.arrivals, Arrivals::Sequential { gap_ns: 10_000_000 });
    assert_eq!(scenario.load.until, Until::Attempts(20));
    let poison = Poison { step: CrashStep::Work, mode: CrashMode::Panic };
    assert_eq!(
        scenario.faults,
        [Fault { at: Trigger::Attempt(5), action: Action::Poison(poison), target: None }]
    );
    let expect: Vec<String> = scenario.expect.iter().map(ToString::to_string).collect();
    assert_eq!(expect, ["collateral = 0", "refused = 0", "accept.p99 < 250 ms"]);
}

#[test]
fn names_may_have_folders_and_references_a_reason() {
    let named = |name: &str| with("").replace("\"t\"", &format!("\"{name}\""));
    let nested = named("backlog/1").replace("asks", "opt-in = true\nasks");
    let scenario =
        right(&format!("{nested}[reference]\nbare = \"held or lossy\"\nalike = \"It only measures.\"\n"));
    assert_eq!((scenario.name.as_str(), scenario.opt_in), ("backlog/1", true));
    assert_eq!(scenario.reference.grades["bare"], [Grade::Held, Grade::Lossy]);
    assert_eq!(scenario.reference.alike.as_deref(), Some("It only measures."));
    assert!(!right(CRASH).opt_in && right(CRASH).reference.alike.is_none());
    for name in ["/1", "backlog/", "a//b", "../crash", "a/all"] {
        wrong(&named(name), 1, 8, "cannot be the name of a scenario");
    }
    wrong(&with("[reference]\nbare = \"held or los\""), 8, 8, "lossy");
}

#[test]
fn the_documented_example_is_right() {
    let example =
        FORMAT.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let scenario = right(example);
    assert_eq!(scenario.workers.boot_ns, 1_000_000_000);
    assert_eq!(scenario.faults[1].at, Trigger::After { fault: 0, delay_ns: 500_000_000 });
    assert_eq!(scenario.sysctls["net.core.somaxconn"], "256");
    assert_eq!(scenario.load.timeouts.connect_ns, 4_000_000_000);
}

#[test]
fn the_format_names_every_word_and_sysctl() {
    let modes = CrashMode::ALL.iter().map(|mode| mode.as_str());
    let verbs = Verb::ALL.iter().map(|verb| verb.as_str());
    let grades = Grade::ALL.iter().map(|grade| grade.as_str());
    for word in modes.chain(verbs).chain(grades).chain(bounds::SYSCTLS.iter().copied()) {
        assert!(FORMAT.contains(word), "{word}");
    }
}

#[test]
fn defaults_are_as_documented() {
    let scenario =
        right("name = \"t\"\nasks = \"Why?\"\n[load]\narrivals = { closed = 32 }\nattempts = 100\n");
    assert_eq!(scenario.listen, Listen { transport: Transport::Tcp, backlog: 128, port: None, path: None });
    let workers = Workers {
        count: 1,
        boot_ns: 0,
        work_ns: 0,
        drain: Drain::Graceful,
        settle_ns: None,
        nofile: None,
        memory_bytes: None,
        user: None,
    };
    assert_eq!(scenario.workers, workers);
    let second = 1_000_000_000;
    let timeouts = Timeouts { connect_ns: 5 * second, first_byte_ns: 5 * second, total_ns: 5 * second };
    let load = Load {
        arrivals: Arrivals::Closed { clients: 32 },
        until: Until::Attempts(100),
        timeouts,
        deadline_ns: second / 20,
        patience_ns: 10 * second,
        clients: None,
        in_flight_max: 10_000,
        threads: 1,
        send_lag_max_ns: second / 20,
        proxy: None,
        protocol: None,
        connection: Connection::ONE_SHOT,
    };
    assert_eq!(scenario.load, load);
    assert!(scenario.about.is_empty() && scenario.means.is_empty() && scenario.faults.is_empty());
    assert!(scenario.expect.is_empty() && scenario.sysctls.is_empty());
}

#[test]
fn every_kind_of_arrival_is_read() {
    for (text, arrivals) in [
        ("{ constant = \"0.5/s\" }", Arrivals::Constant { per_second: 0.5 }),
        ("{ poisson = \"500/s\" }", Arrivals::Poisson { per_second: 500.0 }),
        (
            "{ ramp = { from = \"0/s\", to = \"5/s\" } }",
            Arrivals::Ramp { from_per_second: 0.0, to_per_second: 5.0 },
        ),
        ("{ burst = { size = 50, every = \"1s\" } }", Arrivals::Burst { size: 50, every_ns: 1_000_000_000 }),
        ("{ sequential = \"0\" }", Arrivals::Sequential { gap_ns: 0 }),
    ] {
        assert_eq!(
            right(&with_load(&format!("arrivals = {text}\nduration = \"2s\""))).load.arrivals,
            arrivals
        );
    }
}

#[test]
fn every_kind_of_fault_is_read() {
    for (text, action) in [
        (
            "crash = { step = \"boot\", mode = \"exit\", times = 3 }",
            Action::Crash { step: CrashStep::Boot, mode: CrashMode::Exit, times: 3 },
        ),
        (
            "crash = { step = \"idle\", mode = \"hang\" }",
            Action::Crash { step: CrashStep::Idle, mode: CrashMode::Hang, times: 1 },
        ),
        (
            "signal = { to = \"workers\", name = \"KILL\" }",
            Action::Signal { to: Target::Workers, signal: Signal::KILL },
        ),
        ("pause = { whom = \"worker\" }", Action::Pause { whom: Target::Worker, for_ns: None }),
        (
            "pause = { whom = \"supervisor\", for = \"7ns\" }",
            Action::Pause { whom: Target::Supervisor, for_ns: Some(7) },
        ),
        ("control = \"rolling-restart\"", Action::Control { verb: Verb::RollingRestart, workers: None }),
        ("control = { verb = \"stop\" }", Action::Control { verb: Verb::Stop, workers: None }),
        (
            "control = { verb = \"scale\", workers = 4 }",
            Action::Control { verb: Verb::Scale, workers: Some(4) },
        ),
    ] {
        let scenario = right(&with(&format!("[[fault]]\nat = {{ fraction = 0.5 }}\n{text}\n")));
        assert_eq!(scenario.faults, [Fault { at: Trigger::Fraction(0.5), action, target: None }], "{text}");
    }
}

#[test]
fn a_call_is_read_with_what_tells_it_apart() {
    let fault = |at: &str| {
        format!(
            "[[fault]]\nname = \"a\"\nat = \"10ms\"\ncontrol = \"stop\"\n[[fault]]\nat = {at}\ncontrol = \"stop\"\n"
        )
    };
    let plain = Meeting { call: "wait4", following: None, nth: 1, side: When::After };
    let narrow = Meeting { call: "close", following: Some("poll"), nth: 3, side: When::Before };
    for (text, since, meeting, optional) in [
        ("{ call = \"wait4\" }", None, plain, false),
        ("{ after = \"a\", call = \"wait4\", optional = true }", Some(0), plain, true),
        (
            "{ after = 0, call = \"close\", following = \"poll\", nth = 3, side = \"before\" }",
            Some(0),
            narrow,
            false,
        ),
    ] {
        let scenario = right(&with(&fault(text)));
        assert_eq!(scenario.faults[1].at, Trigger::Call(AtCall { since, meeting, optional }), "{text}");
    }
}

#[test]
fn faults_may_strike_as_long_as_the_load_may_run() {
    let fault = |at: &str| format!("[[fault]]\nat = {at}\ncontrol = \"restart\"\n");
    for (load, at) in [
        ("arrivals = { constant = \"100/s\" }\nduration = \"1s\"", "\"999ms\""),
        ("arrivals = { constant = \"100/s\" }\nattempts = 100", "\"999ms\""),
        ("arrivals = { constant = \"100/s\" }\nattempts = 1", "\"0\""),
        ("arrivals = { burst = { size = 50, every = \"2s\" } }\nattempts = 50", "\"1999ms\""),
        ("arrivals = { closed = 2 }\nattempts = 2", "\"4s\""),
        ("arrivals = { closed = 2 }\nduration = \"1s\"", "{ attempt = 9999999 }"),
        ("arrivals = { sequential = \"10ms\" }\nattempts = 20", "\"3s\""),
        ("arrivals = { sequential = \"10ms\" }\nduration = \"1s\"", "{ attempt = 99 }"),
        ("arrivals = { ramp = { from = \"100/s\", to = \"0/s\" } }\nduration = \"1s\"", "{ attempt = 49 }"),
        ("arrivals = { poisson = \"10/s\" }\nattempts = 3", "{ attempt = 2 }"),
    ] {
        right(&with_load(&format!("{load}\n{}", fault(at))));
    }
    for (load, at, fragment) in [
        ("arrivals = { constant = \"100/s\" }\nattempts = 100", "\"1s\"", "beyond the load's end (1.00 s)"),
        (
            "arrivals = { burst = { size = 50, every = \"2s\" } }\nattempts = 50",
            "\"2s\"",
            "beyond the load's end",
        ),
        (
            "arrivals = { burst = { size = 5, every = \"2s\" } }\nduration = \"2s\"",
            "{ attempt = 5 }",
            "5 attempts",
        ),
        ("arrivals = { closed = 2 }\nattempts = 2", "\"5s\"", "beyond the load's end"),
        ("arrivals = { sequential = \"10ms\" }\nattempts = 20", "{ attempt = 20 }", "expected at most 19"),
        (
            "arrivals = { sequential = \"10ms\" }\nduration = \"1s\"",
            "{ attempt = 100 }",
            "beyond the load's end",
        ),
        ("arrivals = { poisson = \"10/s\" }\nduration = \"1s\"", "{ attempt = 10 }", "has 10 attempts"),
    ] {
        wrong(&with_load(&format!("{load}\n{}", fault(at))), 7, 6, fragment);
    }
}

#[test]
fn delays_add_up() {
    let faults = |delay: &str| {
        with(&format!(
            "[[fault]]\nname = \"a\"\nat = \"500ms\"\npause = {{ whom = \"worker\", for = \"200ms\" }}\n\
             [[fault]]\nat = {{ after = 0, delay = \"{delay}\" }}\ncontrol = \"restart\"\n"
        ))
    };
    right(&faults("299ms"));
    wrong(&faults("300ms"), 12, 6, "beyond the load's end");
}

#[test]
fn names_may_have_parts() {
    let named = |name: &str| {
        format!("name = \"{name}\"\nasks = \"?\"\n[load]\narrivals = {{ closed = 1 }}\nattempts = 1")
    };
    for name in ["backlog/128", "a/b/c", "x"] {
        assert_eq!(right(&named(name)).name, name);
    }
    for name in ["/x", "x/", "a//b", "../x", "a/..", "a/all"] {
        wrong(&named(name), 1, 8, "cannot be the name of a scenario");
    }
}

#[test]
fn accepts_are_sampled_where_asked_for() {
    let text = "name = \"x\"\nasks = \"?\"\n[load]\narrivals = { closed = 1 }\nattempts = 1\n";
    assert!(!right(text).sample_accepts);
    assert!(right(&format!("{text}[kernel]\nsample-accepts = true")).sample_accepts);
    wrong(&format!("{text}[kernel]\nsample-accept = true"), 7, 1, "did you mean `sample-accepts`?");
}

#[test]
fn wrong_tops() {
    for (text, line, column, fragment) in [
        ("", 1, 1, "missing key `name`"),
        ("name = \"t\"\nasks = \"Why?\"\n", 1, 1, "missing key `load`"),
        ("nme = \"t\"", 1, 1, "did you mean `name`?"),
        (
            "name = \"a b\"\nasks = \"?\"\n[load]\narrivals = { closed = 1 }\nattempts = 1",
            1,
            8,
            "cannot be the name of a scenario",
        ),
        (
            "name = \"all\"\nasks = \"?\"\n[load]\narrivals = { closed = 1 }\nattempts = 1",
            1,
            8,
            "cannot be the name of a scenario",
        ),
        (
            "name = \"t\"\nasks = \" \"\n[load]\narrivals = { closed = 1 }\nattempts = 1",
            2,
            8,
            "asks is empty",
        ),
        ("name = \"t\nasks = 3", 1, 10, "invalid basic string"),
        ("name = \"t\"\nname = \"u\"", 2, 1, "duplicate key"),
    ] {
        wrong(text, line, column, fragment);
    }
}

#[test]
fn wrong_tables() {
    for (lines, line, column, fragment) in [
        ("[listn]", 7, 2, "did you mean `listen`?"),
        ("[listen]\nbacklok = 3", 8, 1, "unknown key `backlok`"),
        ("[listen]\nbacklog = 0", 8, 11, "expected 1 to 65535"),
        ("[listen]\nbacklog = 65536", 8, 11, "expected 1 to 65535"),
        ("[listen]\nbacklog = \"3\"", 8, 11, "expected an integer"),
        ("[listen]\ntransport = \"tpc\"", 8, 13, "did you mean `tcp`?"),
        ("[listen]\ntransport = 4", 8, 13, "a number cannot be here"),
        ("[listen]\ntransport = \"unix\"\nport = 80", 9, 8, "a Unix socket has no port"),
        ("[listen]\npath = \"/run/s\"", 8, 8, "only a Unix socket has a path"),
        ("[listen]\ntransport = \"unix\"\npath = \"s\"", 9, 8, "cannot be the path of a Unix socket"),
        ("[workers]\ncount = 0", 8, 9, "expected 1 to 256"),
        ("[workers]\ncount = -1", 8, 9, "expected 1 to 256"),
        ("[workers]\nboot = 4", 8, 8, "expected a time such as"),
        ("[workers]\nboot = \"4\"", 8, 8, "it needs a unit"),
        ("[workers]\nboot = \"3min\"", 8, 8, "expected at most 120s"),
        ("[workers]\nwork = \"5s\"", 8, 8, "no request could be served"),
        ("[workers]\ndrain = \"gracefull\"", 8, 9, "did you mean `graceful`?"),
        ("[workers]\nnofile = 3", 8, 10, "expected 16 to 1048576"),
        ("[workers]\nmemory = \"1MiB\"", 8, 10, "expected 64MiB to 4096MiB"),
        ("[workers]\nmemory = \"64MB\"", 8, 10, "expected a size such as"),
        ("[means]\nhled = \"x\"", 8, 1, "did you mean `held`?"),
        ("[sysctl]\n\"net.core.somaxcon\" = 1", 8, 1, "did you mean `net.core.somaxconn`?"),
        ("[sysctl]\n\"kernel.panic\" = 1", 8, 1, "unknown sysctl"),
        ("[sysctl]\n\"net.core.somaxconn\" = \"many\"", 8, 24, "no value of net.core.somaxconn"),
        ("[sysctl]\n\"net.core.somaxconn\" = -1", 8, 24, "expected a number of at least 0"),
        ("[sysctl]\n\"net.ipv4.ip_local_port_range\" = 1024", 8, 34, "expected two ports"),
        ("[expect]\ncolateral = 0", 8, 1, "did you mean `collateral`?"),
        ("[expect]\naccept.p99 = \"< 3s\"", 8, 1, "names with a dot stand in quotes"),
        ("[expect]\n\"accept.p99\" = 3", 8, 16, "`3` has no unit"),
        ("[expect]\n\"accept.p99\" = \"< 3\"", 8, 16, "`3` has no unit"),
        ("[expect]\nlost = \"< 3s\"", 8, 8, "`3s` is a time"),
        ("[expect]\nlost = -3", 8, 8, "is no number"),
        ("[expect]\nlost = 3.5", 8, 8, "expected a number, or a string"),
    ] {
        wrong(&with(lines), line, column, fragment);
    }
}

#[test]
fn wrong_loads() {
    for (lines, line, column, fragment) in [
        ("arrivals = { constant = \"9/s\" }", 4, 12, "the load has no end"),
        ("arrivals = { constant = \"9/s\" }\nattempts = 3\nduration = \"1s\"", 6, 12, "not both"),
        ("attempts = 3", 3, 1, "missing key `arrivals`"),
        ("arrivals = { sequentil = \"1s\" }\nattempts = 3", 4, 14, "did you mean `sequential`?"),
        ("arrivals = { closed = 1, constant = \"9/s\" }\nattempts = 3", 4, 12, "there are several"),
        ("arrivals = {}\nattempts = 3", 4, 12, "there is none"),
        ("arrivals = \"closed\"\nattempts = 3", 4, 12, "a word alone is not enough"),
        ("arrivals = 3\nattempts = 3", 4, 12, "a number cannot be here"),
        ("arrivals = { constant = \"9\" }\nattempts = 3", 4, 25, "expected a rate per second"),
        ("arrivals = { constant = \"0/s\" }\nattempts = 3", 4, 25, "sends nothing"),
        ("arrivals = { poisson = \"0/s\" }\nattempts = 3", 4, 24, "sends nothing"),
        ("arrivals = { constant = \"200001/s\" }\nattempts = 3", 4, 25, "expected at most 200000/s"),
        (
            "arrivals = { constant = \"200000/s\" }\nduration = \"2min\"",
            4,
            12,
            "expected at most 16711648 attempts",
        ),
        ("arrivals = { constant = \"0.1/s\" }\nattempts = 100", 4, 12, "take longer than 600s"),
        ("arrivals = { sequential = \"1min\" }\nattempts = 100", 4, 12, "take longer than 600s"),
        ("arrivals = { ramp = { from = \"1/s\", to = \"2/s\" } }\nattempts = 3", 4, 12, "`duration` instead"),
        ("arrivals = { ramp = { from = \"1/s\" } }\nduration = \"1s\"", 4, 21, "missing key `to`"),
        ("arrivals = { ramp = { from = \"0/s\", to = \"0/s\" } }\nduration = \"1s\"", 4, 42, "sends nothing"),
        ("arrivals = { burst = { size = 0, every = \"1s\" } }\nattempts = 3", 4, 31, "expected 1 to 10000"),
        ("arrivals = { burst = { size = 1, every = \"0\" } }\nattempts = 3", 4, 42, "more than 0"),
        ("arrivals = { closed = 0 }\nattempts = 3", 4, 23, "expected 1 to 10000"),
        ("arrivals = { closed = 20 }\nattempts = 3\nin-flight = 10", 4, 12, "expected a larger `in-flight`"),
        ("arrivals = { closed = 1 }\nattempts = 0", 5, 12, "expected 1 to 16711648"),
        ("arrivals = { closed = 1 }\nattempts = 16711649", 5, 12, "expected 1 to 16711648"),
        ("clients = 0\narrivals = { closed = 1 }\nattempts = 3", 4, 11, "expected 1 to 254"),
        ("clients = 255\narrivals = { closed = 1 }\nattempts = 3", 4, 11, "expected 1 to 254"),
        ("clients = 1\narrivals = { closed = 1 }\nattempts = 31745", 4, 11, "31744 attempts in all"),
        (
            "clients = 2\narrivals = { constant = \"63489/s\" }\nduration = \"1s\"",
            4,
            11,
            "63488 attempts in all",
        ),
        (
            "clients = 1\narrivals = { poisson = \"31700/s\" }\nduration = \"1s\"",
            4,
            11,
            "31744 attempts in all",
        ),
        ("clients = 9\narrivals = { closed = 1 }\nduration = \"1s\"", 4, 11, "`attempts` instead"),
        ("clients = 9\narrivals = { sequential = \"0\" }\nduration = \"1s\"", 4, 11, "`attempts` instead"),
        (
            "clients = 1\narrivals = { sequential = \"1ms\" }\nduration = \"32s\"",
            4,
            11,
            "31744 attempts in all",
        ),
        ("arrivals = { closed = 1 }\nduration = \"0\"", 5, 12, "more than 0, at most 600s"),
        ("arrivals = { closed = 1 }\nduration = \"11min\"", 5, 12, "at most 600s"),
        ("arrivals = { closed = 1 }\nattempts = 3\ntimeout = \"3min\"", 6, 11, "at most 120s"),
        ("arrivals = { closed = 1 }\nattempts = 3\ntimeout = 5", 6, 11, "expected a time, or a table"),
        ("arrivals = { closed = 1 }\nattempts = 3\ntimeout = { conect = \"1s\" }", 6, 13, "mean `connect`?"),
        (
            "arrivals = { closed = 1 }\nattempts = 3\ntimeout = { connect = \"6s\" }",
            6,
            23,
            "longer than total",
        ),
        (
            "arrivals = { closed = 1 }\nattempts = 3\ntimeout = { connect = \"2s\", first-byte = \"1s\" }",
            6,
            42,
            "shorter than connect",
        ),
        ("arrivals = { closed = 1 }\nattempts = 3\ndeadline = \"6s\"", 6, 12, "at most 5s"),
        ("arrivals = { closed = 1 }\nattempts = 3\nin_flight = 6", 6, 1, "did you mean `in-flight`?"),
        ("arrivals = { closed = 1 }\nattempts = 3\nsend-lag = \"1min\"", 6, 12, "at most 10s"),
    ] {
        wrong(&with_load(lines), line, column, fragment);
    }
}

#[test]
fn a_load_has_threads_where_it_can_be_divided() {
    let threads = |lines: &str| right(&with_load(lines)).load.threads;
    for arrivals in
        ["closed = 4", "constant = \"9/s\"", "poisson = \"9/s\"", "burst = { size = 2, every = \"1s\" }"]
    {
        assert_eq!(threads(&format!("threads = 4\narrivals = {{ {arrivals} }}\nattempts = 3")), 4);
    }
    assert_eq!(
        threads("threads = 64\narrivals = { ramp = { from = \"1/s\", to = \"9/s\" } }\nduration = \"9s\""),
        64
    );
    assert_eq!(threads("threads = 1\narrivals = { sequential = \"1ms\" }\nattempts = 3"), 1);
    let pool = "arrivals = { constant = \"9/s\" }\nattempts = 3\nconnection = { pool = 3 }";
    assert_eq!(threads(&format!("threads = 3\n{pool}")), 3);
    for (lines, fragment) in [
        ("threads = 0\narrivals = { closed = 9 }\nattempts = 3", "expected 1 to 64"),
        ("threads = 65\narrivals = { closed = 99 }\nattempts = 3", "expected 1 to 64"),
        ("threads = 2\narrivals = { sequential = \"0\" }\nattempts = 3", "are made by one thread"),
        ("threads = 4\narrivals = { closed = 3 }\nattempts = 9", "expected at most 3, or more clients"),
        (&format!("threads = 4\n{pool}"), "expected at most 3, or a larger `pool`"),
    ] {
        wrong(&with_load(lines), 4, 11, fragment);
    }
    wrong(&with_load("arrivals = { closed = 9 }\nattempts = 3\nthread = 2"), 6, 1, "did you mean `threads`?");
}

#[test]
fn users_are_names_or_numbers() {
    let user = |text: &str| right(&with(&format!("[workers]\nuser = {text}"))).workers.user;
    assert_eq!(user("\"nobody\""), Some(User::Name("nobody".to_owned())));
    assert_eq!(user("65534"), Some(User::Id(65534)));
    for (text, fragment) in [
        ("\"\"", "cannot be a user"),
        ("\"a:b\"", "cannot be a user"),
        ("-1", "expected 0 to 4294967294"),
        ("4294967295", "expected 0 to 4294967294"),
        ("1.5", "expected the name of a user, or its id"),
    ] {
        wrong(&with(&format!("[workers]\nuser = {text}")), 8, 8, fragment);
    }
}

#[test]
fn what_a_transport_lacks_is_neither_set_nor_expected() {
    let unix = |lines: &str| with(&format!("[listen]\ntransport = \"unix\"\n{lines}"));
    right(&unix("[expect]\n\"kernel.queue_max\" = 1\n[sysctl]\n\"net.core.somaxconn\" = 5"));
    for (lines, fragment) in [
        ("[expect]\n\"kernel.listen-overflows\" = 0", "not measured for Unix sockets"),
        ("[expect]\n\"kernel.listen_drops\" = 0", "not measured for Unix sockets"),
        ("[sysctl]\n\"net.ipv4.tcp_syncookies\" = 0", "no effect on Unix sockets"),
    ] {
        wrong(&unix(lines), 10, 1, fragment);
        right(&with(lines));
    }
}

#[test]
fn nothing_follows_a_pause_that_lasts_to_the_end() {
    let faults = |pause: &str| {
        with(&format!(
            "[[fault]]\nat = \"0\"\npause = {{ whom = \"worker\"{pause} }}\n\
             [[fault]]\nat = {{ after = 0 }}\ncontrol = \"reload\""
        ))
    };
    right(&faults(", for = \"1ms\""));
    wrong(&faults(""), 11, 6, "lasts to the load's end");
}

#[test]
fn every_kind_of_connection_is_read() {
    let ms = 1_000_000;
    let one_shot = Connection::ONE_SHOT;
    for (text, connection) in [
        ("\"one-shot\"", one_shot),
        ("{}", one_shot),
        ("{ requests = 10, gap = \"50ms\" }", Connection { requests: 10, gap_ns: 50 * ms, ..one_shot }),
        ("{ requests = 2 }", Connection { requests: 2, ..one_shot }),
        (
            "{ send-pause = \"100ms\", read-pause = \"1ms\", every = 10 }",
            Connection { send_pause_ns: 100 * ms, read_pause_ns: ms, every: 10, ..one_shot },
        ),
        ("{ connect-pause = \"300ms\" }", Connection { connect_pause_ns: 300 * ms, ..one_shot }),
        ("{ silent = true, every = 10 }", Connection { silent: true, every: 10, ..one_shot }),
        ("{ silent = false, requests = 2 }", Connection { requests: 2, ..one_shot }),
        ("{ half-close = true }", Connection { half_close: true, ..one_shot }),
        ("{ body = \"64KiB\" }", Connection { body_bytes: 1 << 16, ..one_shot }),
        (
            "{ requests = 1000, pipeline = true, half-close = true }",
            Connection { requests: 1000, pipeline: true, half_close: true, ..one_shot },
        ),
        ("{ requests = 2, pipeline = false }", Connection { requests: 2, ..one_shot }),
        (
            "{ pool = 8 }",
            Connection { pool: Some(Pool { idle_max: 8, idle_timeout_ns: None, retry: true }), ..one_shot },
        ),
        (
            "{ pool = 1, idle-timeout = \"4s\", retry = false, body = \"1KiB\", every = 2 }",
            Connection {
                pool: Some(Pool { idle_max: 1, idle_timeout_ns: Some(4000 * ms), retry: false }),
                body_bytes: 1024,
                every: 2,
                ..one_shot
            },
        ),
    ] {
        let load =
            format!("arrivals = {{ closed = 1 }}\nattempts = 3\nprotocol = \"http\"\nconnection = {text}");
        let load = right(&with_load(&load)).load;
        assert_eq!((load.connection, load.protocol), (connection, Some(Protocol::Http)), "{text}");
    }
    assert_eq!(right(&with("")).load.protocol, None);
    let tenth = Connection { requests: 3, every: 10, ..one_shot };
    let sessions: Vec<u32> = (0..30).filter(|attempt| tenth.of_attempt(*attempt).is_session()).collect();
    assert_eq!(sessions, [9, 19, 29]);
}

#[test]
fn wrong_connections() {
    for (connection, column, fragment) in [
        ("\"session\"", 14, "there is no connection `session`"),
        ("3", 14, "expected \"one-shot\", or a table"),
        ("{ request = 3 }", 16, "did you mean `requests`?"),
        ("{ requests = 0 }", 27, "expected 1 to 10000"),
        ("{ requests = 10001 }", 27, "expected 1 to 10000"),
        ("{ requests = 2, gap = 5 }", 36, "expected a time such as"),
        ("{ requests = 2, gap = \"3min\" }", 36, "at most 120s"),
        ("{ gap = \"5ms\" }", 22, "expected `requests` of 2 or more beside it"),
        ("{ every = 0 }", 24, "expected 1 to 1000000"),
        ("{ body = \"1KiB\" }", 23, "expected `protocol = \"http\"` in [load] beside it"),
        (
            "{ send-pause = \"3s\", read-pause = \"2s\" }",
            14,
            "the client pauses for its time-out (5s) or longer",
        ),
        ("{ requests = 10000, gap = \"61ms\" }", 14, "expected at most 600s"),
        ("{ connect-pause = \"4s\", send-pause = \"1s\" }", 14, "the client pauses for its time-out (5s)"),
        ("{ conect-pause = \"4s\" }", 16, "did you mean `connect-pause`?"),
        ("{ silent = \"yes\" }", 25, "expected a boolean"),
        ("{ silent = true, requests = 2 }", 25, "so that `requests` means nothing"),
        ("{ silent = true, connect-pause = \"1s\" }", 25, "expected `silent` alone, or with `every`"),
        ("{ half-close = \"yes\" }", 29, "expected a boolean"),
        ("{ pipeline = true }", 27, "expected `requests` of 2 to 1000 beside it"),
        ("{ requests = 1001, pipeline = true }", 27, "expected 2 to 1000"),
        ("{ requests = 2, pipeline = true, gap = \"1ms\" }", 41, "so that `gap` means nothing"),
        ("{ pipeline = true, pool = 2 }", 27, "expected"),
        ("{ pool = 0 }", 23, "expected 1 to 10000"),
        ("{ pool = true }", 23, "expected"),
        ("{ retry = true }", 24, "expected `pool` beside it"),
        ("{ idle-timeout = \"1s\" }", 31, "expected `pool` beside it"),
        ("{ pool = 8, idle-timeout = \"3min\" }", 41, "at most 120s"),
        ("{ pool = 8, requests = 2 }", 23, "so that `requests` means nothing"),
        ("{ silent = true, pool = 2 }", 25, "so that `pool` means nothing"),
    ] {
        let load = format!("arrivals = {{ closed = 1 }}\nattempts = 3\nconnection = {connection}");
        wrong(&with_load(&load), 6, column, fragment);
    }
    let http = "arrivals = { closed = 1 }\nattempts = 3\nprotocol = \"http\"\n";
    for body in ["0B", "65MiB"] {
        let load = format!("{http}connection = {{ body = \"{body}\" }}");
        wrong(&with_load(&load), 7, 23, "expected 1B to 64MiB");
    }
    let load = "arrivals = { closed = 1 }\nattempts = 3\nprotocol = \"htp\"";
    wrong(&with_load(load), 6, 12, "did you mean `http`?");
}

#[test]
fn sessions_may_outlast_their_time_out() {
    // Each of five requests may take 5 s, so that the load may last for more than the 5 s of one.
    let fault = "[[fault]]\nat = \"20s\"\ncontrol = \"restart\"\n";
    let load = |requests: u32| {
        format!(
            "arrivals = {{ closed = 1 }}\nattempts = 1\nconnection = {{ requests = {requests} }}\n{fault}"
        )
    };
    right(&with_load(&load(5)));
    wrong(&with_load(&load(4)), 8, 6, "beyond the load's end");
}

#[test]
fn poison_goes_with_an_attempt_that_asks() {
    let load = |every: u32, at: &str| {
        format!(
            "arrivals = {{ closed = 1 }}\nattempts = 20\nconnection = {{ silent = true, every = {every} }}\n\
             [[fault]]\nat = {at}\npoison = {{ step = \"work\", mode = \"panic\" }}\n"
        )
    };
    right(&with_load(&load(10, "{ attempt = 10 }")));
    right(&with_load(&load(10, "\"1ms\"")));
    wrong(&with_load(&load(10, "{ attempt = 9 }")), 8, 6, "this attempt asks for nothing");
    wrong(&with_load(&load(1, "\"1ms\"")), 8, 6, "expected an attempt that is not silent");
}

#[test]
fn wrong_faults() {
    let poison = "poison = { step = \"work\", mode = \"panic\" }";
    for (lines, line, column, fragment) in [
        (poison, 7, 1, "missing key `at`"),
        ("at = \"10ms\"", 7, 1, "exactly one action"),
        ("at = \"0\"\ncontrol = \"restart\"\npause = { whom = \"worker\" }", 7, 1, "exactly one action"),
        (&format!("at = \"1s\"\n{poison}"), 8, 6, "beyond the load's end"),
        (&format!("at = {{ attempt = 100 }}\n{poison}"), 8, 6, "expected at most 99"),
        (&format!("at = {{ attempt = -1 }}\n{poison}"), 8, 18, "outside of its bounds"),
        (&format!("at = {{ atempt = 1 }}\n{poison}"), 8, 8, "did you mean `attempt`?"),
        (&format!("at = {{ attempt = 1, fraction = 0.5 }}\n{poison}"), 8, 6, "exactly one moment"),
        (&format!("at = {{}}\n{poison}"), 8, 6, "exactly one moment"),
        (&format!("at = {{ delay = \"1s\" }}\n{poison}"), 8, 16, "expected `after` beside it"),
        (&format!("at = {{ fraction = 1.0 }}\n{poison}"), 8, 19, "expected 0 to below 1"),
        (&format!("at = {{ after = 0 }}\n{poison}"), 8, 16, "this is the first fault"),
        (&format!("at = {{ after = \"x\" }}\n{poison}"), 8, 16, "no earlier fault `x`"),
        (&format!("at = 5\n{poison}"), 8, 6, "expected a time, or a table"),
        (&format!("at = {{ call = \"wait4\" }}\n{poison}"), 8, 15, "poison goes with an attempt"),
        ("at = { call = \"wiat4\" }\ncontrol = \"stop\"", 8, 15, "did you mean `wait4`?"),
        ("at = { call = \"wait4\", nth = 0 }\ncontrol = \"stop\"", 8, 30, "expected 1 to 1000000"),
        ("at = { call = \"wait4\", side = \"on\" }\ncontrol = \"stop\"", 8, 31, "`before` or `after`"),
        ("at = { call = \"wait4\", following = \"pol\" }\ncontrol = \"stop\"", 8, 36, "did you mean `poll`?"),
        ("at = { call = \"wait4\", attempt = 1 }\ncontrol = \"stop\"", 8, 6, "exactly one moment"),
        ("at = { attempt = 1, nth = 2 }\ncontrol = \"stop\"", 8, 27, "expected `call` beside it"),
        ("at = { fraction = 0.5, optional = true }\ncontrol = \"stop\"", 8, 35, "expected `call` beside it"),
        (
            "at = \"0\"\npoison = { step = \"boot\", mode = \"exit\" }",
            9,
            19,
            "step boot belongs into `crash`",
        ),
        ("at = \"0\"\npoison = { step = \"wrk\", mode = \"exit\" }", 9, 19, "did you mean `work`?"),
        ("at = \"0\"\npoison = { step = \"work\", mode = \"panik\" }", 9, 34, "did you mean `panic`?"),
        ("at = \"0\"\npoison = { step = \"work\" }", 9, 10, "missing key `mode`"),
        (
            "at = \"0\"\npoison = { step = \"work\", mode = \"allocate\" }",
            7,
            1,
            "the key `memory` in [workers]",
        ),
        (
            "at = \"0\"\ncrash = { step = \"idle\", mode = \"leak-fds\" }",
            7,
            1,
            "the key `nofile` in [workers]",
        ),
        (
            "at = \"0\"\ncrash = { step = \"idle\", mode = \"catch\" }",
            9,
            33,
            "what a worker catches is the failure of a request",
        ),
        (
            "at = \"0\"\ncrash = { step = \"work\", mode = \"exit\" }",
            9,
            18,
            "step work belongs into `poison`",
        ),
        (
            "at = \"0\"\ncrash = { step = \"idle\", mode = \"exit\", times = 2 }",
            9,
            49,
            "only boots fail several",
        ),
        (
            "at = \"0\"\ncrash = { step = \"boot\", mode = \"exit\", times = 0 }",
            9,
            49,
            "expected 1 to 1000000",
        ),
        ("at = \"0\"\nsignal = { to = \"worker\", name = \"SIGKILL\" }", 9, 34, "did you mean `KILL`?"),
        ("at = \"0\"\nsignal = { to = \"wroker\", name = \"KILL\" }", 9, 17, "did you mean `worker`?"),
        ("at = \"0\"\npause = { whom = \"worker\", for = \"0\" }", 9, 34, "more than 0"),
        ("at = \"0\"\ncontrol = \"restrt\"", 9, 11, "did you mean `restart`?"),
        ("at = \"0\"\ncontrol = \"scale\"", 9, 11, "expected a table such as"),
        ("at = \"0\"\ncontrol = { verb = \"scale\", workers = 0 }", 9, 39, "expected 1 to 256"),
        ("at = \"0\"\ncontrol = { verb = \"stop\", workers = 1 }", 9, 38, "only scale does"),
    ] {
        wrong(&with(&format!("[[fault]]\n{lines}")), line, column, fragment);
    }
}

#[test]
fn faults_do_not_get_in_each_others_way() {
    let accept = |n: i32| {
        (0..n)
            .map(|i| {
                format!(
                    "[[fault]]\nat = {{ attempt = {i} }}\npoison = {{ step = \"accept\", mode = \"exit\" }}\n"
                )
            })
            .collect::<String>()
    };
    let load = "arrivals = { constant = \"100/s\" }\nattempts = 300\n";
    assert_eq!(right(&with_load(&format!("{load}{}", accept(256)))).faults.len(), 256);
    wrong(&with_load(&format!("{load}{}", accept(257))), 7 + 3 * 256 - 1, 1, "expected at most 256");
    let twice = accept(1).repeat(2);
    wrong(&with(&twice), 11, 6, "attempt 0 carries poison already");
    let named = "[[fault]]\nname = \"a\"\nat = \"0\"\ncontrol = \"restart\"\n".repeat(2);
    wrong(&with(&named), 12, 8, "fault 0 has the name `a`, too");
}

proptest! {
    #[test]
    fn a_damaged_file_never_panics(at in 0..CRASH.len(), length in 0..20_usize, junk in "[\"=\\[\\]{}.a0é\n]{0,4}") {
        let mut text = CRASH.to_owned();
        if text.is_char_boundary(at) && text.is_char_boundary((at + length).min(text.len())) {
            text.replace_range(at..(at + length).min(CRASH.len()), &junk);
            if let Err(error) = parse(&text, "crash.toml") {
                prop_assert!(error.line >= 1 && error.column >= 1 && !error.to_string().is_empty());
            }
        }
    }
}
