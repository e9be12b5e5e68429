//! Sentences about the trials of a run, where what is alike is said once.

use holdline_model::result::{RunResult, TrialResult};
use holdline_model::told::{Alike, Phrase, Told, alike};

use super::who;
use crate::rows::sections;
use crate::text::plain;

/// The most sentences of one kind about a supervisor in a scenario; many repetitions may each have
/// some of their own.
const LINES_MAX: usize = 8;

/// A sentence about a supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The supervisor, with the scenario where there are several.
    pub(crate) who: String,
    /// The sentence.
    pub(crate) text: String,
}

/// Sentences with their kinds, where the result has them as values: else they are only text.
pub(super) fn told<T: Told, K>(
    texts: &[String],
    values: &[T],
    kind: impl Fn(&T) -> K,
) -> Vec<(Option<K>, Phrase)> {
    if texts.len() == values.len() {
        return values.iter().map(|value| (Some(kind(value)), value.phrase())).collect();
    }
    texts.iter().map(|text| (None, Phrase::new(text))).collect()
}

/// What `of` says of each trial; what is said of several repetitions and differs in numbers alone is
/// said once, with the range. What is quoted stands on lines of its own.
pub(super) fn lines<K: PartialEq>(
    run: &RunResult,
    of: impl Fn(&TrialResult) -> Vec<(Option<K>, Phrase)>,
) -> Vec<Line> {
    let sections = sections(run);
    let rows = sections.iter().flat_map(|section| &section.rows);
    rows.flat_map(|row| {
        let who = who(run, row.trials[0]);
        let all = alike(row.trials.iter().map(|trial| of(trial)));
        let mut texts: Vec<String> = all.iter().map(with_count).collect();
        if texts.len() > LINES_MAX + 1 {
            let more = texts.len() - LINES_MAX;
            texts.truncate(LINES_MAX);
            texts.push(format!("… and {more} lines more, in the trials' own reports"));
        }
        texts.into_iter().map(move |text| Line { who: who.clone(), text })
    })
    .collect()
}

/// The sentence, with how often where that is more than once.
fn with_count<K>(alike: &Alike<K>) -> String {
    let text = alike.to_string().lines().map(plain).collect::<Vec<_>>().join("\n");
    match (alike.times, alike.speakers) {
        (1, _) => text,
        (times, 1) => format!("{text} ({times} times)"),
        (times, trials) if times == trials => format!("{text} (in {trials} trials)"),
        (times, trials) => format!("{text} ({times} times in {trials} trials)"),
    }
}

/// Lines of the same text as one, which names whom it is about.
pub(super) fn together(lines: Vec<Line>) -> Vec<String> {
    let mut texts: Vec<(String, Vec<String>)> = Vec::new();
    for Line { who, text } in lines {
        match texts.iter_mut().find(|(before, _)| *before == text) {
            Some((_, all)) => all.push(who),
            None => texts.push((text, vec![who])),
        }
    }
    let names = |all: &[String]| match all {
        [first, second, third, _, more @ ..] => {
            format!("{first}, {second}, {third} and {} more", more.len() + 1)
        }
        few => few.join(", "),
    };
    texts.into_iter().map(|(text, all)| format!("{}: {text}", names(&all))).collect()
}
