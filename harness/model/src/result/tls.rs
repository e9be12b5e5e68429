//! What became of TLS handshakes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tls::Certificate;

/// What became of TLS handshakes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TlsResult {
    /// Those that came to their end.
    pub completed: u64,
    /// Of these, how many resumed what an earlier one had agreed on: no certificate is shown then.
    pub resumed: u64,
    /// Attempts that had no TLS, by why: `cut`, `reset`, `alert_` with a number, `untrusted`, `expired` …, and
    /// `timed_out` where time ran out.
    pub failed: BTreeMap<String, u64>,
    /// The certificates that were shown, in the order in which they came.
    pub certificates: Vec<CertificateResult>,
}

/// A certificate, and when it was shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateResult {
    /// What it says.
    #[serde(flatten)]
    pub certificate: Certificate,
    /// In how many handshakes it was shown, also in those that failed.
    pub shown: u64,
    /// The end of the first of these handshakes, from the load's start.
    pub first_ns: u64,
    /// The end of the last.
    pub last_ns: u64,
}
