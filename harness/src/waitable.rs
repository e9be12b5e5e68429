//! Descriptors that a task can wait for.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that is waited for until it can be read.
///
/// # Errors
///
/// What epoll says: EPERM for what always gives an answer at once, such as a regular file.
pub(crate) fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    waitable(fd, Interest::READABLE)
}

/// A descriptor that is waited for until it can be read or written, or both, as the interest says.
///
/// # Errors
///
/// As [`readable`].
pub(crate) fn waitable(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open until it is dropped, and always the same descriptor.
    let registered = unsafe { AsyncFd::register_with_interest(fd, interest) };
    registered.map_err(|error| error.into_parts().1)
}
