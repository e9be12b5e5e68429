//! Charts as inline SVG, and what stands around them.
//!
//! Drawings hold numbers and fixed words only, so that nothing in them needs escaping. They are
//! stretched to the page's width (`preserveAspectRatio="none"`), which text would not survive:
//! marks, ticks and labels are therefore given as positions, and are set as HTML.

use std::fmt::Write;

use holdline_model::result::{LatencySet, Outage, StripBucket, TimelineEntry};
use minijinja::Value;
use serde::Serialize;

use crate::detail::end_ns;
use crate::prose::spaced;
use crate::rows::Split;
use crate::text::duration;

/// Width of every drawing in its own units.
const WIDTH: u64 = 1_000;

/// Height of every drawing but the ribbon, in its own units.
const HEIGHT: u64 = 100;

/// A bar that stands for anything at all is at least this high.
const BAR_MIN: u64 = 5;

/// Flags closer than this, in per cent of the width, share one.
const FLAG_GAP: f64 = 4.5;

/// Labels of lines closer than this, in per cent of the height, are moved apart.
const LABEL_GAP: f64 = 11.0;

/// A label and where it stands, in per cent of the chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Label {
    pub(super) at: f64,
    pub(super) text: String,
    /// The number of the line that it belongs to, if any.
    pub(super) line: usize,
}

/// Latency against percentile.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Percentiles {
    pub(super) svg: Value,
    /// Values, from the top.
    pub(super) scale: Vec<Label>,
    /// Names of the lines, from the top.
    pub(super) names: Vec<Label>,
}

/// A drawing as a template takes it: markup that is not escaped again.
pub(super) fn drawing(view_height: u64, body: &str) -> Value {
    let svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {view_height}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">{body}</svg>"
    );
    Value::from_safe_string(svg)
}

fn path(class: &str, d: &str) -> String {
    if d.is_empty() { String::new() } else { format!("<path class=\"{class}\" d=\"{d}\"/>") }
}

/// The position of an instant in a drawing that spans `domain_ns`.
fn x(at_ns: u64, domain_ns: u64) -> u64 {
    let at = u128::from(at_ns.min(domain_ns)) * u128::from(WIDTH);
    u64::try_from(at / u128::from(domain_ns.max(1))).unwrap_or(WIDTH)
}

/// Left and right edge of each bucket.
fn edges(strip: &[StripBucket], domain_ns: u64) -> Vec<(u64, u64)> {
    let ends = strip.iter().skip(1).map(|bucket| bucket.start_ns).chain([end_ns(strip)]);
    strip.iter().zip(ends).map(|(bucket, end)| (x(bucket.start_ns, domain_ns), x(end, domain_ns))).collect()
}

/// The worst outcome over time in a thin band; each outcome has a height of its own, so that
/// colour is not needed to tell them apart.
pub(super) fn ribbon(strip: &[StripBucket], domain_ns: u64) -> Value {
    let worst = |bucket: &StripBucket| match bucket {
        StripBucket { lost: 1.., .. } => Some(2),
        StripBucket { late: 1.., .. } => Some(1),
        StripBucket { served: 1.., .. } => Some(0),
        _ => None,
    };
    let mut paths = [String::new(), String::new(), String::new()];
    let edges = edges(strip, domain_ns);
    let mut index = 0;
    while index < strip.len() {
        let kind = worst(&strip[index]);
        let run = strip[index..].iter().take_while(|bucket| worst(bucket) == kind).count();
        if let Some(kind) = kind {
            let (left, right) = (edges[index].0, edges[index + run - 1].1.max(edges[index].0 + 2));
            let top = [5, 2, 0][kind];
            bar(&mut paths[kind], left, right, top, 12 - top);
        }
        index += run;
    }
    drawing(12, &classed(&paths))
}

/// Rectangles of served, late and lost, each with its class.
fn classed(paths: &[String; 3]) -> String {
    ["s", "l", "x"].iter().zip(paths).map(|(class, d)| path(class, d)).collect()
}

fn bar(d: &mut String, left: u64, right: u64, top: u64, height: u64) {
    let width = right.saturating_sub(left).max(1);
    write!(d, "M{left} {top}h{width}v{height}h-{width}z").expect("a string takes any text");
}

