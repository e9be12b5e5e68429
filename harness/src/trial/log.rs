//! Logs of supervisors and control commands: bounded in size, and quoted where something went wrong.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use holdline_model::log_tail::LogTail;
use holdline_model::secrets::Secrets;
use nix::fcntl::{FallocateFlags, fallocate};

use super::paths::{PathError, to};

/// How much of a log's beginning is kept.
const HEAD_BYTES: u64 = 4 << 20;
/// How much of its end is kept when it is cut, which is when it has become twice as much longer.
const TAIL_BYTES: u64 = 4 << 20;
/// How much of a log's end is shown.
const QUOTED_BYTES: u64 = 2048;
/// How many lines of it.
const QUOTED_LINES: usize = 8;

/// A log of which beginning and end are kept, however much is written to it.
///
/// Processes write to the file itself, so that logging costs them what it costs them elsewhere. While
/// they do, a hole takes the place of the middle, which loses nothing that comes at the same time; when
/// this is dropped, the hole is closed up.
#[derive(Debug)]
pub(super) struct BoundedLog {
    file: File,
    path: PathBuf,
    /// Where the hole ends; 0: there is none.
    hole_end: u64,
    /// Where the beginning ends, once something was cut out.
    head: Option<u64>,
    cut_bytes: u64,
}

impl BoundedLog {
    /// Opens a log, behind what is there.
    pub(super) fn open(path: &Path) -> Result<Self, PathError> {
        Ok(Self { file: append(path)?, path: path.to_owned(), hole_end: 0, head: None, cut_bytes: 0 })
    }

    /// A handle for a process that writes to it.
    pub(super) fn writer(&self) -> Result<File, PathError> {
        self.file.try_clone().map_err(to("share", &self.path))
    }

    /// Gives back what is too much. To be called again and again.
    pub(super) fn cut(&mut self) {
        self.cut_to(HEAD_BYTES, TAIL_BYTES);
    }

    fn cut_to(&mut self, head: u64, tail: u64) {
        let Ok(length) = self.file.metadata().map(|metadata| metadata.len()) else { return };
        let from = self.hole_end.max(head);
        if length <= from + 2 * tail {
            return;
        }
        let end = length - tail;
        let (Ok(at), Ok(size)) = (i64::try_from(from), i64::try_from(end - from)) else { return };
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        if fallocate(&self.file, hole, at, size).is_ok() {
            self.hole_end = end;
        } else {
            // A file system without holes. A disk that is full is not made better by an error here.
            let _ = self.cut_out(head, tail, length);
        }
    }

    /// Closes up the hole.
    fn close_up(&mut self, head: u64, tail: u64) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        if self.hole_end > 0 { self.cut_out(head, tail, length) } else { Ok(()) }
    }

    /// Moves the end behind the beginning, with a line in between that says how much is missing.
    fn cut_out(&mut self, head: u64, tail: u64, length: u64) -> io::Result<()> {
        // Not the writers' handle, which always writes at the end.
        let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        let (head, body) = match self.head {
            Some(head) => (head, head + self.remark().len() as u64),
            None => {
                let head = whole_lines(&read_at(&file, 0, head)?);
                (head, head)
            }
        };
        let mut kept = read_at(&file, length - tail, tail)?;
        // What was written while that was read belongs to the end, too.
        let more = file.metadata()?.len().saturating_sub(length);
        kept.extend(read_at(&file, length, more)?);
        // From the beginning of a line on, if there is one.
        let skipped = kept.iter().position(|byte| *byte == b'\n').map_or(0, |index| index + 1);
        let kept = &kept[skipped..];
        self.cut_bytes += (file.metadata()?.len() - body).saturating_sub(kept.len() as u64);
        self.head = Some(head);
        let remark = self.remark();
        file.set_len(head + (remark.len() + kept.len()) as u64)?;
        file.write_all_at(remark.as_bytes(), head)?;
        file.write_all_at(kept, head + remark.len() as u64)
    }

    /// Always of the same length, since it is written over.
    fn remark(&self) -> String {
        format!("\nholdline: {:>16} bytes of the log were cut out here\n\n", self.cut_bytes)
    }
}

fn read_at(file: &File, from: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}

/// The length of the whole lines in these bytes; of all of them, if there is no line's end.
fn whole_lines(bytes: &[u8]) -> u64 {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(bytes.len(), |index| index + 1) as u64
}

impl Drop for BoundedLog {
    fn drop(&mut self) {
        let _ = self.close_up(HEAD_BYTES, TAIL_BYTES);
    }
}

/// Opens a file to write behind what is there.
fn append(path: &Path) -> Result<File, PathError> {
    OpenOptions::new().create(true).append(true).open(path).map_err(to("open", path))
}

/// The last lines of a log, but for those that are empty.
pub(super) fn tail(path: &Path, secrets: &Secrets) -> LogTail {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(QUOTED_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(QUOTED_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let hidden = secrets.hidden(&bytes, false);
    let text = String::from_utf8_lossy(&hidden);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let tail = &lines[lines.len().saturating_sub(QUOTED_LINES)..];
    LogTail(tail.iter().map(|line| (*line).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_log_keeps_beginning_and_end_and_says_how_much_was_cut() {
        check_cut(true);
        check_cut(false);
    }

    /// Cuts a log on a file system with holes, or as on one without.
    #[track_caller]
    fn check_cut(has_holes: bool) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut log = BoundedLog::open(&path).expect("a log");
        let mut writer = log.writer().expect("a handle");
        writer.write_all(b"first\nsecond\n").expect("written");
        log.cut_to(10, 20);
        assert_eq!(std::fs::read_to_string(&path).expect("a log"), "first\nsecond\n");
        for number in 0..1000 {
            writeln!(writer, "line {number}").expect("written");
            if has_holes {
                log.cut_to(10, 20);
            } else {
                let length = writer.metadata().expect("a file").len();
                if length > 50 {
                    log.cut_out(10, 20, length).expect("cut out");
                }
            }
        }
        log.close_up(10, 20).expect("closed up");
        log.hole_end = 0;
        let text = std::fs::read_to_string(&path).expect("a log");
        let (head, rest) = text.split_once("\nholdline: ").expect("a remark");
        let (cut, tail) = rest.split_once(" bytes of the log were cut out here\n\n").expect("a remark");
        assert_eq!(head, "first\n");
        assert!(tail.starts_with("line ") && tail.ends_with("line 998\nline 999\n"), "{tail}");
        let whole: usize = 13 + (0..1000).map(|number| format!("line {number}\n").len()).sum::<usize>();
        let cut: usize = cut.trim().parse().expect("a number");
        assert_eq!(head.len() + cut + tail.len(), whole);
        assert_eq!(text.matches("holdline: ").count(), 1);
    }

    #[test]
    fn the_end_of_a_log_is_quoted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        assert_eq!(tail(&path, &Secrets::default()), LogTail::default());
        let lines: Vec<String> = (0..1000).map(|number| format!("line {number}\n\n")).collect();
        std::fs::write(&path, lines.concat()).expect("written");
        let LogTail(quoted) = tail(&path, &Secrets::default());
        assert_eq!(quoted, (992..1000).map(|number| format!("line {number}")).collect::<Vec<_>>());
    }
}
