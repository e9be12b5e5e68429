//! Where the records of attempts are kept while the load runs: in memory, or in a file for loads of any length.
//!
//! Records are changed until nothing more is heard of their connections. Those of attempts that begin one after the
//! other lie together in a chunk, which is written once it is full and all of them are over. One that is not, long
//! after those around it, does not keep them in memory: it is set aside, and written when it is over. Another thread
//! writes, so that a disk that is slow does not delay the load; what it has written it gives back to be filled anew.
//! Where several client threads make a load, each has a log of its own attempts, and all are merged once it is over.

mod file;
mod several;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;

use holdline_model::part::Part;
use holdline_model::record::ClientRecord;
use holdline_model::series::Series;

use self::file::{Mapped, Writer};
pub use self::several::RecordLogs;
pub(super) use self::several::merged;

/// How many attempts have their records together.
const CHUNK: usize = 1024;
/// How many chunks wait for those that are not over: 6 MiB.
const CHUNKS_MAX: usize = 64;

/// The records of a load that is over, in the order of attempts.
#[derive(Debug)]
pub struct Records(Kept);

#[derive(Debug)]
enum Kept {
    Here(Vec<ClientRecord>),
    There(Mapped),
}

impl Records {
    /// All of them, in memory.
    #[must_use]
    pub(super) fn into_vec(self) -> Vec<ClientRecord> {
        match self.0 {
            Kept::Here(records) => records,
            Kept::There(mapped) => mapped.series().iter().copied().collect(),
        }
    }

    /// All of them.
    #[must_use]
    pub fn series(&self) -> Series<'_, ClientRecord> {
        match &self.0 {
            Kept::Here(records) => records.into(),
            Kept::There(mapped) => mapped.series(),
        }
    }
}

impl From<Vec<ClientRecord>> for Records {
    fn from(records: Vec<ClientRecord>) -> Self {
        Self(Kept::Here(records))
    }
}

/// Of which attempts a log has records.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attempts {
    /// Of all.
    All,
    /// Of those that one part of a load makes in its turn.
    Turns(Part),
    /// Of whichever it takes up, in ascending order.
    Some,
}

/// Records that lie together.
#[derive(Debug, Default)]
struct Chunk {
    records: Vec<ClientRecord>,
    /// A bit for each that is over.
    over: [u64; CHUNK / 64],
    /// How many are.
    over_count: usize,
}

impl Chunk {
    fn empty() -> Self {
        Self { records: Vec::with_capacity(CHUNK), ..Self::default() }
    }

    fn clear(&mut self) {
        self.records.clear();
        (self.over, self.over_count) = ([0; CHUNK / 64], 0);
    }

    fn is_full(&self) -> bool {
        self.records.len() == CHUNK
    }

    fn is_over(&self, place: usize) -> bool {
        self.over[place / 64] & 1 << (place % 64) != 0
    }

    fn set_over(&mut self, place: usize) {
        if !self.is_over(place) {
            self.over[place / 64] |= 1 << (place % 64);
            self.over_count += 1;
        }
    }
}

/// The records of a load that runs.
#[derive(Debug)]
pub struct RecordLog {
    attempts: Attempts,
    /// Those in memory, in order.
    chunks: VecDeque<Chunk>,
    /// How many chunks were written before these.
    written: usize,
    /// Records that were not over when their chunk was written, by attempt, each with its place among all.
    aside: HashMap<u32, (usize, ClientRecord)>,
    /// In the place of one that is over and written.
    nobodys: ClientRecord,
    /// Who writes; `None`: everything stays in memory.
    writer: Option<Writer>,
}

impl RecordLog {
    /// In memory.
    #[must_use]
    pub fn in_memory() -> Self {
        let nobodys = ClientRecord::planned(0, 0, false);
        let attempts = Attempts::All;
        Self { attempts, chunks: VecDeque::new(), written: 0, aside: HashMap::new(), nobodys, writer: None }
    }

    /// In a file without a name on the disk of this folder, which is gone when nobody reads it any more.
    ///
    /// # Errors
    ///
    /// If the file cannot be made, or there is no thread to write it.
    pub fn on_disk(folder: &Path) -> io::Result<Self> {
        Ok(Self { writer: Some(Writer::start(folder)?), ..Self::in_memory() })
    }

    /// The same log, of these attempts. To be said before it has any.
    pub(super) fn of_those(self, attempts: Attempts) -> Self {
        Self { attempts, ..self }
    }

    /// Takes up the record of the next attempt.
    pub(super) fn push(&mut self, record: ClientRecord) {
        if self.chunks.back().is_none_or(Chunk::is_full) {
            self.write_what_can_be();
            let spare = self.writer.as_ref().and_then(Writer::spare);
            self.chunks.push_back(spare.unwrap_or_else(Chunk::empty));
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.records.push(record);
        }
    }

