//! The course of fuzzing, from the first trial without a fault to the result.

mod explore;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdline_model::fuzz::{
    Abilities, Bound, Breach, Case, Drawn, Explorer, Failure, FuzzResult, Invariant, Judgement, SCHEMA, Terms,
};
use holdline_model::result::{Manifest, RunResult, SCHEMA as RUN_SCHEMA, TrialResult};
use holdline_model::scenario::Action;

use self::explore::{Asked, Try};
use super::examine::{self, Examiner, Measured, Plain, Reduced};
use super::interrupt::Interrupts;
use super::lab::Lab;
use super::notebook::Notebook;
use super::pace::{self, PATIENT};
use super::status::{Status, Watcher};
use super::{FuzzError, FuzzRequest, Fuzzed};
use crate::manifest::manifest;

/// Making a failure plainer takes a third of the budget, at least a few seconds where there are as many left, and at
/// most so long.
const SHRINKING: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(60));

/// Fuzzing, as far as it has come.
pub(super) struct Hunt<'a> {
    request: &'a FuzzRequest,
    watcher: &'a mut dyn Watcher,
    /// Shared by those who wait for trials of it while what is here learns from them.
    lab: Arc<Lab<'a>>,
    abilities: Abilities,
    terms: Terms,
    explorer: Explorer,
    notebook: Notebook,
    /// What is judged: what does not even hold without a fault is not.
    invariants: Vec<Invariant>,
    evidence: Vec<TrialResult>,
    manifest: Manifest,
    saved: u64,
    /// What is tried before anything is drawn, or once more.
    next: VecDeque<Try>,
    /// How many cases were begun or are to be.
    begun: u64,
    /// What is known of how long it takes to do what it is asked for.
    asked: Asked,
    began: Instant,
}

impl<'a> Hunt<'a> {
    /// Finds out whether the supervisor can be fuzzed at all, and its pace.
    pub(super) fn new(request: &'a FuzzRequest, watcher: &'a mut dyn Watcher) -> Result<Self, FuzzError> {
        let supervisor = &request.supervisor.supervisor;
        let abilities = Abilities::of(supervisor, nix::unistd::geteuid().is_root());
        if abilities.is_empty() {
            return Err(FuzzError::Nothing(supervisor.name.clone()));
        }
        let began = Instant::now();
        let calm = pace::calm(&abilities);
        let first = (Interrupts::listen()?, examine::entry(&calm, PATIENT)?);
        let files = (request.folder.as_path(), request.executable.as_ref());
        let mut lab = Lab::new(&request.supervisor, request.options, request.lanes, files, first)?;
        if let Some(notice) = lab.notice() {
            watcher.say(&format!("note: {notice}"));
        }
        let pace = pace::find(&lab, &request.supervisor, &abilities)?;
        lab.ends_at(request.budget.and_then(|budget| began.checked_add(budget)));
        if request.calibrates && pace::lanes(&mut lab, &abilities)? < request.lanes {
            let (lanes, wanted) = (lab.lanes(), request.lanes);
            watcher.say(&format!(
                "note: {wanted} trials side by side disturb each other here: {lanes} at a time"
            ));
        }
        let abilities = Abilities { pace_ns: pace.restart_ns, ..abilities };
        let terms = pace::terms(&pace, request.recovery);
        let seed = request.options.seed;
        Ok(Self {
            explorer: Explorer::new(abilities.clone(), request.drawing_seed(), request.aimed),
            notebook: Notebook::new(&request.invariants),
            invariants: request.invariants.clone(),
            evidence: Vec::new(),
            manifest: Manifest {
                partition: request.partition.map(|partition| partition.to_string()),
                ..pace.manifest.unwrap_or_else(|| manifest(seed, lab.isolation(), 0))
            },
            saved: 0,
            next: VecDeque::new(),
            begun: 0,
            asked: Asked::default(),
            request,
            watcher,
            lab: Arc::new(lab),
            abilities,
            terms,
            began,
        })
    }

    /// Goes through all of it.
    pub(super) fn run(mut self) -> Result<Fuzzed, FuzzError> {
        self.calm()?;
        self.saved()?;
        self.explore()?;
        if self.is_late() && self.notebook.is_blank() && self.saved == 0 {
            return Err(FuzzError::NoTime {
                supervisor: self.request.supervisor.supervisor.name.clone(),
                budget: self.request.budget.unwrap_or_default(),
            });
        }
        Ok(self.finish())
    }

