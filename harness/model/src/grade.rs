//! From records to a mark: grades and verdicts.

use std::collections::BTreeMap;

use crate::ledger::{Reconciled, not_sent_causes};
use crate::reason::Reason;
use crate::record::{ClientRecord, NotSent, Outcome};
use crate::requests::{Request, Service};
use crate::result::{Phase, Phases};
use crate::series::Series;
use crate::violation::Violation;
use crate::watch::{Found, Watched};
use crate::words::{Blame, Grade, Verdict};

/// A grade, and why where the word alone does not say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graded {
    /// The mark.
    pub grade: Grade,
    /// Why it is down or inconclusive.
    pub reason: Option<Reason>,
}

impl Graded {
    /// Whether what was lost is known: also where the grade is in doubt only because the service was late, or lost
    /// some, before anything was done to it.
    #[must_use]
    pub fn knows_losses(&self) -> bool {
        self.grade != Grade::Inconclusive || matches!(self.reason, Some(Reason::BeforeFault { .. }))
    }
}

/// What a grade rests on.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The client's records.
    pub client: Series<'a, ClientRecord>,
    /// The fates.
    pub reconciled: &'a Reconciled,
    /// Requests in order of intended start.
    pub order: &'a [Request],
    /// The same by when they were due; `None`: there was no fault.
    pub phases: Option<&'a Phases>,
    /// When the last fault struck, if any did.
    pub last_fault_ns: Option<u64>,
    /// What the watch found, where there was one.
    pub watched: Option<&'a Watched>,
    /// For how long it was to go on at most, in nanoseconds.
    pub patience_ns: u64,
    /// 99th percentile of the send lag, in nanoseconds.
    pub send_lag_p99_ns: u64,
    /// What the scenario allows for it.
    pub send_lag_max_ns: u64,
    /// What makes the trial inconclusive, whatever the records say.
    pub environment: Option<&'a Reason>,
}

/// Grades a trial that ran. Doubt comes first: an inconclusive trial has no other mark.
#[must_use]
pub fn grade(evidence: &Evidence<'_>) -> Graded {
    if let Some(reason) = doubt(evidence) {
        return Graded { grade: Grade::Inconclusive, reason: Some(reason) };
    }
    if let Some(graded) = end_of_the_story(evidence) {
        return graded;
    }
    let collateral = evidence.reconciled.attempts.iter().any(|a| a.blame == Some(Blame::Collateral));
    let late = evidence.order.iter().any(|request| request.service == Service::Late);
    if !collateral && let Some(reason) = generator_fell_short(evidence.client) {
        return Graded { grade: Grade::Inconclusive, reason: Some(reason) };
    }
    let grade = match (collateral, late) {
        (true, _) => Grade::Lossy,
        (false, true) => Grade::Delayed,
        (false, false) => Grade::Held,
    };
    Graded { grade, reason: None }
}

fn doubt(evidence: &Evidence<'_>) -> Option<Reason> {
    if let Some(environment) = evidence.environment {
        return Some(environment.clone());
    }
    if evidence.reconciled.attempts.is_empty() {
        return Some(Reason::NoAttempt);
    }
    if !evidence.reconciled.books.is_balanced() {
        return Some(Reason::BooksOff { lines: evidence.reconciled.books.off().collect() });
    }
    let (p99_ns, max_ns) = (evidence.send_lag_p99_ns, evidence.send_lag_max_ns);
    if p99_ns > max_ns {
        return Some(Reason::SendLag { p99_ns, max_ns });
    }
    too_long(evidence.client).or_else(|| late_before_fault(evidence.phases?))
}

/// A limit of the client's own: whether these replies were the right ones is not known.
fn too_long(client: Series<'_, ClientRecord>) -> Option<Reason> {
    let attempts = client.iter().filter(|record| record.outcome == Outcome::TooLong).count() as u64;
    (attempts > 0).then_some(Reason::TooLong { attempts })
}

/// What was late or lost before any fault is the service's own way, which tells nothing about faults.
fn late_before_fault(phases: &Phases) -> Option<Reason> {
    let Phase { late, lost, .. } = phases.before;
    (late + lost > 0).then(|| Reason::BeforeFault { late, lost, of: phases.requests() })
}

