//! Latencies as HdrHistogram knows them: quantiles for the result, and two file formats that its
//! standard tools read.
//!
//! - `.hlog` is a histogram log, format 1.3, with V2 compressed histograms of each latency,
//!   tagged with its name. Recorded values are nanoseconds; `Interval_Max` alone is in
//!   milliseconds, as the Java writer has it by default.
//! - `.hgrm` is the text that `outputPercentileDistribution` prints, with five ticks per half
//!   distance. Its values are milliseconds with six decimals, hence exact to the nanosecond.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use holdline_model::latency;

mod log;

pub use self::log::Log;

/// Buckets into which three digits divide each power of two; the format's footer names it.
const SUB_BUCKETS: u32 = 2_048;

/// Ticks per half distance to 100 % in a `.hgrm` file, as HdrHistogram's tools have it.
const TICKS: u32 = 5;

/// Nanoseconds in the unit of `.hgrm` values and of `Interval_Max`.
const UNIT_NS: f64 = 1_000_000.0;

/// Column names, as the Java writer prints them before the first interval.
const LOG_LEGEND: &[u8] =
    b"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n";

/// A histogram could not be written.
#[derive(Debug, thiserror::Error)]
pub enum HdrError {
    /// The name of a latency cannot be a tag.
    #[error("failed to tag a histogram `{0}`: a tag has no comma, space or line break")]
    Tag(String),
    /// The histogram could not be encoded.
    #[error("failed to encode the histogram of `{name}`: {reason}")]
    Encode {
        /// Name of the latency.
        name: String,
        /// What the encoder says.
        reason: String,
    },
    /// A file that is to be a histogram log is none.
    #[error("it is no histogram log: {0}")]
    NotALog(String),
}

/// A latency's whole distribution, in nanoseconds.
#[derive(Debug, Clone)]
pub struct Latencies {
    /// Its name, such as `accept`; the tag in a `.hlog` file.
    pub name: String,
    /// The values.
    pub histogram: Histogram<u64>,
}

impl Latencies {
    /// The distribution of `values_ns`, in any order.
    #[must_use]
    pub fn new(name: &str, values_ns: &[u64]) -> Self {
        Self { name: name.to_owned(), histogram: histogram(values_ns) }
    }
}

/// The histogram of `values_ns`: 1 ns to 1 h with three significant digits.
///
/// Values above an hour count as an hour.
#[must_use]
pub fn histogram(values_ns: &[u64]) -> Histogram<u64> {
    let mut histogram = latency::histogram();
    for value_ns in values_ns {
        histogram.saturating_record(*value_ns);
    }
    histogram
}

/// A histogram log with one interval for each latency, all of which began at `started`.
///
/// `StartTime` and `BaseTime` are both `started`, so that the intervals' own 0.000 is relative to
/// it beyond doubt.
///
/// # Errors
///
/// If a name cannot be a tag or a histogram cannot be encoded.
pub fn hlog(latencies: &[Latencies], started: SystemTime, length: Duration) -> Result<Vec<u8>, HdrError> {
    hlog_of(started, |write| {
        latencies.iter().try_for_each(|Latencies { name, histogram }| {
            write(Interval { name, histogram, from: Duration::ZERO, length })
        })
    })
}

/// What was measured in a span of time.
#[derive(Debug, Clone, Copy)]
pub struct Interval<'a> {
    /// Name of the latency, which becomes the tag.
    pub name: &'a str,
    /// The values, in nanoseconds.
    pub histogram: &'a Histogram<u64>,
    /// Its beginning, from the log's start.
    pub from: Duration,
    /// How long it lasted.
    pub length: Duration,
}

