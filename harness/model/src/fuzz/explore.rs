//! Which case comes next: drawn, aimed, or a variation of one that had a story not seen before.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::ability::Abilities;
use super::aim::{Kind, Shot, shots, varied};
use super::case::{Case, Strike, When};
use super::draw::{cases, uniform_cases};
use super::story::{Order, Story};
use crate::scenario::Action;

/// So many cases are kept at most: the latest, since their stories are the rarest.
const KEPT_MAX: usize = 256;
/// Of the cases that are aimed, one in so many has all its faults drawn, and close to each other.
const CLOSE_ONE_IN: u32 = 8;
/// Of the others, one in so many is varied instead of aimed.
const VARIED_ONE_IN: u32 = 8;
/// A case is aimed so many times at most, each time once the supervisor has had time to recover: a trial costs more than the
/// milliseconds in which something can happen.
const VOLLEYS_MAX: u64 = 3;
/// And has so many faults at most.
const STRIKES_MAX: usize = 8;
/// For so long, in nanoseconds, all of them go on at most, where that leaves time for more than one.
const VOLLEYS_NS: u64 = 1_000_000_000;
/// The least time between two of them, and the most, in nanoseconds.
const REST_NS: (u64, u64) = (20_000_000, 500_000_000);
/// Of so many shots that are drawn, the one is taken whose kind was tried least often for how much it matters, and of these the
/// one with the shortest window: what is wide is hit by times that are not aimed as well.
const SHOTS: usize = 12;
/// One case in so many has the supervisor's processes traced: that is slower, and one story of its kind is enough.
const TRACED_ONE_IN: u32 = 8;

/// How a case came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// All of it was drawn, its times uniformly.
    Drawn,
    /// All of it was drawn, its faults close to each other.
    Close,
    /// A fault was aimed at a moment of a story.
    Aimed,
    /// One that had a new story was varied.
    Varied,
}

/// A case and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// The case.
    pub case: Case,
    /// How it came about.
    pub how: How,
    /// Whether the calls of the supervisor's processes are to be told in its story.
    pub traced: bool,
}

impl Drawn {
    /// A case that was given rather than drawn.
    #[must_use]
    pub const fn given(case: Case) -> Self {
        Self { case, how: How::Drawn, traced: false }
    }
}

/// Draws cases, and learns from their stories.
#[derive(Debug)]
pub struct Explorer {
    abilities: Abilities,
    uniform: BoxedStrategy<Case>,
    close: BoxedStrategy<Case>,
    runner: TestRunner,
    /// Which share of the cases is aimed, in thousandths.
    aimed_permille: u32,
    kept: Vec<(Case, Story)>,
    tried: BTreeMap<Kind, u32>,
    seen: BTreeSet<Order>,
    /// The orders of which there is a story with the calls of the supervisor's processes.
    traced: BTreeSet<Order>,
}

impl Explorer {
    /// Draws what a supervisor can do. `aimed` is the share of cases that are aimed, 0 to 1.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 1000")]
    pub fn new(abilities: Abilities, seed: u64, aimed: f64) -> Self {
        let mut bytes = [0; 32];
        for (place, chunk) in bytes.chunks_mut(8).enumerate() {
            chunk.copy_from_slice(&seed.wrapping_add(place as u64).to_le_bytes());
        }
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Self {
            uniform: uniform_cases(&abilities),
            close: cases(&abilities),
            abilities,
            runner: TestRunner::new_with_rng(Config::default(), rng),
            aimed_permille: (aimed.clamp(0.0, 1.0) * 1000.0).round() as u32,
            kept: Vec::new(),
            tried: BTreeMap::new(),
            seen: BTreeSet::new(),
            traced: BTreeSet::new(),
        }
    }

    /// The next case.
    pub fn next_case(&mut self) -> Drawn {
        let is_aimed = self.drawn(&(0..1000_u32)).is_some_and(|drawn| drawn < self.aimed_permille);
        let is_close = is_aimed && self.drawn(&(0..CLOSE_ONE_IN)) == Some(0);
        let other = if is_aimed && !is_close { self.kept_anew() } else { None };
        let (case, how) = other.unwrap_or_else(|| {
            // Where there is no story yet, the only moment to aim at is the fault before.
            let (cases, how) = match is_aimed {
                true => (self.close.clone(), How::Close),
                false => (self.uniform.clone(), How::Drawn),
            };
            (self.drawn(&cases).unwrap_or_else(|| self.plainest()), how)
        });
        // Who is held at calls is traced for that.
        let traced = self.aims() && !case.has_calls() && self.drawn(&(0..TRACED_ONE_IN)) == Some(0);
        Drawn { case, how, traced }
    }

