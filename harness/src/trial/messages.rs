//! The outer process's ends of what a trial's process has as standard output and standard error.
//!
//! They are Unix sockets, since a pipe can be opened by whoever sees its owner in `/proc`, and the servers
//! under test do; `open` of a socket's `/proc/PID/fd/N` is ENXIO (unix(7), `sock_no_open` in net/socket.c).
//! All the same nothing that comes through them is trusted: what is no message is counted, and lines and
//! errors are kept up to a bound.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::net::UnixStream;

use super::Message;

/// The longest message, which is a result with all that it tells.
const LINE_BYTES_MAX: usize = 64 << 20;
/// How much of standard error is kept: its beginning.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// A socket to read from, and the end that the trial's process inherits.
pub(super) fn channel() -> io::Result<(UnixStream, OwnedFd)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, theirs.into()))
}

/// What the trial's process says, a line of JSON each.
#[derive(Debug)]
pub(super) struct Messages<R> {
    reader: BufReader<R>,
    /// A line as far as it has come.
    line: Vec<u8>,
    strangers: u64,
}

impl<R: AsyncRead + Unpin> Messages<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new(), strangers: 0 }
    }

    /// The next message; `None` at the end. A future that is dropped loses nothing.
    pub(super) async fn next(&mut self) -> io::Result<Option<Message>> {
        while read_line(&mut self.reader, &mut self.line).await? {
            let message = serde_json::from_slice(&self.line);
            self.line.clear();
            match message {
                Ok(message) => return Ok(Some(message)),
                Err(_) => self.strangers += 1,
            }
        }
        Ok(None)
    }

    /// How many lines so far were no messages.
    pub(super) fn strangers(&self) -> u64 {
        self.strangers
    }
}

/// Completes a line, of which what is beyond the bound is dropped. Returns whether there was one.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(!line.is_empty());
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let text = &chunk[..end.unwrap_or(chunk.len())];
        line.extend_from_slice(&text[..text.len().min(LINE_BYTES_MAX - line.len())]);
        let used = text.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Reads all, so that no writer ever waits, and keeps the beginning as text.
pub(super) async fn errors(mut reader: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = reader.read(&mut buffer).await {
        let room = ERROR_BYTES_MAX - kept.len();
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Write as _};
    use std::os::fd::AsRawFd as _;

    use super::*;

    const PROGRESS: &str = r#"{"progress":{"finished":3,"lost":1,"planned":null}}"#;

    #[tokio::test]
    async fn what_is_no_message_is_counted_and_the_others_are_read() {
        let text = format!("{PROGRESS}\nrubbish\n\0\u{fffd}\n\n{PROGRESS}\n{{\"progress\"");
        let mut messages = Messages::new(text.as_bytes());
        for _ in 0..2 {
            let message = messages.next().await.expect("a look");
            assert!(matches!(message, Some(Message::Progress { finished: 3, lost: 1, planned: None })));
        }
        assert!(messages.next().await.expect("a look").is_none());
        assert_eq!(messages.strangers(), 4);
    }

    #[tokio::test]
    async fn a_line_without_end_takes_bounded_memory() {
        let flood = tokio::io::repeat(b'x').take(LINE_BYTES_MAX as u64 + 100_000);
        let text = format!("\n{PROGRESS}\n");
        let mut messages = Messages::new(flood.chain(text.as_bytes()));
        assert!(matches!(messages.next().await.expect("a look"), Some(Message::Progress { .. })));
        assert_eq!((messages.strangers(), messages.line.len()), (1, 0));
        assert!(messages.line.capacity() <= 2 * LINE_BYTES_MAX);
        let errors = errors(tokio::io::repeat(b'x').take(10 << 20)).await;
        assert_eq!(errors.len(), ERROR_BYTES_MAX);
    }

    #[tokio::test]
    async fn a_channel_cannot_be_opened_through_proc() {
        let (ours, theirs) = channel().expect("sockets");
        for fd in [ours.as_raw_fd(), theirs.as_raw_fd()] {
            let opened = std::fs::OpenOptions::new().write(true).open(format!("/proc/self/fd/{fd}"));
            assert_eq!(opened.expect_err("an error").raw_os_error(), Some(libc::ENXIO));
        }
        let mut theirs = std::os::unix::net::UnixStream::from(theirs);
        theirs.write_all(format!("{PROGRESS}\n").as_bytes()).expect("a write");
        let mut messages = Messages::new(ours);
        assert!(messages.next().await.expect("a look").is_some());
        drop(theirs);
        match messages.next().await {
            Ok(message) => assert!(message.is_none()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}
