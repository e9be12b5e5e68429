//! Whether workers were given what they should be: judged over all workers of a trial, from what
//! each of them wrote down when it started. Pure, but for reading which cgroups are above them.

use std::collections::BTreeSet;
use std::fmt::Display;

use holdline_contract::inherit::{Inheritance, ListenerFound};
use holdline_model::facts::TrialFacts;
use holdline_model::ledger::WorkerLog;
use holdline_model::result::{Check, InheritanceCheck};
use holdline_model::supervisor::Passing;
use holdline_model::wire::Address;
use holdline_model::words::Finding;
use nix::unistd::Pid;

use crate::proc;

/// The most workers that a detail names.
const NAMED_MAX: usize = 3;

/// What a trial's workers should have been given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    /// How the listener is passed.
    pub(super) passing: Passing,
    /// Where the service listens.
    pub(super) address: &'a Address,
    /// The user that the scenario asks for.
    pub(super) uid: Option<u32>,
    /// The cgroups of supervisor and harness, as /proc names them.
    pub(super) cgroups: &'a [String],
}

/// The cgroups of this process and of the supervisor, as far as they can be read.
pub(super) fn cgroups_above(supervisor: Pid) -> Vec<String> {
    [Pid::this(), supervisor].into_iter().filter_map(|pid| proc::cgroups(pid).ok().flatten()).collect()
}

/// Adds to a trial's facts what its workers wrote down. Without any such record nothing is known.
pub(super) fn fill(
    facts: &mut TrialFacts,
    found: &[Inheritance],
    logs: &[WorkerLog],
    expected: &Expected<'_>,
) {
    if found.is_empty() {
        return;
    }
    let mut found: Vec<&Inheritance> = found.iter().collect();
    found.sort_by_key(|worker| worker.generation);
    facts.uids = found.iter().map(|worker| worker.uid).collect::<BTreeSet<u32>>().into_iter().collect();
    let sharing = sharing_cgroup(&found, logs, expected.cgroups);
    facts.sharing_cgroup = sharing.as_ref().and_then(|sharing| u32::try_from(sharing.len()).ok());
    facts.inheritance = [
        listener(&found, expected),
        listen_pid(&found, expected.passing),
        listen_fdnames(&found, expected.passing),
        Some(descriptors(&found)),
        Some(standard_streams(&found)),
        Some(user(&found, expected.uid)),
        Some(cgroup(&found, sharing)),
    ]
    .into_iter()
    .flatten()
    .collect();
}

fn check(check: Check, finding: Finding, detail: impl Into<String>) -> InheritanceCheck {
    InheritanceCheck { check, finding, detail: detail.into() }
}

/// Failed with what is wrong with the first few workers, or ok with the words given.
fn judge(what: Check, wrong: &[(u32, String)], right: impl Into<String>) -> InheritanceCheck {
    if wrong.is_empty() {
        return check(what, Finding::Ok, right);
    }
    let mut parts: Vec<String> =
        wrong.iter().take(NAMED_MAX).map(|(pid, what)| format!("worker {pid} {what}")).collect();
    if let Some(more) = wrong.len().checked_sub(NAMED_MAX + 1) {
        parts.push(format!("and {} more", more + 1));
    }
    check(what, Finding::Failed, parts.join("; "))
}

/// Passed, listening, and at the right place. Workers that bind it themselves inherit none.
fn listener(found: &[&Inheritance], expected: &Expected<'_>) -> Option<InheritanceCheck> {
    use Passing::{Bind, BindNoReuseAddr, BindReusePort, Connection, Own, Receive};
    let passing = expected.passing;
    if matches!(passing, Bind | BindNoReuseAddr | BindReusePort | Connection | Own) {
        return None;
    }
    let flaw = |worker: &&Inheritance| match &worker.listener {
        // One that ended before it asked for it has received nothing.
        None if passing == Receive => None,
        None => Some((worker.pid, "was passed no socket".to_owned())),
        Some(listener) => flaw_of(listener, expected.address).map(|flaw| (worker.pid, flaw)),
    };
    let wrong: Vec<(u32, String)> = found.iter().filter_map(flaw).collect();
    let Some((first, listener)) = found.iter().find_map(|worker| Some((worker, worker.listener.as_ref()?)))
    else {
        return Some(match wrong.as_slice() {
            [] => check(Check::Listener, Finding::NotKnown, "no worker lived to receive one"),
            wrong => judge(Check::Listener, wrong, ""),
        });
    };
    let mode = if listener.nonblocking { "non-blocking" } else { "blocking" };
    let right = format!(
        "descriptor {} listens at {}, {mode} as worker {} found it",
        listener.fd, expected.address, first.pid
    );
    Some(judge(Check::Listener, &wrong, right))
}

