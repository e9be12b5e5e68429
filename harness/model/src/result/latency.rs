//! How long attempts took.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sampling::Method;
use crate::told::{Phrase, Told};

/// The latencies of a trial, each from the intended start but for `queue_wait`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencySet {
    /// started − intended start.
    pub send_lag: Quantiles,
    /// connected − intended start.
    pub connect: Quantiles,
    /// End of the TLS handshake − connected; absent where none was made.
    #[serde(default, skip_serializing_if = "Quantiles::is_empty")]
    pub tls: Quantiles,
    /// accepted − connected.
    pub queue_wait: Quantiles,
    /// accepted − intended start.
    pub accept: Quantiles,
    /// finished − intended start, of served attempts; in sessions, of each request that was answered.
    pub response: Quantiles,
}

impl LatencySet {
    /// Each latency with its name, in the order in which reports show them; that of TLS handshakes where there
    /// were any.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, &Quantiles)> {
        let tls = (!self.tls.is_empty()).then_some(("tls", &self.tls));
        let before = [
            ("send_lag", &self.send_lag),
            ("connect", &self.connect),
            ("queue_wait", &self.queue_wait),
            ("accept", &self.accept),
        ];
        before.into_iter().chain(tls).chain([("response", &self.response)]).collect()
    }
}

/// A latency's distribution. The whole of it is in the trial's `.hlog` and `.hgrm` files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// How many values. With 0, all others are 0 and mean nothing.
    pub count: u64,
    /// The median.
    pub p50_ns: u64,
    /// The 90th percentile.
    pub p90_ns: u64,
    /// The 99th percentile.
    pub p99_ns: u64,
    /// The 99.9th percentile.
    pub p999_ns: u64,
    /// The largest value.
    pub max_ns: u64,
    /// How the values were obtained, where there is more than one way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The same as a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<Method>,
}

impl Quantiles {
    /// Whether there were no values.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How the values were obtained, in a sentence; `None` where that needs no saying, since workers wrote
    /// down when they accepted or there is only one way.
    #[must_use]
    pub fn obtained(&self) -> Option<Phrase> {
        match (self.how, &self.method) {
            (Some(Method::Stamped), _) | (None, None) => None,
            (Some(how @ (Method::ByRequest | Method::Sampled { .. })), _) => Some(how.phrase()),
            // Of a result that holds only the words.
            (None, Some(words)) => {
                let said = Phrase::new(words);
                (said != Method::Stamped.phrase()).then_some(said)
            }
        }
    }
}