/// Whether the service is down is asked of the end: of the watch, where there was one.
fn end_of_the_story(evidence: &Evidence<'_>) -> Option<Graded> {
    let down = |reason| Graded { grade: Grade::Down, reason: Some(reason) };
    let Some(watched) = evidence.watched else { return never_served(evidence).map(down) };
    match &watched.found {
        Found::Back { .. } => None,
        Found::NotBack { last } => {
            Some(down(Reason::NotBack { patience_ns: evidence.patience_ns, answer: last.clone() }))
        }
        Found::NothingLeft => Some(down(Reason::NothingLeft)),
        Found::Unasked { cause } => {
            let reason = Reason::Unasked { cause: Some(*cause) };
            Some(Graded { grade: Grade::Inconclusive, reason: Some(reason) })
        }
        Found::Interrupted => {
            Some(Graded { grade: Grade::Inconclusive, reason: Some(Reason::WatchInterrupted) })
        }
    }
}

/// Without a watch: nothing that was due after the last fault was ever served, and something was due.
fn never_served(evidence: &Evidence<'_>) -> Option<Reason> {
    let since_ns = evidence.last_fault_ns.unwrap_or(0);
    let after = evidence.order.iter().filter(|request| request.due_ns > since_ns);
    let (mut due, mut served) = (0_u64, 0_u64);
    for request in after {
        match request.service {
            Service::InTime | Service::Late => served += 1,
            Service::Lost => due += 1,
            Service::NotSent => {}
        }
    }
    let after_fault = evidence.last_fault_ns.is_some();
    (due > 0 && served == 0).then_some(Reason::NeverServed { attempts: due, after_fault })
}

/// Losses that were seen are losses, but where none were seen, attempts that the client could not
/// make for want of its own resources might have been lost.
fn generator_fell_short(client: Series<'_, ClientRecord>) -> Option<Reason> {
    let causes: BTreeMap<NotSent, u64> = not_sent_causes(client);
    let (cause, count) =
        causes.iter().find(|(cause, _)| !matches!(cause, NotSent::InFlightCap | NotSent::Stopped))?;
    Some(Reason::NotSent { cause: *cause, attempts: *count })
}

