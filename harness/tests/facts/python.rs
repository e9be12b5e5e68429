//! What is known of servers of Python applications.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use holdline_model::result::TrialResult;
use holdline_model::words::{Fate, Grade, Mark};
use libtest_mimic::{Failed, Trial};

use crate::common::Place;
use crate::fact::{self, Fact, closes_its_listener, exactly, is_graded, keeps_its_listener, named, some};
use crate::real;

const FACTS: &[Fact] = &[
    Fact {
        name: "gunicorn-survives-its-worker",
        supervisor: "gunicorn",
        scenario: "worker-killed",
        holds: |trial| {
            keeps_its_listener(trial)?;
            exactly(trial, Fate::TimedOut, 0)
        },
    },
    Fact {
        name: "gunicorn-catches-the-error-of-an-application",
        supervisor: "gunicorn",
        scenario: "crash",
        holds: |trial| is_marked(trial, Some(Mark::Survived)),
    },
    Fact {
        name: "no-server-survives-that-its-worker-is-killed",
        supervisor: "gunicorn",
        scenario: "worker-killed",
        holds: |trial| is_marked(trial, None),
    },
    Fact {
        name: "hypercorn-ends-with-its-worker",
        supervisor: "hypercorn",
        scenario: "worker-killed",
        holds: |trial| {
            ends(trial)?;
            closes_its_listener(trial)?;
            is_graded(trial, Grade::Down)
        },
    },
    Fact {
        name: "hypercorn-beneath-a-loop-keeps-the-socket",
        supervisor: "hypercorn-fd",
        scenario: "worker-killed",
        holds: keeps_its_listener,
    },
    Fact {
        name: "uvicorn-sets-the-backlog-of-an-inherited-listener",
        supervisor: "uvicorn-fd",
        scenario: "crash",
        holds: |trial| has_backlog(trial, 2048),
    },
    Fact {
        name: "hypercorn-sets-the-backlog-of-an-inherited-listener",
        supervisor: "hypercorn-fd",
        scenario: "crash",
        holds: |trial| has_backlog(trial, 100),
    },
    Fact {
        name: "waitress-sets-the-backlog-of-an-inherited-listener",
        supervisor: "chaussette-waitress",
        scenario: "crash",
        holds: |trial| has_backlog(trial, 2048),
    },
    Fact {
        name: "meinheld-leaves-the-backlog-of-an-inherited-listener",
        supervisor: "chaussette-meinheld",
        scenario: "crash",
        holds: |trial| has_backlog(trial, 128),
    },
    Fact {
        name: "four-workers-of-meinheld-go-on-without-the-fifth",
        supervisor: "chaussette-meinheld",
        scenario: "crash-hard",
        holds: |trial| {
            keeps_its_listener(trial)?;
            is_graded(trial, Grade::Held)
        },
    },
    Fact {
        name: "gevent-leaves-the-backlog-of-an-inherited-listener",
        supervisor: "gevent",
        scenario: "crash",
        holds: |trial| has_backlog(trial, 128),
    },
    Fact {
        name: "gunicorn-leaves-the-backlog-of-an-inherited-listener",
        supervisor: "gunicorn-fd",
        scenario: "crash",
        holds: |trial| has_backlog(trial, 128),
    },
    Fact {
        name: "granian-takes-its-listener-with-it",
        supervisor: "granian",
        scenario: "crash-hard",
        holds: |trial| {
            closes_its_listener(trial)?;
            some(trial, Fate::Refused)
        },
    },
    Fact {
        name: "an-error-is-answered-with-a-500",
        supervisor: "gunicorn",
        scenario: "crash",
        holds: |trial| exactly(trial, Fate::ErrorReply, 1),
    },
    Fact {
        name: "an-error-is-not-answered-by-uwsgi",
        supervisor: "uwsgi",
        scenario: "crash",
        holds: |trial| exactly(trial, Fate::NoReply, 1),
    },
];

pub(crate) fn tests() -> Vec<Trial> {
    let defers = Trial::ignorable_test("facts::python::uwsgi-defers-accept", || {
        real::if_installed(&named("uwsgi")?, uwsgi_defers_accept)
    });
    fact::tests("facts::python", FACTS).into_iter().chain([defers]).collect()
}

fn is_marked(trial: &TrialResult, mark: Option<Mark>) -> Result<(), String> {
    if trial.mark == mark { Ok(()) } else { Err(format!("it is marked {:?}, not {mark:?}", trial.mark)) }
}

fn ends(trial: &TrialResult) -> Result<(), String> {
    if trial.supervisor_ended.is_some() { Ok(()) } else { Err("it did not end".to_owned()) }
}

fn has_backlog(trial: &TrialResult, expected: u32) -> Result<(), String> {
    match trial.kernel.queue_limit {
        limit if limit == expected => Ok(()),
        limit => Err(format!("the listener's limit was {limit} at the end, not {expected}")),
    }
}

/// A process that ends with its test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// TCP_DEFER_ACCEPT: a connection over which nothing was sent is established for the client, while the server's
/// side of it still waits for the handshake's end, tcp(7).
fn uwsgi_defers_accept() -> Result<(), Failed> {
    let place = Place::new();
    let application =
        "def application(environ, start_response):\n    start_response('200 OK', [])\n    return []\n";
    fs::write(place.path("app.py"), application)?;
    let log = fs::File::create(place.path("log"))?;
    let uwsgi = Command::new("uwsgi")
        .args(["--http-socket", "127.0.0.1:0", "--module", "app:application", "--need-app"])
        .current_dir(place.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    let uwsgi = Served(uwsgi);
    let port = wait_for(|| listening_port_of(uwsgi.0.id()))
        .ok_or_else(|| fs::read_to_string(place.path("log")).unwrap_or_default())?;
    let client = TcpStream::connect(("127.0.0.1", port))?;
    let client_port = client.local_addr()?.port();
    match state_of(port, client_port) {
        Some(SYN_RECV) => Ok(()),
        other => Err(format!("the server's side of a silent connection is in state {other:?}").into()),
    }
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let give_up = Instant::now() + Duration::from_secs(30);
    while Instant::now() < give_up {
        if let Some(found) = look() {
            return Some(found);
        }
        sleep(Duration::from_millis(20));
    }
    None
}

/// States of /proc/net/tcp, include/net/tcp_states.h.
const SYN_RECV: u8 = 3;
const LISTEN: u8 = 10;

/// The port at which a process listens.
fn listening_port_of(pid: u32) -> Option<u16> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    let held: Vec<String> =
        links.filter_map(|link| Some(fs::read_link(link.path()).ok()?.to_str()?.to_owned())).collect();
    connections().into_iter().find_map(|line| {
        let is_his = held.iter().any(|name| *name == format!("socket:[{}]", line.inode));
        (is_his && line.state == LISTEN).then_some(line.local)
    })
}

fn state_of(local: u16, remote: u16) -> Option<u8> {
    connections().iter().find(|line| (line.local, line.remote) == (local, remote)).map(|line| line.state)
}

struct Line {
    local: u16,
    remote: u16,
    state: u8,
    inode: u64,
}

fn connections() -> Vec<Line> {
    let text = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    text.lines().skip(1).filter_map(line).collect()
}

fn line(text: &str) -> Option<Line> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let port = |word: &str| u16::from_str_radix(word.split_once(':')?.1, 16).ok();
    Some(Line {
        local: port(words.get(1)?)?,
        remote: port(words.get(2)?)?,
        state: u8::from_str_radix(words.get(3)?, 16).ok()?,
        inode: words.get(9)?.parse().ok()?,
    })
}
