//! What is said on a connection: which requests, in which protocol, with which pauses, and what counts
//! as the right reply. No socket is touched here.

use std::cmp::min;

use holdline_model::record::{Outcome, RequestRecord};
use holdline_model::scenario;
use holdline_model::supervisor::Protocol;
use holdline_model::wire::{self, Poison, REPLY_BYTES_MAX, Request};
use holdline_model::words::CrashStep;

use super::http;
use super::pauses::Pause;

/// From which bodies are sent.
static BODY: [u8; 64 << 10] = [b'0'; 64 << 10];

/// How the attempts of a load talk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    protocol: Protocol,
    connection: scenario::Connection,
    /// Whether some attempts of the load are sessions.
    has_sessions: bool,
}

/// What one attempt has to say, and how far it has got.
#[derive(Debug)]
pub(super) enum Talk {
    /// One request of the bare square protocol, in a load in which all are like this: most of all
    /// load, and the cheapest.
    OneShot(Request),
    /// Anything else.
    Dialogue(Box<Dialogue>),
}

/// A talk of one or more requests, each of which waits for the reply before.
#[derive(Debug)]
pub(super) struct Dialogue {
    attempt: u32,
    manner: Manner,
    poison: Option<Poison>,
    /// How many requests have got their right reply, and thereby which one is in hand.
    answered: u16,
    /// The request in hand, but for its body.
    head: Vec<u8>,
    /// When the request in hand was to begin.
    intended_ns: u64,
    /// For how long the client has paused in the request in hand, in nanoseconds.
    paused_ns: u64,
    /// Which pauses of the request in hand are over.
    has_paused: [bool; 2],
    /// The request that was answered last, until somebody asks.
    record: Option<RequestRecord>,
}

/// What has come of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Less than all of it.
    Part,
    /// Not the right one.
    Wrong,
    /// The right one.
    Right {
        /// How many bytes it takes.
        bytes: usize,
        /// The version that the server gave of itself, 0 if none.
        version: u16,
        /// Whether the server would go on over the same connection.
        keeps: bool,
    },
}

impl Manner {
    pub(super) fn new(protocol: Protocol, connection: scenario::Connection) -> Self {
        Self { protocol, connection, has_sessions: connection.is_session() }
    }

    /// What an attempt is to say.
    pub(super) fn talk(&self, attempt: u32, intended_ns: u64, poison: Option<Poison>) -> Talk {
        if self.protocol == Protocol::Square && self.connection == scenario::Connection::ONE_SHOT {
            return Talk::OneShot(poison.map_or(Request::Square(u64::from(attempt)), Request::Poison));
        }
        let connection = self.connection.of_attempt(attempt);
        Talk::Dialogue(Box::new(Dialogue::new(attempt, Self { connection, ..*self }, intended_ns, poison)))
    }
}

impl Dialogue {
    fn new(attempt: u32, manner: Manner, intended_ns: u64, poison: Option<Poison>) -> Self {
        let mut dialogue = Self {
            attempt,
            manner,
            poison,
            answered: 0,
            head: Vec::new(),
            intended_ns,
            paused_ns: 0,
            has_paused: [false; 2],
            record: None,
        };
        dialogue.head = dialogue.render();
        dialogue
    }

    fn render(&self) -> Vec<u8> {
        let line = self.request().line();
        match self.manner.protocol {
            Protocol::Square => line.into_bytes(),
            Protocol::Http => {
                http::request(line.trim_end(), self.manner.connection.body_bytes, !self.is_last())
            }
        }
    }

    /// The request in hand. Poison is the first.
    fn request(&self) -> Request {
        match self.poison {
            Some(poison) if self.answered == 0 => Request::Poison(poison),
            _ => Request::Square(wire::number_of(self.attempt, self.answered.into())),
        }
    }

    /// Whether the request in hand is the last.
    fn is_last(&self) -> bool {
        self.answered + 1 >= self.manner.connection.requests
    }

