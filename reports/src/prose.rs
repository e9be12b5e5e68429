//! What a run comes to, in sentences that every report shares.
//!
//! Everything here is plain text on one line each; how it is set is for the reports. What is said of
//! a single trial stands in [`trial`].

use holdline_model::result::{Loss, LossKind, RunResult, TrialResult};
use holdline_model::told::Phrase;
use holdline_model::words::{Grade, Mark, Verdict};

mod closes;
mod foreseen;
mod lines;
mod tls;
mod trial;

pub(crate) use closes::closes;
pub(crate) use foreseen::{foreseen, foreseen_of, how_many_as_foreseen};
pub(crate) use lines::Line;
pub(crate) use tls::tls;
pub(crate) use trial::*;

use self::foreseen::failed_as_foreseen;
use self::lines::{lines, together, told};
use crate::rows::{Section, Split, sections, supervisors, unique};
use crate::text::{count, counted, duration, plain};

/// What is said of a run in which nothing ended.
pub(crate) const NO_TRIALS: &str = "no trials ended";

/// What the columns of the table mean: term and meaning.
const LEGEND: [(&str, &str); 6] = [
    ("poison", "carried the fault itself"),
    ("in flight", "in the hands of the worker that crashed"),
    ("refused", "nobody was listening"),
    ("queue reset", "connected, but never accepted"),
    ("other", "lost in any other way that a supervisor can prevent"),
    ("accept", "from the intended start until a worker took it up"),
];

/// How repetitions are merged.
pub(crate) const MERGED: &str = "of several trials, counts are sums, with the exact interval of their rate at \
     95 %; times are the median and the range; grades say how many trials had each";

/// What marks of grades mean: term and meaning.
const MARKS: [(Mark, &str); 2] = [
    (Mark::Survived, "the server caught the error and no process ended: no evidence of what a crash does"),
    (Mark::Unhit, "the fault hit nobody: no evidence of what it does"),
];

/// What columns and marks mean, as far as the run has them.
pub(crate) fn legend(run: &RunResult) -> Vec<(&'static str, &'static str)> {
    let is_there = |mark: Mark| run.trials.iter().any(|trial| trial.mark == Some(mark));
    let marks = MARKS.iter().filter(|(mark, _)| is_there(*mark));
    let marks = marks.map(|(mark, meaning)| (mark.as_str(), *meaning));
    LEGEND.into_iter().chain(marks).chain(foreseen::legend(run)).collect()
}

/// The most supervisors that a sentence names.
const NAMES_MAX: usize = 6;

/// One line for each kind of loss.
pub(crate) fn losses(run: &RunResult) -> Vec<Line> {
    losses_that(run, |_| true)
}

/// The same, of such kinds alone. Of a result that has only sentences no kind is known.
pub(crate) fn losses_that(run: &RunResult, is_such: impl Fn(Option<LossKind>) -> bool) -> Vec<Line> {
    lines(run, |trial| lost_in(trial).into_iter().filter(|(kind, _)| is_such(*kind)).collect())
}

/// What a trial lost, with its kind where it is known.
pub(crate) fn lost_in(trial: &TrialResult) -> Vec<(Option<LossKind>, Phrase)> {
    told(&trial.losses, &trial.causes, |loss| loss.kind)
}

/// The backlog that loads would have needed.
pub(crate) fn advice(run: &RunResult) -> Vec<Line> {
    lines(run, |trial| told::<Loss, ()>(trial.advice.as_slice(), &[], |_| ()))
}

/// Why trials are unsupported, inconclusive or down, with the books where those are off. What is
/// quoted of a log stands on lines of its own.
pub(crate) fn reasons(run: &RunResult) -> Vec<Line> {
    lines(run, |trial| {
        let text = trial.reason.as_slice();
        let reason = told(text, trial.why.as_slice(), std::mem::discriminant).into_iter();
        let reason = reason.map(|(kind, said)| {
            (kind, Phrase::new(format!("{}: ", trial.grade.marked(trial.mark))).then(said))
        });
        let books = (trial.attempts > 0 && !trial.books.is_balanced())
            .then(|| (None, Phrase::new(format!("the books do not balance: {}", trial.books))));
        reason.chain(books).collect()
    })
}

