//! The first trials of a supervisor: whether it serves at all where nothing is done to it, and how long it takes to
//! restart a worker.

use std::time::Duration;

use holdline_model::fuzz::{Abilities, Beat, Case, Story, Strike, Terms, When, hundredths};
use holdline_model::reason::Reason;
use holdline_model::recovery::Recovery;
use holdline_model::result::{Manifest, SettledResult, TrialResult};
use holdline_model::words::Grade;

use super::FuzzError;
use super::examine;
use super::lab::{Done, Job, Lab};
use crate::catalogue::SupervisorEntry;

/// How long is waited for a supervisor whose pace is not known yet.
pub(super) const PATIENT: Terms = Terms { recovery_ns: 10_000_000_000, restart_ns: 0, asked_ns: 0 };
/// So many trials may tell nothing before it is given up.
const TRIALS_MAX: u32 = 4;
/// So many calm trials in each lane show whether lanes disturb each other, counted from here.
const CALM_EACH: u32 = 2;
const CALM_FROM: u32 = 100;
/// Of them one in so many may tell nothing.
const CALM_UNCLEAR_ONE_IN: usize = 4;
/// The load of these trials, in nanoseconds.
const LENGTH_NS: u64 = 60_000_000;
/// A pace where none was seen: of a supervisor that restarts at once, or never.
const PACE_NS: u64 = 20_000_000;
/// A supervisor may take so many times its pace to recover, and this on top for a machine that is busy.
const PACES: u64 = 10;
const SLACK_NS: u64 = 500_000_000;
/// But no less than this, and no more.
const RECOVERY_NS: (u64, u64) = (1_000_000_000, 10_000_000_000);

/// A supervisor's pace.
#[derive(Debug)]
pub(super) struct Pace {
    /// From the death of a worker until there is another that can accept, in nanoseconds.
    pub(super) restart_ns: u64,
    /// How the trials came about.
    pub(super) manifest: Option<Manifest>,
}

/// A case without a fault.
pub(super) fn calm(abilities: &Abilities) -> Case {
    Case { strikes: Vec::new(), around: abilities.plainest_around(LENGTH_NS) }
}

/// Proves that the supervisor serves, and finds its pace.
pub(super) fn find(
    lab: &Lab<'_>,
    supervisor: &SupervisorEntry,
    abilities: &Abilities,
) -> Result<Pace, FuzzError> {
    let Some(calm) = conclusive(lab, &calm(abilities))? else {
        return Ok(Pace { restart_ns: PACE_NS, manifest: None });
    };
    check_up(supervisor, &calm.trial)?;
    let manifest = Some(calm.manifest);
    let Some(action) = abilities.plainest().cloned() else {
        return Ok(Pace { restart_ns: PACE_NS, manifest });
    };
    let strikes = vec![Strike { when: When::Share(200), action }];
    let death = conclusive(lab, &Case { strikes, around: abilities.plainest_around(LENGTH_NS) })?;
    let restart_ns = death.as_ref().and_then(restart_ns).unwrap_or(PACE_NS);
    Ok(Pace { restart_ns, manifest })
}

/// How many trials run side by side without disturbing each other: of calm ones, hardly any tells nothing. Where half as
/// many do no better, it is not they who disturb.
pub(super) fn lanes(lab: &mut Lab<'_>, abilities: &Abilities) -> Result<usize, FuzzError> {
    let scenario = examine::entry(&calm(abilities), PATIENT)?;
    let wanted = lab.lanes();
    while lab.lanes() > 1 && !lab.is_over() {
        let trials = u32::try_from(lab.lanes()).unwrap_or(u32::MAX).saturating_mul(CALM_EACH);
        let jobs: Vec<Job> = (0..trials).map(|n| Job::new(scenario.clone(), CALM_FROM + n)).collect();
        let done = lab.run(&jobs)?;
        let unclear = done.iter().filter(|done| done.trial.grade == Grade::Inconclusive).count();
        if unclear * CALM_UNCLEAR_ONE_IN <= done.len() {
            return Ok(lab.lanes());
        }
        lab.runs_side_by_side(lab.lanes() / 2);
    }
    let lanes = lab.lanes();
    if lanes == 1 && wanted > 1 {
        let jobs: Vec<Job> = (0..CALM_EACH).map(|n| Job::new(scenario.clone(), CALM_FROM + n)).collect();
        let is_unclear = |done: &Done| done.trial.grade == Grade::Inconclusive;
        if lab.run(&jobs)?.iter().any(is_unclear) {
            lab.runs_side_by_side(wanted);
        }
    }
    Ok(lab.lanes())
}