fn flaw_of(listener: &ListenerFound, expected: &Address) -> Option<String> {
    let fd = listener.fd;
    if !listener.listening {
        return Some(format!("was passed a socket that does not listen (descriptor {fd})"));
    }
    let is_there = match (&listener.address, expected) {
        // A listener at the wildcard address listens here, too.
        (Some(Address::Tcp(found)), Address::Tcp(expected)) => {
            found.port() == expected.port() && (found.ip().is_unspecified() || found.ip() == expected.ip())
        }
        (found, expected) => found.as_ref() == Some(expected),
    };
    let place = listener.address.as_ref().map_or_else(|| "an unknown address".to_owned(), Address::to_string);
    (!is_there).then(|| format!("was passed a listener at {place} (descriptor {fd})"))
}

/// sd_listen_fds(3) takes descriptors only if LISTEN_PID names the process itself.
fn listen_pid(found: &[&Inheritance], passing: Passing) -> Option<InheritanceCheck> {
    let is_needed = matches!(passing, Passing::ListenFds | Passing::ListenFdsAnyPid);
    if !is_needed && found.iter().all(|worker| worker.listen_pid_matches.is_none()) {
        return None;
    }
    let flaw = |worker: &&Inheritance| match worker.listen_pid_matches {
        Some(true) => None,
        Some(false) => {
            let value = worker.env.get("LISTEN_PID").map_or("", String::as_str);
            Some((worker.pid, format!("was told LISTEN_PID={value}, which is another process")))
        }
        None if is_needed => Some((worker.pid, "was told no LISTEN_PID".to_owned())),
        None => None,
    };
    let wrong: Vec<(u32, String)> = found.iter().filter_map(flaw).collect();
    Some(judge(Check::ListenPid, &wrong, "each worker was told its own process id"))
}

/// sd_listen_fds_with_names(3): as many names as descriptors, parted by colons.
fn listen_fdnames(found: &[&Inheritance], passing: Passing) -> Option<InheritanceCheck> {
    let named = |worker: &&&Inheritance| worker.env.contains_key("LISTEN_FDNAMES");
    if !found.iter().any(|worker| named(&worker)) {
        let is_used = matches!(passing, Passing::ListenFds | Passing::ListenFdsAnyPid);
        return is_used
            .then(|| check(Check::ListenFdnames, Finding::Noted, "not set: descriptors have no names"));
    }
    let flaw = |worker: &&Inheritance| {
        let descriptors = worker.env.get("LISTEN_FDS").map_or("", String::as_str);
        let names = worker.env["LISTEN_FDNAMES"].split(':').count();
        let agrees = descriptors.trim().parse() == Ok(names);
        (!agrees).then(|| (worker.pid, format!("was told {names} names and LISTEN_FDS={descriptors}")))
    };
    let wrong: Vec<(u32, String)> = found.iter().filter(named).filter_map(flaw).collect();
    let names = found.iter().find(named).map_or("", |worker| worker.env["LISTEN_FDNAMES"].as_str());
    Some(judge(Check::ListenFdnames, &wrong, format!("a name for each descriptor: {names}")))
}

fn descriptors(found: &[&Inheritance]) -> InheritanceCheck {
    let flaw = |worker: &&Inheritance| {
        let stray: Vec<String> = worker
            .descriptors
            .iter()
            .filter(|descriptor| worker.unexpected.contains(&descriptor.fd))
            .map(|descriptor| format!("{} ({})", descriptor.fd, descriptor.target))
            .collect();
        let what = format!("inherited what nobody told it of: {}", stray.join(", "));
        (!stray.is_empty()).then_some((worker.pid, what))
    };
    let wrong: Vec<(u32, String)> = found.iter().filter_map(flaw).collect();
    judge(Check::Descriptors, &wrong, "none but those that workers were told of")
}

fn standard_streams(found: &[&Inheritance]) -> InheritanceCheck {
    let flaw = |worker: &&Inheritance| {
        let is_open = |fd: &i32| worker.descriptors.iter().any(|descriptor| descriptor.fd == *fd);
        let closed: Vec<String> = (0..=2).filter(|fd| !is_open(fd)).map(|fd| fd.to_string()).collect();
        (!closed.is_empty()).then(|| (worker.pid, format!("started with {} closed", closed.join(", "))))
    };
    let wrong: Vec<(u32, String)> = found.iter().filter_map(flaw).collect();
    judge(Check::StandardStreams, &wrong, "0, 1 and 2 are open")
}

