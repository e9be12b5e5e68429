//! Whether the books of a trial balance, as a result says it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the books of a trial come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub enum BooksResult {
    /// Client, workers and kernel agree.
    Balanced,
    /// The trial did not run.
    Nothing,
    /// They do not, and where, in words.
    Off(String),
}

impl BooksResult {
    const BALANCED: &str = "balanced";
    const NOTHING: &str = "nothing to balance: the trial did not run";

    /// Whether client, workers and kernel agree.
    #[must_use]
    pub const fn is_balanced(&self) -> bool {
        matches!(self, Self::Balanced)
    }
}

impl From<String> for BooksResult {
    fn from(text: String) -> Self {
        match text.as_str() {
            Self::BALANCED => Self::Balanced,
            Self::NOTHING => Self::Nothing,
            _ => Self::Off(text),
        }
    }
}

impl From<BooksResult> for String {
    fn from(books: BooksResult) -> Self {
        books.to_string()
    }
}

impl fmt::Display for BooksResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Balanced => Self::BALANCED,
            Self::Nothing => Self::NOTHING,
            Self::Off(lines) => lines,
        })
    }
}
