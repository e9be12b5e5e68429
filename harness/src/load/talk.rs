//! What is said on a connection: which requests, with which pauses, and what counts as the right reply.
//! How a request looks and which reply is right is the business of the protocol; no socket is touched here.

use std::cmp::min;
use std::sync::Arc;

use holdline_model::record::RequestRecord;
use holdline_model::scenario;
use holdline_model::wire::{Ask, Excerpt, Heard, Number, Poison, Protocol, Script};

use super::pauses::Pause;

/// From which bodies are sent.
static BODY: [u8; 64 << 10] = [b'0'; 64 << 10];

/// How the attempts of a load talk.
#[derive(Debug, Clone)]
pub(super) struct Manner {
    protocol: Protocol,
    script: Arc<Script>,
    connection: scenario::Connection,
    /// Whether the server is to end the connection behind the last reply.
    server_closes: bool,
    /// Whether answered requests are recorded: not where the record of the attempt says it all.
    logs_requests: bool,
    /// How long the end of a request is held back whose worker is to be killed, in nanoseconds.
    hold_ns: u64,
}

/// What one attempt has to say, and how far it has got: one or more requests, each of which waits for
/// the reply before.
#[derive(Debug)]
pub(super) struct Talk {
    manner: Manner,
    /// The request in hand. Its number is how many have got their right reply.
    ask: Ask,
    /// The request in hand as it is sent, but for its body.
    head: Vec<u8>,
    /// How much of that is the first of several requests that are sent at once, in bytes.
    first_bytes: usize,
    /// The number of the request in hand, as it stands in a body of the script.
    number: Number,
    /// Whether the end of the request is held back.
    holds: bool,
    /// Whether it has just been so.
    is_held_back: bool,
    /// When the request in hand was to begin.
    intended_ns: u64,
    /// For how long the client has paused in the request in hand, in nanoseconds.
    paused_ns: u64,
    /// Which pauses of the request in hand are over.
    has_paused: [bool; 2],
    /// The request that was answered last, until somebody asks.
    record: Option<RequestRecord>,
}

/// Where a client pauses while it sends.
struct Halt {
    /// Behind so many bytes.
    at: usize,
    pause: Pause,
    length_ns: u64,
}

/// How long a client that is connected says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// For so many nanoseconds.
    For(u64),
    /// For as long as it is there.
    ToTheEnd,
    /// Until the server has said something.
    ToListen,
}

impl Manner {
    pub(super) fn new(protocol: Protocol, script: &Arc<Script>, connection: scenario::Connection) -> Self {
        let can = protocol.can();
        let is_plainest = protocol == Protocol::default() && connection == scenario::Connection::ONE_SHOT;
        Self {
            protocol,
            script: Arc::clone(script),
            connection,
            // Where no request says that it is the last, sessions are ended by the client.
            server_closes: script
                .server_closes()
                .unwrap_or(can.server_ends && (can.say_last || !connection.keeps_alive())),
            logs_requests: !is_plainest,
            hold_ns: 0,
        }
    }

    /// Holds the end of requests back for so long, in nanoseconds, whose worker is to be killed.
    pub(super) fn hold_for(self, hold_ns: u64) -> Self {
        Self { hold_ns, ..self }
    }

    /// What an attempt is to say. `head` gives the room to encode it in.
    pub(super) fn talk(&self, attempt: u32, intended_ns: u64, poison: Option<Poison>, head: Vec<u8>) -> Talk {
        let mut connection = self.connection.of_attempt(attempt);
        // Poison goes over a connection of its own, so that it strikes once, and as its client's address says.
        connection.pool = connection.pool.filter(|_| poison.is_none());
        let mut talk = Talk {
            ask: Ask {
                attempt,
                exchange: 0,
                turn: 0,
                poison,
                keeps: false,
                body_bytes: connection.body_bytes,
            },
            head,
            first_bytes: 0,
            number: Number::new(0),
            holds: poison.is_some() && !self.script.has_poison(),
            is_held_back: false,
            manner: Self { connection, ..self.clone() },
            intended_ns,
            paused_ns: 0,
            has_paused: [false; 2],
            record: None,
        };
        talk.encode();
        talk
    }
}

