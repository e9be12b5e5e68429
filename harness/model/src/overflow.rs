//! Accept queues that were full: which listener's, when, and for how long.
//!
//! A queue is full when more wait in it than its limit: the kernel holds one connection more than
//! it was asked for (`sk_acceptq_is_full` in include/net/sock.h, `unix_recvq_full` in
//! net/unix/af_unix.c). A TCP listener then drops SYNs, which the client's kernel sends again; a
//! Unix listener lets `connect` wait. What came and went between two looks is not here.

use crate::record::{KernelRecord, Listener};

/// Spans with less than this between them are one: a queue that is being drained while others push in
/// is full and not full a thousand times a second.
const JOIN_NS: u64 = 20_000_000;

/// A span of time in which a listener's accept queue was full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullSpan {
    /// The listener's inode.
    pub inode: u32,
    /// When it was first seen full, in CLOCK_MONOTONIC nanoseconds.
    pub from_ns: u64,
    /// When it was seen to have room again, was closed, or the trial ended.
    pub to_ns: u64,
    /// How many waited, at most.
    pub queue_max: u32,
    /// How many may wait.
    pub limit: u32,
}

impl FullSpan {
    /// How long it lasted, in nanoseconds.
    #[must_use]
    pub const fn length_ns(&self) -> u64 {
        self.to_ns.saturating_sub(self.from_ns)
    }
}

/// The spans in which a listener's queue was full, in order of time, up to `end_ns`.
#[must_use]
pub fn full_spans(kernel: &KernelRecord, listener: &Listener, end_ns: u64) -> Vec<FullSpan> {
    let end_ns = listener.last_seen_ns.map_or(end_ns, |last_ns| last_ns.min(end_ns));
    let samples: Vec<_> = kernel.samples.iter().filter(|sample| sample.inode == listener.inode).collect();
    let mut spans: Vec<FullSpan> = Vec::new();
    for (index, sample) in samples.iter().enumerate().filter(|(_, sample)| sample.queue > sample.limit) {
        let to_ns = samples.get(index + 1).map_or(end_ns, |next| next.at_ns).min(end_ns);
        if sample.at_ns >= end_ns {
            break;
        }
        match spans.last_mut() {
            Some(last) if sample.at_ns <= last.to_ns + JOIN_NS => {
                last.to_ns = to_ns;
                last.queue_max = last.queue_max.max(sample.queue);
            }
            _ => spans.push(FullSpan {
                inode: listener.inode,
                from_ns: sample.at_ns,
                to_ns,
                queue_max: sample.queue,
                limit: sample.limit,
            }),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::QueueSample;

    const MS: u64 = 1_000_000;

    fn kernel(samples: &[(u64, u32)], last_seen_ns: Option<u64>, drops: Option<u32>) -> KernelRecord {
        let sample = |(at_ms, queue): &(u64, u32)| QueueSample {
            at_ns: at_ms * MS,
            inode: 9,
            queue: *queue,
            limit: 4,
            drops,
        };
        KernelRecord {
            listeners: vec![Listener {
                inode: 9,
                opened_ns: 0,
                last_seen_ns,
                gone_ns: last_seen_ns.map(|ns| ns + MS),
                holders: Vec::new(),
                queue_max: 5,
                limit: 4,
                drops,
            }],
            samples: samples.iter().map(sample).collect(),
            ..KernelRecord::default()
        }
    }

    #[track_caller]
    fn check(samples: &[(u64, u32)], last_seen_ns: Option<u64>, expected: &[(u64, u64)]) {
        let kernel = kernel(samples, last_seen_ns, Some(3));
        let spans = full_spans(&kernel, &kernel.listeners[0], 1000 * MS);
        let spans: Vec<_> = spans.iter().map(|span| (span.from_ns / MS, span.to_ns / MS)).collect();
        assert_eq!(spans, expected);
    }

    #[test]
    fn a_queue_is_full_until_it_has_room() {
        check(&[(1, 0), (2, 4)], None, &[]);
        check(&[(1, 5), (300, 4)], None, &[(1, 300)]);
        check(&[(1, 5)], None, &[(1, 1000)]);
        check(&[(1, 5)], Some(50 * MS), &[(1, 50)]);
        check(&[(1, 5), (2000, 0)], None, &[(1, 1000)]);
        check(&[(1100, 5)], None, &[]);
    }

    #[test]
    fn flutter_is_one_span_and_what_lies_apart_is_another() {
        check(&[(1, 5), (2, 4), (4, 5), (6, 3), (500, 5), (600, 0)], None, &[(1, 6), (500, 600)]);
    }
}
