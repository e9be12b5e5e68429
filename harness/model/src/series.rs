//! Records of a trial, one after the other, wherever they lie: there may be more of them than memory is for.
//!
//! What reads them goes through them in their order, and says how far it is. Whoever keeps them on disk lets go of
//! what was read; in memory there is nothing to let go of.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Debug;
use std::sync::Arc;

use crate::shm::WorkerRecord;

/// How many records are read before it is told how far they are.
const STRIDE: usize = 2048;

/// Is told how far records have been read.
pub trait Reader: Debug + Send + Sync {
    /// The record at this index is read next, and some behind it.
    fn reads(&self, index: usize);
}

/// Records that can be looked at as if all of them were in memory.
#[derive(Debug)]
pub struct Series<'a, T> {
    all: &'a [T],
    reader: Option<&'a dyn Reader>,
}

impl<T> Clone for Series<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Series<'_, T> {}

impl<'a, T> Series<'a, T> {
    /// Records that lie elsewhere; who keeps them there is told how far they have been read.
    #[must_use]
    pub const fn read_by(all: &'a [T], reader: &'a dyn Reader) -> Self {
        Self { all, reader: Some(reader) }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.all.is_empty()
    }

    /// The record at this index.
    #[must_use]
    pub fn get(self, index: usize) -> Option<&'a T> {
        if index.is_multiple_of(STRIDE) {
            self.tell(index);
        }
        self.all.get(index)
    }

    /// All of them, in order.
    pub fn iter(self) -> impl Iterator<Item = &'a T> {
        self.all.chunks(STRIDE).zip(0..).flat_map(move |(some, turn)| {
            self.tell(turn * STRIDE);
            some
        })
    }

    fn tell(self, index: usize) {
        if let Some(reader) = self.reader {
            reader.reads(index);
        }
    }
}

impl<'a, T> From<&'a [T]> for Series<'a, T> {
    fn from(all: &'a [T]) -> Self {
        Self { all, reader: None }
    }
}

impl<'a, T> From<&'a Vec<T>> for Series<'a, T> {
    fn from(all: &'a Vec<T>) -> Self {
        all.as_slice().into()
    }
}

impl<'a, T, const N: usize> From<&'a [T; N]> for Series<'a, T> {
    fn from(all: &'a [T; N]) -> Self {
        all.as_slice().into()
    }
}

/// The records of several series, each of which is in the order of `key`, in that order; each with the index of its
/// series. Of each series one record is looked at beforehand.
pub fn merged<'a, T, K: Ord>(
    parts: &[Series<'a, T>],
    key: impl Fn(&T) -> K,
) -> impl Iterator<Item = (usize, &'a T)> {
    let mut rest: Vec<_> = parts.iter().map(|part| part.iter()).collect();
    let mut firsts: Vec<Option<&T>> = rest.iter_mut().map(Iterator::next).collect();
    let keyed = |(first, part): (&Option<&T>, usize)| Some(Reverse((key((*first)?), part)));
    let mut order: BinaryHeap<_> = firsts.iter().zip(0..).filter_map(keyed).collect();
    std::iter::from_fn(move || {
        let Reverse((_, part)) = order.pop()?;
        let next = rest[part].next();
        order.extend(next.map(|record| Reverse((key(record), part))));
        Some((part, std::mem::replace(&mut firsts[part], next)?))
    })
}

/// What one worker recorded, where it is kept as the worker wrote it.
pub trait Written: Debug + Send + Sync {
    /// How many records there are.
    fn count(&self) -> usize;

    /// The record at this index; `None`: there are fewer.
    fn get(&self, index: usize) -> Option<WorkerRecord>;
}

/// One worker's records, in order.
#[derive(Debug, Clone)]
pub struct WorkerRecords(Kept);

#[derive(Debug, Clone)]
enum Kept {
    Here(Vec<WorkerRecord>),
    There {
        written: Arc<dyn Written>,
        /// Indexes of those that are left out, in order.
        without: Vec<usize>,
    },
}

