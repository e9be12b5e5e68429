//! What supervisors lack for what scenarios ask.

use super::*;
use crate::{scenario, supervisor};

fn scenario(lines: &str) -> Scenario {
    let load = "[load]\narrivals = { constant = \"100/s\" }\nduration = \"1s\"\n";
    scenario::parse(&format!("name = \"t\"\nasks = \"?\"\n{load}{lines}\n"), "t.toml")
        .unwrap_or_else(|error| panic!("{error}"))
}

fn supervisor(lines: &str) -> Supervisor {
    let text = format!("name = \"t\"\nabout = \"x\"\nstart = [\"x\"]\n{lines}\n");
    supervisor::parse(&text, "t.toml").unwrap_or_else(|error| panic!("{error}"))
}

fn bare_square() -> Scenario {
    let load = "arrivals = { constant = \"100/s\" }\nduration = \"1s\"\nprotocol = \"square\"\n";
    scenario::parse(&format!("name = \"t\"\nasks = \"?\"\n[load]\n{load}"), "t.toml")
        .unwrap_or_else(|error| panic!("{error}"))
}

const HOLDS: &str = "socket = { holder = \"supervisor\", passing = \"stdin\" }\n";
const BINDS: &str = "socket = { holder = \"worker\", passing = \"bind\" }\n";

#[track_caller]
fn check(description: &str, lines: &str, expected: Option<&Lack>) {
    assert_eq!(lack(&supervisor(description), &scenario(lines), true).as_ref(), expected);
}

fn no_verb(verb: Verb, reason: Option<&str>) -> Lack {
    Lack::Verb { verb, reason: reason.map(str::to_owned) }
}

#[test]
fn a_fault_is_aimed_at_programs_and_verbs_that_there_are() {
    let chain = format!(
        "{HOLDS}[front]\nname = \"nginx\"\n[front.control]\nreload = {{ signal = \"HUP\" }}\n\
         [[program]]\nname = \"php\"\nstart = [\"php\"]\nlistens = \"/php\"\n\
         [program.control]\nrestart = [\"again\"]\n[control]\nupgrade = [\"deploy\"]\n"
    );
    let fault = |target: &str, what: &str| format!("[[fault]]\nat = \"0.1s\"\ntarget = \"{target}\"\n{what}");
    for (target, what, expected) in [
        ("nginx", "control = \"reload\"", None),
        ("nginx", "control = \"upgrade\"", Some(no_verb(Verb::Upgrade, None))),
        ("php", "control = \"restart\"", None),
        ("php", "control = \"stop\"", None),
        ("php", "control = \"reload\"", Some(no_verb(Verb::Reload, None))),
        ("php", "signal = { to = \"worker\", name = \"KILL\" }", None),
    ] {
        check(&chain, &fault(target, what), expected.as_ref());
    }
    let lack = |programs: &[&str]| Lack::Target {
        program: "redis".to_owned(),
        programs: programs.iter().map(|name| (*name).to_owned()).collect(),
    };
    check(&chain, &fault("redis", "control = \"stop\""), Some(&lack(&["nginx", "php"])));
    check(HOLDS, &fault("redis", "control = \"stop\""), Some(&lack(&[])));
}

#[test]
fn a_verb_that_is_missing_is_named() {
    let control = |control: &str| format!("{HOLDS}workers-max = 3\n[control]\n{control}");
    let fault = |what: &str| format!("[[fault]]\nat = \"0.1s\"\ncontrol = {what}");
    check(HOLDS, &fault("\"reload\""), Some(&no_verb(Verb::Reload, None)));
    check(HOLDS, &fault("\"stop\""), None);
    let why = control("reload = { unsupported = \"it has no configuration\" }");
    check(&why, &fault("\"reload\""), Some(&no_verb(Verb::Reload, Some("it has no configuration"))));
    check(&control("reload = { signal = \"HUP\" }"), &fault("\"reload\""), None);
    let scale = control("scale = [\"x\", \"{workers}\"]");
    check(&scale, &fault("{ verb = \"scale\", workers = 3 }"), None);
    check(&scale, &fault("{ verb = \"scale\", workers = 4 }"), Some(&Lack::Scale { wanted: 4, most: 3 }));
}

