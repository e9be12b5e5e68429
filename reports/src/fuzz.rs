//! The report of a fuzzing: what was found, how often it fails, and how to repeat it.

use std::fmt::Write as _;
use std::time::Duration;

use holdline_model::duration::show_ns;
use holdline_model::fuzz::{Failure, FuzzResult, InvariantCount};
use holdline_model::result::RunResult;
use holdline_model::stats::{grouped, percent};
use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus};

use crate::course::Courses;
use crate::html::{HtmlError, Preface, page};
use crate::junit::{JunitError, document, suite};
use crate::markdown::capital;
use crate::style::Style;
use crate::text::plain;

/// The report for a terminal.
#[must_use]
pub fn terminal(result: &FuzzResult, style: &Style) -> String {
    let mut text = format!("{}  {}\n", style.strong("fuzz"), plain(&headline(result)));
    for (number, failure) in (1..).zip(&result.failures) {
        let _ = writeln!(text, "\n{}", style.strong(&format!("{number}  {}", plain(&title(failure)))));
        for (name, value) in facts(failure) {
            let _ = writeln!(text, "   {name:<8}{}", plain(&value));
        }
    }
    text.push('\n');
    for count in &result.invariants {
        let _ = writeln!(text, "{:<12} {}", count.invariant.as_str(), plain(&judged(count)));
    }
    let _ = writeln!(text, "\n{}", plain(&conclusion(result)));
    text
}

/// The report in Markdown.
#[must_use]
pub fn markdown(result: &FuzzResult) -> String {
    let mut text = format!("# holdline fuzz\n\n{}\n", plain(&headline(result)));
    for (number, failure) in (1..).zip(&result.failures) {
        let _ = writeln!(text, "\n## {number}. {}\n", plain(&title(failure)));
        for (name, value) in facts(failure) {
            let _ = writeln!(text, "- {name}: {}", plain(&value));
        }
    }
    text.push_str("\n| invariant | what came of it |\n|:--|:--|\n");
    for count in &result.invariants {
        let _ = writeln!(text, "| `{}` | {} |", count.invariant, plain(&judged(count)));
    }
    let _ = writeln!(text, "\n{}", plain(&conclusion(result)));
    text
}

/// What was found as one page, with the trials that show it.
///
/// # Errors
///
/// As [`html`](crate::html::html).
pub fn html(result: &FuzzResult, run: &RunResult, courses: Courses<'_>) -> Result<String, HtmlError> {
    let found = |failure: &Failure| {
        let facts = facts(failure).into_iter().map(|(name, value)| format!("{name}: {}", plain(&value)));
        format!("{}; {}", plain(&title(failure)), facts.collect::<Vec<_>>().join("; "))
    };
    let judged = |count: &InvariantCount| format!("{}: {}", count.invariant, plain(&judged(count)));
    let lists = [
        ("What was fuzzed", vec![plain(&headline(result))]),
        ("Failures", result.failures.iter().map(found).collect()),
        ("What must hold", result.invariants.iter().map(judged).collect()),
    ];
    let tone = match (result.failures.is_empty(), result.interrupted || result.unconfirmed > 0) {
        (false, _) => "fail",
        (true, true) => "unknown",
        (true, false) => "pass",
    };
    let lists = lists.into_iter().filter(|(_, lines): &(&str, Vec<String>)| !lines.is_empty());
    let preface = Preface {
        headline: capital(&plain(&conclusion(result))),
        tone,
        lists: lists.map(|(head, lines)| (head.to_owned(), lines)).collect(),
        trials: Some("Trials of what failed"),
    };
    page(run, courses, Some(&preface))
}

