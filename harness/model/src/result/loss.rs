//! What was lost, in a sentence of which the kind and the numbers are known.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LossKind;
use crate::told::{Phrase, Told};

/// A kind of loss, with how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Loss {
    /// Which.
    pub kind: LossKind,
    /// The sentence, with the numbers in it apart.
    pub said: Phrase,
}

impl Told for Loss {
    fn phrase(&self) -> Phrase {
        self.said.clone()
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.said.fmt(f)
    }
}
