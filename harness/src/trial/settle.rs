//! After the load: waits until there are as many workers as there should be, and looks at what the supervisor
//! has left open or unreaped. What it looks at is past by then: nothing of it is in any count of the load.

use std::time::Duration;

use holdline_contract::clock::now_ns;
use holdline_model::deed::Deed;
use holdline_model::facts::FaultFact;
use holdline_model::result::SettledResult;
use holdline_model::words::Verb;
use nix::unistd::Pid;

use super::process::Supervised;
use super::sight::SightError;
use super::stage::Stage;
use crate::proc;

/// How often it is looked whether the service has settled, where no ledger changes.
const LOOKS: Duration = Duration::from_millis(5);
/// Descriptors that are as many so much later are those that a supervisor keeps.
const STAYS: Duration = Duration::from_millis(10);
/// How much longer a supervisor that has its workers is given to reap those that ended, and to close what it
/// had of them.
const TIDYING_NS: u64 = 300_000_000;

/// What was there when the load began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    supervisor: Pid,
    /// Descriptors of the supervisor's process; `None`: they may not be looked at.
    descriptors: Option<u64>,
    workers: u32,
}

impl Before {
    /// Looks at it. A supervisor whose worker serves may not be done with its own start (haproxy's master sets up its event
    /// loop then): where it will be asked what has become of its descriptors, they are counted once they stay.
    pub(super) async fn load(stage: &Stage, supervisor: Pid) -> Self {
        let count = || proc::descriptors_open(supervisor).ok().flatten();
        let is_asked = stage.place.scenario.workers.settle_ns.is_some();
        let at_rest = || proc::asleep(supervisor).ok().flatten();
        let descriptors = if is_asked { once_it_stays(count, at_rest).await } else { count() };
        Self { supervisor, descriptors, workers: stage.sight.accepting(supervisor) }
    }
}

/// What is counted, once it is the same twice and whoever it is counted of has done nothing in between, not even waited for
/// its turn; after a while, what was counted last. `at_rest` says how often it has run, if it does not want to.
async fn once_it_stays(
    mut count: impl FnMut() -> Option<u64>,
    mut at_rest: impl FnMut() -> Option<u64>,
) -> Option<u64> {
    let until_ns = now_ns() + TIDYING_NS;
    let mut look = || (at_rest(), count());
    let mut now = look();
    while now_ns() < until_ns && now.1.is_some() {
        tokio::time::sleep(STAYS).await;
        let earlier = std::mem::replace(&mut now, look());
        if now == earlier && now.0.is_some() {
            break;
        }
    }
    now.1
}

/// Waits until the service has settled, if the scenario says so, and says what it has come to.
pub(super) async fn settle(
    stage: &mut Stage,
    supervised: &Supervised,
    before: Before,
    (faults, end_ns): (&[FaultFact], u64),
) -> Result<Option<SettledResult>, SightError> {
    let Some(limit_ns) = stage.place.scenario.workers.settle_ns else { return Ok(None) };
    let wanted = wanted(stage, before, scaled(faults));
    let mut complete_ns = None;
    loop {
        stage.look()?;
        let now = now_ns();
        let supervisor = supervised.pid();
        let settled = look(stage, supervisor, before, wanted, now.saturating_sub(end_ns));
        let is_complete = wanted.is_none_or(|wanted| wanted == settled.workers);
        complete_ns = if is_complete { complete_ns.or(Some(now)) } else { None };
        let is_tidy = settled.zombies == 0 && settled.descriptors_gained().unwrap_or(0) == 0;
        let is_late = match complete_ns {
            Some(since_ns) => now > since_ns + TIDYING_NS,
            None => now > end_ns.saturating_add(limit_ns),
        };
        // One that was replaced while it was looked at is not gone: whoever took over is looked at next.
        let is_gone = !proc::is_alive(supervised.pid());
        if (is_complete && is_tidy) || is_late || is_gone {
            return Ok(Some(settled));
        }
        tokio::select! {
            () = stage.ledgers.changed() => {}
            () = tokio::time::sleep(LOOKS) => {}
        }
    }
}