    /// Whether any case is aimed at moments of stories.
    #[must_use]
    pub const fn aims(&self) -> bool {
        self.aimed_permille > 0
    }

    /// How many orders of moments were seen.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.seen.len()
    }

    /// Takes in a case's story; whether an order of its moments is new, or is for the first time told with what the
    /// supervisor's processes did.
    pub fn learn(&mut self, case: &Case, story: Story) -> bool {
        let actions: Vec<Action> = case.strikes.iter().map(|strike| strike.action.clone()).collect();
        let orders = story.orders(&actions);
        let is_first_told = !story.done.is_empty() && !orders.is_subset(&self.traced);
        let is_new = !orders.is_subset(&self.seen);
        if !story.done.is_empty() {
            self.traced.extend(orders.iter().cloned());
        }
        self.seen.extend(orders);
        if !is_new && !is_first_told {
            return false;
        }
        if self.kept.len() == KEPT_MAX {
            self.kept.remove(0);
        }
        self.kept.push((case.clone(), story));
        true
    }

    fn kept_anew(&mut self) -> Option<(Case, How)> {
        let (case, story) = self.one_kept()?;
        let is_varied = self.drawn(&(0..VARIED_ONE_IN))? == 0;
        if let Some(aimed) = if is_varied { None } else { self.aimed(&case, &story) } {
            return Some((aimed, How::Aimed));
        }
        self.drawn(&varied(&case, &self.abilities)).map(|case| (case, How::Varied))
    }

    /// One of the cases that were kept, of which half are told with what the supervisor's processes did.
    fn one_kept(&mut self) -> Option<(Case, Story)> {
        let told = |kept: &(Case, Story)| !kept.1.done.is_empty();
        let wants_told = self.drawn(&any::<bool>())? && self.kept.iter().any(told);
        let places = self.kept.iter().enumerate().filter(|(_, kept)| !wants_told || told(kept));
        let places: Vec<usize> = places.map(|(place, _)| place).collect();
        let index = self.drawn(&(0..places.len().max(1)))?;
        self.kept.get(*places.get(index)?).cloned()
    }

    /// The case up to a fault and a shot at a moment behind it, several times over, each time another shot.
    fn aimed(&mut self, case: &Case, story: &Story) -> Option<Case> {
        let shots = shots(case, story, &self.abilities)?;
        let pace_ns = self.abilities.pace_ns;
        let rest_ns = (2 * pace_ns).clamp(REST_NS.0, REST_NS.1);
        let mut strikes: Vec<Strike> = Vec::new();
        for _ in 0..(VOLLEYS_NS / (rest_ns + pace_ns)).clamp(1, VOLLEYS_MAX) {
            let shot = self.least_tried(&shots)?;
            let rest_ns = (!strikes.is_empty()).then_some(rest_ns);
            let volley = shot.volley(case, story, rest_ns).unwrap_or_default();
            if !volley.is_empty() && strikes.len() + volley.len() <= STRIKES_MAX {
                *self.tried.entry(shot.kind()).or_default() += 1;
                strikes.extend(volley);
            }
        }
        (!strikes.is_empty()).then(|| Case { strikes, around: case.around.clone() }.tidy())
    }

    fn least_tried(&mut self, shots: &BoxedStrategy<Shot>) -> Option<Shot> {
        let drawn: Vec<Shot> = (0..SHOTS).map_while(|_| self.drawn(shots)).collect();
        let tried = |kind: &Kind| self.tried.get(kind).copied().unwrap_or(0);
        drawn.into_iter().min_by_key(|shot| {
            let kind = shot.kind();
            (kind.is_due_after(tried(&kind)), shot.window_ns())
        })
    }

    /// How often shots of each kind were tried.
    #[cfg(test)]
    pub(super) fn tried(&self) -> Vec<u32> {
        self.tried.values().copied().collect()
    }

    fn drawn<S: Strategy>(&mut self, strategy: &S) -> Option<S::Value> {
        // No strategy here rejects anything, so that one is always drawn.
        strategy.new_tree(&mut self.runner).ok().map(|tree| tree.current())
    }

    fn plainest(&self) -> Case {
        let strikes = self.abilities.plainest().cloned();
        let strike = |action| Strike { when: When::Share(500), action };
        Case {
            strikes: strikes.into_iter().map(strike).collect(),
            around: self.abilities.plainest_around(self.abilities.pace_ns.max(50_000_000)),
        }
    }
}