#[test]
fn a_single_process_has_no_worker_to_be_hit() {
    let single = format!("{HOLDS}runs = [\"itself\"]\nsingle-process = true\n");
    let fault = |what: &str| format!("[[fault]]\nat = \"0.1s\"\n{what}");
    let why = Some(&Lack::WorkerToHit);
    for (what, lack) in [
        ("signal = { to = \"worker\", name = \"KILL\" }", why),
        ("signal = { to = \"workers\", name = \"TERM\" }", why),
        ("pause = { whom = \"worker\", for = \"0.1s\" }", why),
        ("signal = { to = \"supervisor\", name = \"KILL\" }", None),
        ("pause = { whom = \"supervisor\", for = \"0.1s\" }", None),
    ] {
        check(&single, &fault(what), lack);
        check(&format!("{HOLDS}runs = [\"itself\"]\n"), &fault(what), None);
    }
}

#[test]
fn our_workers_expect_no_header_of_a_proxy() {
    let mut proxied = scenario("");
    proxied.load.proxy = Some(crate::wire::ProxyVersion::V2);
    assert_eq!(lack(&supervisor(HOLDS), &proxied, true), Some(Lack::Proxy));
    let own = supervisor(&format!("{HOLDS}runs = [\"itself\"]\n"));
    assert_eq!(lack(&own, &proxied, true), None);
}

#[test]
fn other_users_need_a_supervisor_that_drops_and_root() {
    let nobody = "[workers]\nuser = \"nobody\"";
    check(HOLDS, nobody, Some(&Lack::OtherUsers));
    check(&format!("{HOLDS}can-drop = true"), nobody, None);
    check(BINDS, nobody, None);
    let lack = lack(&supervisor(BINDS), &scenario(nobody), false);
    assert_eq!(lack, Some(Lack::RootForUsers));
}

#[test]
fn a_server_that_speaks_otherwise_than_the_scenario_is_unsupported() {
    let own = |protocol: &str| format!("{HOLDS}runs = [\"itself\"]\nprotocol = \"{protocol}\"\n");
    // `[load]` is the table that these keys fall into.
    let asks = |protocol: &str| format!("protocol = \"{protocol}\"\n");
    let lack = |spoken, asked| Lack::Protocol { spoken, asked };
    check(&own("square"), &asks("http"), Some(&lack(Protocol::Square, Protocol::Http)));
    check(&own("http"), &asks("square"), Some(&lack(Protocol::Http, Protocol::Square)));
    for protocol in ["square", "http"] {
        check(&own(protocol), &asks(protocol), None);
        check(&own(protocol), "", None);
        // Our workers speak both, whatever the description says.
        check(HOLDS, &asks(protocol), None);
    }
}

fn check_lack(description: &str, scenario: &str, is_root: bool, expected: Option<&Lack>) {
    let supervisor = format!(
        "name = \"x\"\nabout = \"y\"\nsocket = {{ holder = \"supervisor\", passing = \"stdin\" }}\n\
         start = [\"x\"]\n{description}"
    );
    let supervisor = supervisor::parse(&supervisor, "supervisor.toml").expect("a description");
    let scenario = format!(
        "name = \"x\"\nasks = \"?\"\n[load]\narrivals = {{ sequential = \"1ms\" }}\nattempts = 9\n{scenario}"
    );
    let scenario = scenario::parse(&scenario, "x.toml").expect("a scenario");
    assert_eq!(lack(&supervisor, &scenario, is_root).as_ref(), expected);
}

