//! The header of the PROXY protocol, by which who passes a connection on says whose it is.
//!
//! It stands in front of the first byte. Version 1 is a line of text, version 2 is binary
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, sections 2.1 and 2.2).

use std::net::SocketAddr;

use crate::words::words;

words! {
    /// A version of the PROXY protocol.
    ProxyVersion ("version of the PROXY protocol", "snake_case") {
        /// A line of text.
        V1 = "v1",
        /// Binary.
        V2 = "v2",
    }
}

/// The two ends of a connection, as they really are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends<'a> {
    /// Over TCP: the client's address, and the server's.
    Tcp(SocketAddr, SocketAddr),
    /// Over a Unix socket: the client's name as `sun_path` holds it, and the server's.
    Unix(&'a [u8], &'a [u8]),
}

/// The first bytes of every header of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, and a connection that is passed on for somebody (PROXY, not LOCAL).
const VERSION_AND_COMMAND: u8 = 0x21;
/// Length of each name of a Unix socket.
const UNIX_BYTES: usize = 108;
/// Length of the longest header, in bytes: that of version 2 for a Unix socket.
pub const PROXY_HEADER_BYTES_MAX: usize = 16 + 2 * UNIX_BYTES;

/// A header, without anything that would have to be allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyHeader {
    bytes: [u8; PROXY_HEADER_BYTES_MAX],
    length: usize,
}

impl ProxyHeader {
    /// The header for a connection between these ends. Version 1 knows no Unix sockets: `UNKNOWN`. Of two families,
    /// which no connection has, version 1 says that it knows neither, version 2 that nobody is meant (`AF_UNSPEC`).
    #[must_use]
    pub fn new(version: ProxyVersion, ends: Ends<'_>) -> Self {
        let mut header = Self { bytes: [0; PROXY_HEADER_BYTES_MAX], length: 0 };
        match version {
            ProxyVersion::V1 => header.put_text(ends),
            ProxyVersion::V2 => header.put_binary(ends),
        }
        header
    }

