//! The report of a run as JUnit XML: one suite, with a case for each trial whose class is the scenario.
//!
//! A violated expectation is a failure, an unsupported trial is skipped, and an inconclusive one is
//! an error, since nothing was learnt from it. Whatever must run and could not is a failure.
//!
//! Readers check against schemas that differ: Maven Surefire's knows `testsuite` alone as the root, wants a time for
//! each case, and no attribute `disabled`; Jenkins's wants no properties in a case, and no time stamp. What
//! [`document`] makes is valid in both, and all documents are made by it.

use std::time::Duration;

use holdline_model::result::{LossKind, RunResult, TrialResult};
use holdline_model::words::Verdict;
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use crate::columns::{Layout, columns};
use crate::prose;
use crate::rows::{Row, Section, sections};
use crate::style::Style;
use crate::table;
use crate::text::plain;

#[cfg(test)]
pub(crate) mod rules;

/// The XML document could not be written.
#[derive(Debug, thiserror::Error)]
pub enum JunitError {
    /// By the writer.
    #[error("failed to write JUnit XML: {0}")]
    Write(#[from] quick_junit::SerializeError),
    /// What the writer wrote has another shape than is known of it.
    #[error("failed to write JUnit XML: the writer put no suite into testsuites")]
    Shape,
}

/// The report of a whole run.
///
/// # Errors
///
/// If the XML writer refuses a text, which it does not for any that a result can hold.
pub fn junit(run: &RunResult) -> Result<String, JunitError> {
    let mut suite = suite("holdline", run);
    suite.add_properties(properties(run));
    for section in &sections(run) {
        let trials = section.rows.iter().flat_map(|row| row.trials.iter().copied());
        suite.add_properties(
            section.rows.iter().filter(|row| row.is_repeated()).map(|row| merged(section, row)),
        );
        suite.add_test_cases(trials.map(|trial| case(run, trial)));
    }
    document(suite)
}

/// A suite that lasted as long as the trials of `run`, and began with it.
pub(crate) fn suite(name: &str, run: &RunResult) -> TestSuite {
    let mut suite = TestSuite::new(name);
    suite.set_time(total(run.trials.iter()));
    // A recorded run may say anything: what is no instant is left out.
    if let Ok(started) = run.manifest.started.parse::<jiff::Timestamp>() {
        suite.extra.insert("timestamp".into(), format!("{started:.0}").into());
    }
    suite
}

/// The document of which `suite` is the root.
pub(crate) fn document(mut suite: TestSuite) -> Result<String, JunitError> {
    for case in &mut suite.test_cases {
        // What is judged after the trials has no time of its own.
        case.time.get_or_insert(Duration::ZERO);
    }
    let mut report = Report::new("holdline");
    report.add_test_suite(suite);
    let text = report.to_string()?;
    unwrapped(&text).ok_or(JunitError::Shape)
}

/// The document without `testsuites`, which the writer puts around every suite.
fn unwrapped(text: &str) -> Option<String> {
    let (declaration, rest) = text.split_once("<testsuites ")?;
    let (_, rest) = rest.split_once('>')?;
    let (suite, _) = rest.rsplit_once("</testsuites>")?;
    Some(format!("{declaration}{}\n", suite.trim()))
}

fn total<'a>(trials: impl Iterator<Item = &'a TrialResult>) -> Duration {
    Duration::from_nanos(trials.fold(0, |sum: u64, trial| sum.saturating_add(trial.elapsed_ns)))
}

fn properties(run: &RunResult) -> Vec<Property> {
    let facts = crate::markdown::facts(run).into_iter();
    facts.map(|(name, value)| Property::new(name, value)).collect()
}

/// What the repetitions of a supervisor come to: the cases say what became of each.
fn merged(section: &Section<'_>, row: &Row<'_>) -> Property {
    let listed = columns(section, Layout::Stacked).filter_map(|column| column.listed(row));
    let text: Vec<String> = std::iter::once(row.grade_text()).chain(listed).collect();
    let name = format!("trials of {} in {}", plain(row.supervisor), plain(section.scenario));
    Property::new(name, text.join("; "))
}

fn is_repeated(run: &RunResult, trial: &TrialResult) -> bool {
    let same =
        |other: &&TrialResult| other.supervisor == trial.supervisor && other.scenario == trial.scenario;
    trial.repetition > 0 || run.trials.iter().filter(same).nth(1).is_some()
}

fn case(run: &RunResult, trial: &TrialResult) -> TestCase {
    let name = match is_repeated(run, trial) {
        true => format!("{} #{}", plain(&trial.supervisor), trial.repetition),
        false => plain(&trial.supervisor),
    };
    let mut case = TestCase::new(name, status(run, trial));
    case.set_classname(plain(&trial.scenario));
    case.set_time(Duration::from_nanos(trial.elapsed_ns));
    let mut said = format!("{}; {}\n", prose::grade(trial), prose::collateral(trial));
    if matches!(trial.verdict, Verdict::Fail | Verdict::Inconclusive) {
        said.push_str(&table::trial(trial, &Style::default()));
    }
    case.set_system_out(said);
    case
}

