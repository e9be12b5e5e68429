//! TLS on top of a socket, as a transport: a rustls session that is driven by the load client's own loop.
//!
//! What a handshake takes in memory is rustls's doing, some kilobytes for each connection; nothing of it is done for
//! connections without TLS.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use holdline_model::tls::TlsFailure;
use holdline_model::wire::Excerpt;
use nix::errno::Errno;
use rustls::pki_types::CertificateDer;
use rustls::{
    AlertDescription, CertificateError, ClientConnection, Error, HandshakeKind, InvalidMessage,
    PeerMisbehaved,
};

use super::socket;
use super::transport::{Broken, Carrier, Greeting, Shown, Transport};
use crate::tls::{TlsClient, Witness};

/// Bytes of a request that go into one record at most (RFC 8446, section 5.1).
const RECORD_BYTES_MAX: usize = 16 << 10;
/// Major versions in the head of a record, of TLS and of SSL 3.
const MAJOR_VERSION: u8 = 3;
/// Kinds of records: from changes of the cipher to data of applications.
const RECORD_KINDS: std::ops::RangeInclusive<u8> = 20..=23;

/// Carries over TLS.
#[derive(Debug, Clone)]
pub(super) struct Secured(pub(super) TlsClient);

impl Carrier for Secured {
    type Over = Tls;

    fn over(&self, socket: OwnedFd, _attempt: u32) -> Tls {
        socket::send_at_once(&socket);
        let (config, name) = self.0.session();
        let session = ClientConnection::new(config, name).map(Box::new);
        Tls {
            socket,
            broken: session.is_err().then_some(Broken::Ours),
            session: session.ok(),
            witness: Arc::clone(self.0.witness()),
            certificate: None,
            first: Excerpt::of(&[]),
            is_connected: false,
            was_ended_bare: false,
            sent: 0,
            sent_before: 0,
            has_heard: false,
        }
    }
}

/// A session over a socket.
#[derive(Debug)]
pub(super) struct Tls {
    socket: OwnedFd,
    /// `None`: it could not even be made.
    session: Option<Box<ClientConnection>>,
    witness: Arc<Witness>,
    broken: Option<Broken>,
    /// What the server showed in this handshake.
    certificate: Option<CertificateDer<'static>>,
    /// The first bytes that came, as they came.
    first: Excerpt,
    is_connected: bool,
    /// Whether the server ended the stream without having said so (RFC 8446, section 6.1).
    was_ended_bare: bool,
    /// How many bytes the kernel has taken, and how many of these before the request in hand.
    sent: u64,
    sent_before: u64,
    /// Whether anything was received since something was sent.
    has_heard: bool,
}

