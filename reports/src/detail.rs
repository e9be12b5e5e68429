//! The detail of one trial on a terminal: outcome over time, latencies, kernel, workers, books.

use comfy_table::{CellAlignment, ContentArrangement, Table, TableStyle};
use holdline_model::result::{Change, Quantiles, StripBucket, TimelineEntry, TrialResult};

use crate::prose::{self, spaced};
use crate::ratios::per_second_text;
use crate::style::Style;
use crate::text::{UNKNOWN, columns, count, counted, duration, instant, plain, wrap};

/// The most columns that the strip takes, however wide the terminal is.
const STRIP_COLUMNS_MAX: usize = 100;

/// Marks of events on the strip; those beyond share the last.
const MARKS: &str = "123456789abcdefghijklmnopqrstuvwxyz+";

/// The detail of one trial, ending in a newline.
#[must_use]
pub fn trial(trial: &TrialResult, style: &Style) -> String {
    let mut blocks = vec![title(trial, *style)];
    if !trial.strip.is_empty() {
        blocks.push(strip(trial, *style));
    } else if !trial.timeline.is_empty() {
        blocks.push(events(trial, *style));
    }
    if trial.attempts > 0 {
        blocks.push(facts(trial, *style));
        blocks.push(latencies(trial, *style));
    }
    blocks.extend(list("lost", &trial.losses, *style));
    blocks.extend(list("advice", trial.advice.as_slice(), *style));
    blocks.extend(list("remedies", &trial.remedies_in_words(), *style));
    blocks.extend(list("remedies that were applied", &in_words(&trial.applied), *style));
    blocks.extend(list("expectations that did not hold", &trial.violations, *style));
    blocks.extend(list("expectations that did not hold, as foreseen", &prose::foreseen_of(trial), *style));
    blocks.extend(list("inherited by workers", &prose::inheritance(trial), *style));
    blocks.extend(list("notes", &prose::trial_notes(trial), *style));
    format!("{}\n", blocks.join("\n\n"))
}

/// What was changed, a line each.
pub(crate) fn in_words(changes: &[Change]) -> Vec<String> {
    changes.iter().map(Change::to_string).collect()
}

fn title(trial: &TrialResult, style: Style) -> String {
    let name = format!("{} in {}", plain(&trial.supervisor), plain(&trial.scenario));
    let about = format!("repetition {}, {}", trial.repetition, plain(&trial.supervisor_version));
    let grade = style.grade(trial.grade, &prose::grade(trial));
    let mut text =
        format!("{}  {grade}, {}\n{}", style.strong(&name), trial.verdict, style.faint(about.trim_end()));
    if let Some(reason) = &trial.reason {
        text.push('\n');
        text.push_str(&wrap(&plain(reason), style.width, "  "));
    }
    text
}

/// Outcome, queue and events over time, and the events by number.
fn strip(trial: &TrialResult, style: Style) -> String {
    let room = style.width.map_or(STRIP_COLUMNS_MAX, |width| usize::from(width).saturating_sub(9));
    let cells = merged(&trial.strip, room.clamp(8, STRIP_COLUMNS_MAX));
    let end_ns = end_ns(&trial.strip);
    let queue_max = cells.iter().map(|cell| cell.queue_max).max().unwrap_or(0);
    let outcome: String = cells.iter().map(outcome_mark).collect();
    let queue: String = cells.iter().map(|cell| level(cell.queue_max, queue_max)).collect();
    let mut lines = vec![format!("outcome  {outcome}"), format!("queue    {queue}")];
    if !trial.timeline.is_empty() {
        lines.push(format!("events   {}", event_row(&trial.timeline, cells.len(), end_ns)));
    }
    let end = duration(end_ns);
    lines.push(style.faint(&format!("         0 s{end:>width$}", width = cells.len().saturating_sub(3))));
    let scale = count(u64::from(queue_max));
    lines.push(style.faint(&format!("         █ served  ▒ late  ✗ lost  · none due  queue up to {scale}")));
    if !trial.timeline.is_empty() {
        lines.push(String::new());
        lines.push(events(trial, style));
    }
    lines.join("\n")
}

/// The strip in at most `room` buckets, neighbours added up.
pub(crate) fn merged(strip: &[StripBucket], room: usize) -> Vec<StripBucket> {
    let each = strip.len().div_ceil(room.max(1)).max(1);
    strip
        .chunks(each)
        .map(|chunk| StripBucket {
            start_ns: chunk[0].start_ns,
            served: chunk.iter().map(|bucket| bucket.served).sum(),
            late: chunk.iter().map(|bucket| bucket.late).sum(),
            lost: chunk.iter().map(|bucket| bucket.lost).sum(),
            queue_max: chunk.iter().map(|bucket| bucket.queue_max).max().unwrap_or(0),
        })
        .collect()
}

