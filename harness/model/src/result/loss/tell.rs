//! The sentences that losses are told in.

use super::how::{Closer, Cut, End, How, Part, PoisonReply, Queue, Silence, Span};
use crate::duration::show_ns;
use crate::told::Phrase;
use crate::wire::{CONTENT_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX};

/// What becomes of those that have said nothing to a listener that wants data first.
const KEPT_BACK: &str = " reset half-open: they were connected and had said nothing, so that the kernel handed them \
                         to nobody (TCP_DEFER_ACCEPT); the listener (inode ";
const NO_PATH: &str = "), but its path had been removed, as by a predecessor that cleans up when it ends";
const TLS_ALERT: &str = " got an alert of TLS for an answer: the service speaks it, and was asked without (write `[tls]` into \
                         its description)";
const BETWEEN_REQUESTS: &str =
    " ended by the server between two requests: nothing was lost, the rest needs a new connection";
const ANSWERED_UNSENT: &str = " sent into a connection that the server had closed with the request unread: the reply came, but the send \
                               failed; clients that do not read after a failed send lose it";
const HALF_CLOSED: &str = " saw the server end its side before it had all of the request, which it went on to read: nothing was lost";
const SENT_TWICE: &str =
    " sent once more over a fresh connection, since one that others had used before ended under way";

impl How {
    /// How many, and how, up to where it is said what came before it.
    pub(super) fn begin(&self, count: u64) -> Phrase {
        let said = |text: &str| Phrase::default().count(count).text(text);
        match self {
            Self::PoisonCaught { attempt, pid, step } => said(" poison: attempt ")
                .id(*attempt)
                .text(format!(" failed at step {step}; worker "))
                .id(*pid)
                .text(" caught the error and went on"),
            Self::PoisonStruck { attempt, pid, step, mode } => said(" poison: attempt ")
                .id(*attempt)
                .text(" made worker ")
                .id(*pid)
                .text(format!(" fail ({mode} at step {step})")),
            Self::PoisonUnrecorded { attempt, got } => said(" poison: attempt ")
                .id(*attempt)
                .text(format!(" carried the fault and got {}", got.in_words())),
            Self::WorkerDied { pid: Some(pid) } => {
                said(" in flight: accepted by worker ").id(*pid).text(", which died before it replied")
            }
            Self::WorkerDied { pid: None } => said(" in flight: open when a worker died"),
            Self::NoPath { inode } => {
                said(" found no path to connect to: a listener was there (inode ").id(*inode).text(NO_PATH)
            }
            Self::NobodyListened { silence, .. } => said(" refused: ").then(silence.phrase()),
            Self::NeverListened => said(" refused: nobody ever listened"),
            Self::RefusedByListener => said(" refused, although a listener was seen open at the time"),
            Self::ListenerClosed { inode, closed_ns, kept_back } => {
                let what = if *kept_back { KEPT_BACK } else { " reset in the queue: the listener (inode " };
                said(what).id(*inode).text(") was closed at ").at(*closed_ns)
            }
            Self::ResetByOverflow => {
                said(" reset in the queue: it was full, and the kernel was told to reset what overflows")
            }
            Self::ResetUnseen => said(
                " reset before any worker took it up: no listener was seen to close, and no queue was full",
            ),
            Self::NeverConnected { queue } => {
                said(" never connected").then(queue.map(Queue::phrase).unwrap_or_default())
            }
            Self::Closed { by, cut } => said("").then(by.phrase()).then(cut.phrase(count)),
            Self::EndedBetweenRequests if count == 1 => said(" session").text(BETWEEN_REQUESTS),
            Self::EndedBetweenRequests => said(" sessions").text(BETWEEN_REQUESTS),
            Self::TooLong => said(&too_long()),
            Self::TimedOut { place, partly, in_tls, .. } => {
                said(" timed out").then(place.phrase(count, *partly, *in_tls))
            }
            Self::ErrorStatus { status } => said(&format!(" got status {status}")),
            Self::TlsFailed { failure, certificate } => {
                let head = said(&format!(" failed in the TLS handshake: {failure}"));
                match certificate {
                    Some(certificate) => head.text(format!(" ({certificate})")),
                    None => head,
                }
            }
            Self::StreamEnded { end } => said(&format!(" {end}")),
            Self::TlsAlert => said(TLS_ALERT),
            Self::NotTheAnswer => said(" got a reply that was not the answer to what they asked"),
            Self::Errno { errno, stage } => {
                said(&format!(" of these ended with errno {errno} at stage {stage}"))
            }
            Self::AnsweredUnsent => said(ANSWERED_UNSENT),
            Self::HalfClosed => said(HALF_CLOSED),
            Self::SentTwice => said(SENT_TWICE),
            Self::SynSentAgain { least_ns, most_ns } => sent_again(count, *least_ns, *most_ns),
            Self::QueueFull { inode, queue, from_ns, lasted_ns } => {
                full(*inode, *queue, *lasted_ns, count).text(" from ").at(*from_ns).then(queue.dropped())
            }
            Self::NotSent { cause } => {
                said(&format!(" not sent: {} (not the server's fault)", cause.in_words()))
            }
            Self::Late { deadline_ns, longest_ns, spent } => said(" served late (deadline ")
                .ns(*deadline_ns)
                .text("): the longest took ")
                .ns(*longest_ns)
                .then(spent.map(|spent| spent.phrase(*longest_ns)).unwrap_or_default()),
        }
    }
}