impl Talk {
    /// Encodes the request in hand; in a pipeline all, whose bodies are short enough to stand with their heads
    /// ([`Script::may_be_sent_at_once`]).
    fn encode(&mut self) {
        self.ask.keeps = !self.is_last() || self.pool().is_some();
        self.number = self.ask.number();
        self.head.clear();
        self.manner.protocol.encode(&self.ask, &self.manner.script, &mut self.head);
        self.first_bytes = self.head.len();
        if self.is_pipelined() {
            let requests = self.manner.connection.requests;
            for exchange in 1..requests {
                let keeps = exchange + 1 < requests;
                let ask = Ask { exchange, keeps, poison: None, ..self.ask };
                self.manner.protocol.encode(&ask, &self.manner.script, &mut self.head);
            }
        }
    }

    /// Whether all requests are sent at once, so that `bytes` is the length of all.
    pub(super) fn is_pipelined(&self) -> bool {
        self.manner.connection.pipeline
    }

    /// How many requests are sent at once; 0 if each waits for the reply to the one before.
    pub(super) fn pipelined(&self) -> u16 {
        if self.is_pipelined() { self.manner.connection.requests } else { 0 }
    }

    /// Gives back the room that it took.
    pub(super) fn into_head(self) -> Vec<u8> {
        self.head
    }

    /// The pool that it belongs to.
    pub(super) fn pool(&self) -> Option<scenario::Pool> {
        self.manner.connection.pool
    }

    fn is_last_request(&self) -> bool {
        self.ask.exchange + 1 >= self.manner.connection.requests
    }

    /// Whether nothing follows what is in hand.
    pub(super) fn is_last(&self) -> bool {
        self.is_last_request() && !self.has_turns_left()
    }

    /// Whether the request in hand has more turns.
    fn has_turns_left(&self) -> bool {
        self.ask.turn + 1 < self.manner.script.turns(self.ask.exchange).end
    }

    /// Whether an earlier turn of the request in hand has been answered.
    pub(super) fn has_turned(&self) -> bool {
        self.ask.turn > self.manner.script.turns(self.ask.exchange).start
    }

    /// Goes on to the next turn of the request in hand, whose turn before was answered. Says whether there is one.
    pub(super) fn turn(&mut self) -> bool {
        if !self.has_turns_left() {
            return false;
        }
        self.ask.turn += 1;
        self.encode();
        true
    }

