//! The page of a comparison: its tables, with each interval drawn, and nothing that needs a network or a script.

use std::fmt::Write;

use holdline_model::compare::{Compared, Comparison, Words};

use super::{facts, is_said, lists, method, tables};
use crate::ratios::Ratios;

/// The look of the page, in light and in dark, on paper and on phones.
const STYLE: &str = "
:root { color-scheme: light dark; --ink: light-dark(#1b1f24, #e6e8eb); --faint: light-dark(#5b6570, #9aa4ae);
  --line: light-dark(#d5dae0, #3a424b); --slow: light-dark(#b3261e, #ff8a80); --fast: light-dark(#1b6e3c, #7bd49b);
  --same: light-dark(#3a5a8c, #9bbcf0); --ground: light-dark(#fff, #14181c); }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 2rem auto;
  max-width: 75rem; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.7rem 0.2rem 0; text-align: left; white-space: nowrap; }
th { border-bottom: 1px solid var(--line); color: var(--faint); font-weight: 600; }
td.number, th.number { text-align: right; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; } .faint { color: var(--faint); }
svg { vertical-align: middle; } svg text { fill: var(--faint); font-size: 10px; }
.slower { color: var(--slow); } .faster { color: var(--fast); } .same { color: var(--same); }
@media (max-width: 600px) { body { font-size: 13px; } .rest { display: none; } td { white-space: normal; }
  svg { width: 110px; height: auto; } }
@page { size: A4; margin: 12mm; }
@media print { body { margin: 0; max-width: none; padding: 0; font-size: 10px; } .wide { overflow: visible; }
  .rest { display: table-cell; } th, td { padding-right: 0.5rem; } svg { width: 150px; height: auto; }
  h2, .faint { break-after: avoid; } tr { break-inside: avoid; } }
";

/// Columns that a phone has no room for: what is measured, beside what it comes to.
const REST: [&str; 4] = ["reference", "it", "at 95 %", "noise"];

/// A comparison as one page.
#[must_use]
pub fn html(comparison: &Comparison) -> String {
    let mut out = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    let _ = write!(out, "<title>holdline comparison</title>\n<style>{STYLE}</style>\n</head>\n<body>\n");
    let _ = writeln!(out, "<h1>Compared with {}</h1>", escape(&comparison.reference));
    for (head, lines) in lists(comparison).iter().filter(|(head, _)| *head == "warnings") {
        list(&mut out, head, lines);
    }
    for shown in tables(comparison) {
        let of_table = |result: &&Compared| shown.title.starts_with(&format!("{}, against", result.scenario));
        let results: Vec<&Compared> = comparison.results.iter().filter(of_table).collect();
        table(&mut out, &shown, if results.len() == shown.rows.len() { &results } else { &[] });
    }
    for (head, lines) in lists(comparison).iter().filter(|(head, _)| *head != "warnings") {
        list(&mut out, head, lines);
    }
    let _ = writeln!(out, "<p class=\"faint\">{}</p>", escape(&method(comparison)));
    list(&mut out, "how it was measured", &facts(comparison));
    out.push_str("</body>\n</html>\n");
    out
}

fn list(out: &mut String, head: &str, lines: &[String]) {
    let _ = writeln!(out, "<h2>{}</h2>\n<ul>", escape(&crate::markdown::capital(head)));
    out.extend(lines.iter().map(|line| format!("<li>{}</li>\n", escape(line))));
    out.push_str("</ul>\n");
}

/// A table; where its rows are ratios, with their intervals drawn.
fn table(out: &mut String, shown: &Ratios, results: &[&Compared]) {
    let _ = writeln!(
        out,
        "<h2>{}</h2>\n<p class=\"faint\">{}</p>\n<div class=\"wide\"><table>\n<tr>",
        escape(&crate::markdown::capital(&shown.title)),
        escape(&shown.note)
    );
    let class = |index: usize| match shown.heads.get(index) {
        _ if index < shown.names => "",
        Some(head) if REST.contains(&head.as_str()) => " class=\"number rest\"",
        Some(_) | None => " class=\"number\"",
    };
    for (index, head) in shown.heads.iter().enumerate() {
        let _ = write!(out, "<th{}>{}</th>", class(index), escape(head));
    }
    if !results.is_empty() {
        let _ = write!(out, "<th>{}</th>", Scale::of(results).head());
    }
    out.push_str("</tr>\n");
    for (position, row) in shown.rows.iter().enumerate() {
        out.push_str("<tr>");
        let result = results.get(position);
        for (index, cell) in row.iter().enumerate() {
            let said = result.filter(|_| index + 1 == row.len()).map(|result| colour(result.words));
            let cell = escape(cell);
            let cell = said.map_or(cell.clone(), |said| format!("<span class=\"{said}\">{cell}</span>"));
            let _ = write!(out, "<td{}>{cell}</td>", class(index));
        }
        if let Some(result) = result {
            let _ = write!(out, "<td>{}</td>", Scale::of(results).draw(result));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
}

fn colour(words: Words) -> &'static str {
    match words {
        Words::Slower => "slower",
        Words::Faster => "faster",
        Words::Same => "same",
        Words::CannotTell => "faint",
    }
}

/// A logarithmic scale that all ratios of a table have in common.
struct Scale {
    /// The largest ratio, or the inverse of the smallest.
    most: f64,
}

const WIDTH: f64 = 260.0;

impl Scale {
    fn of(results: &[&Compared]) -> Self {
        let reach = |result: &&Compared| result.ratio.high.max(1.0 / result.ratio.low.max(1e-9));
        let most = results.iter().map(reach).fold(1.25, f64::max);
        Self { most: most.min(1e4) }
    }

    fn x(&self, ratio: f64) -> f64 {
        let share = ratio.max(1e-9).ln() / self.most.ln();
        WIDTH * (0.5 + share.clamp(-1.0, 1.0) * 0.48)
    }

    fn head(&self) -> String {
        let most = super::number(self.most);
        format!(
            "<svg width=\"{WIDTH}\" height=\"14\" viewBox=\"0 0 {WIDTH} 14\" role=\"img\" aria-label=\"scale\"><text x=\"0\" y=\"11\">1/{most}</text><text x=\"{}\" y=\"11\" text-anchor=\"middle\">1</text><text x=\"{WIDTH}\" y=\"11\" text-anchor=\"end\">{most}</text></svg>",
            WIDTH / 2.0
        )
    }

    /// The noise as a band, the interval as a line, the estimate as a dot: filled where something may be said.
    fn draw(&self, result: &Compared) -> String {
        let (low, high) = (self.x(result.ratio.low), self.x(result.ratio.high));
        let mut svg = format!(
            "<svg width=\"{WIDTH}\" height=\"18\" viewBox=\"0 0 {WIDTH} 18\" class=\"{}\" role=\"img\">",
            colour(result.words)
        );
        let _ = write!(
            svg,
            "<title>{} to {}</title>",
            super::number(result.ratio.low),
            super::number(result.ratio.high)
        );
        if let Some(noise) = result.noise {
            let (from, to) = (self.x(noise.low), self.x(noise.high));
            let _ = write!(
                svg,
                "<rect x=\"{from:.1}\" y=\"2\" width=\"{:.1}\" height=\"14\" fill=\"currentColor\" opacity=\"0.15\"/>",
                (to - from).max(1.0)
            );
        }
        let one = self.x(1.0);
        let _ = write!(svg, "<path d=\"M{one:.1} 0V18\" stroke=\"var(--line)\"/>");
        let _ = write!(svg, "<path d=\"M{low:.1} 9H{high:.1}\" stroke=\"currentColor\" stroke-width=\"2\"/>");
        let fill = if is_said(result.words) { "currentColor" } else { "var(--ground)" };
        let _ = write!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"9\" r=\"4\" fill=\"{fill}\" stroke=\"currentColor\"/></svg>",
            self.x(result.ratio.estimate)
        );
        svg
    }
}

/// `text` so that a page shows it as it is.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
