//! The files of a trial: every attempt, the kernel's record, the latency histograms.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroU64;
use std::path::Path;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use holdline_model::accepts;
use holdline_model::latency;
use holdline_model::ledger::{Attempt, WorkerLog};
use holdline_model::record::{ClientRecord, KernelRecord, Outcome, RequestRecord};
use holdline_model::requests::{Service, service};
use holdline_model::said::{Said, escaped};
use holdline_model::series::Series;
use holdline_model::summary::Summary;
use holdline_model::words::{Stage, word_of};
use holdline_reports::hdr::{self, HdrError, Latencies};

use super::paths::{PathError, to};

/// Length of an interval of the histogram log: short enough for a crash to be seen as a bump, long enough for the log to
/// stay small.
const INTERVAL_NS: u64 = 100_000_000;

/// A file of a trial that could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilesError {
    /// The disk refuses it.
    #[error(transparent)]
    Write(#[from] PathError),
    /// A histogram has no form as a file.
    #[error(transparent)]
    Histogram(#[from] HdrError),
    /// The result has no form as JSON.
    #[error("failed to write the trial's result as JSON")]
    Json(#[from] serde_json::Error),
}

/// Everything that is written once a trial is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrialFiles<'a> {
    /// The trial's folder.
    pub(super) folder: &'a Path,
    /// Start of the load, from which all instants in the files count.
    pub(super) start_ns: u64,
    /// Wall-clock time of that instant.
    pub(super) started: SystemTime,
    /// Length of the load.
    pub(super) length_ns: u64,
    /// After which what is served is late.
    pub(super) deadline_ns: u64,
    /// The client's records.
    pub(super) client: Series<'a, ClientRecord>,
    /// Requests that have records of their own.
    pub(super) requests: &'a [RequestRecord],
    /// What servers said instead of the answer.
    pub(super) said: &'a Said,
    /// The workers' ledgers.
    pub(super) workers: &'a [WorkerLog],
    /// What the observer saw.
    pub(super) kernel: &'a KernelRecord,
    /// What came of it.
    pub(super) summary: &'a Summary,
}

impl TrialFiles<'_> {
    /// Writes them all.
    pub(super) fn write(&self) -> Result<(), FilesError> {
        self.with("attempts.csv.gz", |path| self.attempts(path))?;
        self.with("kernel.csv", |path| self.kernel(path))?;
        self.with("accepts.csv.gz", |path| self.accepts(path))?;
        self.histograms()?;
        let json = serde_json::to_vec_pretty(&self.summary.result)?;
        Ok(self.with("trial.json", |path| std::fs::write(path, json))?)
    }

    /// Writes a file of this name, by what writes it.
    fn with(&self, name: &str, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), PathError> {
        let path = self.folder.join(name);
        write(&path).map_err(to("write", &path))
    }

    fn attempts(&self, path: &Path) -> io::Result<()> {
        let file = BufWriter::new(File::create(path)?);
        let mut csv = csv::Writer::from_writer(GzEncoder::new(file, Compression::fast()));
        csv.write_record([
            "attempt",
            "intended_ns",
            "started_ns",
            "connected_ns",
            "accepted_ns",
            "finished_ns",
            "outcome",
            "fate",
            "blame",
            "retry",
            "poison",
            "syn_retransmits",
            "worker_pid",
            "version",
            "requests_answered",
            "status",
            "hands",
            "first_bytes",
            "ended_by",
            "send_failed",
            "half_closed",
            "carried_by",
            "retried",
            "afterwards",
            "tls_ns",
            "certificate",
            "resumed",
            "late",
            "close_code",
        ])?;
        for attempt in &self.summary.reconciled.attempts {
            if let Some(record) = self.client.get(attempt.record as usize) {
                csv.write_record(self.row(record, attempt))?;
            }
        }
        let gz = csv.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        gz.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()
    }

    fn row(&self, record: &ClientRecord, attempt: &Attempt) -> [String; 29] {
        let stamp = |stamp: Option<NonZeroU64>| {
            stamp.map_or(String::new(), |at| self.since_start(at.get()).to_string())
        };
        let worker = self.workers.get(attempt.worker as usize);
        [
            record.attempt.to_string(),
            self.since_start(record.intended_ns).to_string(),
            stamp(record.started),
            stamp(record.connected),
            stamp(attempt.accepted),
            stamp(record.finished),
            outcome_word(record.outcome),
            attempt.fate.to_string(),
            attempt.blame.map_or(String::new(), |blame| blame.to_string()),
            attempt.retry.map_or(String::new(), |retry| retry.to_string()),
            u8::from(record.poison).to_string(),
            record.syn_retransmits.to_string(),
            worker.map_or(String::new(), |log| log.pid.to_string()),
            if record.version == 0 { String::new() } else { record.version.to_string() },
            record.requests_answered.to_string(),
            record.outcome.status().map_or(String::new(), |status| status.to_string()),
            self.hands(record),
            self.said.get(record.said).map(escaped).unwrap_or_default(),
            record.ended.map_or(String::new(), |ended| ended.to_string()),
            u8::from(record.send_failed).to_string(),
            u8::from(record.half_closed).to_string(),
            record.carried.map_or(String::new(), |carried| carried.by.to_string()),
            record
                .carried
                .and_then(|carried| carried.retried)
                .map_or(String::new(), |ended| ended.to_string()),
            record.carried.map_or(String::new(), |carried| carried.afterwards.to_string()),
            stamp(record.tls),
            self.fingerprint(record),
            u8::from(record.resumed).to_string(),
            u8::from(service(attempt, self.deadline_ns) == Service::Late).to_string(),
            record.close_code.map_or(String::new(), |code| code.to_string()),
        ]
    }

    /// In whose hands it was when its time ran out. What came faster than it could be looked at is not known.
    fn hands(&self, record: &ClientRecord) -> String {
        match (self.kernel.held.custody(record.attempt), record.outcome) {
            (Some(custody), _) => custody.in_short(),
            (None, Outcome::TimedOut(Stage::FirstByte | Stage::Reply)) => "unknown".to_owned(),
            (None, _) => String::new(),
        }
    }

    /// The SHA-256 of the certificate that an attempt was shown.
    fn fingerprint(&self, record: &ClientRecord) -> String {
        let all = self.summary.result.tls.as_ref().map(|tls| &tls.certificates);
        let shown = record.certificate.and_then(|which| all?.get(usize::from(which.get()) - 1));
        shown.map_or(String::new(), |shown| shown.certificate.fingerprint.clone())
    }

    fn since_start(&self, at_ns: u64) -> i128 {
        i128::from(at_ns) - i128::from(self.start_ns)
    }

    fn kernel(&self, path: &Path) -> io::Result<()> {
        let mut csv = csv::Writer::from_path(path)?;
        csv.write_record(["at_ns", "event", "inode", "queue", "limit", "drops", "holders"])?;
        let mut rows: Vec<(u64, [String; 6])> = Vec::new();
        for listener in &self.kernel.listeners {
            let holders: Vec<String> = listener.holders.iter().map(u32::to_string).collect();
            let blank = String::new;
            let inode = listener.inode.to_string();
            let opened = ["opened".to_owned(), inode.clone(), blank(), blank(), blank(), holders.join(" ")];
            rows.push((listener.opened_ns, opened));
            if let Some(gone_ns) = listener.gone_ns {
                rows.push((gone_ns, ["closed".to_owned(), inode, blank(), blank(), blank(), blank()]));
            }
        }
        for sample in &self.kernel.samples {
            let row = [
                "queue".to_owned(),
                sample.inode.to_string(),
                sample.queue.to_string(),
                sample.limit.to_string(),
                sample.drops.map_or(String::new(), |drops| drops.to_string()),
                String::new(),
            ];
            rows.push((sample.at_ns, row));
        }
        rows.sort_by_key(|(at_ns, _)| *at_ns);
        for (at_ns, row) in rows {
            csv.write_field(self.since_start(at_ns).to_string())?;
            csv.write_record(&row)?;
        }
        csv.flush()
    }

    /// The spans in which sampled connections were accepted, if they were sampled.
    fn accepts(&self, path: &Path) -> io::Result<()> {
        let Some(samples) = &self.kernel.accepts else { return Ok(()) };
        let file = BufWriter::new(File::create(path)?);
        let mut csv = csv::Writer::from_writer(GzEncoder::new(file, Compression::fast()));
        csv.write_record(["attempt", "not_before_ns", "not_after_ns", "seen_waiting"])?;
        let spans = accepts::spans(self.client, &self.summary.reconciled, samples);
        for (attempt, span) in self.summary.reconciled.attempts.iter().zip(spans) {
            let (Some(record), Some(span)) = (self.client.get(attempt.record as usize), span) else {
                continue;
            };
            let number = record.attempt;
            let was_seen = samples.waiting.binary_search_by_key(&number, |waiting| waiting.attempt).is_ok();
            csv.write_record([
                number.to_string(),
                self.since_start(span.from_ns).to_string(),
                self.since_start(span.to_ns).to_string(),
                u8::from(was_seen).to_string(),
            ])?;
        }
        let gz = csv.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        gz.finish()?.flush()
    }

    /// Each latency by when its attempt was due; one that nobody had has a single interval with nothing in it, so that
    /// the log names all.
    fn intervals(&self, write: hdr::Writes<'_>) -> Result<(), HdrError> {
        let length = Duration::from_nanos(self.length_ns);
        for (name, histogram) in self.summary.latencies.named() {
            if histogram.is_empty() {
                write(hdr::Interval { name, histogram, from: Duration::ZERO, length })?;
            }
        }
        let records = (self.client, self.requests, &self.summary.reconciled);
        latency::Latencies::each_interval(records, self.start_ns, INTERVAL_NS, |from_ns, some| {
            some.named().into_iter().filter(|(_, histogram)| !histogram.is_empty()).try_for_each(
                |(name, histogram)| {
                    let from = Duration::from_nanos(from_ns);
                    write(hdr::Interval { name, histogram, from, length: Duration::from_nanos(INTERVAL_NS) })
                },
            )
        })
    }

    fn histograms(&self) -> Result<(), FilesError> {
        let named = self.summary.latencies.named();
        let latencies: Vec<Latencies> = named
            .into_iter()
            .map(|(name, histogram)| Latencies { name: name.to_owned(), histogram: histogram.clone() })
            .collect();
        let log = hdr::hlog_of(self.started, |write| self.intervals(write))?;
        self.with("latency.hlog", |path| std::fs::write(path, log))?;
        for Latencies { name, histogram } in &latencies {
            self.with(&format!("{name}.hgrm"), |path| std::fs::write(path, hdr::hgrm(histogram)))?;
        }
        Ok(())
    }
}

/// An outcome as one word; for time-outs with the stage, for unknown errnos with the number.
fn outcome_word(outcome: Outcome) -> String {
    match outcome {
        Outcome::Replied => "replied".to_owned(),
        Outcome::ClosedIdle => "closed_idle".to_owned(),
        Outcome::ErrorReply(_) => "error_reply".to_owned(),
        Outcome::WrongReply => "wrong_reply".to_owned(),
        Outcome::TooLong => "too_long".to_owned(),
        Outcome::Truncated => "truncated".to_owned(),
        Outcome::Closed => "closed".to_owned(),
        Outcome::Reset => "reset".to_owned(),
        Outcome::Refused => "refused".to_owned(),
        Outcome::NoPath => "no_path".to_owned(),
        Outcome::Tls(failure) => format!("tls:{}", failure.in_short()),
        Outcome::Stream(end) => format!("stream:{}", end.in_short()),
        Outcome::TimedOut(stage) => format!("timed_out:{stage}"),
        Outcome::Silent(end) => format!("silent:{}", word_of(&end)),
        Outcome::NotSent(cause) => {
            format!("not_sent:{}", word_of(&cause))
        }
        Outcome::Errno(errno, stage) => format!("errno_{errno}:{stage}"),
    }
}