/// The verdict that follows from a grade and the violated expectations.
#[must_use]
pub fn verdict(grade: Grade, violations: &[Violation]) -> Verdict {
    match grade {
        Grade::Inconclusive => Verdict::Inconclusive,
        Grade::Unsupported => Verdict::Unsupported,
        _ if violations.is_empty() => Verdict::Pass,
        _ => Verdict::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Attempt, Books, Entry, Line, NO_WORKER};
    use crate::record::Outcome;
    use crate::violation::{Comparison, Found, Unit};
    use crate::words::{Fate, Retry};

    fn attempt(fate: Fate, blame: Option<Blame>) -> Attempt {
        Attempt {
            accepted: None,
            worker: NO_WORKER,
            record: 0,
            fate,
            blame,
            retry: Some(Retry::Safe),
            waited_ns: 0,
        }
    }

    fn due(due_ns: u64, service: Service) -> Request {
        Request { due_ns, clear_ns: due_ns, service, is_poison: false }
    }

    fn check(attempts: &[Attempt], services: &[Service], fault_ns: Option<u64>, expected: Grade) {
        let reconciled = Reconciled { attempts: attempts.to_vec(), books: Books::default() };
        let order: Vec<Request> =
            (1..).zip(services).map(|(due_ns, service)| due(due_ns, *service)).collect();
        let evidence = Evidence {
            client: Series::from(&[]),
            reconciled: &reconciled,
            order: &order,
            phases: None,
            last_fault_ns: fault_ns,
            watched: None,
            patience_ns: 0,
            send_lag_p99_ns: 5,
            send_lag_max_ns: 5,
            environment: None,
        };
        assert_eq!(grade(&evidence).grade, expected, "{services:?}");
        let doubted = grade(&Evidence { environment: Some(&Reason::Interrupted), ..evidence });
        assert_eq!((doubted.grade, doubted.reason), (Grade::Inconclusive, Some(Reason::Interrupted)));
        assert_eq!(grade(&Evidence { send_lag_p99_ns: 6, ..evidence }).grade, Grade::Inconclusive);
    }

    #[test]
    fn grades_follow_losses_and_waits() {
        use Service::{InTime, Late, Lost};
        let served = attempt(Fate::Served, None);
        let poison = attempt(Fate::NoReply, Some(Blame::Poison));
        let refused = attempt(Fate::Refused, Some(Blame::Collateral));
        check(&[served, served], &[InTime, InTime], None, Grade::Held);
        check(&[served, poison, served], &[InTime, Lost, InTime], Some(2), Grade::Held);
        check(&[served, poison, served], &[InTime, Lost, Late], Some(2), Grade::Delayed);
        check(&[served, refused, served], &[InTime, Lost, Late], Some(1), Grade::Lossy);
        check(&[served, poison, refused], &[InTime, Lost, Lost], Some(2), Grade::Down);
        // The poison is the last attempt: nothing was due afterwards that could show recovery.
        check(&[served, poison], &[InTime, Lost], Some(2), Grade::Held);
    }

    #[test]
    fn what_was_late_or_lost_before_any_fault_is_not_graded_for_it() {
        let reconciled = Reconciled {
            attempts: vec![attempt(Fate::Refused, Some(Blame::Collateral))],
            books: Books::default(),
        };
        let graded = |phases: &Phases| {
            grade(&Evidence {
                client: Series::from(&[]),
                reconciled: &reconciled,
                order: &[],
                phases: Some(phases),
                last_fault_ns: Some(2),
                watched: None,
                patience_ns: 0,
                send_lag_p99_ns: 0,
                send_lag_max_ns: 1,
                environment: None,
            })
        };
        let during = Phase { in_time: 0, late: 3, lost: 4 };
        let fine = Phases { before: Phase { in_time: 7, late: 0, lost: 0 }, during, after: Phase::default() };
        assert_eq!(graded(&fine).grade, Grade::Lossy);
        for (late, lost) in [(1, 0), (0, 2), (3, 4)] {
            let phases = Phases { before: Phase { in_time: 7 - late, late, lost }, ..fine.clone() };
            let reason = Some(Reason::BeforeFault { late, lost, of: 14 + lost });
            assert_eq!(graded(&phases), Graded { grade: Grade::Inconclusive, reason });
        }
    }

    #[test]
    fn unbalanced_books_are_inconclusive_and_say_which_line() {
        let mut books = Books::default();
        books.expect(Line::Accepts, 12, 11);
        let reconciled = Reconciled { attempts: vec![attempt(Fate::Served, None)], books };
        let graded = grade(&Evidence {
            client: Series::from(&[]),
            reconciled: &reconciled,
            order: &[due(1, Service::InTime)],
            phases: None,
            last_fault_ns: None,
            watched: None,
            patience_ns: 0,
            send_lag_p99_ns: 0,
            send_lag_max_ns: 1,
            environment: None,
        });
        let lines = vec![Entry { line: Line::Accepts, min: 12, max: 12, found: 11 }];
        let reason = Some(Reason::BooksOff { lines });
        assert_eq!(graded, Graded { grade: Grade::Inconclusive, reason });
    }

    #[test]
    fn a_generator_without_descriptors_is_never_the_servers_fault() {
        let record = ClientRecord {
            attempt: 0,
            intended_ns: 1,
            started: None,
            connected: None,
            finished: None,
            outcome: Outcome::NotSent(NotSent::Descriptors),
            poison: false,
            syn_retransmits: 0,
            version: 0,
            requests_answered: 0,
            ..ClientRecord::planned(0, 0, false)
        };
        let reconciled = Reconciled {
            attempts: vec![attempt(Fate::NotSent, None), attempt(Fate::Served, None)],
            books: Books::default(),
        };
        let graded = grade(&Evidence {
            client: Series::from(&[record]),
            reconciled: &reconciled,
            order: &[due(1, Service::NotSent), due(2, Service::InTime)],
            phases: None,
            last_fault_ns: None,
            watched: None,
            patience_ns: 0,
            send_lag_p99_ns: 0,
            send_lag_max_ns: 1,
            environment: None,
        });
        assert_eq!(graded.grade, Grade::Inconclusive);
        let cause = NotSent::Descriptors;
        assert_eq!(graded.reason, Some(Reason::NotSent { cause, attempts: 1 }));
    }

    #[test]
    fn doubt_and_lack_are_no_failures() {
        let violated = [Violation {
            metric: "collateral".to_owned(),
            comparison: Comparison::Eq,
            expected: 0,
            unit: Unit::Count,
            found: Found::Measured(3),
        }];
        assert_eq!(verdict(Grade::Held, &[]), Verdict::Pass);
        assert_eq!(verdict(Grade::Lossy, &violated), Verdict::Fail);
        assert_eq!(verdict(Grade::Inconclusive, &violated), Verdict::Inconclusive);
        assert_eq!(verdict(Grade::Unsupported, &violated), Verdict::Unsupported);
    }
}
