//! What the files of a recorded trial say of its course.
//!
//! A file that is missing or cut short leaves out what it would have said: a report is drawn from what is there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Component, Path};

use flate2::read::GzDecoder;
use holdline_reports::course::{At, Course, Point, Queue, Worker};
use serde::Deserialize;

/// The course of the trial in this folder of a run's directory; `None` where no attempts are on record.
#[must_use]
pub(crate) fn course(dir: &Path, folder: &str) -> Option<Course> {
    let folder = Path::new(folder);
    // What a file says is not a path to anywhere else.
    let is_below = folder.components().all(|part| matches!(part, Component::Normal(_)));
    if folder.as_os_str().is_empty() || !is_below {
        return None;
    }
    let folder = dir.join(folder);
    let points = points(GzDecoder::new(File::open(folder.join("attempts.csv.gz")).ok()?));
    if points.is_empty() {
        return None;
    }
    let queue = File::open(folder.join("kernel.csv")).map(queue).unwrap_or_default();
    let workers = File::open(folder.join("events.jsonl")).map(workers).unwrap_or_default();
    Some(Course { points, queue, workers })
}

/// The columns of `attempts.csv.gz` that are drawn.
#[derive(Deserialize)]
struct AttemptRow {
    attempt: u32,
    intended_ns: i64,
    started_ns: Option<i64>,
    connected_ns: Option<i64>,
    accepted_ns: Option<i64>,
    finished_ns: Option<i64>,
    fate: String,
    blame: String,
    /// Older files do not have it.
    #[serde(default)]
    late: u8,
}

fn points(file: impl Read) -> Vec<Point> {
    let mut rows = csv::Reader::from_reader(file);
    let point = |row: AttemptRow| {
        Some(Point {
            attempt: row.attempt,
            intended_ns: row.intended_ns,
            started_ns: row.started_ns.and_then(At::new),
            connected_ns: row.connected_ns.and_then(At::new),
            accepted_ns: row.accepted_ns.and_then(At::new),
            finished_ns: row.finished_ns.and_then(At::new),
            fate: row.fate.parse().ok()?,
            blame: row.blame.parse().ok(),
            is_late: row.late > 0,
        })
    };
    let mut points: Vec<Point> = rows.deserialize().map_while(Result::ok).filter_map(point).collect();
    points.sort_by_key(|point| point.attempt);
    points
}

/// The columns of `kernel.csv` that are drawn.
#[derive(Deserialize)]
struct KernelRow {
    at_ns: i64,
    event: String,
    inode: u64,
    queue: Option<u32>,
    limit: Option<u32>,
}

/// All listeners taken together: their queues add up, and so does what they take.
fn queue(file: impl Read) -> Vec<Queue> {
    let mut now: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
    let mut queue: Vec<Queue> = Vec::new();
    for row in csv::Reader::from_reader(file).deserialize().map_while(Result::<KernelRow, _>::ok) {
        match (row.event.as_str(), row.queue) {
            ("closed", _) => _ = now.remove(&row.inode),
            ("queue", Some(length)) => _ = now.insert(row.inode, (length, row.limit.unwrap_or(0))),
            _ => continue,
        }
        let sum = |of: fn(&(u32, u32)) -> u32| now.values().map(of).fold(0, u32::saturating_add);
        queue.push(Queue { at_ns: row.at_ns, length: sum(|one| one.0), limit: sum(|one| one.1) });
    }
    queue
}

/// The lines of `events.jsonl` that tell of workers.
#[derive(Deserialize)]
struct EventLine {
    at_ns: i64,
    event: String,
    pid: Option<u32>,
    kind: Option<String>,
}

