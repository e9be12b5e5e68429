//! A trial's story, from the prepared place to the result.

use std::time::SystemTime;

use holdline_contract::clock::now_ns;
use holdline_model::arrivals::schedule;
use holdline_model::conductor::{Conductor, Event, Moments};
use holdline_model::exit::Exit;
use holdline_model::mishap::Mishap;
use holdline_model::reason::{Note, Reason};
use holdline_model::record::Outcome;
use holdline_model::result::TrialResult;
use holdline_model::scenario::Action;
use holdline_model::support;

use super::collect::{self, CollectError, Collected};
use super::cost::Meter;
use super::hands::{Hands, seize};
use super::lead::{Lead, LeadError};
use super::load_thread::{ClientLog, LoadThreadError, RunningLoad, with_attempts};
use super::paths::PathError;
use super::place::Place;
use super::process::Supervised;
use super::ready::{self, Readiness};
use super::settle::Before;
use super::sight::SightError;
use super::stage::{Stage, StageError};
use super::tracing::{TraceError, Tracer};
use super::{Message, TrialSpec, inheritance, programs, settle, stop};
use crate::kernel::observer::ObserverError;
use crate::load;
use crate::proc;
use crate::sandbox::Inside;

/// From the decision to begin to the first attempt: time for the load thread to get going,
const LEAD_NS: u64 = 2_000_000;
/// and for each that makes a part of the load.
const LEAD_EACH_NS: u64 = 100_000;