fn user(found: &[&Inheritance], expected: Option<u32>) -> InheritanceCheck {
    let Some(expected) = expected else {
        let uids: BTreeSet<u32> = found.iter().map(|worker| worker.uid).collect();
        return check(Check::User, Finding::Noted, format!("workers ran as {}", list(&uids)));
    };
    let flaw = |worker: &&Inheritance| {
        (worker.uid != expected).then(|| (worker.pid, format!("ran as user {}", worker.uid)))
    };
    let wrong: Vec<(u32, String)> = found.iter().filter_map(flaw).collect();
    judge(Check::User, &wrong, format!("workers ran as user {expected}"))
}

/// The workers whose cgroup was also the supervisor's, the harness's or that of a worker that lived
/// at the same time. `None`: no worker could read its own.
fn sharing_cgroup(found: &[&Inheritance], logs: &[WorkerLog], above: &[String]) -> Option<Vec<u32>> {
    if found.iter().all(|worker| worker.cgroup.is_empty()) {
        return None;
    }
    let lived = |pid: u32| {
        let records = &logs.iter().find(|log| log.pid == pid)?.records;
        Some((records.first()?.at_ns, records.last()?.at_ns))
    };
    let together = |a: u32, b: u32| match (lived(a), lived(b)) {
        (Some(a), Some(b)) => a.0 <= b.1 && b.0 <= a.1,
        _ => true,
    };
    let shares = |worker: &&&Inheritance| {
        let is_above = above.iter().any(|cgroup| cgroup.lines().eq(worker.cgroup.iter().map(String::as_str)));
        let mut others = found.iter().filter(|other| other.pid != worker.pid);
        is_above || others.any(|other| other.cgroup == worker.cgroup && together(worker.pid, other.pid))
    };
    Some(found.iter().filter(shares).map(|worker| worker.pid).collect())
}

fn cgroup(found: &[&Inheritance], sharing: Option<Vec<u32>>) -> InheritanceCheck {
    match sharing {
        None => check(Check::Cgroup, Finding::NotKnown, "workers could not read theirs"),
        Some(sharing) if sharing.is_empty() => check(Check::Cgroup, Finding::Ok, "each worker had its own"),
        Some(sharing) => {
            let all = found.len();
            let what =
                format!("{} of {all} workers shared one with the supervisor or each other", sharing.len());
            check(Check::Cgroup, Finding::Noted, what)
        }
    }
}

