//! Latencies of a trial: the values, their histograms, and the quantiles that results show.

use std::collections::BTreeSet;

use hdrhistogram::Histogram;

use crate::ledger::{Attempt, Reconciled};
use crate::record::{ClientRecord, RequestRecord, Stamp};
use crate::result::{LatencySet, Quantiles};
use crate::sampling::Method;
use crate::series::Series;
use crate::words::Fate;

/// The largest latency that a histogram tells apart, in nanoseconds: one hour.
pub const LATENCY_NS_MAX: u64 = 3_600_000_000_000;
/// The latency that only some trials have.
const TLS: &str = "tls";
/// Significant decimal digits of a histogram.
pub const SIGNIFICANT_DIGITS: u8 = 3;

/// A histogram of the kind that all results use: 1 ns to 1 h with 3 significant digits.
///
/// # Panics
///
/// Never: the bounds are constants that the library accepts.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, SIGNIFICANT_DIGITS).expect("constant bounds are valid")
}

/// The quantiles of a histogram. Of an empty one, all are 0 and mean nothing.
#[must_use]
pub fn quantiles(histogram: &Histogram<u64>) -> Quantiles {
    if histogram.is_empty() {
        return Quantiles::default();
    }
    // A histogram names a bucket by its highest value, which may lie above every value in it.
    let at = |quantile| histogram.value_at_quantile(quantile).min(histogram.max());
    Quantiles {
        count: histogram.len(),
        p50_ns: at(0.5),
        p90_ns: at(0.9),
        p99_ns: at(0.99),
        p999_ns: at(0.999),
        max_ns: histogram.max(),
        method: None,
        how: None,
    }
}

/// The histograms of a trial.
#[derive(Debug, Clone)]
pub struct Latencies {
    /// started − intended start, of attempts that were started.
    pub send_lag: Histogram<u64>,
    /// connected − intended start, of attempts that connected.
    pub connect: Histogram<u64>,
    /// End of the TLS handshake − connected, of attempts that made one.
    pub tls: Histogram<u64>,
    /// accepted − connected, of attempts that a worker accepted.
    pub queue_wait: Histogram<u64>,
    /// accepted − intended start, of attempts that a worker accepted.
    pub accept: Histogram<u64>,
    /// finished − intended start, of one-shot attempts that were served; and of each request of others
    /// that was answered, from its own intended start and less the client's own pauses.
    pub response: Histogram<u64>,
    /// Whether `response` holds requests of attempts that are not one-shot.
    by_request: bool,
}

impl Latencies {
    /// Collects them from a trial's reconciled records.
    #[must_use]
    pub fn collect(
        client: Series<'_, ClientRecord>,
        requests: &[RequestRecord],
        reconciled: &Reconciled,
    ) -> Self {
        let mut all = Self::empty(!requests.is_empty());
        let of_requests = attempts_of(requests);
        for attempt in &reconciled.attempts {
            if let Some(record) = client.get(attempt.record as usize) {
                all.add(record, attempt, &of_requests);
            }
        }
        requests.iter().for_each(|request| all.add_request(request));
        all
    }

