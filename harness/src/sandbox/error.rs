//! What can go wrong with a sandbox, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

/// A sandbox that could not be had as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel, or whoever configured it, does not allow a step.
    #[error("failed to {0}")]
    Refused(Refusal),
    /// The caller has more than one thread, and such a process cannot enter a user namespace.
    #[error("failed to enter the sandbox: {count} threads are running where there must be one only")]
    Threads {
        /// Threads that were running.
        count: usize,
    },
    /// The lifeline is not a descriptor that was passed on.
    #[error("failed to use descriptor {fd} as lifeline: {errno}")]
    Lifeline {
        /// The descriptor.
        fd: i32,
        /// Why not.
        errno: Errno,
    },
    /// Something was asked for that only namespaces can give.
    #[error("failed to set {what}: needs full isolation (run with `--isolation full`)")]
    NeedsFull {
        /// What was asked for.
        what: String,
    },
    /// A private directory would hide something that is needed.
    #[error("failed to make `{}` private: it would hide `{}`; put that elsewhere", .path.display(), .hidden.display())]
    Hides {
        /// The private directory.
        path: PathBuf,
        /// What it would hide.
        hidden: PathBuf,
    },
    /// A private directory or the work folder is not an absolute path to a directory.
    #[error("failed to use `{}` as a directory of the sandbox: {reason}", .path.display())]
    NoDirectory {
        /// The path that was given.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A directory could not be covered with a tmpfs.
    #[error("failed to mount a tmpfs on `{}`: {errno}", .path.display())]
    Mount {
        /// The directory.
        path: PathBuf,
        /// Why not.
        errno: Errno,
    },
    /// A sysctl could not be set.
    #[error("failed to set sysctl `{name}` to `{value}`: {reason}")]
    Sysctl {
        /// Its dotted name.
        name: String,
        /// The value that it should have.
        value: String,
        /// Why not.
        reason: String,
    },
    /// A work folder could not be made, marked or looked for.
    #[error("failed to {action} work folder `{}`", .path.display())]
    Work {
        /// What was attempted.
        action: &'static str,
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// `/proc` could not be read.
    #[error("failed to read /proc/self")]
    Proc(#[source] io::Error),
}

impl SandboxError {
    /// Whether no further process can be started, with whatever isolation.
    #[must_use]
    pub fn is_lack_of_processes(&self) -> bool {
        matches!(self, Self::Refused(Refusal { step: Step::Fork, errno: Errno::EAGAIN, .. }))
    }

    pub(super) fn refused(step: Step, errno: Errno) -> Self {
        Self::Refused(Refusal { step, errno, remedy: remedy(step, errno, Host::look()) })
    }
}

/// A step that was refused. Displayed as a fragment that fits "failed to …".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The step.
    pub step: Step,
    /// Why the kernel refused it.
    pub errno: Errno,
    /// What would make it possible, if that is known.
    pub remedy: Option<&'static str>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step.as_str(), self.errno)?;
        match self.remedy {
            // Without namespaces just as many processes are started.
            Some(remedy) if self.step == Step::Fork => write!(f, " (remedy: {remedy})"),
            Some(remedy) => write!(f, " (remedy: {remedy}; or `--isolation none`)"),
            None => Ok(()),
        }
    }
}

macro_rules! steps {
    ($($(#[$meta:meta])* $step:ident = $text:literal,)+) => {
        /// A step on the way into the sandbox that the kernel can refuse.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Step {
            $($(#[$meta])* $step,)+
        }

        impl Step {
            pub(super) const ALL: &'static [Self] = &[$(Self::$step,)+];

            /// The step in words that fit "failed to …".
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$step => $text,)+
                }
            }
        }
    };
}

steps! {
    /// `unshare`.
    Unshare = "create the trial's namespaces",
    /// Writing `uid_map` and `gid_map`.
    Map = "map user and group ids into the trial's user namespace",
    /// Keeping mounts from spreading to the host.
    Propagation = "make the trial's mount tree private",
    /// `sethostname`.
    Hostname = "set the trial's host name",
    /// `fork`.
    Fork = "fork a process of the trial",
    /// Mounting a fresh `/proc`.
    Proc = "mount the trial's /proc",
    /// `RTM_SETLINK`.
    Loopback = "bring up the trial's loopback interface",
    /// `RTM_NEWROUTE`.
    Route = "route client addresses to the trial's loopback interface",
    /// Pipes between the processes of a trial.
    Pipe = "connect the processes of a trial",
    /// Signal actions, parent-death signal, subreaper.
    Signals = "prepare a process of the trial for its end",
    /// `ptrace`, where system calls are to be followed.
    Trace = "follow the system calls of a process of the trial",
}

