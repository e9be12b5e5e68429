//! Which trials a run consists of, in which order, each with its seed.

use std::fmt;
use std::str::FromStr;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::arrivals::Extent;
use crate::scenario::Scenario;

/// The trials of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPlan {
    /// In the order in which they run.
    pub trials: Vec<TrialPlan>,
}

/// One supervisor × one scenario × one repetition, before it has run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrialPlan {
    /// Its place in the whole plan, from 0, whichever part of it is run here.
    pub index: u32,
    /// Name of the supervisor.
    pub supervisor: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Which repetition, from 0.
    pub repetition: u32,
    /// From which everything that is drawn in this trial is drawn.
    pub seed: u64,
}

impl RunPlan {
    /// Plans every supervisor × every scenario × every repetition, or a part of them.
    ///
    /// Repetitions are outermost and supervisors innermost, so that the supervisors that are
    /// compared run next to each other and a machine that changes slowly changes for all of them.
    #[must_use]
    pub fn new(
        supervisors: &[String],
        scenarios: &[String],
        repetitions: u32,
        seed: u64,
        partition: Option<Partition>,
    ) -> Self {
        let all = (0..repetitions).flat_map(|repetition| {
            scenarios.iter().flat_map(move |scenario| {
                supervisors.iter().map(move |supervisor| (supervisor, scenario, repetition))
            })
        });
        let trials = (0..)
            .zip(all)
            .filter(|(index, (supervisor, scenario, repetition))| {
                partition.is_none_or(|part| part.contains(*index, supervisor, scenario, *repetition))
            })
            .map(|(index, (supervisor, scenario, repetition))| TrialPlan {
                index,
                supervisor: supervisor.clone(),
                scenario: scenario.clone(),
                repetition,
                seed: trial_seed(seed, supervisor, scenario, repetition),
            })
            .collect();
        Self { trials }
    }
}

impl RunPlan {
    /// Plans a comparison: blocks of one repetition, in each of them every scenario, and in each scenario every
    /// contender, in an order that is drawn from the seed.
    ///
    /// The contenders of a block draw from the same seed, so that all of them meet the same arrivals. A part of
    /// the plan is one of whole blocks, since what is compared is compared within them.
    #[must_use]
    pub fn interleaved(
        contenders: &[String],
        scenarios: &[String],
        repetitions: u32,
        seed: u64,
        partition: Option<Partition>,
    ) -> Self {
        let mut trials = Vec::new();
        let mut index = 0;
        for repetition in 0..repetitions {
            let is_here =
                partition.is_none_or(|partition| partition.contains(repetition, "", "", repetition));
            for scenario in scenarios {
                let of_block = trial_seed(seed, "", scenario, repetition);
                let mut order: Vec<&String> = contenders.iter().collect();
                order.shuffle(&mut ChaCha8Rng::seed_from_u64(of_block));
                for supervisor in order {
                    if is_here {
                        let (supervisor, scenario) = (supervisor.clone(), scenario.clone());
                        trials.push(TrialPlan { index, supervisor, scenario, repetition, seed: of_block });
                    }
                    index += 1;
                }
            }
        }
        Self { trials }
    }
}

/// The seed of a trial. It depends on nothing but these four, so that a trial is the same whatever
/// else is selected, and never changes between versions of holdline or of Rust.
#[must_use]
pub fn trial_seed(run_seed: u64, supervisor: &str, scenario: &str, repetition: u32) -> u64 {
    // No name holds a NUL byte, so that no two triples have the same bytes.
    let bytes =
        supervisor.bytes().chain([0]).chain(scenario.bytes()).chain([0]).chain(repetition.to_le_bytes());
    mix(run_seed ^ mix(fnv1a(bytes)))
}

/// FNV-1a, 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>).
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finaliser of SplitMix64, so that similar inputs give unrelated seeds.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What a trial takes beside its load and the first boot: sandbox, start and stop of the supervisor.
const BESIDE_NS: u64 = 200_000_000;

/// About how long a trial of this scenario takes: its load, as far as that is certain before, the boot of its
/// workers, and what every trial takes. How long attempts wait for a reply is not known before.
#[must_use]
pub fn estimated_ns(scenario: &Scenario) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, which is meant"
    )]
    let load_ns = Extent::of(&scenario.load).end_ns_min as u64;
    load_ns.saturating_add(scenario.workers.boot_ns).saturating_add(BESIDE_NS)
}

