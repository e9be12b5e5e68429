//! The course of a trial as the page's script takes it: columns of whole numbers.
//!
//! Instants are microseconds, each column counted from what keeps its numbers small. A page has room for so many
//! attempts: whatever was not served in time is kept first, and of the rest every so many.

use holdline_model::result::TrialResult;
use holdline_model::words::{Blame, Fate};
use minijinja::Value;
use serde::Serialize;

use crate::course::{At, Course, Point, Queue, Worker};
use crate::rows::Section;
use crate::text::plain;

/// How many attempts a page shows at most, of all trials together.
const PAGE_POINTS: usize = 30_000;

/// How many of one trial.
const TRIAL_POINTS: usize = 3_000;

/// The most changes of a queue, and the most workers, of one trial.
const CHANGES: usize = 400;
const WORKERS: usize = 200;

/// Into how many parts the time is cut for quantiles.
const PARTS: i64 = 80;

/// Quantiles of the curves, up to the highest that so many attempts can have.
const CURVE: [f64; 16] = [
    0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.9975, 0.999, 0.9995, 0.9999, 0.99999, 0.999_999,
    1.0,
];

/// A worker: its process, and from when it was there, ready, draining, failed and gone.
type Bar = (u32, [Option<i64>; 5]);

/// What the script draws of a trial.
#[derive(Debug, Serialize)]
struct Drawn {
    /// Attempts in all, and one of how many of those that were served in time is shown.
    n: usize,
    every: usize,
    /// Their numbers, and when they were due, each from the one before.
    no: Vec<i64>,
    due: Vec<i64>,
    /// Their other instants from when they were due; `null`: it did not come to that, or nobody wrote it down.
    started: Vec<Option<i64>>,
    connected: Vec<Option<i64>>,
    accepted: Vec<Option<i64>>,
    ended: Vec<Option<i64>>,
    /// How each went, by [`class`], and its fate, by its place in `fates`.
    class: Vec<u8>,
    fate: Vec<usize>,
    fates: Vec<&'static str>,
    /// From when the queue was how long, of how many.
    queue: (Vec<i64>, Vec<u32>, Vec<u32>),
    /// Median and 99th percentile of what was served, by when it was due.
    p50: Vec<Option<u64>>,
    p99: Vec<Option<u64>>,
    part: i64,
    /// Lanes of workers that followed each other.
    lanes: Vec<Vec<Bar>>,
    more_workers: usize,
    /// When each event of the list happened, and of what kind.
    events: Vec<(i64, &'static str)>,
}

/// How it went: in time, late, lost to the supervisor, lost in another way, not asked.
fn class(point: &Point) -> u8 {
    match (point.fate, point.blame) {
        (Fate::NotSent | Fate::Silent, _) => 4,
        (Fate::Served, _) if point.is_late => 1,
        (Fate::Served, _) => 0,
        (_, Some(Blame::Collateral)) => 2,
        (_, _) => 3,
    }
}

/// How many attempts of each trial a page with so many has room for.
pub(super) fn room(trials: usize) -> usize {
    (PAGE_POINTS / trials.max(1)).min(TRIAL_POINTS)
}

/// A trial's course as JSON that may stand in a script element.
pub(super) fn data(trial: &TrialResult, course: &Course, room: usize, events: usize) -> Value {
    let (points, every) = chosen(&course.points, room);
    let fates: Vec<Fate> = Fate::ALL.to_vec();
    let after_due = |of: fn(&Point) -> Option<At>| {
        points.iter().map(|point| of(point).map(|at| micros(at.ns() - point.intended_ns))).collect()
    };
    let due: Vec<i64> = points.iter().map(|point| micros(point.intended_ns)).collect();
    let (part, p50, p99) = over_time(&course.points);
    let (lanes, more_workers) = lanes(&course.workers);
    let drawn = Drawn {
        n: course.points.len(),
        every,
        no: steps(points.iter().map(|point| i64::from(point.attempt))),
        due: steps(due.into_iter()),
        started: after_due(|point| point.started_ns),
        connected: after_due(|point| point.connected_ns),
        accepted: after_due(|point| point.accepted_ns),
        ended: after_due(|point| point.finished_ns),
        class: points.iter().map(|point| class(point)).collect(),
        fate: points
            .iter()
            .map(|point| fates.iter().position(|fate| *fate == point.fate).unwrap_or(0))
            .collect(),
        fates: fates.iter().map(|fate| fate.as_str()).collect(),
        queue: queue(&course.queue),
        p50,
        p99,
        part,
        lanes,
        more_workers,
        events: trial
            .timeline
            .iter()
            .take(events)
            .map(|entry| (entry.at_ns / 1_000, entry.kind.as_str()))
            .collect(),
    };
    script_json(&drawn)
}

/// Those that are shown, and one of how many of those served in time.
fn chosen(points: &[Point], room: usize) -> (Vec<&Point>, usize) {
    let (in_time, others): (Vec<&Point>, Vec<&Point>) = points.iter().partition(|point| class(point) == 0);
    let others = thinned(&others, (room * 2 / 3).max(1)).0;
    let (in_time, every) = thinned(&in_time, room.saturating_sub(others.len()).max(1));
    let mut all: Vec<&Point> = in_time.into_iter().chain(others).collect();
    all.sort_by_key(|point| (point.intended_ns, point.attempt));
    (all, every)
}

/// Every so many of them, so that no more than `most` are left.
fn thinned<'a>(points: &[&'a Point], most: usize) -> (Vec<&'a Point>, usize) {
    let every = points.len().div_ceil(most.max(1)).max(1);
    (points.iter().step_by(every).copied().collect(), every)
}