/// As JUnit XML: a case for each invariant, which fails if a failure of it was found and is skipped if nothing is
/// known of it.
///
/// # Errors
///
/// If the XML writer refuses a text, which it does not for any that a result can hold.
pub fn junit(result: &FuzzResult, run: &RunResult) -> Result<String, JunitError> {
    let mut suite = suite(&format!("fuzz {}", plain(&result.supervisor)), run);
    suite.set_time(Duration::from_nanos(result.elapsed_ns));
    let high = percent(result.bound.high);
    for (name, value) in [
        ("seed", result.seed.to_string()),
        ("cases", result.cases.to_string()),
        ("bound", format!("<= {high} at 95 %")),
        ("not_reproduced", result.not_reproduced.to_string()),
    ] {
        suite.add_property(Property::new(name, value));
    }
    for count in &result.invariants {
        let found = || result.failures.iter().filter(|failure| failure.invariant == count.invariant);
        let status = match found().next() {
            Some(first) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_type(count.invariant.as_str());
                status.set_message(plain(&title(first)));
                let all = found().flat_map(facts).map(|(name, value)| format!("{name}: {}", plain(&value)));
                status.set_description(all.collect::<Vec<_>>().join("\n"));
                status
            }
            None if count.held == 0 => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(plain(&judged(count)));
                status
            }
            None => TestCaseStatus::success(),
        };
        let mut case = TestCase::new(count.invariant.as_str(), status);
        case.set_classname(format!("fuzz {}", plain(&result.supervisor)));
        suite.add_test_case(case);
    }
    document(suite)
}

fn headline(result: &FuzzResult) -> String {
    let FuzzResult { supervisor, cases, aimed, traced, faults, orders, seed, elapsed_ns, .. } = result;
    let per_minute = *cases as f64 * 60e9 / (*elapsed_ns).max(1) as f64;
    format!(
        "{supervisor}: {} cases, {} of them aimed and {} traced, {} faults, {} orders of moments, in {} ({per_minute:.0} cases/min), seed {seed}",
        grouped(*cases),
        grouped(*aimed),
        grouped(*traced),
        grouped(*faults),
        grouped(*orders),
        show_ns(*elapsed_ns),
    )
}

fn title(failure: &Failure) -> String {
    let Failure { invariant, faults, rate, .. } = failure;
    let faults = match faults {
        0 => "without any fault".to_owned(),
        1 => "with 1 fault".to_owned(),
        more => format!("with {more} faults"),
    };
    let (low, high) = (percent(rate.low), percent(rate.high));
    let of = format!("{} of {} trials ({low} to {high} at 95 %)", rate.failed, rate.of);
    format!("{invariant}: it does not hold that {}, {faults}: {of}", invariant.in_words())
}