    /// The record of an attempt that has begun. What is changed of one that is over and written is kept for nobody.
    pub(super) fn of(&mut self, attempt: u32) -> &mut ClientRecord {
        match self.place_of(attempt) {
            Some((index, place)) => &mut self.chunks[index].records[place],
            None => self.aside.get_mut(&attempt).map_or(&mut self.nobodys, |(_, record)| record),
        }
    }

    /// Nothing more becomes of an attempt.
    pub(super) fn is_over(&mut self, attempt: u32) {
        if let Some((index, place)) = self.place_of(attempt) {
            self.chunks[index].set_over(place);
        } else if let Some((index, record)) = self.aside.remove(&attempt)
            && let Some(writer) = &mut self.writer
        {
            writer.write_one(index, record);
        }
    }

    /// In which of the chunks an attempt is, and where there; `None`: it was written with its chunk.
    fn place_of(&self, attempt: u32) -> Option<(usize, usize)> {
        let turn = match self.attempts {
            Attempts::All => attempt,
            Attempts::Turns(part) => part.turns_before(attempt),
            Attempts::Some => return self.search(attempt),
        };
        Some(((turn as usize / CHUNK).checked_sub(self.written)?, turn as usize % CHUNK))
    }

    /// The same, where nothing but their order is known. No chunk is empty.
    fn search(&self, attempt: u32) -> Option<(usize, usize)> {
        let begins_by = |chunk: &Chunk| chunk.records.first().is_some_and(|first| first.attempt <= attempt);
        let index = self.chunks.partition_point(begins_by).checked_sub(1)?;
        let place = self.chunks[index].records.binary_search_by_key(&attempt, |record| record.attempt);
        Some((index, place.ok()?))
    }

    /// All of them, whether they are over or not.
    ///
    /// # Errors
    ///
    /// If they could not all be written, or not be read again.
    pub(super) fn finish(mut self) -> io::Result<Records> {
        let Some(mut writer) = self.writer.take() else {
            return Ok(Records::from(self.chunks.into_iter().flat_map(|it| it.records).collect::<Vec<_>>()));
        };
        let count = self.written * CHUNK + self.chunks.iter().map(|it| it.records.len()).sum::<usize>();
        for (chunk, index) in self.chunks.into_iter().zip(self.written..) {
            writer.write(index, chunk);
        }
        self.aside.into_values().for_each(|(index, record)| writer.write_one(index, record));
        match count {
            0 => Ok(Records::from(Vec::new())),
            _ => Ok(Records(Kept::There(writer.finish(count)?))),
        }
    }

