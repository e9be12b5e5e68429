//! Who of a chain of programs lost an attempt: the one that has the service's address, or one behind it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{How, PoisonReply};

/// Who of a chain of programs lost what was lost, where what the client saw tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "who", rename_all = "snake_case")]
pub enum LostBy {
    /// The one that has the service's address: it did not get as far as to ask anybody behind it.
    Front {
        /// What it is called.
        program: String,
    },
    /// Behind it: it said that it got no answer, or none that it understood, by 502 or 504 (RFC 9110, sections 15.6.3
    /// and 15.6.5).
    Behind {
        /// Who said so.
        front: String,
        /// Who is behind it: more than one where it is not known which of them it was.
        programs: Vec<String>,
    },
}

/// The programs of a service, and whom faults have killed.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a> {
    /// What they are called, the front first; empty: it is just one.
    pub programs: &'a [String],
    /// The one at which all faults were aimed that kill; `None`: there is none such.
    pub killed: Option<&'a str>,
}

impl LostBy {
    /// Who of a chain lost attempts in this way.
    ///
    /// Whoever was not accepted was lost by the front. A gateway's status names who is behind it. What was open when a
    /// fault killed a worker was lost by the program that the fault was aimed at. Of all others, such as a connection that
    /// the front closed, or a 503, which a gateway may say for either reason, it is not known.
    #[must_use]
    pub fn of(how: &How, chain: &Chain<'_>) -> Option<Self> {
        let (front, behind) = chain.programs.split_first().filter(|(_, behind)| !behind.is_empty())?;
        match how {
            How::WorkerDied { .. } => match chain.killed? {
                killed if killed == front => Some(Self::Front { program: front.clone() }),
                killed => Some(Self::Behind { front: front.clone(), programs: vec![killed.to_owned()] }),
            },
            How::NoPath { .. }
            | How::NobodyListened { .. }
            | How::NeverListened
            | How::RefusedByListener
            | How::ListenerClosed { .. }
            | How::ResetByOverflow
            | How::ResetUnseen
            | How::NeverConnected { .. }
            | How::TlsFailed { .. } => Some(Self::Front { program: front.clone() }),
            How::ErrorStatus { status } | How::PoisonUnrecorded { got: PoisonReply::Status(status), .. } => {
                matches!(status, 502 | 504)
                    .then(|| Self::Behind { front: front.clone(), programs: behind.to_vec() })
            }
            How::PoisonUnrecorded { got: PoisonReply::Error | PoisonReply::Nothing, .. }
            | How::PoisonCaught { .. }
            | How::PoisonStruck { .. }
            | How::StreamEnded { .. }
            | How::Closed { .. }
            | How::EndedBetweenRequests
            | How::TooLong
            | How::TimedOut { .. }
            | How::NotTheAnswer
            | How::TlsAlert
            | How::Errno { .. }
            | How::AnsweredUnsent
            | How::HalfClosed
            | How::SentTwice
            | How::SynSentAgain { .. }
            | How::QueueFull { .. }
            | How::NotSent { .. }
            | How::Late { .. } => None,
        }
    }

    /// As it stands behind a loss.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Front { program } => format!(", lost by {program}"),
            Self::Behind { front, programs } => match programs.as_slice() {
                [one] => format!(", lost by {one} behind {front}"),
                several => format!(", lost by one of {} behind {front}", several.join(", ")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::loss::Silence;

    fn chain(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn who_lost_it_is_told_where_what_was_seen_tells_it() {
        let programs = chain(&["nginx", "php"]);
        let killed = |killed| Chain { programs: &programs, killed };
        let front = Some(LostBy::Front { program: "nginx".to_owned() });
        let behind = Some(LostBy::Behind { front: "nginx".to_owned(), programs: chain(&["php"]) });
        let refused = How::NobodyListened { silence: Silence::LastedNs(1), failed_starts: 0 };
        for (how, expected) in [
            (refused, front),
            (How::ErrorStatus { status: 502 }, behind.clone()),
            (How::ErrorStatus { status: 504 }, behind.clone()),
            (How::PoisonUnrecorded { attempt: 5, got: PoisonReply::Status(502) }, behind),
            (How::ErrorStatus { status: 503 }, None),
            (How::ErrorStatus { status: 500 }, None),
            (How::WorkerDied { pid: None }, None),
        ] {
            assert_eq!(LostBy::of(&how, &killed(None)), expected, "{how:?}");
            let alone = Chain { programs: &[], killed: Some("php") };
            assert_eq!(LostBy::of(&how, &alone), None, "{how:?}");
        }
        let died = How::WorkerDied { pid: None };
        let [front, behind] = ["nginx", "php"].map(|name| LostBy::of(&died, &killed(Some(name))));
        assert_eq!(front, Some(LostBy::Front { program: "nginx".to_owned() }));
        assert_eq!(behind, Some(LostBy::Behind { front: "nginx".to_owned(), programs: chain(&["php"]) }));
    }

    #[test]
    fn several_that_may_have_lost_it_are_all_named() {
        let programs = chain(&["proxy", "one", "two"]);
        let by = LostBy::of(&How::ErrorStatus { status: 502 }, &Chain { programs: &programs, killed: None });
        assert_eq!(by.map(|by| by.in_words()), Some(", lost by one of one, two behind proxy".to_owned()));
    }
}