fn list<T: Display>(numbers: &BTreeSet<T>) -> String {
    let users: Vec<String> = numbers.iter().map(T::to_string).collect();
    format!("user{} {}", if users.len() == 1 { "" } else { "s" }, users.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use holdline_contract::inherit::Descriptor;
    use holdline_model::shm::{RecordKind, WorkerRecord};

    use super::*;

    const CGROUP: &str = "0::/user.slice";

    fn address() -> Address {
        "127.0.0.1:7000".parse().expect("an address")
    }

    /// A worker that was given exactly what it should be.
    fn worker(pid: u32) -> Inheritance {
        let descriptor = |fd, target: &str| Descriptor {
            fd,
            target: target.to_owned(),
            cloexec: false,
            nonblocking: false,
        };
        let listener = ListenerFound {
            fd: 3,
            inode: 5,
            address: Some(address()),
            listening: true,
            reuse_addr: true,
            reuse_port: false,
            defer_accept_s: Some(0),
            nonblocking: false,
        };
        let env = [("LISTEN_PID", pid.to_string()), ("LISTEN_FDS", "1".to_owned())];
        Inheritance {
            pid,
            generation: pid,
            parent_pid: 1,
            uid: 65534,
            gid: 65534,
            argv: Vec::new(),
            cwd: "/".into(),
            cgroup: vec![format!("0::/worker/{pid}")],
            descriptors: (0..3)
                .map(|fd| descriptor(fd, "/dev/null"))
                .chain([descriptor(3, "socket:[5]")])
                .collect(),
            unexpected: Vec::new(),
            env: env.map(|(name, value)| (name.to_owned(), value)).into(),
            listen_fd_names: Vec::new(),
            listen_pid_matches: Some(true),
            listener: Some(listener),
        }
    }

    fn facts_of(found: &[Inheritance], passing: Passing, uid: Option<u32>) -> TrialFacts {
        let mut facts = TrialFacts::default();
        let (address, cgroups) = (address(), [format!("{CGROUP}\n")]);
        fill(&mut facts, found, &[], &Expected { passing, address: &address, uid, cgroups: &cgroups });
        facts
    }

    /// The one check that is not ok, with its detail.
    #[track_caller]
    fn check_one(change: impl FnOnce(&mut Inheritance), expected: &str) {
        let mut workers = [worker(10), worker(11)];
        workers[1].env.insert("LISTEN_FDNAMES".to_owned(), "web".to_owned());
        change(&mut workers[1]);
        let facts = facts_of(&workers, Passing::ListenFds, Some(65534));
        let off: Vec<String> = facts
            .inheritance
            .iter()
            .filter(|check| check.finding != Finding::Ok)
            .map(|check| format!("{} {}: {}", check.finding, check.check, check.detail))
            .collect();
        let expected: Vec<&str> = (!expected.is_empty()).then_some(expected).into_iter().collect();
        assert_eq!(off, expected);
    }

    #[test]
    fn each_flaw_fails_its_own_check() {
        check_one(|_| {}, "");
        check_one(|worker| worker.listener = None, "failed listener: worker 11 was passed no socket");
        check_one(
            |worker| worker.listener.as_mut().expect("one").listening = false,
            "failed listener: worker 11 was passed a socket that does not listen (descriptor 3)",
        );
        check_one(
            |worker| worker.listener.as_mut().expect("one").address = "127.0.0.1:1".parse().ok(),
            "failed listener: worker 11 was passed a listener at 127.0.0.1:1 (descriptor 3)",
        );
        check_one(|worker| worker.listener.as_mut().expect("one").address = "0.0.0.0:7000".parse().ok(), "");
        check_one(
            |worker| {
                worker.listen_pid_matches = Some(false);
                worker.env.insert("LISTEN_PID".to_owned(), "1".to_owned());
            },
            "failed listen-pid: worker 11 was told LISTEN_PID=1, which is another process",
        );
        check_one(
            |worker| worker.listen_pid_matches = None,
            "failed listen-pid: worker 11 was told no LISTEN_PID",
        );
        check_one(
            |worker| drop(worker.env.insert("LISTEN_FDNAMES".to_owned(), "web:admin".to_owned())),
            "failed listen-fdnames: worker 11 was told 2 names and LISTEN_FDS=1",
        );
        check_one(
            |worker| worker.unexpected = vec![3],
            "failed descriptors: worker 11 inherited what nobody told it of: 3 (socket:[5])",
        );
        check_one(
            |worker| drop(worker.descriptors.remove(0)),
            "failed standard-streams: worker 11 started with 0 closed",
        );
        check_one(|worker| worker.uid = 0, "failed user: worker 11 ran as user 0");
        check_one(
            |worker| worker.cgroup = vec![CGROUP.to_owned()],
            "noted cgroup: 1 of 2 workers shared one with the supervisor or each other",
        );
        check_one(|worker| worker.cgroup.clear(), "");
    }

    #[test]
    fn what_does_not_apply_is_not_judged() {
        let mut bound = worker(10);
        (bound.listener, bound.listen_pid_matches, bound.env) = (None, None, BTreeMap::new());
        let facts = facts_of(&[bound], Passing::Bind, None);
        let checks: Vec<(Check, Finding)> =
            facts.inheritance.iter().map(|check| (check.check, check.finding)).collect();
        let expected = [
            (Check::Descriptors, Finding::Ok),
            (Check::StandardStreams, Finding::Ok),
            (Check::User, Finding::Noted),
            (Check::Cgroup, Finding::Ok),
        ];
        assert_eq!(checks, expected);
        assert_eq!((facts.uids.as_slice(), facts.sharing_cgroup), ([65534].as_slice(), Some(0)));
        assert_eq!(facts_of(&[], Passing::Stdin, None), TrialFacts::default());
    }

    #[test]
    fn successive_workers_may_use_one_cgroup() {
        let log = |pid, from_ns, to_ns| {
            let record = |at_ns| WorkerRecord {
                kind: RecordKind::Boot,
                pid,
                generation: pid,
                connection: 0,
                at_ns,
                detail: 0,
                peer: None,
            };
            WorkerLog {
                pid,
                generation: pid,
                window_open: false,
                records: vec![record(from_ns), record(to_ns)],
            }
        };
        let (mut first, mut second) = (worker(10), worker(11));
        first.cgroup = vec!["0::/unit".to_owned()];
        second.cgroup.clone_from(&first.cgroup);
        let sharing = |logs: &[WorkerLog]| sharing_cgroup(&[&first, &second], logs, &[]).expect("known");
        assert_eq!(sharing(&[log(10, 1, 5), log(11, 6, 9)]), Vec::<u32>::new());
        assert_eq!(sharing(&[log(10, 1, 7), log(11, 6, 9)]), [10, 11]);
    }
}
