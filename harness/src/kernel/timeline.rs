//! Turns what was seen at one instant after another into a history: listeners that open and close,
//! and queues that change.
//!
//! It reads no clock and asks nobody. Between two looks it knows nothing: a listener that was closed
//! and another that was opened in the same interval have the same instant, and a queue that filled
//! and drained within it did not happen (but its drops are still counted by the kernel).

use std::collections::BTreeMap;

use holdline_model::record::{Listener, QueueSample};

use super::diag::ListenerSeen;
use super::samples::SampleLog;

/// What happened to a listener. Rare, so that it can be passed on at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerEvent {
    /// It was seen for the first time.
    Opened {
        /// When, in CLOCK_MONOTONIC nanoseconds.
        at_ns: u64,
        /// Its inode.
        inode: u32,
        /// How many connections may wait in its accept queue.
        limit: u32,
    },
    /// It is known who holds it, or is known better than before.
    Held {
        /// Its inode.
        inode: u32,
        /// The processes, by the ids that `/proc` gives them here.
        holders: Vec<u32>,
    },
    /// It is gone: it closed between the two instants.
    Closed {
        /// Its inode.
        inode: u32,
        /// When it was last seen, in CLOCK_MONOTONIC nanoseconds.
        last_seen_ns: u64,
        /// When it was first found missing, in CLOCK_MONOTONIC nanoseconds.
        gone_ns: u64,
    },
}

/// What one look at the listeners of an address showed.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// When it began, in CLOCK_MONOTONIC nanoseconds: what was seen was still there then.
    pub began_ns: u64,
    /// When it ended, in CLOCK_MONOTONIC nanoseconds: what was not seen was gone by then.
    pub ended_ns: u64,
    /// The listeners, each once.
    pub seen: &'a [ListenerSeen],
}

/// The whole history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// The listeners, in order of opening.
    pub listeners: Vec<Listener>,
    /// Their queues over time: one sample at opening, then one for each change that was seen.
    pub samples: Vec<QueueSample>,
    /// Whether samples had to be left out to keep to the limit.
    pub thinned: bool,
}

/// The history so far.
#[derive(Debug)]
pub struct Tracker {
    listeners: Vec<Listener>,
    open: BTreeMap<u32, Open>,
    samples: SampleLog,
    /// Whether queues and drops count.
    counts: bool,
}

/// A listener that was there when last looked.
#[derive(Debug)]
struct Open {
    /// Where it is in the list of listeners.
    index: usize,
    now: ListenerSeen,
    last_seen_ns: u64,
}

impl Tracker {
    /// A history that keeps at most `samples_max` queue samples, but at least two.
    #[must_use]
    pub fn new(samples_max: usize) -> Self {
        Self {
            listeners: Vec::new(),
            open: BTreeMap::new(),
            samples: SampleLog::new(samples_max),
            counts: true,
        }
    }

    /// Queues and drops count no more from now on: the load is over. What opens and closes is told on.
    pub fn stop_counting(&mut self) {
        self.counts = false;
    }

    /// Adds a look, which must be later than all before it, and says what it changed: first
    /// what closed, then what opened.
    pub fn feed(&mut self, look: Look<'_>) -> Vec<ListenerEvent> {
        let mut events = self.close_missing(look);
        for seen in look.seen {
            events.extend(self.see(look, *seen));
        }
        events
    }

    /// Adds processes that hold an open listener, and returns all that are known by now if any of
    /// these is new.
    pub fn add_holders(&mut self, inode: u32, holders: &[u32]) -> Option<ListenerEvent> {
        let listener = &mut self.listeners[self.open.get(&inode)?.index];
        let known = listener.holders.len();
        for holder in holders {
            if !listener.holders.contains(holder) {
                listener.holders.push(*holder);
            }
        }
        let more = listener.holders.len() > known;
        more.then(|| ListenerEvent::Held { inode, holders: listener.holders.clone() })
    }

    /// The history, with those listeners left open that were there at the last look.
    #[must_use]
    pub fn finish(self) -> Timeline {
        let (samples, thinned) = self.samples.finish();
        Timeline { listeners: self.listeners, samples, thinned }
    }

    fn close_missing(&mut self, look: Look<'_>) -> Vec<ListenerEvent> {
        let mut events = Vec::new();
        self.open.retain(|inode, open| {
            let still_there = look.seen.iter().any(|seen| seen.inode == *inode);
            if !still_there {
                let (last_seen_ns, gone_ns) = (open.last_seen_ns, look.ended_ns);
                let listener = &mut self.listeners[open.index];
                listener.last_seen_ns = Some(last_seen_ns);
                listener.gone_ns = Some(gone_ns);
                events.push(ListenerEvent::Closed { inode: *inode, last_seen_ns, gone_ns });
            }
            still_there
        });
        events
    }

