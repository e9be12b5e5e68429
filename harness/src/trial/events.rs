//! `events.jsonl`: what happened in a trial besides attempts, a JSON object each, as it happens.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

/// The file. Instants are CLOCK_MONOTONIC nanoseconds: the last line names the load's start.
#[derive(Debug)]
pub(super) struct EventLog {
    file: File,
    error: Option<io::Error>,
}

impl EventLog {
    /// Creates the file in a trial's folder.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(folder.join("events.jsonl"))?, error: None })
    }

    /// Writes one event. The first error is kept for [`EventLog::finish`].
    pub(super) fn write(&mut self, at_ns: u64, event: &str, mut fields: Value) {
        if let Value::Object(map) = &mut fields {
            map.insert("at_ns".to_owned(), json!(at_ns));
            map.insert("event".to_owned(), json!(event));
        }
        // One write for each line: a reader never sees half of one.
        let line = format!("{fields}\n");
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            self.error.get_or_insert(error);
        }
    }

    /// Whether everything was written.
    pub(super) fn finish(mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
