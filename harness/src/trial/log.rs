//! The supervisor's log: bounded in size, and quoted where something went wrong.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// How much of a log is kept.
const KEPT_BYTES: u64 = 16 << 20;
/// How much longer it may get before it is cut.
const SLACK_BYTES: u64 = 1 << 20;
/// How much of a log's end is shown.
const TAIL_BYTES: u64 = 2048;
/// How many lines of it.
const TAIL_LINES: usize = 8;

/// A log whose beginning is kept, however much is written to it.
#[derive(Debug)]
pub(super) struct BoundedLog {
    file: File,
}

impl BoundedLog {
    /// Opens a log, behind what is there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self { file: append(path)? })
    }

    /// A handle for a process that writes to it.
    pub(super) fn writer(&self) -> Result<File> {
        self.file.try_clone().context("failed to share the supervisor's log")
    }

    /// Cuts off what is too much. To be called again and again: processes write to the file itself,
    /// so that logging costs them what it costs them elsewhere.
    pub(super) fn cut(&mut self) {
        self.cut_to(KEPT_BYTES, SLACK_BYTES);
    }

    fn cut_to(&mut self, kept: u64, slack: u64) {
        let is_long = self.file.metadata().is_ok_and(|metadata| metadata.len() > kept + slack);
        // A disk that is full is not made better by an error here.
        if is_long && self.file.set_len(kept).is_ok() {
            let _ = writeln!(self.file, "\nholdline: here the log was cut; it is longer than {kept} bytes");
        }
    }
}

/// Opens a file to write behind what is there.
pub(super) fn append(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("failed to open {}", path.display()))
}

/// The last lines of a log, indented, or a remark that it is empty.
pub(super) fn quoted_tail(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return "; it wrote nothing to its log".to_owned();
    }
    let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    let quoted: Vec<String> = tail.iter().map(|line| format!("\n    | {line}")).collect();
    format!("; the last lines of its log:{}", quoted.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_its_beginning_and_says_where_it_was_cut() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut log = BoundedLog::open(&path).expect("a log");
        let mut writer = log.writer().expect("a handle");
        writer.write_all(b"first\nsecond\n").expect("written");
        log.cut_to(6, 100);
        assert_eq!(std::fs::read_to_string(&path).expect("a log"), "first\nsecond\n");
        for _ in 0..3 {
            writer.write_all(&[b'x'; 200]).expect("written");
            log.cut_to(6, 100);
        }
        let text = std::fs::read_to_string(&path).expect("a log");
        assert_eq!(text, "first\n\nholdline: here the log was cut; it is longer than 6 bytes\n");
    }

    #[test]
    fn the_end_of_a_log_is_quoted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        assert_eq!(quoted_tail(&path), "; it wrote nothing to its log");
        let lines: Vec<String> = (0..1000).map(|number| format!("line {number}\n\n")).collect();
        std::fs::write(&path, lines.concat()).expect("written");
        let quoted = quoted_tail(&path);
        assert!(quoted.starts_with("; the last lines of its log:\n    | line 992\n"), "{quoted}");
        assert!(quoted.ends_with("\n    | line 999"), "{quoted}");
    }
}
