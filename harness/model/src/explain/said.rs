//! Sentences about losses while they are put together.

use super::story::Story;
use crate::record::ClientRecord;
use crate::result::Cause;
use crate::said::{escaped, quoted};
use crate::told::{Phrase, Told};

/// How much of a reply a sentence quotes.
const QUOTED_CHARS_MAX: usize = 80;

/// A sentence, what it says came before, and what a server said.
pub(super) struct Said {
    pub(super) cause: Option<Cause>,
    pub(super) said: Phrase,
    pub(super) example: Option<String>,
}

impl From<Phrase> for Said {
    fn from(said: Phrase) -> Self {
        Self { cause: None, said, example: None }
    }
}

impl Said {
    /// Goes on with the cause, if there is one.
    pub(super) fn after(said: Phrase, cause: Option<Cause>) -> Self {
        let said = said.and(cause.as_ref().map(Told::phrase).unwrap_or_default());
        Self { cause, said, example: None }
    }

    /// Goes on with the first of these replies that was kept.
    pub(super) fn quoting(said: Phrase, story: &Story<'_>, replies: &[&ClientRecord]) -> Self {
        let kept = replies.iter().find_map(|record| story.records.said.get(record.said));
        let said = match kept {
            Some(bytes) => said.text(format!(": {}", quoted(bytes, QUOTED_CHARS_MAX))),
            None => said,
        };
        Self { cause: None, said, example: kept.map(escaped) }
    }

    pub(super) fn then(self, other: Phrase) -> Self {
        Self { said: self.said.then(other), ..self }
    }
}

/// A sentence that begins with how many.
pub(super) fn count(count: u64, text: impl Into<String>) -> Phrase {
    Phrase::default().count(count).text(text)
}