/// The expectations that did not hold.
pub(crate) fn violations(run: &RunResult) -> Vec<Line> {
    lines(run, |trial| told::<Loss, ()>(&trial.violations, &[], |_| ()))
}

/// How much was tried in a scenario: `10 trials of 20 attempts`.
pub(crate) fn size(section: &Section<'_>) -> String {
    let trials: u64 = section.rows.iter().map(|row| row.trials.len() as u64).sum();
    let each = section.rows.iter().flat_map(|row| &row.trials).map(|trial| trial.attempts);
    let mut ran: Vec<u64> = each.filter(|attempts| *attempts > 0).collect();
    let sum: u64 = ran.iter().sum();
    ran.dedup();
    match ran[..] {
        [attempts] => format!("{} of {}", counted(trials, "trial"), counted(attempts, "attempt")),
        _ => format!("{}, {} in all", counted(trials, "trial"), counted(sum, "attempt")),
    }
}

/// The supervisor's name; with the scenario if the run has several.
pub(crate) fn who(run: &RunResult, trial: &TrialResult) -> String {
    if has_many_scenarios(run) {
        format!("{} in {}", plain(&trial.supervisor), plain(&trial.scenario))
    } else {
        plain(&trial.supervisor)
    }
}

/// Whether the run has more than one scenario, so that its name must be said.
pub(crate) fn has_many_scenarios(run: &RunResult) -> bool {
    run.trials.iter().any(|trial| trial.scenario != run.trials[0].scenario)
}

/// `6 of 10 trials met the scenario's expectations; 4 did not: bare, …`
pub(crate) fn expectations(run: &RunResult) -> String {
    let of = |verdict: Verdict| run.trials.iter().filter(|trial| trial.verdict == verdict).count();
    let scenario = if has_many_scenarios(run) { "their scenario's" } else { "the scenario's" };
    let foreseen = how_many_as_foreseen(run);
    let mut text = format!(
        "{} of {} met {scenario} expectations",
        of(Verdict::Pass) - foreseen,
        counted(run.trials.len() as u64, "trial")
    );
    if foreseen > 0 {
        text.push_str(&format!("; {foreseen} did not, as foreseen: {}", names(run, failed_as_foreseen)));
    }
    for (verdict, what) in [
        (Verdict::Fail, "did not"),
        (Verdict::Unsupported, "unsupported"),
        (Verdict::Inconclusive, "inconclusive"),
    ] {
        if of(verdict) > 0 {
            text.push_str(&format!(
                "; {} {what}: {}",
                of(verdict),
                names(run, |trial| trial.verdict == verdict)
            ));
        }
    }
    if has_required_in_vain(run) {
        let names = names(run, |trial| run.is_required_in_vain(trial));
        text.push_str(&format!("; required, but not run: {names}"));
    }
    text
}

/// Whether something that must run could not: then the run has failed.
pub(crate) fn has_required_in_vain(run: &RunResult) -> bool {
    run.trials.iter().any(|trial| run.is_required_in_vain(trial))
}

/// The supervisors with such trials, and the scenarios or how many where that matters.
fn names(run: &RunResult, is_such: impl Fn(&TrialResult) -> bool) -> String {
    let many = has_many_scenarios(run);
    let name = |supervisor: &&str| {
        let trials: Vec<&TrialResult> =
            run.trials.iter().filter(|t| is_such(t) && t.supervisor == *supervisor).collect();
        let scenarios = unique(trials.iter().map(|trial| trial.scenario.as_str()));
        match (trials.len(), scenarios.len()) {
            (0, _) => None,
            (_, _) if many => Some(format!("{} ({})", plain(supervisor), plain(&scenarios.join(", ")))),
            (1, _) => Some(plain(supervisor)),
            (n, _) => Some(format!("{} (in {n} trials)", plain(supervisor))),
        }
    };
    let mut names: Vec<String> = supervisors(run).iter().filter_map(name).collect();
    // Of many, the lists that follow name each.
    if names.len() > NAMES_MAX + 1 {
        let more = names.split_off(NAMES_MAX).len();
        names.push(format!("and {}", counted(more as u64, "other supervisor")));
    }
    names.join(", ")
}