/// Attempts by outcome over time as stacked bars, with outages behind and events before them.
pub(super) fn outcomes(
    strip: &[StripBucket],
    outages: &[Outage],
    timeline: &[TimelineEntry],
    domain_ns: u64,
) -> Value {
    let mut body = String::new();
    let mut shade = String::new();
    for outage in outages.iter().take(50) {
        bar(&mut shade, x(outage.start_ns, domain_ns), x(outage.end_ns, domain_ns), 0, HEIGHT);
    }
    body.push_str(&path("o", &shade));
    let tallest = tallest(strip).max(1);
    // Each area stands behind the next, so that what is seen of it is its own share.
    let areas = [
        ("x", strip.iter().any(|bucket| bucket.lost > 0)),
        ("l", strip.iter().any(|bucket| bucket.late > 0)),
        ("s", true),
    ];
    for (index, (class, is_seen)) in areas.into_iter().enumerate() {
        if is_seen {
            let levels = strip.iter().map(|bucket| stack(bucket, tallest)[index]);
            body.push_str(&path(class, &stepped(levels, &edges(strip, domain_ns))));
        }
    }
    let mut lines: Vec<u64> = timeline.iter().map(|entry| x(positive(entry.at_ns), domain_ns)).collect();
    lines.sort_unstable();
    lines.dedup();
    body.push_str(&path("e", &lines.iter().map(|x| format!("M{x} 0v{HEIGHT}")).collect::<String>()));
    drawing(HEIGHT, &body)
}

/// Heights of all, of the served, and of those served in time; whatever occurs at all has a height
/// of its own.
fn stack(bucket: &StripBucket, tallest: u64) -> [u64; 3] {
    let all = bucket.served + bucket.late + bucket.lost;
    let scaled = |n: u64| if n == 0 { 0 } else { (n * HEIGHT / tallest).max(BAR_MIN) };
    let parts = [bucket.served, bucket.late, bucket.lost];
    let least: u64 = parts.iter().map(|n| if *n > 0 { BAR_MIN } else { 0 }).sum();
    let total = scaled(all).max(least);
    let lost = scaled(bucket.lost).min(total - least + BAR_MIN.min(scaled(bucket.lost)));
    let room = total - lost;
    let late = if bucket.served == 0 { room } else { scaled(bucket.late).min(room - BAR_MIN) };
    let late = if bucket.late == 0 { 0 } else { late };
    [total, room, room - late]
}

/// A stepped area of these levels.
fn stepped(levels: impl Iterator<Item = u64>, edges: &[(u64, u64)]) -> String {
    let mut d = String::new();
    let mut level = 0;
    for (next, (left, _)) in levels.zip(edges) {
        if next != level {
            let start = if d.is_empty() { format!("M{left} {HEIGHT}") } else { format!("H{left}") };
            write!(d, "{start}V{}", HEIGHT - next).expect("a string takes any text");
            level = next;
        }
    }
    if let (false, Some((_, right))) = (d.is_empty(), edges.last()) {
        write!(d, "H{right}V{HEIGHT}z").expect("a string takes any text");
    }
    d
}

fn positive(at_ns: i64) -> u64 {
    u64::try_from(at_ns).unwrap_or(0)
}

/// Attempts of the bucket that has the most.
pub(super) fn tallest(strip: &[StripBucket]) -> u64 {
    strip.iter().map(|bucket| bucket.served + bucket.late + bucket.lost).max().unwrap_or(0)
}

/// The accept queue over time as a stepped area; empty if it always was.
pub(super) fn queue(strip: &[StripBucket], domain_ns: u64) -> Option<Value> {
    let max = u64::from(strip.iter().map(|bucket| bucket.queue_max).max().unwrap_or(0));
    if max == 0 {
        return None;
    }
    let level = |bucket: &StripBucket| match u64::from(bucket.queue_max) {
        0 => 0,
        n => (n * HEIGHT / max).max(BAR_MIN),
    };
    Some(drawing(HEIGHT, &path("q", &stepped(strip.iter().map(level), &edges(strip, domain_ns)))))
}

/// Numbers of the events where they happened; neighbours share a flag, such as `2–4`.
pub(super) fn flags(timeline: &[TimelineEntry], domain_ns: u64) -> Vec<Label> {
    let mut events: Vec<(f64, usize)> = timeline
        .iter()
        .enumerate()
        .map(|(index, entry)| (x(positive(entry.at_ns), domain_ns) as f64 / 10.0, index + 1))
        .collect();
    events.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut groups: Vec<(f64, usize, usize)> = Vec::new();
    for (at, number) in events {
        match groups.last_mut() {
            Some((from, _, last)) if at - *from < FLAG_GAP => *last = number.max(*last),
            _ => groups.push((at, number, number)),
        }
    }
    let text = |first: usize, last: usize| match first == last {
        true => first.to_string(),
        false => format!("{first}–{last}"),
    };
    groups.into_iter().map(|(at, first, last)| Label { at, text: text(first, last), line: 0 }).collect()
}

