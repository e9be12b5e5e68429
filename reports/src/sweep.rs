//! What a sweep found: a table of crash steps and modes, a map of system calls, and what a reader should know of
//! them. In the terminal and in Markdown, of the same lines.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{Cell, Table};
use holdline_model::sweep::life::Life;
use holdline_model::sweep::{
    BoundaryResult, CallResult, CellResult, Costs, SweepResult, SweepTarget, WindowResult,
};
use holdline_model::words::{CrashMode, CrashStep, Fate, Grade};

use crate::style::Style;
use crate::table::{bare_table, finish};
use crate::text::{self, UNKNOWN, columns, plain, wrap};

/// The mark of a place at which the request itself is lost.
const OWN: &str = "*";

/// The report of a sweep for a terminal, ending in a newline.
#[must_use]
pub fn terminal(sweep: &SweepResult, style: &Style) -> String {
    let mut blocks = Vec::new();
    for target in SweepTarget::ALL {
        let cells = of_target(sweep, *target);
        if !cells.is_empty() {
            blocks.push(step_table(&cells, *target, *style));
        }
    }
    for life in &sweep.lives {
        let map: Vec<&BoundaryResult> =
            sweep.boundaries.iter().filter(|at| (at.target, at.life) == (life.target, life.life)).collect();
        let head = style.strong(&format!("{} of {}: {}", life.target, plain(&sweep.supervisor), life.life));
        match &life.reason {
            Some(reason) => blocks.push(format!("{head}\n  not recorded: {}", plain(reason))),
            None => blocks.push(format!("{head}\n{}", call_table(&map, *style))),
        }
    }
    let said = lines(sweep);
    if !said.is_empty() {
        let said: Vec<String> = said.iter().map(|line| wrap(line, style.width, "  ")).collect();
        blocks.push(said.join("\n"));
    }
    format!("{}\n", blocks.join("\n\n"))
}

/// The report of a sweep as Markdown, ending in a newline.
#[must_use]
pub fn markdown(sweep: &SweepResult) -> String {
    let mut out = format!("# Sweep of {}\n", escaped(&sweep.supervisor));
    for target in SweepTarget::ALL {
        let cells = of_target(sweep, *target);
        if cells.is_empty() {
            continue;
        }
        let (steps, modes) = axes(&cells);
        let heads: Vec<&str> = modes.iter().map(|mode| mode.as_str()).collect();
        out.push_str(&format!("\n## {target}\n\n| step | {} |\n", heads.join(" | ")));
        out.push_str(&format!("|---|{}\n", "---|".repeat(modes.len())));
        for step in steps {
            let row: Vec<String> = modes.iter().map(|mode| text_at(&cells, step, *mode)).collect();
            out.push_str(&format!("| {step} | {} |\n", row.join(" | ").replace(OWN, "\\*")));
        }
    }
    if !sweep.boundaries.is_empty() {
        out.push_str("\n## System calls\n\n| who | life | call | when | grade | fate | costs |\n|---|---|---|---|---|---|---|\n");
        for at in &sweep.boundaries {
            let [number, when, grade, fate, costs] = map_row(at);
            out.push_str(&format!(
                "| {} | {} | {number} {} | {when} | {grade} | {fate} | {costs} |\n",
                at.target,
                at.life,
                escaped(&name_of(&at.call, at.occurrence)),
            ));
        }
    }
    let said = lines(sweep);
    if !said.is_empty() {
        out.push('\n');
    }
    for line in said {
        out.push_str(&format!("- {}\n", escaped(&line)));
    }
    out
}

fn escaped(text: &str) -> String {
    plain(text).replace('|', "\\|").replace('*', "\\*").replace('<', "&lt;").replace('_', "\\_")
}

fn of_target(sweep: &SweepResult, target: SweepTarget) -> Vec<&CellResult> {
    sweep.cells.iter().filter(|cell| cell.target == target).collect()
}

/// The steps and modes that there are cells of, in the order of their words.
fn axes(cells: &[&CellResult]) -> (Vec<CrashStep>, Vec<CrashMode>) {
    // Modes that nobody can be made to fail by would be empty columns.
    let modes: BTreeSet<CrashMode> =
        cells.iter().filter(|cell| cell.grade != Grade::Unsupported).map(|cell| cell.mode).collect();
    let steps: BTreeSet<CrashStep> = cells.iter().map(|cell| cell.step).collect();
    (steps.into_iter().collect(), modes.into_iter().collect())
}

