//! The columns of a scenario's table, for the terminal, Markdown and HTML alike: a new one is one entry of the
//! table here.

use crate::rows::{Accept, Row, Section};
use crate::spread::Spread;
use crate::text::{UNKNOWN, count, share};

use Layout::{Html, Markdown, Narrow, Stacked, Wide};

/// Where tables are shown, each with room for other columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Terminals.
    Wide,
    /// Narrow ones.
    Narrow,
    /// Terminals too narrow for any table: a list for each row.
    Stacked,
    Markdown,
    Html,
}

/// What a row shows in a column.
#[derive(Clone, Copy)]
pub(crate) enum Value {
    /// Attempts with one fate.
    Count(fn(&Row<'_>) -> u64),
    /// Attempts that had a fate which is no good; lists leave out that there were none.
    Loss(fn(&Row<'_>) -> u64),
    /// Anything else.
    Text(fn(&Row<'_>) -> String),
}

/// One column.
pub(crate) struct Column {
    /// Two lines of heading for a terminal; a single one stands on the second.
    pub(crate) head: &'static str,
    /// The heading on one line.
    pub(crate) name: &'static str,
    /// The name in a list.
    pub(crate) brief: &'static str,
    pub(crate) value: Value,
    layouts: &'static [Layout],
    /// Whether a section has something to show in it.
    is_of_use: fn(&Section<'_>) -> bool,
}

const EVERYWHERE: &[Layout] = &[Wide, Narrow, Stacked, Markdown, Html];
/// Wherever there is room for each kind of loss.
const EACH: &[Layout] = &[Wide, Stacked, Markdown, Html];
const ROOMY: &[Layout] = &[Wide, Markdown, Html];

const COLUMNS: [Column; 18] = [
    column("attempts", &[Markdown], Value::Count(|row| row.attempts)),
    column("served", EVERYWHERE, Value::Count(|row| row.split.served)).head("\nserved"),
    column("poison", EACH, Value::Loss(|row| row.split.poison)).head("\npoison"),
    column("in flight", EACH, Value::Loss(|row| row.split.in_flight)).head("in\nflight"),
    column("poison, in flight", &[Narrow], Value::Loss(|row| row.split.unavoidable()))
        .head("poison,\nin flight"),
    column("refused", EACH, Value::Loss(|row| row.split.refused)).head("\nrefused"),
    column("queue reset", EACH, Value::Loss(|row| row.split.queue_reset)).head("queue\nreset"),
    column("other", EACH, Value::Loss(|row| row.split.other)).head("other\nlosses"),
    column("collateral", &[Narrow], Value::Loss(|row| row.split.collateral())).head("other\nlosses"),
    column("silent", EVERYWHERE, Value::Count(|row| row.split.silent)).head("\nsilent").where_some(silent),
    column("not sent", EVERYWHERE, Value::Loss(|row| row.split.not_sent))
        .head("not\nsent")
        .where_some(not_sent),
    column("trials", ROOMY, Value::Text(|row| count(row.trials.len() as u64)))
        .head("\ntrials")
        .where_some(is_repeated),
    column("lost to the supervisor", EVERYWHERE, Value::Text(loss_rate))
        .head("lost to the\nsupervisor")
        .where_some(is_repeated),
    column("longest outage", EVERYWHERE, Value::Text(outage)).head("longest\noutage").brief("outage"),
    column("accept p50", ROOMY, Value::Text(|row| accept(row, |accept| accept.p50))).head("accept\np50"),
    // Only the first of several needs to say what they are of.
    column("accept p99", ROOMY, Value::Text(accept_p99)).head("\np99"),
    column("accept p99", &[Narrow, Stacked], Value::Text(accept_p99)).head("accept\np99"),
    column("accept max", ROOMY, Value::Text(|row| accept(row, |accept| accept.max))).head("\nmax"),
];

/// Those that a section has in a layout, in their order.
pub(crate) fn columns<'a>(
    section: &'a Section<'_>,
    layout: Layout,
) -> impl Iterator<Item = &'static Column> + 'a {
    const { &COLUMNS }
        .iter()
        .filter(move |column| column.layouts.contains(&layout) && (column.is_of_use)(section))
}

impl Column {
    /// What a row shows in it.
    pub(crate) fn text(&self, row: &Row<'_>) -> String {
        match self.value {
            Value::Count(_) | Value::Loss(_) if row.attempts == 0 => UNKNOWN.to_owned(),
            Value::Count(of) | Value::Loss(of) => count(of(row)),
            Value::Text(of) => of(row),
        }
    }

    /// Name and value in a list.
    pub(crate) fn listed(&self, row: &Row<'_>) -> Option<String> {
        match self.value {
            Value::Loss(of) if of(row) == 0 => None,
            Value::Count(_) | Value::Loss(_) | Value::Text(_) => {
                Some(format!("{} {}", self.brief, self.text(row)))
            }
        }
    }

    const fn head(self, head: &'static str) -> Self {
        Self { head, ..self }
    }

    const fn brief(self, brief: &'static str) -> Self {
        Self { brief, ..self }
    }

    const fn where_some(self, is_of_use: fn(&Section<'_>) -> bool) -> Self {
        Self { is_of_use, ..self }
    }
}

const fn column(name: &'static str, layouts: &'static [Layout], value: Value) -> Column {
    Column { head: name, name, brief: name, value, layouts, is_of_use: |_| true }
}

fn silent(section: &Section<'_>) -> bool {
    section.rows.iter().any(|row| row.split.silent > 0)
}

fn not_sent(section: &Section<'_>) -> bool {
    section.rows.iter().any(|row| row.split.not_sent > 0)
}

fn is_repeated(section: &Section<'_>) -> bool {
    section.rows.iter().any(Row::is_repeated)
}

/// Collateral losses of all trials, of what was sent, with the exact interval of their rate.
fn loss_rate(row: &Row<'_>) -> String {
    match row.attempts {
        0 => UNKNOWN.to_owned(),
        attempts => share(row.split.collateral(), attempts.saturating_sub(row.split.not_sent)),
    }
}

fn outage(row: &Row<'_>) -> String {
    row.outage.map_or_else(|| UNKNOWN.to_owned(), |outage| outage.text("none"))
}

fn accept_p99(row: &Row<'_>) -> String {
    accept(row, |accept| accept.p99)
}

fn accept(row: &Row<'_>, of: fn(Accept) -> Spread) -> String {
    row.accept.map_or_else(|| UNKNOWN.to_owned(), |accept| of(accept).text("0"))
}
