//! What a run comes to, in sentences that every report shares.
//!
//! Everything here is plain text on one line each; how it is set is for the reports.

use holdline_model::accepts::STAMPED;
use holdline_model::result::{InheritanceCheck, RunResult, TrialResult};
use holdline_model::words::{Finding, Grade, Verdict};

use crate::rows::{Section, Split, longest_outage_ns, sections, supervisors, unique};
use crate::text::{count, counted, duration, plain, share};

/// What is said of a run in which nothing ended.
pub(crate) const NO_TRIALS: &str = "no trials ended";

/// What the columns of the table mean: term and meaning.
pub(crate) const LEGEND: [(&str, &str); 6] = [
    ("poison", "carried the fault itself"),
    ("in flight", "in the hands of the worker that crashed"),
    ("refused", "nobody was listening"),
    ("queue reset", "connected, but never accepted"),
    ("other", "lost in any other way that a supervisor can prevent"),
    ("accept", "from the intended start until a worker took it up"),
];

/// How repetitions are merged.
pub(crate) const MERGED: &str = "of several trials, counts are sums; grades and times are the worst";

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

/// One line for each kind of loss.
pub(crate) fn losses(run: &RunResult) -> Vec<Line> {
    lines(run, |trial| trial.losses.iter().map(|loss| plain(loss)).collect())
}

/// The backlog that loads would have needed.
pub(crate) fn advice(run: &RunResult) -> Vec<Line> {
    lines(run, |trial| trial.advice.iter().map(|advice| plain(advice)).collect())
}

/// Why trials are unsupported, inconclusive or down, with the books where those are off.
pub(crate) fn reasons(run: &RunResult) -> Vec<Line> {
    lines(run, |trial| {
        let reason = trial.reason.iter().map(|reason| format!("{}: {}", trial.grade, plain(reason)));
        let books = (trial.attempts > 0 && !is_balanced(trial))
            .then(|| format!("the books do not balance: {}", plain(&trial.books)));
        reason.chain(books).collect()
    })
}

