//! The ways in which attempts are lost, or have to suffer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::place::{Place, Stuck};
use crate::record::{NotSent, StreamEnd};
use crate::result::LossKind;
use crate::tls::{Certificate, TlsFailure};
use crate::words::{CrashMode, CrashStep, Stage, words};

/// In which way attempts were lost, or had to suffer. All of a [`LossKind`] that are alike are one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum How {
    /// Carried the fault, whose worker caught the error.
    PoisonCaught {
        /// The attempt.
        attempt: u32,
        /// The worker's process id.
        pid: u32,
        /// Where it failed.
        step: CrashStep,
    },
    /// Carried the fault, by which its worker failed.
    PoisonStruck {
        /// The attempt.
        attempt: u32,
        /// The worker's process id.
        pid: u32,
        /// Where it failed.
        step: CrashStep,
        /// How.
        mode: CrashMode,
    },
    /// Carried the fault; no worker wrote down that it failed.
    PoisonUnrecorded {
        /// The attempt.
        attempt: u32,
        /// What it got.
        got: PoisonReply,
    },
    /// In the hands of a worker that died.
    WorkerDied {
        /// The worker's process id; absent: it is not known who had them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
    },
    /// Somebody listened, at a path that had been removed.
    NoPath {
        /// The listener's inode.
        inode: u32,
    },
    /// Nobody listened for a time.
    NobodyListened {
        /// For how long.
        silence: Silence,
        /// How many workers failed to start meanwhile.
        #[serde(default, skip_serializing_if = "is_zero")]
        failed_starts: u64,
    },
    /// Nobody listened at any time.
    NeverListened,
    /// Refused although somebody was seen to listen.
    RefusedByListener,
    /// The listener was closed with them in its queue.
    ListenerClosed {
        /// Its inode.
        inode: u32,
        /// When, in nanoseconds from the start of the load.
        closed_ns: u64,
        /// Whether the kernel kept them half-open, as they had said nothing (`TCP_DEFER_ACCEPT`).
        kept_back: bool,
    },
    /// The queue was full, and the kernel resets what overflows (`tcp_abort_on_overflow`).
    ResetByOverflow,
    /// No listener was seen to close, and no queue was full: whoever had them keeps no ledger, or closed its listener between
    /// two looks.
    ResetUnseen,
    /// Their SYNs were dropped to the end.
    NeverConnected {
        /// The queue that was fullest; absent where there was none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queue: Option<Queue>,
    },
    /// The TLS handshake failed.
    TlsFailed {
        /// Why.
        failure: TlsFailure,
        /// The certificate that the client would not have; absent where none is to blame.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate: Option<Box<Certificate>>,
    },
    /// Their streams were ended without a reply.
    StreamEnded {
        /// How.
        end: StreamEnd,
    },
    /// Accepted, and closed without a complete reply.
    Closed {
        /// By whom.
        by: Closer,
        /// How many of them in a way that clients feel.
        #[serde(flatten)]
        cut: Cut,
    },
    /// Sessions that were ended between two requests.
    EndedBetweenRequests,
    /// A reply that is longer than what is read.
    TooLong,
    /// No reply in time.
    TimedOut {
        /// Where they were then.
        place: Place,
        /// How many of them had part of the reply.
        partly: u64,
        /// How many of them were in the TLS handshake.
        #[serde(default, skip_serializing_if = "is_zero")]
        in_tls: u64,
        /// Workers that lived and did not accept.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        stuck: Vec<Stuck>,
        /// How many workers failed to start meanwhile.
        #[serde(default, skip_serializing_if = "is_zero")]
        failed_starts: u64,
    },
    /// A status that says that the service failed.
    ErrorStatus {
        /// Which.
        status: u16,
    },
    /// A reply that was not the answer.
    NotTheAnswer,
    /// An alert of TLS for an answer.
    TlsAlert,
    /// An errno without a meaning of its own.
    Errno {
        /// Which.
        errno: i32,
        /// How far the attempts were.
        stage: Stage,
    },
    /// The reply came, and the request could not be sent to its end.
    AnsweredUnsent,
    /// The server ended its side before it had all of the request, and read on.
    HalfClosed,
    /// Sent once more over a fresh connection.
    SentTwice,
    /// The SYN was dropped and sent again.
    SynSentAgain {
        /// The shortest time that it took to connect, in nanoseconds.
        least_ns: u64,
        /// The longest.
        most_ns: u64,
    },
    /// An accept queue was full.
    QueueFull {
        /// The listener's inode.
        inode: u32,
        /// The queue.
        #[serde(flatten)]
        queue: Queue,
        /// When it was first, in nanoseconds from the start of the load.
        from_ns: u64,
        /// For how long in all, in nanoseconds.
        lasted_ns: u64,
    },
    /// Never sent, for reasons of the load client.
    NotSent {
        /// Which.
        cause: NotSent,
    },
    /// Served late.
    Late {
        /// What counts as late, in nanoseconds.
        deadline_ns: u64,
        /// How long the longest took, in nanoseconds.
        longest_ns: u64,
        /// Where it spent most of that; absent where no part of it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spent: Option<Span>,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks it so")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What an attempt got that carried a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PoisonReply {
    /// A reply with this status.
    Status(u16),
    /// A reply that was not the answer.
    Error,
    /// Nothing.
    Nothing,
}

