//! The layout of what workers and harness share in memory: the worker's ledger and the control page.
//!
//! Both are plain files that are mapped shared, so that a record is safe from the moment at which
//! its last store is done, however the writer dies, and needs no system call. All numbers are
//! little-endian. `fixtures/LEDGER.md` describes the same layout for writers in other languages.
//!
//! A worker process has one ledger file to itself, named `<generation>-<pid>.ledger`, in the folder
//! `ledger` of its home: nothing is shared between writers, so a writer needs no atomic operation.

// A new word must be seen wherever words are told apart: no wildcard swallows it.
#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::wire::Peer;
use crate::words::{CrashMode, CrashStep};

/// The first bytes of a ledger file.
pub const LEDGER_MAGIC: [u8; 8] = *b"HLLEDGR1";
/// Length of a ledger's header, in bytes.
pub const LEDGER_HEADER_BYTES: usize = 64;
/// Length of one record, in bytes.
pub const RECORD_BYTES: usize = 64;
/// Offset in the header of the worker's process id (u32).
pub const LEDGER_PID_OFFSET: usize = 8;
/// Offset in the header of the worker's generation (u32).
pub const LEDGER_GENERATION_OFFSET: usize = 12;
/// Offset in the header of the accept window (u32): 1 from just before `accept` is called until the
/// accepted connection's record is complete, else 0. A worker that dies inside it may have taken
/// one connection that it could not record.
pub const LEDGER_WINDOW_OFFSET: usize = 16;
/// By how many records a ledger file grows.
pub const LEDGER_CHUNK_RECORDS: usize = 16 * 1024;

/// An enumeration whose values are written as these numbers: they stand here once, and never change.
macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u32)]
        pub enum $name {
            $($(#[$variant_meta])* $variant = $code,)+
        }

        impl $name {
            /// Every one, in order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The number that is written.
            #[must_use]
            pub const fn code(self) -> u32 {
                self as u32
            }

            /// Reads a number back.
            #[must_use]
            pub const fn from_code(code: u32) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// What a worker's record says.
    RecordKind {
        /// The process runs. Detail: the worker's version.
        Boot = 1,
        /// It can accept from now on. Detail: inode of the listener, 0 where it has none.
        Ready = 2,
        /// `accept` returned a connection.
        Accepted = 3,
        /// A request was read completely. Detail: its number, `u64::MAX` for poison.
        Read = 4,
        /// A reply was handed to the kernel completely. Detail: its number.
        Replied = 5,
        /// The connection was closed by the worker.
        Closed = 6,
        /// The worker is about to fail as it was told. Detail: see [`crash_detail`].
        Crash = 7,
        /// It was asked to stop and accepts nothing more.
        Drain = 8,
        /// It is about to exit of its own will. Detail: the exit code.
        Exit = 9,
        /// `bind` or `listen` failed. Detail: errno.
        BindFailed = 10,
        /// It fails to boot, as it was told.
        BootFailed = 11,
        /// `accept` failed for another reason than having nothing to accept. Detail: errno.
        AcceptFailed = 12,
        /// It was told to accept nothing more, and goes on living.
        StoppedAccepting = 13,
        /// A spare took over: it accepts from now on.
        TookOver = 14,
    }
}

impl RecordKind {
    /// Whether a worker writes it a few times in its life, not for each connection or request: it can then
    /// afford the system call by which it wakes whoever watches its ledger.
    #[must_use]
    pub const fn is_rare(self) -> bool {
        match self {
            Self::Accepted | Self::Read | Self::Replied | Self::Closed => false,
            Self::Boot
            | Self::Ready
            | Self::Crash
            | Self::Drain
            | Self::Exit
            | Self::BindFailed
            | Self::BootFailed
            | Self::AcceptFailed
            | Self::StoppedAccepting
            | Self::TookOver => true,
        }
    }
}

/// The number of a step in records.
#[must_use]
pub const fn step_code(step: CrashStep) -> u8 {
    match step {
        CrashStep::Boot => 0,
        CrashStep::Idle => 1,
        CrashStep::Accept => 2,
        CrashStep::Read => 3,
        CrashStep::Work => 4,
        CrashStep::Reply => 5,
        CrashStep::Close => 6,
        CrashStep::Drain => 7,
    }
}

/// The number of a mode in records. On the control page it is one more.
#[must_use]
pub const fn mode_code(mode: CrashMode) -> u8 {
    match mode {
        CrashMode::Exit => 0,
        CrashMode::Panic => 1,
        CrashMode::Abort => 2,
        CrashMode::Segv => 3,
        CrashMode::Kill => 4,
        CrashMode::Hang => 5,
        CrashMode::StopAccepting => 6,
        CrashMode::LeakFds => 7,
        CrashMode::Allocate => 8,
        CrashMode::Catch => 9,
    }
}

fn mode_of_code(code: u64) -> Option<CrashMode> {
    CrashMode::ALL.iter().copied().find(|mode| u64::from(mode_code(*mode)) == code)
}

/// Packs step and mode of a deliberate crash into a record's detail.
#[must_use]
pub fn crash_detail(step: CrashStep, mode: CrashMode) -> u64 {
    u64::from(step_code(step)) << 8 | u64::from(mode_code(mode))
}

/// Reads back what [`crash_detail`] packed.
#[must_use]
pub fn parse_crash_detail(detail: u64) -> Option<(CrashStep, CrashMode)> {
    let step = CrashStep::ALL.iter().copied().find(|step| u64::from(step_code(*step)) == detail >> 8)?;
    Some((step, mode_of_code(detail & 0xff)?))
}

/// One line of a worker's ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerRecord {
    /// What happened.
    pub kind: RecordKind,
    /// The worker's process id, in the trial's PID namespace.
    pub pid: u32,
    /// Which incarnation of the worker it is, from 1.
    pub generation: u32,
    /// Which of this worker's connections it concerns, from 1; 0 for none.
    pub connection: u32,
    /// When, in CLOCK_MONOTONIC nanoseconds.
    pub at_ns: u64,
    /// Depends on the kind.
    pub detail: u64,
    /// The client's address, for records of connections.
    pub peer: Option<Peer>,
}

/// No client, or one whose address is not known.
pub const FAMILY_NONE: u16 = 0;
/// A Unix client, known by its attempt.
pub const FAMILY_UNIX: u16 = 1;
/// An IPv4 client.
pub const FAMILY_V4: u16 = 2;
/// An IPv6 client.
pub const FAMILY_V6: u16 = 10;

impl WorkerRecord {
    /// The record as bytes. The writer stores the first four, the kind, last.
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[0..4].copy_from_slice(&self.kind.code().to_le_bytes());
        bytes[4..8].copy_from_slice(&self.pid.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.generation.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.connection.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.at_ns.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.detail.to_le_bytes());
        let (family, port, address) = encode_peer(self.peer);
        bytes[32..34].copy_from_slice(&family.to_le_bytes());
        bytes[34..36].copy_from_slice(&port.to_le_bytes());
        bytes[36..52].copy_from_slice(&address);
        bytes
    }

    /// Reads a record. `Ok(None)`: nothing was recorded here.
    ///
    /// # Errors
    ///
    /// A kind or an address family that does not exist: the ledger is damaged.
    pub fn decode(bytes: &[u8; RECORD_BYTES]) -> Result<Option<Self>, DamagedRecord> {
        let kind = u32_at(bytes, 0);
        if kind == 0 {
            return Ok(None);
        }
        Ok(Some(Self {
            kind: RecordKind::from_code(kind).ok_or(DamagedRecord::Kind(kind))?,
            pid: u32_at(bytes, 4),
            generation: u32_at(bytes, 8),
            connection: u32_at(bytes, 12),
            at_ns: u64_at(bytes, 16),
            detail: u64_at(bytes, 24),
            peer: decode_peer(bytes)?,
        }))
    }
}

