//! The end of a log, as messages quote it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The last lines of a log; none where nothing was written to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct LogTail(pub Vec<String>);

/// Goes on from a sentence, each line on a line of its own.
impl fmt::Display for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("; it wrote nothing to its log");
        }
        f.write_str("; the last lines of its log:")?;
        self.0.iter().try_for_each(|line| write!(f, "\n    | {line}"))
    }
}
