//! One netlink socket to the kernel's sock_diag, and complete answers to requests over it.
//!
//! It knows frames, sequence numbers and the ways in which an answer ends; what the answers mean is
//! for `diag`. It does not wait for anything: the kernel computes a dump inside
//! `send` and `recv`, so that only a broken socket lets one wait, and for that there is a limit.

use std::io;
use std::ops::Range;

use netlink_packet_core::{
    Emitable, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN,
    NetlinkBuffer, NetlinkHeader,
};
use netlink_packet_sock_diag::SOCK_DIAG_BY_FAMILY;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_packet_sock_diag::unix::UnixRequest;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt::ReceiveTimeout};
use nix::sys::time::{TimeVal, TimeValLike};

/// The kernel fills at most 32 KiB at a time, however large the buffer (`netlink_recvmsg`).
const BUFFER_BYTES: usize = 32 * 1024;
/// How long an answer may take, in milliseconds.
const PATIENCE_MS: i64 = 1000;
/// How often a dump is repeated while the kernel says that the sockets changed under it.
const DUMPS_MAX: usize = 5;

/// Asks for TCP sockets of both IP families (include/uapi/linux/inet_diag.h). `SOCK_DIAG_BY_FAMILY`
/// would take two dumps, each of which walks the same hash table; this is how `ss` spares one.
const TCPDIAG_GETSOCK: u16 = 18;

