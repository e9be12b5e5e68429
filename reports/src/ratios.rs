//! Comparisons within one run, as ratios: scenarios of one folder beneath the same supervisor, and the
//! throughput of supervisors in the same scenario.
//!
//! A ratio is of medians over repetitions, and says of how many. It claims no more than that:
//! whether a difference is more than noise is for `compare`. Response times are compared only
//! of trials that lost nothing, since who is lost is in no latency, and to which nothing was done.

use holdline_model::result::{RunResult, TrialResult};

use crate::prose::has_many_scenarios;
use crate::rows::{Row, Section, Split, sections, unique};
use crate::text::{count, counted, duration, plain};

/// The supervisor whose throughput is 1, where it took part: a worker with nobody beside it.
const BARE: &str = "bare";

/// A table of ratios.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Ratios {
    /// What is compared with what.
    pub(crate) title: String,
    /// Of how many trials the medians are.
    pub(crate) note: String,
    /// Headings.
    pub(crate) heads: Vec<String>,
    /// How many of the columns hold names, the first ones.
    pub(crate) names: usize,
    /// A row for each of those compared, the one that they are compared with first.
    pub(crate) rows: Vec<Vec<String>>,
}

/// Every comparison that a run allows.
pub(crate) fn ratios(run: &RunResult) -> Vec<Ratios> {
    let sections = sections(run);
    let within_folders = folders(&sections).into_iter().filter_map(|folder| response(&sections, folder));
    let throughput = sections.iter().filter_map(|section| throughput(section, has_many_scenarios(run)));
    within_folders.chain(throughput).collect()
}

/// The folders that several scenarios are in, in order of first appearance.
fn folders<'a>(sections: &[Section<'a>]) -> Vec<&'a str> {
    let folder = |section: &Section<'a>| Some(section.scenario.rsplit_once('/')?.0);
    let mut folders: Vec<&str> = sections.iter().filter_map(folder).collect();
    let all = folders.clone();
    folders.sort_unstable();
    folders.dedup();
    folders.retain(|name| all.iter().filter(|other| *other == name).count() > 1);
    folders.sort_by_key(|name| all.iter().position(|other| other == name));
    folders
}

