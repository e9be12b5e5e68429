//! Results for tests: built by hand, varied, and always with books that balance.

use std::collections::BTreeMap;

use holdline_model::exit::Exit;
use holdline_model::foreseen::excuse;
use holdline_model::result::{
    BooksResult, CostMethod, CostResult, KernelResult, LatencySet, Manifest, MomentKind, Outage, Quantiles,
    RunResult, SCHEMA, Served, StripBucket, TimelineEntry, TrialResult, WorkersResult,
};
use holdline_model::violation::{Comparison, Found, Unit, Violation};
use holdline_model::words::{Blame, Fate, Grade, Isolation, Verdict};

mod any;
mod course;

pub(crate) use any::any_run;

const MS: u64 = 1_000_000;

/// A run of `trials`, all of which were planned.
pub(crate) fn run(trials: Vec<TrialResult>) -> RunResult {
    RunResult {
        schema: SCHEMA.into(),
        manifest: Manifest {
            seed: 1,
            holdline: "0.1.0".into(),
            kernel: "6.8.0-41-generic".into(),
            cpus: 2,
            isolation: Isolation::Full,
            started: "2026-03-14T09:26:53Z".into(),
            cpu_model: "AMD EPYC 7B13".into(),
            command: vec!["run".into(), "crash".into(), "--seed".into(), "1".into()],
            planned: u32::try_from(trials.len()).expect("few trials"),
            sysctls: BTreeMap::from([("net.core.somaxconn".into(), "4096".into())]),
            counters_host_wide: false,
            required: Vec::new(),
            reference: None,
            partition: None,
            jobs: 1,
            resumed: Vec::new(),
        },
        complete: true,
        trials,
    }
}

/// A trial in which all 20 attempts were served at once.
pub(crate) fn held(supervisor: &str, scenario: &str) -> TrialResult {
    Losses::default().trial(supervisor, scenario, Grade::Held)
}

/// What was lost of 20 attempts, and the gap in which it was.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Losses {
    pub(crate) poison: u64,
    pub(crate) in_flight: u64,
    pub(crate) refused: u64,
    pub(crate) queue_reset: u64,
    pub(crate) timed_out: u64,
    pub(crate) late: u64,
    pub(crate) outage_ms: u64,
}

impl Losses {
    fn collateral(self) -> u64 {
        self.refused + self.queue_reset + self.timed_out
    }

    fn lost(self) -> u64 {
        self.poison + self.in_flight + self.collateral()
    }

    /// The trial that this makes.
    pub(crate) fn trial(self, supervisor: &str, scenario: &str, grade: Grade) -> TrialResult {
        let mut fates: BTreeMap<Fate, u64> = Fate::ALL.iter().map(|fate| (*fate, 0)).collect();
        fates.insert(Fate::Served, 20 - self.lost());
        fates.insert(Fate::Refused, self.refused);
        fates.insert(Fate::QueueReset, self.queue_reset);
        fates.insert(Fate::NoReply, self.poison + self.in_flight);
        fates.insert(Fate::TimedOut, self.timed_out);
        let collateral = [
            (Fate::Refused, self.refused),
            (Fate::QueueReset, self.queue_reset),
            (Fate::TimedOut, self.timed_out),
        ];
        TrialResult {
            supervisor: supervisor.into(),
            supervisor_version: format!("{supervisor} 0.1.0"),
            scenario: scenario.into(),
            repetition: 0,
            grade,
            mark: None,
            verdict: verdict(grade),
            violations: self.violations(),
            violated: Vec::new(),
            foreseen: Vec::new(),
            reason: None,
            why: None,
            attempts: 20,
            fates,
            blame: BTreeMap::from([
                (Blame::Poison, self.poison),
                (Blame::InFlight, self.in_flight),
                (Blame::Collateral, self.collateral()),
            ]),
            collateral: collateral.into_iter().filter(|(_, n)| *n > 0).collect(),
            safe_to_retry: self.refused + self.queue_reset,
            ambiguous: self.poison + self.in_flight + self.timed_out,
            latency: self.latency(),
            sessions: None,
            silent: None,
            pool: None,
            endings: Default::default(),
            kernel: self.kernel(),
            outages: self.outages(),
            recovery_ns: vec![self.recovery(grade).after_ns()],
            phases: Some(self.phases()),
            recoveries: vec![self.recovery(grade)],
            back_after_ns: None,
            client_addresses: 20,
            client_threads: None,
            tls: None,
            close_codes: BTreeMap::new(),
            watched_ns: 0,
            patience_ns: 10_000 * MS,
            workers: WorkersResult {
                orphans: Some(0),
                generations: 2,
                accepted: vec![6, 20_u64.saturating_sub(6 + self.lost())],
                ledger: true,
                starts: 1,
                ..WorkersResult::default()
            },
            versions: self.versions(),
            cost: Some(cost()),
            supervisor_stopped: false,
            supervisor_ended: (grade == Grade::Down).then_some(Exit::Status(101)),
            books: BooksResult::Balanced,
            off: Vec::new(),
            losses: self.losses(),
            causes: Vec::new(),
            timeline: self.timeline(),
            strip: self.strip(),
            notes: Vec::new(),
            noted: Vec::new(),
            folder: format!("trials/{scenario}-{supervisor}-0"),
            elapsed_ns: 1_400 * MS,
            advice: None,
            advised: None,
            remedies: Vec::new(),
            without_remedy: BTreeMap::new(),
            applied: Vec::new(),
            throughput_per_second: None,
        }
    }

