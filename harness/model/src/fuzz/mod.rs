//! Fuzzing of crash timing, as values: what is drawn, what must hold, how a failure is confirmed and made small.
//!
//! A [`Case`] is a schedule of faults and its surroundings. It is drawn by strategies of proptest ([`draw`]),
//! restricted to what a supervisor supports ([`Abilities`]), or aimed at moments of the supervisor's own story
//! ([`Story`], [`Act`], [`aim`]); it becomes an ordinary scenario file ([`Case::file`]); what came of its trials is
//! [`judge()`]d; a failure is confirmed k of n times ([`Tally`]) and made plainer through proptest's own
//! `ValueTree` ([`Shrinking`]). Nothing here runs a trial: whoever does tells these values what came of it.

// A new word must be seen wherever words are told apart: no wildcard swallows it.
#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

mod ability;
mod act;
mod aim;
mod anchors;
mod case;
mod course;
mod draw;
mod explore;
mod file;
mod given;
mod judge;
mod meet;
mod plainer;
mod result;
mod shrink;
mod story;
mod tally;

pub use ability::Abilities;
pub use act::{Act, Done, done_by};
pub use case::{Case, Session, Strike, Surroundings, When, hundredths};
pub use course::{Course, Deed, Step};
pub use explore::{Drawn, Explorer, How};
pub use file::{Purpose, Terms};
pub use judge::{Breach, Invariant, Judgement, Unknown, judge, judge_all};
pub use result::{Bound, Failure, FailureRate, FuzzResult, InvariantCount, SCHEMA};
pub use shrink::Shrinking;
pub use story::{Beat, Moment, Order, Story};
pub use tally::{Decision, Rule, Tally, Verdict};

#[cfg(test)]
mod tests;