fn at<'a>(cells: &[&'a CellResult], step: CrashStep, mode: CrashMode) -> Option<&'a CellResult> {
    cells.iter().find(|cell| (cell.step, cell.mode) == (step, mode)).copied()
}

fn text_at(cells: &[&CellResult], step: CrashStep, mode: CrashMode) -> String {
    let Some(cell) = at(cells, step, mode).filter(|cell| cell.grade != Grade::Unsupported) else {
        return UNKNOWN.to_owned();
    };
    let lost = if cell.grade == Grade::Lossy { format!(" {}", cell.lost) } else { String::new() };
    let own = if cell.own_fate.is_some() { OWN } else { "" };
    format!("{}{lost}{own}", cell.grade.marked(cell.mark))
}

/// Steps in rows, modes in columns; where that is too wide, a line for each cell.
fn step_table(cells: &[&CellResult], target: SweepTarget, style: Style) -> String {
    let (steps, modes) = axes(cells);
    let mut table = bare_table();
    table.set_header(
        std::iter::once(target.as_str()).chain(modes.iter().map(|mode| mode.as_str())).map(Cell::new),
    );
    for step in &steps {
        let row = modes.iter().map(|mode| text_at(cells, *step, *mode));
        table.add_row(std::iter::once(step.to_string()).chain(row).map(Cell::new));
    }
    let lines = finish(&mut table);
    if style.width.is_none_or(|width| lines.iter().all(|line| columns(line) <= usize::from(width))) {
        return with_head(&lines, style);
    }
    let mut lines = vec![style.strong(target.as_str())];
    for step in steps {
        let tried = modes
            .iter()
            .filter(|mode| at(cells, step, **mode).is_some_and(|cell| cell.grade != Grade::Unsupported));
        let parts: Vec<String> =
            tried.map(|mode| format!("{mode} {}", text_at(cells, step, *mode))).collect();
        lines.push(wrap(&format!("  {step}: {}", parts.join(", ")), style.width, "    "));
    }
    lines.join("\n")
}

fn with_head(lines: &[String], style: Style) -> String {
    let paint = |(index, line): (usize, &String)| match index {
        0 => style.strong(line),
        1 => style.faint(line),
        _ => line.clone(),
    };
    lines.iter().enumerate().map(paint).collect::<Vec<_>>().join("\n")
}

/// A line for each side of each call.
fn call_table(map: &[&BoundaryResult], style: Style) -> String {
    let mut table: Table = bare_table();
    table.set_header(["#", "call", "killed", "grade", "fate", "costs"].map(Cell::new));
    for at in map {
        let [number, when, grade, fate, costs] = map_row(at);
        let name = name_of(&at.call, at.occurrence);
        // Those of a process that was started in the life are told from those of who started it.
        let name = format!("{}{name}", "  ".repeat(usize::try_from(at.depth).unwrap_or(0).min(4)));
        table.add_row([number, plain(&name), when, grade, fate, costs].map(Cell::new));
    }
    with_head(&finish(&mut table), style)
}

/// Number, side with its instant, grade, fate, costs.
fn map_row(at: &BoundaryResult) -> [String; 5] {
    let instant = at.at_ns.map_or_else(String::new, |ns| format!(" {}", text::duration(ns)));
    let when = format!("{}{instant}", at.when);
    if !at.reached {
        let unknown = || UNKNOWN.to_owned();
        return [at.index.to_string(), when, "not reached again".to_owned(), unknown(), unknown()];
    }
    let fate = at.fate.map_or(UNKNOWN, Fate::as_str).to_owned();
    let lost = if at.lost > 0 { format!(" ({} lost)", at.lost) } else { String::new() };
    [at.index.to_string(), when, at.grade.to_string(), fate, format!("{}{lost}", at.costs)]
}

fn name_of(call: &str, occurrence: u32) -> String {
    if occurrence > 1 { format!("{call} ({occurrence})") } else { call.to_owned() }
}