/// Round instants along the axis, about five of them.
pub(super) fn ticks(domain_ns: u64) -> Vec<Label> {
    let step = round_step(domain_ns / 5);
    (0..)
        .map_while(|n: u64| n.checked_mul(step).filter(|at_ns| *at_ns <= domain_ns))
        .map(|at_ns| Label {
            at: at_ns as f64 * 100.0 / domain_ns.max(1) as f64,
            text: short(at_ns),
            line: 0,
        })
        // A label beyond this would stand outside the chart.
        .filter(|label| label.at <= 96.0)
        .take(12)
        .collect()
}

/// The smallest of 1, 2, 5, 10, 20 … that is at least `least`.
fn round_step(least: u64) -> u64 {
    let mut power: u64 = 1;
    loop {
        for digit in [1, 2, 5] {
            match power.checked_mul(digit) {
                Some(step) if step >= least => return step,
                Some(_) => {}
                None => return u64::MAX,
            }
        }
        power = power.saturating_mul(10);
    }
}

/// A round duration without decimals that say nothing: `1 s`, `1.5 s`, `200 ms`.
fn short(ns: u64) -> String {
    if ns == 0 {
        return "0".to_owned();
    }
    let text = duration(ns);
    let Some((digits, unit)) = text.split_once(' ') else { return text };
    let digits =
        if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    format!("{digits} {unit}")
}

/// Each latency as a line over p50, p90, p99, p99.9 and the maximum, on a logarithmic scale.
pub(super) fn percentiles(latency: &LatencySet) -> Option<Percentiles> {
    let lines: Vec<(usize, &str, [u64; 5])> = latency
        .named()
        .into_iter()
        .enumerate()
        .filter(|(_, (_, q))| q.count > 0)
        .map(|(line, (name, q))| (line, name, [q.p50_ns, q.p90_ns, q.p99_ns, q.p999_ns, q.max_ns]))
        .collect();
    let values = || lines.iter().flat_map(|(_, _, values)| values).map(|ns| (*ns).max(1) as f64);
    let low = values().fold(f64::INFINITY, f64::min).log10().floor();
    let high = values().fold(1.0, f64::max).log10().ceil();
    if lines.is_empty() {
        return None;
    }
    let span = (high - low).max(1.0);
    let y = |ns: f64| (100.0 - (ns.log10() - low) * 100.0 / span).clamp(0.0, 100.0);
    let scale: Vec<Label> = (0..=span as i32)
        .map(|decade| 10_f64.powf(low + f64::from(decade)))
        .map(|ns| Label { at: y(ns), text: short(ns as u64), line: 0 })
        .collect();
    let mut body =
        path("g", &scale.iter().map(|label| format!("M0 {:.1}H{WIDTH}", label.at)).collect::<String>());
    let mut names = Vec::new();
    for (line, name, values) in &lines {
        let point = |(i, ns): (usize, &u64)| {
            format!("{}{} {:.1}", if i == 0 { "M" } else { "L" }, i * 250, y((*ns).max(1) as f64))
        };
        body.push_str(&path(
            &format!("p p{line}"),
            &values.iter().enumerate().map(point).collect::<String>(),
        ));
        names.push(Label { at: y(values[4].max(1) as f64), text: spaced(name), line: *line });
    }
    Some(Percentiles { svg: drawing(HEIGHT, &body), scale, names: apart(names) })
}

/// Labels from the top, moved so far that none covers another.
fn apart(mut labels: Vec<Label>) -> Vec<Label> {
    labels.sort_by(|a, b| a.at.total_cmp(&b.at).then(b.line.cmp(&a.line)));
    let mut least = 0.0;
    for label in &mut labels {
        label.at = label.at.max(least);
        least = label.at + LABEL_GAP;
    }
    let mut most: f64 = 100.0;
    for label in labels.iter_mut().rev() {
        label.at = label.at.min(most).max(0.0);
        most = label.at - LABEL_GAP;
    }
    labels
}

