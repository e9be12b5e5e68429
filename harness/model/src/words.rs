//! The words of holdline, as types: fates, blames, grades, crash steps and modes.
//!
//! Each word is spelled the same in scenario files, in results and on screen; `as_str`, `Display`,
//! `FromStr` and serde all agree, because all four come from one list.

use serde::Serialize;

/// A word that is not one of those allowed, with the nearest that is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{given}`{}; expected one of {}", nearest_hint(.nearest), .allowed.join(", "))]
pub struct UnknownWord {
    /// What kind of word was expected, for example `crash step`.
    pub what: &'static str,
    /// What was given.
    pub given: String,
    /// The most similar allowed word, if one is similar at all.
    pub nearest: Option<String>,
    /// Every allowed word.
    pub allowed: Vec<&'static str>,
}

fn nearest_hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|word| format!(" (did you mean `{word}`?)")).unwrap_or_default()
}

/// The candidate most similar to `given`, if any is similar enough to be a plausible slip.
///
/// A word that is the same or one letter or one swap away wins (`tpc` means `tcp`, not `tcp6`). Otherwise
/// similarity is Jaro-Winkler, which favours a common beginning, and has to be a little more than clap asks for in its own
/// suggestions: among a hundred names, one is always a little alike.
#[must_use]
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|word| (is_a_slip_away(given, word), strsim::jaro_winkler(given, word), word))
        .filter(|(is_slip, similarity, _)| *is_slip || *similarity > 0.75)
        .max_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)))
        .map(|(_, _, word)| word)
}

/// Words of two letters are one slip away from too many others.
fn is_a_slip_away(given: &str, word: &str) -> bool {
    given.chars().count() > 2 && strsim::osa_distance(given, word) <= 1
}

/// The word by which files write a value of an enumeration.
///
/// Values that are no single word give an empty text.
#[must_use]
pub fn word_of(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).ok();
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident ($what:literal, $case:literal) {
        $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = $case)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// Every word of this kind, in the order in which reports show them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word itself.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::words::UnknownWord;

            fn from_str(given: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|word| word.as_str() == given).ok_or_else(|| {
                    let allowed: Vec<&'static str> = Self::ALL.iter().map(|word| word.as_str()).collect();
                    $crate::words::UnknownWord {
                        what: $what,
                        given: given.to_owned(),
                        nearest: $crate::words::nearest(given, allowed.iter().copied()).map(str::to_owned),
                        allowed,
                    }
                })
            }
        }
    };
}

words! {
    /// What came of a check of what workers inherited.
    Finding ("finding", "snake_case") {
        /// As it should be.
        Ok = "ok",
        /// Not as it should be.
        Failed = "failed",
        /// Neither right nor wrong: it is as the detail says.
        Noted = "noted",
        /// Nobody recorded it.
        NotKnown = "not_known",
    }
}

words! {
    /// What really happened to an attempt, once client, worker and kernel records are reconciled.
    Fate ("fate", "snake_case") {
        /// Accepted and answered correctly and completely.
        Served = "served",
        /// Nobody was listening: the kernel answered the SYN with a reset.
        Refused = "refused",
        /// The handshake never completed within the time-out: the backlog was full.
        SynDropped = "syn_dropped",
        /// The handshake completed, nobody accepted, and the listener was closed.
        QueueReset = "queue_reset",
        /// Accepted, then closed or reset without a byte of reply.
        NoReply = "no_reply",
        /// Part of the reply arrived.
        Truncated = "truncated",
        /// A complete reply arrived, whose status says that the service failed: 503.
        ErrorReply = "error_reply",
        /// A complete reply arrived, but not the right one.
        WrongReply = "wrong_reply",
        /// No complete reply within the time-out.
        TimedOut = "timed_out",
        /// It connected and asked for nothing, as it was meant to: neither served nor lost.
        Silent = "silent",
        /// The load client could not send it; never the server's fault.
        NotSent = "not_sent",
    }
}

words! {
    /// Why an attempt was lost.
    Blame ("blame", "snake_case") {
        /// It carried the fault itself.
        Poison = "poison",
        /// Accepted by the worker that crashed: unavoidable for a crash.
        InFlight = "in_flight",
        /// Anything else: the supervisor's failing.
        Collateral = "collateral",
    }
}

words! {
    /// Whether a lost request may be sent again without risk of doing it twice.
    Retry ("retry safety", "snake_case") {
        /// No worker ever accepted it.
        Safe = "safe",
        /// A worker may have read some of it.
        Ambiguous = "ambiguous",
    }
}

words! {
    /// A supervisor's mark in one scenario.
    Grade ("grade", "snake_case") {
        /// Nothing lost but poison and in-flight requests, everything in time.
        Held = "held",
        /// Nothing lost, but some waited beyond the scenario's deadline.
        Delayed = "delayed",
        /// Some requests were lost that need not have been.
        Lossy = "lossy",
        /// It never recovered.
        Down = "down",
        /// A capability is missing, or the program is not installed.
        Unsupported = "unsupported",
        /// The books do not balance, the generator lagged, or the environment failed.
        Inconclusive = "inconclusive",
    }
}

words! {
    /// Why a grade is no evidence of what a crash does.
    Mark ("mark", "snake_case") {
        /// A fault's victim lived on, since the server caught the error.
        Survived = "survived",
        /// A fault had no victim.
        Unhit = "unhit",
    }
}

impl Grade {
    /// The grade with its mark, as reports show it: `held (survived)`.
    #[must_use]
    pub fn marked(self, mark: Option<Mark>) -> String {
        mark.map_or_else(|| self.to_string(), |mark| format!("{self} ({mark})"))
    }
}