/// What a reader should know of how the numbers came about.
pub(crate) fn notes(run: &RunResult) -> Vec<String> {
    let mut notes = Vec::new();
    if !run.complete {
        notes.push(incomplete(run));
    }
    if run.manifest.counters_host_wide {
        notes.push(
            "kernel counters are the whole host's, since the trials had no network namespace of their own"
                .to_owned(),
        );
    }
    for row in sections(run).iter().flat_map(|section| &section.rows) {
        if row.split.sum() != row.attempts {
            notes.push(format!(
                "{}: {} of {} are accounted for",
                plain(row.supervisor),
                count(row.split.sum()),
                counted(row.attempts, "attempt")
            ));
        }
    }
    notes.extend(together(lines(run, |trial| {
        let noted = told(&trial.notes, &trial.noted, std::mem::discriminant);
        noted.into_iter().chain(methods(trial).into_iter().map(|method| (None, method))).collect()
    })));
    notes
}

/// The notes of a trial, and how its latencies were obtained where workers did not stamp them.
pub(crate) fn trial_notes(trial: &TrialResult) -> Vec<String> {
    let methods = methods(trial).into_iter().map(|method| plain(&method.to_string()));
    trial.notes.iter().map(|note| plain(note)).chain(methods).collect()
}

/// How latencies were obtained where workers did not stamp them.
fn methods(trial: &TrialResult) -> Vec<Phrase> {
    let mut methods: Vec<(Phrase, Vec<String>)> = Vec::new();
    for (name, quantiles) in trial.latency.named() {
        let Some(method) = quantiles.obtained() else { continue };
        match methods.iter_mut().find(|(before, _)| *before == method) {
            Some((_, names)) => names.push(spaced(name)),
            None => methods.push((method, vec![spaced(name)])),
        }
    }
    let said = |(method, names): (Phrase, Vec<String>)| {
        Phrase::new(format!("{} latency: ", names.join(" and "))).then(method)
    };
    methods.into_iter().map(said).collect()
}

fn incomplete(run: &RunResult) -> String {
    format!("{} of {} planned trials ended", run.trials.len(), run.manifest.planned)
}

/// One line for the end of a run: what was tried, how it went and how long it took.
///
/// ```text
/// 10 trials: 7 pass, 3 fail · 4 held, 3 delayed, 2 lossy, 1 down · 200 attempts, 26 lost to the supervisor · 14.0 s
/// ```
#[must_use]
pub fn summary_line(run: &RunResult) -> String {
    if run.trials.is_empty() {
        return NO_TRIALS.to_owned();
    }
    let verdicts = tally(Verdict::ALL, |verdict| run.trials.iter().filter(|t| t.verdict == verdict).count());
    let grades = tally(&graded(), |grade| run.trials.iter().filter(|t| (t.grade, t.mark) == grade.0).count());
    let attempts: u64 = run.trials.iter().map(|trial| trial.attempts).sum();
    let lost: u64 = run.trials.iter().map(|trial| Split::of(trial).collateral()).sum();
    let longest = run.trials.iter().map(TrialResult::longest_outage_ns).max().unwrap_or(0);
    let elapsed: u64 = run.trials.iter().fold(0, |sum, trial| sum.saturating_add(trial.elapsed_ns));
    let mut parts = vec![
        format!("{}: {verdicts}", counted(run.trials.len() as u64, "trial")),
        grades,
        format!("{}, {} lost to the supervisor", counted(attempts, "attempt"), count(lost)),
    ];
    if longest > 0 {
        parts.push(format!("longest outage {}", duration(longest)));
    }
    parts.push(duration(elapsed));
    if !run.complete {
        parts.insert(0, format!("incomplete: {}", incomplete(run)));
    }
    parts.join(" · ")
}

/// A grade and its mark.
#[derive(Clone, Copy)]
struct GradeAndMark((Grade, Option<Mark>));

