//! The table of open descriptors, which the load client shares with the rest of its process.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::LoadError;

/// The least limit with which one thread can make a load: what the process needs besides, and some connections.
pub const DESCRIPTORS_MIN: u64 = 64;
/// What each client thread beyond the first takes besides: epoll, timer, how long processors were idle, and the file of its
/// records.
const OF_EACH_THREAD: u64 = 4;
/// The most descriptors that are left to the rest of the process.
const RESERVE_MAX: u64 = 256;

/// Which descriptors a load may take: all but the highest numbers, which stay free for the rest of the
/// process, whatever it does meanwhile (it follows the workers' ledgers, and runs control actions).
///
/// The kernel gives each new descriptor the lowest number that is free (`alloc_fd` in fs/file.c), so that
/// one beyond the share shows that all numbers below it are taken; nothing needs to be counted, however many threads
/// share it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    end: u64,
}

impl Share {
    /// The share under the limit as it is now, of so many client threads together.
    pub(super) fn of_limit(threads: u32) -> Result<Self, LoadError> {
        let (soft, _) = limits()?;
        let least = least(threads);
        if soft < least {
            return Err(LoadError::TooFewDescriptors { limit: soft, least });
        }
        Ok(Self { end: soft - reserve(soft) })
    }

    /// Says whether a descriptor may be kept.
    pub(super) fn allows(self, descriptor: &impl AsFd) -> Result<(), Errno> {
        let number = u64::try_from(descriptor.as_fd().as_raw_fd());
        if number.is_ok_and(|number| number < self.end) { Ok(()) } else { Err(Errno::EMFILE) }
    }

    /// Gives a descriptor back to the rest of the process, as if the limit were reached, if it is theirs.
    pub(super) fn keep(self, descriptor: OwnedFd) -> Result<OwnedFd, Errno> {
        self.allows(&descriptor).map(|()| descriptor)
    }
}

/// The least limit with which so many client threads can make a load.
const fn least(threads: u32) -> u64 {
    DESCRIPTORS_MIN + OF_EACH_THREAD * threads.saturating_sub(1) as u64
}

/// How many descriptors are left to the rest of the process.
const fn reserve(limit: u64) -> u64 {
    if limit / 4 < RESERVE_MAX { limit / 4 } else { RESERVE_MAX }
}

/// Says whether the limit that [`raise_nofile`] could raise to is enough for a load of so many client threads.
///
/// # Errors
///
/// If it is lower than [`DESCRIPTORS_MIN`] and what each thread beyond the first takes, or cannot be read.
pub fn check_nofile(threads: u32) -> Result<(), LoadError> {
    let (_, limit) = limits()?;
    let least = least(threads);
    if limit < least { Err(LoadError::TooFewDescriptors { limit, least }) } else { Ok(()) }
}

/// Raises the soft limit of open descriptors to the hard limit, for the whole process, and returns
/// what the soft limit was: children inherit it, and a server under test should get the old one.
///
/// # Errors
///
/// If the limit can be neither read nor set.
pub fn raise_nofile() -> Result<u64, LoadError> {
    let (soft, hard) = limits()?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(failed)?;
    Ok(soft)
}

fn limits() -> Result<(u64, u64), LoadError> {
    getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)
}

fn failed(errno: Errno) -> LoadError {
    LoadError::Setup { what: "limit of open descriptors", errno }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn some_are_left_under_any_limit() {
        assert_eq!([64, 128, 256, 1_024, 1 << 20].map(reserve), [16, 32, 64, 256, 256]);
    }

    #[test]
    fn each_thread_takes_some_of_its_own() {
        assert_eq!([0, 1, 2, 64].map(least), [64, 64, 68, 316]);
    }

    #[test]
    fn what_lies_beyond_the_share_is_given_back() {
        let file = || OwnedFd::from(File::open("/dev/null").expect("it is there"));
        let first = file();
        let number = first.as_raw_fd() as u64;
        assert!(Share { end: number + 1 }.keep(first).is_ok());
        assert_eq!(Share { end: 0 }.keep(file()).err(), Some(Errno::EMFILE));
    }
}
