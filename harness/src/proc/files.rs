//! What a process has open, or mapped: `/proc/PID/fd` and `/proc/PID/maps`.

use std::fs;
use std::os::unix::ffi::OsStrExt;
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