/// How long the service may take: as the user says, or as its pace does.
pub(super) fn terms(pace: &Pace, given: Option<Duration>) -> Terms {
    match given.map(|given| u64::try_from(given.as_nanos()).unwrap_or(u64::MAX)) {
        Some(recovery_ns) => Terms { recovery_ns, restart_ns: 0, asked_ns: 0 },
        // How long it takes to do what it is asked for is not known yet.
        None => Terms { recovery_ns: within_ns(pace.restart_ns), restart_ns: pace.restart_ns, asked_ns: 0 },
    }
}

/// Within what time it must be back from what takes so long where nothing else happens: to the hundredth of a second,
/// as files are read by people.
pub(super) fn within_ns(pace_ns: u64) -> u64 {
    let (low, high) = RECOVERY_NS;
    hundredths(PACES.saturating_mul(pace_ns).saturating_add(SLACK_NS).clamp(low, high))
}

/// For how long somebody waited in a trial, for an answer or for all workers to be there, and not in vain; as long as
/// anybody may where the service did not come back.
pub(super) fn waited_ns(trial: &TrialResult) -> u64 {
    let is_right = |settled: &SettledResult| settled.wanted.is_none_or(|wanted| wanted == settled.workers);
    let settled_ns = trial.workers.settled.filter(is_right).map_or(0, |settled| settled.waited_ns);
    let back_ns = trial.recovered().into_iter().map(|recovery| match recovery {
        Recovery::NotInterrupted => 0,
        Recovery::Back { after_ns } => after_ns,
        Recovery::Never => RECOVERY_NS.1,
    });
    back_ns.chain([trial.latency.response.max_ns, trial.longest_outage_ns(), settled_ns]).max().unwrap_or(0)
}

/// The first trial that tells something, or the last of those that do not; `None`: interrupted.
fn conclusive(lab: &Lab<'_>, case: &Case) -> Result<Option<Done>, FuzzError> {
    let scenario = examine::entry(case, PATIENT)?;
    let mut last = None;
    for repetition in 0..TRIALS_MAX {
        let job = Job::new(scenario.clone(), repetition);
        let Some(done) = lab.run(&[job])?.pop() else { return Ok(None) };
        let is_conclusive = done.trial.grade != Grade::Inconclusive;
        last = Some(done);
        if is_conclusive {
            break;
        }
    }
    Ok(last)
}

fn check_up(supervisor: &SupervisorEntry, trial: &TrialResult) -> Result<(), FuzzError> {
    let supervisor = supervisor.supervisor.name.clone();
    match (&trial.why, trial.grade) {
        (Some(Reason::Lacks { what }), _) => {
            Err(FuzzError::Unsupported { supervisor, lack: Box::new(what.clone()) })
        }
        (why, Grade::Inconclusive | Grade::Unsupported | Grade::Down) => Err(FuzzError::NeverUp {
            supervisor,
            reason: trial.reason.clone().unwrap_or_else(|| trial.grade.to_string()),
            is_wrongly_asked: matches!(why, Some(Reason::NoRightReply { .. })),
        }),
        (_, Grade::Held | Grade::Delayed | Grade::Lossy) => Ok(()),
    }
}

/// From the death of a worker until all are there again: as the story says, or as long as it took to settle.
fn restart_ns(done: &Done) -> Option<u64> {
    let struck = done.story.struck_at(0)?;
    let settled = done.trial.workers.settled?;
    if settled.wanted.is_some_and(|wanted| wanted != settled.workers) {
        return None;
    }
    let end = end(&done.story)?;
    let ready = done.story.moments.iter().find(|moment| moment.beat == Beat::Ready && moment.at_ns > struck);
    let until = ready.map(|moment| moment.at_ns);
    let until = until.or_else(|| end.checked_add(i64::try_from(settled.waited_ns).ok()?));
    u64::try_from(until? - struck).ok()
}

fn end(story: &Story) -> Option<i64> {
    story.moments.iter().rfind(|moment| moment.beat == Beat::End).map(|moment| moment.at_ns)
}
