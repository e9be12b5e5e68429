//! Descriptions that are right, and a table of those that are wrong.

use super::*;

/// A description with the given lines behind the required ones; they begin in line 5.
fn with(lines: &str) -> String {
    format!(
        "name = \"t\"\nabout = \"A test\"\nsocket = {{ holder = \"supervisor\", passing = \"stdin\" }}\nstart = [\"run\", \"{{worker}}\"]\n{lines}\n"
    )
}

#[track_caller]
fn right(text: &str) -> Supervisor {
    parse(text, "t.toml").unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn wrong(text: &str, line: u32, column: u32, fragment: &str) {
    let error = parse(text, "t.toml").expect_err(text);
    assert_eq!((error.line, error.column), (line, column), "{text}\n{error}");
    assert!(error.to_string().contains(fragment), "{error}");
}

const CIRCUS: &str = r#"
name = "circus"
about = "Mozilla's process and socket manager"
version = ["circusd", "--version"]
install = "pip install circus==0.19.0"
runs = ["command"]
socket = { holder = "supervisor", passing = "fd-argument" }
start = ["circusd", "{dir}/circus.ini"]
ready = { listening = true }
stop = ["circusctl", "--endpoint", "ipc://{dir}/ctl", "quit"]
private = ["/run"]
trap = "It closes its sockets on reload."
needs-root = false
backlog-default = "2048"
restart-delay-default = "up to 5 s"
pid-file = "circus.pid"
can-drop = true
[files."circus.ini"]
template = "circus.ini"
unix = "unix.ini"
[control]
restart = ["circusctl", "--endpoint", "ipc://{dir}/ctl", "restart", "web"]
reload = { signal = "HUP", to = { pidfile = "circus.pid" } }
scale = ["circusctl", "set", "web", "numprocesses", "{workers}"]
upgrade-supervisor = { unsupported = "it cannot be replaced" }
[env]
LISTEN = "{address}"
[expected]
crash = "held"
"#;

#[test]
fn a_whole_description_is_read() {
    let circus = right(CIRCUS);
    assert_eq!(circus.name, "circus");
    assert_eq!(circus.version, ["circusd", "--version"]);
    assert_eq!(circus.socket, Socket { holder: Holder::Supervisor, passing: Passing::FdArgument });
    assert!(matches!(&circus.stop, Control::Command(words) if words.len() == 4));
    let to = SignalTo::PidFile("circus.pid".to_owned());
    assert_eq!(
        circus.control[&Verb::Reload],
        Control::Signal { signal: "HUP".parse().expect("a signal"), to }
    );
    let why = Control::Unsupported("it cannot be replaced".to_owned());
    assert_eq!(circus.control[&Verb::UpgradeSupervisor], why);
    let unix = Some("unix.ini".to_owned());
    let ini = TemplateFile { template: "circus.ini".to_owned(), unix, executable: false };
    assert_eq!(circus.files["circus.ini"], ini);
    assert_eq!(ini.for_transport(Transport::Unix), "unix.ini");
    assert_eq!(ini.for_transport(Transport::Tcp6), "circus.ini");
    assert_eq!(circus.backlog_default.as_deref(), Some("2048"));
    assert_eq!(circus.restart_delay_default.as_deref(), Some("up to 5 s"));
    assert_eq!(circus.env["LISTEN"], "{address}");
    assert_eq!(circus.expected["crash"], Grade::Held);
    assert_eq!(circus.private, ["/run"]);
    assert_eq!((circus.pid_file.as_deref(), circus.can_drop), (Some("circus.pid"), true));
}

#[test]
fn defaults_are_as_documented() {
    let t = right(&with(""));
    assert!(!t.reference && !t.needs_root && t.version.is_empty() && t.install.is_none() && t.trap.is_none());
    assert_eq!(t.runs, [Runs::Command]);
    assert_eq!((t.worker, t.protocol, t.workers_min), (WorkerKind::Rust, Protocol::Square, 1));
    assert_eq!(t.transports, Transport::ALL);
    assert_eq!(
        t.ready,
        Ready {
            listening: true,
            workers: true,
            reply: Reply::Never,
            request: None,
            spares: 0,
            timeout_ns: 10_000_000_000
        }
    );
    assert_eq!(
        t.stop,
        Control::Signal { signal: "TERM".parse().expect("a signal"), to: SignalTo::Supervisor }
    );
    assert!(t.files.is_empty() && t.control.is_empty() && t.env.is_empty() && t.expected.is_empty());
    assert!(t.pid_file.is_none() && !t.can_drop && !t.single_process && !t.scales_by_one);
    assert!(right(&with("scales-by-one = true")).scales_by_one);
    assert!(right(&with("single-process = true")).single_process);
}

#[test]
fn services_that_bring_their_own_workers_tell_by_a_reply() {
    let own = |ready: &str| with(&format!("runs = [\"itself\"]\nprotocol = \"http\"\n{ready}"));
    let reply = |ready: &str| right(&own(ready)).ready.reply;
    assert_eq!(reply(""), Reply::WhereGet);
    assert_eq!(reply("ready = { listening = true }"), Reply::WhereGet);
    assert_eq!(reply("ready = { reply = false }"), Reply::Never);
    assert_eq!(reply("ready = { reply = true }"), Reply::Always);
    let asks = right(&own("ready = { request = \"/healthz?now\" }")).ready;
    assert_eq!((asks.reply, asks.request.as_deref()), (Reply::Always, Some("/healthz?now")));
    assert_eq!(right(&with("ready = { reply = true }")).ready.reply, Reply::Always);
    for (ready, says) in [
        ("ready = { request = \"healthz\" }", "no path"),
        ("ready = { request = \"/a b\" }", "no path"),
        ("ready = { request = \"/\", reply = false }", "none is to be made"),
        ("ready = { listening = false, reply = false }", "nothing would tell"),
    ] {
        let error = parse(&own(ready), "t.toml").expect_err(ready);
        assert!(error.to_string().contains(says), "{error}");
    }
    let square = with("runs = [\"itself\"]\nready = { request = \"/\" }");
    assert!(parse(&square, "t.toml").is_err());
}

#[test]
fn workers_that_cannot_say_that_they_are_ready_are_not_waited_for() {
    assert!(!right(&with("runs = [\"itself\"]")).ready.workers);
    assert!(!right(&with("").replace("stdin", "connection")).ready.workers);
    assert!(right(&with("runs = [\"itself\", \"command\"]")).ready.workers);
    wrong(&with("runs = [\"itself\"]\nready = { workers = true }"), 6, 21, "keep no ledger");
}

#[test]
fn applications_speak_http_and_are_no_commands() {
    let wsgi = right(&with("runs = [\"wsgi\"]").replace("{worker}", "holdline_wsgi:application"));
    assert_eq!((wsgi.protocol, wsgi.ready.workers), (Protocol::Http, true));
    assert_eq!(right(&with("runs = [\"node\"]\nprotocol = \"square\"")).protocol, Protocol::Square);
    assert_eq!(right(&with("runs = [\"wsgi\", \"command\"]")).protocol, Protocol::Square);
    let first = with("runs = [\"wsgi\"]").replace("\"run\", ", "");
    wrong(&first, 4, 9, "but this supervisor runs an application");
}

#[test]
fn signals_go_to_whom_they_say() {
    for (to, target) in [
        ("", SignalTo::Supervisor),
        (", to = \"supervisor\"", SignalTo::Supervisor),
        (", to = \"group\"", SignalTo::Group),
        (", to = \"workers\"", SignalTo::Workers),
        (", to = { pidfile = \"/run/x.pid\" }", SignalTo::PidFile("/run/x.pid".to_owned())),
    ] {
        let stop = right(&with(&format!("stop = {{ signal = \"INT\"{to} }}"))).stop;
        assert_eq!(stop, Control::Signal { signal: "INT".parse().expect("a signal"), to: target });
    }
}

#[test]
fn wrong_descriptions() {
    for (lines, line, column, fragment) in [
        ("abuot = \"x\"", 5, 1, "did you mean `about`?"),
        ("version = \"x\"", 5, 11, "expected an array"),
        ("version = [\"{drr}/x\"]", 5, 12, "did you mean `{dir}`?"),
        ("runs = []", 5, 8, "runs is empty"),
        ("runs = [\"wgsi\"]", 5, 9, "did you mean `wsgi`?"),
        ("worker = \"pyhton\"", 5, 10, "did you mean `python`?"),
        ("protocol = \"htpp\"", 5, 12, "did you mean `http`?"),
        ("transports = [\"udp\"]", 5, 15, "unknown word `udp`"),
        ("workers-min = 0", 5, 15, "expected 1 to 256"),
        ("ready = { listening = false, workers = false }", 5, 9, "nothing would tell"),
        ("ready = { timeout = \"1h\" }", 5, 21, "at most 120s"),
        ("ready = { listenning = true }", 5, 11, "did you mean `listening`?"),
        ("stop = []", 5, 8, "the command is empty"),
        ("stop = \"kill\"", 5, 8, "expected a command as a list of words"),
        ("stop = { unsupported = \"no\" }", 5, 8, "every supervisor can be stopped"),
        ("stop = { signal = \"SIGTERM\" }", 5, 19, "did you mean `TERM`?"),
        ("stop = { signal = \"TERM\", to = \"gruop\" }", 5, 32, "did you mean `group`?"),
        ("stop = { signal = \"TERM\", to = { pidfle = \"x\" } }", 5, 34, "did you mean `pidfile`?"),
        (
            "stop = { signal = \"TERM\", to = { pidfile = \"{dir}/x\" } }",
            5,
            44,
            "a pidfile has no placeholders",
        ),
        ("pid-file = \"\"", 5, 12, "the path is empty"),
        ("pid-file = \"{dir}/x\"", 5, 12, "a pidfile has no placeholders"),
        ("pidfile = \"x\"", 5, 1, "did you mean `pid-file`?"),
        ("can-drop = \"yes\"", 5, 12, "expected a boolean"),
        ("stop = { to = \"group\" }", 5, 8, "`signal` and perhaps `to`"),
        ("[files.\"../x\"]\ntemplate = \"x\"", 5, 8, "leads out of its folder"),
        ("[files.x]\ntemplate = \"/etc/passwd\"", 6, 12, "leads out of its folder"),
        ("[files.x]\nexecutable = true", 5, 1, "missing key `template`"),
        ("[control]\nrelod = [\"x\"]", 6, 1, "did you mean `reload`?"),
        ("[control]\nreload = [\"x\", \"{prot}\"]", 6, 10, "did you mean `{port}`?"),
        ("[control]\nreload = { unsupported = \"\" }", 6, 26, "the reason is empty"),
        ("[control]\nreload = { signal = \"HUP\", unsupported = \"x\" }", 6, 10, "`unsupported` alone"),
        ("private = [\"run\"]", 5, 12, "expected an absolute path"),
        ("private = [\"/\"]", 5, 12, "and not the root"),
        ("private = [\"/run/../etc\"]", 5, 12, "cannot be private"),
        ("[env]\n\"A=B\" = \"x\"", 6, 1, "cannot be the name of a variable"),
        ("[env]\nA = \"{addres}\"", 6, 5, "did you mean `{address}`?"),
        ("[expected]\ncrash = \"hold\"", 6, 9, "did you mean `held`?"),
    ] {
        wrong(&with(lines), line, column, fragment);
    }
}

#[test]
fn what_is_required_must_be_there() {
    for key in ["name", "about", "socket", "start"] {
        let without: String =
            with("").lines().filter(|line| !line.starts_with(key)).map(|l| format!("{l}\n")).collect();
        wrong(&without, 1, 1, &format!("missing key `{key}`"));
    }
    wrong(&with("").replace("[\"run\", \"{worker}\"]", "[]"), 4, 9, "the command is empty");
    wrong(&with("").replace("\"run\"", "\"{rnu}\""), 4, 10, "unknown placeholder {rnu}");
    wrong(&with("").replace("stdin", "stdio"), 3, 45, "did you mean `stdin`?");
    wrong(&with("").replace("\"A test\"", "\"\""), 2, 9, "about is empty");
}

/// A program behind the front; the lines begin in line 5.
fn program(name: &str, lines: &str) -> String {
    format!("[[program]]\nname = \"{name}\"\nstart = [\"run\"]\nlistens = \"{{dir}}/socket\"\n{lines}\n")
}

#[test]
fn programs_are_read_in_their_order() {
    let told = "reload = { signal = \"USR2\", to = { program = \"php\" } }";
    let lines = [
        "[front]\nname = \"nginx\"\n".to_owned(),
        program("php", "timeout = \"3s\"\n[program.control]\nrestart = [\"again\"]"),
        program("redis", "stop = { signal = \"INT\" }\npid-file = \"redis.pid\""),
        format!("[control]\n{told}\n"),
    ];
    let read = right(&with(&lines.concat()));
    assert_eq!(read.programs(), ["nginx", "php", "redis"]);
    assert_eq!(read.control[&Verb::Reload], signal("USR2", SignalTo::Program("php".to_owned())));
    let [php, redis] = &read.programs[..] else { panic!("two programs") };
    assert_eq!((php.timeout_ns, redis.timeout_ns), (3_000_000_000, READY_NS_DEFAULT));
    assert_eq!(php.control[&Verb::Restart], Control::Command(vec!["again".to_owned()]));
    assert_eq!(php.stop, signal("TERM", SignalTo::Supervisor));
    assert_eq!(
        (&redis.stop, redis.pid_file.as_deref()),
        (&signal("INT", SignalTo::Supervisor), Some("redis.pid"))
    );
    assert_eq!(right(&with("")).programs(), [""; 0]);
    assert_eq!(right(&with("")).front.name, "t");
}

#[test]
fn programs_that_cannot_be_told_apart_or_are_not_there_are_wrong() {
    let two = [program("php", ""), program("php", "")].concat();
    wrong(&with(&two), 11, 8, "`php` is taken");
    wrong(&with(&program("t", "")), 6, 8, "`t` is taken");
    wrong(&with(&program("control", "")), 6, 8, "`control` is taken");
    wrong(&with("[front]\nname = \"nginx\""), 5, 1, "nothing is behind it");
    let stop = "stop = { signal = \"INT\", to = { program = \"pgp\" } }\n";
    wrong(&with(&format!("{stop}{}", program("php", ""))), 5, 43, "did you mean `php`?");
    let both = "stop = { signal = \"INT\", to = { program = \"php\", pidfile = \"x\" } }\n";
    wrong(&with(&format!("{both}{}", program("php", ""))), 5, 31, "names one process");
}

fn signal(name: &str, to: SignalTo) -> Control {
    Control::Signal { signal: name.parse().expect("a signal"), to }
}