/// The shares of served, unavoidable, collateral, and neither, as one bar.
pub(super) fn shares(split: Split) -> Value {
    let sum = split.sum().max(1);
    let parts =
        [("s", split.served), ("u", split.unavoidable()), ("x", split.collateral()), ("n", split.unasked())];
    let mut left = 0;
    let mut before = 0;
    let mut body = String::new();
    for (class, n) in parts.into_iter().filter(|(_, n)| *n > 0) {
        before += n;
        let wanted = u64::try_from(u128::from(before) * u128::from(WIDTH) / u128::from(sum)).unwrap_or(WIDTH);
        // However few they are, they show.
        let right = wanted.max(left + 12).min(WIDTH);
        let mut d = String::new();
        bar(&mut d, left.min(WIDTH - 12), right, 0, 12);
        body.push_str(&path(class, &d));
        left = right;
    }
    drawing(12, &body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample;

    fn bucket(start_ns: u64, served: u64, late: u64, lost: u64) -> StripBucket {
        StripBucket { start_ns, served, late, lost, queue_max: 0 }
    }

    #[test]
    fn a_ribbon_joins_what_is_alike() {
        let strip = [bucket(0, 1, 0, 0), bucket(10, 2, 0, 0), bucket(20, 0, 0, 1), bucket(30, 0, 0, 0)];
        assert_eq!(
            ribbon(&strip, 40).to_string(),
            "<svg viewBox=\"0 0 1000 12\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
             <path class=\"s\" d=\"M0 5h500v7h-500z\"/><path class=\"x\" d=\"M500 0h250v12h-250z\"/></svg>"
        );
    }

    #[test]
    fn one_loss_among_many_still_shows() {
        assert_eq!(stack(&bucket(0, 999, 0, 1), 1_000), [100, 95, 95]);
        assert_eq!(stack(&bucket(0, 998, 1, 1), 1_000), [100, 95, 90]);
        assert_eq!(stack(&bucket(0, 1, 0, 999), 1_000), [100, 5, 5]);
        assert_eq!(stack(&bucket(0, 1, 1, 1), 1_000), [15, 10, 5]);
        assert_eq!(stack(&bucket(0, 0, 7, 0), 10), [70, 70, 0]);
        assert_eq!(stack(&bucket(0, 0, 0, 7), 10), [70, 0, 0]);
        assert_eq!(stack(&bucket(0, 0, 0, 0), 10), [0, 0, 0]);
    }

    #[test]
    fn areas_step_only_where_they_change() {
        let edges = [(0, 10), (10, 20), (20, 30), (30, 40)];
        assert_eq!(stepped([0, 50, 50, 20].into_iter(), &edges), "M10 100V50H30V80H40V100z");
        assert_eq!(stepped([0, 0].into_iter(), &edges), "");
    }

    #[test]
    fn ticks_are_round_and_events_that_fall_together_share_a_flag() {
        let texts = |labels: Vec<Label>| labels.into_iter().map(|label| label.text).collect::<Vec<_>>();
        assert_eq!(texts(ticks(2_300_000_000)), ["0", "500 ms", "1 s", "1.5 s", "2 s"]);
        assert_eq!(texts(ticks(0)), ["0"]);
        let timeline = &sample::default_run().trials[1].timeline;
        assert_eq!(texts(flags(timeline, 400_000_000)), ["1", "2–4", "5"]);
    }

    #[test]
    fn labels_of_lines_keep_apart() {
        let label = |at, line| Label { at, text: String::new(), line };
        let moved = apart(vec![label(99.0, 0), label(98.0, 1), label(2.0, 2), label(97.0, 3)]);
        let at: Vec<f64> = moved.iter().map(|label| label.at).collect();
        assert_eq!(at, [2.0, 78.0, 89.0, 100.0]);
    }

    proptest! {
        #[test]
        fn whatever_occurs_is_seen(served in 0_u64..2_000, late in 0_u64..2_000, lost in 0_u64..2_000) {
            let [total, room, in_time] = stack(&bucket(0, served, late, lost), 6_000);
            prop_assert!(total <= HEIGHT);
            let seen = [in_time, room - in_time, total - room];
            for (height, n) in seen.into_iter().zip([served, late, lost]) {
                prop_assert_eq!(height > 0, n > 0);
                prop_assert!(n == 0 || height >= BAR_MIN);
            }
        }

        #[test]
        fn any_trial_can_be_drawn(run in sample::any_run(), domain_ns in any::<u64>()) {
            for trial in &run.trials {
                let drawings = [
                    ribbon(&trial.strip, domain_ns),
                    outcomes(&trial.strip, &trial.outages, &trial.timeline, domain_ns),
                    shares(Split::of(trial)),
                ];
                for drawing in drawings {
                    prop_assert!(!drawing.to_string().contains("NaN"));
                }
                queue(&trial.strip, domain_ns);
                prop_assert!(ticks(domain_ns).len() <= 12);
                let chart = percentiles(&trial.latency).expect("there are latencies");
                prop_assert!(!chart.svg.to_string().contains("NaN") && !chart.svg.to_string().contains("inf"));
            }
        }
    }
}