/// What can go wrong between us and sock_diag.
#[derive(Debug, thiserror::Error)]
pub enum DiagError {
    /// There is no socket to ask with.
    #[error("failed to open a sock_diag netlink socket: {0}")]
    Open(#[source] io::Error),
    /// The socket failed while it was in use.
    #[error("failed to ask sock_diag: {0}")]
    Exchange(#[source] io::Error),
    /// The kernel can answer, but not for this family: the part of it that can is not loaded.
    #[error(
        "failed to ask sock_diag: the kernel has no {0} loaded; \
         run `modprobe -a inet_diag tcp_diag unix_diag` as root"
    )]
    MissingModule(&'static str),
    /// The kernel answered with an error.
    #[error("failed to list sockets through sock_diag: {0}")]
    Refused(#[source] io::Error),
    /// Sockets came and went so fast that no complete list could be had.
    #[error("failed to list sockets through sock_diag: the list changed each time it was read")]
    Interrupted,
    /// The answer does not have the form that the kernel documents.
    #[error("failed to read the answer of sock_diag: it is {0}")]
    Malformed(&'static str),
}

/// What can be asked for.
#[derive(Debug, Clone)]
pub(super) enum Request {
    /// All TCP sockets that fit.
    Tcp(TcpRequest),
    /// The one TCP socket that would take a segment from one address to the other, by the same look-up
    /// in the kernel that a segment goes through (`inet_diag_find_one_icsk`).
    TcpOne(InetRequest),
    /// All Unix sockets that fit.
    Unix(UnixRequest),
    /// The one Unix socket with this inode (`unix_diag_get_exact`).
    UnixOne(UnixRequest),
}

/// Asks for TCP sockets of both families by their local port and state.
#[derive(Debug, Clone)]
pub(super) struct TcpRequest {
    pub(super) port: u16,
    pub(super) states: StateFlags,
    pub(super) extensions: ExtensionFlags,
}

/// A socket that is used again for each request, and opened anew after a failure, since an answer
/// that was not read to its end would be mixed up with the next one.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: Option<Socket>,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Request {
    /// Whether one message answers it.
    fn is_for_one(&self) -> bool {
        matches!(self, Self::TcpOne(_) | Self::UnixOne(_))
    }
}

/// A request for one socket that is made again and again, and the answer that came last.
#[derive(Debug)]
pub(super) struct Question {
    request: Request,
    frame: Vec<u8>,
    /// Empty: none yet.
    answer: Vec<u8>,
}

/// Where a message has its sequence number (`struct nlmsghdr`).
const SEQUENCE: Range<usize> = 8..12;
/// Where a request for one TCP socket has the client's port (`struct inet_diag_req_v2`, behind the header).
const CLIENT_PORT: Range<usize> = 26..28;

impl Question {
    pub(super) fn new(request: Request) -> Self {
        let frame = frame(&request, 0);
        Self { request, frame, answer: Vec::new() }
    }

    /// Of a request for one TCP socket: which client's port it is about.
    pub(super) fn set_client_port(&mut self, port: u16) {
        self.frame[CLIENT_PORT].copy_from_slice(&port.to_be_bytes());
    }

    fn number(&mut self, sequence: u32) {
        self.frame[SEQUENCE].copy_from_slice(&sequence.to_ne_bytes());
    }

    /// Whether a datagram answers it with its present number, and otherwise as the last one did.
    fn is_answered_as_before(&self, datagram: &[u8]) -> bool {
        datagram.len() == self.answer.len()
            && datagram.get(SEQUENCE) == Some(&self.frame[SEQUENCE])
            && datagram[..SEQUENCE.start] == self.answer[..SEQUENCE.start]
            && datagram[SEQUENCE.end..] == self.answer[SEQUENCE.end..]
    }
}

/// How an answer ended.
enum Ended {
    Complete,
    /// The kernel says that the dump may miss sockets or have them twice.
    Interrupted,
}

impl Netlink {
    /// Opens the socket, in the network namespace of the calling thread.
    pub(super) fn open() -> Result<Self, DiagError> {
        let socket = connected().map_err(DiagError::Open)?;
        Ok(Self { socket: Some(socket), sequence: 0, buffer: Vec::with_capacity(BUFFER_BYTES) })
    }

    /// Sends `request` and collects what `parse` makes of each socket in the answer.
    ///
    /// # Errors
    ///
    /// As [`DiagError`] describes; after any of them the next call opens a new socket, which is in
    /// the network namespace of the thread that makes that call.
    pub(super) fn ask<T>(
        &mut self,
        request: &Request,
        mut parse: impl FnMut(&[u8]) -> Result<Option<T>, DiagError>,
    ) -> Result<Vec<T>, DiagError> {
        for _ in 0..DUMPS_MAX {
            let mut found = Vec::new();
            let socket = self.take_socket()?;
            let end = self.ask_once(&socket, request, |payload| {
                found.extend(parse(payload)?);
                Ok(())
            })?;
            self.socket = Some(socket);
            if matches!(end, Ended::Complete) {
                return Ok(found);
            }
        }
        Err(DiagError::Interrupted)
    }

    /// Asks a question once more, of which the answer is one message. `None`: it is the one that came before, byte for byte.
    ///
    /// # Errors
    ///
    /// As of [`Netlink::ask`].
    pub(super) fn ask_again<T>(
        &mut self,
        question: &mut Question,
        mut parse: impl FnMut(&[u8]) -> Result<Option<T>, DiagError>,
    ) -> Result<Option<Vec<T>>, DiagError> {
        let socket = self.take_socket()?;
        self.sequence = self.sequence.wrapping_add(1);
        question.number(self.sequence);
        send(&socket, &question.frame)?;
        self.receive(&socket)?;
        if question.is_answered_as_before(&self.buffer) {
            self.socket = Some(socket);
            return Ok(None);
        }
        let (mut found, mut interrupted) = (Vec::new(), false);
        let mut each = |payload: &[u8]| {
            found.extend(parse(payload)?);
            Ok(())
        };
        while self.read(&question.request, &mut interrupted, &mut each)?.is_none() {
            self.receive(&socket)?;
        }
        // The datagram that was read last is the answer; one before it had another number.
        question.answer.clone_from(&self.buffer);
        self.socket = Some(socket);
        Ok(Some(found))
    }

    fn take_socket(&mut self) -> Result<Socket, DiagError> {
        match self.socket.take() {
            Some(socket) => Ok(socket),
            None => connected().map_err(DiagError::Open),
        }
    }

    fn ask_once(
        &mut self,
        socket: &Socket,
        request: &Request,
        mut each: impl FnMut(&[u8]) -> Result<(), DiagError>,
    ) -> Result<Ended, DiagError> {
        self.sequence = self.sequence.wrapping_add(1);
        send(socket, &frame(request, self.sequence))?;
        let mut interrupted = false;
        loop {
            self.receive(socket)?;
            if let Some(end) = self.read(request, &mut interrupted, &mut each)? {
                return Ok(end);
            }
        }
    }

    /// Receives a datagram into the buffer.
    fn receive(&mut self, socket: &Socket) -> Result<(), DiagError> {
        self.buffer.clear();
        let buffer = &mut self.buffer;
        let length =
            again_if_interrupted(|| socket.recv(buffer, libc::MSG_TRUNC)).map_err(DiagError::Exchange)?;
        if length > self.buffer.len() {
            return Err(DiagError::Malformed("longer than the kernel's own limit"));
        }
        Ok(())
    }

    /// Reads the messages in the buffer that are about the last request. `None`: there is more to come.
    fn read(
        &self,
        request: &Request,
        interrupted: &mut bool,
        mut each: impl FnMut(&[u8]) -> Result<(), DiagError>,
    ) -> Result<Option<Ended>, DiagError> {
        let mut rest = self.buffer.as_slice();
        while !rest.is_empty() {
            let message = NetlinkBuffer::new_checked(rest)
                .map_err(|_| DiagError::Malformed("cut off within a message"))?;
            if message.sequence_number() == self.sequence {
                *interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
                match message.message_type() {
                    NLMSG_DONE | NLMSG_ERROR => {
                        status(request, message.payload())?;
                        return Ok(Some(if *interrupted { Ended::Interrupted } else { Ended::Complete }));
                    }
                    NLMSG_OVERRUN => return Err(DiagError::Malformed("lost to an overrun")),
                    NLMSG_NOOP => {}
                    _ => {
                        each(message.payload())?;
                        if request.is_for_one() {
                            return Ok(Some(Ended::Complete));
                        }
                    }
                }
            }
            let aligned = (message.length() as usize).next_multiple_of(4);
            rest = rest.get(aligned..).unwrap_or_default();
        }
        Ok(None)
    }
}

/// A socket that is connected to the kernel, whose answers do not wait for ever.
fn connected() -> io::Result<Socket> {
    let socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(PATIENCE_MS))?;
    Ok(socket)
}

fn frame(request: &Request, sequence: u32) -> Vec<u8> {
    let (message_type, dump, body) = match request {
        Request::Tcp(request) => (TCPDIAG_GETSOCK, NLM_F_DUMP, request.body()),
        Request::TcpOne(request) => (SOCK_DIAG_BY_FAMILY, 0, emitted(request)),
        Request::Unix(request) => (SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, emitted(request)),
        Request::UnixOne(request) => (SOCK_DIAG_BY_FAMILY, 0, emitted(request)),
    };
    let mut header = NetlinkHeader::default();
    header.message_type = message_type;
    header.flags = NLM_F_REQUEST | dump;
    header.sequence_number = sequence;
    header.length = u32::try_from(header.buffer_len() + body.len()).expect("requests are short");
    let mut bytes = emitted(&header);
    bytes.extend(body);
    bytes
}

fn emitted(part: &impl Emitable) -> Vec<u8> {
    let mut bytes = vec![0; part.buffer_len()];
    part.emit(&mut bytes);
    bytes
}

impl TcpRequest {
    /// `struct inet_diag_req`, in which the kernel reads neither family nor address lengths nor, of
    /// the socket's identity, anything but the ports (`inet_diag_dump_compat`).
    fn body(&self) -> Vec<u8> {
        let mut socket_id = SocketId::new_v4();
        socket_id.source_port = self.port;
        let mut body = vec![0, 0, 0, self.extensions.bits()];
        body.extend(emitted(&socket_id));
        body.extend(self.states.bits().to_ne_bytes());
        body.extend(0u32.to_ne_bytes());
        body
    }
}

/// Reads the errno with which both `NLMSG_ERROR` and `NLMSG_DONE` begin; the kernel negates it. The
/// two that name a missing module are those of `__sock_diag_cmd` and `sock_diag_rcv_msg` in
/// net/core/sock_diag.c.
fn status(request: &Request, payload: &[u8]) -> Result<(), DiagError> {
    let code = payload.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    match (code.saturating_neg(), request) {
        (..=0, _) | (libc::ENOENT, Request::TcpOne(_) | Request::UnixOne(_)) => Ok(()),
        (libc::ENOENT | libc::EOPNOTSUPP, Request::Unix(_) | Request::UnixOne(_)) => {
            Err(DiagError::MissingModule("unix_diag"))
        }
        (libc::ENOENT | libc::EOPNOTSUPP, _) => Err(DiagError::MissingModule("tcp_diag")),
        (errno, _) => Err(DiagError::Refused(io::Error::from_raw_os_error(errno))),
    }
}

fn send(socket: &Socket, frame: &[u8]) -> Result<(), DiagError> {
    again_if_interrupted(|| socket.send(frame, 0)).map(drop).map_err(DiagError::Exchange)
}

fn again_if_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix() -> Request {
        use netlink_packet_sock_diag::unix::{ShowFlags, StateFlags};
        Request::Unix(UnixRequest {
            state_flags: StateFlags::LISTEN,
            inode: 0,
            show_flags: ShowFlags::NAME,
            cookie: [0xff; 8],
        })
    }