    /// What does not even hold without a fault is told once, and looked for no more.
    fn calm(&mut self) -> Result<(), FuzzError> {
        let mut calm = Try::of(Drawn::given(pace::calm(&self.abilities)));
        let judged = loop {
            let (job, scenario) = calm.job(self.terms)?;
            let Some(done) = self.lab.run(&[job])?.pop() else { return Ok(()) };
            match (self.judged(&scenario, &done), calm.again()) {
                (Some(judged), _) => break judged,
                (None, Some(again)) => calm = again,
                (None, None) => {
                    self.notebook.inconclusive += 1;
                    return Ok(());
                }
            }
        };
        for first in violated(&judged) {
            self.examine(&pace::calm(&self.abilities), &first, (0, self.began.elapsed()))?;
        }
        let failed: Vec<Invariant> = self.notebook.failures.iter().map(|failure| failure.invariant).collect();
        self.invariants.retain(|invariant| !failed.contains(invariant));
        Ok(())
    }

    /// What earlier runs kept is tried first.
    fn saved(&mut self) -> Result<(), FuzzError> {
        for (index, saved) in self.request.saved.iter().enumerate() {
            if self.lab.is_over() {
                let left = self.request.saved.len() - index;
                self.watcher.say(&format!("there was no time for the saved cases, {left} of them"));
                return Ok(());
            }
            self.saved += 1;
            let measured = self.examiner().measure_entry(&saved.entry, saved.path.clone())?;
            let name = saved.path.display();
            if measured.failures.is_empty() {
                self.watcher.say(&format!("the saved case {name} did not fail"));
            } else {
                self.watcher.say(&format!("the saved case {name} still fails"));
            }
            let faults = saved.entry.scenario.faults.len();
            self.enter(measured, &Origin { faults, saved: true, minimal: true, ..Origin::default() });
        }
        Ok(())
    }

    /// Looks into a failure that was seen once, in which case and how long after the beginning.
    fn examine(
        &mut self,
        case: &Case,
        first: &First,
        (number, found_after): (u64, Duration),
    ) -> Result<(), FuzzError> {
        let invariant = first.invariant;
        let mut plain = match self.examiner().reduce(case, invariant)? {
            Reduced::Fails(plain) => plain,
            Reduced::NotAgain => return self.put_aside(case, first, true),
            Reduced::NoTime => return self.put_aside(case, first, false),
        };
        let mut measured = self.examiner().measure(&plain, invariant)?;
        let fails = |measured: &Measured| measured.failures.iter().any(|it| it.invariant == invariant);
        if !fails(&measured) && plain.case != *case {
            // What is plainer fails too rarely: the case itself is what is known to fail.
            plain = Plain::of(case.clone(), &plain);
            measured = self.examiner().measure(&plain, invariant)?;
        }
        if !fails(&measured) {
            // Nobody is to try it first the next time.
            let _ = std::fs::remove_file(&measured.path);
            return self.put_aside(case, first, true);
        }
        let origin = Origin {
            faults: plain.case.strikes.len(),
            saved: false,
            minimal: plain.is_minimal,
            steps: plain.steps,
            number,
            found_after,
        };
        self.enter(measured, &origin);
        Ok(())
    }

    /// A failure that came once, and did not come again or had no time to, is counted, and its case can be looked at.
    fn put_aside(&mut self, case: &Case, first: &First, has_time: bool) -> Result<(), FuzzError> {
        let but = if has_time { "did not again" } else { "there was no time to see whether it does again" };
        let count = if has_time { &mut self.notebook.not_reproduced } else { &mut self.notebook.unconfirmed };
        *count += 1;
        let path = self.examiner().put_aside(case, first.invariant, &first.breaches, has_time)?;
        let what: Vec<String> = first.breaches.iter().map(ToString::to_string).collect();
        let (invariant, what, path) = (first.invariant, what.join("; "), path.display());
        self.watcher.say(&format!("{invariant} failed once and {but} ({what}); the case is in {path}"));
        Ok(())
    }

