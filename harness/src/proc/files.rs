//! What a process has open, or mapped: `/proc/PID/fd` and `/proc/PID/maps`.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use super::{Look, path, text, unless_gone};

/// The inodes of a process's sockets; none, if it is gone or may not be looked at.
pub(crate) fn sockets(pid: Pid) -> impl Iterator<Item = u32> {
    let links = descriptors(pid).ok().flatten().into_iter().flatten();
    links.filter_map(|link| socket_inode(&link))
}

/// Whether a process has a file open, or mapped, whose path ends like this.
pub(crate) fn has_open(pid: Pid, end: &str) -> Look<bool> {
    let Some(maps) = text(pid, "maps")? else { return Ok(None) };
    if maps.lines().any(|line| line.ends_with(end)) {
        return Ok(Some(true));
    }
    let ends_so = |path: PathBuf| path.as_os_str().as_bytes().ends_with(end.as_bytes());
    Ok(descriptors(pid)?.map(|mut links| links.any(ends_so)))
}

/// How many descriptors a process has open.
pub(crate) fn descriptors_open(pid: Pid) -> Look<u64> {
    let Some(folder) = unless_gone(pid, "fd", fs::metadata(path(pid, "fd")))? else { return Ok(None) };
    // Since Linux 6.2 the folder's size says it (`proc_readfd_count` in fs/proc/fd.c); before that it is 0.
    if folder.size() > 0 {
        return Ok(Some(folder.size()));
    }
    let entries = unless_gone(pid, "fd", fs::read_dir(path(pid, "fd")))?;
    Ok(entries.map(|entries| entries.count() as u64))
}

/// How many descriptors a process may have: its soft limit RLIMIT_NOFILE.
pub(crate) fn descriptors_max(pid: Pid) -> Look<u64> {
    let Some(limits) = text(pid, "limits")? else { return Ok(None) };
    Ok(soft_limit(&limits, "Max open files"))
}

/// Reads the first number behind a limit's name; none if it is `unlimited`.
fn soft_limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// What the descriptors of a process refer to, as far as they stay open while they are read.
fn descriptors(pid: Pid) -> Look<impl Iterator<Item = PathBuf>> {
    let entries = unless_gone(pid, "fd", fs::read_dir(path(pid, "fd")))?;
    Ok(entries.map(|entries| entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok())))
}

/// Reads `socket:[INODE]`.
fn socket_inode(link: &Path) -> Option<u32> {
    let inode = link.as_os_str().as_bytes().strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(inode).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_counted_and_their_limit_is_read() {
        let before = descriptors_open(Pid::this()).expect("a look").expect("this process");
        let more: Vec<_> = (0..200).map(|_| fs::File::open("/dev/null").expect("a file")).collect();
        // Other tests close some meanwhile.
        let after = descriptors_open(Pid::this()).expect("a look").expect("this process");
        assert!(after >= before + 100, "{before}, then {after}");
        drop(more);
        let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
        assert_eq!(descriptors_max(Pid::this()).expect("a look"), Some(limit.expect("a limit").0));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            64                   1024                 files\n";
        assert_eq!(soft_limit(limits, "Max open files"), Some(64));
        assert_eq!(
            soft_limit("Max open files            unlimited  unlimited  files\n", "Max open files"),
            None
        );
    }

    #[test]
    fn links_of_sockets_are_told_from_others() {
        assert_eq!(socket_inode(Path::new("socket:[4711]")), Some(4711));
        for other in ["pipe:[4711]", "socket:[]", "socket:[4711", "/socket:[1]", "socket:[99999999999]"] {
            assert_eq!(socket_inode(Path::new(other)), None, "{other}");
        }
    }

    #[test]
    fn what_is_open_and_what_is_mapped_are_found() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let name = file.path().to_str().expect("UTF-8");
        assert_eq!(has_open(Pid::this(), name).expect("a look"), Some(true));
        let executable = std::env::current_exe().expect("a path");
        let mapped = executable.to_str().expect("UTF-8");
        assert_eq!(has_open(Pid::this(), mapped).expect("a look"), Some(true));
        let name = name.to_owned();
        drop(file);
        assert_eq!(has_open(Pid::this(), &name).expect("a look"), Some(false));
    }
}
