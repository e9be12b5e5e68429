//! The report of a run as JUnit XML: a suite for each scenario, a case for each trial.
//!
//! A violated expectation is a failure, an unsupported trial is skipped, and an inconclusive one is
//! an error, since nothing was learnt from it. Whatever must run and could not is a failure.

use std::time::Duration;

use holdline_model::result::{RunResult, TrialResult};
use holdline_model::words::Verdict;
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use crate::columns::{Layout, columns};
use crate::prose;
use crate::rows::{Row, Section, sections};
use crate::style::Style;
use crate::table;
use crate::text::{duration, plain};

/// The XML document could not be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write JUnit XML: {0}")]
pub struct JunitError(#[from] quick_junit::SerializeError);

/// The report of a whole run.
///
/// # Errors
///
/// If the XML writer refuses a text, which it does not for any that a result can hold.
pub fn junit(run: &RunResult) -> Result<String, JunitError> {
    let mut report = Report::new("holdline");
    report.set_time(total(run.trials.iter()));
    for section in &sections(run) {
        let mut suite = TestSuite::new(plain(section.scenario));
        let trials = || section.rows.iter().flat_map(|row| row.trials.iter().copied());
        suite.set_time(total(trials()));
        suite.add_properties(properties(run));
        suite.add_properties(
            section.rows.iter().filter(|row| row.is_repeated()).map(|row| merged(section, row)),
        );
        suite.add_test_cases(trials().map(|trial| case(run, trial)));
        report.add_test_suite(suite);
    }
    Ok(report.to_string()?)
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
    Property::new(format!("trials of {}", plain(row.supervisor)), text.join("; "))
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
    case.add_property(Property::new("grade", trial.grade.as_str()));
    case.add_properties(trial.mark.map(|mark| Property::new("mark", mark.as_str())));
    if let Some(after_ns) = trial.back_after_ns {
        case.add_property(Property::new("back_after", duration(after_ns)));
    }
    case.add_property(Property::new("collateral", prose::collateral(trial)));
    if matches!(trial.verdict, Verdict::Fail | Verdict::Inconclusive) {
        case.set_system_out(table::trial(trial, &Style::default()));
    }
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
            status.set_message(if violations.is_empty() {
                reason.unwrap_or_else(|| trial.grade.to_string())
            } else {
                violations.join("; ")
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

#[cfg(test)]
mod tests {
    use holdline_model::words::Mark;

    use super::*;
    use crate::sample;

    #[test]
    fn every_verdict_has_its_kind() {
        let text = junit(&sample::varied()).expect("XML");
        let report = Report::deserialize_from_str(&text).expect("it reads its own");
        assert_eq!((report.tests, report.failures, report.errors, report.skipped), (23, 8, 1, 1));
        assert_eq!(report.test_suites.len(), 2);
        let crash = &report.test_suites[0];
        assert_eq!((crash.name.as_str(), crash.tests, crash.failures), ("crash", 12, 4));
        let bare = &crash.test_cases[0];
        assert_eq!(bare.name.as_str(), "bare");
        assert!(matches!(
            &bare.status,
            TestCaseStatus::NonSuccess { message: Some(message), .. } if message.as_str() == "collateral: expected 0, was 14"
        ));
        assert!(text.contains("<skipped message=\"not installed: pip install circus==0.19.0\"/>"), "{text}");
    }

    #[test]
    fn repetitions_have_names_of_their_own() {
        let text = junit(&sample::repeated()).expect("XML");
        for name in ["restart-loop #0", "restart-loop #1", "restart-loop #2"] {
            assert!(text.contains(&format!("name=\"{name}\"")), "{name}");
        }
        let merged = "name=\"trials of restart-loop\" value=\"lossy 2 of 3, held 1; served 53; ";
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
    fn a_mark_is_a_property() {
        let mut run = sample::default_run();
        assert!(!junit(&run).expect("XML").contains("survived"));
        run.trials[4].mark = Some(Mark::Survived);
        let text = junit(&run).expect("XML");
        assert!(text.contains("<property name=\"mark\" value=\"survived\"/>"), "{text}");
    }

    #[test]
    fn no_trials_and_hostile_names() {
        assert!(junit(&sample::run(Vec::new())).expect("XML").contains("tests=\"0\""));
        let text = junit(&sample::hostile()).expect("XML");
        assert!(!text.contains("<script"));
        Report::deserialize_from_str(&text).expect("well-formed");
    }
}
