//! The page that a trial's runner and its tracer share: what has struck, and whose call is over. Words in memory, since
//! whoever strikes must not wait, and who is traced does the next thing within microseconds.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

use memmap2::{MmapOptions, MmapRaw};

/// A word for each fault that has struck, and then one for each that whoever is held for it may go on.
#[derive(Debug)]
pub(crate) struct Page {
    map: MmapRaw,
    faults: usize,
}

impl Page {
    /// A page for so many faults, in this file, which nobody shortens.
    pub(crate) fn create(file: &File, faults: usize) -> io::Result<Self> {
        let bytes = 2 * faults * size_of::<u32>();
        file.set_len(bytes as u64)?;
        Ok(Self { map: MmapOptions::new().len(bytes).map_raw(file)?, faults })
    }

    /// The page that another process has created in this file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        let bytes = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let faults = bytes / 2 / size_of::<u32>();
        Ok(Self { map: MmapOptions::new().len(bytes).map_raw(&file)?, faults })
    }

    /// A fault strikes now.
    pub(crate) fn strikes(&self, fault: usize) {
        if let Some(word) = self.word(fault, 0) {
            word.store(1, Release);
        }
    }

    /// Whether it has.
    pub(crate) fn has_struck(&self, fault: usize) -> bool {
        self.word(fault, 0).is_some_and(|word| word.load(Acquire) != 0)
    }

    /// Whoever is held for a fault goes on.
    pub(crate) fn let_go(&self, fault: usize) {
        if let Some(word) = self.word(fault, self.faults) {
            word.store(1, Release);
        }
    }

    /// Whether it may.
    pub(crate) fn is_let_go(&self, fault: usize) -> bool {
        self.word(fault, self.faults).is_some_and(|word| word.load(Acquire) != 0)
    }

    /// The word of a fault that is there, in the half that begins at this one.
    fn word(&self, fault: usize, first: usize) -> Option<&AtomicU32> {
        let index = (fault < self.faults).then(|| first + fault)?;
        let pointer = self.map.as_mut_ptr().wrapping_add(index * size_of::<u32>()).cast();
        // SAFETY: a mapping begins at a page, so that the pointer is aligned; it is within the mapping, which outlives
        // `self`; and all accesses are atomic.
        Some(unsafe { AtomicU32::from_ptr(pointer) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_process_writes_the_other_reads_and_there_is_nothing_beyond() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let page = Page::create(file.as_file(), 2).expect("a page");
        let other = Page::open(file.path()).expect("the same");
        for fault in 0..4 {
            assert!(!other.has_struck(fault) && !other.is_let_go(fault), "{fault}");
        }
        page.strikes(1);
        page.let_go(0);
        page.let_go(7);
        let seen: Vec<(bool, bool)> = (0..4).map(|n| (other.has_struck(n), other.is_let_go(n))).collect();
        assert_eq!(seen, [(false, true), (true, false), (false, false), (false, false)]);
    }
}
