//! `holdline doctor`: what works on this machine, and how to get what does not.

use std::fmt::Write;
use std::path::Path;

use holdline_model::lack::Missing;
use holdline_model::supervisor::Supervisor;
use holdline_model::words::Isolation;
use holdline_reports::text::{counted, plain, wrap};

use super::args::DoctorArgs;
use super::terminal::{self, print_text};
use crate::calibrate;
use crate::catalogue::{self, SupervisorEntry};
use crate::exit::{self, Failure};
use crate::manifest::manifest;
use crate::receipt;
use crate::run::check_limits;
use crate::sandbox::{self, Refusal, SandboxError};
use crate::trial::TRACING_NEEDS;

/// Below which `install.sh` puts what is not a package of the system, unless HOLDLINE_SUPERVISORS says
/// otherwise.
const INSTALLED: &str = "/opt/holdline";

/// Reports on the machine, or calibrates.
pub(super) fn main(args: &DoctorArgs) -> Result<u8, Failure> {
    if args.calibrate {
        return calibrate(args);
    }
    check_limits()?;
    let width = terminal::width();
    let isolation = sandbox::probe();
    let mut text = machine();
    text.push_str("\nSandbox\n");
    let state = match &isolation {
        Ok(()) => "  ok       isolation  user, network, PID, mount, IPC and UTS namespaces".to_owned(),
        Err(error) => format!("  missing  isolation  {error}"),
    };
    let _ = writeln!(text, "{}", wrap(&state, width, &" ".repeat(22)));
    let _ = writeln!(text, "{}", wrap(&tracing(isolation.is_ok()), width, &" ".repeat(22)));
    let _ = writeln!(text, "{}", wrap(&root()?, width, &" ".repeat(22)));
    let found = look_for(catalogue::supervisors().map_err(Failure::usage)?)?;
    text.push_str("\nSupervisors: version, or the command that installs it\n");
    text.push_str(&table(&found, width));
    let installed = std::env::var_os("HOLDLINE_SUPERVISORS").unwrap_or_else(|| INSTALLED.into());
    text.push_str(&sum(&found, width, &Path::new(&installed).join("bin")));
    print_text(&text)?;
    Ok(if isolation.is_ok() { exit::PASS } else { exit::ENVIRONMENT })
}

fn machine() -> String {
    let manifest = manifest(0, Isolation::Full, 0);
    let mut text = String::from("This machine\n");
    let _ = writeln!(text, "  kernel   {}", manifest.kernel);
    let _ = writeln!(text, "  CPU      {} × {}", manifest.cpus, manifest.cpu_model);
    for (name, value) in manifest.sysctls {
        let _ = writeln!(text, "  sysctl   {name} = {value}");
    }
    if manifest.cpus < 2 {
        text.push_str(
            "  note     with one CPU, load client and server compete: send lag may end trials inconclusive\n",
        );
    }
    text
}

/// Whether system calls can be followed.
fn tracing(is_isolated: bool) -> String {
    let isolation = if is_isolated { Isolation::Full } else { Isolation::None };
    match sandbox::probe_tracing(isolation) {
        Ok(()) => "  ok       tracing    system calls can be followed (ptrace)".to_owned(),
        Err(SandboxError::Refused(Refusal { errno, .. })) => format!(
            "  missing  tracing    ptrace is refused ({errno}): without it there is no `sweep --syscalls`, and `fuzz` does not aim at system calls; it needs {TRACING_NEEDS}"
        ),
        Err(error) => format!("  missing  tracing    {error}"),
    }
}

/// Whether holdline runs as root, and what could not be run without.
fn root() -> Result<String, Failure> {
    let scenarios = catalogue::scenarios().map_err(Failure::usage)?;
    let of_users = scenarios.iter().map(|entry| &entry.scenario).filter(|s| s.workers.user.is_some());
    let names: Vec<&str> = of_users.map(|scenario| scenario.name.as_str()).collect();
    let (state, is) = match nix::unistd::geteuid().is_root() {
        true => ("ok      ", "holdline runs as root"),
        false => ("note    ", "holdline does not run as root"),
    };
    Ok(format!(
        "  {state} root       {is}; only workers that are to run as another user need that (scenario {}), and supervisors that say so below",
        names.join(", ")
    ))
}