/// Response times in the scenarios of a folder, beneath each supervisor that ran several of them.
fn response(sections: &[Section<'_>], folder: &str) -> Option<Ratios> {
    let is_within =
        |section: &&Section<'_>| section.scenario.rsplit_once('/').is_some_and(|(f, _)| f == folder);
    let sections: Vec<&Section<'_>> = sections.iter().filter(is_within).collect();
    let names = unique(sections.iter().flat_map(|section| &section.rows).map(|row| row.supervisor));
    let of_one = |name: &str| -> Vec<(&str, &Row<'_>)> {
        let rows = sections.iter().flat_map(|section| section.rows.iter().map(|row| (section.scenario, row)));
        let is_fit = |row: &Row<'_>| row.supervisor == name && row.trials.iter().all(|t| is_comparable(t));
        rows.filter(|(_, row)| is_fit(row)).collect()
    };
    let groups = names.into_iter().map(of_one);
    let groups: Vec<_> = groups.filter(|group| group.len() > 1).collect();
    let base = plain(groups.first()?.first()?.0);
    Some(Ratios {
        title: format!("response times, against {base}"),
        note: note(groups.iter().flatten().map(|(_, row)| row.trials.len())),
        heads: ["supervisor", "scenario", "of", "p50", "ratio", "p99", "ratio"].map(str::to_owned).to_vec(),
        names: 2,
        rows: groups.iter().flat_map(|group| response_rows(group)).collect(),
    })
}

/// The rows of one supervisor, the first of which is what the others are compared with.
fn response_rows(group: &[(&str, &Row<'_>)]) -> Vec<Vec<String>> {
    let of = |row: &Row<'_>, quantile: fn(&TrialResult) -> u64| {
        median(row.trials.iter().map(|trial| quantile(trial) as f64))
    };
    let p50 = |row: &Row<'_>| of(row, |trial| trial.latency.response.p50_ns);
    let p99 = |row: &Row<'_>| of(row, |trial| trial.latency.response.p99_ns);
    let base = group[0].1;
    let row = |(scenario, row): &(&str, &Row<'_>)| {
        vec![
            plain(row.supervisor),
            plain(scenario),
            counted(row.trials.len() as u64, "trial"),
            nanoseconds(p50(row)),
            times(p50(row), p50(base)),
            nanoseconds(p99(row)),
            times(p99(row), p99(base)),
        ]
    };
    group.iter().map(row).collect()
}

/// Throughput of supervisors in a closed loop.
fn throughput(section: &Section<'_>, many_scenarios: bool) -> Option<Ratios> {
    let of = |row: &Row<'_>| -> Option<f64> {
        let all: Option<Vec<f64>> = row.trials.iter().map(|trial| trial.throughput_per_second).collect();
        all.map(|all| median(all.into_iter()))
    };
    let mut entries: Vec<(&Row<'_>, f64)> =
        section.rows.iter().filter_map(|row| Some((row, of(row)?))).collect();
    if let Some(bare) = entries.iter().position(|(row, _)| row.supervisor == BARE) {
        entries[..=bare].rotate_right(1);
    }
    let (base, base_per_second) = *entries.first().filter(|_| entries.len() > 1)?;
    let row = |(row, per_second): &(&Row<'_>, f64)| {
        vec![
            plain(row.supervisor),
            counted(row.trials.len() as u64, "trial"),
            per_second_text(*per_second),
            times(*per_second, base_per_second),
        ]
    };
    let scenario = if many_scenarios { format!(" in {}", plain(section.scenario)) } else { String::new() };
    Some(Ratios {
        title: format!("served per second{scenario}, against {}", plain(base.supervisor)),
        note: note(entries.iter().map(|(row, _)| row.trials.len())),
        heads: ["supervisor", "of", "per second", "ratio"].map(str::to_owned).to_vec(),
        names: 1,
        rows: entries.iter().map(row).collect(),
    })
}

/// A rate as reports print it: `12 345/s`.
pub(crate) fn per_second_text(per_second: f64) -> String {
    format!("{}/s", count(per_second.round().max(0.0) as u64))
}

/// Whether response times say what serving costs: nothing was lost, and nothing done to the system.
fn is_comparable(trial: &TrialResult) -> bool {
    !trial.had_fault() && trial.attempts > 0 && Split::of(trial).served == trial.attempts
}

fn note(trials: impl Iterator<Item = usize>) -> String {
    match trials.min() {
        None | Some(0 | 1) => "one trial each says little: repeat them with -r".to_owned(),
        Some(_) => "of medians over the trials".to_owned(),
    }
}

/// The median; the mean of the two in the middle of an even number.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

fn nanoseconds(ns: f64) -> String {
    duration(ns.round() as u64)
}

/// How many times the base: `1.23 ×`.
fn times(value: f64, base: f64) -> String {
    if base > 0.0 { format!("{:.2} ×", value / base) } else { crate::text::UNKNOWN.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn timed(scenario: &str, p50_ns: u64, p99_ns: u64) -> TrialResult {
        let mut trial = sample::held("prefork", scenario);
        trial.timeline.clear();
        trial.latency.response.p50_ns = p50_ns;
        trial.latency.response.p99_ns = p99_ns;
        trial
    }

    fn paced(supervisor: &str, per_second: f64) -> TrialResult {
        TrialResult { throughput_per_second: Some(per_second), ..sample::held(supervisor, "throughput") }
    }

    #[test]
    fn scenarios_of_a_folder_are_compared_by_their_medians() {
        let run = sample::run(vec![
            timed("unix-vs-tcp/tcp", 100_000, 400_000),
            timed("unix-vs-tcp/unix", 50_000, 300_000),
            timed("unix-vs-tcp/tcp", 200_000, 400_000),
            timed("unix-vs-tcp/unix", 70_000, 100_000),
            timed("other/alone", 1, 1),
        ]);
        let all = ratios(&run);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].title, "response times, against unix-vs-tcp/tcp");
        assert_eq!(all[0].note, "of medians over the trials");
        assert_eq!(
            all[0].rows[0][1..],
            ["unix-vs-tcp/tcp", "2 trials", "150 µs", "1.00 ×", "400 µs", "1.00 ×"]
        );
        assert_eq!(
            all[0].rows[1],
            ["prefork", "unix-vs-tcp/unix", "2 trials", "60.0 µs", "0.40 ×", "200 µs", "0.50 ×"]
        );
    }

    #[test]
    fn trials_that_lost_something_or_had_a_fault_are_not_compared() {
        let lossy = sample::ten("a/x").swap_remove(1);
        let run = sample::run(vec![
            TrialResult { supervisor: "prefork".into(), ..lossy },
            timed("a/y", 1, 1),
            timed("b/y", 1, 1),
            sample::held("prefork", "b/x"),
        ]);
        assert!(run.trials[3].had_fault());
        assert_eq!(ratios(&run), []);
        assert_eq!(ratios(&sample::run(Vec::new())), []);
    }

    #[test]
    fn throughput_is_compared_with_the_bare_worker() {
        let run = sample::run(vec![
            paced("held-socket", 9_000.4),
            paced("bare", 10_000.0),
            paced("prefork", 15_000.0),
        ]);
        let all = ratios(&run);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].title, "served per second, against bare");
        assert_eq!(all[0].note, "one trial each says little: repeat them with -r");
        assert_eq!(all[0].rows[0], ["bare", "1 trial", "10 000/s", "1.00 ×"]);
        assert_eq!(all[0].rows[1], ["held-socket", "1 trial", "9 000/s", "0.90 ×"]);
        assert_eq!(all[0].rows[2], ["prefork", "1 trial", "15 000/s", "1.50 ×"]);
    }
}