/// What a sweep comes to, in words.
fn lines(sweep: &SweepResult) -> Vec<String> {
    let mut said = Vec::new();
    if !sweep.complete {
        said.push("the sweep is not complete: it was interrupted".to_owned());
    }
    if sweep.partial {
        said.push(
            "this is a part of a sweep: what is said of it holds for the places in it alone".to_owned(),
        );
    }
    said.extend(SweepTarget::ALL.iter().filter_map(|target| own_steps(sweep, *target)));
    said.extend(losses(sweep));
    said.extend(doubts(sweep));
    for life in sweep.lives.iter().filter(|life| life.reason.is_none()) {
        said.extend(of_life(sweep, life.target, life.life));
        let unseen = life.invisible;
        if unseen > 0 {
            let what = text::counted(unseen.into(), "call");
            said.push(format!("{what} of {} that nobody outside can see: no kill is tried there", life.life));
        }
        if life.left_out > 0 {
            let what = text::counted(life.left_out.into(), "place");
            said.push(format!("{what} of {} left out for their number (--boundaries-max)", life.life));
        }
    }
    said
}

/// At which steps the request that carries the fault is lost itself.
fn own_steps(sweep: &SweepResult, target: SweepTarget) -> Option<String> {
    let lost = |cell: &&CellResult| cell.target == target && cell.own_fate.is_some();
    let steps: BTreeSet<CrashStep> = sweep.cells.iter().filter(lost).map(|cell| cell.step).collect();
    let steps: Vec<&str> = steps.into_iter().map(CrashStep::as_str).collect();
    (!steps.is_empty()).then(|| {
        format!("{OWN} {target}: the request that the fault hit is lost itself: at {}", steps.join(", "))
    })
}

/// What others lost, a line for each mode and kind of loss.
fn losses(sweep: &SweepResult) -> Vec<String> {
    let mut alike: BTreeMap<(SweepTarget, CrashMode, Grade, Vec<Fate>), Vec<&CellResult>> = BTreeMap::new();
    for cell in sweep.cells.iter().filter(|cell| cell.lost > 0) {
        let fates = cell.fates.iter().filter(|(_, n)| **n > 0).map(|(fate, _)| *fate).collect();
        alike.entry((cell.target, cell.mode, cell.grade, fates)).or_default().push(cell);
    }
    let line = |((target, mode, grade, fates), cells): (
        (SweepTarget, CrashMode, Grade, Vec<Fate>),
        Vec<&CellResult>,
    )| {
        let steps: Vec<&str> = cells.iter().map(|cell| cell.step.as_str()).collect();
        let lost = cells.iter().map(|cell| cell.lost);
        let (least, most) = (lost.clone().min().unwrap_or(0), lost.max().unwrap_or(0));
        let count = if least == most { most.to_string() } else { format!("{least} to {most}") };
        let fates: Vec<&str> = fates.iter().map(|fate| fate.as_str()).collect();
        format!("{target}, {mode} at {}: {grade}, {count} lost: {}", steps.join(", "), fates.join(", "))
    };
    alike.into_iter().map(line).collect()
}

/// Cells that say nothing, by why.
fn doubts(sweep: &SweepResult) -> Vec<String> {
    let mut by_reason: BTreeMap<(Grade, &str), Vec<String>> = BTreeMap::new();
    for cell in &sweep.cells {
        if let (Grade::Unsupported | Grade::Inconclusive, Some(reason)) = (cell.grade, &cell.reason) {
            let what = format!("{} {} × {}", cell.target, cell.step, cell.mode);
            by_reason.entry((cell.grade, reason)).or_default().push(what);
        }
    }
    let line = |((grade, reason), cells): ((Grade, &str), Vec<String>)| {
        let shown = cells.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let more = if cells.len() > 3 { format!(" and {} others", cells.len() - 3) } else { String::new() };
        format!("{grade}: {shown}{more}: {}", plain(reason))
    };
    by_reason.into_iter().map(line).collect()
}

fn of_life(sweep: &SweepResult, target: SweepTarget, life: Life) -> Vec<String> {
    let windows: Vec<&WindowResult> =
        sweep.windows.iter().filter(|w| (w.target, w.life) == (target, life)).collect();
    let side =
        |at: &CallResult| format!("{} {} (#{})", at.when, plain(&name_of(&at.call, at.occurrence)), at.index);
    let mut said: Vec<String> = Vec::new();
    for window in &windows {
        let what = in_words(window.costs);
        let (first, last) = (side(&window.first), side(&window.last));
        said.push(if window.boundaries == 1 {
            format!("{life}: a kill of the {target} {first} costs {what}")
        } else {
            format!("{life}: a kill of the {target} from {first} to {last} costs {what}")
        });
    }
    let of_life = sweep.boundaries.iter().filter(|at| (at.target, at.life) == (target, life));
    let reached = of_life.filter(|at| at.reached && at.costs != Costs::NotKnown).count();
    let loses_listener = windows.iter().any(|w| matches!(w.costs, Costs::Listener | Costs::Service));
    if reached > 0 && !loses_listener {
        said.push(format!("{life}: there is no call at which a kill of the {target} loses the listener"));
    }
    said
}

