//! One trial on the page: its line, which opens to the whole of it.

use holdline_model::result::{Quantiles, StripBucket, TimelineEntry, TrialResult};
use minijinja::Value;
use serde::Serialize;

use super::Mark;
use super::chart::{self, Label, Percentiles};
use super::course;
use crate::course::Course;
use crate::detail::{end_ns, in_words, merged, quantile_cells};
use crate::prose::{self, spaced};
use crate::ratios::per_second_text;
use crate::rows::Section;
use crate::text::{count, duration, instant, plain};

/// The most characters that a line has on the page.
const LINE_MAX: usize = 300;

/// How much of each trial is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolution {
    /// The most trials that are shown at all.
    pub(super) trials: usize,
    /// The most buckets in a drawing.
    buckets: usize,
    /// The most lines in a list.
    lines: usize,
    has_plot: bool,
    has_percentiles: bool,
    /// Whether attempts are there for the script to draw.
    pub(super) has_course: bool,
}

impl Resolution {
    /// From the finest to the coarsest.
    pub(super) const ALL: [Self; 9] = [
        Self { has_course: true, ..Self::of(600, 160, 40) },
        Self::of(600, 160, 40),
        Self::of(600, 80, 16),
        Self { has_percentiles: false, ..Self::of(600, 48, 12) },
        Self { has_percentiles: false, ..Self::of(600, 24, 8) },
        Self { has_plot: false, has_percentiles: false, ..Self::of(600, 24, 6) },
        Self { has_plot: false, has_percentiles: false, ..Self::of(200, 24, 6) },
        Self { has_plot: false, has_percentiles: false, ..Self::of(20, 24, 6) },
        Self { has_plot: false, has_percentiles: false, ..Self::of(0, 24, 6) },
    ];

    /// With all that a result alone has.
    const fn of(trials: usize, buckets: usize, lines: usize) -> Self {
        Self { trials, buckets, lines, has_plot: true, has_percentiles: true, has_course: false }
    }
}

/// What the drawings of a trial are made from, beside its result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drawn<'a> {
    /// The time that all drawings of a section span.
    pub(super) domain_ns: u64,
    pub(super) course: Option<&'a Course>,
    /// How many trials the page has to hold.
    pub(super) trials: usize,
}

