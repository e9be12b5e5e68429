//! Sentences about losses while they are put together.

use crate::result::Cause;
use crate::told::{Phrase, Told};

/// A sentence, and what it says came before.
pub(super) struct Said {
    pub(super) cause: Option<Cause>,
    pub(super) said: Phrase,
}

impl From<Phrase> for Said {
    fn from(said: Phrase) -> Self {
        Self { cause: None, said }
    }
}

impl Said {
    /// Goes on with the cause, if there is one.
    pub(super) fn after(said: Phrase, cause: Option<Cause>) -> Self {
        let said = said.and(cause.as_ref().map(Told::phrase).unwrap_or_default());
        Self { cause, said }
    }

    pub(super) fn then(self, other: Phrase) -> Self {
        Self { said: self.said.then(other), ..self }
    }
}

/// A sentence that begins with how many.
pub(super) fn count(count: u64, text: impl Into<String>) -> Phrase {
    Phrase::default().count(count).text(text)
}