/// What this machine says about user namespaces. A setting that does not exist is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Host {
    /// `kernel.unprivileged_userns_clone`: Debian's switch.
    userns_clone: Option<u64>,
    /// `user.max_user_namespaces`.
    user_namespaces_max: Option<u64>,
    /// `kernel.apparmor_restrict_unprivileged_userns`: Ubuntu's switch, from 23.10.
    apparmor_restrict: Option<u64>,
    root: bool,
}

impl Host {
    fn look() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse().ok();
        Self {
            userns_clone: read("/proc/sys/kernel/unprivileged_userns_clone"),
            user_namespaces_max: read("/proc/sys/user/max_user_namespaces"),
            apparmor_restrict: read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            root: nix::unistd::geteuid().is_root(),
        }
    }
}

/// What would make a refused step possible.
fn remedy(step: Step, errno: Errno, host: Host) -> Option<&'static str> {
    let permission = matches!(errno, Errno::EPERM | Errno::EACCES);
    match step {
        // fork(2): RLIMIT_NPROC, or the whole machine's limit.
        Step::Fork if errno == Errno::EAGAIN => Some("a higher limit of processes, see `ulimit -u`"),
        Step::Fork | Step::Pipe | Step::Signals | Step::Route | Step::Trace => None,
        Step::Unshare if matches!(errno, Errno::ENOSYS | Errno::EINVAL) => {
            Some("a kernel with user, network, PID, mount, IPC and UTS namespaces")
        }
        _ if host.user_namespaces_max == Some(0) || matches!(errno, Errno::ENOSPC | Errno::EUSERS) => {
            Some("`sysctl -w user.max_user_namespaces=10000`, and likewise the other user.max_*_namespaces")
        }
        _ if permission && !host.root && host.userns_clone == Some(0) => {
            Some("`sysctl -w kernel.unprivileged_userns_clone=1`")
        }
        _ if permission && !host.root && host.apparmor_restrict == Some(1) => Some(
            "`sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, or an AppArmor profile with `userns`",
        ),
        Step::Proc if permission => {
            Some("in a container, `--security-opt systempaths=unconfined` or `--privileged`")
        }
        _ if permission => Some(
            "in a container, `--privileged`, or `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`; in a chroot there are none",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(step: Step, errno: Errno, host: Host, expected: &str) {
        let remedy = remedy(step, errno, host);
        let text = Refusal { step, errno, remedy }.to_string();
        assert!(text.contains(expected), "{text} lacks {expected}");
        assert!(text.ends_with("; or `--isolation none`)"), "{text}");
    }

    #[test]
    fn a_refusal_names_the_switch_that_is_off() {
        let host = Host { user_namespaces_max: Some(1000), ..Host::default() };
        let eperm = Errno::EPERM;
        check(
            Step::Unshare,
            eperm,
            Host { userns_clone: Some(0), ..host },
            "kernel.unprivileged_userns_clone=1",
        );
        check(Step::Unshare, eperm, host, "seccomp=unconfined");
        check(Step::Proc, eperm, host, "systempaths=unconfined");
        check(Step::Unshare, Errno::ENOSPC, host, "user.max_user_namespaces");
        let restricted = Host { apparmor_restrict: Some(1), ..host };
        for step in [Step::Unshare, Step::Map, Step::Propagation] {
            check(step, Errno::EACCES, restricted, "kernel.apparmor_restrict_unprivileged_userns=0");
        }
        check(Step::Map, eperm, Host { root: true, ..restricted }, "--privileged");
        check(Step::Unshare, Errno::EINVAL, host, "kernel with user");
    }

    #[test]
    fn steps_can_be_told_by_their_number() {
        for (index, step) in Step::ALL.iter().enumerate() {
            assert_eq!(*step as usize, index);
        }
    }

    #[test]
    fn a_refusal_without_a_known_remedy_just_says_so() {
        let error = SandboxError::refused(Step::Fork, Errno::ENOMEM);
        assert_eq!(error.to_string(), format!("failed to fork a process of the trial: {}", Errno::ENOMEM));
    }

    #[test]
    fn too_few_processes_are_as_few_without_isolation() {
        let text = SandboxError::refused(Step::Fork, Errno::EAGAIN).to_string();
        assert!(text.contains("ulimit -u") && !text.contains("--isolation"), "{text}");
    }
}