fn facts(failure: &Failure) -> Vec<(&'static str, String)> {
    let order = failure.order.to_string();
    let found = match (failure.saved, failure.found_in_case) {
        (true, _) => "saved by an earlier run".to_owned(),
        (false, 0) => "where nothing was done".to_owned(),
        (false, case) => format!(
            "in case {case}, after {}; {} cases failed so; {} tried to make it plainer{}",
            show_ns(failure.found_after_ns),
            failure.seen,
            failure.steps,
            if failure.minimal { "" } else { ", for which there was not time enough" }
        ),
    };
    [
        ("what", failure.what.clone()),
        ("order", order),
        ("found", found),
        ("case", failure.scenario.clone()),
        ("repeat", failure.repeat.clone()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .collect()
}

fn judged(count: &InvariantCount) -> String {
    let InvariantCount { held, violated, not_known, why, .. } = count;
    let mut parts = vec![format!("held in {} cases", grouped(*held))];
    if *violated > 0 {
        parts.push(format!("not in {}", grouped(*violated)));
    }
    if let (Some(why), true) = (why, *not_known > 0) {
        parts.push(format!("not known in {}: {why}", grouped(*not_known)));
    }
    parts.join(", ")
}

fn conclusion(result: &FuzzResult) -> String {
    let mut text = match result.failures.len() {
        0 if result.not_reproduced + result.unconfirmed > 0 => {
            format!("no failure was confirmed in {} cases", grouped(result.cases))
        }
        0 => format!(
            "no failure in {} cases: at most {} of such cases fail (95 %)",
            grouped(result.cases),
            percent(result.bound.high)
        ),
        1 => "1 failure was found and confirmed".to_owned(),
        more => format!("{more} failures were found and confirmed"),
    };
    if result.not_reproduced > 0 {
        let _ = write!(text, "; {} came once and did not come again", result.not_reproduced);
    }
    if result.unconfirmed > 0 {
        let _ = write!(text, "; there was no time to confirm {} more", result.unconfirmed);
    }
    if result.inconclusive > 0 {
        let _ = write!(text, "; {} cases told nothing", result.inconclusive);
    }
    if result.interrupted {
        text.push_str("; interrupted");
    }
    text
}

#[cfg(test)]
mod tests {
    use holdline_model::fuzz::{Bound, Course, FailureRate, Invariant, SCHEMA};

    use super::*;
    use crate::junit::rules;
    use crate::sample;

    fn result() -> FuzzResult {
        let count = |invariant, held, violated, not_known, why: Option<&str>| {
            let why = why.map(str::to_owned);
            InvariantCount { invariant, held, violated, not_known, why }
        };
        let failure = Failure {
            invariant: Invariant::Collateral,
            scenario: "cases/collateral.toml".to_owned(),
            faults: 2,
            rate: FailureRate::of(17, 20),
            repeat: "holdline run cases/collateral.toml -s web -r 20 --seed 1".to_owned(),
            what: "3 lost <that> need not have been".to_owned(),
            order: Course::default(),
            seen: 4,
            saved: false,
            found_in_case: 7,
            found_after_ns: 2_000_000_000,
            steps: 30,
            minimal: true,
        };
        FuzzResult {
            schema: SCHEMA.to_owned(),
            seed: 1,
            cases: 412,
            bound: Bound::of(412),
            not_reproduced: 1,
            unconfirmed: 0,
            failures: vec![failure],
            supervisor: "web".to_owned(),
            manifest: sample::run(Vec::new()).manifest,
            inconclusive: 2,
            faults: 900,
            orders: 120,
            aimed: 200,
            traced: 12,
            saved: 0,
            recovery_ns: 1_000_000_000,
            asked_ns: 0,
            invariants: vec![
                count(Invariant::Lives, 412, 0, 0, None),
                count(Invariant::Holds, 0, 0, 412, Some("each worker has a socket of its own")),
                count(Invariant::Collateral, 408, 4, 0, None),
            ],
            elapsed_ns: 60_000_000_000,
            interrupted: false,
        }
    }

    #[test]
    fn what_was_found_says_how_often_it_fails_and_how_to_repeat_it() {
        for text in [terminal(&result(), &Style::default()), markdown(&result())] {
            for part in
                ["17 of 20 trials (62 % to 97 % at 95 %)", "with 2 faults", "-r 20 --seed 1", "412 cases/min"]
            {
                assert!(text.contains(part), "{part} is not in\n{text}");
            }
        }
        // One that came once leaves no bound to be told.
        let once = FuzzResult { failures: Vec::new(), ..result() };
        assert!(!terminal(&once, &Style::default()).contains("at most"));
        let nothing = FuzzResult { not_reproduced: 0, ..once };
        let text = terminal(&nothing, &Style::default());
        assert!(text.contains("no failure in 412 cases: at most 0.72 % of such cases fail (95 %)"), "{text}");
    }

    #[test]
    fn a_failure_fails_its_invariant_and_what_is_not_known_is_skipped() {
        let xml = junit(&result(), &sample::default_run()).expect("XML");
        rules::check(&xml);
        for part in ["tests=\"3\"", "failures=\"1\"", "<skipped", "type=\"collateral\"", "&lt;that&gt;"] {
            assert!(xml.contains(part), "{part} is not in\n{xml}");
        }
    }
}