words! {
    /// A trial against its expectations.
    Verdict ("verdict", "snake_case") {
        /// Every expectation held.
        Pass = "pass",
        /// An expectation was violated.
        Fail = "fail",
        /// The supervisor cannot do what the scenario asks.
        Unsupported = "unsupported",
        /// It cannot be told.
        Inconclusive = "inconclusive",
    }
}

words! {
    /// The instant in a worker's life at which a fault strikes.
    CrashStep ("crash step", "kebab-case") {
        /// While starting, before it can accept.
        Boot = "boot",
        /// While waiting, with no connection in hand.
        Idle = "idle",
        /// After `accept`, before reading.
        Accept = "accept",
        /// With part of the request read.
        Read = "read",
        /// Request read, nothing written.
        Work = "work",
        /// Half of the reply written.
        Reply = "reply",
        /// Reply written, connection not closed.
        Close = "close",
        /// While shutting down.
        Drain = "drain",
    }
}

impl CrashStep {
    /// Whether a request carries this fault to the worker, so that the request itself is poison.
    #[must_use]
    pub const fn is_carried_by_request(self) -> bool {
        match self {
            Self::Accept | Self::Read | Self::Work | Self::Reply | Self::Close => true,
            Self::Boot | Self::Idle | Self::Drain => false,
        }
    }
}

words! {
    /// How a worker fails.
    CrashMode ("crash mode", "kebab-case") {
        /// Exits with status 1.
        Exit = "exit",
        /// Panics (or raises an uncaught exception).
        Panic = "panic",
        /// Calls `abort`.
        Abort = "abort",
        /// Dies of a segmentation fault.
        Segv = "segv",
        /// Kills itself with SIGKILL.
        Kill = "kill",
        /// Lives, but never does anything again.
        Hang = "hang",
        /// Finishes what it has, but accepts nothing more.
        StopAccepting = "stop-accepting",
        /// Opens descriptors until none are left, keeps them, and goes on.
        LeakFds = "leak-fds",
        /// Allocates until its memory limit ends it.
        Allocate = "allocate",
        /// Catches the error, closes the connection without a reply, and goes on.
        Catch = "catch",
    }
}

impl CrashMode {
    /// Whether the worker process ends by this fault.
    #[must_use]
    pub const fn ends_process(self) -> bool {
        match self {
            Self::Exit | Self::Panic | Self::Abort | Self::Segv | Self::Kill | Self::Allocate => true,
            Self::Hang | Self::StopAccepting | Self::LeakFds | Self::Catch => false,
        }
    }
}

words! {
    /// What carries a connection.
    Transport ("transport", "kebab-case") {
        /// TCP over IPv4 loopback.
        Tcp = "tcp",
        /// TCP over IPv6 loopback.
        Tcp6 = "tcp6",
        /// A Unix stream socket.
        Unix = "unix",
    }
}

words! {
    /// What a supervisor can be asked to do.
    Verb ("control verb", "kebab-case") {
        /// Stop every worker and start it again.
        Restart = "restart",
        /// Replace workers one after the other.
        RollingRestart = "rolling-restart",
        /// Read the configuration again.
        Reload = "reload",
        /// Bring in a new version of the worker.
        Upgrade = "upgrade",
        /// Replace the supervisor itself.
        UpgradeSupervisor = "upgrade-supervisor",
        /// Change the number of workers.
        Scale = "scale",
        /// End the service.
        Stop = "stop",
    }
}

words! {
    /// The part of an attempt during which its time ran out.
    Stage ("stage", "snake_case") {
        /// The handshake of the transport: TCP's.
        Connect = "connect",
        /// The TLS handshake.
        Tls = "tls",
        /// Waiting for the first byte of the reply.
        FirstByte = "first_byte",
        /// Waiting for the rest of the reply.
        Reply = "reply",
    }
}

words! {
    /// Which namespaces a trial has of its own.
    Isolation ("isolation", "kebab-case") {
        /// User, network, PID, mount, IPC and UTS namespaces.
        Full = "full",
        /// None: counters are host-wide.
        None = "none",
    }
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::str::FromStr;

    use super::*;
    use crate::custody::Reading;
    use crate::record::Ending;

    #[test]
    fn words_read_back_and_serialise_as_themselves() {
        fn check<T>(all: &[T])
        where
            T: FromStr + fmt::Display + Serialize + PartialEq + fmt::Debug,
            T::Err: fmt::Debug,
        {
            for word in all {
                assert_eq!(&word.to_string().parse::<T>().expect("own spelling"), word);
                assert_eq!(serde_json::to_value(word).expect("a word"), word.to_string());
            }
        }
        check(Fate::ALL);
        check(Blame::ALL);
        check(Retry::ALL);
        check(Grade::ALL);
        check(Verdict::ALL);
        check(Mark::ALL);
        check(CrashStep::ALL);
        check(CrashMode::ALL);
        check(Transport::ALL);
        check(Ending::ALL);
        check(Reading::ALL);
        check(Verb::ALL);
        check(Stage::ALL);
        check(Isolation::ALL);
    }

    #[test]
    fn a_single_slip_beats_a_common_beginning() {
        let near = |given| nearest(given, ["tcp", "tcp6", "unix"]);
        assert_eq!(near("tpc"), Some("tcp"));
        assert_eq!(near("tcp4"), Some("tcp"));
        assert_eq!(near("unx"), Some("unix"));
        assert_eq!(near("sctp-over-udp"), None);
    }

    #[test]
    fn an_unknown_word_names_the_nearest() {
        let error = "wrk".parse::<CrashStep>().expect_err("not a step");
        assert_eq!(error.nearest.as_deref(), Some("work"));
        assert!(error.to_string().starts_with("unknown crash step `wrk` (did you mean `work`?)"), "{error}");
    }
}
