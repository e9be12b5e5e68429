//! How a run came about: kernel, CPUs, sysctls.

use std::collections::BTreeMap;

use holdline_model::result::Manifest;
use holdline_model::words::Isolation;

/// Sysctls of the host that bear on results.
const SYSCTLS: [&str; 8] = [
    "net.core.somaxconn",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_migrate_req",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.ip_local_port_range",
    "kernel.sched_autogroup_enabled",
];

/// The manifest of a run that begins now on this machine.
#[must_use]
pub fn manifest(seed: u64, isolation: Isolation, planned: u32) -> Manifest {
    let kernel = nix::sys::utsname::uname();
    let release =
        kernel.map_or_else(|_| "not known".to_owned(), |name| name.release().to_string_lossy().into());
    let cpus = std::thread::available_parallelism().map_or(0, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
    Manifest {
        seed,
        holdline: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: release,
        cpus,
        isolation,
        started: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        cpu_model: cpu_model(),
        // An argument may be any bytes but NUL.
        command: std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect(),
        planned,
        sysctls: sysctls(),
        counters_host_wide: isolation == Isolation::None,
        required: Vec::new(),
        reference: None,
        partition: None,
        jobs: 1,
        resumed: Vec::new(),
    }
}

fn cpu_model() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| "not known".to_owned(), |(_, model)| model.trim().to_owned())
}

fn sysctls() -> BTreeMap<String, String> {
    SYSCTLS
        .iter()
        .filter_map(|name| {
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            let value = std::fs::read_to_string(path).ok()?;
            Some(((*name).to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" ")))
        })
        .collect()
}
