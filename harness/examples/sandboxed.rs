//! A program that goes into a sandbox, for the sandbox's own tests and for trying one out by hand:
//!
//! ```text
//! sandboxed outer '{"isolation": "full", "work": "", "sysctls": {"net.core.somaxconn": "7"}}' \
//!     sh -c 'readlink /proc/self/ns/net; ip addr; cat /proc/sys/net/core/somaxconn'
//! ```
//!
//! `outer` plays the outer process: it makes the work folder and the lifeline, and starts itself as
//! `stage0`, which enters. What comes after the specification is a command to execute inside, or one
//! of the actions built in, whose names begin with `@`.

use std::error::Error;
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6, TcpListener};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use holdline::sandbox::{self, Inside, IsolationChoice, Lifeline, SandboxSpec, WorkFolder};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrIn6};

type Outcome = Result<ExitCode, Box<dyn Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["outer", spec, command @ ..] => outer(spec, command),
        ["stage0", spec, command @ ..] => stage0(spec, command),
        ["crowd", spec, command @ ..] => crowd(spec, command),
        ["probe"] => probe(),
        _ => Err("expected outer|stage0|crowd SPEC COMMAND..., or probe".into()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(5)
    })
}

/// The outer process's part, without tokio.
fn outer(spec: &str, command: &[&str]) -> Outcome {
    let mut spec: SandboxSpec = serde_json::from_str(spec)?;
    let work = WorkFolder::create()?;
    let (lifeline, end) = Lifeline::new()?;
    spec.work = work.path().to_owned();
    spec.lifeline = Some(0);
    let mut child = Command::new(std::env::current_exe()?)
        .args(["stage0", &serde_json::to_string(&spec)?])
        .args(command)
        .stdin(Stdio::from(end))
        .spawn()?;
    let status = child.wait()?;
    drop(lifeline);
    Ok(ExitCode::from(shell_code(status)))
}

fn shell_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

fn stage0(spec: &str, command: &[&str]) -> Outcome {
    let spec: SandboxSpec = serde_json::from_str(spec)?;
    let inside = sandbox::enter(&spec)?;
    match command {
        ["@connect6"] => connect6(&inside),
        ["@meet", port, folder, others] => meet(port.parse()?, folder, others.parse()?),
        ["@adopt", shell] => adopt(inside, shell),
        ["@adopted-now", shell] => adopted_now(&inside, shell),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).env("TMPDIR", &spec.work).env("LEVEL", inside.level.as_str());
            Err(command.exec().into())
        }
        [] => Err("expected a command".into()),
    }
}

/// Enters with a second thread running, which must be refused.
fn crowd(spec: &str, command: &[&str]) -> Outcome {
    thread::spawn(|| {
        loop {
            thread::park();
        }
    });
    stage0(spec, command)
}

fn probe() -> Outcome {
    sandbox::probe()?;
    let (isolation, notice) = sandbox::choose(IsolationChoice::Auto)?;
    println!("{isolation} {}", notice.is_some());
    Ok(ExitCode::SUCCESS)
}

/// Connects from an address of the IPv6 clients' prefix, and prints what the server saw.
fn connect6(inside: &Inside) -> Outcome {
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let client = socket::socket(AddressFamily::Inet6, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    freebind(&client)?;
    let mut address = holdline_model::wire::CLIENT_V6_PREFIX.segments();
    address[7] = 77;
    socket::bind(client.as_raw_fd(), &SockaddrIn6::from(SocketAddrV6::new(address.into(), 0, 0, 0)))?;
    socket::connect(
        client.as_raw_fd(),
        &SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0)),
    )?;
    let (mut accepted, peer) = listener.accept()?;
    accepted.write_all(b"x")?;
    nix::unistd::read(&client, &mut [0])?;
    println!("{} {}", inside.client_v6, peer.ip());
    Ok(ExitCode::SUCCESS)
}

fn freebind(socket: &impl AsRawFd) -> nix::Result<()> {
    let on: libc::c_int = 1;
    let size = libc::socklen_t::try_from(size_of_val(&on)).unwrap_or_default();
    // SAFETY: the socket is open, and `on` lives through the call with the size given.
    let outcome = unsafe {
        let on = (&raw const on).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_FREEBIND, on, size)
    };
    nix::errno::Errno::result(outcome).map(drop)
}

/// Listens on a port and leaves a file that says so, until there are as many as expected.
fn meet(port: u16, folder: &str, others: usize) -> Outcome {
    let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    std::fs::write(format!("{folder}/{}", std::env::var("MARK")?), "")?;
    while std::fs::read_dir(folder)?.count() < others {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a shell command that prints how many orphans it makes, and prints each when it has ended.
fn adopt(mut inside: Inside, shell: &str) -> Outcome {
    let output = Command::new("sh").args(["-c", shell]).stdin(Stdio::null()).output()?;
    let expected: usize = String::from_utf8(output.stdout)?.trim().parse()?;
    let mut seen = 0;
    while seen < expected {
        poll(&mut [PollFd::new(inside.adoptions.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
        for adopted in inside.adoptions.drain()? {
            println!("adopted {} lost {}", adopted.status, inside.adoptions.lost());
            seen += 1;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a shell command that prints the PIDs of the orphans that it leaves running, and prints what
/// init has.
fn adopted_now(inside: &Inside, shell: &str) -> Outcome {
    let output = Command::new("sh").args(["-c", shell]).stdin(Stdio::null()).output()?;
    println!("{}", String::from_utf8(output.stdout)?.split_whitespace().collect::<Vec<_>>().join(" "));
    let pids: Vec<String> = inside.adopted_now()?.iter().map(ToString::to_string).collect();
    println!("{}", pids.join(" "));
    Ok(ExitCode::SUCCESS)
}
