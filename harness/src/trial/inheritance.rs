//! Whether workers were given what they should be: judged over all workers of a trial, from what
//! each of them wrote down when it started. Pure, but for reading which cgroups are above them.

use std::collections::BTreeSet;

use holdline_contract::inherit::{Descriptor, Inheritance, ListenerFound};
use holdline_model::facts::TrialFacts;
use holdline_model::ledger::WorkerLog;
use holdline_model::result::{Check, Flaw, Given, InheritanceCheck, StrayDescriptor, Wrong};
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

fn check(check: Check, finding: Finding, found: Given) -> InheritanceCheck {
    InheritanceCheck { check, finding, detail: found.into() }
}

/// Failed with what is wrong with the first few workers, or ok with what was found.
fn judge(what: Check, mut flaws: Vec<Flaw>, right: Given) -> InheritanceCheck {
    if flaws.is_empty() {
        return check(what, Finding::Ok, right);
    }
    let more = flaws.len().saturating_sub(NAMED_MAX) as u64;
    flaws.truncate(NAMED_MAX);
    check(what, Finding::Failed, Given::Flaws { first: flaws, more })
}

/// What is wrong with each of these workers that something is wrong with.
fn flaws(found: &[&Inheritance], wrong: impl Fn(&Inheritance) -> Option<Wrong>) -> Vec<Flaw> {
    found.iter().filter_map(|worker| Some(Flaw { pid: worker.pid, what: wrong(worker)? })).collect()
}

/// Passed, listening, and at the right place. Workers that bind it themselves inherit none.
fn listener(found: &[&Inheritance], expected: &Expected<'_>) -> Option<InheritanceCheck> {
    use Passing::{Bind, BindNoReuseAddr, BindReusePort, Connection, Own, Receive};
    let passing = expected.passing;
    if matches!(passing, Bind | BindNoReuseAddr | BindReusePort | Connection | Own) {
        return None;
    }
    let flaws = flaws(found, |worker| match &worker.listener {
        // One that ended before it asked for it has received nothing.
        None if passing == Receive => None,
        None => Some(Wrong::NoSocket),
        Some(listener) => flaw_of(listener, expected.address),
    });
    let right = found.iter().find_map(|worker| Some((worker, worker.listener.as_ref()?)));
    let right = right.map(|(first, listener)| Given::Listener {
        fd: listener.fd,
        address: expected.address.clone(),
        nonblocking: listener.nonblocking,
        pid: first.pid,
    });
    Some(match right {
        None if flaws.is_empty() => check(Check::Listener, Finding::NotKnown, Given::NoneLived),
        right => judge(Check::Listener, flaws, right.unwrap_or(Given::NoneLived)),
    })
}

fn flaw_of(listener: &ListenerFound, expected: &Address) -> Option<Wrong> {
    let fd = listener.fd;
    if !listener.listening {
        return Some(Wrong::NotListening { fd });
    }
    let is_there = match (&listener.address, expected) {
        // A listener at the wildcard address listens here, too.
        (Some(Address::Tcp(found)), Address::Tcp(expected)) => {
            found.port() == expected.port() && (found.ip().is_unspecified() || found.ip() == expected.ip())
        }
        (found, expected) => found.as_ref() == Some(expected),
    };
    (!is_there).then(|| Wrong::Elsewhere { fd, address: listener.address.clone() })
}

/// sd_listen_fds(3) takes descriptors only if LISTEN_PID names the process itself.
fn listen_pid(found: &[&Inheritance], passing: Passing) -> Option<InheritanceCheck> {
    let is_needed = matches!(passing, Passing::ListenFds | Passing::ListenFdsAnyPid);
    if !is_needed && found.iter().all(|worker| worker.listen_pid_matches.is_none()) {
        return None;
    }
    let flaws = flaws(found, |worker| match worker.listen_pid_matches {
        Some(true) => None,
        Some(false) => {
            let listen_pid = worker.env.get("LISTEN_PID").cloned().unwrap_or_default();
            Some(Wrong::OthersPid { listen_pid })
        }
        None => is_needed.then_some(Wrong::NoPid),
    });
    Some(judge(Check::ListenPid, flaws, Given::OwnPid))
}

/// sd_listen_fds_with_names(3): as many names as descriptors, parted by colons.
fn listen_fdnames(found: &[&Inheritance], passing: Passing) -> Option<InheritanceCheck> {
    let Some(names) = found.iter().find_map(|worker| worker.env.get("LISTEN_FDNAMES")) else {
        let is_used = matches!(passing, Passing::ListenFds | Passing::ListenFdsAnyPid);
        return is_used.then(|| check(Check::ListenFdnames, Finding::Noted, Given::NoNames));
    };
    let flaws = flaws(found, |worker| {
        let names = worker.env.get("LISTEN_FDNAMES")?.split(':').count();
        let listen_fds = worker.env.get("LISTEN_FDS").cloned().unwrap_or_default();
        let agrees = listen_fds.trim().parse() == Ok(names);
        (!agrees).then_some(Wrong::NamesDisagree { names: names as u64, listen_fds })
    });
    Some(judge(Check::ListenFdnames, flaws, Given::Names { names: names.clone() }))
}

fn descriptors(found: &[&Inheritance]) -> InheritanceCheck {
    let flaws = flaws(found, |worker| {
        let stray = worker.descriptors.iter().filter(|descriptor| worker.unexpected.contains(&descriptor.fd));
        let stray =
            stray.map(|Descriptor { fd, target, .. }| StrayDescriptor { fd: *fd, target: target.clone() });
        let descriptors: Vec<StrayDescriptor> = stray.collect();
        (!descriptors.is_empty()).then_some(Wrong::StrayDescriptors { descriptors })
    });
    judge(Check::Descriptors, flaws, Given::NothingElse)
}

