//! What is counted when the load is over, whatever comes after: the counters to which the kernel's record
//! counts, the workers, what they cost.

use holdline_contract::clock::now_ns;
use holdline_model::record::AcceptSamples;
use holdline_model::result::CostResult;

use super::cost::Meter;
use super::process::Supervised;
use super::sight::SightError;
use super::stage::Stage;
use crate::kernel::accepts::AcceptSampler;

/// What was counted.
pub(super) struct Counted {
    /// When the load was over, in CLOCK_MONOTONIC nanoseconds.
    pub(super) end_ns: u64,
    /// The processes of workers that lived then, and of programs behind the front.
    pub(super) alive: Vec<u32>,
    /// Workers that could accept then.
    pub(super) workers: u32,
    /// What the supervisor and its workers had cost, where it can be measured.
    pub(super) cost: Option<CostResult>,
    /// Who was seen waiting to be accepted, if that was sampled.
    pub(super) accepts: Option<AcceptSamples>,
}

impl Counted {
    /// Counts now.
    pub(super) fn now(
        stage: &mut Stage,
        supervised: &Supervised,
        earlier: Option<Meter>,
        start_ns: u64,
    ) -> Result<Self, SightError> {
        stage.sight.observer.end()?;
        let end_ns = now_ns();
        let accepts = stage.sight.accepts.take().map(AcceptSampler::finish).transpose()?;
        stage.look()?;
        let mut alive = stage.sight.alive(supervised.pid());
        alive.extend(stage.companions.alive());
        let workers = stage.sight.accepting(supervised.pid());
        let cost = earlier.and_then(|earlier| {
            let now = Meter::read(&stage.sight.inside).ok()?;
            Some(now.since(earlier, end_ns.saturating_sub(start_ns)))
        });
        Ok(Self { end_ns, alive, workers, cost, accepts })
    }
}
