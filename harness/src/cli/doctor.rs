//! `holdline doctor`: what works on this machine, and how to get what does not.

use std::fmt::Write;

use holdline_model::words::Isolation;

use super::args::DoctorArgs;
use super::print;
use crate::exit::{self, Failure};
use crate::manifest::manifest;
use crate::sandbox::{self, IsolationChoice};
use crate::{calibrate, catalogue, receipt};

/// Reports on the machine, or calibrates.
pub(super) fn main(args: &DoctorArgs) -> Result<u8, Failure> {
    if args.calibrate {
        return calibrate(args);
    }
    let mut text = machine();
    let isolation = sandbox::probe();
    match &isolation {
        Ok(()) => {
            text.push_str("  ok       isolation       user, network, PID, mount, IPC and UTS namespaces\n");
        }
        Err(error) => {
            let _ = writeln!(text, "  missing  isolation       {error}");
        }
    }
    text.push_str(&supervisors()?);
    print(&text)?;
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
    text.push_str("\nSandbox\n");
    text
}

fn supervisors() -> Result<String, Failure> {
    let all = catalogue::supervisors().map_err(Failure::usage)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::environment(anyhow::anyhow!("failed to start the runtime: {error}")))?;
    let width = all.iter().map(|entry| entry.supervisor.name.len()).max().unwrap_or(0);
    let mut text = String::from("\nSupervisors\n");
    for entry in &all {
        let name = &entry.supervisor.name;
        let root = if entry.supervisor.needs_root { "; needs root" } else { "" };
        let _ = match runtime.block_on(receipt::version(&entry.supervisor)) {
            Ok(version) => writeln!(text, "  ok       {name:width$}  {version}{root}"),
            Err(problem) => writeln!(text, "  missing  {name:width$}  {problem}{root}"),
        };
    }
    Ok(text)
}

fn calibrate(args: &DoctorArgs) -> Result<u8, Failure> {
    let choice = IsolationChoice::from(args.isolation);
    let (isolation, notice) = sandbox::choose(choice).map_err(Failure::environment)?;
    if let Some(notice) = notice {
        eprintln!("note: {notice}");
    }
    let report = calibrate::run(isolation).map_err(Failure::environment)?;
    print(&report.to_string())?;
    Ok(if report.is_right() { exit::PASS } else { exit::FAILED })
}
