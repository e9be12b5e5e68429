//! The log of queue samples: as long as the trial is eventful, yet never longer than a limit.
//!
//! When it is full, it is thinned: of each span of time the peak and the last sample of
//! each listener stay. So the longest queue and the last known state survive, and what is lost is
//! how often a queue went up and down in between.

use std::collections::{BTreeMap, BTreeSet};

use holdline_model::record::QueueSample;

/// Samples in the order in which they were taken.
#[derive(Debug)]
pub(super) struct SampleLog {
    samples: Vec<QueueSample>,
    samples_max: usize,
    /// The span of time of which two samples of each listener stay, in nanoseconds; 0: not thinned.
    span_ns: u64,
}

impl SampleLog {
    pub(super) fn new(samples_max: usize) -> Self {
        Self { samples: Vec::new(), samples_max: samples_max.max(2), span_ns: 0 }
    }

    pub(super) fn push(&mut self, sample: QueueSample) {
        if self.samples.len() == self.samples_max {
            self.thin();
        }
        self.samples.push(sample);
    }

    /// The samples, and whether some are missing.
    pub(super) fn finish(self) -> (Vec<QueueSample>, bool) {
        (self.samples, self.span_ns > 0)
    }

    /// Makes half of the log free, so that thinning is rare.
    fn thin(&mut self) {
        let first_ns = self.samples.first().map_or(0, |sample| sample.at_ns);
        let whole_ns = self.samples.last().map_or(0, |sample| sample.at_ns.saturating_sub(first_ns));
        let half = self.samples_max / 2;
        self.span_ns = self.span_ns.max(whole_ns / self.samples_max as u64).max(1);
        loop {
            let stay = peaks_and_lasts(&self.samples, first_ns, self.span_ns);
            let mut index = 0;
            self.samples.retain(|_| (stay.contains(&index), index += 1).0);
            if self.samples.len() <= half || self.span_ns > whole_ns {
                break;
            }
            self.span_ns = self.span_ns.saturating_mul(2);
        }
        // Only a trial with very many listeners comes here. Those of long ago have their peaks in
        // the list of listeners.
        let excess = self.samples.len().saturating_sub(half);
        self.samples.drain(..excess);
    }
}

/// Indices of the highest and of the last sample that each listener has in each span of time.
fn peaks_and_lasts(samples: &[QueueSample], first_ns: u64, span_ns: u64) -> BTreeSet<usize> {
    let mut spans: BTreeMap<(u32, u64), (usize, usize)> = BTreeMap::new();
    for (index, sample) in samples.iter().enumerate() {
        let span = sample.at_ns.saturating_sub(first_ns) / span_ns;
        let (peak, last) = spans.entry((sample.inode, span)).or_insert((index, index));
        *last = index;
        if sample.queue > samples[*peak].queue {
            *peak = index;
        }
    }
    spans.into_values().flat_map(|(peak, last)| [peak, last]).collect()
}
