//! What a gate comes to, for people and for CI.

use std::collections::BTreeMap;

use holdline_model::gate::{Amount, Baseline, Finding, GateResult, GateVerdict, Line, Value};
use holdline_model::result::RunResult;
use holdline_model::words::Grade;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus};

use crate::course::Courses;
use crate::html::{HtmlError, Preface, page};
use crate::junit::{JunitError, document, suite};
use crate::markdown::{capital, escape};
use crate::style::Style;
use crate::text::{count, counted, plain, wrap};

/// The result as JSON, `holdline.gate/1`, with a newline at its end.
///
/// # Panics
///
/// Never: results have no map keys that JSON cannot hold.
#[must_use]
pub fn json(result: &GateResult) -> String {
    let mut text = serde_json::to_string_pretty(result).expect("results are representable as JSON");
    text.push('\n');
    text
}

/// The result for a terminal, ending in a newline.
#[must_use]
pub fn terminal(result: &GateResult, style: Style) -> String {
    let mut out = String::new();
    for (head, lines) in lists(result) {
        out.push_str(&format!("{}\n", style.strong(head)));
        for line in lines {
            out.push_str(&format!("{}\n", wrap(&format!("  {line}"), style.width, "    ")));
        }
        out.push('\n');
    }
    let grade = match result.verdict {
        GateVerdict::Pass => Grade::Held,
        GateVerdict::Fail => Grade::Lossy,
        GateVerdict::Inconclusive => Grade::Inconclusive,
    };
    out.push_str(&format!("{}\n", style.grade(grade, &wrap(&sentence(result), style.width, "  "))));
    out
}

/// The result as GitHub-flavoured Markdown, for job summaries.
#[must_use]
pub fn markdown(result: &GateResult) -> String {
    let mut out = format!("# holdline gate\n\n**{}**\n", escape(&sentence(result)));
    for (head, lines) in lists(result) {
        out.push_str(&format!("\n## {}\n\n", capital(head)));
        out.extend(lines.iter().map(|line| format!("- {}\n", escape(line))));
    }
    out
}

/// The result as a page: what the gate says, and beneath it the run that it was made from.
///
/// # Errors
///
/// As [`html`](crate::html::html).
pub fn html(result: &GateResult, run: &RunResult, courses: Courses<'_>) -> Result<String, HtmlError> {
    let tone = match result.verdict {
        GateVerdict::Pass => "pass",
        GateVerdict::Fail => "fail",
        GateVerdict::Inconclusive => "unknown",
    };
    let lists = lists(result).into_iter().map(|(head, lines)| (capital(head), lines)).collect();
    page(run, courses, Some(&Preface { headline: capital(&sentence(result)), tone, lists, trials: None }))
}

fn sentence(result: &GateResult) -> String {
    let held = counted(result.compared as u64, "metric");
    let of = format!("{held} held against {}", plain(&result.baseline));
    match result.verdict {
        GateVerdict::Pass => format!("{of}: nothing has become worse"),
        GateVerdict::Fail => format!("{of}: {}", counted(result.regressions.len() as u64, "regression")),
        GateVerdict::Inconclusive => format!("{of}: it cannot be told whether anything has become worse"),
    }
}

/// Headings and their lines.
fn lists(result: &GateResult) -> Vec<(&'static str, Vec<String>)> {
    let pairs = |pairs: &[holdline_model::gate::Pair]| -> Vec<String> {
        pairs.iter().map(|pair| format!("{} in {}", plain(&pair.supervisor), plain(&pair.scenario))).collect()
    };
    let warnings = result.warnings.iter().map(|differs| {
        format!(
            "{} is {} now, and {} in the baseline: times are compared as ratios alone",
            plain(&differs.what),
            plain(&differs.now),
            plain(&differs.baseline)
        )
    });
    let known = result.known.iter().map(|known| {
        format!("{}; known until {}: {}", finding(&known.finding), known.until, plain(&known.reason))
    });
    let undecided = result.undecided.iter().map(|undecided| {
        let metric = undecided.metric.as_ref().map(|metric| format!(", {metric}")).unwrap_or_default();
        let (supervisor, scenario) = (plain(&undecided.supervisor), plain(&undecided.scenario));
        format!("{supervisor} in {scenario}{metric}: {}", plain(&undecided.because.to_string()))
    });
    let all: Vec<(&'static str, Vec<String>)> = vec![
        ("warnings", warnings.collect()),
        ("regressions", result.regressions.iter().map(repeated).collect()),
        ("cannot tell", undecided.collect()),
        ("known", known.collect()),
        ("worse once, and not when measured again", result.not_confirmed.iter().map(finding).collect()),
        ("not in the baseline, and not judged", pairs(&result.new)),
        ("in the baseline, and not run", pairs(&result.missing)),
    ];
    all.into_iter().filter(|(_, lines)| !lines.is_empty()).collect()
}

fn repeated(found: &Finding) -> String {
    format!("{}; shown by {}; repeat it: {}", finding(found), plain(&found.trial), plain(&found.repeat))
}