fn status(run: &RunResult, trial: &TrialResult) -> TestCaseStatus {
    let reason = trial.reason.as_deref().map(plain);
    if run.is_required_in_vain(trial) {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type("required");
        status.set_message(format!("required, but {}: {}", trial.grade, reason.unwrap_or_default()));
        return status;
    }
    match trial.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Unsupported => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason.unwrap_or_else(|| "unsupported".to_owned()));
            status
        }
        Verdict::Fail => {
            let violations: Vec<String> = trial.violations.iter().map(|violation| plain(violation)).collect();
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(trial.grade.as_str());
            let expected = if violations.is_empty() {
                reason.unwrap_or_else(|| trial.grade.to_string())
            } else {
                violations.join("; ")
            };
            status.set_message(match cause(trial) {
                Some(cause) => format!("{cause}; {expected}"),
                None => expected,
            });
            status.set_description(violations.join("\n"));
            status
        }
        Verdict::Inconclusive => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_type("inconclusive");
            status.set_message(reason.unwrap_or_else(|| plain(&trial.books.to_string())));
            status
        }
    }
}

/// What the supervisor lost first, with why: not what carried the fault.
fn cause(trial: &TrialResult) -> Option<String> {
    let caused = trial.causes.iter().find(|loss| loss.kind != LossKind::Poison)?;
    Some(plain(&caused.to_string()))
}

#[cfg(test)]
mod tests {
    use holdline_model::result::{How, Loss, PoisonReply};
    use holdline_model::words::Mark;

    use super::*;
    use crate::sample;

    #[test]
    fn every_verdict_has_its_kind() {
        let text = junit(&sample::varied()).expect("XML");
        let cases = rules::check(&text);
        let of = |kind: &str| cases.iter().filter(|case| case.status.as_deref() == Some(kind)).count();
        assert_eq!((cases.len(), of("failure"), of("error"), of("skipped")), (23, 8, 1, 1));
        assert_eq!(cases.iter().filter(|case| case.class == "crash").count(), 12);
        assert_eq!((cases[0].name.as_str(), cases[0].status.as_deref()), ("bare", Some("failure")));
        assert_eq!(cases[0].message.as_deref(), Some("collateral: expected 0, was 14"));
        assert!(text.contains("<skipped message=\"not installed: pip install circus==0.19.0\"/>"), "{text}");
        assert!(text.contains("timestamp=\"2026-03-14T09:26:53Z\""), "{text}");
    }

    #[test]
    fn a_failure_says_why_and_what_was_expected() {
        let mut run = sample::varied();
        let poison = How::PoisonUnrecorded { attempt: 5, got: PoisonReply::Nothing };
        run.trials[0].causes = vec![Loss::new(1, poison), Loss::new(14, How::NeverListened)];
        let cases = rules::check(&junit(&run).expect("XML"));
        let message = cases[0].message.as_deref();
        assert_eq!(message, Some("14 refused: nobody ever listened; collateral: expected 0, was 14"));
    }

    #[test]
    fn a_recorded_start_that_is_no_instant_is_left_out() {
        let mut run = sample::default_run();
        run.manifest.started = "yesterday".into();
        let text = junit(&run).expect("XML");
        rules::check(&text);
        assert!(!text.contains("timestamp"), "{text}");
    }

    #[test]
    fn repetitions_have_names_of_their_own() {
        let text = junit(&sample::repeated()).expect("XML");
        rules::check(&text);
        for name in ["restart-loop #0", "restart-loop #1", "restart-loop #2"] {
            assert!(text.contains(&format!("name=\"{name}\"")), "{name}");
        }
        let merged = "name=\"trials of restart-loop in crash\" value=\"lossy 2 of 3, held 1; served 53; ";
        assert!(text.contains(merged), "{text}");
    }

    #[test]
    fn what_is_required_and_not_run_is_a_failure() {
        let mut run = sample::varied();
        run.manifest.required = vec!["circus".to_owned()];
        let text = junit(&run).expect("XML");
        assert!(!text.contains("<skipped"), "{text}");
        assert!(text.contains("type=\"required\""), "{text}");
        assert!(text.contains("message=\"required, but unsupported: not installed"), "{text}");
    }

    #[test]
    fn a_mark_is_told() {
        let mut run = sample::default_run();
        assert!(!junit(&run).expect("XML").contains("survived"));
        run.trials[4].mark = Some(Mark::Survived);
        let text = junit(&run).expect("XML");
        rules::check(&text);
        assert!(text.contains("(survived)"), "{text}");
    }

    #[test]
    fn no_trials_and_hostile_names() {
        assert!(rules::check(&junit(&sample::run(Vec::new())).expect("XML")).is_empty());
        let text = junit(&sample::hostile()).expect("XML");
        assert!(!text.contains("<script"));
        rules::check(&text);
    }
}