fn workers(file: impl Read) -> Vec<Worker> {
    let mut workers: Vec<Worker> = Vec::new();
    // Of a line that is not of this kind, such as the first, there is nothing to draw.
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    for line in lines.filter_map(|line| serde_json::from_str::<EventLine>(&line).ok()) {
        let Some(pid) = line.pid.filter(|_| matches!(line.event.as_str(), "worker" | "worker_ended")) else {
            continue;
        };
        // A process id may come again: it is another worker once the one before is gone.
        let is_there = |worker: &Worker| worker.pid == pid && worker.ended_ns.is_none();
        let index = workers.iter().rposition(is_there).unwrap_or_else(|| {
            workers.push(Worker {
                pid,
                from_ns: line.at_ns,
                ready_ns: None,
                drained_ns: None,
                crashed_ns: None,
                ended_ns: None,
            });
            workers.len() - 1
        });
        let worker = &mut workers[index];
        let at = Some(line.at_ns);
        match (line.event.as_str(), line.kind.as_deref()) {
            ("worker_ended", _) => worker.ended_ns = at,
            (_, Some("ready")) => worker.ready_ns = worker.ready_ns.or(at),
            (_, Some("drain")) => worker.drained_ns = worker.drained_ns.or(at),
            (_, Some("crash")) => worker.crashed_ns = worker.crashed_ns.or(at),
            _ => {}
        }
    }
    workers
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use holdline_model::words::{Blame, Fate};

    use super::*;

    #[test]
    fn attempts_are_read_with_their_instants() {
        let file = "attempt,intended_ns,started_ns,connected_ns,accepted_ns,finished_ns,outcome,fate,blame,late\n\
            1,10,12,,,15,refused,refused,collateral,0\n0,0,1,2,3,4,replied,served,,1\n";
        let points = points(file.as_bytes());
        assert_eq!(points.iter().map(|point| point.attempt).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(
            (points[0].fate, points[0].is_late, points[0].accepted_ns),
            (Fate::Served, true, At::new(3))
        );
        assert_eq!((points[1].blame, points[1].connected_ns), (Some(Blame::Collateral), None));
        assert_eq!(points[1].waited_ns(), Some(5));
    }

    #[test]
    fn queues_of_several_listeners_add_up() {
        let file = "at_ns,event,inode,queue,limit,drops,holders\n-5,opened,1,,,,7\n-5,queue,1,0,8,0,\n3,queue,2,2,8,,\n\
            4,queue,1,3,8,0,\n9,closed,1,,,,\n";
        let at = |at_ns, length, limit| Queue { at_ns, length, limit };
        assert_eq!(queue(file.as_bytes()), [at(-5, 0, 8), at(3, 2, 16), at(4, 5, 16), at(9, 2, 8)]);
    }

    #[test]
    fn a_process_id_that_comes_again_is_another_worker() {
        let file = "{\"schema\":\"holdline.events/1\",\"origin\":\"load\"}\n\
            {\"at_ns\":-9,\"event\":\"worker\",\"pid\":5,\"generation\":1,\"kind\":\"boot\"}\n\
            {\"at_ns\":-3,\"event\":\"worker\",\"pid\":5,\"generation\":1,\"kind\":\"ready\"}\n\
            {\"at_ns\":2,\"event\":\"worker\",\"pid\":5,\"generation\":1,\"kind\":\"crash\"}\n\
            {\"at_ns\":4,\"event\":\"worker_ended\",\"pid\":5}\n\
            {\"at_ns\":7,\"event\":\"worker\",\"pid\":5,\"generation\":2,\"kind\":\"boot\"}\n";
        let workers = workers(file.as_bytes());
        assert_eq!(workers.len(), 2);
        assert_eq!(
            (workers[0].ready_ns, workers[0].crashed_ns, workers[0].ended_ns),
            (Some(-3), Some(2), Some(4))
        );
        assert_eq!((workers[1].from_ns, workers[1].ready_ns), (7, None));
    }

    #[test]
    fn what_a_result_names_is_looked_for_below_its_directory_alone() {
        let run = tempfile::tempdir().expect("a folder");
        let attempts = "attempt,intended_ns,started_ns,connected_ns,accepted_ns,finished_ns,fate,blame\n0,0,1,2,3,4,served,\n";
        for folder in ["inside", "outside"] {
            std::fs::create_dir_all(run.path().join("run").join(folder)).expect("a folder");
            let path = run.path().join("run").join(folder).join("attempts.csv.gz");
            let mut gz = flate2::write::GzEncoder::new(
                File::create(path).expect("a file"),
                flate2::Compression::fast(),
            );
            gz.write_all(attempts.as_bytes()).and_then(|()| gz.finish()).expect("written");
        }
        let run = run.path().join("run");
        assert_eq!(course(&run, "inside").map(|course| course.points.len()), Some(1));
        for folder in ["", "../run/inside", "missing", "inside/.."] {
            assert_eq!(course(&run, folder), None, "{folder}");
        }
    }
}
