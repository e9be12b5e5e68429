//! The report of a run as GitHub-flavoured Markdown, for `report.md` and job summaries.

use std::fmt::Write;

use holdline_model::result::RunResult;
use holdline_model::template::shell_words;
use holdline_model::words::Grade;

use crate::columns::{Column, Layout, columns};
use crate::prose::{self, Line, MERGED, NO_TRIALS};
use crate::ratios::{Ratios, ratios as all_ratios};
use crate::rows::{GRADES_APART, Row, Section, sections, supervisors};
use crate::text::{UNKNOWN, plain};

/// The report of a whole run, ending in a newline.
#[must_use]
pub fn markdown(run: &RunResult) -> String {
    let mut out = String::from("# holdline report\n\n");
    if run.trials.is_empty() {
        out.push_str(&format!("{NO_TRIALS}\n\n"));
    } else {
        out.push_str(&format!("**{}.**\n\n", escape(&prose::expectations(run))));
        results(&mut out, run);
    }
    manifest(&mut out, run);
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn results(out: &mut String, run: &RunResult) {
    let sections = sections(run);
    if sections.len() > 1 {
        matrix(out, run, &sections);
    }
    for section in &sections {
        table(out, section);
    }
    for table in all_ratios(run) {
        ratios(out, &table);
    }
    list(out, "Expectations that did not hold", &prose::violations(run));
    list(out, "Expectations that did not hold, as foreseen", &prose::foreseen(run));
    list(out, "Lost", &prose::losses(run));
    list(out, "Advice", &prose::advice(run));
    list(out, "Reasons", &prose::reasons(run));
    let notes = prose::notes(run);
    if !notes.is_empty() {
        out.push_str("## Notes\n\n");
        out.extend(notes.iter().map(|note| format!("- {}\n", escape(note))));
        out.push('\n');
    }
    let terms = prose::legend(run).into_iter();
    let mut legend: Vec<String> = terms.map(|(term, meaning)| format!("*{term}*: {meaning}")).collect();
    if sections.iter().flat_map(|section| &section.rows).any(Row::is_repeated) {
        legend.push(MERGED.to_owned());
    }
    out.push_str(&format!("<sub>{}.</sub>\n\n", legend.join("; ")));
}

fn table(out: &mut String, section: &Section<'_>) {
    let columns: Vec<&Column> = columns(section, Layout::Markdown).collect();
    let heads: Vec<&str> = columns.iter().map(|column| column.name).collect();
    out.push_str(&format!("## {}\n\n{}\n\n", escape(section.scenario), prose::size(section)));
    out.push_str(&format!("| supervisor | grade | {} |\n", heads.join(" | ")));
    out.push_str(&format!("|:--|:--|{}\n", "--:|".repeat(heads.len())));
    for row in &section.rows {
        let cells: Vec<String> = columns.iter().map(|column| column.text(row)).collect();
        out.push_str(&format!("| {} | {} | {} |\n", escape(row.supervisor), grades(row), cells.join(" | ")));
    }
    out.push('\n');
}

/// Grades of all supervisors in all scenarios.
fn matrix(out: &mut String, run: &RunResult, sections: &[Section<'_>]) {
    let heads: Vec<String> = sections.iter().map(|section| escape(section.scenario)).collect();
    out.push_str(&format!("| supervisor | {} |\n|:--|{}\n", heads.join(" | "), ":--|".repeat(heads.len())));
    for name in supervisors(run) {
        let cells: Vec<String> = sections
            .iter()
            .map(|section| {
                let row = section.rows.iter().find(|row| row.supervisor == name);
                row.map_or_else(|| UNKNOWN.to_owned(), grades)
            })
            .collect();
        out.push_str(&format!("| {} | {} |\n", escape(name), cells.join(" | ")));
    }
    out.push('\n');
}

/// A table of ratios.
pub(crate) fn ratios(out: &mut String, ratios: &Ratios) {
    out.push_str(&format!("## {}\n\n{}\n\n", escape(&capital(&ratios.title)), escape(&ratios.note)));
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    out.push_str(&line(&ratios.heads));
    let numbers = ratios.heads.len() - ratios.names;
    out.push_str(&format!("|{}{}\n", ":--|".repeat(ratios.names), "--:|".repeat(numbers)));
    out.extend(ratios.rows.iter().map(|row| line(row)));
    out.push('\n');
}

/// `text` with its first letter large.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The grades, in bold where something was lost.
fn grades(row: &Row<'_>) -> String {
    let set = |(grade, text): (Grade, String)| match grade {
        Grade::Lossy | Grade::Down => format!("**{text}**"),
        Grade::Held | Grade::Delayed | Grade::Unsupported | Grade::Inconclusive => text,
    };
    row.grade_parts().into_iter().map(set).collect::<Vec<_>>().join(GRADES_APART)
}

fn list(out: &mut String, head: &str, lines: &[Line]) {
    if lines.is_empty() {
        return;
    }
    out.push_str(&format!("## {head}\n\n"));
    out.extend(lines.iter().map(|line| format!("- {}: {}\n", escape(&line.who), escape(&plain(&line.text)))));
    out.push('\n');
}

fn manifest(out: &mut String, run: &RunResult) {
    let manifest = &run.manifest;
    out.push_str("## How it was measured\n\n|  |  |\n|:--|:--|\n");
    for (name, value) in facts(run) {
        writeln!(out, "| {name} | {} |", escape(&value)).unwrap_or_default();
    }
    for (name, value) in &manifest.sysctls {
        writeln!(out, "| {} | {} |", escape(name), escape(value)).unwrap_or_default();
    }
}

/// The manifest in words: name and value.
pub(crate) fn facts(run: &RunResult) -> Vec<(&'static str, String)> {
    let manifest = &run.manifest;
    let cpu = format!("{} × {}", manifest.cpus, plain(&manifest.cpu_model));
    vec![
        ("command", format!("holdline {}", plain(&shell_words(&manifest.command)))),
        ("seed", manifest.seed.to_string()),
        ("started", plain(&manifest.started)),
        ("trials", format!("{} of {} planned", run.trials.len(), manifest.planned)),
        ("holdline", plain(&manifest.holdline)),
        ("kernel", plain(&manifest.kernel)),
        ("CPU", cpu),
        ("isolation", manifest.isolation.to_string()),
    ]
}

/// `text` so that Markdown shows it as it is.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_small_run_as_a_whole() {
        let mut run =
            sample::run(vec![sample::held("prefork", "crash"), sample::unsupported("circus", "crash")]);
        run.trials[1].verdict = holdline_model::words::Verdict::Unsupported;
        let expected = "\
# holdline report

**1 of 2 trials met the scenario's expectations; 1 unsupported: circus.**

## crash

2 trials of 20 attempts

| supervisor | grade | attempts | served | poison | in flight | refused | queue reset | other | longest outage | accept p50 | accept p99 | accept max |
|:--|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
| prefork | held | 20 | 20 | 0 | 0 | 0 | 0 | 0 | none | 131 µs | 330 µs | 337 µs |
| circus | unsupported | – | – | – | – | – | – | – | – | – | – | – |

## Reasons

- circus: unsupported: not installed: pip install circus==0.19.0

<sub>*poison*: carried the fault itself; *in flight*: in the hands of the worker that crashed; *refused*: nobody was listening; *queue reset*: connected, but never accepted; *other*: lost in any other way that a supervisor can prevent; *accept*: from the intended start until a worker took it up.</sub>

## How it was measured

|  |  |
|:--|:--|
| command | holdline run crash --seed 1 |
| seed | 1 |
| started | 2026-03-14T09:26:53Z |
| trials | 2 of 2 planned |
| holdline | 0.1.0 |
| kernel | 6.8.0-41-generic |
| CPU | 2 × AMD EPYC 7B13 |
| isolation | full |
| net.core.somaxconn | 4096 |
";
        assert_eq!(markdown(&run), expected);
    }

    #[test]
    fn several_scenarios_have_a_matrix() {
        let text = markdown(&sample::varied());
        assert!(
            text.contains("| supervisor | crash | deploy |\n|:--|:--|:--|\n| bare | **down** | **down** |\n")
        );
        assert!(text.contains("| circus | unsupported | – |\n"));
    }

    #[test]
    fn no_trials_and_hostile_names() {
        assert!(markdown(&sample::run(Vec::new())).contains("no trials ended"));
        let text = markdown(&sample::hostile());
        assert!(!text.contains("<script"), "{text}");
        assert!(!text.contains('\u{1b}'));
        assert!(text.contains(r"alert('x')&lt;/script&gt;\|"), "a pipe would end the cell");
    }
}
