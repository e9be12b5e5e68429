//! One request and its reply, on a stream of their own.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::Method;
use nix::errno::Errno;

use super::super::transport::Broken;
use super::failure::Failure;
use super::io::idle;
use super::text::{self, Asked};

/// What is said on a stream, as far as it has got.
#[derive(Default)]
pub(super) struct Exchange {
    /// What has been said of the head of a request.
    head: Vec<u8>,
    /// The rest of its body.
    body: Option<Body>,
    reply: Reply,
    /// How the reply ended that nobody has asked for yet.
    failure: Option<Failure>,
    method: Method,
    /// What has come of the reply, as text, and how much of that was taken.
    text: Vec<u8>,
    taken: usize,
}

struct Body {
    stream: SendStream<Bytes>,
    left: u64,
}

#[derive(Default)]
enum Reply {
    /// Nothing is asked.
    #[default]
    None,
    Head(ResponseFuture),
    Body(RecvStream),
}

impl Exchange {
    /// Whether nothing is asked, and all was taken that came.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.reply, Reply::None) && self.failure.is_none() && !self.has_text()
    }

    pub(super) fn has_text(&self) -> bool {
        self.text_bytes() > 0
    }

    pub(super) fn text_bytes(&self) -> usize {
        self.text.len() - self.taken
    }

    pub(super) fn take_text(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.text_bytes().min(buffer.len());
        buffer[..count].copy_from_slice(&self.text[self.taken..self.taken + count]);
        self.taken += count;
        if self.taken == self.text.len() {
            self.text.clear();
            self.taken = 0;
        }
        count
    }

    /// Says some of a request: how many bytes of it. The stream is opened with the last byte of its head. EPIPE: nothing
    /// more can be said, and reading tells why.
    pub(super) fn say(
        &mut self,
        bytes: &[u8],
        requests: SendRequest<Bytes>,
        is_secured: bool,
    ) -> Result<usize, Errno> {
        if self.body.is_some() {
            return self.say_body(bytes);
        }
        let Some(count) = text::end_of_head(&self.head, bytes) else {
            self.head.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        let before = self.head.len();
        self.head.extend_from_slice(&bytes[..count]);
        let opened = self.open(requests, is_secured);
        match opened {
            Err(Errno::EAGAIN) => self.head.truncate(before),
            Ok(()) | Err(_) => self.head.clear(),
        }
        opened.map(|()| count)
    }

    fn open(&mut self, mut requests: SendRequest<Bytes>, is_secured: bool) -> Result<(), Errno> {
        let Some(Asked { request, body_bytes }) = text::asked(&self.head, is_secured) else {
            return self.fail(Failure::Broken(Broken::Ours));
        };
        match requests.poll_ready(&mut idle()) {
            Poll::Pending => return Err(Errno::EAGAIN),
            Poll::Ready(Err(error)) => return self.fail(Failure::of(&error)),
            Poll::Ready(Ok(())) => {}
        }
        self.method = request.method().clone();
        match requests.send_request(request, body_bytes == 0) {
            Ok((reply, stream)) => {
                self.reply = Reply::Head(reply);
                self.body = (body_bytes > 0).then_some(Body { stream, left: body_bytes });
                Ok(())
            }
            Err(error) => self.fail(Failure::of(&error)),
        }
    }

    fn fail(&mut self, failure: Failure) -> Result<(), Errno> {
        self.failure = Some(failure);
        Err(Errno::EPIPE)
    }

    fn say_body(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let Some(Body { stream, left }) = &mut self.body else { return Err(Errno::EPIPE) };
        let wanted = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        stream.reserve_capacity(wanted);
        if stream.capacity() == 0
            && let Poll::Ready(None | Some(Err(_))) = stream.poll_capacity(&mut idle())
        {
            return Err(Errno::EPIPE);
        }
        let count = wanted.min(stream.capacity());
        if count == 0 {
            return Err(Errno::EAGAIN);
        }
        let is_all = count as u64 == *left;
        stream.send_data(Bytes::copy_from_slice(&bytes[..count]), is_all).map_err(|_| Errno::EPIPE)?;
        *left -= count as u64;
        if is_all {
            self.body = None;
        }
        Ok(count)
    }

    /// Makes text of what has come of the reply, if something has. `is_leaving`: the server takes up nothing more on
    /// this connection.
    pub(super) fn hear(&mut self, is_leaving: bool) -> Result<(), Failure> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        while !self.has_text() {
            let more = match &mut self.reply {
                Reply::None => return Ok(()),
                Reply::Head(reply) => match Pin::new(reply).poll(&mut idle()) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Err(error)) => Err(Failure::of(&error)),
                    Poll::Ready(Ok(reply)) => {
                        let (head, body) = reply.into_parts();
                        let has_body = text::has_body(&self.method, head.status);
                        text::put_head(head.status, &head.headers, has_body, is_leaving, &mut self.text);
                        Ok(has_body.then_some(body))
                    }
                },
                Reply::Body(body) => match body.poll_data(&mut idle()) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Some(Err(error))) => Err(Failure::of(&error)),
                    Poll::Ready(Some(Ok(data))) => {
                        // The server may send as much again.
                        let _ = body.flow_control().release_capacity(data.len());
                        if !data.is_empty() {
                            text::put_chunk(&data, &mut self.text);
                        }
                        continue;
                    }
                    Poll::Ready(None) => {
                        text::put_chunk(&[], &mut self.text);
                        Ok(None)
                    }
                },
            };
            self.reply = match more {
                Ok(Some(body)) => Reply::Body(body),
                Ok(None) => Reply::None,
                Err(failure) => {
                    self.reply = Reply::None;
                    return Err(failure);
                }
            };
        }
        Ok(())
    }
}
