//! Control groups that supervisors under test made for themselves, which no namespace takes away.
//!
//! One that needs a group names it `holdline-…-NAME`, where NAME is that of the trial's work folder, at the
//! top of a hierarchy that it may write to.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// How often, and how long apart, a group is tried whose processes have just ended: it is busy until the
/// kernel has taken the last of them out.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(2);

/// Removes the groups of a work folder by its name. A group with processes in it stays.
pub(super) fn remove_of(work: &str) {
    for group in groups_in(&hierarchies(), |owner| owner == work) {
        (1..TRIES).find(|_| {
            let removed = remove(&group);
            if !removed {
                sleep(PAUSE);
            }
            removed
        });
    }
}

/// Removes the groups of work folders with such names. Returns how many.
pub(super) fn sweep(is_stale: impl Fn(&str) -> bool) -> usize {
    groups_in(&hierarchies(), is_stale).iter().filter(|group| remove(group)).count()
}

/// Where the hierarchies are mounted, of the first version and of the second: cgroups(7).
fn hierarchies() -> Vec<PathBuf> {
    hierarchies_in(&fs::read_to_string("/proc/self/mounts").unwrap_or_default())
}

fn hierarchies_in(mounts: &str) -> Vec<PathBuf> {
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let groups = fields.filter(|fields| matches!(fields.get(2), Some(&("cgroup" | "cgroup2"))));
    groups.map(|fields| PathBuf::from(fields[1])).collect()
}

fn groups_in(hierarchies: &[PathBuf], is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let folders = hierarchies.iter().filter_map(|path| fs::read_dir(path).ok()).flatten().flatten();
    let is_wanted = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.and_then(work_in).is_some_and(&is_wanted)
    };
    folders.map(|entry| entry.path()).filter(|path| is_wanted(path)).collect()
}

/// The name of the work folder in the name of a group.
fn work_in(group: &str) -> Option<&str> {
    let at = group.rfind("-holdline-")?;
    group.starts_with("holdline-").then(|| &group[at + 1..])
}

/// Removes a group with those below it. Their files cannot be removed, and go with them.
fn remove(group: &Path) -> bool {
    let below = fs::read_dir(group).into_iter().flatten().flatten();
    for entry in below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove(&entry.path());
    }
    fs::remove_dir(group).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let mounts = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n\
                      cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\nx\n";
        let expected = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"].map(PathBuf::from);
        assert_eq!(hierarchies_in(mounts), expected);
    }

    #[test]
    fn only_groups_of_ours_that_are_wanted_are_removed() {
        let top = tempfile::tempdir().expect("a folder");
        let names = [
            "holdline-systemd-holdline-7-0",
            "holdline-systemd-holdline-8-0",
            "other-holdline-7-0",
            "holdline-7-0",
        ];
        for name in names {
            fs::create_dir_all(top.path().join(name).join("init.scope")).expect("a folder");
        }
        let found = groups_in(&[top.path().to_owned()], |work| work == "holdline-7-0");
        assert_eq!(found, [top.path().join(names[0])]);
        assert!(remove(&found[0]));
        assert!(!found[0].exists());
        assert!(names[1..].iter().all(|name| top.path().join(name).exists()));
    }
}
