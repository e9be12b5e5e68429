//! Which workers there are and what they wrote, followed live through their ledgers.

use std::path::Path;

use holdline_contract::ledger::{LedgerError, LedgerReader};
use holdline_model::conductor::{SeenWorker, Standing};
use holdline_model::shm::{RecordKind, WorkerRecord, parse_crash_detail};
use holdline_model::words::CrashMode;
use nix::unistd::Pid;

use super::nested;
use crate::proc;

/// What is known of a worker while the trial runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LiveWorker {
    /// Its process id, as it has recorded it.
    recorded: u32,
    generation: u32,
    /// Its process here; `None`: it had ended before it could be looked for.
    pub(super) pid: Option<Pid>,
    /// Whether it has recorded that it can accept.
    pub(super) ready: bool,
    /// Whether it was a spare that took over: beside it, others that are ready may be spares.
    pub(super) took_over: bool,
    /// Whether it has recorded that it drains, exits or fails.
    pub(super) leaving: bool,
    /// Whether it has recorded that it hangs from now on.
    pub(super) hung: bool,
}

impl LiveWorker {
    fn new(record: &WorkerRecord) -> Self {
        let (recorded, generation) = (record.pid, record.generation);
        let pid = nested::process_of(recorded, generation);
        Self { recorded, generation, pid, ready: false, took_over: false, leaving: false, hung: false }
    }
}

impl LiveWorker {
    const fn standing(&self) -> Standing {
        match (self.took_over, self.ready) {
            (true, _) => Standing::TookOver,
            (false, true) => Standing::Ready,
            (false, false) => Standing::Starting,
        }
    }
}

/// Follows the workers' ledgers.
#[derive(Debug)]
pub(super) struct Ledgered {
    reader: LedgerReader,
    live: Vec<LiveWorker>,
}

impl Ledgered {
    pub(super) fn follow(home: &Path) -> Self {
        Self { reader: LedgerReader::new(home), live: Vec::new() }
    }

    /// Reads what is new; returns the records that are not about single connections.
    pub(super) fn poll(&mut self) -> Result<Vec<WorkerRecord>, LedgerError> {
        let mut rare = Vec::new();
        let records = match self.reader.poll() {
            // Nothing is lost by it but a moment: every ledger is read once more when the trial is over.
            Err(LedgerError::Io { source, .. }) if is_out_of_descriptors(&source) => Vec::new(),
            records => records?,
        };
        for record in records {
            self.note(&record);
            if record.kind.is_rare() {
                rare.push(record);
            }
        }
        Ok(rare)
    }

    fn note(&mut self, record: &WorkerRecord) {
        let known = self
            .live
            .iter()
            .position(|worker| (worker.recorded, worker.generation) == (record.pid, record.generation));
        let index = known.unwrap_or_else(|| {
            let worker = LiveWorker::new(record);
            // A process id that the kernel used again is another worker.
            self.live.retain(|other| other.pid != worker.pid || worker.pid.is_none());
            self.live.push(worker);
            self.live.len() - 1
        });
        let worker = &mut self.live[index];
        let mode = parse_crash_detail(record.detail).map(|(_, mode)| mode);
        match record.kind {
            RecordKind::Ready => worker.ready = true,
            RecordKind::TookOver => worker.took_over = true,
            RecordKind::Crash if mode == Some(CrashMode::Hang) => worker.hung = true,
            RecordKind::BootFailed if mode == Some(CrashMode::Hang) => {
                (worker.leaving, worker.hung) = (true, true);
            }
            RecordKind::Drain | RecordKind::Exit | RecordKind::BindFailed | RecordKind::BootFailed => {
                worker.leaving = true;
            }
            RecordKind::Boot
            | RecordKind::Accepted
            | RecordKind::Read
            | RecordKind::Replied
            | RecordKind::Closed
            | RecordKind::Crash
            | RecordKind::AcceptFailed
            | RecordKind::StoppedAccepting => {}
        }
    }

    /// How many workers can accept.
    pub(super) fn ready(&self) -> usize {
        self.alive().filter(|worker| worker.ready).count()
    }

