//! Confirmation: a failure is one if it comes k times in n trials.

use crate::stats;

/// Of so many trials so many must fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// k, at least 1.
    pub needed: u32,
    /// n, at least k.
    pub of: u32,
}

/// What came of a trial, as far as a failure is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It failed.
    Fails,
    /// It did not.
    Passes,
    /// It tells nothing, and is repeated.
    Unclear,
}

/// What came of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It fails.
    Fails,
    /// It does not, or too rarely.
    Passes,
    /// Too many of its trials told nothing.
    Unclear,
}

/// With this probability a failure as frequent as it was found to be is confirmed again.
const CERTAINTY: f64 = 0.98;

impl Rule {
    /// The rule for a first failure: two of twenty confirms one that comes one time in three all but always
    /// (99.7 %), and one that came once and never again not at all.
    pub const CONFIRM: Self = Self { needed: 2, of: 20 };

    /// The same k, of as many trials as it takes to see so many failures again at this rate: a failure that comes
    /// each time needs fewer trials to be missed than one that comes now and then.
    #[must_use]
    pub fn at_rate(self, failed: u32, of: u32) -> Self {
        let (failed, of) = (u64::from(failed), u64::from(of));
        // The middle of the lower half of what the rate can be.
        let low = stats::lower_bound(failed, of, 0.75).max(0.01);
        let enough = (self.needed..=self.of).find(|n| seen(self.needed, *n, low) >= CERTAINTY);
        Self { needed: self.needed, of: enough.unwrap_or(self.of) }
    }
}

/// The probability of at least k failures in n trials.
fn seen(k: u32, n: u32, rate: f64) -> f64 {
    let mut term = (1.0 - rate).powf(f64::from(n));
    let mut fewer = 0.0;
    for i in 0..k {
        fewer += term;
        term *= f64::from(n - i) / f64::from(i + 1) * rate / (1.0 - rate).max(f64::MIN_POSITIVE);
    }
    1.0 - fewer
}

/// How many trials of a case did what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    rule: Rule,
    failed: u32,
    passed: u32,
    unclear: u32,
}

impl Tally {
    /// Of a case of which nothing is known yet.
    #[must_use]
    pub const fn new(rule: Rule) -> Self {
        Self { rule, failed: 0, passed: 0, unclear: 0 }
    }

    /// Takes in a trial.
    pub const fn note(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Fails => self.failed += 1,
            Verdict::Passes => self.passed += 1,
            Verdict::Unclear => self.unclear += 1,
        }
    }

    /// How many failed.
    #[must_use]
    pub const fn failed(&self) -> u32 {
        self.failed
    }

    /// How many told anything.
    #[must_use]
    pub const fn trials(&self) -> u32 {
        self.failed + self.passed
    }

    /// What came of it; `None`: more trials are needed.
    #[must_use]
    pub const fn decision(&self) -> Option<Decision> {
        if self.failed >= self.rule.needed {
            Some(Decision::Fails)
        } else if self.failed + self.left() < self.rule.needed {
            Some(Decision::Passes)
        } else if self.unclear > self.rule.of {
            Some(Decision::Unclear)
        } else {
            None
        }
    }

    /// How many more trials are worth while at once, if so many can run side by side.
    #[must_use]
    pub fn wants(&self, side_by_side: u32) -> u32 {
        if self.decision().is_some() { 0 } else { self.left().min(side_by_side) }
    }

    const fn left(&self) -> u32 {
        self.rule.of.saturating_sub(self.failed + self.passed)
    }
}
