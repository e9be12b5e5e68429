//! Each side of each system call of a life: the life is recorded in one trial, and then a fresh trial for each place
//! kills whoever comes to it.

use std::collections::BTreeMap;

use holdline_model::result::TrialResult;
use holdline_model::support;
use holdline_model::sweep::calls::{self, Boundary, Call, Place};
use holdline_model::sweep::life::Life;
use holdline_model::sweep::{BoundaryResult, Costs, LifeResult, SweepTarget, When, verdict};
use holdline_model::words::Grade;

use super::passes::{Passes, Stage, TRIES, Wanted};
use super::{Request, SweepError};
use crate::catalogue::ScenarioEntry;
use crate::trace::Traced;
use crate::trial::{CALLS_JSON, TraceSpec};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Map {
    pub(super) lives: Vec<LifeResult>,
    pub(super) boundaries: Vec<BoundaryResult>,
}

/// A life that was recorded.
struct Recorded {
    target: SweepTarget,
    life: Life,
    calls: Vec<Call>,
    elapsed_ns: u64,
}

/// A place, and the call that it was recorded of.
struct Planned {
    target: SweepTarget,
    life: Life,
    boundary: Boundary,
    occurrence: u32,
    depth: u32,
    at_ns: Option<u64>,
}

/// Records the lives of the request's targets, and kills at each place of them.
pub(super) fn sweep(request: &Request, most: u32, passes: &mut Passes<'_>) -> Result<Map, SweepError> {
    let mut map = Map::default();
    let (mut planned, mut each_ns) = (Vec::new(), passes.calm_ns());
    for target in &request.targets {
        for life in Life::of(*target, &request.supervisor.supervisor) {
            match record(request, *target, life, passes)? {
                Ok(recorded) => {
                    each_ns = each_ns.max(recorded.elapsed_ns);
                    let (life, places) = plan(&recorded, most);
                    map.lives.push(life);
                    planned.extend(places);
                }
                Err(reason) => map.lives.push(unrecorded(*target, life, reason)),
            }
        }
    }
    if let (Some(life), true) = (map.lives.first(), map.lives.iter().all(|life| life.reason.is_some())) {
        let supervisor = request.supervisor.supervisor.name.clone();
        return Err(match passes.is_interrupted() {
            true => SweepError::Interrupted,
            false => SweepError::Unsupported { supervisor, reason: life.reason.clone().unwrap_or_default() },
        });
    }
    let is_here = |(index, place): &(u32, Planned)| request.is_here(*index, &scenario_name(place));
    let planned: Vec<Planned> = (0..).zip(planned).filter(is_here).map(|(_, place)| place).collect();
    let wanted: Vec<Wanted> =
        planned.iter().map(|place| wanted(request, place)).collect::<Result<_, SweepError>>()?;
    let trials = kill_at_each(&wanted, each_ns, passes)?;
    let of = |(place, trials): (&Planned, &Vec<TrialResult>)| judged(place, trials, passes);
    map.boundaries = planned.iter().zip(&trials).filter_map(of).collect();
    Ok(map)
}

fn kill_at_each(
    wanted: &[Wanted],
    each_ns: u64,
    passes: &mut Passes<'_>,
) -> Result<Vec<Vec<TrialResult>>, SweepError> {
    let dir = passes.dir();
    let says =
        move |trial: &TrialResult| trial.grade != Grade::Inconclusive && traced(&dir, trial).killed.is_some();
    passes.until_they_say_something(wanted, each_ns, says)
}

/// The scenarios in which the lives of the request's targets are recorded.
pub(super) fn lives(request: &Request) -> Result<Vec<ScenarioEntry>, SweepError> {
    let all = request.targets.iter().flat_map(|target| Life::of(*target, &request.supervisor.supervisor));
    all.map(|life| Ok(recording(request, life)?.scenario)).collect()
}

/// The trial in which a life is recorded.
fn recording(request: &Request, life: Life) -> Result<Wanted, SweepError> {
    scenario(request, life, &format!("sweep/{life}"), None)
}

/// Records a life; the inner error is why it cannot be, for this supervisor.
fn record(
    request: &Request,
    target: SweepTarget,
    life: Life,
    passes: &mut Passes<'_>,
) -> Result<Result<Recorded, String>, SweepError> {
    let wanted = recording(request, life)?;
    let is_root = nix::unistd::geteuid().is_root();
    if let Some(lack) = support::lack(&request.supervisor.supervisor, &wanted.scenario.scenario, is_root) {
        return Ok(Err(lack.to_string()));
    }
    let mut reason = "no system call of it was seen".to_owned();
    for repetition in 0..TRIES {
        let trials = passes.run(Stage::Recording { life }, vec![Wanted { repetition, ..wanted.clone() }])?;
        let Some(trial) = trials.first() else { return Ok(Err("it was interrupted".to_owned())) };
        match trial.grade {
            Grade::Unsupported => return Ok(Err(trial.reason.clone().unwrap_or_default())),
            Grade::Inconclusive => reason = trial.reason.clone().unwrap_or_default(),
            Grade::Held | Grade::Delayed | Grade::Lossy | Grade::Down => {
                let calls = life.calls(traced(&passes.dir(), trial).calls);
                if !calls.is_empty() {
                    return Ok(Ok(Recorded { target, life, calls, elapsed_ns: trial.elapsed_ns }));
                }
            }
        }
    }
    Ok(Err(reason))
}

