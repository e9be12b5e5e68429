//! A ledger that has been read once, to be read again from where it lies.

use std::sync::atomic::{AtomicUsize, Ordering};

use holdline_model::series::Written;
use holdline_model::shm::{RECORD_BYTES, WorkerRecord};

use super::record_offset;
use crate::shared::SharedMap;

/// How many records are looked at before the memory is given back in which they were seen: a quarter of a MiB.
pub(super) const STRIDE: usize = 4096;

/// The records of a ledger in its file. They do not change: a writer only appends.
#[derive(Debug)]
pub(super) struct WrittenLedger {
    map: SharedMap,
    count: usize,
    /// The stride that was looked at last.
    stride: AtomicUsize,
}

impl WrittenLedger {
    /// So many records, all of which were found to be sound.
    pub(super) const fn new(map: SharedMap, count: usize) -> Self {
        Self { map, count, stride: AtomicUsize::new(0) }
    }
}

impl Written for WrittenLedger {
    fn count(&self) -> usize {
        self.count
    }

    fn get(&self, index: usize) -> Option<WorkerRecord> {
        if index >= self.count {
            return None;
        }
        let stride = index / STRIDE;
        if self.stride.load(Ordering::Relaxed) != stride {
            self.stride.store(stride, Ordering::Relaxed);
            self.map.let_go();
        }
        WorkerRecord::decode(&self.map.read::<RECORD_BYTES>(record_offset(index))).ok().flatten()
    }
}
