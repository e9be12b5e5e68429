//! What is a value, and a sentence in files of older versions.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value, or the words in which a file says it that has no values yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "{T}OrWords")]
pub enum Worded<T> {
    /// The value, whose Display is the sentence.
    Value(T),
    /// The sentence.
    Words(String),
}

impl<T> Worded<T> {
    /// The value; `None`: there are only words.
    #[must_use]
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Words(_) => None,
        }
    }
}

impl<T> From<T> for Worded<T> {
    fn from(value: T) -> Self {
        Self::Value(value)
    }
}

impl<T: fmt::Display> fmt::Display for Worded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => value.fmt(f),
            Self::Words(words) => f.write_str(words),
        }
    }
}
