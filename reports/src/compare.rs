//! A comparison for people: tables of ratios and losses for terminals, Markdown and a page of its own.

use std::collections::BTreeMap;
use std::fmt::Write;

use holdline_model::compare::{
    Because, CONFIDENCE, Compared, Comparison, Interval, LeftOut, Losses, NotCompared, Whose, Words,
};
use holdline_model::template::shell_words;
use holdline_model::words::Grade;

use crate::markdown::{capital, escape, ratios as markdown_table};
use crate::ratios::Ratios;
use crate::rows::unique;
use crate::style::Style;
use crate::table::ratios as terminal_table;
use crate::text::{UNKNOWN, counted, duration, plain, share, wrap};

mod overview;
mod page;

pub use self::page::html;

/// A comparison as JSON, `holdline.compare/1`, with a newline at its end.
///
/// # Panics
///
/// Never: comparisons have no map keys that JSON cannot hold.
#[must_use]
pub fn json(comparison: &Comparison) -> String {
    let mut text = serde_json::to_string_pretty(comparison).expect("comparisons are representable as JSON");
    text.push('\n');
    text
}

/// A comparison for a terminal, ending in a newline.
#[must_use]
pub fn terminal(comparison: &Comparison, style: Style) -> String {
    let mut blocks: Vec<String> =
        tables(comparison).iter().map(|table| terminal_table(table, style)).collect();
    for (head, lines) in lists(comparison) {
        let lines: Vec<String> =
            lines.iter().map(|line| wrap(&format!("  {line}"), style.width, "    ")).collect();
        blocks.push(format!("{}\n{}", style.strong(head), lines.join("\n")));
    }
    let method = wrap(&method(comparison), style.width.or(Some(120)), "");
    blocks.push(method.lines().map(|line| style.faint(line)).collect::<Vec<_>>().join("\n"));
    format!("{}\n", blocks.join("\n\n"))
}

/// A comparison as GitHub-flavoured Markdown, ending in a newline.
#[must_use]
pub fn markdown(comparison: &Comparison) -> String {
    let mut out = String::from("# holdline comparison\n\n");
    for table in tables(comparison) {
        markdown_table(&mut out, &table);
    }
    for (head, lines) in lists(comparison) {
        let _ = write!(out, "## {}\n\n", capital(head));
        out.extend(lines.iter().map(|line| format!("- {}\n", escape(line))));
        out.push('\n');
    }
    let _ = writeln!(out, "<sub>{}</sub>\n\n## How it was measured\n", escape(&method(comparison)));
    for fact in facts(comparison) {
        let _ = writeln!(out, "- {}", escape(&fact));
    }
    out
}

/// A line for each run that was compared.
fn facts(comparison: &Comparison) -> Vec<String> {
    let fact = |manifest: &holdline_model::result::Manifest| {
        format!(
            "holdline {} ({}, seed {}, {}), kernel {}, {} × {}, isolation {}",
            shell_words(&manifest.command),
            manifest.holdline,
            manifest.seed,
            manifest.started,
            manifest.kernel,
            manifest.cpus,
            manifest.cpu_model,
            manifest.isolation
        )
    };
    comparison.manifests.iter().map(|manifest| plain(&fact(manifest))).collect()
}

/// What it all comes to, then a table of ratios for each scenario, and one of losses.
fn tables(comparison: &Comparison) -> Vec<Ratios> {
    let scenarios = unique(comparison.results.iter().map(|result| result.scenario.as_str()));
    let beside = if comparison.paired { "repetitions side by side" } else { "runs apart" };
    let of_scenario = |scenario: &str| Ratios {
        title: format!("{}, against {}", plain(scenario), plain(&comparison.reference)),
        note: format!("{}, {beside}", counted(comparison.repetitions.into(), "repetition")),
        heads: ["supervisor", "metric", "reference", "it", "ratio", "at 95 %", "noise", ""]
            .map(str::to_owned)
            .to_vec(),
        names: 2,
        rows: comparison.results.iter().filter(|r| r.scenario == scenario).map(row).collect(),
    };
    let ratios = scenarios.into_iter().map(of_scenario);
    let mut tables: Vec<Ratios> = overview::overview(comparison).into_iter().chain(ratios).collect();
    if !comparison.losses.is_empty() {
        tables.push(Ratios {
            title: "lost, and need not have been".to_owned(),
            note: "of what was asked, with the exact interval of the rate".to_owned(),
            heads: ["scenario", "supervisor", "grades", "lost", "against the reference"]
                .map(str::to_owned)
                .to_vec(),
            names: 3,
            rows: comparison.losses.iter().map(loss_row).collect(),
        });
    }
    tables
}