impl WorkerRecords {
    /// Records that lie elsewhere.
    #[must_use]
    pub fn of(written: Arc<dyn Written>) -> Self {
        Self(Kept::There { written, without: Vec::new() })
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = WorkerRecord> {
        let indexes = match &self.0 {
            Kept::Here(records) => 0..records.len(),
            Kept::There { written, .. } => 0..written.count(),
        };
        indexes.filter_map(|index| match &self.0 {
            Kept::Here(records) => records.get(index).copied(),
            Kept::There { without, .. } if without.binary_search(&index).is_ok() => None,
            Kept::There { written, .. } => written.get(index),
        })
    }

    /// The first one.
    #[must_use]
    pub fn first(&self) -> Option<WorkerRecord> {
        self.iter().next()
    }

    /// The last one.
    #[must_use]
    pub fn last(&self) -> Option<WorkerRecord> {
        self.iter().next_back()
    }

    /// Leaves those out of which this is not true.
    pub fn retain(&mut self, is_kept: impl Fn(&WorkerRecord) -> bool) {
        match &mut self.0 {
            Kept::Here(records) => records.retain(is_kept),
            Kept::There { written, without } => {
                let is_out = |index: &usize| written.get(*index).is_none_or(|record| !is_kept(&record));
                *without = (0..written.count())
                    .filter(|index| without.binary_search(index).is_ok() || is_out(index))
                    .collect();
            }
        }
    }

    /// All of them in memory, to be changed there.
    pub fn gathered(&mut self) -> &mut Vec<WorkerRecord> {
        if let Kept::There { .. } = &self.0 {
            self.0 = Kept::Here(self.iter().collect());
        }
        match &mut self.0 {
            Kept::Here(records) => records,
            Kept::There { .. } => unreachable!("they were gathered just now"),
        }
    }
}

impl From<Vec<WorkerRecord>> for WorkerRecords {
    fn from(records: Vec<WorkerRecord>) -> Self {
        Self(Kept::Here(records))
    }
}

impl FromIterator<WorkerRecord> for WorkerRecords {
    fn from_iter<I: IntoIterator<Item = WorkerRecord>>(records: I) -> Self {
        Self(Kept::Here(records.into_iter().collect()))
    }
}

impl PartialEq for WorkerRecords {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for WorkerRecords {}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;
    use crate::shm::RecordKind;

    #[derive(Debug, Default)]
    struct Told(Mutex<Vec<usize>>);

    impl Reader for Told {
        fn reads(&self, index: usize) {
            self.0.lock().expect("one thread").push(index);
        }
    }

    #[test]
    fn who_keeps_records_is_told_how_far_they_are_read_and_each_is_read_once() {
        let numbers: Vec<usize> = (0..STRIDE * 2 + 5).collect();
        let told = Told::default();
        let series = Series::read_by(&numbers, &told);
        assert!(series.iter().copied().eq(0..numbers.len()));
        assert_eq!(*told.0.lock().expect("one thread"), [0, STRIDE, 2 * STRIDE]);
        assert!((0..numbers.len()).all(|index| series.get(index) == Some(&index)));
        assert_eq!(told.0.lock().expect("one thread").len(), 6);
        assert_eq!((series.get(numbers.len()), series.len()), (None, numbers.len()));
    }

    proptest! {
        #[test]
        fn several_series_are_merged_in_their_order_and_none_is_left_out(
            numbers in proptest::collection::vec((0_usize..5, 0_u32..40), 0..200),
        ) {
            let mut parts = vec![Vec::new(); 5];
            numbers.iter().for_each(|(part, number)| parts[*part].push(*number));
            parts.iter_mut().for_each(|part| part.sort_unstable());
            let series: Vec<Series<'_, u32>> = parts.iter().map(Series::from).collect();
            let all: Vec<(usize, u32)> = merged(&series, |number| *number).map(|(part, number)| (part, *number)).collect();
            prop_assert!(all.is_sorted_by_key(|(_, number)| *number));
            for (index, part) in parts.iter().enumerate() {
                prop_assert!(all.iter().filter(|(from, _)| *from == index).map(|(_, number)| number).eq(part));
            }
        }
    }

    #[derive(Debug)]
    struct Elsewhere(u32);

    impl Written for Elsewhere {
        fn count(&self) -> usize {
            self.0 as usize
        }

        fn get(&self, index: usize) -> Option<WorkerRecord> {
            let connection = u32::try_from(index).ok().filter(|index| *index < self.0)?;
            let kind = RecordKind::Accepted;
            Some(WorkerRecord { kind, pid: 7, generation: 1, connection, at_ns: 1, detail: 0, peer: None })
        }
    }

    #[test]
    fn what_is_left_out_is_the_same_wherever_records_lie() {
        let there = WorkerRecords::of(Arc::new(Elsewhere(6)));
        let here: WorkerRecords = there.iter().collect();
        for mut some in [there, here] {
            some.retain(|it| it.connection != 0);
            some.retain(|it| it.connection % 2 == 1);
            assert!(some.iter().map(|it| it.connection).eq([1, 3, 5]));
            let ends = [some.first(), some.last()].map(|it| it.map(|it| it.connection));
            assert_eq!(ends, [Some(1), Some(5)]);
            some.gathered().remove(1);
            assert!(some.iter().rev().map(|it| it.connection).eq([5, 1]));
        }
    }
}