    /// Length of the request in hand, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.head.len() + self.manner.connection.body_bytes as usize
    }

    /// What may be sent now of the request in hand, behind `sent` bytes; more may follow. It is empty
    /// where nothing is left, or a pause is due.
    pub(super) fn sendable(&self, sent: usize) -> &[u8] {
        let is_halved = self.manner.connection.send_pause_ns > 0 && !self.has_paused[Pause::Sending as usize];
        let limit = if is_halved { self.bytes() / 2 } else { self.bytes() };
        let left = limit.saturating_sub(sent);
        match self.head.get(sent..) {
            Some(head) if !head.is_empty() => &head[..min(left, head.len())],
            _ => &BODY[..min(left, BODY.len())],
        }
    }

    /// The pause that is due, given how much of the request in hand is sent, and its length.
    pub(super) fn pause_due(&self, sent: usize) -> Option<(Pause, u64)> {
        let scenario::Connection { send_pause_ns, read_pause_ns, .. } = self.manner.connection;
        let is_due = |pause: Pause, length_ns: u64| length_ns > 0 && !self.has_paused[pause as usize];
        if is_due(Pause::Sending, send_pause_ns) && sent >= self.bytes() / 2 {
            Some((Pause::Sending, send_pause_ns))
        } else if is_due(Pause::Reading, read_pause_ns) && sent == self.bytes() {
            Some((Pause::Reading, read_pause_ns))
        } else {
            None
        }
    }

    /// Takes note that a pause within the request in hand is over.
    pub(super) fn paused(&mut self, pause: Pause) {
        let scenario::Connection { send_pause_ns, read_pause_ns, .. } = self.manner.connection;
        let (index, length_ns) = match pause {
            Pause::Sending => (0, send_pause_ns),
            Pause::Reading => (1, read_pause_ns),
            Pause::Gap => return,
        };
        self.has_paused[index] = true;
        self.paused_ns += length_ns;
    }

    /// Whether the client ends its side of the connection behind the request in hand.
    pub(super) fn half_closes(&self) -> bool {
        self.manner.connection.half_close && self.is_last()
    }

    /// Judges what has come of the reply to the request in hand. `at_end`: nothing more will come.
    pub(super) fn hear(&self, reply: &[u8], at_end: bool) -> Heard {
        match self.manner.protocol {
            Protocol::Square => self.hear_line(reply),
            Protocol::Http => match http::parse(reply, at_end) {
                http::Reply::Part => Heard::Part,
                http::Reply::Whole(http::Whole { status: 200, body, bytes, keeps }) => {
                    match self.judge(&body, bytes, keeps) {
                        // Where the close ends the body, half of a line is no wrong one.
                        Heard::Wrong if at_end && !body.ends_with(b"\n") => Heard::Part,
                        heard => heard,
                    }
                }
                _ => Heard::Wrong,
            },
        }
    }

    fn hear_line(&self, reply: &[u8]) -> Heard {
        match reply.iter().position(|byte| *byte == b'\n') {
            Some(end) if end < REPLY_BYTES_MAX => self.judge(&reply[..=end], end + 1, true),
            None if reply.len() < REPLY_BYTES_MAX => Heard::Part,
            _ => Heard::Wrong,
        }
    }

    fn judge(&self, line: &[u8], bytes: usize, keeps: bool) -> Heard {
        match judge(line, self.request()) {
            (Outcome::Replied, version) => Heard::Right { bytes, version, keeps },
            _ => Heard::Wrong,
        }
    }

    /// Takes note that the request in hand has got its right reply. When the next one is due; `None`:
    /// there is none.
    pub(super) fn answer(&mut self, at_ns: u64) -> Option<u64> {
        let is_over = self.is_last();
        self.record = Some(RequestRecord {
            attempt: self.attempt,
            intended_ns: self.intended_ns,
            answered_ns: at_ns,
            paused_ns: self.paused_ns,
        });
        self.answered += 1;
        if is_over {
            return None;
        }
        self.intended_ns = at_ns.saturating_add(self.manner.connection.gap_ns);
        self.paused_ns = 0;
        self.has_paused = [false; 2];
        self.head = self.render();
        Some(self.intended_ns)
    }

    /// Whether the server is to end the connection behind the last reply: over HTTP it was told so, and
    /// with one request on each connection it is the protocol. Otherwise that is up to the client.
    pub(super) fn server_closes(&self) -> bool {
        self.manner.protocol == Protocol::Http || !self.manner.has_sessions
    }

    pub(super) fn answered(&self) -> u16 {
        self.answered
    }

    /// Hands out the record of a request that was answered since the last call.
    pub(super) fn take_record(&mut self) -> Option<RequestRecord> {
        self.record.take()
    }
}

