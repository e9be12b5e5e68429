//! A server's throughput with and without an observer, in a sandbox like that of a trial.

use std::collections::BTreeMap;
use std::io;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use holdline::kernel::accepts::AcceptSampler;
use holdline::kernel::observer::{INTERVAL, Observer};
use holdline::kernel::pace::Pace;
use holdline::load::{LoadPlan, raise_nofile};
use holdline::sandbox::{self, Isolation, SandboxSpec, WorkFolder};
use holdline_model::arrivals::Schedule;
use holdline_model::scenario::Until;

use crate::ratio::{Ratios, Summary};
use crate::server::Server;
use crate::{load, ratio};

/// The argument by which an executable is asked to measure inside a sandbox, in front of the sandbox's folder
/// and the number of pairs.
const INSIDE: &str = "__observe";
/// What observing may cost: the time for the same connections, in times that without it.
const BUDGET: f64 = 1.03;
/// Connections of one side of a pair, and how many at a time keep the server busy.
const CONNECTIONS: u32 = 20_000;
const CLIENTS: u32 = 32;
/// Connections of one side where the machine is mostly idle, and how far they are apart.
const SPARSE: u32 = 1000;
const GAP: Duration = Duration::from_millis(1);
/// For how long sampler and observer are there before they are measured: as in a trial, which begins with a boot.
const SETTLE: Duration = Duration::from_millis(400);

/// Measures so many pairs, each the same load with and without observer and sampler: what came out.
///
/// # Errors
///
/// If there is no sandbox, or it did not end well.
pub fn cost(pairs: u32) -> io::Result<String> {
    let work = WorkFolder::create().map_err(io::Error::other)?;
    let mut inside = Command::new(std::env::current_exe()?);
    inside.arg(INSIDE).arg(work.path()).arg(pairs.to_string()).stdin(Stdio::null());
    let output = inside.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("the sandbox ended with {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// To be called early in `main`: measures, in a process that [`cost`] started.
#[must_use]
pub fn be_inside_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(INSIDE) {
        return None;
    }
    let (work, pairs) = (arguments.next()?, arguments.next()?.parse().ok()?);
    let spec = SandboxSpec {
        isolation: Isolation::Full,
        work: work.into(),
        work_mib: 0,
        private: Vec::new(),
        sysctls: BTreeMap::new(),
        real_root: false,
        connection_table: Some(1024),
        keep: Vec::new(),
        reach: std::env::current_exe().into_iter().collect(),
        lifeline: None,
        leaves_behind: false,
    };
    match sandbox::enter(&spec) {
        Ok(_inside) => println!("{}", measure(pairs)),
        Err(error) => {
            eprintln!("failed to enter a sandbox: {error}");
            return Some(ExitCode::FAILURE);
        }
    }
    Some(ExitCode::SUCCESS)
}

fn measure(pairs: u32) -> String {
    raise_nofile().expect("a limit of open descriptors");
    let server = Server::start().expect("a server");
    let until = Until::Attempts(CONNECTIONS);
    let busy = load::plan(&server.address, Schedule::Closed { clients: CLIENTS, until });
    let sparse = load::plan(&server.address, load::evenly(SPARSE, GAP));
    let busy = in_turn(pairs, &busy, time_of);
    let sparse = in_turn(pairs, &sparse, median_response);
    let per_second = f64::from(CONNECTIONS) / busy.bare.as_secs_f64();
    format!(
        "observed/unobserved, time for the same connections, {CLIENTS} at a time: {}, {} {BUDGET}; unobserved: \
         {per_second:.0} per second; a look at who waits every {:.0?}\n\
         observed/unobserved, median response latency, one each {GAP:?}: {}; unobserved: {:.1?}; a look at who waits \
         every {:.0?}",
        busy.ratios,
        busy.ratios.against(BUDGET),
        busy.interval,
        sparse.ratios,
        sparse.bare,
        sparse.interval,
    )
}

/// What came of pairs.
struct Pairs {
    ratios: Summary,
    /// The median without anybody who looks.
    bare: Duration,
    /// How often it was looked, in the median.
    interval: Duration,
}

/// Measures the same load with and without observer and sampler, in turn.
fn in_turn(pairs: u32, plan: &LoadPlan, measured: fn(&LoadPlan) -> Duration) -> Pairs {
    let (mut ratios, mut bare, mut intervals) = (Ratios::default(), Vec::new(), Vec::new());
    for pair in 0..pairs {
        // Each begins with the side with which the one before ended.
        let (with, without) = if pair % 2 == 0 {
            let with = observed(plan, measured);
            (with, measured(plan))
        } else {
            let without = measured(plan);
            (observed(plan, measured), without)
        };
        ratios.add(with.0, without);
        intervals.push(with.1);
        bare.push(without);
    }
    let ratios = ratios.summary().expect("pairs");
    Pairs { ratios, bare: ratio::median(&bare), interval: ratio::median(&intervals) }
}

fn time_of(plan: &LoadPlan) -> Duration {
    let began = Instant::now();
    load::run_served(plan);
    began.elapsed()
}

fn median_response(plan: &LoadPlan) -> Duration {
    let records = load::run(plan);
    let latencies = records.iter().filter_map(|record| {
        let finished_ns = record.finished?.get();
        Some(Duration::from_nanos(finished_ns.saturating_sub(record.intended_ns)))
    });
    ratio::median(&latencies.collect::<Vec<_>>())
}

/// What is measured under observation, and how often it was looked.
fn observed(plan: &LoadPlan, measured: fn(&LoadPlan) -> Duration) -> (Duration, Duration) {
    let observer = Observer::start(plan.address.clone(), INTERVAL, |_| {}).expect("an observer");
    let sampler = AcceptSampler::start(plan.address.clone(), Pace::of_machine()).expect("a sampler");
    thread::sleep(SETTLE);
    sampler.begin();
    let took = measured(plan);
    let samples = sampler.finish().expect("samples");
    observer.finish(true).expect("a record");
    (took, Duration::from_nanos(samples.interval_ns))
}
