//! What is known of servers that bring their own workers, of application servers in Ruby and Node, of
//! lithos, and of those that hold a listener during development.

use holdline_model::result::{Check, TrialResult};
use holdline_model::words::{Fate, Finding, Grade};
use libtest_mimic::{Failed, Trial};

use crate::fact::{self, Fact, closes_its_listener, exactly, is_graded, keeps_its_listener, named, some};
use crate::machine::trials;
use crate::real;

const FACTS: &[Fact] = &[
    Fact {
        name: "haproxy-ends-altogether-with-its-worker",
        supervisor: "haproxy",
        scenario: "worker-killed",
        holds: |trial| {
            has_ended(trial)?;
            closes_its_listener(trial)?;
            is_graded(trial, Grade::Down)
        },
    },
    Fact {
        name: "haproxy-ends-with-its-last-worker-whatever-it-is-told",
        supervisor: "haproxy-no-exit",
        scenario: "worker-killed",
        holds: |trial| {
            has_ended(trial)?;
            closes_its_listener(trial)?;
            is_graded(trial, Grade::Down)
        },
    },
    Fact {
        name: "haproxy-passes-its-listener-to-a-successor",
        supervisor: "haproxy-handover",
        scenario: "upgrade-supervisor",
        holds: keeps_its_listener,
    },
    Fact {
        name: "nginx-replaces-a-worker-that-is-killed",
        supervisor: "nginx",
        scenario: "worker-killed",
        holds: |trial| {
            goes_on(trial)?;
            keeps_its_listener(trial)
        },
    },
    Fact {
        name: "nginx-passes-its-listener-to-a-successor",
        supervisor: "nginx",
        scenario: "upgrade-supervisor",
        holds: keeps_its_listener,
    },
    Fact {
        name: "unicorn-replaces-a-worker-that-is-killed",
        supervisor: "unicorn",
        scenario: "worker-killed",
        holds: |trial| {
            goes_on(trial)?;
            keeps_its_listener(trial)
        },
    },
    Fact {
        name: "puma-replaces-a-worker-that-is-killed",
        supervisor: "puma",
        scenario: "worker-killed",
        holds: |trial| {
            goes_on(trial)?;
            keeps_its_listener(trial)
        },
    },
    Fact {
        name: "node-cluster-closes-its-listener-with-its-last-worker",
        supervisor: "node-cluster",
        scenario: "worker-killed",
        holds: |trial| {
            goes_on(trial)?;
            closes_its_listener(trial)?;
            some(trial, Fate::Refused)
        },
    },
    Fact {
        name: "node-cluster-that-shares-its-listener-closes-it-as-well",
        supervisor: "node-cluster-none",
        scenario: "worker-killed",
        holds: |trial| {
            goes_on(trial)?;
            closes_its_listener(trial)?;
            some(trial, Fate::Refused)
        },
    },
    Fact {
        name: "lithos-refuses-while-it-changes-to-a-new-image",
        supervisor: "lithos",
        scenario: "upgrade",
        holds: |trial| {
            closes_its_listener(trial)?;
            some(trial, Fate::Refused)
        },
    },
    Fact {
        name: "lithos-keeps-its-listener-where-nothing-has-changed",
        supervisor: "lithos",
        scenario: "reload",
        holds: keeps_its_listener,
    },
    Fact {
        name: "lithos-tells-nobody-its-process-id-unless-it-is-asked-for-activation",
        supervisor: "lithos",
        scenario: "inheritance",
        holds: |trial| found_of_listen_pid(trial, Finding::Failed),
    },
    Fact {
        name: "lithos-tells-a-process-its-id-by-activation",
        supervisor: "lithos-activation",
        scenario: "inheritance",
        holds: |trial| found_of_listen_pid(trial, Finding::Ok),
    },
    Fact {
        name: "catflap-makes-a-crowd-wait-for-retransmits",
        supervisor: "catflap",
        scenario: "crash-queued",
        holds: |trial| waits_for_retransmits(trial, 1),
    },
    Fact {
        name: "systemfd-makes-a-crowd-wait-for-retransmits",
        supervisor: "systemfd",
        scenario: "crash-queued",
        holds: |trial| waits_for_retransmits(trial, 1),
    },
    Fact {
        name: "systemfd-with-a-backlog-makes-nobody-wait-for-retransmits",
        supervisor: "systemfd-backlog",
        scenario: "crash-queued",
        holds: |trial| match trial.kernel.syn_retransmits {
            0 => keeps_its_listener(trial),
            count => Err(format!("{count} SYNs were sent again")),
        },
    },
];

pub(crate) fn tests() -> Vec<Trial> {
    let name = "facts::servers::haproxy-without-a-master-has-no-worker-to-be-killed";
    let no_worker = Trial::ignorable_test(name, || {
        real::if_installed(&named("haproxy-handover")?, has_no_worker_to_be_killed)
    });
    fact::tests("facts::servers", FACTS).into_iter().chain([no_worker]).collect()
}

/// Known before it is tried, so that there are no books.
fn has_no_worker_to_be_killed() -> Result<(), Failed> {
    let trial = trials(&["worker-killed"], &["haproxy-handover"])?.pop().ok_or("there was no trial")?;
    Ok(is_graded(&trial, Grade::Unsupported)?)
}

/// What came of asking whether LISTEN_PID is the worker's own process id.
fn found_of_listen_pid(trial: &TrialResult, expected: Finding) -> Result<(), String> {
    let check = trial.workers.inheritance.iter().find(|check| check.check == Check::ListenPid);
    match check {
        Some(check) if check.finding == expected => Ok(()),
        other => Err(format!("of LISTEN_PID was found {other:?}, not {expected:?}")),
    }
}

fn has_ended(trial: &TrialResult) -> Result<(), String> {
    if trial.supervisor_ended.is_some() { Ok(()) } else { Err("it did not end".to_owned()) }
}

fn goes_on(trial: &TrialResult) -> Result<(), String> {
    match &trial.supervisor_ended {
        None => Ok(()),
        Some(status) => Err(format!("it ended with {status}")),
    }
}

/// A queue so short that the kernel drops the SYNs of those who find no place, and nobody is told.
fn waits_for_retransmits(trial: &TrialResult, backlog: u32) -> Result<(), String> {
    let limit = trial.kernel.queue_limit;
    if limit != backlog {
        return Err(format!("its backlog is {limit}, not {backlog}"));
    }
    exactly(trial, Fate::Refused, 0)?;
    match trial.kernel.syn_retransmits {
        0 => Err("no SYN was sent again".to_owned()),
        _ => Ok(()),
    }
}
