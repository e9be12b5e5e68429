//! The user that workers run as, where a scenario names one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use holdline_model::lack::Lack;
use holdline_model::scenario::User;
use nix::unistd::{self, Uid};

use super::paths::{PathError, to};

/// A user and that user's group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Who a scenario's user is on this machine. A number that the list of users does not have stands
/// for itself, with a group of the same number.
///
/// # Errors
///
/// There is no user of that name.
pub(super) fn identity(user: &User) -> Result<Identity, Lack> {
    let listed = match user {
        User::Name(name) => unistd::User::from_name(name),
        User::Id(id) => unistd::User::from_uid(Uid::from_raw(*id)),
    };
    match (user, listed) {
        (_, Ok(Some(found))) => Ok(Identity { uid: found.uid.as_raw(), gid: found.gid.as_raw() }),
        (User::Id(id), _) => Ok(Identity { uid: *id, gid: *id }),
        (User::Name(name), Ok(None)) => Err(Lack::User { name: name.clone() }),
        (User::Name(name), Err(errno)) => Err(Lack::Users { name: name.clone(), error: errno.to_string() }),
    }
}

/// A path of the executable that any user can start: the executable itself, or a copy in the work
/// folder where it lies in a home that is closed to others.
pub(super) fn executable_for_all(executable: &Path, dir: &Path) -> Result<PathBuf, PathError> {
    let mode = |path: &Path| path.metadata().map_or(0, |meta| meta.permissions().mode());
    let can_be_reached = executable.ancestors().skip(1).all(|folder| mode(folder) & 0o001 != 0);
    if can_be_reached && mode(executable) & 0o005 == 0o005 {
        return Ok(executable.to_owned());
    }
    let copy = dir.join("holdline");
    std::fs::copy(executable, &copy)
        .and_then(|_| std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)))
        .map_err(to("copy holdline's executable to", &copy))?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number() {
        assert_eq!(identity(&User::Name("root".to_owned())), Ok(Identity { uid: 0, gid: 0 }));
        assert_eq!(identity(&User::Id(0)), Ok(Identity { uid: 0, gid: 0 }));
        let nowhere = Identity { uid: 4_000_000_000, gid: 4_000_000_000 };
        assert_eq!(identity(&User::Id(4_000_000_000)), Ok(nowhere));
        let missing = identity(&User::Name("no-such-user".to_owned())).expect_err("nobody");
        assert_eq!(missing, Lack::User { name: "no-such-user".to_owned() });
    }

    #[test]
    fn an_executable_in_a_closed_folder_is_copied() {
        let closed = tempfile::tempdir().expect("a folder");
        let work = tempfile::tempdir().expect("a folder");
        let program = closed.path().join("program");
        std::fs::write(&program, "#!/bin/sh\n").expect("a file");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("a mode");
        std::fs::set_permissions(closed.path(), PermissionsExt::from_mode(0o700)).expect("a mode");
        let copy = executable_for_all(&program, work.path()).expect("a copy");
        assert_eq!(copy, work.path().join("holdline"));
        assert_eq!(copy.metadata().expect("a file").permissions().mode() & 0o777, 0o755);
        let open = executable_for_all(Path::new("/bin/sh"), work.path()).expect("a program");
        assert_eq!(open, Path::new("/bin/sh"));
    }
}
