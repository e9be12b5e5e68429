//! The regression gate: a run against a baseline, in two tiers.
//!
//! **Counts are hard.** Where the baseline has none, its attempts bound the rate of loss (at 95 %, one-sided), and
//! with it how many a run of so many attempts may show; more is a regression at once. A baseline of three times the
//! attempts of a gate run excludes a single one. Fewer than that is measured again, together with what was measured
//! before, and where that does not exclude it either, the gate cannot tell. Where the baseline has some, there must
//! be more than its rate allows, and more in each trial than its worst trial had and the tolerance allows, also when
//! measured again.
//!
//! **Times** are ratios to the reference supervisor in the same run. One fails only where the interval of the change
//! since the baseline excludes the tolerance, and so does that of a confirming rerun.

mod baseline;
mod judge;
mod lines;
mod policy;
mod result;
#[cfg(test)]
mod tests;

pub use self::baseline::{Baseline, BaselineError, Line, MadeWith, SCHEMA as BASELINE_SCHEMA, Tally, Value};
pub use self::judge::{Judged, Runs, judge};
pub use self::lines::lines;
pub use self::policy::{Day, Known, NotOne, Policy, PolicyFile, TOLERANCE, Tolerance, Tolerated};
pub use self::result::{
    Amount, Differs, Doubt, Finding, GateResult, GateVerdict, KnownFinding, Pair, SCHEMA, Tier, Undecided,
};