/// Where the last bucket ends, taking it to be as long as the one before.
pub(crate) fn end_ns(strip: &[StripBucket]) -> u64 {
    match strip {
        [.., before, last] => last.start_ns.saturating_add(last.start_ns.saturating_sub(before.start_ns)),
        [only] => only.start_ns,
        [] => 0,
    }
}

/// The worst that happened in a bucket: a single loss must not drown among the served.
fn outcome_mark(bucket: &StripBucket) -> char {
    match bucket {
        StripBucket { lost: 1.., .. } => '✗',
        StripBucket { late: 1.., .. } => '▒',
        StripBucket { served: 1.., .. } => '█',
        _ => '·',
    }
}

/// A bar for `value`, of eight heights up to `max`; the lowest means none.
fn level(value: u32, max: u32) -> char {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if value == 0 || max == 0 {
        return BARS[0];
    }
    BARS[(u64::from(value) * 7).div_ceil(u64::from(max)) as usize]
}

/// The mark of the event with this index.
fn mark(index: usize) -> char {
    MARKS.chars().nth(index).unwrap_or('+')
}

/// A mark where each event happened; `*` where several fall together.
fn event_row(timeline: &[TimelineEntry], cells: usize, end_ns: u64) -> String {
    let mut row = vec![' '; cells];
    for (index, entry) in timeline.iter().enumerate() {
        let cell = &mut row[position(entry.at_ns, end_ns, cells)];
        *cell = if *cell == ' ' { mark(index) } else { '*' };
    }
    row.into_iter().collect::<String>().trim_end().to_owned()
}

/// The bucket of `cells` in which an instant lies; the first or last for those outside.
fn position(at_ns: i64, end_ns: u64, cells: usize) -> usize {
    let at_ns = u128::from(u64::try_from(at_ns).unwrap_or(0));
    let index = at_ns * cells as u128 / u128::from(end_ns.max(1));
    usize::try_from(index).unwrap_or(usize::MAX).min(cells.saturating_sub(1))
}

