//! When connections were accepted, worked out from samples of those that nobody had accepted yet.
//!
//! This is for servers whose workers keep no ledger. The kernel tells at each look which connections
//! have no owner; between the last look that saw one so and the next it was accepted. One that
//! was never seen waiting was accepted between its first segment and the first look after its handshake. Either way the answer
//! is a span of time; its middle stands for the instant in histograms.
//!
//! What leaves the queue may also have been thrown out of it. So only those count of which it is known
//! otherwise that somebody took them: a reply came, whole or in part, or the end of a connection that
//! no closing listener explains.
//!
//! A handshake that the client takes for finished and the server's kernel does not (it keeps back who says
//! nothing, by `TCP_DEFER_ACCEPT`, or its queue was full) is seen to be half-open meanwhile.

use std::num::NonZeroU64;

use crate::ledger::{Attempt, Reconciled};
use crate::record::{AcceptSamples, ClientRecord, KernelRecord, Outcome, SilentEnd, Waiting};
use crate::sampling::{Method, appeared_ns, end_of_look_after, half_open_ns, waiting_of};
use crate::series::Series;
use crate::words::Fate;

/// The span of time in which a connection was accepted, in CLOCK_MONOTONIC nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Not before this.
    pub from_ns: u64,
    /// Not after this.
    pub to_ns: u64,
}

impl Span {
    /// The middle, which is off by at most half of the span.
    #[must_use]
    pub const fn middle_ns(self) -> u64 {
        self.from_ns.midpoint(self.to_ns)
    }

    /// How far the middle may be off, in nanoseconds.
    #[must_use]
    pub const fn resolution_ns(self) -> u64 {
        self.to_ns.saturating_sub(self.from_ns).div_ceil(2)
    }
}

/// For each attempt the span in which it was accepted, as far as samples tell.
#[must_use]
pub fn spans(
    client: Series<'_, ClientRecord>,
    reconciled: &Reconciled,
    samples: &AcceptSamples,
) -> Vec<Option<Span>> {
    let span = |attempt: &Attempt| {
        let record = client.get(attempt.record as usize)?;
        span(record, attempt.fate, waiting_of(record.attempt, samples), samples)
    };
    reconciled.attempts.iter().map(span).collect()
}

/// Enters the middle of each span as the instant of the accept, where nothing better is known. Says how
/// the instants were obtained, if any was.
pub fn enter(
    client: Series<'_, ClientRecord>,
    reconciled: &mut Reconciled,
    kernel: &KernelRecord,
) -> Option<Method> {
    let samples = kernel.accepts.as_ref()?;
    let spans = spans(client, reconciled, samples);
    let mut resolution_ns = 0;
    for (attempt, span) in reconciled.attempts.iter_mut().zip(&spans) {
        if let Some(span) = span {
            attempt.accepted = NonZeroU64::new(span.middle_ns());
            resolution_ns = resolution_ns.max(span.resolution_ns());
        }
    }
    let interval_ns = samples.interval_ns;
    spans.iter().any(Option::is_some).then_some(Method::Sampled { interval_ns, resolution_ns })
}

