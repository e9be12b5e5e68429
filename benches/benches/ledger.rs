//! A million attempts: reconciled and summed up, in time and memory, and shown on a page.

use std::hint::black_box;
use std::mem::size_of;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode};
use holdline_benches::heap::{Counting, most_bytes_of};
use holdline_benches::ratio::median;
use holdline_benches::records::{Course, Trial};
use holdline_benches::{is_measurement, print_if_measured};
use holdline_model::ledger::Attempt;
use holdline_model::record::ClientRecord;
use holdline_model::result::{Manifest, RunResult, SCHEMA, TrialResult};
use holdline_model::shm::{RECORD_BYTES, WorkerRecord};
use holdline_model::words::Isolation;
use holdline_reports::html::html;

#[global_allocator]
static HEAP: Counting = Counting;

/// The design's budgets.
const TIME_BUDGET: Duration = Duration::from_secs(2);
const BYTES_BUDGET: usize = 100;
const PAGE_BYTES_BUDGET: usize = 2_000_000;

fn main() {
    let attempts = if is_measurement() { 1_000_000 } else { 10_000 };
    let mut criterion = Criterion::default().configure_from_args();
    let courses = [("all served", Course::Smooth), ("three of ten lost", Course::Troubled)];
    let mut lines = vec![sizes()];
    for (name, course) in courses {
        let trial = Trial::new(attempts, course);
        lines.push(memory(name, &trial, attempts));
        lines.extend(ledger(&mut criterion, name, &trial));
    }
    let (small, large) = (Trial::new(1_000, Course::Troubled), Trial::new(attempts, Course::Troubled));
    lines.extend(page(&mut criterion, "1 trial of a million attempts", &large, 1));
    let trials = if is_measurement() { 1_000 } else { 10 };
    lines.extend(page(&mut criterion, "1000 trials of 1000 attempts", &small, trials));
    criterion.final_summary();
    print_if_measured(lines);
}

fn ledger(criterion: &mut Criterion, name: &str, trial: &Trial) -> Option<String> {
    let mut times = Vec::new();
    let mut group = criterion.benchmark_group("ledger of a million attempts");
    group.sampling_mode(SamplingMode::Flat).sample_size(10).measurement_time(Duration::from_secs(5));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| {
                    let began = Instant::now();
                    drop(black_box(trial.summarise()));
                    times.push(began.elapsed());
                    began.elapsed()
                })
                .sum()
        });
    });
    group.finish();
    let time = (!times.is_empty()).then(|| median(&times))?;
    let verdict = if time <= TIME_BUDGET { "within" } else { "above" };
    Some(format!("ledger, {name}: {time:.1?}, {verdict} {TIME_BUDGET:?}"))
}

fn sizes() -> String {
    let (client, attempt) = (size_of::<ClientRecord>(), size_of::<Attempt>());
    format!(
        "bytes of an attempt: client's record {client} + fate {attempt} = {}, {} {BYTES_BUDGET}; \
         of each thing that a worker wrote down: {} in memory, {RECORD_BYTES} in its file",
        client + attempt,
        if client + attempt <= BYTES_BUDGET { "within" } else { "above" },
        size_of::<WorkerRecord>(),
    )
}

/// On top of the records, which the trial has anyway.
fn memory(name: &str, trial: &Trial, attempts: u32) -> String {
    let (_, bytes) = most_bytes_of(|| black_box(trial.summarise()));
    let each = bytes / attempts as usize;
    let verdict = if each <= BYTES_BUDGET { "within" } else { "above" };
    let written = trial.worker_records() as f64 / f64::from(attempts);
    format!(
        "memory, {name}: reconciling and summing up takes at most {each} bytes for each attempt, {verdict} \
         {BYTES_BUDGET}; the workers wrote down {written:.1} things for each"
    )
}

fn page(criterion: &mut Criterion, name: &str, trial: &Trial, trials: usize) -> Option<String> {
    let run = run_of(&trial.summarise().result, trials);
    let mut bytes = None;
    let mut group = criterion.benchmark_group("HTML report");
    group.sampling_mode(SamplingMode::Flat).sample_size(10).measurement_time(Duration::from_secs(3));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            bytes = Some(black_box(html(&run, &holdline_reports::course::none)).expect("a page").len());
        });
    });
    group.finish();
    let bytes = bytes?;
    let verdict = if bytes <= PAGE_BYTES_BUDGET { "within" } else { "above" };
    Some(format!("HTML report of {name}: {bytes} bytes, {verdict} {PAGE_BYTES_BUDGET}"))
}

/// A run over ten supervisors.
fn run_of(result: &TrialResult, trials: usize) -> RunResult {
    let trial = |index: usize| TrialResult {
        supervisor: format!("supervisor-{}", index % 10),
        scenario: format!("scenario-{}", index / 10 % 25),
        repetition: u32::try_from(index / 250).unwrap_or(u32::MAX),
        ..result.clone()
    };
    RunResult {
        schema: SCHEMA.to_owned(),
        manifest: Manifest {
            seed: 1,
            holdline: "bench".to_owned(),
            kernel: String::new(),
            cpus: 1,
            isolation: Isolation::Full,
            started: "2026-11-22T00:00:00Z".to_owned(),
            cpu_model: String::new(),
            command: Vec::new(),
            planned: u32::try_from(trials).unwrap_or(u32::MAX),
            sysctls: Default::default(),
            counters_host_wide: false,
            required: Vec::new(),
            reference: None,
            partition: None,
            jobs: 1,
            resumed: Vec::new(),
        },
        complete: true,
        trials: (0..trials).map(trial).collect(),
    }
}
