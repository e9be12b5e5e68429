//! Certificates that servers showed, each of them kept once.

use std::fmt;
use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::part::Renumbered;

/// How many that differ are kept. A service changes its certificate now and then.
const DIFFERENT_MAX: usize = 256;

/// Certificates as they were sent (DER), in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificates(Vec<Box<[u8]>>);

/// Where none was shown.
pub static NO_CERTIFICATES: Certificates = Certificates(Vec::new());

/// Which of them was shown; `None`: none was.
pub type Which = Option<NonZeroU16>;

/// What a certificate says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// SHA-256 of the whole, in hexadecimal.
    pub fingerprint: String,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// Whose it is (RFC 4514).
    pub subject: String,
    /// Names and addresses that it holds for.
    pub names: Vec<String>,
    /// Until when it is valid, RFC 3339.
    pub not_after: String,
}

impl Certificates {
    /// Keeps one, unless it is there already. `None`: there is no room, or nothing to keep.
    pub fn keep(&mut self, der: &[u8]) -> Which {
        if der.is_empty() {
            return None;
        }
        // The one that came last is the likeliest.
        let known = self.0.iter().rposition(|kept| **kept == *der).or_else(|| {
            (self.0.len() < DIFFERENT_MAX).then(|| {
                self.0.push(der.into());
                self.0.len() - 1
            })
        })?;
        NonZeroU16::new(u16::try_from(known + 1).ok()?)
    }

    /// Keeps what others have kept as well, as far as there is room, and tells which each of theirs is here.
    pub fn take_in(&mut self, others: &Self) -> Renumbered {
        others.0.iter().map(|der| self.keep(der)).collect()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl Certificate {
    /// Whose it is, and which, in a few words.
    #[must_use]
    pub fn in_short(&self) -> String {
        let start = self.fingerprint.get(..12).unwrap_or(&self.fingerprint);
        let subject = if self.subject.is_empty() { "no subject" } else { &self.subject };
        format!("{subject}, SHA-256 {start}…")
    }
}

/// In words that fit into parentheses.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, for ", self.in_short())?;
        match &self.names[..] {
            [] => f.write_str("no name")?,
            names => f.write_str(&names.join(", "))?,
        }
        write!(f, ", valid until {}", self.not_after)
    }
}