    /// One version, as in every trial without an upgrade.
    fn versions(self) -> Vec<Served> {
        let one = Served { version: 1, served: 20 - self.lost(), first_ns: 2 * MS, last_ns: 395 * MS };
        if one.served > 0 { vec![one] } else { Vec::new() }
    }

    fn violations(self) -> Vec<String> {
        let lost = Some(self.collateral()).filter(|lost| *lost > 0);
        lost.map(|lost| format!("collateral: expected 0, was {lost}")).into_iter().collect()
    }

    fn latency(self) -> LatencySet {
        let tail = self.outage_ms.max(1) * MS;
        let spread = |count, base: u64, tail: u64| Quantiles {
            count,
            p50_ns: base,
            p90_ns: base * 2,
            p99_ns: tail,
            p999_ns: tail,
            max_ns: tail + tail / 50,
            method: None,
            how: None,
        };
        let served = 20 - self.lost();
        LatencySet {
            send_lag: spread(20, 21_400, 88_000),
            connect: spread(served, 96_300, 240_000),
            tls: Quantiles::default(),
            queue_wait: spread(served, 31_000, if self.late > 0 { tail } else { 120_000 }),
            accept: spread(served, 131_000, if self.late > 0 { tail } else { 330_000 }),
            response: spread(served, 208_000, if self.late > 0 { tail } else { 520_000 }),
        }
    }

    fn kernel(self) -> KernelResult {
        KernelResult {
            queue_max: 1 + u32::try_from(self.late).expect("few"),
            queue_limit: 128,
            listeners_closed: u32::from(self.refused > 0),
            counters: BTreeMap::from([("ListenOverflows".into(), 0), ("PassiveOpens".into(), 20)]),
            interval_ns: MS,
            ..KernelResult::default()
        }
    }

    fn outages(self) -> Vec<Outage> {
        match self.outage_ms {
            0 => Vec::new(),
            ms => {
                vec![Outage { start_ns: 50 * MS, end_ns: (50 + ms) * MS, attempts: self.lost() + self.late }]
            }
        }
    }

    fn losses(self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.refused > 0 {
            lines.push(format!("{} refused: nobody was listening; safe to retry", self.refused));
        }
        if self.queue_reset > 0 {
            lines.push(format!("{} reset in the queue of a listener that was closed", self.queue_reset));
        }
        if self.timed_out > 0 {
            lines.push(format!("{} timed out waiting for the first byte", self.timed_out));
        }
        lines
    }

    fn timeline(self) -> Vec<TimelineEntry> {
        let entry = |at_ms: u64, kind: MomentKind, text: &str| TimelineEntry {
            at_ns: i64::try_from(at_ms * MS).expect("small"),
            kind,
            what: None,
            text: text.into(),
        };
        let mut entries = vec![
            entry(0, MomentKind::Listener, "listener 4711 opened, backlog 128"),
            entry(50, MomentKind::Fault, "attempt 5 carries poison: panic at step work"),
            entry(51, MomentKind::Worker, "worker 1 (generation 0) died: exit status 101"),
        ];
        if self.refused > 0 {
            entries.push(entry(51, MomentKind::Listener, "listener 4711 was closed"));
        }
        if self.outage_ms > 0 {
            entries.push(entry(50 + self.outage_ms, MomentKind::Worker, "worker 1 (generation 1) accepts"));
        }
        entries
    }