    /// Length of what is in hand, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let body = self.manner.protocol.body(&self.ask, &self.manner.script);
        let zeros = self.manner.connection.body_bytes as usize;
        self.head.len() + body.map_or(zeros, |body| body.length(&self.number))
    }

    /// For how long the client says nothing once it is connected; `None`: it asks at once.
    pub(super) fn silence(&self) -> Option<Silence> {
        match self.manner.connection {
            scenario::Connection { silent: true, .. } => Some(Silence::ToTheEnd),
            scenario::Connection { connect_pause_ns: 0, .. } => {
                (self.bytes() == 0).then_some(Silence::ToListen)
            }
            scenario::Connection { connect_pause_ns, .. } => Some(Silence::For(connect_pause_ns)),
        }
    }

    /// What may be sent now of the request in hand, behind `sent` bytes; more may follow. It is empty
    /// where nothing is left, or a pause is due.
    pub(super) fn sendable(&self, sent: usize) -> &[u8] {
        let left = self.halt().map_or(self.bytes(), |halt| halt.at).saturating_sub(sent);
        let piece = match self.head.get(sent..) {
            Some(head) if !head.is_empty() => head,
            _ => match self.manner.protocol.body(&self.ask, &self.manner.script) {
                Some(body) => body.from(sent - self.head.len(), &self.number),
                None => &BODY,
            },
        };
        &piece[..min(left, piece.len())]
    }

    /// Where the client is still to pause while it sends what is in hand.
    fn halt(&self) -> Option<Halt> {
        let send_pause_ns = self.manner.connection.send_pause_ns;
        let comes_in_pieces = self.ask.turn == 0 || self.manner.protocol != Protocol::WebSocket;
        if send_pause_ns > 0 && comes_in_pieces && !self.has_paused[Pause::Sending as usize] {
            return Some(Halt { at: self.bytes() / 2, pause: Pause::Sending, length_ns: send_pause_ns });
        }
        // Of requests that are sent at once, it is the first that is held back. What comes once before it, such as a login,
        // is not: servers refuse one that comes in pieces.
        let bytes = if self.is_pipelined() { self.first_bytes } else { self.bytes() };
        let is_of_request = self.ask.turn >= self.manner.script.turns(1).start;
        let at = bytes.checked_sub(1).filter(|_| self.holds && is_of_request)?;
        Some(Halt { at, pause: Pause::Holding, length_ns: self.manner.hold_ns })
    }

    /// Takes note that a pause begins.
    pub(super) fn pauses(&mut self, pause: Pause) {
        self.is_held_back |= pause == Pause::Holding;
    }

    /// Whether the end of a request is held back, for the first time that this is asked.
    pub(super) fn take_held_back(&mut self) -> bool {
        std::mem::take(&mut self.is_held_back)
    }

    /// The pause that is due, given how much of the request in hand is sent, and its length.
    pub(super) fn pause_due(&self, sent: usize) -> Option<(Pause, u64)> {
        let read_pause_ns = self.manner.connection.read_pause_ns;
        match self.halt() {
            Some(Halt { at, pause, length_ns }) => (sent >= at).then_some((pause, length_ns)),
            None => {
                let is_due = read_pause_ns > 0 && !self.has_paused[Pause::Reading as usize];
                (is_due && sent == self.bytes()).then_some((Pause::Reading, read_pause_ns))
            }
        }
    }

    /// Takes note that a pause within the request in hand is over.
    pub(super) fn paused(&mut self, pause: Pause) {
        let scenario::Connection { send_pause_ns, read_pause_ns, .. } = self.manner.connection;
        let (index, length_ns) = match pause {
            Pause::Sending => (0, send_pause_ns),
            Pause::Reading => (1, read_pause_ns),
            Pause::Connecting => {
                self.paused_ns += self.manner.connection.connect_pause_ns;
                return;
            }
            Pause::Holding => {
                self.holds = false;
                self.paused_ns += self.manner.hold_ns;
                return;
            }
            Pause::Gap | Pause::Rest => return,
        };
        self.has_paused[index] = true;
        self.paused_ns += length_ns;
    }

    /// Whether the client ends its side of the connection behind the request in hand.
    pub(super) fn half_closes(&self) -> bool {
        self.manner.connection.half_close && (self.is_last() || self.is_pipelined())
    }

    /// The first bytes of what a reply says.
    pub(super) fn excerpt(&self, reply: &[u8]) -> Excerpt {
        self.manner.protocol.excerpt(reply)
    }

    /// Judges what has come of the reply to the request in hand. `at_end`: nothing more will come.
    pub(super) fn hear(&self, reply: &[u8], at_end: bool) -> Heard {
        self.manner.protocol.judge(&self.ask, &self.manner.script, reply, at_end)
    }

    /// The most bytes of a reply that are to be kept until it is complete.
    pub(super) fn reply_bytes_max(&self) -> usize {
        self.manner.protocol.reply_bytes_max(&self.manner.script)
    }

    /// Takes note that the request in hand has got its right reply. When the next one is due; `None`:
    /// there is none.
    pub(super) fn answer(&mut self, at_ns: u64) -> Option<u64> {
        let is_over = self.is_last_request();
        self.record = self.manner.logs_requests.then_some(RequestRecord {
            attempt: self.ask.attempt,
            intended_ns: self.intended_ns,
            answered_ns: at_ns,
            paused_ns: self.paused_ns,
        });
        self.ask.exchange += 1;
        if is_over {
            return None;
        }
        // Poison is the first request.
        self.ask.poison = None;
        if self.is_pipelined() {
            // It was due, and was sent, with the first.
            return Some(self.intended_ns);
        }
        self.intended_ns = at_ns.saturating_add(self.manner.connection.gap_ns);
        self.paused_ns = 0;
        self.has_paused = [false; 2];
        self.holds = false;
        self.ask.turn = self.manner.script.turns(self.ask.exchange).start;
        self.encode();
        Some(self.intended_ns)
    }

    /// Whether the server is to end the connection behind the last reply: where it was told so, and where
    /// each connection carries one request. Otherwise that is up to the client.
    pub(super) fn server_closes(&self) -> bool {
        self.manner.server_closes && self.pool().is_none()
    }

    /// How many requests have got their right reply.
    pub(super) fn answered(&self) -> u16 {
        self.ask.exchange
    }

    /// Hands out the record of a request that was answered since the last call.
    pub(super) fn take_record(&mut self) -> Option<RequestRecord> {
        self.record.take()
    }
}

#[cfg(test)]
mod tests;
