//! What the processes of a supervisor did, call by call, where they could be traced: moments that neither a ledger nor
//! the kernel's lists of sockets show, between which a fault can be aimed.

use crate::sweep::calls::Call;
use crate::syscall;
use crate::words::words;

words! {
    /// What a call did.
    Act ("act", "kebab-case") {
        /// It started a process, or a thread.
        Forks = "forks",
        /// It executed a program.
        Executes = "executes",
        /// It bound a socket.
        Binds = "binds",
        /// It began to listen.
        Listens = "listens",
        /// It closed a descriptor, or shut a connection down.
        Closes = "closes",
        /// It sent a signal.
        Kills = "kills",
        /// It learned of the end of a child.
        Reaps = "reaps",
        /// It accepted a connection.
        Accepts = "accepts",
        /// It sent a message, which may hand a descriptor over.
        Sends = "sends",
    }
}

impl Act {
    /// Whether the call by which it is done waits until there is something to do.
    pub(super) const fn waits(self) -> bool {
        matches!(self, Self::Reaps | Self::Accepts)
    }
}

/// Something that was done by a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// When that began, in nanoseconds from the load's start: for what waits, when it was over.
    pub from_ns: i64,
    /// When it was over.
    pub to_ns: i64,
    /// What it was.
    pub act: Act,
}

/// What these calls did, in the order in which it was done. Their instants count from the load's start. What failed did
/// nothing, and what was not over is not known.
#[must_use]
pub fn done_by(calls: &[Call]) -> Vec<Done> {
    let mut all: Vec<Done> = calls.iter().filter_map(done).collect();
    all.sort_by_key(|done| done.to_ns);
    all
}

/// A call of the supervisor itself by which something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// The call.
    pub call: &'static str,
    /// The last call before it in its thread that others can see.
    pub following: Option<&'static str>,
    /// When it was entered, in nanoseconds from the load's start.
    pub entered_ns: i64,
    /// When it was left; `None`: not while it was looked at.
    pub left_ns: Option<i64>,
    /// What it did, where it did anything, and when that was over.
    pub done: Option<Done>,
}

/// The calls of the process that tracing began with, in the order in which they were entered.
#[must_use]
pub(super) fn made_of(calls: &[Call]) -> Vec<Made> {
    let ns = |ns: u64| i64::try_from(ns).ok();
    let made = |call: &Call| {
        act(&call.name)?;
        Some(Made {
            call: syscall::known(&call.name)?,
            following: call.previous.as_deref().and_then(syscall::known),
            entered_ns: ns(call.entered_ns)?,
            left_ns: call.left_ns.and_then(ns),
            done: done(call),
        })
    };
    let mut all: Vec<Made> = calls.iter().filter(|call| call.depth == 0).filter_map(made).collect();
    all.sort_by_key(|made| made.entered_ns);
    all
}

fn done(call: &Call) -> Option<Done> {
    let act = act(&call.name)?;
    let ns = |ns: u64| i64::try_from(ns).ok();
    let entered_ns = ns(call.entered_ns)?;
    // Whoever has executed another program may not be followed any further.
    let result = call.result.or((act == Act::Executes).then_some(0))?;
    let to_ns = call.left_ns.and_then(ns).unwrap_or(entered_ns);
    let from_ns = if act.waits() { to_ns } else { entered_ns };
    syscall::has_done(&call.name, result).then_some(Done { from_ns, to_ns, act })
}

fn act(call: &str) -> Option<Act> {
    Some(match call {
        "fork" | "vfork" | "clone" | "clone3" => Act::Forks,
        "execve" | "execveat" => Act::Executes,
        "bind" => Act::Binds,
        "listen" => Act::Listens,
        "close" | "close_range" | "shutdown" => Act::Closes,
        "kill" | "tkill" | "tgkill" | "pidfd_send_signal" => Act::Kills,
        "wait4" | "waitid" => Act::Reaps,
        "accept" | "accept4" => Act::Accepts,
        "sendmsg" | "sendmmsg" => Act::Sends,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, entered_ns: u64, left_ns: Option<u64>, result: i64) -> Call {
        Call { result: left_ns.map(|_| result), ..Call::example(name, entered_ns, left_ns) }
    }

    #[test]
    fn what_was_done_is_told_in_the_order_in_which_it_was_done() {
        let calls = [
            call("accept4", 10, Some(90), 5),
            call("wait4", 20, Some(30), 77),
            call("wait4", 31, Some(32), -10),
            call("read", 40, Some(41), 1),
            call("clone3", 50, Some(60), 78),
            call("sendmsg", 91, Some(95), 1),
            call("execve", 96, None, 0),
            call("accept4", 98, None, 0),
        ];
        let acts: Vec<(i64, Act)> =
            done_by(&calls).into_iter().map(|done| (done.from_ns, done.act)).collect();
        let expected =
            [(30, Act::Reaps), (50, Act::Forks), (90, Act::Accepts), (91, Act::Sends), (96, Act::Executes)];
        assert_eq!(acts, expected);
    }
}
