//! The last of what a command wrote, however much that was.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::sync::{Arc, Mutex, PoisonError};

/// How much of it is kept.
const KEPT_BYTES: usize = 16 * 1024;
/// How many lines of it are quoted, and how much of each.
const QUOTED_LINES: usize = 8;
const LINE_CHARS: usize = 300;

/// What is read from a pipe, by a thread of its own, until nobody holds its other end.
#[derive(Debug, Clone)]
pub(super) struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    /// Begins to read. What is written goes into the other end.
    pub(super) fn begin() -> io::Result<(Self, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let tail = Self(Arc::default());
        let kept = tail.clone();
        std::thread::Builder::new().name("tail".to_owned()).spawn(move || kept.read(reader))?;
        Ok((tail, writer))
    }

    fn read(&self, mut reader: PipeReader) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(&buffer[..count]);
            let excess = kept.len().saturating_sub(KEPT_BYTES);
            kept.drain(..excess);
        }
    }

    /// Its last lines.
    pub(super) fn lines(&self) -> Vec<String> {
        let kept: Vec<u8> = self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let text = String::from_utf8_lossy(&kept);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(QUOTED_LINES)..];
        last.iter().map(|line| line.chars().take(LINE_CHARS).collect()).collect()
    }
}

/// A copy of the writing end, for another stream.
pub(super) fn copy(writer: &PipeWriter) -> io::Result<File> {
    Ok(File::from(std::os::fd::OwnedFd::from(writer.try_clone()?)))
}
