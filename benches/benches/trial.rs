//! What a trial costs beyond its own duration and the supervisor's own boot.

use std::process::ExitCode;
use std::time::Duration;

use criterion::{Criterion, SamplingMode};
use holdline_benches::ratio::median;
use holdline_benches::{print_if_measured, trials};

/// The design's budget for a trial.
const BUDGET: Duration = Duration::from_millis(100);
const SUPERVISOR: &str = "bare";

fn main() -> ExitCode {
    if let Some(code) = trials::be_the_program_if_asked() {
        return code;
    }
    let mut criterion = Criterion::default().configure_from_args();
    let verdicts = ["full", "none"].map(|isolation| bench(&mut criterion, isolation));
    criterion.final_summary();
    print_if_measured(verdicts.into_iter().flatten());
    ExitCode::SUCCESS
}

fn bench(criterion: &mut Criterion, isolation: &str) -> Option<String> {
    let mut runs = Vec::new();
    let mut group = criterion.benchmark_group("a trial beyond its load and boot");
    group.sampling_mode(SamplingMode::Flat).sample_size(20).measurement_time(Duration::from_secs(5));
    group.bench_function(format!("isolation {isolation}"), |bencher| {
        bencher.iter_custom(|repetitions| {
            let repetitions = u32::try_from(repetitions).unwrap_or(u32::MAX);
            let costs = trials::run(SUPERVISOR, isolation, repetitions).expect("a run");
            runs.push((costs, repetitions));
            costs.overhead()
        });
    });
    group.finish();
    if runs.is_empty() {
        return None;
    }
    let each = |part: fn(&trials::Costs) -> Duration| {
        median(&runs.iter().map(|(costs, trials)| part(costs) / *trials).collect::<Vec<_>>())
    };
    let overhead = each(trials::Costs::overhead);
    let verdict = if overhead <= BUDGET { "within" } else { "above" };
    Some(format!(
        "a trial beyond its load and boot, isolation {isolation}: {overhead:.1?}, {verdict} {BUDGET:?}; \
         of that until the load begins {:.1?}, stop {:.1?}, folder and files {:.1?}, sandbox and program {:.1?}",
        each(|costs| costs.begin),
        each(|costs| costs.stop),
        each(|costs| costs.files),
        each(trials::Costs::around),
    ))
}