/// What takes the intervals of a log, in order of time.
pub type Writes<'a> = &'a mut dyn FnMut(Interval<'_>) -> Result<(), HdrError>;

/// A histogram log that began at `started`, with the intervals that `fill` writes.
///
/// # Errors
///
/// If a name cannot be a tag or a histogram cannot be encoded.
pub fn hlog_of(
    started: SystemTime,
    fill: impl FnOnce(Writes<'_>) -> Result<(), HdrError>,
) -> Result<Vec<u8>, HdrError> {
    let encode = |name: &str, error: &dyn std::fmt::Display| HdrError::Encode {
        name: name.to_owned(),
        reason: error.to_string(),
    };
    let mut out = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    IntervalLogWriterBuilder::new()
        .add_comment("[Latencies of a holdline trial in nanoseconds, Interval_Max in milliseconds]")
        .add_comment("[Histogram log format version 1.3]")
        .with_start_time(started)
        .with_base_time(started)
        .begin_log_with(&mut out, &mut serializer)
        .map_err(|error| encode("header", &error))?;
    out.extend_from_slice(LOG_LEGEND);
    let mut log = IntervalLogWriterBuilder::new()
        .with_max_value_divisor(UNIT_NS)
        .begin_log_with(&mut out, &mut serializer)
        .map_err(|error| encode("header", &error))?;
    fill(&mut |Interval { name, histogram, from, length }| {
        let tag = Some(name).filter(|name| !name.is_empty()).and_then(Tag::new);
        let tag = tag.ok_or_else(|| HdrError::Tag(name.to_owned()))?;
        log.write_histogram(histogram, from, length, Some(tag)).map_err(|error| encode(name, &error))
    })?;
    Ok(out)
}

/// The percentile distribution of a histogram as text, in milliseconds.
#[must_use]
pub fn hgrm(histogram: &Histogram<u64>) -> String {
    let mut out =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS) {
        total += step.count_since_last_iteration();
        let (value, quantile) = (step.value_iterated_to() as f64 / UNIT_NS, step.quantile_iterated_to());
        let line = if quantile < 1.0 {
            writeln!(out, "{value:12.6} {quantile:2.12} {total:10} {:14.2}", 1.0 / (1.0 - quantile))
        } else {
            writeln!(out, "{value:12.6} {quantile:2.12} {total:10}")
        };
        line.expect("a string takes any text");
    }
    let (mean, stdev) = match histogram.is_empty() {
        true => (0.0, 0.0),
        false => (histogram.mean() / UNIT_NS, histogram.stdev() / UNIT_NS),
    };
    let max = histogram.max() as f64 / UNIT_NS;
    out.push_str(&format!("#[Mean    = {mean:12.6}, StdDeviation   = {stdev:12.6}]\n"));
    out.push_str(&format!("#[Max     = {max:12.6}, Total count    = {:12}]\n", histogram.len()));
    out.push_str(&format!("#[Buckets = {:12}, SubBuckets     = {SUB_BUCKETS:12}]\n", histogram.buckets()));
    out
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    use proptest::prelude::*;

    use holdline_model::latency::LATENCY_NS_MAX;

    use super::*;

    const STARTED_S: u64 = 1_773_480_413;

    fn started() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(STARTED_S * 1_000 + 250)
    }

    fn read_back(log: &[u8]) -> Vec<(String, Histogram<u64>)> {
        IntervalLogIterator::new(log)
            .filter_map(|entry| match entry.expect("a line that the reader knows") {
                LogEntry::StartTime(time) | LogEntry::BaseTime(time) => {
                    assert_eq!(time, Duration::from_millis(STARTED_S * 1_000 + 250));
                    None
                }
                LogEntry::Interval(interval) => {
                    assert_eq!(interval.start_timestamp(), Duration::ZERO);
                    let bytes = base64::engine::general_purpose::STANDARD
                        .decode(interval.encoded_histogram())
                        .expect("base 64");
                    let histogram = Deserializer::new().deserialize(&mut &bytes[..]).expect("a V2 histogram");
                    Some((interval.tag().expect("a tag").as_str().to_owned(), histogram))
                }
            })
            .collect()
    }

    /// Value in ns, quantile and total count of each line.
    fn parse(hgrm: &str) -> Vec<(f64, f64, u64)> {
        hgrm.lines()
            .skip(2)
            .take_while(|line| !line.starts_with('#'))
            .map(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let number = |at: usize| fields[at].parse::<f64>().expect("a number");
                (number(0) * UNIT_NS, number(1), fields[2].parse().expect("a count"))
            })
            .collect()
    }

    #[test]
    fn a_log_begins_as_the_java_writer_has_it() {
        let log = hlog(&[Latencies::new("accept", &[1_000_000])], started(), Duration::from_secs(3))
            .expect("a log");
        let text = String::from_utf8(log).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1..6],
            [
                "#[Histogram log format version 1.3]",
                "#[StartTime: 1773480413.250 (seconds since epoch)]",
                "#[BaseTime: 1773480413.250 (seconds since epoch)]",
                "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"",
                "#[MaxValueDivisor: 1000000.000]",
            ]
        );
        assert!(lines[6].starts_with("Tag=accept,0.000,3.000,1.000,HISTFAAAA"), "{}", lines[6]);
    }

    #[test]
    fn a_percentile_distribution_as_a_whole() {
        let expected = "       Value     Percentile TotalCount 1/(1-Percentile)

    0.001000 0.000000000000          1           1.00
    0.001000 0.100000000000          1           1.11
    0.001000 0.200000000000          1           1.25
    0.001000 0.300000000000          1           1.43
    1.000447 0.400000000000          2           1.67
    1.000447 0.500000000000          2           2.00
    1.000447 0.550000000000          2           2.22
    1.000447 0.600000000000          2           2.50
    1.000447 0.650000000000          2           2.86
  100.007935 0.700000000000          3           3.33
  100.007935 1.000000000000          3
#[Mean    =    33.658787, StdDeviation   =    46.894537]
#[Max     =   100.007935, Total count    =            3]
#[Buckets =           32, SubBuckets     =         2048]
";
        // The mean is of the middles of the buckets: 1 000, 1 000 192 and 99 975 168 ns.
        assert_eq!(hgrm(&histogram(&[1_000, 1_000_000, 100_000_000])), expected);
    }

    #[test]
    fn nothing_measured_is_a_valid_file_too() {
        assert_eq!(latency::quantiles(&histogram(&[])), holdline_model::result::Quantiles::default());
        assert_eq!(parse(&hgrm(&histogram(&[]))), []);
        let log = hlog(&[Latencies::new("accept", &[])], started(), Duration::ZERO).expect("a log");
        assert_eq!(read_back(&log)[0].1.len(), 0);
    }

    #[test]
    fn a_name_that_would_break_the_line_is_refused() {
        for name in ["", "a,b", "a b", "a\nb"] {
            let error = hlog(&[Latencies::new(name, &[])], started(), Duration::ZERO).expect_err("no tag");
            assert!(matches!(error, HdrError::Tag(_)), "{error}");
        }
    }

    #[test]
    fn values_beyond_the_hour_count_as_the_hour() {
        let quantiles = latency::quantiles(&histogram(&[0, u64::MAX]));
        assert_eq!((quantiles.count, quantiles.p50_ns), (2, 0));
        assert!(quantiles.max_ns >= LATENCY_NS_MAX);
    }

    proptest! {
        // Counting between values walks the whole histogram.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn files_read_back_as_they_were(values in prop::collection::vec(0_u64..LATENCY_NS_MAX, 1..300)) {
            let latencies = [Latencies::new("accept", &values), Latencies::new("queue_wait", &values[1..])];
            let log = hlog(&latencies, started(), Duration::from_secs(3)).expect("a log");
            let read = read_back(&log);
            prop_assert_eq!(read.len(), 2);
            for (latencies, (name, histogram)) in latencies.iter().zip(&read) {
                prop_assert_eq!(&latencies.name, name);
                prop_assert_eq!(latency::quantiles(&latencies.histogram), latency::quantiles(histogram));
                prop_assert!(&latencies.histogram == histogram);
            }
        }

        #[test]
        fn a_distribution_agrees_with_the_histogram(values in prop::collection::vec(0_u64..LATENCY_NS_MAX, 1..300)) {
            let histogram = histogram(&values);
            let lines = parse(&hgrm(&histogram));
            let last = lines.last().expect("the maximum");
            prop_assert_eq!((last.1, last.2), (1.0, values.len() as u64));
            for (value_ns, _, total) in &lines {
                let value_ns = (value_ns + 0.5) as u64;
                prop_assert_eq!(histogram.count_between(0, value_ns), *total);
            }
        }
    }
}