    fn see(&mut self, look: Look<'_>, seen: ListenerSeen) -> Option<ListenerEvent> {
        let Some(open) = self.open.get_mut(&seen.inode) else {
            return Some(self.open(look, seen));
        };
        open.last_seen_ns = look.began_ns;
        if self.counts && open.now != seen {
            open.now = seen;
            let listener = &mut self.listeners[open.index];
            listener.queue_max = listener.queue_max.max(seen.queue);
            listener.limit = seen.limit;
            listener.drops = seen.drops;
            self.samples.push(sample(look, seen));
        }
        None
    }

    fn open(&mut self, look: Look<'_>, seen: ListenerSeen) -> ListenerEvent {
        let open = Open { index: self.listeners.len(), now: seen, last_seen_ns: look.ended_ns };
        self.open.insert(seen.inode, open);
        self.listeners.push(Listener {
            inode: seen.inode,
            opened_ns: look.ended_ns,
            last_seen_ns: None,
            gone_ns: None,
            holders: Vec::new(),
            queue_max: if self.counts { seen.queue } else { 0 },
            limit: seen.limit,
            drops: seen.drops.map(|drops| if self.counts { drops } else { 0 }),
        });
        if self.counts {
            self.samples.push(sample(look, seen));
        }
        ListenerEvent::Opened { at_ns: look.ended_ns, inode: seen.inode, limit: seen.limit }
    }
}