    /// Collects the same by when it was due, in intervals of this length from the load's start, one after the other;
    /// those in which nothing was due are passed over. Tells the beginning of each from there.
    ///
    /// # Errors
    ///
    /// That of whoever is told.
    pub fn each_interval<'a, E>(
        (client, requests, reconciled): (Series<'a, ClientRecord>, &'a [RequestRecord], &'a Reconciled),
        start_ns: u64,
        length_ns: u64,
        mut tell: impl FnMut(u64, &Self) -> Result<(), E>,
    ) -> Result<(), E> {
        let of_requests = attempts_of(requests);
        let index = |due_ns: u64| due_ns.saturating_sub(start_ns) / length_ns.max(1);
        let mut requests: Vec<&RequestRecord> = requests.iter().collect();
        requests.sort_by_key(|request| request.intended_ns);
        let mut some = Self::empty(!requests.is_empty());
        let order = by_due(client, reconciled);
        let with_record = |number: u32| {
            let attempt = reconciled.attempts.get(number as usize)?;
            Some((client.get(attempt.record as usize)?, attempt))
        };
        let mut attempts = order.into_iter().filter_map(with_record).peekable();
        let mut requests = requests.into_iter().peekable();
        loop {
            let first = attempts.peek().map(|(record, _)| index(record.intended_ns));
            let other = requests.peek().map(|request| index(request.intended_ns));
            let Some(now) = first.into_iter().chain(other).min() else { return Ok(()) };
            while let Some((record, attempt)) =
                attempts.next_if(|(record, _)| index(record.intended_ns) <= now)
            {
                some.add(record, attempt, &of_requests);
            }
            while let Some(request) = requests.next_if(|request| index(request.intended_ns) <= now) {
                some.add_request(request);
            }
            tell(now * length_ns, &some)?;
            some.clear();
        }
    }

    fn empty(by_request: bool) -> Self {
        let empty = histogram();
        Self {
            send_lag: empty.clone(),
            connect: empty.clone(),
            tls: empty.clone(),
            queue_wait: empty.clone(),
            accept: empty.clone(),
            response: empty,
            by_request,
        }
    }

    fn clear(&mut self) {
        let Self { send_lag, connect, tls, queue_wait, accept, response, by_request: _ } = self;
        [send_lag, connect, tls, queue_wait, accept, response].into_iter().for_each(Histogram::reset);
    }

    fn add_request(&mut self, request: &RequestRecord) {
        self.response.saturating_record(request.latency_ns().max(1));
    }

    /// An attempt, of which [`add_request`](Self::add_request) adds the requests where they have records of their own.
    fn add(&mut self, record: &ClientRecord, attempt: &Attempt, of_requests: &BTreeSet<u32>) {
        if attempt.fate == Fate::Served && !of_requests.contains(&record.attempt) {
            add_since(&mut self.response, record.finished, record.intended_ns);
        }
        let intended_ns = record.intended_ns;
        add_since(&mut self.send_lag, record.started, intended_ns);
        add_since(&mut self.connect, record.connected, intended_ns);
        add_since(&mut self.accept, attempt.accepted, intended_ns);
        if let Some(connected) = record.connected {
            add_since(&mut self.tls, record.tls, connected.get());
            // A worker on another CPU may stamp before `connect` has returned here.
            add_since(&mut self.queue_wait, attempt.accepted, connected.get());
        }
    }

    /// Each histogram with its name, in the order in which reports show them; that of TLS handshakes where there
    /// were any.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, &Histogram<u64>)> {
        let all = [
            ("send_lag", &self.send_lag),
            ("connect", &self.connect),
            ("queue_wait", &self.queue_wait),
            ("accept", &self.accept),
            (TLS, &self.tls),
            ("response", &self.response),
        ];
        all.into_iter().filter(|(name, histogram)| *name != TLS || !histogram.is_empty()).collect()
    }

    /// The quantiles of each.
    #[must_use]
    pub fn quantiles(&self) -> LatencySet {
        LatencySet {
            send_lag: quantiles(&self.send_lag),
            connect: quantiles(&self.connect),
            tls: quantiles(&self.tls),
            queue_wait: quantiles(&self.queue_wait),
            accept: quantiles(&self.accept),
            response: Quantiles {
                method: self.by_request.then(|| Method::ByRequest.to_string()),
                how: self.by_request.then_some(Method::ByRequest),
                ..quantiles(&self.response)
            },
        }
    }
}

/// The attempts in order of when they were due: mostly that of their numbers.
fn by_due(client: Series<'_, ClientRecord>, reconciled: &Reconciled) -> Vec<u32> {
    let mut order: Vec<u32> = (0..).zip(&reconciled.attempts).map(|(number, _)| number).collect();
    let due_ns = |number: &u32| {
        let attempt = reconciled.attempts.get(*number as usize)?;
        Some(client.get(attempt.record as usize)?.intended_ns)
    };
    order.sort_by_key(due_ns);
    order
}

