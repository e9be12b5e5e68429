//! The terminal report of a run: a table for each scenario, then what it comes to in words.
//!
//! Rendering reads nothing but the result, so `holdline report` prints the same bytes again.

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use holdline_model::result::RunResult;
use holdline_model::words::{Grade, Verdict};

use crate::columns::{self, Column, Layout};
pub use crate::detail::trial;
use crate::prose::{self, Line, MERGED, NO_TRIALS};
use crate::ratios::{Ratios, ratios as all_ratios};
use crate::rows::{Row, Section, sections, supervisors};
pub use crate::style::Style;
use crate::text::{UNKNOWN, columns, plain, wrap};

/// The report of a whole run, ending in a newline.
#[must_use]
pub fn terminal(run: &RunResult, style: &Style) -> String {
    if run.trials.is_empty() {
        return format!("{NO_TRIALS}\n");
    }
    let sections = sections(run);
    let mut blocks: Vec<String> = sections.iter().map(|section| scenario(section, *style)).collect();
    if sections.len() > 1 {
        blocks.push(matrix(run, &sections, *style));
    }
    blocks.extend(all_ratios(run).iter().map(|ratios| self::ratios(ratios, *style)));
    blocks.extend(block("lost", &prose::losses(run), *style));
    blocks.extend(block("advice", &prose::advice(run), *style));
    blocks.extend(block("reasons", &prose::reasons(run), *style));
    blocks.push(verdict(run, *style));
    blocks.push(footer(run, &sections, *style));
    blocks.retain(|block| !block.is_empty());
    format!("{}\n", blocks.join("\n\n"))
}

/// The table of one scenario, in the widest layout that fits.
fn scenario(section: &Section<'_>, style: Style) -> String {
    let fits = |lines: &Vec<String>| {
        style.width.is_none_or(|width| lines.iter().all(|line| columns(line) <= usize::from(width)))
    };
    let table = [Layout::Wide, Layout::Narrow]
        .into_iter()
        .map(|layout| lay_out(section, layout))
        .find(fits)
        .map_or_else(|| stacked(section, style), |lines| painted(section, &lines, style));
    format!("{}\n{table}", title(section, style))
}

fn title(section: &Section<'_>, style: Style) -> String {
    format!("{}  {}", style.strong(&plain(section.scenario)), style.faint(&prose::size(section)))
}

/// The lines of the table: two of heading, a rule, and one for each row.
fn lay_out(section: &Section<'_>, layout: Layout) -> Vec<String> {
    let columns: Vec<&Column> = columns::columns(section, layout).collect();
    let mut table = bare_table();
    let head = columns.iter().map(|column| right(column.head));
    table.set_header(std::iter::once(Cell::new("\nsupervisor")).chain(head).chain([Cell::new("\ngrade")]));
    for row in &section.rows {
        let cells = columns.iter().map(|column| right(column.text(row)));
        let name = Cell::new(plain(row.supervisor));
        table.add_row(std::iter::once(name).chain(cells).chain([Cell::new(row.grade_text())]));
    }
    finish(&mut table)
}

fn right(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// A table without boxes: a rule below the heading is all it has.
pub(crate) fn bare_table() -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─')));
    table.set_content_arrangement(ContentArrangement::Disabled);
    table
}

pub(crate) fn finish(table: &mut Table) -> Vec<String> {
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { 2 }));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// The lines with headings set off and grades in their colours.
fn painted(section: &Section<'_>, lines: &[String], style: Style) -> String {
    let body = lines.len() - section.rows.len();
    let paint = |(index, line): (usize, &String)| match index.checked_sub(body) {
        Some(row) => style.last_grades(&section.rows[row].grade_parts(), line),
        None if index + 1 == body => style.faint(line),
        None => style.strong(line),
    };
    lines.iter().enumerate().map(paint).collect::<Vec<_>>().join("\n")
}