/// A record that no writer can have meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DamagedRecord {
    /// The kind does not exist.
    #[error("unknown record kind {0}")]
    Kind(u32),
    /// The address family does not exist.
    #[error("unknown address family {0}")]
    Family(u16),
}

fn encode_peer(peer: Option<Peer>) -> (u16, u16, [u8; 16]) {
    let mut address = [0; 16];
    match peer {
        None => (FAMILY_NONE, 0, address),
        Some(Peer::Unix(attempt)) => {
            address[..4].copy_from_slice(&attempt.to_le_bytes());
            (FAMILY_UNIX, 0, address)
        }
        Some(Peer::Ip(IpAddr::V4(ip), port)) => {
            address[..4].copy_from_slice(&ip.octets());
            (FAMILY_V4, port, address)
        }
        Some(Peer::Ip(IpAddr::V6(ip), port)) => (FAMILY_V6, port, ip.octets()),
    }
}

fn decode_peer(bytes: &[u8; RECORD_BYTES]) -> Result<Option<Peer>, DamagedRecord> {
    let family = u16::from_le_bytes([bytes[32], bytes[33]]);
    let port = u16::from_le_bytes([bytes[34], bytes[35]]);
    let mut address = [0; 16];
    address.copy_from_slice(&bytes[36..52]);
    Ok(match family {
        FAMILY_NONE => None,
        FAMILY_UNIX => Some(Peer::Unix(u32_at(bytes, 36))),
        FAMILY_V4 => {
            let ip = Ipv4Addr::new(address[0], address[1], address[2], address[3]);
            Some(Peer::Ip(ip.into(), port))
        }
        FAMILY_V6 => Some(Peer::Ip(Ipv6Addr::from(address).into(), port)),
        other => return Err(DamagedRecord::Family(other)),
    })
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[offset + i]))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[offset + i]))
}

/// The control page, by which the harness arms faults that no request can carry.
///
/// It is a file of [`control::BYTES`] bytes named `control` in the worker's home. Every field is a
/// naturally aligned u32 that is read and written atomically.
pub mod control {
    use super::{CrashMode, CrashStep};

