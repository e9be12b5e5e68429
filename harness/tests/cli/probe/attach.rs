//! `holdline probe --attach`: a service that runs already, to which nothing is done but what is asked for.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use holdline_model::words::{Fate, Grade};

use super::{service, trial_of};
use crate::common::{Place, read_result};
use crate::support::wait_until;

/// A service that runs outside of holdline; it ends with its owner.
struct Running(Child);

impl Running {
    /// Starts one at an address, and waits until it can be connected to.
    fn at(address: &str) -> Self {
        let child = Command::new("python3")
            .args([&service("probed.py"), address])
            .stdin(Stdio::null())
            .spawn()
            .expect("python3 runs");
        let running = Self(child);
        wait_until("the service listens", || answers(address));
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn answers(address: &str) -> bool {
    match address.starts_with('/') {
        true => std::os::unix::net::UnixStream::connect(address).is_ok(),
        false => std::net::TcpStream::connect(address).is_ok(),
    }
}

/// A loopback address at which nobody listens.
fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

fn attach(place: &Place, options: &[&str]) -> (Option<i32>, String, String) {
    let mut arguments = vec!["probe", "--duration", "900ms", "--out", "out", "--show-progress", "none"];
    arguments.extend(options);
    let output = place.holdline(&arguments).output().expect("holdline runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn only_loopback_addresses_and_unix_sockets_are_put_under_load() {
    let place = Place::new();
    for address in
        ["192.0.2.1:80", "0.0.0.0:80", "example.com:80", "8080", "[2001:db8::1]:80", "http://127.0.0.1/"]
    {
        let (code, _, errors) = attach(&place, &["--attach", address]);
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(address.trim_end_matches(":80")) && !place.path("out").exists(), "{errors}");
    }
}

#[test]
fn what_does_not_go_with_it_is_a_clear_error() {
    let place = Place::new();
    for (options, quoted) in [
        (&["--do", "x=kill {pid}"][..], "{pid}"),
        (&["--rate", "2000/s"], "1000/s"),
        (&["--save", "d"], "--save"),
        (&["--prove-remedy"], "--prove-remedy"),
        (&["--isolation", "full"], "--isolation"),
        (&["--", "true"], "COMMAND"),
    ] {
        let (code, _, errors) = attach(&place, &[&["--attach", "127.0.0.1:9"], options].concat());
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(quoted) && !place.path("out").exists(), "{errors}");
    }
}

#[test]
fn where_nobody_listens_the_environment_is_told_of() {
    let place = Place::new();
    let stale = place.path("stale");
    drop(std::os::unix::net::UnixListener::bind(&stale).expect("listens"));
    for address in [free().as_str(), "./absent", "./stale"] {
        let (code, _, errors) = attach(&place, &["--attach", address]);
        assert_eq!(code, Some(5), "{errors}");
        assert!(errors.contains("nobody listens") && !place.path("out").exists(), "{errors}");
    }
}

#[test]
fn one_that_runs_is_watched_and_goes_on() {
    let place = Place::new();
    let address = free();
    let _running = Running::at(&address);
    let done = "touch=touch done";
    let (code, said, errors) = attach(&place, &["--attach", &address, "--do", done]);
    let trials = read_result(&place.path("out/run.json")).trials;
    let steps: Vec<&str> = trials.iter().map(|trial| trial.scenario.as_str()).collect();
    assert_eq!(steps, ["nothing", "do-touch"], "{said}{errors}");
    for trial in &trials {
        assert!(trial.fates[&Fate::Served] > 50 && trial.kernel.counters.is_empty(), "{:?}", trial.fates);
        assert_eq!((trial.cost.is_none(), trial.workers.orphans), (true, None));
    }
    // A machine that is busy may make it late, but nothing else.
    assert!(matches!(code, Some(0 | 3)), "{said}{errors}");
    assert!(said.contains("not known"), "{said}");
    assert!(place.path("done").exists() && answers(&address), "{said}");
}

#[test]
fn one_that_is_gone_at_the_end_is_down() {
    let place = Place::new();
    let socket = place.path("web.sock").display().to_string();
    let running = Running::at(&socket);
    let kill = format!("kill=kill -KILL {}", running.0.id());
    let (code, said, errors) = attach(&place, &["--attach", "./web.sock", "--do", &kill]);
    assert_eq!(code, Some(1), "{said}{errors}");
    assert_eq!(trial_of(&place, "do-kill").grade, Grade::Down, "{said}");
    assert!(said.contains("is gone"), "{said}");
}

#[test]
fn what_is_started_anew_outlives_the_probe() {
    let place = Place::new();
    let socket = place.path("web.sock").display().to_string();
    let running = Running::at(&socket);
    let script = format!(
        "restart=kill -KILL {}; rm {socket}; python3 {} {socket} & echo $! >pid",
        running.0.id(),
        service("probed.py")
    );
    let (_, said, errors) = attach(&place, &["--attach", &socket, "--do", &script]);
    let restarted = trial_of(&place, "do-restart");
    assert_ne!(restarted.grade, Grade::Down, "{said}{errors}");
    let pid = std::fs::read_to_string(place.path("pid")).expect("a process id");
    let is_there = Path::new("/proc").join(pid.trim()).exists() && answers(&socket);
    let killed = Command::new("kill").arg(pid.trim()).status().expect("kill runs");
    assert!(is_there && killed.success(), "{said}{errors}");
}