/// A supervisor, and its version or why it counts as not installed.
struct Found {
    supervisor: Supervisor,
    version: Result<String, Missing>,
}

/// Asks all of them at once for their versions; sorted by name.
fn look_for(entries: Vec<SupervisorEntry>) -> Result<Vec<Found>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::environment(format!("failed to start the runtime: {error}")))?;
    let mut found: Vec<Found> = runtime.block_on(async {
        let asked: Vec<_> = entries
            .into_iter()
            .map(|SupervisorEntry { supervisor, .. }| {
                tokio::spawn(async move {
                    let version = receipt::version(&supervisor).await;
                    Found { supervisor, version }
                })
            })
            .collect();
        let mut found = Vec::new();
        for answer in asked {
            found.extend(answer.await);
        }
        found
    });
    found.sort_by(|a, b| a.supervisor.name.cmp(&b.supervisor.name));
    Ok(found)
}

/// A line for each: whether it is there, its version or how to get it, and what it needs.
fn table(found: &[Found], width: Option<u16>) -> String {
    let names = found.iter().map(|found| found.supervisor.name.len()).max().unwrap_or(0);
    let indent = " ".repeat("  missing  ".len() + names + 2);
    let mut text = String::new();
    for Found { supervisor, version } in found {
        let (state, what) = match version {
            Ok(version) => ("ok", vec![plain(version)]),
            Err(Missing { problem: None, install: Some(install), .. }) => ("missing", vec![plain(install)]),
            Err(Missing { problem: None, install: None, program }) => {
                ("missing", vec![format!("{program} is not there, and nobody says how to install it")])
            }
            Err(Missing { problem: Some(problem), install, .. }) => {
                let install = install.iter().map(|install| format!("install it with: {}", plain(install)));
                ("broken", std::iter::once(plain(&problem.to_string())).chain(install).collect())
            }
        };
        let needs = needs(supervisor);
        let needs = (!needs.is_empty()).then(|| format!("needs {}", needs.join("; ")));
        let mut head = format!("  {state:7}  {:names$}  ", supervisor.name);
        for line in what.into_iter().chain(needs) {
            let _ = writeln!(text, "{}", wrap(&format!("{head}{line}"), width, &indent));
            head.clone_from(&indent);
        }
    }
    text
}

/// What a supervisor needs besides being installed.
fn needs(supervisor: &Supervisor) -> Vec<String> {
    let root = supervisor.needs_root.then(|| "root".to_owned());
    let private = (!supervisor.private.is_empty())
        .then(|| format!("a private {}, which the sandbox has", supervisor.private.join(", ")));
    root.into_iter().chain(private).chain(supervisor.needs.clone()).collect()
}

/// How many are there, and how to get the others.
fn sum(found: &[Found], width: Option<u16>, installed: &Path) -> String {
    let there = found.iter().filter(|found| found.version.is_ok()).count();
    let mut text = format!("\n{there} of {} installed", counted(found.len() as u64, "supervisor"));
    if there < found.len() {
        text.push_str(
            "; install the rest with the commands above, or all of them with fixtures/supervisors/install.sh of holdline's sources",
        );
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_forgotten = installed.is_dir() && !std::env::split_paths(&path).any(|entry| entry == installed);
    if there < found.len() && is_forgotten {
        let _ = write!(text, ". {} is there, but not on PATH: put it first", installed.display());
    }
    format!("{}\n", wrap(&text, width, ""))
}

fn calibrate(args: &DoctorArgs) -> Result<u8, Failure> {
    let plan = calibrate::plan(args.isolation)?;
    if let Some(notice) = plan.notice() {
        terminal::say(&format!("note: {notice}"));
    }
    let report = calibrate::run(&plan)?;
    print_text(&report.to_string())?;
    Ok(if report.is_right() { exit::PASS } else { exit::FAILED })
}