impl How {
    /// What comes after it is said what came before.
    pub(super) fn end(&self) -> Phrase {
        if let Self::NobodyListened { failed_starts, .. } = self {
            return meanwhile(*failed_starts);
        }
        let Self::TimedOut { stuck, failed_starts, .. } = self else { return Phrase::default() };
        let stuck = stuck.iter().enumerate().fold(Phrase::default(), |so_far, (index, one)| {
            so_far.text(if index > 0 { ", " } else { "; " }).then(one.phrase())
        });
        stuck.then(meanwhile(*failed_starts))
    }
}

/// How many workers failed to start, as the end of a sentence.
fn meanwhile(failed_starts: u64) -> Phrase {
    match failed_starts {
        0 => Phrase::default(),
        1 => Phrase::new("; 1 start failed meanwhile"),
        count => Phrase::new("; ").count(count).text(" starts failed meanwhile"),
    }
}

fn too_long() -> String {
    let (mib, kib) = (CONTENT_BYTES_MAX >> 20, HEAD_BYTES_MAX >> 10);
    let limits = format!("{mib} MiB of content, a head of {kib} KiB or {HEADERS_MAX} headers");
    format!(" got a reply longer than what is read ({limits}): whether it was right is not known")
}

fn sent_again(count: u64, least_ns: u64, most_ns: u64) -> Phrase {
    let who = if count == 1 { " connect took " } else { " connects took " };
    let took = Phrase::default().count(count).text(who).ns(least_ns);
    let is_one = show_ns(least_ns) == show_ns(most_ns);
    let took = if is_one { took } else { took.text(" to ").ns(most_ns) };
    took.text(": their SYN was dropped and sent again")
}

fn full(inode: u32, queue: Queue, lasted_ns: u64, times: u64) -> Phrase {
    let line = Phrase::new("the accept queue (inode ").id(inode).text(") was full, with ");
    let line = line.count(queue.held.into()).text(" in it and a limit of ").count(queue.limit.into());
    let line = line.text(", for ").ns(lasted_ns);
    if times == 1 { line } else { line.text(", ").count(times).text(" times") }
}

impl PoisonReply {
    fn in_words(self) -> String {
        match self {
            Self::Status(status) => format!("status {status}"),
            Self::Error => "an error for a reply".to_owned(),
            Self::Nothing => "no reply".to_owned(),
        }
    }
}

