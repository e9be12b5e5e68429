//! How close sampled accept latencies come to those that workers stamp, in one and the same trial.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use csv::{Reader, StringRecord};
use flate2::read::GzDecoder;
use holdline_model::result::RunResult;

/// More than two workers can serve at times, so that some wait and others do not.
fn scenario(duration: &str) -> String {
    format!(
        "name = \"both\"\nasks = \"When was each accepted?\"\n[workers]\ncount = 2\nboot = \"0ms\"\nwork = \"1ms\"\n\
         [load]\narrivals = {{ poisson = \"1200/s\" }}\nduration = \"{duration}\"\nsend-lag = \"1s\"\n\
         [kernel]\nsample-accepts = true\n"
    )
}

/// Runs a trial in which accepts are stamped and sampled: how they compare.
///
/// # Errors
///
/// If the program cannot be started, or left no result.
///
/// # Panics
///
/// If the trial's files are not what they are said to be.
pub fn closeness(duration: &str) -> io::Result<String> {
    let place = tempfile::tempdir()?;
    let path = place.path().join("both.toml");
    fs::write(&path, scenario(duration))?;
    let out = place.path().join("out");
    let mut run = Command::new(std::env::current_exe()?);
    run.arg("run").arg(&path).args(["-s", "held-socket", "--show-progress", "none", "--out"]).arg(&out);
    run.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    let result: RunResult = serde_json::from_str(&fs::read_to_string(out.join("run.json"))?)?;
    let folder = out.join(&result.trials.first().expect("a trial").folder);
    Ok(compare(&sampled(&folder)?, &stamped(&folder)?))
}

/// An attempt's intended start and its accept, in nanoseconds from the load's start.
type Stamped = BTreeMap<u64, (i64, i64)>;

fn compare(sampled: &BTreeMap<u64, (i64, i64)>, stamped: &Stamped) -> String {
    let (mut ours, mut true_ones, mut off, mut within) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (attempt, (from, to)) in sampled {
        let Some((intended, accepted)) = stamped.get(attempt) else { continue };
        let middle = from.midpoint(*to);
        ours.push(middle - intended);
        true_ones.push(accepted - intended);
        off.push((middle - accepted).abs());
        within += u32::from(from <= accepted && accepted <= to);
    }
    let both = |part: f64| format!("{:.0?} and {:.0?}", quantile(&ours, part), quantile(&true_ones, part));
    format!(
        "accept latencies of {} attempts, sampled and stamped: median {}, 99th percentile {}; an instant is off by \
         {:.0?} in the median and {:.0?} in the 99th percentile; {within} lie within their spans",
        off.len(),
        both(0.5),
        both(0.99),
        quantile(&off, 0.5),
        quantile(&off, 0.99),
    )
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of the values")]
fn quantile(values: &[i64], part: f64) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let index = (sorted.len().saturating_sub(1) as f64 * part) as usize;
    Duration::from_nanos(sorted.get(index).map_or(0, |value| value.unsigned_abs()))
}

fn sampled(folder: &Path) -> io::Result<BTreeMap<u64, (i64, i64)>> {
    columns(folder, "accepts.csv.gz", ["attempt", "not_before_ns", "not_after_ns"])
}

fn stamped(folder: &Path) -> io::Result<Stamped> {
    columns(folder, "attempts.csv.gz", ["attempt", "intended_ns", "accepted_ns"])
}

/// Two numbers of each attempt that has both.
fn columns(folder: &Path, file: &str, wanted: [&str; 3]) -> io::Result<BTreeMap<u64, (i64, i64)>> {
    let mut csv = Reader::from_reader(GzDecoder::new(File::open(folder.join(file))?));
    let headers = csv.headers()?.clone();
    let index = wanted.map(|name| headers.iter().position(|header| header == name).expect("the column"));
    let mut found = BTreeMap::new();
    for row in csv.records() {
        let row = row?;
        let number = |column: usize, row: &StringRecord| row[index[column]].parse::<i64>().ok();
        if let (Some(attempt), Some(first), Some(second)) =
            (number(0, &row), number(1, &row), number(2, &row))
        {
            found.insert(attempt.unsigned_abs(), (first, second));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_compared_attempt_by_attempt() {
        let sampled = [(0, (100, 200)), (1, (1100, 1200)), (2, (0, 9))].into();
        let stamped = [(0, (0, 150)), (1, (1000, 1250))].into();
        let words = compare(&sampled, &stamped);
        assert!(
            words.starts_with("accept latencies of 2 attempts, sampled and stamped: median 150ns and 150ns")
        );
        assert!(words.ends_with("; 1 lie within their spans"), "{words}");
    }
}