fn standard_streams(found: &[&Inheritance]) -> InheritanceCheck {
    let flaws = flaws(found, |worker| {
        let is_open = |fd: &i32| worker.descriptors.iter().any(|descriptor| descriptor.fd == *fd);
        let fds: Vec<i32> = (0..=2).filter(|fd| !is_open(fd)).collect();
        (!fds.is_empty()).then_some(Wrong::StreamsClosed { fds })
    });
    judge(Check::StandardStreams, flaws, Given::StreamsOpen)
}

fn user(found: &[&Inheritance], expected: Option<u32>) -> InheritanceCheck {
    let Some(uid) = expected else {
        let uids: BTreeSet<u32> = found.iter().map(|worker| worker.uid).collect();
        return check(Check::User, Finding::Noted, Given::Users { uids: uids.into_iter().collect() });
    };
    let flaws = flaws(found, |worker| (worker.uid != uid).then_some(Wrong::WrongUser { uid: worker.uid }));
    judge(Check::User, flaws, Given::RightUser { uid })
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
    let (finding, given) = match sharing.map(|sharing| sharing.len() as u64) {
        None => (Finding::NotKnown, Given::CgroupsUnread),
        Some(0) => (Finding::Ok, Given::OwnCgroups),
        Some(sharing) => (Finding::Noted, Given::SharedCgroups { sharing, of: found.len() as u64 }),
    };
    check(Check::Cgroup, finding, given)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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

    /// The one check that is not ok, with what was found.
    #[track_caller]
    fn check_one(change: impl FnOnce(&mut Inheritance), expected: Option<(Finding, Check, Given)>) {
        let mut workers = [worker(10), worker(11)];
        workers[1].env.insert("LISTEN_FDNAMES".to_owned(), "web".to_owned());
        change(&mut workers[1]);
        let facts = facts_of(&workers, Passing::ListenFds, Some(65534));
        let mut off: Vec<_> =
            facts.inheritance.into_iter().filter(|check| check.finding != Finding::Ok).collect();
        let found = off.pop().map(|InheritanceCheck { check, finding, detail }| (finding, check, detail));
        assert_eq!(found, expected.map(|(finding, check, given)| (finding, check, given.into())));
        assert_eq!(off, []);
    }

    #[test]
    fn each_flaw_fails_its_own_check() {
        let failed = |check, what| {
            let first = vec![Flaw { pid: 11, what }];
            Some((Finding::Failed, check, Given::Flaws { first, more: 0 }))
        };
        check_one(|_| {}, None);
        check_one(|worker| worker.listener = None, failed(Check::Listener, Wrong::NoSocket));
        check_one(
            |worker| worker.listener.as_mut().expect("one").listening = false,
            failed(Check::Listener, Wrong::NotListening { fd: 3 }),
        );
        let address = "127.0.0.1:1".parse().ok();
        check_one(
            |worker| worker.listener.as_mut().expect("one").address = "127.0.0.1:1".parse().ok(),
            failed(Check::Listener, Wrong::Elsewhere { fd: 3, address }),
        );
        check_one(
            |worker| worker.listener.as_mut().expect("one").address = "0.0.0.0:7000".parse().ok(),
            None,
        );
        check_one(
            |worker| {
                worker.listen_pid_matches = Some(false);
                worker.env.insert("LISTEN_PID".to_owned(), "1".to_owned());
            },
            failed(Check::ListenPid, Wrong::OthersPid { listen_pid: "1".to_owned() }),
        );
        check_one(|worker| worker.listen_pid_matches = None, failed(Check::ListenPid, Wrong::NoPid));
        let listen_fds = "1".to_owned();
        check_one(
            |worker| drop(worker.env.insert("LISTEN_FDNAMES".to_owned(), "web:admin".to_owned())),
            failed(Check::ListenFdnames, Wrong::NamesDisagree { names: 2, listen_fds }),
        );
        let descriptors = vec![StrayDescriptor { fd: 3, target: "socket:[5]".to_owned() }];
        check_one(
            |worker| worker.unexpected = vec![3],
            failed(Check::Descriptors, Wrong::StrayDescriptors { descriptors }),
        );
        check_one(
            |worker| drop(worker.descriptors.remove(0)),
            failed(Check::StandardStreams, Wrong::StreamsClosed { fds: vec![0] }),
        );
        check_one(|worker| worker.uid = 0, failed(Check::User, Wrong::WrongUser { uid: 0 }));
        check_one(
            |worker| worker.cgroup = vec![CGROUP.to_owned()],
            Some((Finding::Noted, Check::Cgroup, Given::SharedCgroups { sharing: 1, of: 2 })),
        );
        check_one(|worker| worker.cgroup.clear(), None);
    }

    #[test]
    fn the_first_few_workers_are_named_and_the_others_counted() {
        let workers: Vec<Inheritance> = (10..15).map(|pid| Inheritance { uid: 0, ..worker(pid) }).collect();
        let facts = facts_of(&workers, Passing::ListenFds, Some(65534));
        let user = facts.inheritance.iter().find(|check| check.check == Check::User).expect("a check");
        let first = (10..13).map(|pid| Flaw { pid, what: Wrong::WrongUser { uid: 0 } }).collect();
        assert_eq!(user.detail, Given::Flaws { first, more: 2 }.into());
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
                records: vec![record(from_ns), record(to_ns)].into(),
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