/// The expectations that did not hold.
pub(crate) fn violations(run: &RunResult) -> Vec<Line> {
    lines(run, |trial| trial.violations.iter().map(|violation| plain(violation)).collect())
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

/// Whether client, worker and kernel agree.
pub(crate) fn is_balanced(trial: &TrialResult) -> bool {
    trial.books == "balanced"
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

/// What `of` says of each trial, the same said of several repetitions only once.
fn lines(run: &RunResult, of: impl Fn(&TrialResult) -> Vec<String>) -> Vec<Line> {
    let sections = sections(run);
    let rows = sections.iter().flat_map(|section| &section.rows);
    rows.flat_map(|row| {
        let who = who(run, row.trials[0]);
        let mut texts = with_counts(row.trials.iter().flat_map(|trial| of(trial)));
        if texts.len() > LINES_MAX + 1 {
            let more = texts.len() - LINES_MAX;
            texts.truncate(LINES_MAX);
            texts.push(format!("… and {more} lines more, in the trials' own reports"));
        }
        texts.into_iter().map(move |text| Line { who: who.clone(), text })
    })
    .collect()
}

/// Each text once, in order of first appearance, with how often where that is more than once.
fn with_counts(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen: Vec<(String, usize)> = Vec::new();
    for text in texts {
        match seen.iter_mut().find(|(before, _)| *before == text) {
            Some((_, times)) => *times += 1,
            None => seen.push((text, 1)),
        }
    }
    let shown = |(text, times)| if times == 1 { text } else { format!("{text} (in {times} trials)") };
    seen.into_iter().map(shown).collect()
}

/// `6 of 10 trials met the scenario's expectations; 4 did not: bare, …`
pub(crate) fn expectations(run: &RunResult) -> String {
    let of = |verdict: Verdict| run.trials.iter().filter(|trial| trial.verdict == verdict).count();
    let scenario = if has_many_scenarios(run) { "their scenario's" } else { "the scenario's" };
    let mut text = format!(
        "{} of {} met {scenario} expectations",
        of(Verdict::Pass),
        counted(run.trials.len() as u64, "trial")
    );
    for (verdict, what) in [
        (Verdict::Fail, "did not"),
        (Verdict::Unsupported, "unsupported"),
        (Verdict::Inconclusive, "inconclusive"),
    ] {
        if of(verdict) > 0 {
            text.push_str(&format!("; {} {what}: {}", of(verdict), names(run, verdict)));
        }
    }
    text
}

/// The supervisors with trials of this verdict, and the scenarios or how many where that matters.
fn names(run: &RunResult, verdict: Verdict) -> String {
    let many = has_many_scenarios(run);
    let name = |supervisor: &&str| {
        let trials: Vec<&TrialResult> =
            run.trials.iter().filter(|t| t.verdict == verdict && t.supervisor == *supervisor).collect();
        let scenarios = unique(trials.iter().map(|trial| trial.scenario.as_str()));
        match (trials.len(), scenarios.len()) {
            (0, _) => None,
            (_, _) if many => Some(format!("{} ({})", plain(supervisor), plain(&scenarios.join(", ")))),
            (1, _) => Some(plain(supervisor)),
            (n, _) => Some(format!("{} (in {n} trials)", plain(supervisor))),
        }
    };
    supervisors(run).iter().filter_map(name).collect::<Vec<_>>().join(", ")
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
    notes.extend(together(lines(run, trial_notes)));
    notes
}

/// Lines of the same text as one, which names whom it is about.
fn together(lines: Vec<Line>) -> Vec<String> {
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

/// The notes of a trial, and how its latencies were obtained where workers did not stamp them.
pub(crate) fn trial_notes(trial: &TrialResult) -> Vec<String> {
    let methods = trial.latency.named().into_iter().filter_map(|(name, quantiles)| {
        let method = quantiles.method.as_ref().filter(|method| *method != STAMPED)?;
        Some(format!("{} latency: {}", spaced(name), plain(method)))
    });
    trial.notes.iter().map(|note| plain(note)).chain(methods).collect()
}

/// `queue_wait` as `queue wait`.
pub(crate) fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

fn incomplete(run: &RunResult) -> String {
    format!("{} of {} planned trials ended", run.trials.len(), run.manifest.planned)
}

/// The collateral losses of a trial as a share of what was sent.
pub(crate) fn collateral(trial: &TrialResult) -> String {
    let split = Split::of(trial);
    share(split.collateral(), trial.attempts.saturating_sub(split.not_sent))
}

/// The outages of a trial, the longest five first in order of time.
pub(crate) fn outages(trial: &TrialResult) -> String {
    if trial.outages.is_empty() {
        return "none".to_owned();
    }
    let length = |outage: &holdline_model::result::Outage| outage.end_ns.saturating_sub(outage.start_ns);
    let mut longest: Vec<_> = trial.outages.iter().collect();
    longest.sort_by_key(|outage| std::cmp::Reverse(length(outage)));
    let more = longest.len().saturating_sub(5);
    longest.truncate(5);
    longest.sort_by_key(|outage| outage.start_ns);
    let mut texts: Vec<String> = longest
        .into_iter()
        .map(|outage| {
            let from = duration(outage.start_ns);
            format!("{} from {from} ({})", duration(length(outage)), counted(outage.attempts, "attempt"))
        })
        .collect();
    if more > 0 {
        texts.push(format!("{more} shorter"));
    }
    texts.join(", ")
}

/// For each fault, the time to the first accept after it.
pub(crate) fn recovery(trial: &TrialResult) -> String {
    let texts: Vec<String> = trial
        .recovery_ns
        .iter()
        .take(8)
        .map(|ns| ns.map_or_else(|| "never".to_owned(), duration))
        .chain((trial.recovery_ns.len() > 8).then(|| format!("{} more", trial.recovery_ns.len() - 8)))
        .collect();
    let had_fault = trial.timeline.iter().any(|entry| entry.kind == "fault");
    match (texts.is_empty(), had_fault) {
        (false, _) => texts.join(", "),
        (true, true) => "not known: the workers kept no ledger".to_owned(),
        (true, false) => "no fault to recover from".to_owned(),
    }
}

/// What became of connections whose listener closed, with net.ipv4.tcp_migrate_req.
const MIGRATIONS: [(&str, &str); 2] = [
    ("TCPMigrateReqSuccess", "moved to another listener"),
    ("TCPMigrateReqFailure", "could not be moved to another listener"),
];

/// What the kernel counted.
pub(crate) fn kernel(trial: &TrialResult) -> String {
    let kernel = &trial.kernel;
    let queue = match kernel.queue_limit {
        0 => format!("longest queue {}", kernel.queue_max),
        limit => format!("longest queue {} of {limit}", kernel.queue_max),
    };
    let mut text = format!(
        "{queue}, {}, {}, {} closed",
        counted(kernel.listen_overflows, "overflow"),
        counted(kernel.listen_drops, "drop"),
        counted(u64::from(kernel.listeners_closed), "listener"),
    );
    if kernel.syn_retransmits > 0 {
        text.push_str(&format!(", {} sent again", counted(kernel.syn_retransmits, "SYN")));
    }
    for (counter, what) in MIGRATIONS {
        if let Some(n) = kernel.counters.get(counter).filter(|n| **n > 0) {
            text.push_str(&format!(", {} {what} ({counter})", count(*n)));
        }
    }
    if kernel.interval_ns > 0 {
        text.push_str(&format!(", sampled every {}", duration(kernel.interval_ns)));
    }
    text
}

/// What became of sessions, where there were any.
pub(crate) fn sessions(trial: &TrialResult) -> Option<String> {
    let sessions = trial.sessions.as_ref()?;
    Some(format!(
        "{} planned, {} completed, {} ended by the server between two requests, {} cut; {} of {} answered",
        count(sessions.planned),
        count(sessions.completed),
        count(sessions.closed_idle),
        count(sessions.cut),
        count(sessions.requests_answered),
        counted(sessions.requests_planned, "request"),
    ))
}

/// What became of the workers.
pub(crate) fn workers(trial: &TrialResult) -> String {
    let workers = &trial.workers;
    let mut text = format!(
        "{} started, {}, {} leaked",
        counted(u64::from(workers.generations), "worker"),
        counted(u64::from(workers.orphans), "orphan"),
        counted(u64::from(workers.leaked_fds), "descriptor"),
    );
    if workers.bind_failures > 0 {
        text.push_str(&format!(", {} to bind the address", counted(workers.bind_failures.into(), "failure")));
    }
    if !workers.ledger {
        text.push_str(", no ledger kept");
    }
    text
}

/// Which versions of the worker answered, when, and for how long two did side by side.
pub(crate) fn versions(trial: &TrialResult) -> Option<String> {
    let overlap_ns = holdline_model::versions::overlap_ns(&trial.versions)?;
    let parts = trial.versions.iter().map(|served| {
        let (first, last) = (duration(served.first_ns), duration(served.last_ns));
        format!("version {} answered {} from {first} to {last}", served.version, count(served.served))
    });
    let mut text = parts.collect::<Vec<_>>().join(", ");
    match (trial.versions.len(), overlap_ns) {
        (1, _) => {}
        (_, 0) => text.push_str(", never side by side"),
        (_, overlap_ns) => text.push_str(&format!(", side by side for {}", duration(overlap_ns))),
    }
    Some(text)
}

/// How connections were spread over workers, in order of their start; `None` where nobody knows.
pub(crate) fn spread(trial: &TrialResult) -> Option<String> {
    let busiest = trial.workers.share_max_percent()?;
    let accepted: Vec<u64> = trial.workers.accepted.iter().copied().filter(|n| *n > 0).collect();
    let shown: Vec<String> = accepted.iter().take(16).map(|n| count(*n)).collect();
    let more = if accepted.len() > 16 { ", …" } else { "" };
    let workers = counted(accepted.len() as u64, "worker");
    Some(format!("{workers} accepted {}{more}; the busiest {busiest} %", shown.join(", ")))
}

/// How often workers were started while the load ran, and how often in vain; `None` where nobody
/// was, or nobody knows.
pub(crate) fn starts(trial: &TrialResult) -> Option<String> {
    let workers = &trial.workers;
    if workers.starts == 0 {
        return None;
    }
    let rate = trial.cost.as_ref().filter(|cost| cost.elapsed_ns > 0).map(|cost| {
        let per_second = f64::from(workers.starts) * 1e9 / cost.elapsed_ns as f64;
        format!(" ({per_second:.1} per second)")
    });
    let mut text = format!("{} during the load{}", count(workers.starts.into()), rate.unwrap_or_default());
    if workers.failed_starts > 0 {
        let failed = count(workers.failed_starts.into());
        text.push_str(&format!(", {failed} of them failed before they could accept"));
    }
    Some(text)
}

/// What came of the checks of what workers inherited: failures first, a line each.
pub(crate) fn inheritance(trial: &TrialResult) -> Vec<String> {
    let mut checks: Vec<&InheritanceCheck> = trial.workers.inheritance.iter().collect();
    checks.sort_by_key(|check| check.finding != Finding::Failed);
    let widest = checks.iter().map(|check| check.check.chars().count()).max().unwrap_or(0);
    checks
        .into_iter()
        .map(|check| {
            let finding = spaced(check.finding.as_str());
            format!("{finding:<9}  {:<widest$}  {}", plain(&check.check), plain(&check.detail))
        })
        .collect()
}

/// The checks of what workers inherited that failed, a line each.
pub(crate) fn inherited_wrongly(trial: &TrialResult) -> Vec<String> {
    let failed = trial.workers.inheritance.iter().filter(|check| check.finding == Finding::Failed);
    failed.map(|check| format!("{}: {}", plain(&check.check), plain(&check.detail))).collect()
}

/// What the supervisor and its workers cost, and whether the supervisor gave up.
pub(crate) fn cost(trial: &TrialResult) -> Option<String> {
    let cost = trial.cost.as_ref()?;
    let share = match cost.elapsed_ns {
        0 => String::new(),
        elapsed_ns => format!(" in {}", duration(elapsed_ns)),
    };
    Some(format!("{} of CPU{share} ({})", duration(cost.cpu_ns), plain(&cost.method)))
}

/// The fates of a trial that occurred, in words.
pub(crate) fn fates(trial: &TrialResult) -> String {
    let parts: Vec<String> = trial
        .fates
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(fate, n)| format!("{} {}", count(*n), spaced(fate.as_str())))
        .collect();
    format!(
        "{}: {}",
        counted(trial.attempts, "attempt"),
        if parts.is_empty() { "–".into() } else { parts.join(", ") }
    )
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
    let grades = tally(Grade::ALL, |grade| run.trials.iter().filter(|t| t.grade == grade).count());
    let attempts: u64 = run.trials.iter().map(|trial| trial.attempts).sum();
    let lost: u64 = run.trials.iter().map(|trial| Split::of(trial).collateral()).sum();
    let longest = run.trials.iter().map(longest_outage_ns).max().unwrap_or(0);
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
    use holdline_model::result::SessionsResult;

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
        let varied = expectations(&sample::varied());
        assert!(varied.contains("8 did not: bare (crash, deploy), restart-loop (crash, deploy)"), "{varied}");
        assert!(
            varied.ends_with("; 1 unsupported: circus (crash); 1 inconclusive: gunicorn (crash)"),
            "{varied}"
        );
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
    fn sessions_are_counted_by_how_they_ended() {
        let mut trial = sample::held("prefork", "deploy");
        assert_eq!(sessions(&trial), None);
        trial.sessions = Some(SessionsResult {
            planned: 80,
            completed: 60,
            closed_idle: 19,
            cut: 1,
            requests_planned: 800,
            requests_answered: 702,
        });
        assert_eq!(
            sessions(&trial).as_deref(),
            Some(
                "80 planned, 60 completed, 19 ended by the server between two requests, 1 cut; 702 of 800 requests answered"
            )
        );
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
