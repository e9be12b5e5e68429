//! The logs of several client threads, each of which writes down what it makes itself, and what is merged of them.

use std::fs::File;
use std::io;
use std::path::Path;

use holdline_model::record::ClientRecord;
use holdline_model::series::{self, Series};

use super::file::Mapped;
use super::{Kept, RecordLog, Records};

/// A log for each client thread of a load.
#[derive(Debug)]
pub struct RecordLogs {
    logs: Vec<RecordLog>,
    /// Into which they are merged; `None`: they are merged in memory, or there is but one.
    merged: Option<File>,
}

impl RecordLogs {
    /// Of so many threads, in memory.
    #[must_use]
    pub fn in_memory(threads: u32) -> Self {
        Self { logs: (0..threads).map(|_| RecordLog::in_memory()).collect(), merged: None }
    }

    /// Of so many threads, in files without a name on the disk of this folder. What is merged of several takes as much
    /// room there as they do, for a moment.
    ///
    /// # Errors
    ///
    /// If a file cannot be made, or there is no thread to write it.
    pub fn on_disk(folder: &Path, threads: u32) -> io::Result<Self> {
        let logs = (0..threads).map(|_| RecordLog::on_disk(folder)).collect::<io::Result<_>>()?;
        let merged = if threads > 1 { Some(tempfile::tempfile_in(folder)?) } else { None };
        Ok(Self { logs, merged })
    }

    /// The logs, and where they are merged.
    pub(in crate::load) fn into_parts(self) -> (Vec<RecordLog>, Option<File>) {
        (self.logs, self.merged)
    }
}

/// The records of several threads as those of one, in the order of attempts: in this file, or in memory. Each is
/// changed by `change` first, which is told from whose it is; and `missing` makes those that nobody has, of attempts before
/// others that somebody has.
///
/// # Errors
///
/// If the file cannot be written, or not be read again.
pub(in crate::load) fn merged(
    parts: &[Records],
    file: Option<File>,
    change: impl Fn(usize, &mut ClientRecord),
    missing: impl Fn(u32) -> ClientRecord,
) -> io::Result<Records> {
    let series: Vec<Series<'_, ClientRecord>> = parts.iter().map(Records::series).collect();
    let mut next = 0;
    let all = series::merged(&series, |record| record.attempt).flat_map(|(part, record)| {
        let mut record = *record;
        change(part, &mut record);
        let gap = std::mem::replace(&mut next, record.attempt + 1)..record.attempt;
        gap.map(&missing).chain(std::iter::once(record))
    });
    let Some(file) = file else { return Ok(Records::from(all.collect::<Vec<_>>())) };
    let mapped = Mapped::filled(&file, all)?;
    Ok(mapped.map_or_else(|| Records::from(Vec::new()), |mapped| Records(Kept::There(mapped))))
}