fn span(
    record: &ClientRecord,
    fate: Fate,
    waiting: Option<&Waiting>,
    samples: &AcceptSamples,
) -> Option<Span> {
    let was_taken = match fate {
        Fate::Served | Fate::ErrorReply | Fate::WrongReply | Fate::Truncated | Fate::NoReply => true,
        // Nobody resets a connection whose client has merely gone: if it left the queue, it was taken.
        Fate::TimedOut => waiting.is_none_or(|waiting| waiting.gone_ns.is_some()),
        Fate::Silent => match record.outcome {
            // The kernel resets what waits in a queue, and ends it in no other way.
            Outcome::Silent(SilentEnd::Closed | SilentEnd::Told) => true,
            // One that never was in the queue may be kept back there until it says something
            // (TCP_DEFER_ACCEPT).
            Outcome::Silent(SilentEnd::Open) => waiting.is_some_and(|waiting| waiting.gone_ns.is_some()),
            _ => false,
        },
        Fate::Refused | Fate::SynDropped | Fate::QueueReset | Fate::NotSent => false,
    };
    let connected_ns = record.connected?.get();
    if !was_taken {
        return None;
    }
    let (from_ns, gone_ns) = match waiting {
        Some(waiting) => (waiting.last_seen_ns, waiting.gone_ns),
        // A worker on another CPU may have accepted before `connect` returned here.
        None => {
            // One that was kept back half-open was accepted by nobody until then.
            let from_ns = half_open_ns(record.attempt, samples).map_or(0, |seen_ns| seen_ns);
            let appeared_ns = appeared_ns(record.attempt, connected_ns, samples);
            (record.started?.get().max(from_ns), end_of_look_after(appeared_ns, samples))
        }
    };
    // Whoever got a byte was accepted before that.
    let is_answered = matches!(fate, Fate::Served | Fate::ErrorReply | Fate::WrongReply);
    let answered_ns = record.finished.filter(|_| is_answered);
    let to_ns = [gone_ns, answered_ns.map(NonZeroU64::get)].into_iter().flatten().min()?;
    Some(Span { from_ns, to_ns: to_ns.max(from_ns) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::{Books, NO_WORKER};
    use crate::record::{Outcome, Stamp};
    use crate::sampling::left_queue_by;

    fn stamp(at_ns: u64) -> Stamp {
        NonZeroU64::new(at_ns)
    }

    fn record(connected_ns: u64, finished_ns: u64) -> ClientRecord {
        ClientRecord {
            requests_answered: 0,
            attempt: 7,
            intended_ns: 100,
            started: stamp(connected_ns.min(100)),
            connected: stamp(connected_ns),
            finished: stamp(finished_ns),
            outcome: Outcome::Replied,
            poison: false,
            syn_retransmits: 0,
            version: 0,
            ..ClientRecord::planned(0, 0, false)
        }
    }

    /// Looks that take 10 ns each, every 1000 ns from 1000 on.
    fn samples(waiting: Vec<Waiting>) -> AcceptSamples {
        let looks = (1..=20).map(|look| (look * 1000, look * 1000 + 10)).collect();
        AcceptSamples { waiting, half_open: Vec::new(), looks, interval_ns: 1000, interval_ns_max: 1000 }
    }

    fn seen(from_ns: u64, to_ns: u64, gone_ns: Option<u64>) -> Waiting {
        Waiting { attempt: 7, first_seen_ns: from_ns, last_seen_ns: to_ns, gone_ns }
    }

    #[track_caller]
    fn check(record: &ClientRecord, fate: Fate, waiting: Option<Waiting>, expected: Option<(u64, u64)>) {
        let samples = samples(waiting.into_iter().collect());
        let expected = expected.map(|(from_ns, to_ns)| Span { from_ns, to_ns });
        assert_eq!(span(record, fate, waiting_of(7, &samples), &samples), expected, "{fate} {waiting:?}");
    }

    #[test]
    fn one_that_waited_was_accepted_between_two_looks() {
        let waited = Some(seen(1010, 5000, Some(6010)));
        check(&record(500, 9000), Fate::Served, waited, Some((5000, 6010)));
        check(&record(500, 5500), Fate::Served, waited, Some((5000, 5500)));
        check(&record(500, 9000), Fate::NoReply, waited, Some((5000, 6010)));
        check(&record(500, 9000), Fate::TimedOut, waited, Some((5000, 6010)));
    }

    #[test]
    fn one_that_was_never_seen_was_accepted_by_the_next_look() {
        check(&record(1500, 9000), Fate::Served, None, Some((100, 2010)));
        check(&record(1500, 1600), Fate::Served, None, Some((100, 1600)));
        check(&record(2000, 9000), Fate::Truncated, None, Some((100, 2010)));
        check(&record(2001, 9000), Fate::Truncated, None, Some((100, 3010)));
    }

    #[test]
    fn what_left_the_queue_otherwise_was_not_accepted() {
        let waited = Some(seen(1010, 5000, Some(6010)));
        check(&record(500, 9000), Fate::QueueReset, waited, None);
        check(&record(500, 9000), Fate::TimedOut, Some(seen(1010, 20_000, None)), None);
        check(&ClientRecord { connected: None, ..record(1, 9000) }, Fate::SynDropped, None, None);
    }

    #[test]
    fn what_was_not_seen_waiting_had_left_the_queue() {
        let left_by = |waiting: Option<Waiting>, at_ns| {
            left_queue_by(&record(1500, 9000), &samples(waiting.into_iter().collect()), at_ns)
        };
        assert!(left_by(None, 2010) && !left_by(None, 2009));
        let waited = Some(seen(2010, 5000, Some(6010)));
        assert!(left_by(waited, 6010) && !left_by(waited, 6009));
        assert!(!left_by(Some(seen(2010, 20_000, None)), u64::MAX), "it was there to the end");
        let never = ClientRecord { connected: None, ..record(1, 9000) };
        assert!(!left_queue_by(&never, &samples(Vec::new()), u64::MAX));
    }

    #[test]
    fn the_method_names_its_resolution() {
        let attempt = Attempt {
            waited_ns: 0,
            accepted: None,
            worker: NO_WORKER,
            record: 0,
            fate: Fate::Served,
            blame: None,
            retry: None,
        };
        let mut reconciled = Reconciled { attempts: vec![attempt], books: Books::default() };
        let client = [record(500, 9000)];
        let accepts = Some(samples(vec![seen(1010, 5000, Some(6010))]));
        let kernel = KernelRecord { accepts, ..KernelRecord::default() };
        let method = enter((&client).into(), &mut reconciled, &kernel).expect("a method");
        assert_eq!(
            method.to_string(),
            "sampled every 1.00 µs from sock_diag (connections without an inode), to within 505 ns"
        );
        assert_eq!(reconciled.attempts[0].accepted, stamp(5505));
        assert_eq!(enter((&client).into(), &mut reconciled, &KernelRecord::default()), None);
    }

    proptest! {
        /// Whatever the true instant, sampling finds a span around it.
        #[test]
        fn the_span_holds_the_true_instant(
            connected_ns in 1..15_000_u64,
            waits_ns in 0..4_000_u64,
            serves_ns in 1..3_000_u64,
        ) {
            let accepted_ns = connected_ns + waits_ns;
            let all = samples(Vec::new());
            // A look sees the connection if it reads its place between handshake and accept.
            let at = |(began_ns, _): &&(u64, u64)| connected_ns <= began_ns + 5 && began_ns + 5 < accepted_ns;
            let saw: Vec<(u64, u64)> = all.looks.iter().filter(at).copied().collect();
            let waiting = saw.last().map(|(last_ns, last_end_ns)| Waiting {
                attempt: 7,
                first_seen_ns: saw[0].1,
                last_seen_ns: *last_ns,
                gone_ns: all.looks.iter().map(|(_, end_ns)| *end_ns).find(|end_ns| end_ns > last_end_ns),
            });
            let record = record(connected_ns, accepted_ns + serves_ns);
            let span = span(&record, Fate::Served, waiting.as_ref(), &all).expect("accepted");
            prop_assert!(span.from_ns <= accepted_ns && accepted_ns <= span.to_ns, "{span:?} {accepted_ns}");
            prop_assert!(span.resolution_ns() <= 1010 || waiting.is_none());
        }
    }
}