/// About how much longer all trials take together, in nanoseconds: what is estimated of those that are to come, longer or
/// shorter by as much as those that are done took in all.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is meant")]
pub fn left_ns(all_ns: u64, done_ns: u64, elapsed_ns: u64) -> u64 {
    let to_come_ns = all_ns.saturating_sub(done_ns);
    if done_ns == 0 {
        return to_come_ns.saturating_sub(elapsed_ns);
    }
    (to_come_ns as f64 * (elapsed_ns as f64 / done_ns as f64)) as u64
}

/// A part of a plan, for machines that share a run: `slice:1/3` or `hash:1/3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    by: By,
    /// Which part, from 1.
    m: u32,
    /// Of how many.
    n: u32,
}

/// By what trials are dealt out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// Every n-th trial, so that parts are as large as each other.
    Slice,
    /// A hash of what the trial is, so that it stays in its part whatever else is selected.
    Hash,
}

impl By {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Slice => "slice",
            Self::Hash => "hash",
        }
    }
}

impl Partition {
    /// Every n-th trial, as part `m` of `n`; `None` unless 1 ≤ m ≤ n.
    #[must_use]
    pub fn new(m: u32, n: u32) -> Option<Self> {
        (1..=n).contains(&m).then_some(Self { by: By::Slice, m, n })
    }

    /// How many of so many things are this part's, where nothing but their number tells them apart.
    #[must_use]
    pub fn share(self, total: u64) -> u64 {
        let (m, n) = (u64::from(self.m), u64::from(self.n));
        total / n + u64::from(m <= total % n)
    }

    /// The part that an indexed Job of Kubernetes runs: its index counts from 0.
    #[must_use]
    pub fn of_job(index: &str, completions: &str) -> Option<Self> {
        Self::new(index.parse::<u32>().ok()?.checked_add(1)?, completions.parse().ok()?)
    }

    /// Whether the trial with this index belongs to it, which is that trial.
    #[must_use]
    pub fn contains(self, index: u32, supervisor: &str, scenario: &str, repetition: u32) -> bool {
        let number = match self.by {
            By::Slice => u64::from(index),
            By::Hash => trial_seed(0, supervisor, scenario, repetition),
        };
        number % u64::from(self.n) == u64::from(self.m - 1)
    }

    /// `slice` or `hash`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        self.by.as_str()
    }

    /// Which part, from 1.
    #[must_use]
    pub const fn part(self) -> u32 {
        self.m
    }

    /// Of how many.
    #[must_use]
    pub const fn of(self) -> u32 {
        self.n
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.kind(), self.m, self.n)
    }
}

/// A text that is no partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no partition; write slice:m/n or hash:m/n with 1 ≤ m ≤ n, for example slice:1/3")]
pub struct NotAPartition(String);

impl FromStr for Partition {
    type Err = NotAPartition;

