//! Records in a file: the thread that writes them, and the mapping through which they are read.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use holdline_model::record::ClientRecord;
use holdline_model::series::{Reader, Series};
use memmap2::{MmapOptions, MmapRaw, UncheckedAdvice};

use super::{CHUNK, Chunk};

/// How much may wait for the thread; beyond it, it waits here.
const JOBS_MAX: usize = 256;
/// How many chunks that were written wait to be filled anew.
const SPARE_MAX: usize = 8;
const RECORD_BYTES: usize = size_of::<ClientRecord>();

/// What the thread is to write.
#[derive(Debug)]
enum Job {
    /// A chunk, whole.
    Chunk(usize, Chunk),
    /// One record, at its place among all.
    One(usize, ClientRecord),
}

/// The thread that writes, as the load client sees it: nothing here waits for it, but for the end.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: SyncSender<Job>,
    spares: Receiver<Chunk>,
    /// What the thread has had no room for.
    backlog: VecDeque<Job>,
    thread: JoinHandle<io::Result<File>>,
}

impl Writer {
    /// Writes into a file without a name in this folder.
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        Self::of(tempfile::tempfile_in(folder)?)
    }

    /// Writes into this file.
    pub(super) fn of(file: File) -> io::Result<Self> {
        let (jobs, to_do) = sync_channel(JOBS_MAX);
        let (written, spares) = sync_channel(SPARE_MAX);
        let write = move || write_all(file, &to_do, &written);
        let thread = std::thread::Builder::new().name("records".to_owned()).spawn(write)?;
        Ok(Self { jobs, spares, backlog: VecDeque::new(), thread })
    }

    /// A chunk that was written, to be filled anew.
    pub(super) fn spare(&self) -> Option<Chunk> {
        self.spares.try_recv().ok()
    }

    /// Writes the chunk of this index.
    pub(super) fn write(&mut self, index: usize, chunk: Chunk) {
        self.give(Job::Chunk(index, chunk));
    }

    /// Writes a record of a chunk that was written before, at its place among all.
    pub(super) fn write_one(&mut self, index: usize, record: ClientRecord) {
        self.give(Job::One(index, record));
    }

    fn give(&mut self, job: Job) {
        self.backlog.push_back(job);
        while let Some(job) = self.backlog.pop_front() {
            match self.jobs.try_send(job) {
                Ok(()) => {}
                Err(TrySendError::Full(job)) => return self.backlog.push_front(job),
                // It has given up; why, the end tells.
                Err(TrySendError::Disconnected(_)) => self.backlog.clear(),
            }
        }
    }

    /// Waits until all is written, and makes so many records readable.
    pub(super) fn finish(self, count: usize) -> io::Result<Mapped> {
        let Self { jobs, spares, backlog, thread } = self;
        // What is given back from now on is wanted by nobody.
        drop(spares);
        for job in backlog {
            if jobs.send(job).is_err() {
                break;
            }
        }
        drop(jobs);
        let file = thread.join().map_err(|_| io::Error::other("the thread that writes them panicked"))??;
        Mapped::new(&file, count)
    }
}

fn write_all(file: File, jobs: &Receiver<Job>, written: &SyncSender<Chunk>) -> io::Result<File> {
    for job in jobs {
        match job {
            Job::Chunk(index, mut chunk) => {
                write_at(&file, index * CHUNK, &chunk.records)?;
                chunk.clear();
                // Where enough wait already, the memory is given back.
                let _ = written.try_send(chunk);
            }
            Job::One(index, record) => write_at(&file, index, std::slice::from_ref(&record))?,
        }
    }
    Ok(file)
}

/// Writes records as they lie in memory: nobody but this process ever reads them.
fn write_at(file: &File, index: usize, records: &[ClientRecord]) -> io::Result<()> {
    let (first, bytes) = (records.as_ptr().cast::<libc::c_void>(), size_of_val(records));
    let mut done = 0;
    while done < bytes {
        let offset = libc::off_t::try_from(index * RECORD_BYTES + done).map_err(io::Error::other)?;
        let rest = first.wrapping_byte_add(done);
        // SAFETY: so many bytes of the records lie there, and the kernel only reads them.
        let wrote = unsafe { libc::pwrite(file.as_raw_fd(), rest, bytes - done, offset) };
        match usize::try_from(wrote) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(wrote) => done += wrote,
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

/// Records in a file, which memory need not hold all at once.
#[derive(Debug)]
pub(super) struct Mapped {
    map: MmapRaw,
    count: usize,
    /// The record from which on they were read last.
    from: AtomicUsize,
}

impl Mapped {
    fn new(file: &File, count: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(count * RECORD_BYTES).map_raw_read_only(file)?;
        Ok(Self { map, count, from: AtomicUsize::new(0) })
    }

    /// Writes these records into a file, in which memory need not hold more than a chunk of them; `None`: there are
    /// none.
    pub(super) fn filled(
        file: &File,
        records: impl Iterator<Item = ClientRecord>,
    ) -> io::Result<Option<Self>> {
        let (mut some, mut count) = (Vec::with_capacity(CHUNK), 0);
        for record in records {
            some.push(record);
            if some.len() == CHUNK {
                write_at(file, count, &some)?;
                count += some.len();
                some.clear();
            }
        }
        write_at(file, count, &some)?;
        count += some.len();
        if count == 0 { Ok(None) } else { Self::new(file, count).map(Some) }
    }

    /// All of them.
    pub(super) fn series(&self) -> Series<'_, ClientRecord> {
        // SAFETY: a mapping begins at a page, so that the pointer is aligned, and it is as long as so many records,
        // which the thread has all written, each as it lay in the memory of this process. They hold no pointers. The
        // file has no name, and its descriptor is closed, so that nobody changes or shortens it.
        let all = unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast(), self.count) };
        Series::read_by(all, self)
    }
}

impl Reader for Mapped {
    /// Gives the memory back in which others were read. They stay in the file.
    fn reads(&self, index: usize) {
        if self.from.swap(index, Ordering::Relaxed) != index {
            // SAFETY: the mapping is shared, so that no byte is lost by it: the file has them all.
            let done = unsafe { self.map.unchecked_advise(UncheckedAdvice::DontNeed) };
            // It is only memory: what is not given back now is given back with the mapping.
            drop(done);
        }
    }
}