/// What a tracer wrote down in a trial; nothing, where the trial was not even run.
fn traced(dir: &std::path::Path, trial: &TrialResult) -> Traced {
    let text = std::fs::read(dir.join(&trial.folder).join(CALLS_JSON));
    text.ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// The places of a recorded life, at most so many.
fn plan(recorded: &Recorded, most: u32) -> (LifeResult, Vec<Planned>) {
    let Recorded { target, life, calls, .. } = recorded;
    let (begin_ns, end_ns) = life.span_ns();
    let all = calls::boundaries(calls, begin_ns, end_ns);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let result = LifeResult {
        target: *target,
        life: *life,
        calls: count(calls.len()),
        invisible: count(calls.iter().filter(|call| !call.is_visible()).count()),
        left_out: count(all.len()).saturating_sub(most),
        reason: None,
    };
    let of = |boundary: Boundary| {
        let call = &calls[boundary.index as usize];
        let at_ns = match boundary.place.when {
            When::Before => Some(call.entered_ns),
            When::After => call.left_ns,
        };
        let at_ns = at_ns.map(|ns| ns.saturating_sub(begin_ns));
        let (occurrence, depth) = (call.occurrence, call.depth);
        Planned { target: *target, life: *life, occurrence, depth, at_ns, boundary }
    };
    (result, all.into_iter().take(most as usize).map(of).collect())
}

fn unrecorded(target: SweepTarget, life: Life, reason: String) -> LifeResult {
    LifeResult { target, life, calls: 0, invisible: 0, left_out: 0, reason: Some(reason) }
}

/// The trial of a place.
fn scenario_name(place: &Planned) -> String {
    let Boundary { index, place: Place { when, .. } } = &place.boundary;
    format!("sweep/{}-{index:03}-{when}", place.life)
}

fn wanted(request: &Request, place: &Planned) -> Result<Wanted, SweepError> {
    scenario(request, place.life, &scenario_name(place), Some(place.boundary.place.clone()))
}

fn scenario(request: &Request, life: Life, name: &str, kill: Option<Place>) -> Result<Wanted, SweepError> {
    let text = life.scenario(name, &request.supervisor.supervisor);
    let (begin_ns, end_ns) = life.span_ns();
    let trace = TraceSpec { follow: life.follow(), begin_ns, end_ns, kill, fault: Some(0) };
    Ok(Wanted::new(ScenarioEntry::parse(text, format!("the scenario {name}"))?, Some(trace)))
}

/// What the trials of a place come to; `None`: it was interrupted before.
fn judged(place: &Planned, trials: &[TrialResult], passes: &Passes<'_>) -> Option<BoundaryResult> {
    let dir = passes.dir();
    let reached: Vec<&TrialResult> =
        trials.iter().filter(|trial| traced(&dir, trial).killed.is_some()).collect();
    let all: Vec<&TrialResult> = if reached.is_empty() { trials.iter().collect() } else { reached.clone() };
    let worst = verdict::worst(all.iter().copied())?;
    let Planned { target, life, boundary, occurrence, depth, at_ns } = place;
    let Place { call, previous, when, .. } = boundary.place.clone();
    let is_reached = !reached.is_empty();
    Some(BoundaryResult {
        target: *target,
        life: *life,
        index: boundary.index,
        call,
        occurrence: *occurrence,
        previous,
        when,
        depth: *depth,
        at_ns: *at_ns,
        reached: is_reached,
        grade: if is_reached { worst.grade } else { Grade::Inconclusive },
        fate: verdict::fate(worst).filter(|_| is_reached),
        costs: if is_reached { verdict::costs(worst) } else { Costs::NotKnown },
        lost: if is_reached { worst.collateral.values().sum() } else { 0 },
        fates: if is_reached { worst.collateral.clone() } else { BTreeMap::new() },
        repeated: u32::try_from(trials.len()).unwrap_or(u32::MAX).saturating_sub(1),
        reason: if is_reached {
            worst.reason.clone()
        } else {
            Some("the call did not come again".to_owned())
        },
    })
}
