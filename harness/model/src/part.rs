//! How a load is divided among several client threads, each of which makes a part of it.
//!
//! Attempts keep their numbers, whoever makes them: where it is known before which there will be, threads take turns.
//! What there is only so much of, such as the clients of a closed loop or the idle connections of a pool, is divided,
//! and all of it is given out.

use std::num::NonZeroU16;

/// One of the parts of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    index: u32,
    of: u32,
}

impl Part {
    /// The load as a whole, which one thread makes.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// The parts of a load that so many threads make, at least one.
    pub fn all(threads: u32) -> impl Iterator<Item = Self> {
        let of = threads.max(1);
        (0..of).map(move |index| Self { index, of })
    }

    /// Which of the parts it is, from 0.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// How many parts there are.
    #[must_use]
    pub const fn of(self) -> u32 {
        self.of
    }

    /// How much of something this part has. Where it cannot be divided evenly, those that come first have one more.
    #[must_use]
    pub const fn share_of(self, whole: u32) -> u32 {
        let one_more = self.index < whole % self.of;
        whole / self.of + if one_more { 1 } else { 0 }
    }

    /// Whether it makes this attempt, where the parts take turns.
    #[must_use]
    pub const fn has_turn(self, attempt: u32) -> bool {
        attempt % self.of == self.index
    }

    /// How many attempts it makes before this one of its own, where the parts take turns.
    #[must_use]
    pub const fn turns_before(self, attempt: u32) -> u32 {
        attempt / self.of
    }
}

/// Which of all that is kept each is that a part has kept: replies or certificates, of which each is kept once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renumbered(Vec<Option<NonZeroU16>>);

impl Renumbered {
    /// What the part's is among all. `None`: it is none, or there was no room for it.
    #[must_use]
    pub fn of(&self, own: Option<NonZeroU16>) -> Option<NonZeroU16> {
        self.0.get(usize::from(own?.get()) - 1).copied().flatten()
    }
}

impl FromIterator<Option<NonZeroU16>> for Renumbered {
    fn from_iter<I: IntoIterator<Item = Option<NonZeroU16>>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_cannot_be_divided_evenly_is_given_to_the_first() {
        let shares = |whole, threads| Part::all(threads).map(|part| part.share_of(whole)).collect::<Vec<_>>();
        assert_eq!(shares(7, 3), [3, 2, 2]);
        assert_eq!(shares(6, 3), [2, 2, 2]);
        assert_eq!(shares(2, 3), [1, 1, 0]);
        assert_eq!(shares(5, 0), [5]);
        assert!(Part::all(1).eq([Part::WHOLE]));
    }

    #[test]
    fn what_a_part_has_kept_is_found_among_all() {
        let which = NonZeroU16::new;
        let renumbered: Renumbered = [which(3), None, which(1)].into_iter().collect();
        assert_eq!(
            [0, 1, 2, 3, 4].map(|own| renumbered.of(which(own))),
            [None, which(3), None, which(1), None]
        );
    }

    proptest! {
        #[test]
        fn all_is_given_out_and_evenly(whole: u32, threads in 1_u32..70) {
            let shares: Vec<u64> = Part::all(threads).map(|part| part.share_of(whole).into()).collect();
            prop_assert_eq!(shares.iter().sum::<u64>(), u64::from(whole));
            let (least, most) = (shares.iter().min(), shares.iter().max());
            prop_assert!(most <= least.map(|least| least + 1).as_ref());
        }

        #[test]
        fn each_attempt_is_made_by_one_part_in_its_turn(attempts in 0_u32..500, threads in 1_u32..70) {
            let mut made = vec![0; attempts as usize];
            for part in Part::all(threads) {
                for (turn, attempt) in (0..attempts).filter(|attempt| part.has_turn(*attempt)).enumerate() {
                    prop_assert_eq!(part.turns_before(attempt) as usize, turn);
                    prop_assert_eq!(attempt, part.index() + turn as u32 * part.of());
                    made[attempt as usize] += 1;
                }
            }
            prop_assert!(made.iter().all(|times| *times == 1));
        }
    }
}