/// For terminals too narrow for any table: a few lines for each supervisor.
fn stacked(section: &Section<'_>, style: Style) -> String {
    let block = |row: &Row<'_>| {
        let name = style.strong(&plain(row.supervisor));
        let head = format!("{name}  {}", style.grades(&row.grade_parts()));
        if row.attempts == 0 {
            return head;
        }
        let parts: Vec<String> =
            columns::columns(section, Layout::Stacked).filter_map(|column| column.listed(row)).collect();
        format!("{head}\n{}", wrap(&format!("  {}", parts.join(", ")), style.width, "  "))
    };
    section.rows.iter().map(block).collect::<Vec<_>>().join("\n")
}

/// Grades of all supervisors in all scenarios.
fn matrix(run: &RunResult, sections: &[Section<'_>], style: Style) -> String {
    let mut table = bare_table();
    let heads = sections.iter().map(|section| Cell::new(plain(section.scenario)));
    table.set_header(std::iter::once(Cell::new("grades")).chain(heads));
    let names = supervisors(run);
    let cells: Vec<Vec<Option<&Row<'_>>>> = names
        .iter()
        .map(|name| {
            sections.iter().map(|section| section.rows.iter().find(|r| r.supervisor == *name)).collect()
        })
        .collect();
    for (name, cells) in names.iter().zip(&cells) {
        let cells = cells.iter().map(|row| row.map_or_else(|| UNKNOWN.to_owned(), Row::grade_text));
        table.add_row(std::iter::once(Cell::new(plain(name))).chain(cells.map(Cell::new)));
    }
    let lines = finish(&mut table);
    if style.width.is_some_and(|width| lines.iter().any(|line| columns(line) > usize::from(width))) {
        return grade_lists(&names, sections, style);
    }
    let body = lines.len() - names.len();
    let mut out: Vec<String> = lines[..body].iter().map(|line| style.strong(line)).collect();
    out.extend(lines[body..].iter().zip(&cells).map(|(line, cells)| paint_cells(line, cells, style)));
    out.join("\n")
}

/// Colours the grades of a line of the matrix, from the last to the first.
fn paint_cells(line: &str, cells: &[Option<&Row<'_>>], style: Style) -> String {
    let mut head = line.to_owned();
    let mut tail = String::new();
    for row in cells.iter().rev().flatten() {
        let text = row.grade_text();
        let Some(at) = head.rfind(&text) else { continue };
        tail = format!("{}{}{tail}", style.grades(&row.grade_parts()), &head[at + text.len()..]);
        head.truncate(at);
    }
    head + &tail
}

/// The matrix as a list, where it is too wide.
fn grade_lists(names: &[&str], sections: &[Section<'_>], style: Style) -> String {
    let line = |name: &&str| {
        let grades = sections.iter().filter_map(|section| {
            let row = section.rows.iter().find(|row| row.supervisor == *name)?;
            Some(format!("\n  {}  {}", style.grades(&row.grade_parts()), plain(section.scenario)))
        });
        format!("{}{}", style.strong(&plain(name)), grades.collect::<String>())
    };
    names.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A table of ratios; a list where it is too wide.
pub(crate) fn ratios(ratios: &Ratios, style: Style) -> String {
    let mut table = bare_table();
    let cells = |index: usize, text: &str| if index < ratios.names { Cell::new(text) } else { right(text) };
    table.set_header(ratios.heads.iter().enumerate().map(|(index, head)| cells(index, head)));
    for row in &ratios.rows {
        table.add_row(row.iter().enumerate().map(|(index, text)| cells(index, text)));
    }
    let lines = finish(&mut table);
    let title = wrap(&format!("{}  {}", ratios.title, ratios.note), style.width, "  ");
    let title = style.strong(&title);
    if style.width.is_some_and(|width| lines.iter().any(|line| columns(line) > usize::from(width))) {
        let line = |row: &Vec<String>| wrap(&format!("  {}", row.join("  ")), style.width, "    ");
        return format!("{title}\n{}", ratios.rows.iter().map(line).collect::<Vec<_>>().join("\n"));
    }
    format!("{title}\n{}", lines.join("\n"))
}

/// A heading and its lines, if there are any.
fn block(head: &str, lines: &[Line], style: Style) -> Option<String> {
    (!lines.is_empty()).then(|| format!("{}\n{}", style.strong(head), listed(lines, style)))
}

/// Lines with the names in a column of their own, as long as there is room.
fn listed(lines: &[Line], style: Style) -> String {
    let widest = lines.iter().map(|line| columns(&line.who)).max().unwrap_or(0);
    let widest = if style.width.is_some_and(|width| widest + 40 > usize::from(width)) { 0 } else { widest };
    let indent = " ".repeat(if widest == 0 { 4 } else { widest + 4 });
    lines
        .iter()
        .map(|line| {
            let pad = " ".repeat(widest.saturating_sub(columns(&line.who)));
            let (first, quoted) = line.text.split_once('\n').unwrap_or((&line.text, ""));
            let first = wrap(&format!("  {}{pad}  {first}", line.who), style.width, &indent);
            // What is quoted is not broken anew.
            let quoted = quoted.lines().map(|line| format!("\n{indent}{}", line.trim_start()));
            std::iter::once(first).chain(quoted).collect::<String>()
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn verdict(run: &RunResult, style: Style) -> String {
    let text = wrap(&prose::expectations(run), style.width, "  ");
    let failed = run.trials.iter().any(|trial| trial.verdict == Verdict::Fail);
    let failed = failed || prose::has_required_in_vain(run);
    let told = run.trials.iter().all(|trial| trial.verdict == Verdict::Pass);
    let text = match (failed, told) {
        (true, _) => style.grade(Grade::Lossy, &text),
        (false, true) => style.grade(Grade::Held, &text),
        (false, false) => style.grade(Grade::Delayed, &text),
    };
    let mut lines = prose::violations(run);
    lines.extend(prose::foreseen(run));
    if lines.is_empty() { text } else { format!("{text}\n{}", listed(&lines, style)) }
}

/// Notes and the legend.
fn footer(run: &RunResult, sections: &[Section<'_>], style: Style) -> String {
    let mut lines: Vec<String> =
        prose::notes(run).iter().map(|note| wrap(&format!("note: {note}"), style.width, "  ")).collect();
    let terms = prose::legend(run).into_iter();
    let mut legend: Vec<String> = terms.map(|(term, meaning)| format!("{term}: {meaning}")).collect();
    if sections.iter().flat_map(|section| &section.rows).any(Row::is_repeated) {
        legend.push(MERGED.to_owned());
    }
    let legend = wrap(&legend.join("; "), style.width.or(Some(120)), "");
    lines.extend(legend.lines().map(|line| style.faint(line)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::columns::Value;
    use crate::sample;

    const PLAIN: Style = Style { color: false, width: None };
    const ESCAPE: char = '\u{1b}';

    #[test]
    fn a_small_run_as_a_whole() {
        let mut run = sample::default_run();
        run.trials.truncate(2);
        run.trials.push(sample::unsupported("circus", "crash"));
        let expected = "\
crash  3 trials of 20 attempts
                                  in           queue   other  longest  accept
supervisor    served  poison  flight  refused  reset  losses   outage     p50     p99     max  grade
──────────────────────────────────────────────────────────────────────────────────────────────────────────
bare               5       1       0       14      0       0   350 ms  131 µs  330 µs  337 µs  down
restart-loop       8       1       1        9      1       0   104 ms  131 µs  330 µs  337 µs  lossy
circus             –       –       –        –      –       –        –       –       –       –  unsupported

lost
  bare          14 refused: nobody was listening; safe to retry
  restart-loop  9 refused: nobody was listening; safe to retry
  restart-loop  1 reset in the queue of a listener that was closed

reasons
  bare    down: no worker accepted again within 5 s of the fault
  circus  unsupported: not installed: pip install circus==0.19.0

0 of 3 trials met the scenario's expectations; 2 did not: bare, restart-loop; 1 unsupported: circus
  bare          collateral: expected 0, was 14
  restart-loop  collateral: expected 0, was 10

poison: carried the fault itself; in flight: in the hands of the worker that crashed; refused: nobody was listening;
queue reset: connected, but never accepted; other: lost in any other way that a supervisor can prevent; accept: from the
intended start until a worker took it up
";
        assert_eq!(terminal(&run, &PLAIN), expected);
    }

    #[test]
    fn the_reference_supervisors_fit_every_terminal() {
        for width in [120, 110, 100, 80, 72, 60, 40] {
            let text = terminal(&sample::default_run(), &Style { color: false, width: Some(width) });
            for line in text.lines() {
                assert!(columns(line) <= usize::from(width), "{width}: {line}");
            }
        }
        let wide = terminal(&sample::default_run(), &Style { color: false, width: Some(120) });
        assert!(wide.contains("refused"), "120 columns have room for every column");
    }

    #[test]
    fn several_scenarios_have_a_matrix() {
        let text = terminal(&sample::varied(), &PLAIN);
        assert!(text.contains("\ngrades        crash         deploy\n"), "{text}");
        assert!(text.contains("\ncircus        unsupported   –\n"), "{text}");
        let colour = terminal(&sample::varied(), &Style { color: true, width: None });
        assert!(
            colour.contains("\nheld-socket   \u{1b}[33mdelayed\u{1b}[0m       \u{1b}[33mdelayed\u{1b}[0m\n"),
            "grades are coloured, names that contain their words are not"
        );
    }

    #[test]
    fn repetitions_say_how_many_they_are() {
        let text = terminal(&sample::repeated(), &PLAIN);
        assert!(text.contains("trials"), "{text}");
        assert!(text.contains("lossy 2 of 3, held 1"), "{text}");
        assert!(text.contains("5 of 60 (8.3 %, 2.8 to 18 %)"), "{text}");
        assert!(text.contains("100 ms (0–140)"), "{text}");
        assert!(text.contains("of several trials, counts are sums"), "{text}");
    }

    #[test]
    fn no_trials_is_said() {
        let run = sample::run(Vec::new());
        assert_eq!(terminal(&run, &PLAIN), "no trials ended\n");
        assert_eq!(terminal(&run, &Style { color: true, width: Some(1) }), "no trials ended\n");
    }

    #[test]
    fn hostile_names_bring_no_escape_codes() {
        let run = sample::hostile();
        assert!(!terminal(&run, &PLAIN).contains(ESCAPE));
        assert!(!trial(&run.trials[0], &PLAIN).contains(ESCAPE));
    }

    #[test]
    fn wide_characters_do_not_shift_columns() {
        let run = sample::run(vec![sample::held("監督", "crash"), sample::held("prefork", "crash")]);
        let text = terminal(&run, &PLAIN);
        let at = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).expect("its row");
            columns(&line[..line.find("held").expect("its grade")])
        };
        assert_eq!(at("監督"), at("prefork"));
    }

    proptest! {
        #[test]
        fn colour_changes_nothing_but_colour(run in sample::any_run(), width in prop::option::of(1_u16..200)) {
            let plain = terminal(&run, &Style { color: false, width });
            prop_assert!(!plain.contains(ESCAPE));
            let colour = terminal(&run, &Style { color: true, width });
            prop_assert_eq!(anstyle_free(&colour), plain);
        }

        #[test]
        fn shown_counts_sum_to_the_attempts(run in sample::any_run()) {
            for section in sections(&run) {
                let counts = |column: &&Column| !matches!(column.value, Value::Text(_));
                let shown: Vec<&Column> = columns::columns(&section, Layout::Wide).filter(counts).collect();
                for row in &section.rows {
                    let number = |column: &&Column| column.text(row).replace(' ', "").parse().unwrap_or(0);
                    prop_assert_eq!(shown.iter().map(number).sum::<u64>(), row.attempts);
                }
            }
        }
    }

    /// `text` without its colours.
    fn anstyle_free(text: &str) -> String {
        let mut parts = text.split("\u{1b}[");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |out, part| out + part.split_once('m').map_or("", |(_, rest)| rest))
    }
}
