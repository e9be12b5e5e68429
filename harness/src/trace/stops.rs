//! Stops of traced threads, and going on: ptrace(2). Not through nix, whose `WaitStatus` and `Signal` have no
//! real-time signals, which a tracee would then never get.

use std::io;
use std::ptr;

use libc::c_int;
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use syscalls::Sysno;

/// How a thread has stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// It enters a call.
    Entry {
        /// Its name.
        call: String,
    },
    /// It leaves one.
    Exit {
        /// What it returned; negative: an errno.
        result: i64,
    },
    /// It has executed another program.
    Executed,
    /// Something else of the tracer's own: it was started, or has started another.
    Event,
    /// A signal is about to be delivered.
    Signal(c_int),
    /// A signal has stopped its whole process.
    Group,
    /// It is gone.
    Ended,
}

/// How it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resume {
    /// Until the next call, with this signal, or 0.
    UntilCall(c_int),
    /// It stays stopped, until it is continued as if nobody traced it.
    StayStopped,
    /// It is traced no more.
    LetGo,
}

/// The architecture of this program, as audit names it (linux/audit.h): names of calls are those of it alone.
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xC000_003E;
/// The architecture of this program, as audit names it (linux/audit.h): names of calls are those of it alone.
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xC000_00B7;
/// No architecture whose calls have names here.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const NATIVE: u32 = 0;

/// Begins to trace a thread, and those that it starts from now on, be it as processes of their own or only within its
/// own, and stops it once, so that it is told apart where it is in a call.
pub(super) fn seize(thread: Pid, with_children: bool) -> nix::Result<()> {
    let own = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACEEXEC;
    let children = Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK;
    ptrace::seize(thread, if with_children { own | children } else { own })?;
    ptrace::interrupt(thread)
}

/// Whether a thread is traced by this process already: proc_pid_status(5).
pub(super) fn is_traced_by_us(thread: Pid) -> bool {
    crate::proc::tracer(thread).ok().flatten() == Some(Pid::this())
}

/// Waits for the next stop of any thread; `None`: nobody is left.
pub(super) fn next() -> Option<(Pid, Stop)> {
    loop {
        let mut status: c_int = 0;
        // SAFETY: `status` is a valid place for an int during the call.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
        if pid > 0 {
            let thread = Pid::from_raw(pid);
            return Some((thread, stop_of(thread, status)));
        }
        if Errno::last() != Errno::EINTR {
            return None;
        }
    }
}

fn stop_of(thread: Pid, status: c_int) -> Stop {
    if !libc::WIFSTOPPED(status) {
        return Stop::Ended;
    }
    let signal = libc::WSTOPSIG(status);
    if signal == libc::SIGTRAP | 0x80 {
        return call_of(thread);
    }
    match status >> 16 {
        0 => Stop::Signal(signal),
        libc::PTRACE_EVENT_EXEC => Stop::Executed,
        libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => Stop::Group,
        _ => Stop::Event,
    }
}

/// What `PTRACE_GET_SYSCALL_INFO` fills in (`struct ptrace_syscall_info` of linux/ptrace.h, Linux 5.3), which not every
/// C library has.
#[repr(C)]
#[derive(Default)]
struct CallInfo {
    /// At an entry, at an exit, or something else.
    side: u8,
    reserved: u8,
    flags: u16,
    /// As in `AUDIT_ARCH_*`.
    arch: u32,
    instruction: u64,
    stack: u64,
    /// At an entry the call's number and its arguments; at an exit what it returned.
    words: [u64; 8],
}

/// `PTRACE_SYSCALL_INFO_ENTRY`.
const AT_ENTRY: u8 = 1;
/// `PTRACE_SYSCALL_INFO_EXIT`.
const AT_EXIT: u8 = 2;

/// Which call a thread has stopped at, and on which side.
fn call_of(thread: Pid) -> Stop {
    let mut info = CallInfo::default();
    let size = ptr::without_provenance_mut::<libc::c_void>(size_of::<CallInfo>());
    // SAFETY: the kernel writes no more than the size that it is given, which is that of `info`, of integers alone.
    let filled = unsafe { libc::ptrace(0x420e, thread.as_raw(), size, ptr::from_mut(&mut info)) };
    match info.side {
        // A thread that was killed meanwhile says nothing more.
        _ if filled <= 0 => Stop::Event,
        AT_ENTRY => Stop::Entry { call: name_of(info.arch, info.words[0]) },
        AT_EXIT => Stop::Exit { result: info.words[0].cast_signed() },
        _ => Stop::Event,
    }
}

/// The name of a call; one of another architecture, or newer than the list, is known by its number.
fn name_of(arch: u32, number: u64) -> String {
    let known = usize::try_from(number).ok().filter(|_| arch == NATIVE).and_then(Sysno::new);
    known.map_or_else(|| format!("call-{number}"), |call| call.name().to_owned())
}

/// Lets a thread go on. One that is gone needs none.
pub(super) fn resume(thread: Pid, how: Resume) {
    let (request, signal) = match how {
        Resume::UntilCall(signal) => (libc::PTRACE_SYSCALL, signal),
        Resume::StayStopped => (libc::PTRACE_LISTEN, 0),
        Resume::LetGo => (libc::PTRACE_DETACH, 0),
    };
    let data = ptr::without_provenance_mut::<libc::c_void>(usize::try_from(signal).unwrap_or(0));
    // SAFETY: these requests take a number in the place of `data`, and read or write no memory of ours.
    let done = unsafe { libc::ptrace(request, thread.as_raw(), ptr::null_mut::<libc::c_void>(), data) };
    debug_assert!(
        done == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH),
        "{thread} {how:?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_the_kernels_names() {
        let number = |call: libc::c_long| u64::try_from(call).expect("a number");
        for (call, name) in
            [(libc::SYS_accept4, "accept4"), (libc::SYS_close, "close"), (libc::SYS_listen, "listen")]
        {
            assert_eq!(name_of(NATIVE, number(call)), name);
        }
        assert_eq!(name_of(NATIVE, 99_999), "call-99999");
        assert_eq!(name_of(0x4000_0003, 102), "call-102");
    }
}