impl AsFd for Tls {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The socket, as rustls wants it. What came first is kept.
struct Wire<'a> {
    socket: &'a OwnedFd,
    first: &'a mut Excerpt,
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = socket::receive_some(self.socket, buffer).map_err(io::Error::from)?;
        if self.first.as_bytes().is_empty() {
            *self.first = Excerpt::of(&buffer[..count]);
        }
        Ok(count)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        socket::send_some(self.socket, bytes).map_err(io::Error::from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn errno_of(error: &io::Error) -> Errno {
    // What has none is the session's own: it has no room, which is not to be.
    error.raw_os_error().map_or(Errno::EPROTO, Errno::from_raw)
}

impl Tls {
    fn session(&mut self) -> Result<(&mut ClientConnection, Wire<'_>), Errno> {
        let Self { socket, session, first, .. } = self;
        let session = session.as_mut().ok_or(Errno::EPROTO)?;
        Ok((session, Wire { socket, first }))
    }

    /// Sends what the session has to send, as far as the kernel takes it.
    fn flush(&mut self) -> Result<(), Errno> {
        let mut sent = 0;
        let (session, mut wire) = self.session()?;
        let result = loop {
            if !session.wants_write() {
                break Ok(());
            }
            match session.write_tls(&mut wire) {
                Ok(count) => sent += count as u64,
                Err(error) => break Err(errno_of(&error)),
            }
        };
        self.sent += sent;
        result
    }

    /// Lets the session have what has come; 0 is the end.
    fn fill(&mut self) -> Result<usize, Errno> {
        if self.broken.is_some() {
            return Err(Errno::EPROTO);
        }
        let (session, mut wire) = self.session()?;
        let count = session.read_tls(&mut wire).map_err(|error| errno_of(&error))?;
        self.has_heard |= count > 0;
        let (session, _) = self.session()?;
        let processed = session.process_new_packets();
        if let Some(certificate) = self.witness.take() {
            self.certificate = Some(certificate);
        }
        if let Err(error) = processed {
            // The session has an alert for the server that says why.
            let _ = self.flush();
            self.broken = Some(self.meaning_of(&error));
            return Err(Errno::EPROTO);
        }
        Ok(count)
    }

    fn meaning_of(&self, error: &Error) -> Broken {
        let is_tls = match self.first.as_bytes() {
            [kind, major, ..] => RECORD_KINDS.contains(kind) && *major == MAJOR_VERSION,
            [kind] => RECORD_KINDS.contains(kind),
            [] => true,
        };
        if is_tls { meaning_of(error) } else { Broken::Theirs(TlsFailure::NotTls) }
    }

    fn cut(&mut self, failure: TlsFailure) -> Errno {
        self.broken = Some(Broken::Theirs(failure));
        Errno::EPROTO
    }
}

impl Transport for Tls {
    const GREETS: bool = true;
    const LAYERED: bool = true;
    const SECURED: bool = true;

    fn greet(&mut self) -> Result<Greeting, Errno> {
        loop {
            let flushed = self.flush();
            match flushed {
                Err(Errno::EAGAIN) if !self.is_connected => return Err(Errno::EAGAIN),
                // An alert may have come before the connection ended, and tells more than its end.
                Ok(()) | Err(Errno::EAGAIN | Errno::ECONNRESET | Errno::EPIPE) => self.is_connected = true,
                Err(errno) => return Err(errno),
            }
            if !self.session()?.0.is_handshaking() {
                self.sent_before = self.sent;
                return Ok(Greeting::Over);
            }
            match (self.fill(), flushed) {
                (Ok(1..), _) => {}
                (Ok(0), Err(Errno::ECONNRESET | Errno::EPIPE)) => return Err(self.cut(TlsFailure::Reset)),
                (Ok(0), _) => return Err(self.cut(TlsFailure::Cut)),
                (Err(Errno::EAGAIN), Err(Errno::ECONNRESET | Errno::EPIPE)) => {
                    return Err(self.cut(TlsFailure::Reset));
                }
                (Err(Errno::EAGAIN), _) => return Ok(Greeting::UnderWay),
                (Err(Errno::ECONNRESET), _) => return Err(self.cut(TlsFailure::Reset)),
                (Err(errno), _) => return Err(errno),
            }
        }
    }

    /// What the kernel does not take of a record at once is sent later, and counts as sent.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        self.flush()?;
        if bytes.is_empty() {
            return socket::send_some(&self.socket, bytes);
        }
        if std::mem::take(&mut self.has_heard) {
            self.sent_before = self.sent;
        }
        let part = &bytes[..bytes.len().min(RECORD_BYTES_MAX)];
        let count = self.session()?.0.writer().write(part).map_err(|error| errno_of(&error))?;
        match self.flush() {
            Ok(()) | Err(Errno::EAGAIN) => Ok(count),
            Err(errno) => Err(errno),
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        loop {
            let read = self.session()?.0.reader().read(buffer);
            match read {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.was_ended_bare = true;
                    return Ok(0);
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(errno_of(&error)),
                Err(_) => {}
            }
            // Where it cannot, reading tells.
            let _ = self.flush();
            self.fill()?;
        }
    }

    fn peek(&mut self) -> Result<usize, Errno> {
        loop {
            let (session, _) = self.session()?;
            let state = session.process_new_packets().map_err(|_| Errno::EPROTO)?;
            match state.plaintext_bytes_to_read() {
                0 if state.peer_has_closed() => return Ok(0),
                0 if self.fill()? == 0 => return Ok(0),
                0 => {}
                bytes => return Ok(bytes),
            }
        }
    }

    fn half_close(&mut self) {
        if let Ok((session, _)) = self.session() {
            session.send_close_notify();
        }
        let _ = self.flush();
        socket::half_close(&self.socket);
    }

    fn owes(&self) -> bool {
        self.session.as_ref().is_none_or(|session| session.wants_write())
    }

    fn part(&mut self) {
        let is_over = self.broken.is_some() || self.was_ended_bare;
        let Ok((session, _)) = self.session() else { return };
        // Whoever has closed already would answer by a reset.
        if is_over || session.is_handshaking() || socket::peek(&self.socket) == Ok(0) {
            return;
        }
        if let Ok((session, _)) = self.session() {
            session.send_close_notify();
        }
        let _ = self.flush();
    }

    fn broken(&self) -> Option<Broken> {
        self.broken
    }

    fn ended_in_full(&self) -> bool {
        !self.was_ended_bare
    }

    fn sent(&self, _of_request: u64) -> u64 {
        self.sent - self.sent_before
    }

    fn first(&self) -> Option<Excerpt> {
        Some(self.first)
    }

    fn is_secured(&self) -> bool {
        self.session.as_ref().is_some_and(|session| !session.is_handshaking())
    }

    fn shown<R>(&self, look: impl FnOnce(Shown<'_>) -> R) -> Option<R> {
        let kind = self.session.as_ref().and_then(|session| session.handshake_kind());
        Some(look(Shown {
            certificate: self.certificate.as_deref(),
            is_resumed: kind == Some(HandshakeKind::Resumed),
        }))
    }
}

/// What an error of a session means.
fn meaning_of(error: &Error) -> Broken {
    let theirs = match error {
        Error::AlertReceived(alert) => TlsFailure::Alert(number_of(*alert)),
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::NoCertificatesPresented => TlsFailure::BadCertificate,
        Error::NoApplicationProtocol
        | Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol) => {
            TlsFailure::NoProtocol
        }
        Error::PeerIncompatible(_) => TlsFailure::Incompatible,
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => TlsFailure::NotTls,
        // What this side lacks.
        Error::FailedToGetCurrentTime
        | Error::FailedToGetRandomBytes
        | Error::EncryptError
        | Error::General(_)
        | Error::Other(_) => return Broken::Ours,
        // Whatever else there is came of what the server sent; the enumeration may grow.
        _ => TlsFailure::Violation,
    };
    Broken::Theirs(theirs)
}

fn number_of(alert: AlertDescription) -> u8 {
    alert.into()
}

fn of_certificate(why: &CertificateError) -> TlsFailure {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFailure::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFailure::NotYetValid
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFailure::Untrusted,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFailure::WrongName
        }
        CertificateError::Revoked => TlsFailure::Revoked,
        // Encoding, purpose, extensions; the enumeration may grow.
        _ => TlsFailure::BadCertificate,
    }
}