const fn in_words(costs: Costs) -> &'static str {
    match costs {
        Costs::Nothing => "nothing",
        Costs::Connection => "the connection that it had",
        Costs::Others => "other connections",
        Costs::Listener => "the listener",
        Costs::Service => "the service",
        Costs::NotKnown => "what is not known",
    }
}

#[cfg(test)]
mod tests {
    use holdline_model::sweep::{LifeResult, SCHEMA, When};

    use super::*;
    use crate::sample;

    fn cell(step: CrashStep, mode: CrashMode, grade: Grade, lost: u64, own_fate: Option<Fate>) -> CellResult {
        CellResult {
            target: SweepTarget::Worker,
            step,
            mode,
            grade,
            mark: None,
            costs: Costs::Nothing,
            lost,
            fates: [(Fate::Refused, lost)].into(),
            own_fate,
            blame: BTreeMap::new(),
            trials: 1,
            inconclusive: 0,
            reason: (grade == Grade::Unsupported).then(|| "it | cannot".to_owned()),
        }
    }

    fn sweep() -> SweepResult {
        let place =
            |index, call: &str| CallResult { index, call: call.to_owned(), occurrence: 1, when: When::After };
        let life = (SweepTarget::Worker, Life::Request);
        SweepResult {
            schema: SCHEMA.to_owned(),
            manifest: sample::run(Vec::new()).manifest,
            supervisor: "web".to_owned(),
            supervisor_version: String::new(),
            complete: true,
            partial: false,
            cells: vec![
                cell(CrashStep::Work, CrashMode::Panic, Grade::Lossy, 5, Some(Fate::NoReply)),
                cell(CrashStep::Close, CrashMode::Panic, Grade::Held, 0, None),
                cell(CrashStep::Close, CrashMode::Catch, Grade::Unsupported, 0, None),
            ],
            lives: vec![LifeResult {
                target: life.0,
                life: life.1,
                calls: 3,
                invisible: 1,
                left_out: 0,
                reason: None,
            }],
            boundaries: vec![BoundaryResult {
                target: life.0,
                life: life.1,
                index: 0,
                call: "accept4".to_owned(),
                occurrence: 1,
                previous: None,
                when: When::After,
                depth: 0,
                at_ns: Some(40_000_000),
                reached: true,
                grade: Grade::Delayed,
                fate: Some(Fate::NoReply),
                costs: Costs::Connection,
                lost: 0,
                fates: BTreeMap::new(),
                repeated: 0,
                reason: None,
            }],
            windows: vec![WindowResult {
                target: life.0,
                life: life.1,
                costs: Costs::Connection,
                first: place(0, "accept4"),
                last: place(0, "accept4"),
                boundaries: 1,
            }],
        }
    }

    #[test]
    fn a_table_has_what_was_tried_and_marks_where_the_request_itself_is_lost() {
        let cells = sweep().cells;
        let cells: Vec<&CellResult> = cells.iter().collect();
        let of = |step, mode| text_at(&cells, step, mode);
        assert_eq!(of(CrashStep::Work, CrashMode::Panic), "lossy 5*");
        assert_eq!(of(CrashStep::Close, CrashMode::Panic), "held");
        assert_eq!(of(CrashStep::Close, CrashMode::Catch), UNKNOWN);
        assert_eq!(axes(&cells), (vec![CrashStep::Work, CrashStep::Close], vec![CrashMode::Panic]));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_colour_is_all_that_it_adds() {
        let plain = terminal(&sweep(), &Style { color: false, width: None });
        assert!(plain.contains("accept4") && plain.contains("lossy 5*") && !plain.contains('\u{1b}'));
        let narrow = terminal(&sweep(), &Style { color: false, width: Some(60) });
        assert!(narrow.lines().all(|line| columns(line) <= 60), "{narrow}");
        assert!(terminal(&sweep(), &Style { color: true, width: None }).contains('\u{1b}'));
    }

    #[test]
    fn markdown_keeps_its_tables_whole() {
        let text = markdown(&sweep());
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.len() >= 6 && text.contains("it \\| cannot"), "{text}");
        assert!(text.contains("no\\_reply") || text.contains("no_reply"));
    }
}
