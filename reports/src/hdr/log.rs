//! Histogram logs that were written, read back and added: what several trials measured, as one distribution.
//!
//! Quantiles of several trials cannot be had from the quantiles of each. Their histograms add, to the last count.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogHistogram, IntervalLogIterator, LogEntry};
use holdline_model::latency;

use super::{HdrError, Latencies, hlog};

/// What histogram logs hold: for each latency the sum of all its intervals.
#[derive(Debug, Clone)]
pub struct Log {
    /// When the first began.
    pub started: SystemTime,
    /// For how long was measured.
    pub length: Duration,
    /// The latencies, in the order in which they came.
    pub latencies: Vec<Latencies>,
}

impl Log {
    /// Reads a histogram log of format 1.3 with tagged histograms of nanoseconds.
    ///
    /// # Errors
    ///
    /// It is none, or a histogram in it cannot be decoded.
    pub fn read(text: &[u8]) -> Result<Self, HdrError> {
        let mut log = Self { started: SystemTime::UNIX_EPOCH, length: Duration::ZERO, latencies: Vec::new() };
        for entry in IntervalLogIterator::new(text) {
            match entry.map_err(|error| HdrError::NotALog(format!("{error:?}")))? {
                LogEntry::StartTime(since_epoch) => log.started = SystemTime::UNIX_EPOCH + since_epoch,
                LogEntry::BaseTime(_) => {}
                LogEntry::Interval(interval) => {
                    log.length = log.length.max(interval.start_timestamp() + interval.duration());
                    let tag = interval.tag().map_or(String::new(), |tag| tag.as_str().to_owned());
                    let histogram = decoded(&interval)?;
                    log.count(Latencies { name: tag, histogram })?;
                }
            }
        }
        if log.latencies.is_empty() {
            return Err(HdrError::NotALog("there is no histogram in it".to_owned()));
        }
        Ok(log)
    }

    /// Adds what another log holds. What was measured one after the other lasted as long as both.
    ///
    /// # Errors
    ///
    /// A histogram of the other does not fit into this one.
    pub fn add(&mut self, other: Self) -> Result<(), HdrError> {
        self.started = self.started.min(other.started);
        self.length += other.length;
        other.latencies.into_iter().try_for_each(|latencies| self.count(latencies))
    }

    /// The log as text again, with one interval for each latency.
    ///
    /// # Errors
    ///
    /// As [`hlog`].
    pub fn write(&self) -> Result<Vec<u8>, HdrError> {
        hlog(&self.latencies, self.started, self.length)
    }

    fn count(&mut self, new: Latencies) -> Result<(), HdrError> {
        match self.latencies.iter_mut().find(|own| own.name == new.name) {
            None => {
                let mut histogram = latency::histogram();
                add(&mut histogram, &new)?;
                self.latencies.push(Latencies { name: new.name, histogram });
                Ok(())
            }
            Some(own) => add(&mut own.histogram, &new),
        }
    }
}

fn add(own: &mut Histogram<u64>, new: &Latencies) -> Result<(), HdrError> {
    let fail = |error: &dyn std::fmt::Display| HdrError::NotALog(format!("`{}`: {error}", new.name));
    own.add(&new.histogram).map_err(|error| fail(&error))
}

fn decoded(interval: &IntervalLogHistogram<'_>) -> Result<Histogram<u64>, HdrError> {
    let fail = |error: &dyn std::fmt::Display| HdrError::NotALog(error.to_string());
    let bytes = STANDARD.decode(interval.encoded_histogram()).map_err(|error| fail(&error))?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| fail(&error))
}

#[cfg(test)]
mod tests {
    use holdline_model::latency::LATENCY_NS_MAX;
    use proptest::prelude::*;

    use super::*;

    fn log_of(values: &[u64], started_s: u64) -> Vec<u8> {
        let started = SystemTime::UNIX_EPOCH + Duration::from_secs(started_s);
        hlog(
            &[Latencies::new("accept", values), Latencies::new("connect", &[])],
            started,
            Duration::from_secs(2),
        )
        .expect("a log")
    }

    #[test]
    fn what_is_no_log_is_refused() {
        let whole = log_of(&[1_000], 1);
        let text = String::from_utf8(whole).expect("text");
        let (_, encoded) = text.trim_end().rsplit_once(',').expect("a histogram");
        for wrong in [
            "",
            "no log at all",
            "#[StartTime: 1.000 (seconds since epoch), x]\n",
            &text.replace(encoded, "HISTAAAA"),
        ] {
            assert!(matches!(Log::read(wrong.as_bytes()), Err(HdrError::NotALog(_))), "{wrong}");
        }
    }

    #[test]
    fn intervals_of_one_latency_are_one_distribution() {
        let (one, other) = (log_of(&[1_000], 1), log_of(&[5_000], 1));
        let lines = String::from_utf8(other).expect("text");
        let more = lines.lines().filter(|line| line.starts_with("Tag=")).collect::<Vec<_>>().join("\n");
        let both = Log::read(format!("{}{more}\n", String::from_utf8(one).expect("text")).as_bytes())
            .expect("a log");
        assert_eq!(both.latencies.len(), 2);
        assert_eq!(both.latencies[0].histogram, super::super::histogram(&[1_000, 5_000]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// However values are dealt out to trials, the sum is what one histogram of them all is.
        #[test]
        fn added_logs_are_the_log_of_everything(
            parts in prop::collection::vec(prop::collection::vec(0_u64..LATENCY_NS_MAX, 0..60), 1..5),
        ) {
            let mut logs = parts.iter().zip(10..).map(|(part, s)| Log::read(&log_of(part, s)).expect("a log"));
            let mut sum = logs.next().expect("one at least");
            for log in logs {
                sum.add(log).expect("it fits");
            }
            let all: Vec<u64> = parts.concat();
            prop_assert_eq!(&sum.latencies[0].histogram, &super::super::histogram(&all));
            prop_assert_eq!(sum.latencies[1].histogram.len(), 0);
            prop_assert_eq!(sum.started, SystemTime::UNIX_EPOCH + Duration::from_secs(10));
            prop_assert_eq!(sum.length, Duration::from_secs(2 * parts.len() as u64));
            let again = Log::read(&sum.write().expect("a log")).expect("a log");
            prop_assert_eq!(&again.latencies[0].histogram, &sum.latencies[0].histogram);
        }
    }
}