/// A trial that could not be played to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoryError {
    /// It could not be set up.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// It could not be watched.
    #[error(transparent)]
    Sight(#[from] SightError),
    /// The load could not be put on the service.
    #[error(transparent)]
    Load(#[from] LoadThreadError),
    /// It could not be led.
    #[error(transparent)]
    Lead(#[from] LeadError),
    /// What was recorded could not be gathered.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// A log could not be let out of where it is kept.
    #[error(transparent)]
    Logs(#[from] PathError),
    /// System calls cannot be followed.
    #[error("failed to follow system calls")]
    Trace(#[from] TraceError),
    /// The search panicked.
    #[error("the thread panicked that looks for whoever has an attempt")]
    SearchPanicked,
}

impl From<ObserverError> for StoryError {
    fn from(error: ObserverError) -> Self {
        Self::Sight(error.into())
    }
}

/// Plays a trial inside its sandbox.
pub(super) async fn play(spec: TrialSpec, inside: Inside) -> Result<Message, StoryError> {
    let mut stage = Stage::set_up(spec, inside)?;
    let logs = stage.place.logs();
    if let Err(why) = programs::start(&mut stage).await {
        let result = stage.give_up(Reason::NotRun { what: Mishap::from(why).into(), full: None });
        logs.let_out()?;
        return Ok(Message::Done(Box::new(result)));
    }
    let mut supervised = stage.start_supervisor()?;
    let result = match ready::wait(&mut stage, &mut supervised).await {
        // Denied, it never will be ready; but why is clear, and what clients get can be measured.
        Ok(Readiness::Ready | Readiness::Denied) => measure(stage, supervised).await?,
        Ok(Readiness::Mute(reason)) => stage.give_up(reason),
        Err(why) => stage.give_up(Reason::NotRun { what: Mishap::from(why).into(), full: None }),
    };
    logs.let_out()?;
    Ok(Message::Done(Box::new(result)))
}

/// Runs load and faults, stops the supervisor, and sums up.
async fn measure(mut stage: Stage, mut supervised: Supervised) -> Result<TrialResult, StoryError> {
    load::raise_nofile().map_err(LoadThreadError::Load)?;
    let schedule = schedule(&stage.place.scenario.load, stage.spec.seed);
    let tracer = Tracer::attach(&stage, &supervised).await?;
    let mut alive_at_start = stage.sight.alive(supervised.pid());
    alive_at_start.extend(stage.companions.alive());
    let below = stage.sight.below(supervised.pid())?;
    let before = Before::load(&stage, supervised.pid()).await;
    // What somebody costs who was not started here is not known.
    let meter = if stage.spec.attached.is_none() { Meter::read(&stage.sight.inside).ok() } else { None };
    let threads = u64::from(stage.place.scenario.load.threads);
    let (start_ns, started) = (now_ns() + LEAD_NS + (threads - 1) * LEAD_EACH_NS, SystemTime::now());
    let moments = Moments::of(&stage.place.scenario, &schedule, start_ns);
    let (pending, instants) = with_attempts(&stage.place.scenario, &moments);
    let mut hands = Hands::new(stage.place.workspace.control.clone(), instants, stage.sender.clone());
    take_charge_of_early_failures(&stage.place, &mut hands);
    let tracing = match tracer {
        Some(tracer) => {
            if let Some(fault) = tracer.fault() {
                hands.leave_to_tracer(fault);
            }
            hands.tells_tracer(tracer.page(), &stage.place.scenario);
            Some(tracer.begin(start_ns, &stage).await?)
        }
        None => None,
    };
    let conductor = Conductor::new(&stage.place.scenario, moments);
    stage.log.load_starts(start_ns);
    stage.log.event(start_ns, &Event::LoadStarted);
    stage.sight.begin()?;
    let custody = stage.sight.watch_custody(&stage.place, supervised.pid())?;
    let (search, killer) = match support::kills_for_poison(&stage.place.supervisor, &stage.place.scenario) {
        true => {
            Some(seize::start(&stage.sight, supervised.pid(), &stage.place.scenario, stage.sender.clone())?)
                .unzip()
        }
        false => (None, None),
    };
    let sender = &stage.sender;
    let load = RunningLoad::start(&stage.place, schedule, start_ns, &pending, sender, &custody, search)?;

    let lead = Lead::new(&mut stage, &mut supervised, &mut hands, conductor, load, (meter, start_ns))?;
    let (conductor, client, counted) = lead.until_the_end().await?;
    let gone_below = below.iter().filter(|pid| !proc::is_alive(**pid)).count();
    if let Some(tracing) = tracing {
        tracing.finish().await;
    }

    if let Some(killer) = killer {
        killer.join().map_err(|_| StoryError::SearchPanicked)?;
    }
    let held = custody.finish()?;
    stage.look()?;
    let (mut facts, deaths) = conductor.into_facts(|attempt| was_not_sent(&client, attempt));
    facts.end_ns = counted.end_ns;
    facts.alive_at_start = alive_at_start;
    facts.alive_at_end = counted.alive;
    facts.gone_below = u32::try_from(gone_below).unwrap_or(u32::MAX);
    facts.workers_at_end = counted.workers;
    facts.cost = counted.cost;
    facts.settled = settle::settle(&mut stage, &supervised, before, (&facts.faults, counted.end_ns)).await?;
    let still_stopped = stage.sight.stopped();
    facts.notes.extend(stood_stopped(&still_stopped, proc::number(supervised.pid())));
    stop::let_go_on(&stage, &still_stopped)?;
    stage.log.event(now_ns(), &Event::TrialEnded { still_stopped });
    let cgroups = inheritance::cgroups_above(supervised.pid());
    stop::end_hung_workers(&mut stage)?;
    facts.programs = stage.place.supervisor.programs();
    facts.notes.extend(ends_of_programs(&stage, start_ns, counted.end_ns));
    let stopped = stop::stop(&mut stage, &mut supervised).await?;
    facts.notes.extend(programs::stop(&mut stage, &supervised).await);
    drop(supervised);
    stage.ledgers.end();
    facts.orphans = stopped.orphans;
    facts.notes.extend(stopped.notes);
    let accepts = counted.accepts;
    Ok(collect::collect(stage, Collected { facts, deaths, client, held, accepts, cgroups, started })?)
}

/// Which programs behind the front ended while the load ran.
fn ends_of_programs(stage: &Stage, start_ns: u64, end_ns: u64) -> Vec<Note> {
    let ended = stage.companions.ended().filter(|(_, at_ns, _)| *at_ns <= end_ns);
    let note = |(program, at_ns, status): (&str, u64, Exit)| {
        let at_ns = at_ns.saturating_sub(start_ns);
        Note::ProgramEnded { program: program.to_owned(), status, at_ns }
    };
    ended.map(note).collect()
}

/// Says of processes that nobody has let go on.
fn stood_stopped(stopped: &[u32], supervisor: u32) -> Option<Note> {
    let mut pids = stopped.to_vec();
    pids.sort_unstable_by_key(|pid| (*pid != supervisor, *pid));
    let supervises = pids.first() == Some(&supervisor);
    (!pids.is_empty()).then_some(Note::StoodStopped { pids, supervises })
}

/// Failures of starts were armed before the supervisor was started: from now on they have a guard.
fn take_charge_of_early_failures(place: &Place, hands: &mut Hands) {
    for (index, fault) in place.scenario.faults.iter().enumerate() {
        if let (true, Action::Crash { step, times, .. }) =
            (holdline_model::conductor::strikes_before_start(fault), &fault.action)
        {
            hands.take_charge(index, *step, *times);
        }
    }
}

fn was_not_sent(client: &ClientLog, attempt: u32) -> bool {
    client.attempts.series().iter().any(|r| r.attempt == attempt && matches!(r.outcome, Outcome::NotSent(_)))
}