fn steps(values: impl Iterator<Item = i64>) -> Vec<i64> {
    values.scan(0, |before, value| Some(value - std::mem::replace(before, value))).collect()
}

fn micros(ns: i64) -> i64 {
    ns.div_euclid(1_000)
}

/// Of many changes those that matter to the eye: of each span of them the one with the longest queue.
fn queue(queue: &[Queue]) -> (Vec<i64>, Vec<u32>, Vec<u32>) {
    let every = queue.len().div_ceil(CHANGES).max(1);
    let kept = queue.chunks(every).filter_map(|span| span.iter().max_by_key(|change| change.length));
    let (mut at, mut length, mut limit) = (Vec::new(), Vec::new(), Vec::new());
    for change in kept {
        at.push(micros(change.at_ns));
        length.push(change.length);
        limit.push(change.limit);
    }
    (at, length, limit)
}

/// Length of a part in microseconds, and of what was served of those due in each the median and the 99th percentile.
fn over_time(points: &[Point]) -> (i64, Vec<Option<u64>>, Vec<Option<u64>>) {
    let last = points.iter().map(|point| point.intended_ns).max().unwrap_or(0).max(1);
    let part = last / PARTS + 1;
    let count = usize::try_from(last / part + 1).unwrap_or(1);
    let mut parts: Vec<Vec<u64>> = vec![Vec::new(); count];
    for point in points.iter().filter(|point| point.fate == Fate::Served) {
        let index = usize::try_from(point.intended_ns / part).unwrap_or(0).min(count - 1);
        parts[index].extend(point.waited_ns());
    }
    parts.iter_mut().for_each(|waits| waits.sort_unstable());
    let quantile = |q: f64| parts.iter().map(|waits| at_quantile(waits, q).map(|ns| ns / 1_000)).collect();
    (part / 1_000, quantile(0.5), quantile(0.99))
}

/// The value that at least so many of the sorted values do not exceed.
fn at_quantile(sorted: &[u64], q: f64) -> Option<u64> {
    let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank.min(sorted.len()).checked_sub(1)?).copied()
}

/// Workers that followed each other share a lane, so that few lanes show many of them.
fn lanes(workers: &[Worker]) -> (Vec<Vec<Bar>>, usize) {
    let mut lanes: Vec<(i64, Vec<Bar>)> = Vec::new();
    for worker in workers.iter().take(WORKERS) {
        let us = |at: Option<i64>| at.map(micros);
        let bar = [
            us(Some(worker.from_ns)),
            us(worker.ready_ns),
            us(worker.drained_ns),
            us(worker.crashed_ns),
            us(worker.ended_ns),
        ];
        let until = worker.ended_ns.unwrap_or(i64::MAX);
        match lanes.iter_mut().find(|(free, _)| *free <= worker.from_ns) {
            Some((free, lane)) => {
                *free = until;
                lane.push((worker.pid, bar));
            }
            None => lanes.push((until, vec![(worker.pid, bar)])),
        }
    }
    (lanes.into_iter().map(|(_, lane)| lane).collect(), workers.len().saturating_sub(WORKERS))
}

/// A curve of latency over quantiles.
#[derive(Debug, Serialize)]
struct Curve {
    name: String,
    /// Quantiles, and microseconds.
    at: Vec<f64>,
    us: Vec<u64>,
}

