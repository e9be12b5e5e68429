//! Cases that are drawn and aimed, side by side, one after the other without a pause: what each tells is learnt from
//! before the next is drawn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use holdline_model::fuzz::{Case, Course, Drawn, How, Invariant, Judgement, Strike, Terms, When, judge_all};
use holdline_model::scenario::{Action, Scenario};

use super::{First, Hunt, actions, violated};
use crate::fuzz::lab::{Done, Job, Trials};
use crate::fuzz::{FuzzError, examine, pace};

/// A case of which no trial told anything is run again as often as this.
const REPEATS: u32 = 2;

/// A case that is to be run, or is.
#[derive(Debug)]
pub(super) struct Try {
    drawn: Drawn,
    repetition: u32,
    /// Whether it only shows what happens where nothing else does.
    watches: bool,
}

/// How long it takes to do what the supervisor is asked for where nothing else happens, as far as that was seen.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// How many cases that show it have not told it yet.
    left: usize,
    waited_ns: u64,
}

/// A case that has failed in its first trial that told something.
struct Found {
    case: Case,
    course: Course,
    firsts: Vec<First>,
    /// Which case it was.
    number: u64,
    /// How long after the beginning.
    after: Duration,
}

impl Try {
    /// The first time.
    pub(super) const fn of(drawn: Drawn) -> Self {
        Self { drawn, repetition: 0, watches: false }
    }

    /// Its trial, and the scenario of it. What told nothing is not slowed down again.
    pub(super) fn job(&self, terms: Terms) -> Result<(Job, Scenario), FuzzError> {
        let entry = examine::entry(&self.drawn.case, terms)?;
        let scenario = entry.scenario.clone();
        let traced = self.drawn.traced && self.repetition == 0;
        Ok((Job { traced, ..Job::new(entry, self.repetition) }, scenario))
    }

    /// The next time, if there is one.
    pub(super) fn again(self) -> Option<Self> {
        (self.repetition < REPEATS).then_some(Self { repetition: self.repetition + 1, ..self })
    }
}

impl Hunt<'_> {
    /// Draws and tries cases, and looks into what fails, until there were enough.
    pub(super) fn explore(&mut self) -> Result<(), FuzzError> {
        self.next = self.watching();
        self.begun = self.next.len() as u64;
        self.asked.left = self.next.iter().filter(|next| asks(&next.drawn.case)).count();
        while !self.is_over() {
            let lab = Arc::clone(&self.lab);
            let found = lab.side_by_side(None, |lanes| self.until_one_fails(lanes))?;
            for Found { case, course, firsts, number, after } in found {
                for first in firsts {
                    let is_known = self.notebook.is_known(first.invariant, &course);
                    if !is_known && !self.lab.is_interrupted() && !self.has_enough() {
                        self.examine(&case, &first, (number, after))?;
                    }
                }
            }
            self.tell();
        }
        self.notebook.inconclusive += self.next.iter().filter(|next| next.repetition > 0).count() as u64;
        Ok(())
    }

    /// The first cases only watch: one death, and each verb by itself, whose stories others are aimed at.
    fn watching(&self) -> VecDeque<Try> {
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
        let most = usize::try_from(self.request.cases.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let drawn = |action| {
            let drawn = Drawn { traced, ..Drawn::given(case(action)) };
            Try { watches: true, ..Try::of(drawn) }
        };
        actions.into_iter().map(drawn).take(most).collect()
    }

    /// Tries one case after the other, side by side, until one fails in a way that is not known, or there were enough.
    /// Gives back those that failed so.
    fn until_one_fails(&mut self, lanes: &mut Trials<'_, '_>) -> Result<Vec<Found>, FuzzError> {
        let mut under_way: BTreeMap<usize, (Try, Scenario)> = BTreeMap::new();
        let mut found = Vec::new();
        loop {
            while lanes.have_room() && found.is_empty() && !self.lab.is_over() {
                let Some(next) = self.next_case() else { break };
                let (job, scenario) = next.job(self.terms)?;
                under_way.insert(lanes.begin(job), (next, scenario));
            }
            let Some(done) = lanes.next()? else { return Ok(found) };
            let Some((tried, scenario)) = under_way.remove(&done.job) else { continue };
            self.notebook.traced += u64::from(done.is_traced);
            match self.judged(&scenario, &done) {
                Some(judged) => {
                    self.watch(&tried, &done);
                    found.extend(self.learn(&tried.drawn, done, &judged));
                }
                None => match tried.again() {
                    Some(again) => self.next.push_front(again),
                    None => self.notebook.inconclusive += 1,
                },
            }
        }
    }

    /// The next case, if there are to be more.
    fn next_case(&mut self) -> Option<Try> {
        self.next.pop_front().or_else(|| {
            let has_more = self.request.cases.is_none_or(|cases| self.begun < cases);
            has_more.then(|| {
                self.begun += 1;
                Try::of(self.explorer.next_case())
            })
        })
    }

    /// What came of each invariant in a trial; `None`: it tells nothing.
    pub(super) fn judged(&self, scenario: &Scenario, done: &Done) -> Option<Vec<(Invariant, Judgement)>> {
        judge_all(&self.invariants, &self.request.supervisor.supervisor, scenario, &done.trial)
    }

    /// Takes in what came of a case, with its story; gives back one that failed in a way that is not known.
    fn learn(&mut self, drawn: &Drawn, done: Done, judged: &[(Invariant, Judgement)]) -> Option<Found> {
        self.notebook.cases += 1;
        self.notebook.aimed += u64::from(drawn.how != How::Drawn);
        self.notebook.note(judged);
        self.notebook.faults += done.story.struck() as u64;
        let course = Course::of(&done.story, &actions(&drawn.case));
        self.explorer.learn(&drawn.case, done.story);
        self.tell();
        let mut firsts = violated(judged);
        firsts.retain(|first| !self.notebook.is_known(first.invariant, &course));
        let (number, after) = (self.notebook.cases, self.began.elapsed());
        (!firsts.is_empty()).then(|| Found { case: drawn.case.clone(), course, firsts, number, after })
    }

    /// Once it is known of all that the supervisor can be asked for how long it takes, it is held to that.
    fn watch(&mut self, tried: &Try, done: &Done) {
        if !(tried.watches && asks(&tried.drawn.case)) {
            return;
        }
        self.asked.left -= 1;
        self.asked.waited_ns = self.asked.waited_ns.max(pace::waited_ns(&done.trial));
        if self.asked.left == 0 && self.request.recovery.is_none() {
            self.terms.asked_ns = pace::within_ns(self.asked.waited_ns);
        }
    }

    fn tell(&mut self) {
        let status = self.status();
        self.watcher.status(&status);
    }
}

/// Whether a supervisor is asked for something in it.
fn asks(case: &Case) -> bool {
    case.strikes.iter().any(|strike| matches!(strike.action, Action::Control { .. }))
}