    /// The workers that live, the oldest first.
    pub(super) fn pids(&self) -> Vec<Pid> {
        self.alive().filter_map(|worker| worker.pid).collect()
    }

    /// The same, and how far each is.
    pub(super) fn seen(&self) -> Vec<SeenWorker> {
        let seen = |worker: &LiveWorker| {
            Some(SeenWorker { pid: proc::number(worker.pid?), standing: worker.standing() })
        };
        self.alive().filter_map(seen).collect()
    }

    /// The workers that hang.
    pub(super) fn hung(&self) -> Vec<Pid> {
        let hung = self.live.iter().filter(|worker| worker.hung);
        hung.filter_map(|worker| worker.pid).filter(|pid| proc::is_alive(*pid)).collect()
    }

    /// All workers that there ever were and whose process was found.
    pub(super) fn all(&self) -> impl Iterator<Item = Pid> {
        self.live.iter().filter_map(|worker| worker.pid)
    }

    /// The process id here of a worker that has recorded another, as in a PID namespace of its own.
    pub(super) fn process_of(&self, recorded: u32, generation: u32) -> u32 {
        let is_it = |worker: &&LiveWorker| (worker.recorded, worker.generation) == (recorded, generation);
        let found = self.live.iter().find(is_it).and_then(|worker| worker.pid);
        found.map_or(recorded, proc::number)
    }

    fn alive(&self) -> impl Iterator<Item = &LiveWorker> {
        self.live.iter().filter(|worker| !worker.leaving && worker.pid.is_some_and(proc::is_alive))
    }
}

fn is_out_of_descriptors(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

#[cfg(test)]
mod tests {
    use holdline_model::shm::crash_detail;
    use holdline_model::words::CrashStep;

    use super::*;

    fn record(pid: u32, kind: RecordKind) -> WorkerRecord {
        WorkerRecord { kind, pid, generation: 1, connection: 0, at_ns: 1, detail: 0, peer: None }
    }

    /// Processes each of which has the ledger of a first generation open.
    fn children(home: &Path, count: usize) -> Vec<std::process::Child> {
        let script = "exec 3>\"1-$$.ledger\"; exec sleep 1000";
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script]).current_dir(home);
        let children: Vec<_> = (0..count).map(|_| command.spawn().expect("sh")).collect();
        let has_ledger = |child: &std::process::Child| home.join(format!("1-{}.ledger", child.id())).exists();
        while !children.iter().all(has_ledger) {
            std::thread::yield_now();
        }
        children
    }

    #[test]
    fn each_worker_stands_where_its_records_say() {
        let home = tempfile::tempdir().expect("a folder");
        let mut children = children(home.path(), 3);
        let pids: Vec<u32> = children.iter().map(std::process::Child::id).collect();
        let as_pid = |pid: u32| proc::numbered(pid).expect("a process");
        let mut workers = Ledgered { reader: LedgerReader::new(Path::new("/nowhere")), live: Vec::new() };
        let kinds = [(0, RecordKind::Boot), (1, RecordKind::Boot), (2, RecordKind::Boot)];
        let later = [(1, RecordKind::Ready), (2, RecordKind::Ready), (2, RecordKind::TookOver)];
        kinds.into_iter().chain(later).for_each(|(index, kind)| workers.note(&record(pids[index], kind)));
        assert_eq!(workers.pids(), [pids[0], pids[1], pids[2]].map(as_pid));
        let standings: Vec<Standing> = workers.seen().iter().map(|worker| worker.standing).collect();
        assert_eq!(standings, [Standing::Starting, Standing::Ready, Standing::TookOver]);
        assert_eq!(workers.ready(), 2);
        assert!(workers.hung().is_empty());
        let hang = crash_detail(CrashStep::Drain, CrashMode::Hang);
        workers.note(&WorkerRecord { detail: hang, ..record(pids[1], RecordKind::Crash) });
        assert_eq!(workers.hung(), [as_pid(pids[1])]);
        for child in &mut children {
            child.kill().expect("a signal");
            child.wait().expect("a status");
        }
        assert!(workers.pids().is_empty());
    }
}
