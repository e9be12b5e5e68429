//! Latencies of a trial: the values, their histograms, and the quantiles that results show.

use std::collections::BTreeSet;

use hdrhistogram::Histogram;

use crate::ledger::{Attempt, Reconciled};
use crate::record::{ClientRecord, RequestRecord, Stamp};
use crate::result::{LatencySet, Quantiles};
use crate::sampling::Method;
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
    pub fn collect(client: &[ClientRecord], requests: &[RequestRecord], reconciled: &Reconciled) -> Self {
        let empty = histogram();
        let mut all = Self {
            send_lag: empty.clone(),
            connect: empty.clone(),
            tls: empty.clone(),
            queue_wait: empty.clone(),
            accept: empty.clone(),
            response: empty,
            by_request: !requests.is_empty(),
        };
        let of_requests: BTreeSet<u32> = requests.iter().map(|request| request.attempt).collect();
        for attempt in &reconciled.attempts {
            if let Some(record) = client.get(attempt.record as usize) {
                all.add(record, attempt);
                if attempt.fate == Fate::Served && !of_requests.contains(&record.attempt) {
                    add_since(&mut all.response, record.finished, record.intended_ns);
                }
            }
        }
        for request in requests {
            all.response.saturating_record(request.latency_ns().max(1));
        }
        all
    }

    fn add(&mut self, record: &ClientRecord, attempt: &Attempt) {
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_histogram_claims_nothing() {
        assert_eq!(quantiles(&histogram()), Quantiles::default());
    }

    proptest! {
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