    /// Enters what a case fails in, each cause once.
    fn enter(&mut self, measured: Measured, origin: &Origin) {
        let Measured { path, failures, evidence } = measured;
        let mut is_new = false;
        for violated in failures {
            let what: Vec<String> = violated.breaches.iter().map(ToString::to_string).collect();
            let failure = Failure {
                invariant: violated.invariant,
                scenario: path.to_string_lossy().into_owned(),
                faults: u32::try_from(origin.faults).unwrap_or(u32::MAX),
                rate: violated.rate,
                repeat: self.examiner().repeat(&path),
                what: what.join("; "),
                order: violated.order,
                seen: 1,
                saved: origin.saved,
                found_in_case: origin.number,
                found_after_ns: u64::try_from(origin.found_after.as_nanos()).unwrap_or(u64::MAX),
                steps: origin.steps,
                minimal: origin.minimal,
            };
            is_new |= self.notebook.enter(failure);
        }
        if is_new {
            self.evidence.extend(evidence);
        } else if !origin.saved && !self.notebook.keeps(&path) {
            // The same cause is kept in another file.
            let _ = std::fs::remove_file(&path);
        }
    }

    fn examiner(&self) -> Examiner<'_> {
        let third =
            self.request.budget.map_or(SHRINKING.1, |budget| budget / 3).clamp(SHRINKING.0, SHRINKING.1);
        Examiner {
            request: self.request,
            lab: &self.lab,
            abilities: &self.abilities,
            terms: self.terms,
            patience: self.request.shrinking.unwrap_or(third),
        }
    }

    fn left(&self) -> Option<Duration> {
        self.request.budget.map(|budget| budget.saturating_sub(self.began.elapsed()))
    }

    fn cases_left(&self) -> Option<u64> {
        let done = self.notebook.cases + self.notebook.inconclusive;
        self.request.cases.map(|cases| cases.saturating_sub(done))
    }

    fn is_late(&self) -> bool {
        self.lab.is_late()
    }

    /// Whether a failure was found, where no more than one was asked for.
    fn has_enough(&self) -> bool {
        self.request.fail_fast && !self.notebook.failures.is_empty()
    }

    fn is_over(&self) -> bool {
        self.lab.is_over() || self.has_enough() || self.cases_left() == Some(0)
    }

    fn status(&self) -> Status {
        Status {
            cases: self.notebook.cases,
            faults: self.notebook.faults,
            orders: self.explorer.orders() as u64,
            failures: self.notebook.failures.len() as u64,
            elapsed: self.began.elapsed(),
            left: self.left(),
            cases_left: self.cases_left(),
        }
    }

    fn finish(self) -> Fuzzed {
        let interrupted = self.lab.is_interrupted();
        let result = FuzzResult {
            schema: SCHEMA.to_owned(),
            seed: self.request.options.seed,
            cases: self.notebook.cases,
            bound: Bound::of(self.notebook.cases),
            not_reproduced: self.notebook.not_reproduced,
            unconfirmed: self.notebook.unconfirmed,
            supervisor: self.request.supervisor.supervisor.name.clone(),
            manifest: self.manifest.clone(),
            inconclusive: self.notebook.inconclusive,
            faults: self.notebook.faults,
            orders: self.explorer.orders() as u64,
            aimed: self.notebook.aimed,
            traced: self.notebook.traced,
            saved: self.saved,
            recovery_ns: self.terms.recovery_ns,
            asked_ns: self.terms.asked_ns,
            invariants: self.notebook.invariants(),
            failures: self.notebook.failures,
            elapsed_ns: u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX),
            interrupted,
        };
        let evidence = RunResult {
            schema: RUN_SCHEMA.to_owned(),
            manifest: Manifest {
                planned: u32::try_from(self.evidence.len()).unwrap_or(u32::MAX),
                ..self.manifest
            },
            complete: !interrupted,
            trials: self.evidence,
        };
        Fuzzed { result, evidence }
    }
}

/// Where a failure comes from.
#[derive(Default)]
struct Origin {
    faults: usize,
    saved: bool,
    minimal: bool,
    steps: u32,
    number: u64,
    found_after: Duration,
}

fn actions(case: &Case) -> Vec<Action> {
    case.strikes.iter().map(|strike| strike.action.clone()).collect()
}

/// An invariant that did not hold in the first trial of a case.
struct First {
    invariant: Invariant,
    breaches: Vec<Breach>,
}

fn violated(judged: &[(Invariant, Judgement)]) -> Vec<First> {
    let first = |(invariant, judgement): &(Invariant, Judgement)| match judgement {
        Judgement::Violated(breaches) => Some(First { invariant: *invariant, breaches: breaches.clone() }),
        Judgement::Holds | Judgement::NotKnown(_) => None,
    };
    judged.iter().filter_map(first).collect()
}