fn look(
    stage: &Stage,
    supervisor: Pid,
    before: Before,
    wanted: Option<u32>,
    waited_ns: u64,
) -> SettledResult {
    // One that took over has descriptors of its own.
    let is_same = supervisor == before.supervisor;
    SettledResult {
        workers: stage.sight.accepting(supervisor),
        wanted,
        zombies: u32::try_from(zombies(supervisor)).unwrap_or(u32::MAX),
        descriptors_before: before.descriptors.filter(|_| is_same),
        descriptors: proc::descriptors_open(supervisor).ok().flatten(),
        waited_ns,
    }
}

/// Children that have ended and that nobody has waited for.
fn zombies(supervisor: Pid) -> usize {
    let children = proc::children(supervisor).ok().flatten().unwrap_or_default();
    let is_zombie = |pid: &Pid| matches!(proc::stat(*pid), Ok(Some(stat)) if stat.state == 'Z');
    children.into_iter().filter(is_zombie).count()
}

/// For how many workers the supervisor was last asked, if it was. What did not strike, or came to nothing, asks for none.
fn scaled(faults: &[FaultFact]) -> Option<u32> {
    let asked = faults.iter().filter(|fact| fact.error.is_none() && !fact.hit_nobody);
    let scaled = asked.filter_map(|fact| match fact.deed {
        Deed::Ask { verb: Verb::Scale, workers } => Some((fact.at_ns, workers?)),
        Deed::Ask { .. }
        | Deed::Poison { .. }
        | Deed::KillHolder { .. }
        | Deed::FailStarts { .. }
        | Deed::FailWorker { .. }
        | Deed::Signal { .. }
        | Deed::Pause { .. } => None,
    });
    scaled.max_by_key(|(at_ns, _)| *at_ns).map(|(_, workers)| workers)
}

/// How many workers there should be: as many as the scenario says, or as it was last asked for. Not known where
/// workers record nothing before their first connection.
fn wanted(stage: &Stage, before: Before, scaled: Option<u32>) -> Option<u32> {
    if !stage.sight.is_blind() && !stage.place.supervisor.ready.workers {
        return None;
    }
    match (stage.sight.is_blind(), scaled) {
        (false, Some(workers)) => Some(workers + stage.place.supervisor.ready.spares),
        (false, None) => u32::try_from(stage.place.workers_wanted()).ok(),
        // A server may have more processes that hold the listener than it was told to have workers.
        (true, None) => Some(before.workers),
        (true, Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use holdline_model::hindrance::Hindrance;

    use super::*;

    #[test]
    fn as_many_are_wanted_as_were_last_asked_for_and_not_as_the_file_would_have() {
        let fact = |at_ns: u64, workers: Option<u32>| {
            let verb = if workers.is_some() { Verb::Scale } else { Verb::Reload };
            FaultFact::new(0, at_ns, Deed::Ask { verb, workers })
        };
        assert_eq!(scaled(&[]), None);
        assert_eq!(scaled(&[fact(5, Some(3)), fact(7, None), fact(2, Some(1))]), Some(3));
        let failed = FaultFact { error: Some(Hindrance::NoneHolds), ..fact(9, Some(4)) };
        assert_eq!(scaled(&[fact(5, Some(3)), failed]), Some(3));
    }

    #[tokio::test]
    async fn what_is_still_growing_is_counted_when_it_has_grown() {
        let mut counts = [4, 5, 7, 7, 9].into_iter();
        assert_eq!(once_it_stays(|| counts.next(), || Some(0)).await, Some(7));
        let mut ever = 0..;
        assert!(once_it_stays(|| ever.next(), || Some(0)).await > Some(1), "it does not wait for ever");
        assert_eq!(once_it_stays(|| None, || Some(0)).await, None, "what may not be looked at");
    }

    #[tokio::test]
    async fn whoever_has_not_come_to_its_turn_has_not_done_what_it_will() {
        // It waits for a processor, runs, and rests.
        let mut runs = [None, None, None, Some(7), Some(8), Some(8), Some(8)].into_iter();
        let mut counts = [4, 4, 4, 4, 7, 7, 9].into_iter();
        assert_eq!(once_it_stays(|| counts.next(), || runs.next().flatten()).await, Some(7));
    }
}