/// The attempts that have requests with records of their own.
fn attempts_of(requests: &[RequestRecord]) -> BTreeSet<u32> {
    requests.iter().map(|request| request.attempt).collect()
}

/// Adds the time from `since_ns` to `stamp`. Less than a nanosecond counts as one, which is the
/// least that a histogram holds; what lies beyond an hour counts as an hour.
fn add_since(histogram: &mut Histogram<u64>, stamp: Stamp, since_ns: u64) {
    if let Some(stamp) = stamp {
        let value_ns = stamp.get().saturating_sub(since_ns).max(1);
        histogram.saturating_record(value_ns);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use proptest::prelude::*;

    use super::*;
    use crate::ledger::Books;

    #[test]
    fn an_empty_histogram_claims_nothing() {
        assert_eq!(quantiles(&histogram()), Quantiles::default());
    }

    fn served(record: u32) -> Attempt {
        Attempt {
            accepted: None,
            worker: crate::ledger::NO_WORKER,
            record,
            fate: Fate::Served,
            blame: None,
            retry: None,
            waited_ns: 0,
        }
    }

    proptest! {
        /// However the time is cut, the intervals hold what was measured in all, each where it was due.
        #[test]
        fn intervals_add_up(
            dues in prop::collection::vec((0_u64..1_000, 1_u64..500, any::<bool>()), 0..60),
            length_ns in 1_u64..400,
        ) {
            const START: u64 = 5_000;
            let record = |(number, (due, wait, _)): (u32, &(u64, u64, bool))| ClientRecord {
                finished: NonZeroU64::new(START + due + wait),
                ..ClientRecord::planned(number, START + due, false)
            };
            let client: Vec<ClientRecord> = (0..).zip(&dues).map(record).collect();
            let attempts = (0..).zip(&client).map(|(number, _)| served(number)).collect();
            let reconciled = Reconciled { attempts, books: Books::default() };
            let own = |(number, (due, wait, has_own)): (u32, &(u64, u64, bool))| {
                let intended_ns = START + due;
                let answered_ns = intended_ns + wait;
                has_own.then_some(RequestRecord { attempt: number, intended_ns, answered_ns, paused_ns: 0 })
            };
            let requests: Vec<RequestRecord> = (0..).zip(&dues).filter_map(own).collect();
            let (mut sum, mut last) = (histogram(), None);
            let records = (Series::from(&client), requests.as_slice(), &reconciled);
            Latencies::each_interval(records, START, length_ns, |from_ns, some| {
                let due = dues.iter().filter(|(due, ..)| (from_ns..from_ns + length_ns).contains(due)).count();
                assert_eq!(some.response.len(), due as u64);
                assert!(last < Some(from_ns) && from_ns % length_ns == 0);
                last = Some(from_ns);
                sum.add(&some.response)
            }).expect("they fit");
            prop_assert_eq!(sum, Latencies::collect((&client).into(), &requests, &reconciled).response);
        }

        #[test]
        fn quantiles_are_ordered_and_within_a_thousandth(
            mut values in prop::collection::vec(1..LATENCY_NS_MAX, 1..200),
        ) {
            let mut histogram = histogram();
            for value in &values {
                histogram.record(*value).expect("in range");
            }
            values.sort_unstable();
            let found = quantiles(&histogram);
            prop_assert!(found.p50_ns <= found.p90_ns && found.p90_ns <= found.p99_ns);
            prop_assert!(found.p99_ns <= found.p999_ns && found.p999_ns <= found.max_ns);
            let median = values[(values.len() - 1) / 2];
            prop_assert!(found.p50_ns.abs_diff(median) <= median / 500 + 1);
        }
    }
}