    fn tcp() -> Request {
        let (states, extensions) = (StateFlags::LISTEN, ExtensionFlags::SKMEMINFO);
        Request::Tcp(TcpRequest { port: 0x1234, states, extensions })
    }

    #[test]
    fn requests_have_the_form_of_the_kernel_headers() {
        let frame = frame(&tcp(), 7);
        assert_eq!(frame.len(), 16 + 60, "nlmsghdr and inet_diag_req");
        let (header, body) = frame.split_at(16);
        assert_eq!(header[..4], 76u32.to_ne_bytes());
        assert_eq!(header[4..6], TCPDIAG_GETSOCK.to_ne_bytes());
        assert_eq!(body[3], 1 << 6, "INET_DIAG_SKMEMINFO is 7");
        assert_eq!(body[4..6], [0x12, 0x34]);
        assert_eq!(body[52..56], (1u32 << 10).to_ne_bytes(), "TCP_LISTEN is 10");
        assert_eq!(super::frame(&unix(), 8).len(), 16 + 24, "nlmsghdr and unix_diag_req");
    }

    #[test]
    fn a_question_is_the_request_with_its_port_and_number() {
        let mut socket_id = SocketId::new_v4();
        let request = |socket_id: &SocketId| {
            Request::TcpOne(InetRequest {
                family: 2,
                protocol: 6,
                extensions: ExtensionFlags::SKMEMINFO,
                states: StateFlags::LISTEN,
                socket_id: socket_id.clone(),
            })
        };
        let mut question = Question::new(request(&socket_id));
        question.set_client_port(0x1234);
        question.number(9);
        socket_id.destination_port = 0x1234;
        assert_eq!(question.frame, frame(&request(&socket_id), 9));
        // An answer, one with another number, and one that says something else.
        let answer = |number: u32, says: u8| [&[0; 8][..], &number.to_ne_bytes(), &[says; 8]].concat();
        assert!(!question.is_answered_as_before(&answer(9, 1)), "there was none before");
        question.answer = answer(7, 1);
        assert!(question.is_answered_as_before(&answer(9, 1)));
        for other in [answer(8, 1), answer(9, 2), Vec::new(), answer(9, 1)[..19].to_vec()] {
            assert!(!question.is_answered_as_before(&other), "{other:?}");
        }
    }

