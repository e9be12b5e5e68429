//! Sysctls of the sandbox's network namespace.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::SandboxError;

/// A sysctl to set, by a name that can only mean one of a network namespace.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sysctl {
    name: String,
    value: String,
    path: PathBuf,
}

impl Sysctl {
    /// Checks the names. Whether the kernel knows them shows when they are set.
    pub(super) fn check(all: &BTreeMap<String, String>) -> Result<Vec<Self>, SandboxError> {
        all.iter().map(|(name, value)| Self::new(name, value)).collect()
    }

    fn new(name: &str, value: &str) -> Result<Self, SandboxError> {
        match path_of(name) {
            Ok(path) => Ok(Self { name: name.to_owned(), value: value.to_owned(), path }),
            Err(reason) => Err(failed(name, value, reason)),
        }
    }

    /// Sets it in the network namespace of this process, which must be the sandbox's.
    pub(super) fn set(&self) -> Result<(), SandboxError> {
        // In one write: the kernel takes each for a value of its own.
        let line = format!("{}\n", self.value);
        OpenOptions::new()
            .write(true)
            .open(&self.path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(|error| failed(&self.name, &self.value, &reason(&error)))
    }
}

fn failed(name: &str, value: &str, reason: &str) -> SandboxError {
    SandboxError::Sysctl { name: name.to_owned(), value: value.to_owned(), reason: reason.to_owned() }
}

fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT) => "a network namespace of this kernel has no such sysctl".to_owned(),
        Some(libc::EACCES | libc::EPERM) => "it can be set for the whole host only".to_owned(),
        Some(libc::EINVAL | libc::ERANGE) => "the kernel does not take this value".to_owned(),
        _ => error.to_string(),
    }
}

/// The file behind a dotted name. As sysctl(8) has it, a slash in the name stands for a dot in the
/// file's: `net.ipv4.conf.eth0/1.rp_filter`.
///
/// Only what begins with `net.` belongs to a network namespace. For root anything else would be
/// writable too, and would change the host.
fn path_of(name: &str) -> Result<PathBuf, &'static str> {
    let parts: Vec<String> = name.split('.').map(|part| part.replace('/', ".")).collect();
    if parts[0] != "net" || parts.len() < 2 {
        return Err("only sysctls that begin with `net.` are the sandbox's own");
    }
    if parts.iter().any(|part| part.is_empty() || part == "." || part == ".." || part.contains('\0')) {
        return Err("it is not a dotted name");
    }
    Ok(Path::new("/proc/sys").join(parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dotted_name_is_a_path() {
        let path = |name| path_of(name).expect("a name").display().to_string();
        assert_eq!(path("net.core.somaxconn"), "/proc/sys/net/core/somaxconn");
        assert_eq!(path("net.ipv4.conf.eth0/1.rp_filter"), "/proc/sys/net/ipv4/conf/eth0.1/rp_filter");
    }

    #[test]
    fn names_outside_the_network_namespace_are_refused() {
        for name in [
            "",
            "net",
            "kernel.hostname",
            "vm.swappiness",
            "net..core",
            "net.//.kernel.pid_max",
            "net/core.somaxconn",
        ] {
            assert!(path_of(name).is_err(), "{name}");
        }
    }
}
