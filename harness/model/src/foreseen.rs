//! Failures that are there to be seen: a reference supervisor that loses on purpose, in the run that shows what each
//! strategy costs.

use crate::result::TrialResult;
use crate::words::{Grade, Verdict};

/// Excuses a failure where the trial has one of the grades that the scenario's `[reference]` table foresees of this
/// supervisor: the expectations that did not hold are then kept as foreseen, and the verdict is a pass. What has any
/// other grade is judged by the expectations alone.
pub fn excuse(trial: &mut TrialResult, grades: &[Grade]) {
    if trial.verdict == Verdict::Fail && grades.contains(&trial.grade) {
        trial.verdict = Verdict::Pass;
        trial.violations.clear();
        trial.foreseen = std::mem::take(&mut trial.violated);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lack::Lack;
    use crate::reason::Reason;
    use crate::summary::{TrialName, not_run};
    use crate::violation::{Comparison, Found, Unit, Violation};

    fn failed(grade: Grade) -> TrialResult {
        let violation = Violation {
            metric: "collateral".to_owned(),
            comparison: Comparison::Eq,
            expected: 0,
            unit: Unit::Count,
            found: Found::Measured(14),
        };
        let name = TrialName {
            supervisor: "bare".to_owned(),
            supervisor_version: String::new(),
            scenario: "crash".to_owned(),
            repetition: 0,
            folder: String::new(),
            applied: Vec::new(),
        };
        let trial = not_run(&name, Reason::Lacks { what: Lack::Root });
        let violations = vec![violation.to_string()];
        TrialResult { grade, verdict: Verdict::Fail, violations, violated: vec![violation], ..trial }
    }

    #[test]
    fn what_is_foreseen_fails_nothing_and_is_kept() {
        let mut trial = failed(Grade::Down);
        let violated = trial.violated.clone();
        excuse(&mut trial, &[Grade::Lossy, Grade::Down]);
        assert_eq!(trial.verdict, Verdict::Pass);
        assert_eq!(trial.foreseen, violated);
        assert!(trial.violations.is_empty() && trial.violated.is_empty());
    }

    #[test]
    fn another_grade_fails_as_it_would() {
        for foreseen in [&[Grade::Lossy, Grade::Delayed][..], &[]] {
            let mut trial = failed(Grade::Down);
            let before = trial.clone();
            excuse(&mut trial, foreseen);
            assert_eq!(trial, before);
        }
    }

    #[test]
    fn what_says_nothing_stays_in_doubt() {
        let mut trial = failed(Grade::Inconclusive);
        trial.verdict = Verdict::Inconclusive;
        let before = trial.clone();
        excuse(&mut trial, &[Grade::Inconclusive]);
        assert_eq!(trial, before);
    }
}