    #[test]
    fn a_missing_module_is_named_with_its_remedy() {
        let (tcp, unix) = (tcp(), unix());
        let ends = |request, errno: i32| status(request, &errno.wrapping_neg().to_ne_bytes());
        assert!(ends(&tcp, 0).is_ok() && status(&tcp, &[]).is_ok());
        for errno in [libc::ENOENT, libc::EOPNOTSUPP] {
            let said = ends(&tcp, errno).unwrap_err().to_string();
            assert!(said.contains("tcp_diag loaded; run `modprobe"), "{said}");
            assert!(ends(&unix, errno).unwrap_err().to_string().contains("no unix_diag"));
        }
        assert!(matches!(ends(&tcp, libc::EINVAL), Err(DiagError::Refused(_))));
        assert!(matches!(ends(&tcp, i32::MIN), Err(DiagError::Refused(_)) | Ok(())));
    }

    #[test]
    fn a_socket_that_failed_is_replaced() {
        let mut netlink = Netlink::open().unwrap();
        let failing = netlink.ask(&tcp(), |_| Err::<Option<()>, _>(DiagError::Malformed("not liked")));
        let _server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let any = Request::Tcp(TcpRequest {
            port: 0,
            states: StateFlags::LISTEN,
            extensions: ExtensionFlags::empty(),
        });
        assert!(failing.is_ok(), "nobody listens on that port: {failing:?}");
        let failing = netlink.ask(&any, |_| Err::<Option<()>, _>(DiagError::Malformed("not liked")));
        assert!(failing.is_err() && netlink.socket.is_none());
        assert!(!netlink.ask(&any, |_| Ok(Some(()))).unwrap().is_empty());
    }
}
