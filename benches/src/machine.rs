//! The machine that a measurement was taken on, and how busy it was.

use std::fs;

/// One line to be kept beside the numbers: CPUs, kernel, and the load of the last minute. Numbers
/// from a machine that was not idle say less about times than about ratios.
#[must_use]
pub fn line() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let minute = load.split(' ').next().unwrap_or("?").to_owned();
    format!("machine: {cpus} CPUs, kernel {}, load average {minute}", kernel.trim())
}
