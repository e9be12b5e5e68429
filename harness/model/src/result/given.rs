//! What workers of a trial were given, as far as it was found out.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::Address;

/// What was found of what workers were given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "found", rename_all = "snake_case")]
pub enum Given {
    /// Some were not given what they should be.
    Flaws {
        /// The first few of them.
        first: Vec<Flaw>,
        /// How many more there are.
        #[serde(default)]
        more: u64,
    },
    /// No worker lived to receive a listener.
    NoneLived,
    /// The listener.
    Listener {
        /// Its descriptor.
        fd: i32,
        /// Where it listens.
        #[schemars(with = "String")]
        address: Address,
        /// Whether it was non-blocking.
        nonblocking: bool,
        /// As this worker found it.
        pid: u32,
    },
    /// Each was told its own process id.
    OwnPid,
    /// Descriptors have no names.
    NoNames,
    /// A name for each descriptor.
    Names {
        /// The value of LISTEN_FDNAMES.
        names: String,
    },
    /// No descriptors but those that they were told of.
    NothingElse,
    /// Standard streams that are open.
    StreamsOpen,
    /// The users as which they ran.
    Users {
        /// In ascending order.
        uids: Vec<u32>,
    },
    /// The user as which they should.
    RightUser {
        /// Which.
        uid: u32,
    },
    /// They could not read their cgroups.
    CgroupsUnread,
    /// Each had a cgroup of its own.
    OwnCgroups,
    /// Some had one that was the supervisor's or another's as well.
    SharedCgroups {
        /// How many.
        sharing: u64,
        /// Of how many.
        of: u64,
    },
}

/// A worker that was not given what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flaw {
    /// Its process id.
    pub pid: u32,
    /// What is wrong.
    #[serde(flatten)]
    pub what: Wrong,
}

/// What is wrong with what a worker was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "wrong", rename_all = "snake_case")]
pub enum Wrong {
    /// It was passed no socket.
    NoSocket,
    /// It was passed one that does not listen.
    NotListening {
        /// The descriptor.
        fd: i32,
    },
    /// It was passed one that listens elsewhere.
    Elsewhere {
        /// The descriptor.
        fd: i32,
        /// Where; absent: not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        address: Option<Address>,
    },
    /// It was told the process id of another.
    OthersPid {
        /// The value of LISTEN_PID.
        listen_pid: String,
    },
    /// It was told none.
    NoPid,
    /// It was told more or fewer names than descriptors.
    NamesDisagree {
        /// How many names.
        names: u64,
        /// The value of LISTEN_FDS.
        listen_fds: String,
    },
    /// It inherited what nobody told it of.
    StrayDescriptors {
        /// Which.
        descriptors: Vec<StrayDescriptor>,
    },
    /// Standard streams were closed.
    StreamsClosed {
        /// Which.
        fds: Vec<i32>,
    },
    /// It ran as another user.
    WrongUser {
        /// Which.
        uid: u32,
    },
}

/// A descriptor that a worker should not have inherited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StrayDescriptor {
    /// Its number.
    pub fd: i32,
    /// What it is of, as `/proc` names it.
    pub target: String,
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flaws { first, more } => {
                f.write_str(&joined(first, "; "))?;
                if *more > 0 { write!(f, "; and {more} more") } else { Ok(()) }
            }
            Self::NoneLived => f.write_str("no worker lived to receive one"),
            Self::Listener { fd, address, nonblocking, pid } => {
                let mode = if *nonblocking { "non-blocking" } else { "blocking" };
                write!(f, "descriptor {fd} listens at {address}, {mode} as worker {pid} found it")
            }
            Self::OwnPid => f.write_str("each worker was told its own process id"),
            Self::NoNames => f.write_str("not set: descriptors have no names"),
            Self::Names { names } => write!(f, "a name for each descriptor: {names}"),
            Self::NothingElse => f.write_str("none but those that workers were told of"),
            Self::StreamsOpen => f.write_str("0, 1 and 2 are open"),
            Self::Users { uids } => {
                let plural = if uids.len() == 1 { "" } else { "s" };
                write!(f, "workers ran as user{plural} {}", joined(uids, ", "))
            }
            Self::RightUser { uid } => write!(f, "workers ran as user {uid}"),
            Self::CgroupsUnread => f.write_str("workers could not read theirs"),
            Self::OwnCgroups => f.write_str("each worker had its own"),
            Self::SharedCgroups { sharing, of } => {
                write!(f, "{sharing} of {of} workers shared one with the supervisor or each other")
            }
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {} ", self.pid)?;
        match &self.what {
            Wrong::NoSocket => f.write_str("was passed no socket"),
            Wrong::NotListening { fd } => {
                write!(f, "was passed a socket that does not listen (descriptor {fd})")
            }
            Wrong::Elsewhere { fd, address: Some(address) } => {
                write!(f, "was passed a listener at {address} (descriptor {fd})")
            }
            Wrong::Elsewhere { fd, address: None } => {
                write!(f, "was passed a listener at an unknown address (descriptor {fd})")
            }
            Wrong::OthersPid { listen_pid } => {
                write!(f, "was told LISTEN_PID={listen_pid}, which is another process")
            }
            Wrong::NoPid => f.write_str("was told no LISTEN_PID"),
            Wrong::NamesDisagree { names, listen_fds } => {
                write!(f, "was told {names} names and LISTEN_FDS={listen_fds}")
            }
            Wrong::StrayDescriptors { descriptors } => {
                write!(f, "inherited what nobody told it of: {}", joined(descriptors, ", "))
            }
            Wrong::StreamsClosed { fds } => write!(f, "started with {} closed", joined(fds, ", ")),
            Wrong::WrongUser { uid } => write!(f, "ran as user {uid}"),
        }
    }
}

impl fmt::Display for StrayDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.fd, self.target)
    }
}

fn joined<T: fmt::Display>(parts: &[T], by: &str) -> String {
    parts.iter().map(T::to_string).collect::<Vec<_>>().join(by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_in_words() {
        let flaw = |pid, what| Flaw { pid, what };
        let socket = StrayDescriptor { fd: 3, target: "socket:[5]".to_owned() };
        let file = StrayDescriptor { fd: 4, target: "/etc/x".to_owned() };
        let strays = flaw(11, Wrong::StrayDescriptors { descriptors: vec![socket, file] });
        for (given, words) in [
            (Given::Users { uids: vec![1, 2] }, "workers ran as users 1, 2"),
            (Given::Users { uids: vec![0] }, "workers ran as user 0"),
            (
                Given::Flaws { first: vec![flaw(7, Wrong::NoPid), flaw(8, Wrong::NoSocket)], more: 2 },
                "worker 7 was told no LISTEN_PID; worker 8 was passed no socket; and 2 more",
            ),
            (
                Given::Flaws { first: vec![strays], more: 0 },
                "worker 11 inherited what nobody told it of: 3 (socket:[5]), 4 (/etc/x)",
            ),
        ] {
            assert_eq!(given.to_string(), words);
            let text = serde_json::to_string(&given).expect("JSON");
            assert_eq!(serde_json::from_str::<Given>(&text).expect("what was found"), given, "{text}");
        }
    }
}