/// A trial as the template shows it.
#[derive(Serialize)]
pub(super) struct Detail {
    index: usize,
    name: String,
    /// Which repetition, where there are several.
    repetition: Option<u32>,
    mark: Mark,
    verdict: &'static str,
    version: String,
    ribbon: Option<Value>,
    /// Its attempts, for the script.
    course: Option<Value>,
    outage: String,
    reason: Option<String>,
    plot: Option<Plot>,
    events: Vec<Event>,
    more_events: usize,
    facts: Vec<(&'static str, String)>,
    latencies: Vec<LatencyRow>,
    percentiles: Option<Percentiles>,
    lists: Vec<(&'static str, Vec<String>)>,
}

/// Outcome and queue over time.
#[derive(Serialize)]
struct Plot {
    caption: String,
    outcomes: Value,
    flags: Vec<Label>,
    queue: Option<Value>,
    queue_caption: String,
    ticks: Vec<Label>,
}

#[derive(Serialize)]
struct Event {
    at: String,
    kind: String,
    text: String,
}

#[derive(Serialize)]
struct LatencyRow {
    name: String,
    cells: [String; 6],
}

/// The time that the ribbons of a section span: that of its longest trial, so that they compare.
pub(super) fn domain_ns(section: &Section<'_>) -> u64 {
    section.rows.iter().flat_map(|row| &row.trials).map(|trial| end_ns(&trial.strip)).max().unwrap_or(0)
}

impl Detail {
    /// The trial with this index in the run.
    pub(super) fn of(
        index: usize,
        trial: &TrialResult,
        is_repeated: bool,
        drawn: Drawn<'_>,
        resolution: Resolution,
    ) -> Self {
        let course = drawn.course.filter(|_| resolution.has_course);
        let room = course::room(drawn.trials);
        let strip = merged(&trial.strip, resolution.buckets);
        let has_run = trial.attempts > 0;
        let latencies = trial.latency.named().into_iter().map(latency_row);
        let lists = [
            ("Lost", &trial.losses),
            ("Advice", &trial.advice.iter().cloned().collect()),
            ("Remedies", &trial.remedies_in_words()),
            ("Remedies that were applied", &in_words(&trial.applied)),
            ("Expectations that did not hold", &trial.violations),
            ("Expectations that did not hold, as foreseen", &prose::foreseen_of(trial)),
            ("Inherited wrongly by workers", &prose::inherited_wrongly(trial)),
            ("Notes", &prose::trial_notes(trial)),
        ];
        Self {
            index,
            name: plain(&trial.supervisor),
            repetition: is_repeated.then_some(trial.repetition),
            mark: Mark::new(trial.grade, prose::grade(trial)),
            verdict: trial.verdict.as_str(),
            version: clipped(&trial.supervisor_version),
            ribbon: (!strip.is_empty()).then(|| chart::ribbon(&strip, drawn.domain_ns)),
            course: course.map(|course| course::data(trial, course, room, resolution.lines)),
            outage: outage(trial),
            reason: trial.reason.as_deref().map(clipped),
            plot: (resolution.has_plot && !strip.is_empty())
                .then(|| Plot::of(trial, &strip, resolution.lines)),
            events: trial.timeline.iter().take(resolution.lines).map(Event::of).collect(),
            more_events: trial.timeline.len().saturating_sub(resolution.lines),
            facts: if has_run { facts(trial) } else { Vec::new() },
            latencies: if has_run { latencies.collect() } else { Vec::new() },
            percentiles: chart::percentiles(&trial.latency).filter(|_| has_run && resolution.has_percentiles),
            lists: lists
                .into_iter()
                .filter(|(_, l)| !l.is_empty())
                .map(|(head, l)| (head, lines(l, resolution.lines)))
                .collect(),
        }
    }
}

impl Plot {
    fn of(trial: &TrialResult, strip: &[StripBucket], events_max: usize) -> Self {
        let domain_ns = end_ns(strip);
        let events = &trial.timeline[..trial.timeline.len().min(events_max)];
        let each = match strip {
            [first, second, ..] => {
                format!(" in each {}", duration(second.start_ns.saturating_sub(first.start_ns)))
            }
            _ => String::new(),
        };
        let kernel = &trial.kernel;
        let limit =
            if kernel.queue_limit > 0 { format!(" of {}", kernel.queue_limit) } else { String::new() };
        Self {
            caption: format!("Attempts due{each}, at most {}", count(chart::tallest(strip))),
            outcomes: chart::outcomes(strip, &trial.outages, events, domain_ns),
            flags: chart::flags(events, domain_ns),
            queue: chart::queue(strip, domain_ns),
            queue_caption: format!("Accept queue, at most {}{limit}", kernel.queue_max),
            ticks: chart::ticks(domain_ns),
        }
    }
}

impl Event {
    fn of(entry: &TimelineEntry) -> Self {
        Self { at: instant(entry.at_ns), kind: entry.kind.to_string(), text: clipped(&entry.text) }
    }
}

fn latency_row((name, quantiles): (&'static str, &Quantiles)) -> LatencyRow {
    LatencyRow { name: spaced(name), cells: quantile_cells(quantiles) }
}

/// What the closed line says of the worst that a client saw.
fn outage(trial: &TrialResult) -> String {
    match trial.longest_outage_ns() {
        _ if trial.attempts == 0 => String::new(),
        0 => "no outage".to_owned(),
        ns => format!("{} outage", duration(ns)),
    }
}

fn facts(trial: &TrialResult) -> Vec<(&'static str, String)> {
    let retry = format!("{} safe, {} ambiguous", count(trial.safe_to_retry), count(trial.ambiguous));
    let mut facts = vec![("Attempts", prose::fates(trial)), ("Collateral", prose::collateral(trial))];
    facts.extend(prose::sessions(trial).map(|sessions| ("Sessions", sessions)));
    facts.extend(prose::pool(trial).map(|text| ("Pool", text)));
    facts.extend(prose::silent(trial).map(|silent| ("Silent", silent)));
    facts.extend(prose::addresses(trial).map(|text| ("Addresses", text)));
    facts.extend(prose::threads(trial).map(|text| ("Threads", text)));
    if trial.safe_to_retry + trial.ambiguous > 0 {
        facts.push(("Retry", retry));
    }
    facts.extend([("Outages", prose::outages(trial)), ("Recovery", prose::recovery(trial))]);
    facts.extend(prose::watch(trial).map(|text| ("Watch", text)));
    facts.extend([("Kernel", prose::kernel(trial)), ("Workers", prose::workers(trial))]);
    facts.extend(prose::phases(trial).map(|text| ("Phases", text)));
    facts.extend(prose::tls(trial).map(|text| ("TLS", text)));
    facts.extend(prose::closes(trial).map(|text| ("closes", text)));
    facts.extend(prose::versions(trial).map(|text| ("Versions", text)));
    facts.extend(prose::starts(trial).map(|text| ("Starts", text)));
    facts.extend(prose::spread(trial).map(|text| ("Spread", text)));
    facts.extend(prose::cost(trial).map(|text| ("Cost", text)));
    let ended =
        trial.supervisor_ended.as_ref().map(|how| format!("ended with {}", clipped(&how.to_string())));
    facts.extend(ended.map(|text| ("Supervisor", text)));
    facts.extend([("Books", clipped(&trial.books.to_string())), ("Took", duration(trial.elapsed_ns))]);
    if let Some(rate) = trial.throughput_per_second {
        facts.push(("Throughput", per_second_text(rate)));
    }
    if !trial.folder.is_empty() {
        facts.push(("Records", clipped(&trial.folder)));
    }
    facts
}

fn lines(lines: &[String], most: usize) -> Vec<String> {
    let more = lines.len().saturating_sub(most);
    let shown = lines.iter().take(most).map(|line| clipped(line));
    shown.chain((more > 0).then(|| format!("… and {more} more"))).collect()
}

/// `text` on one line, cut where it is too long for the page.
fn clipped(text: &str) -> String {
    let text = plain(text);
    match text.char_indices().nth(LINE_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