    /// 40 buckets of 10 ms, with the gap from the fifth on.
    fn strip(self) -> Vec<StripBucket> {
        let gap = self.outage_ms / 10;
        let (mut late, mut lost, mut served) = (self.late, self.lost(), 20 - self.lost() - self.late);
        (0..40)
            .map(|index| {
                let inside = (5..5 + gap.max(1)).contains(&index);
                let take = |left: &mut u64, want: u64| {
                    let n = (*left).min(want);
                    *left -= n;
                    n
                };
                let lost_here = if inside { take(&mut lost, 2) } else { 0 };
                let late_here = if inside && lost_here == 0 { take(&mut late, 2) } else { 0 };
                let served_here = if inside { 0 } else { take(&mut served, 1) };
                let queue_max =
                    if inside { u32::try_from(self.late.min(index - 4)).expect("few") } else { 0 };
                StripBucket {
                    start_ns: index * 10 * MS,
                    served: served_here,
                    late: late_here,
                    lost: lost_here,
                    queue_max,
                }
            })
            .collect()
    }
}

fn cost() -> CostResult {
    let method = CostMethod::Processes { within_ms: 10 }.into();
    CostResult { cpu_ns: 20 * MS, elapsed_ns: 400 * MS, method }
}

fn verdict(grade: Grade) -> Verdict {
    match grade {
        Grade::Held | Grade::Delayed => Verdict::Pass,
        Grade::Lossy | Grade::Down => Verdict::Fail,
        Grade::Unsupported => Verdict::Unsupported,
        Grade::Inconclusive => Verdict::Inconclusive,
    }
}

/// A trial that did not run.
pub(crate) fn unsupported(supervisor: &str, scenario: &str) -> TrialResult {
    TrialResult {
        attempts: 0,
        verdict: Verdict::Unsupported,
        reason: Some("not installed: pip install circus==0.19.0".into()),
        fates: Fate::ALL.iter().map(|fate| (*fate, 0)).collect(),
        blame: Blame::ALL.iter().map(|blame| (*blame, 0)).collect(),
        latency: LatencySet::default(),
        endings: Default::default(),
        kernel: KernelResult::default(),
        phases: None,
        recovery_ns: Vec::new(),
        recoveries: Vec::new(),
        workers: WorkersResult::default(),
        versions: Vec::new(),
        timeline: Vec::new(),
        strip: Vec::new(),
        elapsed_ns: 0,
        advice: None,
        advised: None,
        remedies: Vec::new(),
        without_remedy: BTreeMap::new(),
        applied: Vec::new(),
        throughput_per_second: None,
        ..Losses::default().trial(supervisor, scenario, Grade::Unsupported)
    }
}

/// A trial whose books are off.
pub(crate) fn inconclusive(supervisor: &str, scenario: &str) -> TrialResult {
    TrialResult {
        reason: Some("send lag: the 99th percentile was 31.0 ms, its limit is 10.0 ms".into()),
        books: BooksResult::Off("accepts: workers 19, clients 20".into()),
        ..Losses::default().trial(supervisor, scenario, Grade::Inconclusive)
    }
}

/// The ten reference supervisors in the scenario `crash`, as the articles describe them.
pub(crate) fn ten(scenario: &str) -> Vec<TrialResult> {
    let late = |late, outage_ms| Losses { poison: 1, late, outage_ms, ..Losses::default() };
    let held = Losses { poison: 1, ..Losses::default() };
    let down = Losses { poison: 1, refused: 14, outage_ms: 350, ..Losses::default() };
    let gap =
        Losses { poison: 1, in_flight: 1, refused: 9, queue_reset: 1, outage_ms: 104, ..Losses::default() };
    let mut bare = down.trial("bare", scenario, Grade::Down);
    bare.reason = Some("no worker accepted again within 5 s of the fault".into());
    let mut host_wide = late(3, 131).trial("rolling", scenario, Grade::Delayed);
    host_wide.notes.push("accept latency from samples of the queue, to within 1.00 ms".into());
    vec![
        bare,
        gap.trial("restart-loop", scenario, Grade::Lossy),
        late(1, 104).trial("held-socket", scenario, Grade::Delayed),
        late(1, 103).trial("inherited-fd", scenario, Grade::Delayed),
        held.trial("prefork", scenario, Grade::Held),
        held.trial("standby", scenario, Grade::Held),
        Losses { refused: 12, outage_ms: 230, ..gap }.trial("backoff", scenario, Grade::Lossy),
        Losses { poison: 1, queue_reset: 2, outage_ms: 12, ..Losses::default() }.trial(
            "reuse-port",
            scenario,
            Grade::Lossy,
        ),
        host_wide,
        held.trial("handover", scenario, Grade::Held),
    ]
}