fn sample(look: Look<'_>, seen: ListenerSeen) -> QueueSample {
    let ListenerSeen { inode, queue, limit, drops } = seen;
    QueueSample { at_ns: look.ended_ns, inode, queue, limit, drops }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(inode: u32, queue: u32) -> ListenerSeen {
        ListenerSeen { inode, queue, limit: 4, drops: Some(queue / 2) }
    }

    fn look(at: u64, seen: &[ListenerSeen]) -> Look<'_> {
        Look { began_ns: at * 1000, ended_ns: at * 1000 + 20, seen }
    }

    #[test]
    fn a_listener_that_is_replaced_closes_before_the_other_opens() {
        let mut tracker = Tracker::new(100);
        assert_eq!(tracker.feed(look(1, &[])), []);
        let opened = ListenerEvent::Opened { at_ns: 2020, inode: 7, limit: 4 };
        assert_eq!(tracker.feed(look(2, &[seen(7, 0)])), [opened]);
        assert_eq!(tracker.feed(look(3, &[seen(7, 5)])), []);
        let closed = ListenerEvent::Closed { inode: 7, last_seen_ns: 3000, gone_ns: 4020 };
        let opened = ListenerEvent::Opened { at_ns: 4020, inode: 8, limit: 4 };
        assert_eq!(tracker.feed(look(4, &[seen(8, 1)])), [closed, opened]);

        let Timeline { listeners, samples, thinned } = tracker.finish();
        let first = &listeners[0];
        assert_eq!((first.opened_ns, first.last_seen_ns, first.gone_ns), (2020, Some(3000), Some(4020)));
        assert_eq!((first.queue_max, first.limit, first.drops), (5, 4, Some(2)));
        assert_eq!((listeners[1].opened_ns, listeners[1].gone_ns), (4020, None));
        assert_eq!(
            samples.iter().map(|sample| (sample.inode, sample.queue)).collect::<Vec<_>>(),
            [(7, 0), (7, 5), (8, 1)]
        );
        assert!(!thinned);
    }

    #[test]
    fn what_comes_after_the_load_opens_and_closes_but_counts_for_nothing() {
        let mut tracker = Tracker::new(100);
        let _ = tracker.feed(look(1, &[seen(7, 2)]));
        tracker.stop_counting();
        assert_eq!(tracker.feed(look(2, &[seen(7, 5)])), []);
        assert_eq!(tracker.feed(look(3, &[seen(8, 3)])).len(), 2);
        let Timeline { listeners, samples, .. } = tracker.finish();
        assert_eq!(
            (listeners[0].queue_max, listeners[0].drops, listeners[0].gone_ns),
            (2, Some(1), Some(3020))
        );
        assert_eq!((listeners[1].queue_max, listeners[1].drops, listeners[1].opened_ns), (0, Some(0), 3020));
        assert_eq!(samples.len(), 1);
    }

    #[test]
    fn holders_are_added_while_the_listener_is_open() {
        let mut tracker = Tracker::new(100);
        let _ = tracker.feed(look(1, &[seen(7, 0)]));
        let held = |holders: &[u32]| Some(ListenerEvent::Held { inode: 7, holders: holders.to_vec() });
        assert_eq!(tracker.add_holders(7, &[]), None);
        assert_eq!(tracker.add_holders(7, &[20]), held(&[20]));
        assert_eq!(tracker.add_holders(7, &[20, 21, 22]), held(&[20, 21, 22]));
        assert_eq!(tracker.add_holders(7, &[21]), None);
        assert_eq!(tracker.add_holders(8, &[21]), None);
        let _ = tracker.feed(look(2, &[]));
        assert_eq!(tracker.add_holders(7, &[23]), None);
        assert_eq!(tracker.finish().listeners[0].holders, [20, 21, 22]);
    }

    #[test]
    fn nothing_is_written_down_while_nothing_changes() {
        let mut tracker = Tracker::new(100);
        for at in 0..1000 {
            let _ = tracker.feed(look(at, &[seen(7, 1), seen(8, 0)]));
        }
        assert_eq!(tracker.finish().samples.len(), 2);
    }

    /// Looks at up to four listeners, each of which may be there or not.
    fn looks() -> impl Strategy<Value = Vec<Vec<ListenerSeen>>> {
        let listener = proptest::option::weighted(0.8, (0u32..9, 1u32..3));
        proptest::collection::vec(proptest::array::uniform4(listener), 0..200).prop_map(|looks| {
            let there = |(inode, listener): (u32, Option<(u32, u32)>)| {
                let (queue, limit) = listener?;
                Some(ListenerSeen { inode, queue, limit, drops: Some(queue) })
            };
            looks.into_iter().map(|look| (100..).zip(look).filter_map(there).collect()).collect()
        })
    }

    fn fed(looks: &[Vec<ListenerSeen>], samples_max: usize) -> (Vec<ListenerEvent>, Timeline) {
        let mut tracker = Tracker::new(samples_max);
        let mut events = Vec::new();
        for (at, seen) in (1..).zip(looks) {
            events.extend(tracker.feed(look(at, seen)));
        }
        (events, tracker.finish())
    }

    proptest! {
        #[test]
        fn a_listener_opens_once_and_closes_at_most_once(looks in looks()) {
            let (events, timeline) = fed(&looks, 1000);
            let mut open = Vec::new();
            for event in &events {
                match event {
                    ListenerEvent::Opened { inode, .. } => {
                        prop_assert!(!open.contains(inode));
                        open.push(*inode);
                    }
                    ListenerEvent::Closed { inode, last_seen_ns, gone_ns } => {
                        prop_assert!(open.contains(inode) && last_seen_ns < gone_ns);
                        open.retain(|other| other != inode);
                    }
                    ListenerEvent::Held { .. } => prop_assert!(false),
                }
            }
            let opened = |event: &&ListenerEvent| matches!(event, ListenerEvent::Opened { .. });
            prop_assert_eq!(timeline.listeners.len(), events.iter().filter(opened).count());
            let mut last: Vec<u32> = looks.last().into_iter().flatten().map(|seen| seen.inode).collect();
            last.sort_unstable();
            open.sort_unstable();
            prop_assert_eq!(&open, &last);
            let still = timeline.listeners.iter().filter(|listener| listener.gone_ns.is_none());
            prop_assert_eq!(still.count(), last.len());
        }

        #[test]
        fn peaks_and_last_values_are_what_was_fed(looks in looks(), samples_max in 16usize..100) {
            let (_, Timeline { listeners, samples, .. }) = fed(&looks, samples_max);
            prop_assert!(samples.is_sorted_by_key(|sample| sample.at_ns));
            prop_assert!(samples.len() <= samples_max);
            for inode in 100..104 {
                let all = || looks.iter().flatten().filter(|seen| seen.inode == inode);
                let kept = || samples.iter().filter(|sample| sample.inode == inode);
                let lives = listeners.iter().filter(|listener| listener.inode == inode);
                let peak = all().map(|seen| seen.queue).max();
                prop_assert_eq!(lives.map(|listener| listener.queue_max).max(), peak);
                prop_assert_eq!(kept().map(|sample| sample.queue).max(), peak);
                let last = all().next_back().map(|seen| (seen.queue, seen.limit, seen.drops));
                prop_assert_eq!(kept().next_back().map(|kept| (kept.queue, kept.limit, kept.drops)), last);
            }
        }

        #[test]
        fn a_log_that_is_not_full_has_every_value(looks in looks()) {
            let (_, Timeline { samples, thinned, .. }) = fed(&looks, 1000);
            prop_assert!(!thinned);
            for (at, look) in (1..).zip(&looks) {
                for seen in look {
                    let mut before = samples.iter().filter(|s| s.inode == seen.inode && s.at_ns <= at * 1000 + 20);
                    let value = before.next_back().map(|s| (s.queue, s.limit, s.drops));
                    prop_assert_eq!(value, Some((seen.queue, seen.limit, seen.drops)));
                }
            }
        }

        #[test]
        fn no_number_of_listeners_breaks_the_limit(count in 1u32..300, samples_max in 0usize..20) {
            let looks: Vec<_> = (0..count).map(|inode| vec![seen(inode, inode)]).collect();
            let (_, Timeline { listeners, samples, thinned }) = fed(&looks, samples_max);
            prop_assert_eq!(listeners.len(), count as usize);
            prop_assert!(samples.len() <= samples_max.max(2));
            prop_assert_eq!(thinned, count as usize > samples_max.max(2));
        }
    }
}