    /// Length of the page, in bytes.
    pub const BYTES: usize = 4096;
    /// The first bytes of the page.
    pub const MAGIC: [u8; 8] = *b"HLCTRL_1";
    /// Number of workers started so far: a worker adds 1 and so learns its generation.
    pub const STARTS_OFFSET: usize = 8;
    /// How many further starts are to fail: a worker takes 1 away while it is above 0, and fails.
    pub const BOOT_FAILURES_OFFSET: usize = 12;
    /// How they fail: a mode word, see [`mode_word`].
    pub const BOOT_MODE_OFFSET: usize = 16;
    /// How a worker fails when it gets SIGRTMIN+5 and has no connection in hand; 0: not at all.
    pub const IDLE_MODE_OFFSET: usize = 20;
    /// How the next worker that drains fails; it sets the word back to 0. 0: not at all.
    pub const DRAIN_MODE_OFFSET: usize = 24;
    /// How many slots for poison at the accept step are armed: 0 spares workers the look at them.
    pub const ARMED_OFFSET: usize = 28;
    /// The first slot. A slot is two words: the attempt plus 1 (0: free), and a mode word.
    pub const SLOTS_OFFSET: usize = 64;
    /// How many slots there are.
    pub const SLOTS: usize = 256;

    /// Offset of the attempt word of a slot.
    #[must_use]
    pub const fn slot_offset(slot: usize) -> usize {
        SLOTS_OFFSET + slot * 8
    }

    /// A mode as a word of the page: its number in records plus 1.
    #[must_use]
    pub const fn mode_word(mode: CrashMode) -> u32 {
        super::mode_code(mode) as u32 + 1
    }

    /// Reads back what [`mode_word`] wrote; 0 and unknown words are `None`.
    #[must_use]
    pub fn parse_mode_word(word: u32) -> Option<CrashMode> {
        super::mode_of_code(u64::from(word.checked_sub(1)?))
    }

    /// Offset of the word that arms a crash step that no request carries.
    #[must_use]
    pub const fn offset_of_step(step: CrashStep) -> Option<usize> {
        match step {
            CrashStep::Boot => Some(BOOT_MODE_OFFSET),
            CrashStep::Idle => Some(IDLE_MODE_OFFSET),
            CrashStep::Drain => Some(DRAIN_MODE_OFFSET),
            CrashStep::Accept | CrashStep::Read | CrashStep::Work | CrashStep::Reply | CrashStep::Close => {
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{client_v4, client_v6};

    fn peers() -> impl Strategy<Value = Option<Peer>> {
        let attempt = 0..crate::wire::ATTEMPTS_MAX;
        prop_oneof![
            Just(None),
            (attempt.clone(), any::<u16>()).prop_map(|(a, port)| Some(Peer::Ip(client_v4(a).into(), port))),
            (attempt.clone(), any::<u16>()).prop_map(|(a, port)| Some(Peer::Ip(client_v6(a).into(), port))),
            attempt.prop_map(|a| Some(Peer::Unix(a))),
        ]
    }

    proptest! {
        #[test]
        fn records_read_back(
            kind in 1..=14_u32, pid: u32, generation: u32, connection: u32, at_ns: u64, detail: u64, peer in peers(),
        ) {
            let kind = RecordKind::from_code(kind).expect("a kind");
            let record = WorkerRecord { kind, pid, generation, connection, at_ns, detail, peer };
            prop_assert_eq!(WorkerRecord::decode(&record.encode()), Ok(Some(record)));
        }

        #[test]
        fn damaged_records_are_found_or_read_never_fatal(bytes: [u8; RECORD_BYTES]) {
            let _ = WorkerRecord::decode(&bytes);
        }
    }

    #[test]
    fn a_record_has_the_bytes_that_it_always_had() {
        let record = WorkerRecord {
            kind: RecordKind::Crash,
            pid: 0x0102_0304,
            generation: 5,
            connection: 6,
            at_ns: 0x1112_1314_1516_1718,
            detail: crash_detail(CrashStep::Drain, CrashMode::Catch),
            peer: Some(Peer::Ip(Ipv4Addr::new(127, 0, 0, 40).into(), 0x2122)),
        };
        let mut expected = [0; RECORD_BYTES];
        expected[0..16].copy_from_slice(&[7, 0, 0, 0, 4, 3, 2, 1, 5, 0, 0, 0, 6, 0, 0, 0]);
        expected[16..24].copy_from_slice(&[0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11]);
        expected[24..26].copy_from_slice(&[9, 7]);
        expected[32..40].copy_from_slice(&[2, 0, 0x22, 0x21, 127, 0, 0, 40]);
        assert_eq!(record.encode(), expected);
    }

    #[test]
    fn crash_details_and_mode_words_read_back() {
        for &step in CrashStep::ALL {
            for &mode in CrashMode::ALL {
                assert_eq!(parse_crash_detail(crash_detail(step, mode)), Some((step, mode)));
                assert_eq!(control::parse_mode_word(control::mode_word(mode)), Some(mode));
            }
        }
        assert_eq!(control::parse_mode_word(0), None);
        assert!(control::slot_offset(control::SLOTS) <= control::BYTES);
    }
}