/// The default run: ten supervisors, one scenario.
pub(crate) fn default_run() -> RunResult {
    run(ten("crash"))
}

/// The same, in which it was foreseen that the first would fail.
pub(crate) fn foreseen() -> RunResult {
    let mut run = default_run();
    let (comparison, found) = (Comparison::Eq, Found::Measured(14));
    let metric = "collateral".to_owned();
    run.trials[0].violated = vec![Violation { metric, comparison, expected: 0, unit: Unit::Count, found }];
    let grade = run.trials[0].grade;
    excuse(&mut run.trials[0], &[grade]);
    run
}

/// Two scenarios, with one supervisor that is not installed and one that could not be judged.
pub(crate) fn varied() -> RunResult {
    let mut trials = ten("crash");
    trials.push(unsupported("circus", "crash"));
    trials.push(inconclusive("gunicorn", "crash"));
    for trial in ten("deploy") {
        trials.push(TrialResult { violations: trial.violations.clone(), ..trial });
    }
    trials.push(held("gunicorn", "deploy"));
    run(trials)
}

/// One supervisor, three repetitions, of which two lost something.
pub(crate) fn repeated() -> RunResult {
    let lossy = Losses { poison: 1, refused: 2, outage_ms: 100, ..Losses::default() };
    let worse = Losses { poison: 1, refused: 3, outage_ms: 140, ..Losses::default() };
    let mut trials = vec![
        lossy.trial("restart-loop", "crash", Grade::Lossy),
        worse.trial("restart-loop", "crash", Grade::Lossy),
        held("restart-loop", "crash"),
    ];
    for (repetition, trial) in (0..).zip(&mut trials) {
        trial.repetition = repetition;
    }
    run(trials)
}

/// A run whose every text is hostile to terminals, tables and markup.
pub(crate) fn hostile() -> RunResult {
    let evil = "<script>alert('x')</script>|\u{1b}[31m\"&`*\n# x";
    let mut trial =
        Losses { refused: 2, late: 1, outage_ms: 40, ..Losses::default() }.trial(evil, evil, Grade::Lossy);
    trial.reason = Some(evil.into());
    trial.violations = vec![evil.into()];
    trial.losses = vec![evil.into()];
    trial.notes = vec![evil.into()];
    trial.books = BooksResult::Off(evil.into());
    trial.supervisor_version = evil.into();
    trial.folder = evil.into();
    for entry in &mut trial.timeline {
        entry.text = evil.into();
    }
    trial.latency.accept.method = Some(evil.into());
    trial.kernel.counters.insert(evil.into(), 3);
    let mut run = run(vec![trial, unsupported(evil, "other")]);
    run.manifest.command = vec![evil.into()];
    run.manifest.kernel = evil.into();
    run.manifest.cpu_model = evil.into();
    run.manifest.started = evil.into();
    run.manifest.sysctls.insert(evil.into(), evil.into());
    run
}

/// A trial whose every bucket differs from the next, with long lists: the most that a page must bear.
pub(crate) fn busy(supervisor: &str, scenario: &str) -> TrialResult {
    let losses = Losses { poison: 1, refused: 9, late: 4, outage_ms: 80, ..Losses::default() };
    let mut trial = losses.trial(supervisor, scenario, Grade::Lossy);
    trial.strip = (0..200)
        .map(|index| StripBucket {
            start_ns: index * 10 * MS,
            served: 50 + index * 37 % 41,
            late: if index % 3 == 0 { index % 17 } else { 0 },
            lost: if index % 5 == 0 { 1 + index % 11 } else { 0 },
            queue_max: u32::try_from(index * 13 % 100).expect("small"),
        })
        .collect();
    for index in 0..6_u64 {
        trial.timeline.push(TimelineEntry {
            at_ns: i64::try_from((100 + index * 230) * MS).expect("small"),
            kind: MomentKind::Fault,
            what: None,
            text: format!("worker {index} (generation 0) was killed at step work"),
        });
    }
    trial.kernel.queue_max = 99;
    trial
}