impl std::fmt::Display for GradeAndMark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self((grade, mark)) = *self;
        f.write_str(&grade.marked(mark))
    }
}

/// Every grade with every mark, those without first.
fn graded() -> Vec<GradeAndMark> {
    let marks = || std::iter::once(None).chain(Mark::ALL.iter().copied().map(Some));
    Grade::ALL.iter().flat_map(|grade| marks().map(|mark| GradeAndMark((*grade, mark)))).collect()
}

/// `3 held, 1 down`: each word that occurs, with how often.
fn tally<T: Copy + std::fmt::Display>(all: &[T], how_many: impl Fn(T) -> usize) -> String {
    all.iter()
        .map(|word| (how_many(*word), word))
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn expectations_name_who_did_not_meet_them() {
        assert_eq!(
            expectations(&sample::default_run()),
            "6 of 10 trials met the scenario's expectations; 4 did not: bare, restart-loop, backoff, reuse-port"
        );
        assert_eq!(
            expectations(&sample::repeated()),
            "1 of 3 trials met the scenario's expectations; 2 did not: restart-loop (in 2 trials)"
        );
        let mut many = sample::default_run();
        many.trials.iter_mut().for_each(|trial| trial.verdict = Verdict::Fail);
        assert!(
            expectations(&many).ends_with("prefork, standby, and 4 other supervisors"),
            "{}",
            expectations(&many)
        );
        let varied = expectations(&sample::varied());
        assert!(varied.contains("8 did not: bare (crash, deploy), restart-loop (crash, deploy)"), "{varied}");
        assert!(
            varied.ends_with("; 1 unsupported: circus (crash); 1 inconclusive: gunicorn (crash)"),
            "{varied}"
        );
    }

    #[test]
    fn what_is_required_in_vain_is_named() {
        let mut run = sample::varied();
        assert!(!has_required_in_vain(&run));
        run.manifest.required = vec!["circus".to_owned(), "bare".to_owned()];
        assert!(has_required_in_vain(&run));
        assert!(expectations(&run).ends_with("; required, but not run: circus (crash)"));
    }

    #[test]
    fn losses_name_the_supervisor_and_are_said_once() {
        let lines = losses(&sample::default_run());
        assert_eq!(lines[0].who, "bare");
        assert_eq!(lines[0].text, "14 refused: nobody was listening; safe to retry");
        let mut twice = sample::repeated();
        twice.trials[1].losses = twice.trials[0].losses.clone();
        assert_eq!(losses(&twice)[0].text, "2 refused: nobody was listening; safe to retry (in 2 trials)");
    }

    #[test]
    fn the_last_line_says_it_all() {
        assert_eq!(
            summary_line(&sample::default_run()),
            "10 trials: 6 pass, 4 fail · 3 held, 3 delayed, 3 lossy, 1 down · \
             200 attempts, 39 lost to the supervisor · longest outage 350 ms · 14.0 s"
        );
        let mut cut = sample::run(vec![sample::held("prefork", "crash")]);
        cut.complete = false;
        cut.manifest.planned = 10;
        assert!(summary_line(&cut).starts_with("incomplete: 1 of 10 planned trials ended · 1 trial: 1 pass"));
        assert_eq!(summary_line(&sample::run(Vec::new())), "no trials ended");
    }

    #[test]
    fn what_is_said_of_many_is_said_once() {
        let mut run = sample::default_run();
        for trial in &mut run.trials {
            trial.notes = vec!["slow".to_owned()];
        }
        let names = "bare, restart-loop, held-socket and 7 more";
        assert!(notes(&run).contains(&format!("{names}: slow")), "{:?}", notes(&run));
    }

    #[test]
    fn notes_say_what_limits_the_numbers() {
        let mut run = sample::default_run();
        run.manifest.counters_host_wide = true;
        run.trials[0].attempts += 1;
        let notes = notes(&run);
        assert!(notes[0].starts_with("kernel counters are the whole host's"), "{notes:?}");
        assert_eq!(notes[1], "bare: 20 of 21 attempts are accounted for");
        assert_eq!(notes[2], "rolling: accept latency from samples of the queue, to within 1.00 ms");
    }
}
