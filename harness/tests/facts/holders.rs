//! What is known of supervisors that hold sockets for services of any kind.

use holdline_model::words::{Fate, Grade};
use libtest_mimic::Trial;

use crate::fact::{self, Fact, closes_its_listener, exactly, is_graded, keeps_its_listener, some};

const FACTS: &[Fact] = &[
    Fact {
        name: "one-fcgi-process-takes-the-queue-with-it",
        supervisor: "supervisord-fcgi",
        scenario: "crash-queued",
        holds: |trial| {
            closes_its_listener(trial)?;
            // All that waited behind the one that crashed the worker.
            exactly(trial, Fate::QueueReset, 14)
        },
    },
    Fact {
        name: "one-fcgi-process-refuses-until-it-is-back",
        supervisor: "supervisord-fcgi",
        scenario: "crash",
        holds: |trial| {
            closes_its_listener(trial)?;
            exactly(trial, Fate::Refused, 14)
        },
    },
    Fact {
        name: "two-fcgi-processes-keep-the-socket",
        supervisor: "supervisord-fcgi-two",
        scenario: "crash-queued",
        holds: keeps_its_listener,
    },
    Fact {
        name: "a-process-that-sleeps-keeps-the-socket",
        supervisor: "supervisord-fcgi-kept",
        scenario: "crash-queued",
        holds: keeps_its_listener,
    },
    Fact {
        name: "circus-keeps-the-socket-and-takes-its-time",
        supervisor: "circus",
        scenario: "crash-queued",
        holds: |trial| {
            keeps_its_listener(trial)?;
            is_graded(trial, Grade::Delayed)
        },
    },
    Fact {
        name: "circus-with-so-reuseport-refuses",
        supervisor: "circus-reuse-port",
        scenario: "crash-patient",
        holds: |trial| {
            closes_its_listener(trial)?;
            some(trial, Fate::Refused)
        },
    },
    Fact {
        name: "systemd-keeps-the-socket",
        supervisor: "systemd",
        scenario: "crash-queued",
        holds: keeps_its_listener,
    },
    Fact {
        name: "systemd-goes-on-without-limits",
        supervisor: "systemd",
        scenario: "crash-loop",
        holds: keeps_its_listener,
    },
    Fact {
        name: "systemd-with-its-start-limit-gives-up-and-closes-the-socket",
        supervisor: "systemd-start-limit",
        scenario: "crash-loop",
        holds: |trial| {
            closes_its_listener(trial)?;
            some(trial, Fate::QueueReset)?;
            is_graded(trial, Grade::Down)
        },
    },
];

pub(crate) fn tests() -> Vec<Trial> {
    fact::tests("facts::holders", FACTS)
}