/// The timeline as a list, numbered as on the strip.
fn events(trial: &TrialResult, style: Style) -> String {
    let kinds: Vec<String> = trial.timeline.iter().map(|entry| entry.kind.to_string()).collect();
    let widest = kinds.iter().map(|kind| columns(kind)).max().unwrap_or(0).min(12);
    let lines = trial.timeline.iter().zip(&kinds).enumerate().map(|(index, (entry, kind))| {
        let pad = " ".repeat(widest.saturating_sub(columns(kind)));
        let text =
            format!("{}  {:>9}  {kind}{pad}  {}", mark(index), instant(entry.at_ns), plain(&entry.text));
        wrap(&text, style.width, "    ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What became of attempts, outages, kernel, workers and books, a line each.
fn facts(trial: &TrialResult, style: Style) -> String {
    let retry = match trial.safe_to_retry + trial.ambiguous {
        0 => "nothing was lost".to_owned(),
        _ => format!("{} safe, {} ambiguous", count(trial.safe_to_retry), count(trial.ambiguous)),
    };
    let facts: Vec<(&str, String)> = [
        ("attempts", prose::fates(trial)),
        ("collateral", prose::collateral(trial)),
        ("retry", retry),
        ("outages", prose::outages(trial)),
        ("recovery", prose::recovery(trial)),
    ]
    .into_iter()
    .chain(prose::addresses(trial).map(|text| ("addresses", text)))
    .chain(prose::threads(trial).map(|text| ("threads", text)))
    .chain(prose::phases(trial).map(|text| ("phases", text)))
    .chain(prose::watch(trial).map(|text| ("watch", text)))
    .chain([("kernel", prose::kernel(trial)), ("workers", prose::workers(trial))])
    .chain(prose::sessions(trial).map(|text| ("sessions", text)))
    .chain(prose::pool(trial).map(|text| ("pool", text)))
    .chain(prose::silent(trial).map(|text| ("silent", text)))
    .chain(prose::tls(trial).map(|text| ("tls", text)))
    .chain(prose::closes(trial).map(|text| ("closes", text)))
    .chain(prose::versions(trial).map(|text| ("versions", text)))
    .chain(prose::starts(trial).map(|text| ("starts", text)))
    .chain(prose::spread(trial).map(|text| ("spread", text)))
    .chain(prose::cost(trial).map(|text| ("cost", text)))
    .chain(trial.supervisor_ended.as_ref().map(|how| ("supervisor", format!("ended with {how}"))))
    .chain(trial.throughput_per_second.map(|rate| ("throughput", per_second_text(rate))))
    .chain([("books", plain(&trial.books.to_string())), ("took", duration(trial.elapsed_ns))])
    .collect();
    let line = |(name, text): &(&str, String)| {
        let indent = " ".repeat(12);
        let wrapped = wrap(text, style.width.map(|width| width.saturating_sub(12)), "");
        format!("{}{}", style.faint(&format!("{name:<12}")), wrapped.replace('\n', &format!("\n{indent}")))
    };
    facts.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The latencies with their quantiles.
fn latencies(trial: &TrialResult, style: Style) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(std::iter::once("latency").chain(QUANTILES));
    for (name, quantiles) in trial.latency.named() {
        table.add_row(std::iter::once(spaced(name)).chain(quantile_cells(quantiles)));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines
        .enumerate()
        .map(|(index, line)| if index == 0 { style.strong(&line) } else { line })
        .collect::<Vec<_>>()
        .join("\n")
}

/// The headings of [`quantile_cells`].
pub(crate) const QUANTILES: [&str; 6] = ["count", "p50", "p90", "p99", "p99.9", "max"];

/// How many there were, and their quantiles, as text; of none, nothing is known.
pub(crate) fn quantile_cells(quantiles: &Quantiles) -> [String; 6] {
    let Quantiles { count: n, p50_ns, p90_ns, p99_ns, p999_ns, max_ns, .. } = quantiles;
    let shown = |ns: u64| if *n == 0 { UNKNOWN.to_owned() } else { duration(ns) };
    [count(*n), shown(*p50_ns), shown(*p90_ns), shown(*p99_ns), shown(*p999_ns), shown(*max_ns)]
}

fn list(head: &str, lines: &[String], style: Style) -> Option<String> {
    let items: Vec<String> =
        lines.iter().map(|line| wrap(&format!("  {}", plain(line)), style.width, "    ")).collect();
    let head = style.strong(&format!("{head} ({})", counted(lines.len() as u64, "line")));
    (!items.is_empty()).then(|| format!("{}\n{}", head, items.join("\n")))
}

#[cfg(test)]
mod tests {
    use holdline_model::result::{
        Check, DrainBasis, Flaw, Given, InheritanceCheck, Remedy, Served, StrayDescriptor, Wrong,
    };
    use holdline_model::worded::Worded;
    use holdline_model::words::{Fate, Finding};
    use proptest::prelude::*;

    use super::*;
    use crate::sample;

    #[test]
    fn a_trial_as_a_whole() {
        let mut run = sample::default_run();
        let trial = run.trials.swap_remove(2);
        let expected = "\
held-socket in crash  delayed, pass
repetition 0, held-socket 0.1.0

outcome  █████✗▒········█████████████············
queue    ▁▁▁▁▁██████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
events   1    *         4
         0 s                               400 ms
         █ served  ▒ late  ✗ lost  · none due  queue up to 1

1    0.000 s  listener  listener 4711 opened, backlog 128
2    0.050 s  fault     attempt 5 carries poison: panic at step work
3    0.051 s  worker    worker 1 (generation 0) died: exit status 101
4    0.154 s  worker    worker 1 (generation 1) accepts

attempts    20 attempts: 19 served, 1 no reply
collateral  0 of 20 (≤ 14 % at 95 %)
retry       0 safe, 1 ambiguous
outages     104 ms from 50.0 ms (2 requests)
recovery    108 ms
addresses   20 of clients, one for each attempt
phases      before any fault 6 in time; during 0 of 2 in time, 1 late, 1 lost; after 12 in time
kernel      longest queue 2 of 128, 0 overflows, 0 drops, 0 listeners closed, sampled every 1.00 ms
workers     2 workers started, 0 orphans, 0 descriptors leaked
versions    version 1 answered 19 from 2.00 ms to 395 ms
starts      1 during the load (2.5 per second)
spread      2 workers accepted 6, 13; the busiest 68 %
cost        20.0 ms of CPU in 400 ms (/proc: all processes of the trial but the harness, ended ones included, to within 10 ms each)
books       balanced
took        1.40 s

latency     count      p50      p90      p99    p99.9      max
send lag       20  21.4 µs  42.8 µs  88.0 µs  88.0 µs  89.8 µs
connect        19  96.3 µs   193 µs   240 µs   240 µs   245 µs
queue wait     19  31.0 µs  62.0 µs   104 ms   104 ms   106 ms
accept         19   131 µs   262 µs   104 ms   104 ms   106 ms
response       19   208 µs   416 µs   104 ms   104 ms   106 ms
";
        let text = super::trial(&trial, &Style::default());
        assert_eq!(text, expected);
    }

    #[test]
    fn what_workers_inherited_is_listed_with_failures_first() {
        let mut trial = sample::held("prefork", "inheritance");
        let check = |check: Check, finding, detail| InheritanceCheck { check, finding, detail };
        let stray = StrayDescriptor { fd: 7, target: "/dev/null".to_owned() };
        let flaw = Flaw { pid: 4, what: Wrong::StrayDescriptors { descriptors: vec![stray] } };
        trial.workers.inheritance = vec![
            check(Check::Listener, Finding::Ok, Worded::Words("descriptor 0 listens".to_owned())),
            check(Check::Cgroup, Finding::NotKnown, Given::CgroupsUnread.into()),
            check(Check::Descriptors, Finding::Failed, Given::Flaws { first: vec![flaw], more: 0 }.into()),
        ];
        let expected = "\
inherited by workers (3 lines)
  failed     descriptors  worker 4 inherited what nobody told it of: 7 (/dev/null)
  ok         listener     descriptor 0 listens
  not known  cgroup       workers could not read theirs
";
        let text = super::trial(&trial, &Style::default());
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn versions_say_whether_two_answered_side_by_side() {
        let mut trial = sample::held("rolling", "upgrade");
        let version = |version, first_ns, last_ns| Served { version, served: 10, first_ns, last_ns };
        trial.versions = vec![version(1, 1_000_000, 30_000_000), version(2, 20_000_000, 90_000_000)];
        let text = super::trial(&trial, &Style::default());
        let expected = "version 1 answered 10 from 1.00 ms to 30.0 ms, \
                        version 2 answered 10 from 20.0 ms to 90.0 ms, side by side for 10.0 ms";
        assert!(text.contains(expected), "{text}");
        trial.versions[1].first_ns = 30_000_001;
        assert!(super::trial(&trial, &Style::default()).contains(", never side by side"));
    }

    #[test]
    fn what_would_have_helped_is_listed_and_what_not() {
        let mut trial = sample::held("web", "probe");
        let drain = Change::Drain { at_least_ns: 1_300_000_000, basis: DrainBasis::LongestCut };
        trial.remedies = vec![Remedy::new(drain.clone(), [(Fate::NoReply, 3)].into())];
        trial.without_remedy = [(Fate::WrongReply, 2)].into();
        trial.applied = vec![drain];
        let expected = "
remedies (2 lines)
  a drain of more than 1.30 s: 3 without a reply; they were under way when it was asked to stop, and the last was cut only then
  nothing is known that would have helped: 2 with a wrong reply

remedies that were applied (1 line)
  a drain of more than 1.30 s
";
        let text = super::trial(&trial, &Style::default());
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn one_that_never_ran_says_why() {
        assert_eq!(
            trial(&sample::unsupported("circus", "crash"), &Style::default()),
            "circus in crash  unsupported, unsupported\nrepetition 0, circus 0.1.0\n\
             not installed: pip install circus==0.19.0\n"
        );
    }

    #[test]
    fn a_single_loss_does_not_drown() {
        let bucket = |served, late, lost| StripBucket { start_ns: 0, served, late, lost, queue_max: 0 };
        assert_eq!(outcome_mark(&bucket(900, 3, 1)), '✗');
        assert_eq!(outcome_mark(&bucket(900, 3, 0)), '▒');
        assert_eq!(outcome_mark(&bucket(900, 0, 0)), '█');
        assert_eq!(outcome_mark(&bucket(0, 0, 0)), '·');
    }

    #[test]
    fn levels_tell_none_from_some_and_reach_the_top() {
        assert_eq!(level(0, 128), '▁');
        assert_eq!(level(1, 128), '▂');
        assert_eq!(level(128, 128), '█');
        assert_eq!(level(u32::MAX, u32::MAX), '█');
    }

    #[test]
    fn events_outside_the_strip_stand_at_its_ends() {
        assert_eq!(position(-5, 100, 10), 0);
        assert_eq!(position(50, 100, 10), 5);
        assert_eq!(position(i64::MAX, 100, 10), 9);
        assert_eq!(position(5, 0, 10), 9);
    }

    proptest! {
        #[test]
        fn any_trial_fits_its_terminal(run in sample::any_run(), width in 64_u16..200) {
            for result in &run.trials {
                let text = trial(result, &Style { color: false, width: Some(width) });
                for line in text.lines() {
                    prop_assert!(columns(line) <= usize::from(width), "{}: {}", width, line);
                }
            }
        }

        #[test]
        fn merging_buckets_loses_none(run in sample::any_run(), room in 0_usize..120) {
            for result in &run.trials {
                let cells = merged(&result.strip, room);
                prop_assert!(cells.len() <= room.max(1));
                let sum = |strip: &[StripBucket]| strip.iter().map(|b| b.served + b.late + b.lost).sum::<u64>();
                prop_assert_eq!(sum(&cells), sum(&result.strip));
            }
        }
    }
}
