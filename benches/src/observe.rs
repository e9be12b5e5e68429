//! A server's throughput with and without an observer, in a sandbox like that of a trial.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use holdline::kernel::accepts::AcceptSampler;
use holdline::kernel::observer::{INTERVAL, Observer};
use holdline::kernel::pace::Pace;
use holdline::load::{LoadPlan, raise_nofile};
use holdline::sandbox::{self, Isolation, SandboxSpec, WorkFolder};
use holdline_model::arrivals::Schedule;
use holdline_model::record::Outcome;
use holdline_model::scenario::Until;

use crate::ratio::{Ratios, Summary};
use crate::server::Server;
use crate::{cpu, load, ratio};

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
    let (busy, sparse) = (in_turn(pairs, &busy), in_turn(pairs, &sparse));
    let per_second = f64::from(CONNECTIONS) / busy.bare.took.as_secs_f64();
    format!(
        "observing takes of all processors' time, {CLIENTS} connections at a time: {:.2} %; one each {GAP:?}: {:.2} %\n\
         observed/unobserved, time for the same connections, {CLIENTS} at a time: {}, {} {BUDGET}; unobserved: \
         {per_second:.0} per second\n\
         observed/unobserved, 99th percentile of the response latency, {CLIENTS} at a time: {}, {} {BUDGET}; \
         unobserved: {:.1?}; a look at who waits every {:.0?}\n\
         observed/unobserved, median response latency, one each {GAP:?}: {}; unobserved: {:.1?}\n\
         observed/unobserved, 99th percentile of it: {}; unobserved: {:.1?}; a look at who waits every {:.0?}",
        busy.share * 100.0,
        sparse.share * 100.0,
        busy.took,
        busy.took.against(BUDGET),
        busy.p99,
        busy.p99.against(BUDGET),
        busy.bare.p99,
        busy.interval,
        sparse.median,
        sparse.bare.median,
        sparse.p99,
        sparse.bare.p99,
        sparse.interval,
    )
}

/// What one load came to.
#[derive(Debug, Clone, Copy)]
struct Course {
    took: Duration,
    /// Of the response latencies.
    median: Duration,
    p99: Duration,
}

/// What came of pairs.
struct Pairs {
    took: Summary,
    median: Summary,
    p99: Summary,
    /// The medians without anybody who looks.
    bare: Course,
    /// How often it was looked, in the median.
    interval: Duration,
    /// What observer and sampler took of all processors' time, on average.
    share: f64,
}

/// A load under observation.
#[derive(Debug)]
struct Observed {
    course: Course,
    /// How often it was looked.
    interval: Duration,
    /// The processor time of observer and sampler while the load ran.
    cost: Duration,
}

/// Measures the same load with and without observer and sampler, in turn.
fn in_turn(pairs: u32, plan: &LoadPlan) -> Pairs {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        // Each begins with the side with which the one before ended.
        if pair % 2 == 0 {
            with.push(observed(plan));
            without.push(course_of(plan));
        } else {
            without.push(course_of(plan));
            with.push(observed(plan));
        }
    }
    let ratios = |of: fn(&Course) -> Duration| {
        let mut ratios = Ratios::default();
        with.iter().zip(&without).for_each(|(with, without)| ratios.add(of(&with.course), of(without)));
        ratios.summary().expect("pairs")
    };
    let sum = |of: fn(&Observed) -> Duration| with.iter().map(of).sum::<Duration>().as_secs_f64();
    let processors = thread::available_parallelism().map_or(1, NonZero::get) as f64;
    let bare = |of: fn(&Course) -> Duration| ratio::median(&without.iter().map(of).collect::<Vec<_>>());
    Pairs {
        took: ratios(|course| course.took),
        median: ratios(|course| course.median),
        p99: ratios(|course| course.p99),
        bare: Course {
            took: bare(|course| course.took),
            median: bare(|course| course.median),
            p99: bare(|course| course.p99),
        },
        interval: ratio::median(&with.iter().map(|it| it.interval).collect::<Vec<_>>()),
        share: sum(|it| it.cost) / sum(|it| it.course.took) / processors,
    }
}

fn course_of(plan: &LoadPlan) -> Course {
    let began = Instant::now();
    let records = load::run(plan);
    let took = began.elapsed();
    let lost = records.iter().find(|record| record.outcome != Outcome::Replied);
    assert_eq!(lost, None, "an attempt was not served");
    let mut latencies: Vec<_> = records
        .iter()
        .filter_map(|record| Some(record.finished?.get().saturating_sub(record.intended_ns)))
        .map(Duration::from_nanos)
        .collect();
    latencies.sort_unstable();
    let at = |rank: usize| latencies.get(rank).copied().unwrap_or_default();
    Course { took, median: at(latencies.len() / 2), p99: at(latencies.len() * 99 / 100) }
}

/// What a load came to under observation.
fn observed(plan: &LoadPlan) -> Observed {
    let observer = Observer::start(plan.address.clone(), INTERVAL, |_| {}).expect("an observer");
    let sampler = AcceptSampler::start(plan.address.clone(), Pace::of_machine()).expect("a sampler");
    thread::sleep(SETTLE);
    sampler.begin();
    let (course, cost) = cpu::of_others_during(|| course_of(plan));
    let samples = sampler.finish().expect("samples");
    observer.finish(true).expect("a record");
    Observed { course, interval: Duration::from_nanos(samples.interval_ns), cost }
}
