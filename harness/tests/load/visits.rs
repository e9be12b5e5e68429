//! A server of connections that carry several requests, which does to each what the test planted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use holdline::load::LoadPlan;
use holdline_model::scenario::Connection;
use holdline_model::wire::{self, Address, Peer, Protocol, ReplyFields};
use nix::sys::socket::{setsockopt, sockopt};

use crate::{burst, plan};

/// What a server does after so many right replies on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing else: it answers whatever comes.
    Answer,
    /// Closes.
    Close,
    /// Reads the next request, and closes.
    ReadAndClose,
    /// Waits for the next request, and closes without having read it, which makes the kernel reset.
    CloseUnread,
    /// Reads the next request, and resets.
    Reset,
    /// Answers the next request with half of a reply, and closes.
    Truncate,
    /// Answers the next request as if another number had been asked for.
    AnswerAnother,
    /// Reads the next request, and does nothing more until the client leaves.
    Keep,
    /// Says something before it was asked, and answers whatever comes.
    Babble,
    /// Over HTTP, announces in the last right reply that it closes, and closes.
    Announce,
}

/// What a server saw: for each connection the attempt, and the numbers that it asked for.
pub(crate) type Seen = Vec<(u32, Vec<String>)>;

pub(crate) struct Server {
    pub(crate) listener: TcpListener,
    protocol: Protocol,
}

impl Server {
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a listener"), protocol }
    }

    pub(crate) fn plan(&self, count: usize, connection: Connection) -> LoadPlan {
        let address = Address::Tcp(self.listener.local_addr().expect("an address"));
        LoadPlan { protocol: self.protocol, connection, ..plan(address, burst(count)) }
    }

    /// Serves so many connections, each in a thread of its own.
    pub(crate) fn serve(
        self,
        count: usize,
        deed: impl Fn(u32) -> (u16, Then) + Send + 'static,
    ) -> JoinHandle<Seen> {
        std::thread::spawn(move || {
            let serve = |_| {
                let (stream, peer) = self.listener.accept().expect("a connection");
                let attempt = Peer::Ip(peer.ip(), peer.port()).attempt().expect("an attempt's address");
                let (answers, then) = deed(attempt);
                let visit = Visit::new(stream, self.protocol);
                std::thread::spawn(move || (attempt, visit.serve(answers, then)))
            };
            let visits: Vec<_> = (0..count).map(serve).collect();
            visits.into_iter().map(|visit| visit.join().expect("a server that did as it was told")).collect()
        })
    }
}

/// A connection on the server's side.
pub(crate) struct Visit {
    pub(crate) stream: BufReader<TcpStream>,
    protocol: Protocol,
}

impl Visit {
    pub(crate) fn new(stream: TcpStream, protocol: Protocol) -> Self {
        stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).expect("a time-out");
        Self { stream: BufReader::new(stream), protocol }
    }

    fn serve(mut self, answers: u16, then: Then) -> Vec<String> {
        let mut asked = Vec::new();
        for answer in 1..=answers {
            let Some(number) = self.read() else { return asked };
            let closes = then == Then::Announce && answer == answers;
            self.say(&reply(self.protocol, &number, closes));
            asked.push(number);
        }
        match then {
            Then::Close | Then::Announce => return asked,
            Then::Babble => self.say("ssst\n"),
            Then::CloseUnread => {
                // Looked at, but left in the socket.
                self.stream.get_ref().peek(&mut [0]).expect("a request");
                return asked;
            }
            _ => {}
        }
        while let Some(number) = self.read() {
            let right = reply(self.protocol, &number, false);
            asked.push(number);
            match then {
                Then::ReadAndClose => return asked,
                Then::Reset => {
                    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
                    setsockopt(self.stream.get_ref(), sockopt::Linger, &at_once).expect("an option");
                    return asked;
                }
                Then::Truncate => {
                    self.say(&right[..right.len() / 2]);
                    return asked;
                }
                Then::AnswerAnother => self.say(&reply(self.protocol, "99999", false)),
                Then::Keep => {}
                _ => self.say(&right),
            }
        }
        asked
    }

    /// The number of the next request. `None`: the client has left, or half-closed.
    pub(crate) fn read(&mut self) -> Option<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
        if self.protocol == Protocol::Square {
            return Some(line.trim_end().to_owned());
        }
        let mut body_bytes = 0;
        loop {
            let mut header = String::new();
            self.stream.read_line(&mut header).ok()?;
            if header == "\r\n" {
                break;
            }
            if let Some(length) = header.strip_prefix("Content-Length: ") {
                body_bytes = length.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; body_bytes];
        self.stream.read_exact(&mut body).ok()?;
        let target = line.split(' ').nth(1).expect("a target");
        Some(target.strip_prefix("/square?n=").expect("a number").to_owned())
    }

    /// The client may have left already.
    fn say(&mut self, text: &str) {
        let _ = self.stream.get_mut().write_all(text.as_bytes());
    }
}

pub(crate) fn reply(protocol: Protocol, number: &str, closes: bool) -> String {
    let number = number.parse().unwrap_or(0);
    let line = wire::reply_line(number, &ReplyFields { version: Some(3), ..ReplyFields::default() });
    let connection = if closes { "close" } else { "keep-alive" };
    match protocol {
        Protocol::Square | Protocol::Bytes | Protocol::WebSocket => line,
        Protocol::Http | Protocol::Http2 => format!(
            "HTTP/1.1 200 OK\r\nConnection: {connection}\r\nContent-Length: {}\r\n\r\n{line}",
            line.len()
        ),
    }
}