fn row(result: &Compared) -> Vec<String> {
    let value = |ns: Option<u64>, rate: Option<f64>| match (ns, rate) {
        (Some(ns), _) => duration(ns),
        (None, Some(rate)) => format!("{rate:.0}/s"),
        (None, None) => UNKNOWN.to_owned(),
    };
    vec![
        plain(&result.supervisor),
        result.metric.clone(),
        value(result.reference_ns, result.reference_per_second),
        value(result.median_ns, result.per_second),
        times(result.ratio.estimate),
        range(&result.ratio),
        result.noise.as_ref().map_or_else(|| UNKNOWN.to_owned(), range),
        result.words.to_string(),
    ]
}

fn loss_row(losses: &Losses) -> Vec<String> {
    let name = match &losses.run {
        Some(run) => format!("{} ({})", plain(&losses.supervisor), plain(run)),
        None => plain(&losses.supervisor),
    };
    let against = losses.against.as_ref().map_or_else(
        || "the reference".to_owned(),
        |against| match against.high {
            _ if against.words == holdline_model::compare::LossWords::None => against.words.to_string(),
            Some(high) => {
                format!("{}: {} to {} times as often", against.words, number(against.low), number(high))
            }
            None => format!("{}: at least {} times as often", against.words, number(against.low)),
        },
    );
    vec![plain(&losses.scenario), name, grades(&losses.grades), share(losses.lost, losses.of), against]
}

/// `held 9, lossy 1`.
fn grades(grades: &BTreeMap<Grade, u32>) -> String {
    match grades.iter().next() {
        Some((grade, _)) if grades.len() == 1 => grade.to_string(),
        _ => grades.iter().map(|(grade, count)| format!("{grade} {count}")).collect::<Vec<_>>().join(", "),
    }
}

/// A ratio with three digits that matter.
fn number(ratio: f64) -> String {
    match ratio {
        r if !r.is_finite() => "∞".to_owned(),
        r if r >= 99.95 => format!("{r:.0}"),
        r if r >= 9.995 => format!("{r:.1}"),
        r if r >= 0.0995 || r <= 0.0 => format!("{r:.2}"),
        r if r >= 0.00995 => format!("{r:.3}"),
        r if r >= 0.000_995 => format!("{r:.4}"),
        r => format!("{r:.0e}"),
    }
}

fn times(ratio: f64) -> String {
    format!("{} ×", number(ratio))
}

fn range(interval: &Interval) -> String {
    format!("{} to {}", number(interval.low), number(interval.high))
}

/// Everything beside the tables: a heading, and its lines.
fn lists(comparison: &Comparison) -> Vec<(&'static str, Vec<String>)> {
    let all = [
        ("warnings", comparison.warnings.iter().map(|warning| plain(&warning.to_string())).collect()),
        ("left out", left_out(&comparison.left_out)),
        ("not compared", not_compared(comparison)),
    ];
    all.into_iter().filter(|(_, lines): &(_, Vec<String>)| !lines.is_empty()).collect()
}

/// Things that have a key in common, in order of appearance.
fn grouped<K: PartialEq>(all: impl Iterator<Item = (K, String)>) -> Vec<(K, Vec<String>)> {
    let mut groups: Vec<(K, Vec<String>)> = Vec::new();
    for (key, one) in all {
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, with_it)) => with_it.push(one),
            None => groups.push((key, vec![one])),
        }
    }
    groups
}

/// A line for everything that is said, with all of whom it is said.
fn with_names(said: impl Iterator<Item = (String, String)>) -> Vec<String> {
    grouped(said).into_iter().map(|(what, who)| format!("{what}: {}", who.join(", "))).collect()
}

/// Supervisors whose trials say nothing for the same reason stand in one line.
fn left_out(all: &[LeftOut]) -> Vec<String> {
    with_names(all.iter().map(|left| {
        let trials = counted(left.trials.into(), "trial");
        let reason = left.reason.as_deref().map(|reason| format!(", {}", plain(reason))).unwrap_or_default();
        let what = format!("{}, {trials} {}{reason}", plain(&left.scenario), left.grade);
        (what, plain(&left.supervisor))
    }))
}