    fn from_str(text: &str) -> Result<Self, NotAPartition> {
        let read = || {
            let (kind, rest) = text.split_once(':')?;
            let by = [By::Slice, By::Hash].into_iter().find(|by| by.as_str() == kind)?;
            let (m, n) = rest.split_once('/')?;
            Some(Self { by, ..Self::new(m.parse().ok()?, n.parse().ok()?)? })
        };
        read().ok_or_else(|| NotAPartition(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_plan_has_every_combination_in_order() {
        let plan = RunPlan::new(&names(&["a", "b"]), &names(&["x", "y"]), 2, 1, None);
        let order: Vec<_> = plan
            .trials
            .iter()
            .map(|t| format!("{} {} {} {}", t.index, t.supervisor, t.scenario, t.repetition))
            .collect();
        assert_eq!(
            order,
            ["0 a x 0", "1 b x 0", "2 a y 0", "3 b y 0", "4 a x 1", "5 b x 1", "6 a y 1", "7 b y 1"]
        );
    }

    #[test]
    fn seeds_are_pinned() {
        assert_eq!(trial_seed(1, "held-socket", "crash", 0), 17_800_873_627_518_275_357);
        assert_ne!(trial_seed(1, "ab", "c", 0), trial_seed(1, "a", "bc", 0));
    }

    #[test]
    fn a_seed_does_not_depend_on_what_else_is_selected() {
        let many = RunPlan::new(&names(&["a", "b", "c"]), &names(&["x", "y"]), 3, 9, None);
        let few = RunPlan::new(&names(&["c"]), &names(&["y"]), 3, 9, None);
        for trial in few.trials {
            let same = |other: &&TrialPlan| {
                (&other.supervisor, &other.scenario, other.repetition)
                    == (&trial.supervisor, &trial.scenario, trial.repetition)
            };
            assert_eq!(many.trials.iter().find(same).expect("planned").seed, trial.seed);
        }
        let mut seeds: Vec<u64> = many.trials.iter().map(|trial| trial.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), many.trials.len());
    }

    #[test]
    fn a_comparison_is_blocked_by_repetition_and_shuffled_within() {
        let contenders = names(&["a", "b", "c", "d"]);
        let plan = RunPlan::interleaved(&contenders, &names(&["x", "y"]), 20, 1, None);
        assert_eq!(plan, RunPlan::interleaved(&contenders, &names(&["x", "y"]), 20, 1, None));
        let mut orders = std::collections::BTreeSet::new();
        for (number, block) in plan.trials.chunks(4).enumerate() {
            let same = (&block[0].scenario, block[0].repetition, block[0].seed);
            assert_eq!(block[0].repetition as usize, number / 2);
            assert!(block.iter().all(|trial| (&trial.scenario, trial.repetition, trial.seed) == same));
            let order: Vec<&str> = block.iter().map(|trial| trial.supervisor.as_str()).collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, contenders);
            orders.insert(order);
        }
        assert!(orders.len() > 12, "of 24 orders, 40 blocks have {}", orders.len());
        let firsts = |name: &str| plan.trials.chunks(4).filter(|block| block[0].supervisor == name).count();
        assert!(contenders.iter().all(|name| (3..=20).contains(&firsts(name))), "nobody is always first");
        let part = RunPlan::interleaved(&contenders, &names(&["x", "y"]), 20, 1, Partition::new(2, 3));
        assert!(part.trials.iter().all(|trial| trial.repetition % 3 == 1 && plan.trials.contains(trial)));
    }

    #[test]
    fn partitions_are_read() {
        assert_eq!("slice:2/3".parse(), Ok(Partition { by: By::Slice, m: 2, n: 3 }));
        assert_eq!("hash:2/3".parse(), Ok(Partition { by: By::Hash, m: 2, n: 3 }));
        assert_eq!("hash:2/3".parse::<Partition>().map(|part| part.to_string()), Ok("hash:2/3".to_owned()));
        assert_eq!(Partition::of_job("0", "3"), Partition::new(1, 3));
        let shares = (1..=3).filter_map(|m| Some(Partition::new(m, 3)?.share(8)));
        assert_eq!(shares.collect::<Vec<_>>(), [3, 3, 2]);
        assert_eq!((Partition::of_job("3", "3"), Partition::of_job("", "3")), (None, None));
        for wrong in ["slice:0/3", "slice:4/3", "slice:1/0", "2/3", "slice:1", "slice:a/b", "hsh:1/2", ""] {
            assert!(wrong.parse::<Partition>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_left_is_as_much_longer_than_estimated_as_what_is_done_was() {
        assert_eq!(left_ns(100, 0, 0), 100, "nothing is known but the estimate");
        assert_eq!(left_ns(100, 0, 30), 70);
        assert_eq!(left_ns(100, 0, 300), 0);
        assert_eq!(left_ns(100, 25, 50), 150, "everything takes twice as long");
        assert_eq!(left_ns(100, 50, 25), 25, "two at a time");
        assert_eq!((left_ns(100, 100, 70), left_ns(0, 0, 7)), (0, 0));
    }

    proptest! {
        #[test]
        fn partitions_are_disjoint_and_cover(
            supervisors in 0..5_usize, scenarios in 0..5_usize, repetitions in 0..5_u32, n in 1..8_u32, seed: u64,
            kind in prop::sample::select(vec!["slice", "hash"]),
        ) {
            let supervisors: Vec<String> = (0..supervisors).map(|i| format!("s{i}")).collect();
            let scenarios: Vec<String> = (0..scenarios).map(|i| format!("c{i}")).collect();
            let whole = RunPlan::new(&supervisors, &scenarios, repetitions, seed, None);
            let mut parts: Vec<TrialPlan> = (1..=n)
                .flat_map(|m| RunPlan::new(&supervisors, &scenarios, repetitions, seed, format!("{kind}:{m}/{n}").parse().ok()).trials)
                .collect();
            parts.sort_by_key(|trial| trial.index);
            prop_assert_eq!(parts, whole.trials);
        }
    }
}
