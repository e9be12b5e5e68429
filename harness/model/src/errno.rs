//! Errnos in words.

/// The errnos of `bind` and `accept` that have a remedy. The numbers are those of
/// asm-generic/errno.h; some architectures have others, which then stay numbers.
pub(crate) fn errno_in_words(errno: u64) -> String {
    match errno {
        23 => "errno 23, ENFILE: the system had no descriptors left".to_owned(),
        24 => "errno 24, EMFILE: it had no descriptors left".to_owned(),
        9 => "errno 9, EBADF: it was named, but not open".to_owned(),
        13 => "errno 13, EACCES: permission denied".to_owned(),
        98 => "errno 98, EADDRINUSE: the address was in use".to_owned(),
        99 => "errno 99, EADDRNOTAVAIL: there is no such address here".to_owned(),
        _ => format!("errno {errno}"),
    }
}
