//! Any run at all, for what must hold of every report.

use holdline_model::recovery::Recovery;
use holdline_model::result::{MomentKind, Outage, RunResult, StripBucket, TimelineEntry, TrialResult};
use holdline_model::words::{Blame, Fate, Grade};
use proptest::prelude::*;

use super::{Losses, MS, run};

/// Any run whose books balance.
pub(crate) fn any_run() -> impl Strategy<Value = RunResult> {
    prop::collection::vec(any_trial(), 0..12).prop_map(run)
}

fn any_trial() -> impl Strategy<Value = TrialResult> {
    let names = prop::sample::select(vec!["bare", "prefork", "stand–by", "監督"]);
    let scenarios = prop::sample::select(vec!["crash", "deploy"]);
    let grade = prop::sample::select(Grade::ALL.to_vec());
    let counts =
        (0_u64..2_000_000, prop::collection::vec(0_u64..5_000, Fate::ALL.len()), 0_u64..100, 0_u64..100);
    let strip = prop::collection::vec((0_u64..9, 0_u64..9, 0_u64..9, 0_u32..200), 0..200);
    let times = (any::<u64>(), any::<u64>(), any::<i64>());
    (names, scenarios, grade, counts, strip, times).prop_map(
        |(name, scenario, grade, (served, lost, poison, in_flight), strip, (a, b, at_ns))| {
            let mut trial = Losses::default().trial(name, scenario, grade);
            trial.fates = Fate::ALL.iter().copied().zip(lost.iter().copied()).collect();
            trial.collateral = trial.fates.clone();
            trial.collateral.remove(&Fate::Served);
            trial.collateral.remove(&Fate::Silent);
            trial.collateral.remove(&Fate::NotSent);
            trial.fates.insert(Fate::Served, served);
            let collateral = trial.collateral.values().sum();
            *trial.fates.get_mut(&Fate::NoReply).expect("every fate") += poison + in_flight;
            trial.blame.insert(Blame::Poison, poison);
            trial.blame.insert(Blame::InFlight, in_flight);
            trial.blame.insert(Blame::Collateral, collateral);
            trial.attempts = trial.fates.values().sum();
            trial.strip = (0..)
                .zip(strip)
                .map(|(i, (served, late, lost, queue_max))| StripBucket {
                    start_ns: i * 7 * MS,
                    served,
                    late,
                    lost,
                    queue_max,
                })
                .collect();
            trial.outages.push(Outage { start_ns: a, end_ns: b, attempts: 3 });
            trial.latency.accept.max_ns = a.max(b);
            trial.recovery_ns.push(Some(b));
            trial.recoveries.push(Recovery::Back { after_ns: b });
            trial.back_after_ns = (a % 3 == 0).then_some(b % (600 * 1_000 * MS));
            trial.timeline.push(TimelineEntry {
                at_ns,
                kind: MomentKind::Heal,
                what: None,
                text: "healed".into(),
            });
            trial
        },
    )
}
