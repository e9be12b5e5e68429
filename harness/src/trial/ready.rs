//! Which workers there are and what they wrote, followed live through their ledgers.

use std::path::Path;

use anyhow::Result;
use holdline_fixtures::ledger::LedgerReader;
use holdline_model::shm::{RecordKind, WorkerRecord};

/// What is known of a worker while the trial runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LiveWorker {
    /// Its process id.
    pub(super) pid: u32,
    /// Whether it has recorded that it can accept.
    pub(super) ready: bool,
    /// Whether it has recorded that it drains, exits or fails.
    pub(super) leaving: bool,
}

/// Follows the workers' ledgers.
#[derive(Debug)]
pub(super) struct Workers {
    reader: LedgerReader,
    live: Vec<LiveWorker>,
}

impl Workers {
    pub(super) fn follow(home: &Path) -> Self {
        Self { reader: LedgerReader::new(home), live: Vec::new() }
    }

    /// Reads what is new; returns the records that are not about single connections.
    pub(super) fn poll(&mut self) -> Result<Vec<WorkerRecord>> {
        let mut rare = Vec::new();
        for record in self.reader.poll()? {
            self.note(&record);
            let about_connection = matches!(
                record.kind,
                RecordKind::Accepted | RecordKind::Read | RecordKind::Replied | RecordKind::Closed
            );
            if !about_connection {
                rare.push(record);
            }
        }
        Ok(rare)
    }

    fn note(&mut self, record: &WorkerRecord) {
        let index = match self.live.iter().position(|worker| worker.pid == record.pid) {
            Some(index) => index,
            None => {
                self.live.push(LiveWorker { pid: record.pid, ready: false, leaving: false });
                self.live.len() - 1
            }
        };
        let worker = &mut self.live[index];
        match record.kind {
            // A process id that the kernel used again is another worker.
            RecordKind::Boot => *worker = LiveWorker { pid: record.pid, ready: false, leaving: false },
            RecordKind::Ready => worker.ready = true,
            RecordKind::Drain | RecordKind::Exit | RecordKind::BindFailed | RecordKind::BootFailed => {
                worker.leaving = true;
            }
            _ => {}
        }
    }

    /// How many workers can accept.
    pub(super) fn ready(&self) -> usize {
        self.alive().filter(|worker| worker.ready).count()
    }

    /// Process ids of the workers that live, oldest first.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.alive().map(|worker| worker.pid).collect()
    }

    /// Process ids of all workers there ever were.
    pub(super) fn all_pids(&self) -> Vec<u32> {
        self.live.iter().map(|worker| worker.pid).collect()
    }

    fn alive(&self) -> impl Iterator<Item = &LiveWorker> {
        self.live.iter().filter(|worker| !worker.leaving && is_alive(worker.pid))
    }
}

/// Whether a process runs; one that is dead but not reaped does not.
pub(super) fn is_alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The state follows the command in parentheses, which may itself hold any character (proc(5)).
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}