#[test]
fn what_a_description_lacks_is_named() {
    check_lack("", "", false, None);
    check_lack("transports = [\"tcp\"]\n", "", false, None);
    check_lack("transports = [\"unix\"]\n", "", false, Some(&Lack::Transport { transport: Transport::Tcp }));
    check_lack("needs-root = true\n", "", true, None);
    check_lack("needs-root = true\n", "", false, Some(&Lack::Root));
    check_lack("runs = [\"itself\"]\n", "", false, None);
    let signal = |to: &str| {
        format!("[[fault]]\nat = {{ attempt = 2 }}\nsignal = {{ to = \"{to}\", name = \"KILL\" }}\n")
    };
    check_lack("runs = [\"itself\"]\n", &signal("worker"), false, None);
    check_lack("runs = [\"itself\"]\n", &signal("supervisor"), false, None);
    let poison = "[[fault]]\nat = { attempt = 2 }\npoison = { step = \"work\", mode = \"panic\" }\n";
    check_lack("runs = [\"itself\"]\n", poison, false, None);
    check_lack("runs = [\"itself\"]\npoison = false\n", poison, false, Some(&Lack::Poison));
    let two = "[workers]\ncount = 2\n";
    check_lack("workers-max = 1\n", two, false, Some(&Lack::Workers { wanted: 2, most: 1 }));
    let restart = "[[fault]]\nat = { attempt = 2 }\ncontrol = \"restart\"\n";
    check_lack("", restart, false, Some(&no_verb(Verb::Restart, None)));
    check_lack("[control]\nrestart = { signal = \"HUP\", to = \"supervisor\" }\n", restart, false, None);
    let cannot = "[control]\nrestart = { unsupported = \"by design\" }\n";
    check_lack(cannot, restart, false, Some(&no_verb(Verb::Restart, Some("by design"))));
}

#[test]
fn an_application_lacks_what_only_its_server_knows() {
    let check = |scenario: &str, what: Option<ApplicationLack>| {
        let lack = what.map(|what| Lack::Application { what });
        check(&format!("runs = [\"wsgi\"]\n{HOLDS}"), scenario, lack.as_ref());
    };
    let poison = |step: &str, mode: &str| {
        format!("[[fault]]\nat = {{ attempt = 2 }}\npoison = {{ step = \"{step}\", mode = \"{mode}\" }}")
    };
    let crash =
        |step: &str| format!("[[fault]]\nat = \"0.1s\"\ncrash = {{ step = \"{step}\", mode = \"exit\" }}");
    check("", None);
    check(&poison("work", "kill"), None);
    check(&poison("reply", "segv"), None);
    check(&crash("boot"), None);
    check(&poison("accept", "kill"), Some(ApplicationLack::Accept));
    check(&poison("work", "stop-accepting"), Some(ApplicationLack::StopAccepting));
    check(&crash("idle"), Some(ApplicationLack::Idle));
    check(&crash("drain"), Some(ApplicationLack::Drain));
    check("[workers]\ndrain = \"none\"", Some(ApplicationLack::DieAtOnce));
    check("[workers]\ndrain = \"patient\"", None);
    check("[[fault]]\nat = \"0.1s\"\nsignal = { to = \"worker\", name = \"KILL\" }", None);
    let bare = lack(&supervisor(&format!("runs = [\"wsgi\"]\n{HOLDS}")), &bare_square(), true);
    assert_eq!(bare, Some(Lack::Protocol { spoken: Protocol::Http, asked: Protocol::Square }));
}

#[test]
fn who_stamps_accepts_needs_no_samples() {
    let of = |runs: &str| supervisor(&format!("runs = {runs}\n{HOLDS}"));
    for (runs, is_application, stamps) in [
        ("[\"command\"]", false, true),
        ("[\"wsgi\"]", true, false),
        ("[\"asgi\", \"wsgi\"]", true, false),
        ("[\"command\", \"wsgi\"]", false, true),
        ("[\"itself\"]", false, false),
    ] {
        let supervisor = of(runs);
        assert_eq!(super::is_application(&supervisor), is_application, "{runs}");
        assert_eq!(stamps_accepts(&supervisor), stamps, "{runs}");
        assert_eq!(samples_accepts(&supervisor, &scenario("")), !stamps, "{runs}");
    }
}
