//! Who has all descriptors in use that it may have, and so can accept nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use holdline_model::custody::Exhausted;
use holdline_model::wire::Address;
use nix::unistd::Pid;

use super::diag::Diag;
use super::tested::{Processes, process};
use crate::proc;

/// The time between two looks. One takes some microseconds for each process.
pub(super) const INTERVAL: Duration = Duration::from_millis(20);
/// How many times of exhaustion are kept.
const FOUND_MAX: usize = 1000;

/// Looks again and again, and keeps what it finds.
#[derive(Debug)]
pub(super) struct Exhaustion {
    address: Address,
    found: Vec<Exhausted>,
    /// Of each process how many descriptors it had when its limit was read, and the limit.
    limits: BTreeMap<Pid, (u64, u64)>,
    /// Those that were exhausted at the last look: where they are in what was found.
    lasting: BTreeMap<Pid, usize>,
}

impl Exhaustion {
    pub(super) fn new(address: Address) -> Self {
        Self { address, found: Vec::new(), limits: BTreeMap::new(), lasting: BTreeMap::new() }
    }

    pub(super) fn into_found(self) -> Vec<Exhausted> {
        self.found
    }

    /// Looks at every process of the trial.
    pub(super) fn look(&mut self, at_ns: u64, diag: &mut Diag, processes: &impl Processes) {
        let before = std::mem::take(&mut self.lasting);
        for pid in processes.all() {
            let Some(limit) = self.limit_reached(pid) else { continue };
            if let Some(index) = before.get(&pid).copied() {
                self.found[index].last_ns = at_ns;
                self.lasting.insert(pid, index);
            } else if self.found.len() < FOUND_MAX && self.holds_listener(pid, diag) {
                self.lasting.insert(pid, self.found.len());
                let (process, interval_ns) = (process(pid, processes), INTERVAL.as_nanos() as u64);
                self.found.push(Exhausted { process, limit, first_ns: at_ns, last_ns: at_ns, interval_ns });
            }
        }
    }

    /// The limit of a process that has as many descriptors as it may have. A process that may not be looked
    /// at, or is gone, is none. The limit is read anew whenever their number is another.
    fn limit_reached(&mut self, pid: Pid) -> Option<u64> {
        let open = proc::descriptors_open(pid).ok().flatten()?;
        let limit = match self.limits.get(&pid) {
            Some((then, limit)) if *then == open => *limit,
            _ => {
                let limit = proc::descriptors_max(pid).ok().flatten()?;
                self.limits.insert(pid, (open, limit));
                limit
            }
        };
        (open >= limit).then_some(limit)
    }

    fn holds_listener(&self, pid: Pid, diag: &mut Diag) -> bool {
        let Ok(listeners) = diag.listeners(&self.address) else { return false };
        proc::sockets(pid).any(|inode| listeners.iter().any(|listener| listener.inode == inode))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;
    use std::process::{Child, Command, Stdio};
    use std::time::Instant;

    use nix::libc;

    use super::*;

    struct Of(Pid);

    impl Processes for Of {
        fn all(&self) -> Vec<Pid> {
            vec![self.0]
        }

        fn supervisor(&self) -> Pid {
            Pid::from_raw(1)
        }
    }

    /// A process that has this among its descriptors, and how many these are: more than three, if whoever
    /// started the tests left some open.
    fn sleeper(input: OwnedFd) -> (Child, Pid, u64) {
        let mut command = Command::new("sleep");
        command.arg("600").stdin(input).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("a process");
        let pid = proc::numbered(child.id()).expect("its id");
        let began = Instant::now();
        // What loads it has some files open before it sleeps.
        while proc::name(pid).expect("a look").as_deref() != Some("sleep")
            || proc::stat(pid).expect("a look").is_none_or(|stat| stat.state != 'S')
        {
            assert!(began.elapsed() < Duration::from_secs(30), "it does not sleep");
            std::thread::yield_now();
        }
        let open = proc::descriptors_open(pid).expect("a look").expect("a process");
        (child, pid, open)
    }

    fn limit_descriptors(pid: Pid, most: u64) {
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: the kernel reads the limit, which lives, and writes none.
        let set = unsafe {
            libc::prlimit(pid.as_raw(), libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut())
        };
        assert_eq!(set, 0);
    }

    /// What is found of a process that may have so many descriptors more than it has, and how many it has.
    fn found(more: u64, holds_listener: bool) -> (Vec<Exhausted>, u64) {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = server.local_addr().expect("an address");
        let null = std::fs::File::open("/dev/null").expect("a file");
        let input = if holds_listener { server.try_clone().expect("a copy").into() } else { null.into() };
        let (mut child, pid, open) = sleeper(input);
        limit_descriptors(pid, open + more);
        let mut exhaustion = Exhaustion::new(Address::Tcp(address));
        let mut diag = Diag::open().expect("sock_diag");
        for at_ns in [1000, 2000, 3000] {
            exhaustion.look(at_ns, &mut diag, &Of(pid));
        }
        child.kill().expect("a signal");
        child.wait().expect("a status");
        exhaustion.look(4000, &mut diag, &Of(pid));
        (exhaustion.into_found(), open)
    }

    #[test]
    fn who_holds_a_listener_and_has_no_descriptor_left_is_found() {
        let (found, open) = found(0, true);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].limit, found[0].first_ns, found[0].last_ns), (open, 1000, 3000));
        assert_eq!(found[0].process.name, "sleep");
    }

    #[test]
    fn others_are_not() {
        assert_eq!(found(1, true).0, [], "one descriptor is left");
        assert_eq!(found(0, false).0, [], "it takes no connections anyway");
    }
}
