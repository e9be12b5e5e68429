//! Where the kernel lets nobody follow the system calls of others.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use nix::errno::Errno;

use crate::common::Place;
use crate::support::stdout;

/// Has the kernel refuse ptrace(2) to this process and to all that descend from it, as many containers do.
fn forbid_ptrace() -> io::Result<()> {
    let step = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let ptrace = libc::SYS_ptrace as u32;
    let mut filter = [
        // The number of the call is the first word of `struct seccomp_data`.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, ptrace),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    nix::sys::prctl::set_no_new_privs()?;
    // SAFETY: the program is valid during the call, which copies it.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    Ok(Errno::result(result).map(drop)?)
}

fn holdline(place: &Place, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdline"));
    command.args(arguments).current_dir(place.path(""));
    // SAFETY: between fork and exec it makes system calls alone, and allocates nothing.
    unsafe { command.pre_exec(forbid_ptrace) };
    command.output().expect("holdline runs")
}

#[test]
fn doctor_says_whether_system_calls_can_be_followed() {
    let place = Place::new();
    let allowed = stdout(&place.holdline(&["doctor"]).output().expect("holdline runs"));
    assert!(allowed.contains("  ok       tracing "), "{allowed}");
    let refused = holdline(&place, &["doctor"]);
    let shown = stdout(&refused);
    assert!(shown.contains("  missing  tracing ") && shown.contains("seccomp"), "{shown}");
    // Trials need no tracing.
    assert_eq!(refused.status.code(), Some(0), "{shown}");
}

#[test]
fn a_fault_at_a_call_is_an_error_that_names_what_it_takes() {
    let place = Place::new();
    place.write(
        "at-call.toml",
        "name = \"at-call\"\nasks = \"?\"\n[load]\narrivals = { constant = \"100/s\" }\nduration = \"100ms\"\n\
         [[fault]]\nat = { call = \"wait4\" }\nsignal = { to = \"worker\", name = \"KILL\" }\n",
    );
    let output = holdline(&place, &["run", "at-call.toml", "-s", "held-socket", "--out", "out"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("ptrace") && said.contains("EPERM"), "{said}");
}

#[test]
fn fuzz_goes_on_by_what_ledger_and_kernel_tell() {
    let place = Place::new();
    let arguments =
        ["fuzz", "-s", "held-socket", "--cases", "8", "--export-json", "fuzz.json", "--out", "out"];
    let output = holdline(&place, &arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let text = std::fs::read_to_string(place.path("fuzz.json")).expect("a result");
    let result: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&result["cases"], &result["traced"]), (&8.into(), &0.into()), "{said}");
}