/// The latencies of all contenders of a section, as JSON; `None` unless the attempts of two are known.
pub(super) fn curves<'a>(
    section: &Section<'_>,
    course: &impl Fn(&TrialResult) -> Option<&'a Course>,
) -> Option<Value> {
    let curve = |row: &crate::rows::Row<'_>| {
        let points = row.trials.iter().filter_map(|trial| course(trial)).flat_map(|course| &course.points);
        let mut waits: Vec<u64> =
            points.filter(|point| point.fate == Fate::Served).filter_map(Point::waited_ns).collect();
        waits.sort_unstable();
        let highest = 1.0 - 1.0 / (waits.len().max(1) as f64);
        let at: Vec<f64> = CURVE.into_iter().filter(|q| *q <= highest || *q >= 1.0).collect();
        let us =
            at.iter().map(|q| at_quantile(&waits, *q).map(|ns| ns / 1_000)).collect::<Option<Vec<u64>>>()?;
        Some(Curve { name: plain(row.supervisor), at, us })
    };
    let curves: Vec<Curve> = section.rows.iter().filter_map(curve).collect();
    (curves.len() > 1).then(|| script_json(&curves))
}

/// JSON in which nothing can end the element that it stands in.
fn script_json(value: &impl Serialize) -> Value {
    let json = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
    let safe = json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    Value::from_safe_string(safe)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(attempt: u32, fate: Fate, wait_ns: i64) -> Point {
        let intended_ns = i64::from(attempt) * 1_000_000;
        Point {
            attempt,
            intended_ns,
            started_ns: At::new(intended_ns),
            connected_ns: None,
            accepted_ns: None,
            finished_ns: At::new(intended_ns + wait_ns),
            fate,
            blame: (fate != Fate::Served).then_some(Blame::Collateral),
            is_late: false,
        }
    }

    #[test]
    fn what_was_lost_is_shown_before_what_was_served() {
        let mut points: Vec<Point> = (0..1_000).map(|attempt| point(attempt, Fate::Served, 5)).collect();
        for lost in [3, 500, 998] {
            points[lost].fate = Fate::Refused;
            points[lost].blame = Some(Blame::Collateral);
        }
        let (shown, every) = chosen(&points, 60);
        assert!(shown.len() <= 60, "{}", shown.len());
        assert_eq!(shown.iter().filter(|point| point.fate == Fate::Refused).count(), 3);
        assert_eq!(every, 18);
        assert_eq!(chosen(&points, 2_000).1, 1);
    }

    #[test]
    fn quantiles_are_of_what_was_served() {
        let sorted: Vec<u64> = (1..=100).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|q| at_quantile(&sorted, q)), [1, 50, 99, 100].map(Some));
        assert_eq!(at_quantile(&[], 0.5), None);
    }

    #[test]
    fn workers_that_followed_each_other_share_a_lane() {
        let worker = |pid, from_ns, ended_ns| Worker {
            pid,
            from_ns,
            ready_ns: None,
            drained_ns: None,
            crashed_ns: None,
            ended_ns,
        };
        let workers =
            [worker(1, 0, Some(50)), worker(2, 10, None), worker(3, 60, Some(70)), worker(4, 70, None)];
        let (lanes, more) = lanes(&workers);
        let pids: Vec<Vec<u32>> = lanes.iter().map(|lane| lane.iter().map(|bar| bar.0).collect()).collect();
        assert_eq!((pids, more), (vec![vec![1, 3, 4], vec![2]], 0));
    }

    #[test]
    fn nothing_ends_the_element_that_data_stand_in() {
        let value = script_json(&vec!["</script><b>&"]);
        assert_eq!(value.to_string(), "[\"\\u003c/script\\u003e\\u003cb\\u003e\\u0026\"]");
    }

    proptest! {
        #[test]
        fn there_are_never_more_than_there_is_room_for(
            lost in prop::collection::vec(any::<bool>(), 0..500),
            room in 1_usize..100,
        ) {
            let fate = |lost: bool| if lost { Fate::Refused } else { Fate::Served };
            let points: Vec<Point> = (0..).zip(&lost).map(|(n, lost)| point(n, fate(*lost), 7)).collect();
            let (shown, _) = chosen(&points, room);
            prop_assert!(shown.len() <= room + 1);
            prop_assert!(shown.is_sorted_by_key(|point| point.attempt));
        }
    }
}
