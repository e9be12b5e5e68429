//! How a process ended.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::signals::Signal;

/// How a process ended. Its Display fits "ended with …", and is how files hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Exit {
    /// By itself, with this status.
    Status(i32),
    /// By a signal.
    Signal(Signal),
    /// By a signal without a name, as real-time signals have none.
    Numbered(i32),
    /// Nobody knows.
    Unknown,
}

/// A text that is not how a process ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not how a process ends; expected a status or a signal")]
pub struct NoExit(String);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Signal(signal) => write!(f, "SIG{signal}"),
            Self::Numbered(number) => write!(f, "signal {number}"),
            Self::Unknown => f.write_str("an unknown status"),
        }
    }
}

impl FromStr for Exit {
    type Err = NoExit;

    fn from_str(text: &str) -> Result<Self, NoExit> {
        let no_exit = || NoExit(text.to_owned());
        if text == Self::Unknown.to_string() {
            Ok(Self::Unknown)
        } else if let Some(exit) = as_std_says(text) {
            Ok(exit)
        } else if let Some(status) = text.strip_prefix("status ") {
            status.parse().map(Self::Status).map_err(|_| no_exit())
        } else if let Some(number) = text.strip_prefix("signal ") {
            number.parse().map(Self::Numbered).map_err(|_| no_exit())
        } else {
            let name = text.strip_prefix("SIG").ok_or_else(no_exit)?;
            name.parse().map(Self::Signal).map_err(|_| no_exit())
        }
    }
}

/// What is written as `std::process::ExitStatus` says it, as older files have it: `exit status: 1`, or
/// `signal: 9 (SIGKILL)`.
fn as_std_says(text: &str) -> Option<Exit> {
    if let Some(status) = text.strip_prefix("exit status: ") {
        return status.parse().ok().map(Exit::Status);
    }
    let (number, name) = text.strip_prefix("signal: ")?.split_once(' ')?;
    let name = name.strip_prefix("(SIG")?.split(')').next()?;
    let numbered = || number.parse().ok().map(Exit::Numbered);
    name.parse().ok().map(Exit::Signal).or_else(numbered)
}

impl From<Exit> for String {
    fn from(exit: Exit) -> Self {
        exit.to_string()
    }
}

impl TryFrom<String> for Exit {
    type Error = NoExit;

    fn try_from(text: String) -> Result<Self, NoExit> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_back_as_it_is_written() {
        for exit in [Exit::Status(101), Exit::Signal(Signal::KILL), Exit::Numbered(40), Exit::Unknown] {
            let text = serde_json::to_string(&exit).expect("JSON");
            assert_eq!(serde_json::from_str::<Exit>(&text).expect("an exit"), exit, "{text}");
        }
        assert_eq!(Exit::Signal(Signal::KILL).to_string(), "SIGKILL");
        for (text, exit) in [
            ("exit status: 3", Exit::Status(3)),
            ("signal: 9 (SIGKILL)", Exit::Signal(Signal::KILL)),
            ("signal: 15 (SIGTERM) (core dumped)", Exit::Signal(Signal::TERM)),
        ] {
            assert_eq!(text.parse(), Ok(exit));
        }
        for text in ["", "status", "status x", "SIGNAL", "KILL"] {
            assert_eq!(text.parse::<Exit>(), Err(NoExit(text.to_owned())));
        }
    }
}