/// Judges a complete reply line. To poison there is no right answer, unless its worker is to fail only
/// once it has replied: as poison asks for no number, that of any is right.
pub(super) fn judge(line: &[u8], request: Request) -> (Outcome, u16) {
    let number = match request {
        Request::Square(number) => Some(number),
        Request::Poison(poison) if poison.step == CrashStep::Close => number_answered(line),
        Request::Poison(_) => None,
    };
    let Some(number) = number else { return (Outcome::WrongReply, 0) };
    match wire::parse_reply(line, number) {
        Ok(fields) => {
            let version = fields.version.and_then(|version| u16::try_from(version).ok());
            (Outcome::Replied, version.unwrap_or(0))
        }
        Err(_) => (Outcome::WrongReply, 0),
    }
}

/// The number whose square a reply says it is.
fn number_answered(line: &[u8]) -> Option<u64> {
    std::str::from_utf8(line).ok()?.split_once('*')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use holdline_model::words::CrashMode;

    use super::*;

    fn manner(protocol: Protocol, connection: scenario::Connection) -> Manner {
        Manner::new(protocol, connection)
    }

    #[track_caller]
    fn dialogue(manner: Manner, attempt: u32, poison: Option<Poison>) -> Dialogue {
        match manner.talk(attempt, 100, poison) {
            Talk::Dialogue(dialogue) => *dialogue,
            Talk::OneShot(request) => panic!("{request:?}"),
        }
    }

    const SESSION: scenario::Connection =
        scenario::Connection { requests: 3, gap_ns: 50, ..scenario::Connection::ONE_SHOT };

    #[test]
    fn only_the_plainest_talk_has_no_state() {
        let one_shot = scenario::Connection::ONE_SHOT;
        assert!(matches!(
            manner(Protocol::Square, one_shot).talk(7, 0, None),
            Talk::OneShot(Request::Square(7))
        ));
        assert!(matches!(manner(Protocol::Http, one_shot).talk(7, 0, None), Talk::Dialogue(_)));
        let every = scenario::Connection { every: 2, ..SESSION };
        assert!(matches!(manner(Protocol::Square, every).talk(0, 0, None), Talk::Dialogue(_)));
    }

    #[test]
    fn each_request_of_a_session_asks_for_another_number() {
        let mut dialogue = dialogue(manner(Protocol::Square, SESSION), 7, None);
        assert_eq!(dialogue.sendable(0), b"7\n");
        assert_eq!(dialogue.sendable(1), b"\n");
        assert_eq!(dialogue.sendable(2), b"");
        assert_eq!(dialogue.hear(b"7*7=4", false), Heard::Part);
        assert_eq!(dialogue.hear(b"7*7=48\n", false), Heard::Wrong);
        let right = Heard::Right { bytes: 17, version: 3, keeps: true };
        assert_eq!(dialogue.hear(b"7*7=49 version=3\nx", false), right);
        assert_eq!(dialogue.answer(130), Some(180));
        let record = RequestRecord { attempt: 7, intended_ns: 100, answered_ns: 130, paused_ns: 0 };
        assert_eq!((dialogue.take_record(), dialogue.take_record()), (Some(record), None));
        // The answer to the first request is wrong for the second.
        assert_eq!(dialogue.sendable(0), b"65544\n");
        assert_eq!(dialogue.hear(b"7*7=49\n", false), Heard::Wrong);
        assert_eq!(dialogue.answer(200), Some(250));
        assert_eq!((dialogue.answer(300), dialogue.answered()), (None, 3));
    }

    #[test]
    fn poison_is_the_first_request() {
        let poison = Poison { step: CrashStep::Work, mode: CrashMode::Kill };
        let mut dialogue = dialogue(manner(Protocol::Http, SESSION), 7, Some(poison));
        assert!(dialogue.sendable(0).starts_with(b"GET /square?n=!work:kill HTTP/1.1\r\n"));
        let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n7*7=49\n";
        assert_eq!(dialogue.hear(reply, false), Heard::Wrong);
        dialogue.answer(1);
        assert!(dialogue.sendable(0).starts_with(b"GET /square?n=65544 HTTP/1.1\r\n"));
    }

    #[test]
    fn http_says_when_it_ends() {
        let mut dialogue = dialogue(manner(Protocol::Http, SESSION), 1, None);
        let says = |dialogue: &Dialogue, word: &str| {
            String::from_utf8_lossy(dialogue.sendable(0)).contains(&format!("Connection: {word}\r\n"))
        };
        assert!(says(&dialogue, "keep-alive"));
        dialogue.answer(1);
        dialogue.answer(2);
        assert!(says(&dialogue, "close"));
        let reply =
            |status: &str| format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n131075*131075=17180655625");
        assert_eq!(dialogue.hear(reply("200 OK").as_bytes(), false), Heard::Part);
        let bytes = reply("200 OK").len();
        let right = Heard::Right { bytes, version: 0, keeps: false };
        assert_eq!(dialogue.hear(reply("200 OK").as_bytes(), true), right);
        assert_eq!(dialogue.hear(reply("500 Oh").as_bytes(), true), Heard::Wrong);
    }

    #[test]
    fn slow_clients_pause_twice() {
        let slow = scenario::Connection { send_pause_ns: 30, read_pause_ns: 5, ..SESSION };
        let mut dialogue = dialogue(manner(Protocol::Square, slow), 70_000, None);
        assert_eq!((dialogue.sendable(0), dialogue.pause_due(0)), (&b"700"[..], None));
        assert_eq!((dialogue.sendable(3), dialogue.pause_due(3)), (&b""[..], Some((Pause::Sending, 30))));
        dialogue.paused(Pause::Sending);
        assert_eq!((dialogue.sendable(3), dialogue.pause_due(3)), (&b"00\n"[..], None));
        assert_eq!(dialogue.pause_due(6), Some((Pause::Reading, 5)));
        dialogue.paused(Pause::Reading);
        assert_eq!(dialogue.pause_due(6), None);
        dialogue.answer(200);
        assert_eq!(dialogue.take_record().expect("a request").latency_ns(), 65);
        assert_eq!(dialogue.pause_due(3), Some((Pause::Sending, 30)));
    }

    #[test]
    fn bodies_are_sent_whole() {
        let long = scenario::Connection { body_bytes: 200_000, send_pause_ns: 1, ..SESSION };
        let mut dialogue = dialogue(manner(Protocol::Http, long), 1, None);
        let mut sent = 0;
        while let count @ 1.. = dialogue.sendable(sent).len() {
            sent += count;
        }
        assert_eq!((sent, dialogue.pause_due(sent)), (dialogue.bytes() / 2, Some((Pause::Sending, 1))));
        dialogue.paused(Pause::Sending);
        while let count @ 1.. = dialogue.sendable(sent).len() {
            sent += count;
        }
        assert_eq!((sent, dialogue.pause_due(sent)), (dialogue.bytes(), None));
        assert_eq!(dialogue.bytes(), dialogue.head.len() + 200_000);
    }

    #[test]
    fn versions_that_a_record_cannot_hold_are_not_known() {
        assert_eq!(judge(b"2*2=4 version=65535\n", Request::Square(2)), (Outcome::Replied, 65_535));
        assert_eq!(judge(b"2*2=4 version=65536\n", Request::Square(2)), (Outcome::Replied, 0));
        assert_eq!(judge(b"2*2=5\n", Request::Square(2)), (Outcome::WrongReply, 0));
    }

    #[test]
    fn poison_is_answered_only_by_a_worker_that_fails_later() {
        let poison = |step| Request::Poison(Poison { step, mode: CrashMode::Abort });
        assert_eq!(judge(b"3*3=9 version=2\n", poison(CrashStep::Close)), (Outcome::Replied, 2));
        for line in [b"3*3=8\n".as_slice(), b"nine\n", b"\n", b"\xff*\n"] {
            assert_eq!(judge(line, poison(CrashStep::Close)), (Outcome::WrongReply, 0));
        }
        assert_eq!(judge(b"3*3=9\n", poison(CrashStep::Work)), (Outcome::WrongReply, 0));
    }
}