    fn write_what_can_be(&mut self) {
        let Some(writer) = &mut self.writer else { return };
        while self.chunks.len() > CHUNKS_MAX
            || self.chunks.front().is_some_and(|it| it.is_full() && it.over_count == CHUNK)
        {
            let Some(chunk) = self.chunks.pop_front() else { return };
            let late = chunk.records.iter().zip(0..).filter(|(_, place)| !chunk.is_over(*place));
            let first = self.written * CHUNK;
            self.aside.extend(late.map(|(record, place)| (record.attempt, (first + place, *record))));
            writer.write(self.written, chunk);
            self.written += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use holdline_model::record::Outcome;

    use super::*;

    /// After how many others an attempt is late.
    const LATE: usize = (CHUNKS_MAX + 2) * CHUNK;

    fn version_of(attempt: u32) -> u16 {
        (attempt % 60_000) as u16
    }

    /// Attempts that are over at once, but for each one of so many, which is when many others have begun.
    fn logged(mut log: RecordLog, attempts: &[u32], late: usize) -> Records {
        let end = |log: &mut RecordLog, attempt| {
            let record = log.of(attempt);
            assert_eq!(record.intended_ns, u64::from(attempt) + 7);
            (record.outcome, record.version) = (Outcome::Replied, version_of(attempt));
            log.is_over(attempt);
        };
        for (turn, attempt) in attempts.iter().copied().enumerate() {
            log.push(ClientRecord::planned(attempt, u64::from(attempt) + 7, false));
            if turn % late != 0 {
                end(&mut log, attempt);
            }
            if let Some(earlier) = turn.checked_sub(LATE).filter(|earlier| earlier % late == 0) {
                end(&mut log, attempts[earlier]);
            }
        }
        log.finish().expect("room")
    }

    /// The same by several logs, of which each has some of the attempts; said is in them which of the logs it was.
    fn shared(logs: RecordLogs, attempts: u32, late: usize, takes_turns: bool) -> Records {
        let (logs, file) = logs.into_parts();
        let one = |(part, log): (Part, RecordLog)| {
            let own: Vec<u32> = (0..attempts).filter(|it| part.index() == whose(*it, takes_turns)).collect();
            let attempts = if takes_turns { Attempts::Turns(part) } else { Attempts::Some };
            logged(log.of_those(attempts), &own, late)
        };
        let parts: Vec<Records> = Part::all(3).zip(logs).map(one).collect();
        let label = |part, record: &mut ClientRecord| record.said = NonZeroU16::new(part as u16 + 1);
        merged(&parts, file, label, |_| unreachable!("somebody has each")).expect("room")
    }

    fn whose(attempt: u32, takes_turns: bool) -> u32 {
        if takes_turns { attempt % 3 } else { attempt.wrapping_mul(2_654_435_761) / 7 % 3 }
    }

    #[test]
    fn records_are_the_same_wherever_they_are_kept_and_however_late_they_are_over() {
        let folder = tempfile::tempdir().expect("a folder");
        for (attempts, late) in [(0, 1), (1, 2), (5000, 7), (450_000, 1000), (450_000, 1)] {
            let all: Vec<u32> = (0..attempts).collect();
            let here = logged(RecordLog::in_memory(), &all, late);
            let there = logged(RecordLog::on_disk(folder.path()).expect("room"), &all, late);
            assert_eq!(here.series().len(), attempts as usize);
            assert!(here.series().iter().eq(there.series().iter()), "{attempts} {late}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    /// What `shared` is to give.
    fn expected(attempts: u32, late: usize, takes_turns: bool) -> Vec<ClientRecord> {
        let mut all: Vec<ClientRecord> = Vec::new();
        for part in Part::all(3) {
            let own = (0..attempts).filter(|it| part.index() == whose(*it, takes_turns));
            let count = own.clone().count();
            all.extend(own.enumerate().map(|(turn, attempt)| {
                let mut record = ClientRecord::planned(attempt, u64::from(attempt) + 7, false);
                record.said = NonZeroU16::new(part.index() as u16 + 1);
                if turn % late != 0 || turn + LATE < count {
                    (record.outcome, record.version) = (Outcome::Replied, version_of(attempt));
                }
                record
            }));
        }
        all.sort_by_key(|record| record.attempt);
        all
    }

    #[test]
    fn several_logs_are_merged_into_what_one_would_be() {
        let folder = tempfile::tempdir().expect("a folder");
        for (attempts, late) in [(0, 1), (1, 2), (5000, 7), (450_000, 1000), (450_000, 1)] {
            for takes_turns in [true, false] {
                let expected = expected(attempts, late, takes_turns);
                for logs in [RecordLogs::in_memory(3), RecordLogs::on_disk(folder.path(), 3).expect("room")] {
                    let several = shared(logs, attempts, late, takes_turns);
                    assert_eq!(several.series().len(), expected.len());
                    assert!(several.series().iter().eq(&expected), "{attempts} {late} {takes_turns}");
                }
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn what_nobody_has_before_what_somebody_has_is_filled_in() {
        let record = |attempt| ClientRecord::planned(attempt, 7, false);
        let parts = [[0, 6], [1, 4]].map(|own| Records::from(own.map(record).to_vec()));
        let missing = |attempt| ClientRecord { version: 9, ..record(attempt) };
        let all = merged(&parts, None, |_, _| {}, missing).expect("memory").into_vec();
        assert!(all.iter().map(|record| record.attempt).eq(0..7));
        assert!(all.iter().map(|record| record.version).eq([0, 0, 9, 9, 0, 9, 0]));
    }

    #[test]
    fn what_is_over_and_written_stays_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = RecordLog::on_disk(folder.path()).expect("room");
        for attempt in 0..5000 {
            log.push(ClientRecord::planned(attempt, 7, false));
            log.of(attempt).version = 3;
            log.is_over(attempt);
        }
        log.of(1).version = 9;
        log.of(2).version = 9;
        log.is_over(2);
        let records = log.finish().expect("room");
        assert_eq!(records.series().len(), 5000);
        assert!(records.series().iter().all(|record| (record.version, record.intended_ns) == (3, 7)));
    }

    #[test]
    fn a_disk_that_takes_nothing_is_an_error() {
        assert!(RecordLog::on_disk(Path::new("/proc")).is_err());
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
        let log = RecordLog { writer: Some(Writer::of(full).expect("a thread")), ..RecordLog::in_memory() };
        let mut log = log;
        (0..5000).for_each(|attempt| log.push(ClientRecord::planned(attempt, 1, false)));
        let error = log.finish().expect_err("no room");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
