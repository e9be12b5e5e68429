//! The names of signals, as files write them.

use crate::words::{UnknownWord, nearest};

/// Every signal that a file may name, without `SIG`, by its Linux name (signal(7)).
pub const NAMES: &[&str] = &[
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Checks the name of a signal.
///
/// # Errors
///
/// A name that is not in [`NAMES`]. For `SIGTERM` and `term` the nearest is `TERM`.
pub fn parse(given: &str) -> Result<&'static str, UnknownWord> {
    NAMES.iter().copied().find(|name| *name == given).ok_or_else(|| {
        let upper = given.to_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
        UnknownWord {
            what: "signal",
            given: given.to_owned(),
            nearest: nearest(bare, NAMES.iter().copied()).map(str::to_owned),
            allowed: NAMES.to_vec(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_go_without_their_prefix() {
        assert_eq!(parse("TERM"), Ok("TERM"));
        for (given, near) in [("SIGTERM", "TERM"), ("term", "TERM"), ("SIGKIL", "KILL"), ("hup", "HUP")] {
            assert_eq!(parse(given).expect_err("wrong").nearest.as_deref(), Some(near), "{given}");
        }
        assert_eq!(parse("42").expect_err("wrong").nearest, None);
    }
}
