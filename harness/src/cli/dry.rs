//! `--dry-run`: what would run, in its order, and about for how long. Nothing is started.

use holdline_model::plan::TrialPlan;
use holdline_reports::text::{columns, count, duration};

use super::measure;
use super::terminal::print_text;
use crate::exit::{self, Failure};
use crate::run::Plan;

/// What a column is called, and whether its cells are numbers.
const COLUMNS: [(&str, bool); 5] =
    [("trial", true), ("scenario", false), ("supervisor", false), ("repetition", true), ("about", true)];

/// Prints the trials of a plan, and the whole. `beside` follows their number: what runs before them; `then` is what may
/// come after them, a line of its own.
pub(super) fn show(plan: &Plan, beside: &str, then: &str) -> Result<u8, Failure> {
    let header = COLUMNS.map(|(name, _)| name.to_owned());
    let rows: Vec<[String; 5]> =
        plan.due().map(|(place, trial)| row(plan, place as u64 + 1, trial)).collect();
    let all = || rows.iter().chain([&header]);
    let widths: [usize; 5] =
        std::array::from_fn(|column| all().map(|row| columns(&row[column])).max().unwrap_or(0));
    let mut text = line(&header, &widths);
    for (row, (_, trial)) in rows.iter().zip(plan.due()) {
        text.push_str(&line(row, &widths));
        if let Some(lack) = plan.lack(trial) {
            text.truncate(text.trim_end().len());
            text.push_str(&format!("  unsupported: {lack}\n"));
        }
    }
    let lacking = plan.due().filter(|(_, trial)| plan.lack(trial).is_some()).count();
    text.push_str(&format!("\n{}\n", measure::estimate(plan, beside)));
    if lacking > 0 {
        let lacking = count(lacking as u64);
        text.push_str(&format!("{lacking} of them would be reported as unsupported at once\n"));
    }
    if !then.is_empty() {
        text.push_str(&format!("{then}\n"));
    }
    print_text(&text)?;
    Ok(exit::PASS)
}

fn row(plan: &Plan, number: u64, trial: &TrialPlan) -> [String; 5] {
    let about = match plan.lack(trial) {
        Some(_) => String::new(),
        None => duration(plan.estimated_ns(trial)),
    };
    let repetition = (trial.repetition + 1).to_string();
    [number.to_string(), trial.scenario.clone(), trial.supervisor.clone(), repetition, about]
}

fn line(cells: &[String; 5], widths: &[usize; 5]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .zip(COLUMNS)
        .map(|((cell, width), (_, is_number))| {
            let room = " ".repeat(width.saturating_sub(columns(cell)));
            if is_number { room + cell } else { cell.clone() + &room }
        })
        .collect();
    format!("{}\n", padded.join("  ").trim_end())
}