/// Metrics, and supervisors, that lack for the same reason stand in one line. Where no trial says anything at all, that
/// is told already.
fn not_compared(comparison: &Comparison) -> Vec<String> {
    let says_nothing = |one: &NotCompared| {
        let of = |left: &&LeftOut| left.scenario == one.scenario && left.supervisor == one.supervisor;
        one.because == Because::TooFew
            && comparison.left_out.iter().filter(of).map(|left| left.trials).sum::<u32>()
                >= comparison.repetitions
    };
    let lines = comparison.not_compared.iter().filter(|one| !says_nothing(one)).map(|one| {
        let whose = match one.whose {
            Whose::Reference => "the reference's",
            Whose::Supervisor => "its",
        };
        let repetitions = counted(one.repetitions as u64, "repetition");
        let why = match &one.because {
            Because::Unmeasured(why) => format!("{whose}: {why}, in {repetitions}"),
            Because::Lost => format!("{whose} lost requests are in no latency, in {repetitions}"),
            Because::TooFew => "of fewer than two repetitions no interval can be had".to_owned(),
        };
        ((plain(&one.scenario), why, plain(&one.supervisor)), one.metric.clone())
    });
    with_names(
        grouped(lines).into_iter().map(|((scenario, why, who), metrics)| {
            (format!("{scenario}, {} ({why})", metrics.join(", ")), who)
        }),
    )
}

/// How the words come about.
fn method(comparison: &Comparison) -> String {
    let many = match comparison.comparisons {
        0 | 1 => String::new(),
        n => format!(
            " Words allow for there being {n} comparisons (Holm): all of them are right together at {:.0} %.",
            CONFIDENCE * 100.0
        ),
    };
    let paired = if comparison.paired {
        "Ratios are of geometric means over repetitions that ran side by side in random order"
    } else {
        "Ratios are of geometric means over the repetitions of two runs"
    };
    format!(
        "{paired}, with the wider of Student's and the bootstrap's interval.{many} Noise is the reference against itself, in the same run. Losses are compared exactly (Fisher), and over repetitions where they come together."
    )
}

/// The side on which a ratio is said to be.
fn is_said(words: Words) -> bool {
    match words {
        Words::Slower | Words::Faster | Words::Same => true,
        Words::CannotTell => false,
    }
}

#[cfg(test)]
mod tests {
    use holdline_model::compare::{QUANTITIES, within};

    use super::*;
    use crate::sample;

    fn comparison() -> Comparison {
        within(&sample::repeated(), "held-socket", &QUANTITIES)
    }

    #[test]
    fn every_result_and_every_loss_is_shown_in_every_format() {
        let comparison = comparison();
        assert!(!comparison.losses.is_empty());
        let texts = [
            terminal(&comparison, Style::default()),
            markdown(&comparison).replace('\\', ""),
            html(&comparison),
        ];
        for text in texts {
            for losses in &comparison.losses {
                assert!(text.contains(&share(losses.lost, losses.of)), "{text}");
            }
            for result in &comparison.results {
                assert!(text.contains(&times(result.ratio.estimate)), "{text}");
            }
        }
    }

    #[test]
    fn what_it_says_is_what_it_holds() {
        let comparison = comparison();
        let again: Comparison = serde_json::from_str(&json(&comparison)).expect("its own JSON");
        assert_eq!(again, comparison);
    }

    #[test]
    fn hostile_names_steer_nothing() {
        let run = sample::hostile();
        let comparison = within(&run, &run.trials[0].supervisor, &QUANTITIES);
        assert!(!terminal(&comparison, Style::default()).contains('\u{1b}'));
        assert!(!html(&comparison).contains("<script"));
        assert!(!markdown(&comparison).contains("<script"));
    }

    #[test]
    fn ratios_show_three_digits() {
        for (ratio, text) in [
            (1.0, "1.00"),
            (40.12, "40.1"),
            (123.4, "123"),
            (0.111, "0.11"),
            (0.0123, "0.012"),
            (0.0012, "0.0012"),
            (1.2e-5, "1e-5"),
        ] {
            assert_eq!(number(ratio), text);
        }
    }
}
