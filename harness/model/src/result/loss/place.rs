//! In whose hands attempts were whose time ran out, and which workers left them there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::custody::{Custody, Process, Reading};
use crate::errno::errno_in_words;
use crate::told::{Phrase, Told};
use crate::words::CrashStep;

/// Where a connection was when its time ran out, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// As the kernel showed it then.
    Seen(Custody),
    /// With a worker, as that wrote down.
    Accepted,
    /// Nobody knows.
    Unknown,
}

/// A worker that lives and accepts nothing: it does not end, so that nobody starts another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stuck {
    /// Its process id.
    pub pid: u32,
    /// Why.
    pub by: Stall,
}

/// Why a worker that was not told to stop accepts nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stall {
    /// It has stopped to.
    StoppedAccepting,
    /// It cannot, by the errno of `accept`.
    CouldNotAccept(u64),
    /// It hangs.
    Hung(CrashStep),
}

impl Place {
    /// What comes after "timed out", of so many, with how many that had part of the reply, and how many that were in the
    /// TLS handshake.
    pub(super) fn phrase(&self, of: u64, partly: u64, in_tls: u64) -> Phrase {
        let partly = match partly {
            0 => Phrase::default(),
            _ => Phrase::new(" (").count(partly).text(" with part of the reply)"),
        };
        let partly = match in_tls {
            0 => partly,
            _ if of == 1 => partly.text(" (in the TLS handshake)"),
            in_tls => partly.text(" (").count(in_tls).text(" of them in the TLS handshake)"),
        };
        match self {
            Self::Seen(Custody::Queue) => Phrase::new(" in the queue: connected, but nobody accepted them"),
            Self::Seen(Custody::HalfOpen) => {
                Phrase::new(" half-open: connected for the client, and waiting for the server's kernel")
            }
            Self::Seen(Custody::Held { by, others, request }) => {
                let others = match others {
                    0 => Phrase::default(),
                    others => Phrase::new(" (and open in ").count((*others).into()).text(" more)"),
                };
                let head = Phrase::new(": accepted by ").then(by.phrase()).then(others);
                head.text(format!(", {}, no answer", reading(*request))).then(partly)
            }
            Self::Seen(Custody::Hidden) => {
                Phrase::new(": accepted, by nobody that can be looked at, no answer").then(partly)
            }
            Self::Seen(Custody::Closed) => {
                Phrase::new(": no reply came in time, and the server had closed its end").then(partly)
            }
            Self::Accepted => Phrase::new(": accepted, but no reply came in time").then(partly),
            Self::Unknown => {
                Phrase::new(": no reply came in time; in whose hands they were is not known").then(partly)
            }
        }
    }
}

const fn reading(request: Reading) -> &'static str {
    match request {
        Reading::Unsent => "nothing sent to it yet",
        Reading::Unread => "request unread",
        Reading::Part => "request read in part",
        Reading::Read => "request read",
    }
}

impl Told for Process {
    fn phrase(&self) -> Phrase {
        let role = if self.supervises { "the supervisor, " } else { "" };
        Phrase::new(format!("{role}{} (process ", self.name)).id(self.pid).text(")")
    }
}

impl Stuck {
    pub(super) fn phrase(self) -> Phrase {
        let why = match self.by {
            Stall::StoppedAccepting => "was alive but had stopped accepting".to_owned(),
            Stall::CouldNotAccept(errno) => format!("could not accept ({})", errno_in_words(errno)),
            Stall::Hung(step) => format!("hung (at step {step})"),
        };
        Phrase::new("worker ").id(self.pid).text(format!(" {why}"))
    }
}