/// A time when nobody listened, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// It lasted so long.
    LastedNs(u64),
    /// It lasted so long at most: no look found nobody.
    AtMostNs(u64),
    /// At a Unix path one listener gave way to the next within so long.
    GaveWayNs(u64),
    /// From this time after the load's start to the end.
    FromNs(u64),
}

/// An accept queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Queue {
    /// How many waited in it, at most.
    pub held: u32,
    /// How many may.
    pub limit: u32,
    /// How many SYNs its listener dropped; absent where that is not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drops: Option<u32>,
}

/// Of attempts whose connections were closed, how many in a way that clients feel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Cut {
    /// By a reset.
    #[serde(skip_serializing_if = "is_zero")]
    pub resets: u64,
    /// After they had got replies.
    #[serde(skip_serializing_if = "is_zero")]
    pub answered_before: u64,
    /// Over a connection that others had used before.
    #[serde(skip_serializing_if = "is_zero")]
    pub reused: u64,
    /// Requests of theirs that were sent at once.
    #[serde(skip_serializing_if = "is_zero")]
    pub pipelined: u64,
    /// How many of these got no answer.
    #[serde(skip_serializing_if = "is_zero")]
    pub unanswered: u64,
}

/// Who closed connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Closer {
    /// Nobody wrote down that they had them.
    Unknown,
    /// The server of an application, which had read the requests and cannot tell more.
    Reader {
        /// The worker's process id.
        pid: u32,
    },
    /// A worker that had accepted them.
    Accepter {
        /// Its process id.
        pid: u32,
        /// What it did, or how it ended.
        end: End,
    },
}

words! {
    /// How a worker parted from connections that it had accepted.
    End ("end", "snake_case") {
        /// It closed them.
        ClosedThem = "closed_them",
        /// It exited.
        Exited = "exited",
        /// It was stopped while it drained.
        StoppedDraining = "stopped_draining",
        /// It ended without a word.
        Ended = "ended",
    }
}

words! {
    /// A part of an attempt's life.
    Part ("part", "snake_case") {
        /// From when it was due until it was sent.
        BeforeSent = "before_sent",
        /// Until it was connected.
        Connecting = "connecting",
        /// Until it was accepted.
        InQueue = "in_queue",
        /// From its accept, or its connect, to the end of the TLS handshake.
        Greeting = "greeting",
        /// From the end of the TLS handshake to its end, where waiting and work cannot be told apart.
        Greeted = "greeted",
        /// From its accept to its end.
        WithWorker = "with_worker",
        /// From its connect to its end, where waiting and work cannot be told apart.
        Connected = "connected",
    }
}

/// A part of an attempt's life, and how long it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// Which.
    pub part: Part,
    /// How long it was, the client's own pauses included, in nanoseconds.
    pub lasted_ns: u64,
}

impl How {
    /// What kind of loss it is.
    #[must_use]
    pub const fn kind(&self) -> LossKind {
        match self {
            Self::PoisonCaught { .. } | Self::PoisonStruck { .. } | Self::PoisonUnrecorded { .. } => {
                LossKind::Poison
            }
            Self::WorkerDied { .. } => LossKind::InFlight,
            Self::NoPath { .. }
            | Self::NobodyListened { .. }
            | Self::NeverListened
            | Self::RefusedByListener => LossKind::Refused,
            Self::ListenerClosed { .. } | Self::ResetByOverflow | Self::ResetUnseen => LossKind::QueueReset,
            Self::NeverConnected { .. } => LossKind::SynDropped,
            Self::TlsFailed { .. } => LossKind::Tls,
            Self::StreamEnded { .. } => LossKind::Stream,
            Self::Closed { .. } => LossKind::CutShort,
            Self::EndedBetweenRequests => LossKind::ClosedIdle,
            Self::TooLong => LossKind::TooLong,
            Self::TimedOut { .. } => LossKind::TimedOut,
            Self::ErrorStatus { .. } => LossKind::ErrorReply,
            Self::NotTheAnswer | Self::TlsAlert => LossKind::WrongReply,
            Self::Errno { .. } => LossKind::Errno,
            Self::AnsweredUnsent => LossKind::SendFailed,
            Self::HalfClosed => LossKind::HalfClosed,
            Self::SentTwice => LossKind::SentTwice,
            Self::SynSentAgain { .. } => LossKind::SentAgain,
            Self::QueueFull { .. } => LossKind::QueueFull,
            Self::NotSent { .. } => LossKind::NotSent,
            Self::Late { .. } => LossKind::Late,
        }
    }
}
