//! `events.jsonl`: what happened in a trial besides single connections, and what was ordered, a JSON
//! object each, in the order in which the runner learnt of it. `reports/EVENTS.md` describes it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use holdline_model::conductor::{Event, Order, SCHEMA};
use holdline_model::watch::LastRequest;
use serde::Serialize;

/// What happened at an instant, in CLOCK_MONOTONIC nanoseconds.
pub(super) type Told = (u64, Event);

/// The file. All instants in it count from the load's start. When that is, is known only once the service
/// is ready: what happens before is kept until then.
#[derive(Debug)]
pub(super) struct EventLog {
    file: File,
    origin: Origin,
    error: Option<io::Error>,
}

/// The first line.
#[derive(Debug, Serialize)]
struct Header<'a> {
    schema: &'a str,
    /// `load` or `trial`.
    origin: &'a str,
    /// CLOCK_MONOTONIC at the origin.
    origin_monotonic_ns: u64,
}

/// What a line says besides when.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Entry {
    Event(Event),
    Order(Order),
}

/// A line: its instant counts from the origin.
#[derive(Debug, Serialize)]
struct Line {
    at_ns: i64,
    #[serde(flatten)]
    entry: Entry,
}

/// From where instants count.
#[derive(Debug)]
enum Origin {
    /// Not known yet. If the load never starts, from the trial's beginning.
    Open {
        began_ns: u64,
        kept: Vec<(u64, Entry)>,
    },
    At(u64),
}

impl EventLog {
    /// Creates the file in the folder of a trial that began at this instant.
    pub(super) fn create(folder: &Path, began_ns: u64) -> io::Result<Self> {
        let file = File::create(folder.join("events.jsonl"))?;
        Ok(Self { file, origin: Origin::Open { began_ns, kept: Vec::new() }, error: None })
    }

    /// Writes down what happened.
    pub(super) fn event(&mut self, at_ns: u64, event: &Event) {
        self.line(at_ns, Entry::Event(event.clone()));
    }

    /// Writes down what was ordered.
    pub(super) fn order(&mut self, at_ns: u64, order: &Order) {
        self.line(at_ns, Entry::Order(order.clone()));
    }

    /// Sets the instant from which all others count: the load's start.
    pub(super) fn load_starts(&mut self, start_ns: u64) {
        self.begin("load", start_ns);
    }

    /// Whether everything was written.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.begin_without_load();
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn begin_without_load(&mut self) {
        if let Origin::Open { began_ns, .. } = self.origin {
            self.begin("trial", began_ns);
        }
    }

    fn begin(&mut self, origin: &str, origin_ns: u64) {
        let Origin::Open { kept, .. } = std::mem::replace(&mut self.origin, Origin::At(origin_ns)) else {
            return;
        };
        self.write(&Header { schema: SCHEMA, origin, origin_monotonic_ns: origin_ns });
        for (at_ns, entry) in kept {
            self.write_from(origin_ns, at_ns, entry);
        }
    }

    fn line(&mut self, at_ns: u64, entry: Entry) {
        match &mut self.origin {
            Origin::Open { kept, .. } => kept.push((at_ns, entry)),
            Origin::At(origin_ns) => {
                let origin_ns = *origin_ns;
                self.write_from(origin_ns, at_ns, entry);
            }
        }
    }

    fn write_from(&mut self, origin_ns: u64, at_ns: u64, entry: Entry) {
        let entry = match entry {
            Entry::Order(Order::HandOut { fault, due_ns }) => {
                Entry::Order(Order::HandOut { fault, due_ns: due_ns.saturating_sub(origin_ns) })
            }
            Entry::Event(Event::LoadEnded { last: Some(last) }) => {
                let due_ns = last.due_ns.saturating_sub(origin_ns);
                Entry::Event(Event::LoadEnded { last: Some(LastRequest { due_ns, ..last }) })
            }
            Entry::Order(_) | Entry::Event(_) => entry,
        };
        let since = i128::from(at_ns) - i128::from(origin_ns);
        self.write(&Line { at_ns: i64::try_from(since).unwrap_or(i64::MAX), entry });
    }

    /// One write for each line: a reader never sees half of one. The first error is kept.
    fn write(&mut self, line: &impl Serialize) {
        let written = serde_json::to_vec(line).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)
        });
        if let Err(error) = written {
            self.error.get_or_insert(error);
        }
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        self.begin_without_load();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use holdline_model::reason::Reason;

    use super::*;

    fn lines(folder: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(folder.join("events.jsonl")).expect("a file");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    #[test]
    fn instants_count_from_the_loads_start_also_those_before_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = EventLog::create(folder.path(), 1_000).expect("a log");
        log.event(2_000, &Event::Ready);
        assert!(lines(folder.path()).is_empty());
        log.load_starts(5_000);
        log.order(6_000, &Order::HandOut { fault: 1, due_ns: 7_000 });
        let last = Some(LastRequest { due_ns: 8_000, served: true, any_served: true });
        log.event(9_000, &Event::LoadEnded { last });
        let found = lines(folder.path());
        assert_eq!(found[0], json!({ "schema": SCHEMA, "origin": "load", "origin_monotonic_ns": 5_000 }));
        assert_eq!(found[1], json!({ "at_ns": -3_000, "event": "ready" }));
        assert_eq!(found[2], json!({ "at_ns": 1_000, "order": "hand_out", "fault": 1, "due_ns": 2_000 }));
        assert_eq!(found[3]["last"], json!({ "due_ns": 3_000, "served": true, "any_served": true }));
    }

    #[test]
    fn without_a_load_instants_count_from_the_trials_beginning() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = EventLog::create(folder.path(), 1_000).expect("a log");
        log.event(2_000, &Event::NotReady { reason: Reason::NoAttempt });
        drop(log);
        let found = lines(folder.path());
        assert_eq!((&found[0]["origin"], &found[1]["at_ns"]), (&json!("trial"), &json!(1_000)));
    }
}