/// What, and by how much.
fn finding(found: &Finding) -> String {
    let amount = |amount: Amount, of: Option<u64>| match (amount, of) {
        (Amount::Count(n), Some(of)) => format!("{} of {}", count(n), count(of)),
        (Amount::Count(n), None) => count(n),
        (Amount::Ratio(ratio), _) => format!("{ratio:.2} times the reference's"),
    };
    let unconfirmed = if found.confirmed { "" } else { ", not confirmed" };
    format!(
        "{} in {}: {} is {}{unconfirmed}, and {} in the baseline, which allows {:.3}",
        plain(&found.supervisor),
        plain(&found.scenario),
        found.metric,
        amount(found.measured, found.measured_of),
        amount(found.baseline, found.baseline_of),
        found.allowed
    )
}

/// What changes from one baseline to another, a line for each metric.
#[must_use]
pub fn changes(old: &Baseline, new: &Baseline) -> String {
    let table = |baseline: &Baseline| -> BTreeMap<String, String> {
        let name = |line: &Line| format!("{} {} {}", line.scenario, line.supervisor, line.metric);
        baseline.metrics.iter().map(|line| (plain(&name(line)), value(&line.value))).collect()
    };
    let (before, after) = (table(old), table(new));
    let mut lines = Vec::new();
    for (name, now) in &after {
        match before.get(name) {
            None => lines.push(format!("+ {name}: {now}")),
            Some(then) if then != now => lines.push(format!("~ {name}: {then} -> {now}")),
            Some(_) => {}
        }
    }
    lines.extend(
        before
            .iter()
            .filter(|(name, _)| !after.contains_key(*name))
            .map(|(name, then)| format!("- {name}: {then}")),
    );
    if lines.is_empty() {
        "the baseline is as it was".to_owned()
    } else {
        format!("the baseline changes:\n{}", lines.join("\n"))
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Count(tally) => format!("{} of {}", count(tally.count), count(tally.of)),
        Value::Time { ratio } => format!("{} ({} to {})", ratio.estimate, ratio.low, ratio.high),
    }
}

/// The result as JUnit XML: a case for whatever is not as in the baseline, whose class is the scenario, and one for all
/// that is.
///
/// # Errors
///
/// If the XML writer refuses a text, which it does not for any that a result can hold.
pub fn junit(result: &GateResult, run: &RunResult) -> Result<String, JunitError> {
    let mut suite = suite("holdline gate", run);
    let add = |scenario: &'_ str, name: String, status: TestCaseStatus| {
        let mut case = TestCase::new(name, status);
        case.set_classname(plain(scenario));
        case
    };
    let name = |supervisor: &str, metric: &str| format!("{} {metric}", plain(supervisor));
    for found in &result.regressions {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type("regression").set_message(finding(found)).set_description(repeated(found));
        let case = add(&found.scenario, name(&found.supervisor, &found.metric), status);
        suite.add_test_case(case);
    }
    for undecided in &result.undecided {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_type("undecided").set_message(plain(&undecided.because.to_string()));
        let metric = undecided.metric.as_deref().unwrap_or("as a whole");
        let case = add(&undecided.scenario, name(&undecided.supervisor, metric), status);
        suite.add_test_case(case);
    }
    for known in &result.known {
        let mut status = TestCaseStatus::skipped();
        status.set_message(format!("known until {}: {}", known.until, plain(&known.reason)));
        let case =
            add(&known.finding.scenario, name(&known.finding.supervisor, &known.finding.metric), status);
        suite.add_test_case(case);
    }
    let told = result.regressions.len() + result.undecided.len() + result.known.len();
    let rest =
        format!("{} as in the baseline", counted(result.compared.saturating_sub(told) as u64, "metric"));
    suite.add_test_case(add("gate", rest, TestCaseStatus::success()));
    document(suite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::junit::rules;
    use crate::sample;

    #[test]
    fn what_is_worse_fails_what_is_in_doubt_is_an_error_and_what_is_known_is_skipped() {
        let finding = serde_json::json!({
            "scenario": "crash", "supervisor": "<web>", "metric": "collateral", "tier": "count", "baseline": 0,
            "baseline_of": 300, "measured": 3, "measured_of": 100, "allowed": 0.0, "confirmed": true,
            "trial": "trials/1", "repeat": "holdline run crash -s \"<web>\"",
        });
        let mut known = finding.clone();
        (known["reason"], known["until"]) = ("mended soon".into(), "2027-01-31".into());
        let result = serde_json::json!({
            "schema": "holdline.gate/1", "verdict": "fail", "regressions": [finding],
            "undecided": [{ "scenario": "restart", "supervisor": "web", "because": "not_run" }],
            "known": [known],
            "not_confirmed": [], "new": [], "missing": [], "warnings": [], "compared": 12, "repetitions": 5,
            "baseline": "b.json",
        });
        let result: GateResult = serde_json::from_value(result).expect("a result");
        let cases = rules::check(&junit(&result, &sample::default_run()).expect("XML"));
        let told: Vec<_> = cases.iter().map(|case| (case.class.as_str(), case.status.as_deref())).collect();
        let expected = [
            ("crash", Some("failure")),
            ("restart", Some("error")),
            ("crash", Some("skipped")),
            ("gate", None),
        ];
        assert_eq!(told, expected);
        assert_eq!(cases[0].name, "<web> collateral");
        let page = html(&result, &sample::default_run(), &crate::course::none).expect("a page");
        let (verdict, regression) =
            (page.find("1 regression</h1>"), page.find("&lt;web&gt; in crash: collateral"));
        let run = page.find("The run: ");
        assert!(
            verdict.is_some() && verdict < regression && regression < run,
            "{verdict:?} {regression:?} {run:?}"
        );
    }
}