impl Silence {
    fn phrase(self) -> Phrase {
        match self {
            Self::LastedNs(ns) => Phrase::new("nobody listened for ").ns(ns),
            Self::AtMostNs(ns) => Phrase::new("nobody listened for at most ").ns(ns),
            Self::GaveWayNs(ns) => Phrase::new("one listener gave way to the next within ").ns(ns),
            Self::FromNs(ns) => Phrase::new("nobody listened from ").at(ns).text(" to the end"),
        }
    }
}

impl Queue {
    fn phrase(self) -> Phrase {
        let held = Phrase::new(": the accept queue held ").count(self.held.into());
        let held = held.text(" with a limit of ").count(self.limit.into());
        match self.drops {
            Some(drops) => held.text(", and that listener dropped ").count(drops.into()).text(" SYNs"),
            None => held,
        }
    }

    /// What became of those that found it full.
    fn dropped(self) -> Phrase {
        match self.drops {
            Some(1) => Phrase::new("; it dropped 1 SYN"),
            Some(drops) => Phrase::new("; it dropped ").count(drops.into()).text(" SYNs"),
            None => Phrase::new("; whoever connected then had to wait for room"),
        }
    }
}

impl Closer {
    fn phrase(self) -> Phrase {
        match self {
            Self::Unknown => Phrase::new(" closed without a complete reply"),
            Self::Reader { pid } => {
                let read = Phrase::new(" read by worker ").id(pid);
                read.text(", and closed without a complete reply")
            }
            Self::Accepter { pid, end } => {
                Phrase::new(" accepted by worker ").id(pid).text(format!(", {}", end.in_words()))
            }
        }
    }
}

impl Cut {
    /// What else there is to say of so many that were closed.
    fn phrase(self, of: u64) -> Phrase {
        let by_reset = match self.resets {
            0 => Phrase::default(),
            resets if resets == of => Phrase::new(", by a reset"),
            resets => Phrase::new(", ").count(resets).text(" of them by a reset"),
        };
        let before = match self.answered_before {
            0 => Phrase::default(),
            _ if of == 1 => Phrase::new("; it had got replies before"),
            sessions => Phrase::new("; ").count(sessions).text(" of them had got replies before"),
        };
        let reused = match self.reused {
            0 => Phrase::default(),
            reused if reused == of => Phrase::new("; over a connection that others had used before"),
            reused => {
                Phrase::new("; ").count(reused).text(" of them over a connection that others had used before")
            }
        };
        let unanswered = match self.pipelined {
            0 => Phrase::default(),
            sent => {
                let head = Phrase::new("; ").count(self.unanswered).text(" of ").count(sent);
                head.text(" requests that were sent at once got no answer")
            }
        };
        by_reset.then(before).then(reused).then(unanswered)
    }
}

impl End {
    const fn in_words(self) -> &'static str {
        match self {
            Self::ClosedThem => "which closed them without a complete reply",
            Self::Exited => "which exited before it replied",
            Self::StoppedDraining => "which was stopped while it drained",
            Self::Ended => "which ended before it replied",
        }
    }
}

impl Part {
    const fn in_words(self) -> &'static str {
        match self {
            Self::BeforeSent => "before it was sent",
            Self::Connecting => "to connect",
            Self::InQueue => "in the queue",
            Self::Greeting => "in the TLS handshake",
            Self::Greeted => "once the TLS handshake was over",
            Self::WithWorker => "with the worker",
            Self::Connected => "once connected",
        }
    }
}

impl Span {
    /// Of an attempt that waited so long. The client's own pauses, as in a slow post, are no wait, but pass
    /// wherever it is meanwhile.
    fn phrase(self, waited_ns: u64) -> Phrase {
        let (ns, part) = (self.lasted_ns, self.part.in_words());
        match ns <= waited_ns {
            true => Phrase::new(", ").ns(ns).text(format!(" of it {part}")),
            false => Phrase::new("; ").ns(ns).text(format!(" passed {part}, its own pauses included")),
        }
    }
}
