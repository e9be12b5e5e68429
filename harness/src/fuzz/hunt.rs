//! The course of fuzzing, from the first trial without a fault to the result.

use std::time::{Duration, Instant};

use holdline_model::fuzz::{
    Abilities, Bound, Breach, Case, Course, Drawn, Explorer, Failure, FuzzResult, How, Invariant, Judgement,
    SCHEMA, Strike, Terms, When, judge_all,
};
use holdline_model::result::{Manifest, RunResult, SCHEMA as RUN_SCHEMA, TrialResult};
use holdline_model::scenario::Action;

use super::examine::{self, Examiner, Measured, Plain, Reduced};
use super::interrupt::Interrupts;
use super::lab::{Done, Job, Lab};
use super::notebook::Notebook;
use super::pace::{self, PATIENT};
use super::status::{Status, Watcher};
use super::{FuzzError, FuzzRequest, Fuzzed};
use crate::manifest::manifest;

/// So many cases are handed out at once for each lane, so that none waits long for the others.
const ROUND: usize = 4;
/// A case of which no trial told anything is run again as often as this.
const REPEATS: u32 = 2;
/// Making a failure plainer takes a third of the budget, at least a few seconds where there are as many left, and at
/// most so long.
const SHRINKING: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(60));

/// Fuzzing, as far as it has come.
pub(super) struct Hunt<'a> {
    request: &'a FuzzRequest,
    watcher: &'a mut dyn Watcher,
    lab: Lab<'a>,
    abilities: Abilities,
    terms: Terms,
    explorer: Explorer,
    notebook: Notebook,
    /// What is judged: what does not even hold without a fault is not.
    invariants: Vec<Invariant>,
    evidence: Vec<TrialResult>,
    manifest: Manifest,
    saved: u64,
    began: Instant,
}

/// A case and its first trial that told something.
struct Told {
    drawn: Drawn,
    done: Done,
    judged: Vec<(Invariant, Judgement)>,
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
            request,
            watcher,
            lab,
            abilities,
            terms,
            began,
        })
    }

    /// Goes through all of it.
    pub(super) fn run(mut self) -> Result<Fuzzed, FuzzError> {
        self.calm()?;
        self.saved()?;
        self.watch()?;
        while !self.is_over() {
            let cases = self.next_round();
            self.round(cases)?;
        }
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
        let calm = pace::calm(&self.abilities);
        let Some(told) = self.try_cases(vec![Drawn::given(calm)])?.pop() else {
            return Ok(());
        };
        for first in violated(&told.judged) {
            self.examine(&told.drawn.case, &first, 0)?;
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

    /// The first cases only watch: one death, and each verb by itself, whose stories others are aimed at.
    fn watch(&mut self) -> Result<(), FuzzError> {
        let kinds = [&self.abilities.signals, &self.abilities.poisons, &self.abilities.crashes];
        let firsts = kinds.into_iter().filter_map(|kind| kind.first().cloned());
        let verbs = self.abilities.verbs.iter().map(|verb| {
            let workers = *self.abilities.workers.end();
            self.abilities.control(*verb, workers)
        });
        let actions: Vec<Action> = firsts.chain(verbs).collect();
        let around =
            self.abilities.plainest_around((2 * self.abilities.pace_ns).clamp(50_000_000, 3_000_000_000));
        let case = |action| Case {
            strikes: vec![Strike { when: When::Share(200), action }],
            around: around.clone(),
        };
        let traced = self.explorer.aims();
        let mut cases: Vec<Drawn> =
            actions.into_iter().map(|action| Drawn { traced, ..Drawn::given(case(action)) }).collect();
        cases.truncate(usize::try_from(self.cases_left().unwrap_or(u64::MAX)).unwrap_or(usize::MAX));
        if self.is_over() { Ok(()) } else { self.round(cases) }
    }

    fn next_round(&mut self) -> Vec<Drawn> {
        let most = self.lab.lanes() * ROUND;
        let count = self.cases_left().map_or(most, |left| usize::try_from(left).unwrap_or(most).min(most));
        (0..count).map(|_| self.explorer.next_case()).collect()
    }

    /// Runs cases, learns from their stories, and looks into what failed.
    fn round(&mut self, cases: Vec<Drawn>) -> Result<(), FuzzError> {
        let mut told = self.try_cases(cases)?;
        for told in &mut told {
            self.notebook.cases += 1;
            self.notebook.aimed += u64::from(told.drawn.how != How::Drawn);
            self.notebook.note(&told.judged);
            let story = std::mem::take(&mut told.done.story);
            self.notebook.faults += story.struck() as u64;
            let course = Course::of(&story, &actions(&told.drawn.case));
            self.explorer.learn(&told.drawn.case, story);
            let number = self.notebook.cases;
            for first in violated(&told.judged) {
                let is_known = self.notebook.is_known(first.invariant, &course);
                if !is_known && !self.lab.is_interrupted() && !self.has_enough() {
                    self.examine(&told.drawn.case, &first, number)?;
                }
            }
            let status = self.status();
            self.watcher.status(&status);
        }
        Ok(())
    }

    /// Runs each case until a trial of it tells something, a few times at most.
    fn try_cases(&mut self, mut cases: Vec<Drawn>) -> Result<Vec<Told>, FuzzError> {
        let mut told = Vec::new();
        for repetition in 0..=REPEATS {
            let entries: Result<Vec<_>, FuzzError> =
                cases.iter().map(|drawn| examine::entry(&drawn.case, self.terms)).collect();
            // What tells nothing is not to be slowed down again.
            let traced = |drawn: &Drawn| drawn.traced && repetition == 0;
            let jobs: Vec<Job> = entries?
                .into_iter()
                .zip(&cases)
                .map(|(scenario, drawn)| Job { traced: traced(drawn), ..Job::new(scenario, repetition) })
                .collect();
            let mut unclear = Vec::new();
            for done in self.lab.run(&jobs)? {
                self.notebook.traced += u64::from(done.is_traced);
                let drawn = cases[done.job].clone();
                let scenario = &jobs[done.job].scenario.scenario;
                let supervisor = &self.request.supervisor.supervisor;
                match judge_all(&self.invariants, supervisor, scenario, &done.trial) {
                    Some(judged) => told.push(Told { drawn, done, judged }),
                    None => unclear.push(drawn),
                }
            }
            cases = unclear;
            if cases.is_empty() || self.lab.is_over() {
                break;
            }
        }
        self.notebook.inconclusive += cases.len() as u64;
        Ok(told)
    }

    /// Looks into a failure that was seen once.
    fn examine(&mut self, case: &Case, first: &First, number: u64) -> Result<(), FuzzError> {
        let (found_after, invariant) = (self.began.elapsed(), first.invariant);
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