    /// What is sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// A line of at most 107 bytes.
    fn put_text(&mut self, ends: Ends<'_>) {
        use std::io::Write;
        let mut room = &mut self.bytes[..];
        let whole = room.len();
        // There is room for the longest line, of two IPv6 addresses.
        let _ = match ends {
            Ends::Tcp(SocketAddr::V4(from), SocketAddr::V4(to)) => {
                write!(room, "PROXY TCP4 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port())
            }
            Ends::Tcp(SocketAddr::V6(from), SocketAddr::V6(to)) => {
                write!(room, "PROXY TCP6 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port())
            }
            Ends::Tcp(..) | Ends::Unix(..) => write!(room, "PROXY UNKNOWN\r\n"),
        };
        self.length = whole - room.len();
    }

    fn put_binary(&mut self, ends: Ends<'_>) {
        let (family, length): (u8, u16) = match ends {
            Ends::Tcp(SocketAddr::V4(_), SocketAddr::V4(_)) => (0x11, 12),
            Ends::Tcp(SocketAddr::V6(_), SocketAddr::V6(_)) => (0x21, 36),
            Ends::Tcp(..) => (0x00, 0),
            Ends::Unix(..) => (0x31, 2 * UNIX_BYTES as u16),
        };
        self.put(&SIGNATURE);
        self.put(&[VERSION_AND_COMMAND, family]);
        self.put(&length.to_be_bytes());
        match ends {
            Ends::Tcp(SocketAddr::V4(from), SocketAddr::V4(to)) => {
                self.put(&from.ip().octets());
                self.put(&to.ip().octets());
                self.put(&from.port().to_be_bytes());
                self.put(&to.port().to_be_bytes());
            }
            Ends::Tcp(SocketAddr::V6(from), SocketAddr::V6(to)) => {
                self.put(&from.ip().octets());
                self.put(&to.ip().octets());
                self.put(&from.port().to_be_bytes());
                self.put(&to.port().to_be_bytes());
            }
            Ends::Tcp(..) => {}
            Ends::Unix(from, to) => {
                for name in [from, to] {
                    let mut padded = [0; UNIX_BYTES];
                    let count = name.len().min(UNIX_BYTES);
                    padded[..count].copy_from_slice(&name[..count]);
                    self.put(&padded);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp(from: &str, to: &str) -> Ends<'static> {
        Ends::Tcp(from.parse().expect("an address"), to.parse().expect("an address"))
    }

    #[track_caller]
    fn check(version: ProxyVersion, ends: Ends<'_>, expected: &[u8]) {
        assert_eq!(ProxyHeader::new(version, ends).as_bytes(), expected);
    }

    #[test]
    fn version_1_is_a_line() {
        let v4 = tcp("127.0.0.32:40000", "127.0.0.1:80");
        check(ProxyVersion::V1, v4, b"PROXY TCP4 127.0.0.32 127.0.0.1 40000 80\r\n");
        let v6 = tcp("[fd68:6f6c:6400::20]:40000", "[::1]:8080");
        check(ProxyVersion::V1, v6, b"PROXY TCP6 fd68:6f6c:6400::20 ::1 40000 8080\r\n");
        check(ProxyVersion::V1, Ends::Unix(b"\0h00000000", b"/run/socket"), b"PROXY UNKNOWN\r\n");
    }

    #[test]
    fn version_2_is_binary() {
        let v4 = tcp("127.0.0.32:258", "127.0.0.1:80");
        let expected =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x20\x7f\x00\x00\x01\x01\x02\x00\x50";
        check(ProxyVersion::V2, v4, expected);
        let v6 = tcp("[fd68:6f6c:6400::20]:258", "[::1]:80");
        let mut expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24".to_vec();
        expected.extend([0xfd, 0x68, 0x6f, 0x6c, 0x64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20]);
        expected.extend([0; 15]);
        expected.extend([1, 1, 2, 0, 80]);
        check(ProxyVersion::V2, v6, &expected);
    }

    #[test]
    fn names_of_unix_sockets_are_padded() {
        let header = ProxyHeader::new(ProxyVersion::V2, Ends::Unix(b"\0h00000001", b"/run/socket"));
        let bytes = header.as_bytes();
        assert_eq!((bytes.len(), &bytes[12..16]), (PROXY_HEADER_BYTES_MAX, b"\x21\x31\x00\xd8".as_slice()));
        let (from, to) = bytes[16..].split_at(UNIX_BYTES);
        assert!(from.starts_with(b"\0h00000001\0") && to.starts_with(b"/run/socket\0"));
        assert!(from[10..].iter().chain(&to[11..]).all(|byte| *byte == 0));
    }

    proptest! {
        #[test]
        fn a_line_has_both_ends_and_is_no_longer_than_it_may_be(from: SocketAddr, to: SocketAddr) {
            let header = ProxyHeader::new(ProxyVersion::V1, Ends::Tcp(from, to));
            let line = std::str::from_utf8(header.as_bytes()).expect("text");
            prop_assert!(line.len() <= 107 && line.ends_with("\r\n"));
            let words: Vec<&str> = line.trim_end().split(' ').collect();
            if from.is_ipv4() == to.is_ipv4() {
                let ends = [from.ip().to_string(), to.ip().to_string(), from.port().to_string(), to.port().to_string()];
                prop_assert_eq!(&words[2..], &ends[..]);
            } else {
                prop_assert_eq!(&words[..], &["PROXY", "UNKNOWN"][..]);
            }
        }

        #[test]
        fn a_binary_header_names_its_own_length(from: SocketAddr, to: SocketAddr) {
            let header = ProxyHeader::new(ProxyVersion::V2, Ends::Tcp(from, to));
            let bytes = header.as_bytes();
            let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
            prop_assert_eq!(bytes.len(), 16 + length);
        }
    }
}
