//! Client addresses that several attempts share: for servers that limit what one address may have.
//!
//! Address and port together name the attempt, without any context: the *i*th of *n* addresses is
//! 127.255.*n*.*i*, and the attempts that share it, counted from 0, have two ports each.

use std::num::NonZeroU8;

/// The upper half of the host part of shared addresses. No attempt has one of these alone: see
/// [`ATTEMPTS_MAX`](super::ATTEMPTS_MAX).
pub(super) const PREFIX: u32 = 0xff;
/// Below it are ports of others: those that need privileges, and some more for a round number.
const FIRST_PORT: u16 = 2048;
/// The second port is there for where the first is in use.
const PORTS_EACH: u16 = 2;
/// How many attempts can share an address.
const ATTEMPTS_EACH: u32 = (u16::MAX - FIRST_PORT + 1) as u32 / PORTS_EACH as u32;

/// How many client addresses all attempts of a load share: 1 to [`Clients::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clients(NonZeroU8);

impl Clients {
    /// The most addresses; 127.255.255.255 is the broadcast address of the loopback network.
    pub const MAX: u8 = 254;

    /// So many addresses; `None` for a number that is out of bounds.
    #[must_use]
    pub fn new(addresses: u8) -> Option<Self> {
        NonZeroU8::new(addresses).filter(|addresses| addresses.get() <= Self::MAX).map(Self)
    }

    /// How many addresses there are.
    #[must_use]
    pub fn addresses(self) -> u32 {
        self.0.get().into()
    }

    /// The most attempts that these addresses have ports for.
    #[must_use]
    pub fn attempts_max(self) -> u32 {
        self.addresses() * ATTEMPTS_EACH
    }

    /// Which of the addresses an attempt has, from 0: they take turns.
    #[must_use]
    pub fn turn(self, attempt: u32) -> u32 {
        attempt % self.addresses()
    }

    /// The host part of an attempt's address, and its ports. `None` for who is no attempt that they have
    /// ports for.
    pub(super) fn place(self, attempt: u32) -> Option<(u32, [u16; 2])> {
        let sequence = u16::try_from(attempt / self.addresses()).ok()?;
        let even = sequence.checked_mul(PORTS_EACH)?.checked_add(FIRST_PORT)?;
        Some((PREFIX << 16 | self.addresses() << 8 | self.turn(attempt), [even, even + 1]))
    }
}

/// The attempt that has this port of a shared address, given its host part.
pub(super) fn attempt_of(host: u32, port: u16) -> Option<u32> {
    let [_, prefix, addresses, turn] = host.to_be_bytes();
    let clients = Clients::new(addresses)?;
    if u32::from(prefix) != PREFIX || turn >= addresses {
        return None;
    }
    let sequence = port.checked_sub(FIRST_PORT)? / PORTS_EACH;
    Some(u32::from(sequence) * clients.addresses() + u32::from(turn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_addresses_as_a_byte_tells_apart_from_broadcast() {
        assert!(Clients::new(0).is_none() && Clients::new(255).is_none());
        let most = Clients::new(254).expect("within bounds");
        assert_eq!((most.addresses(), most.attempts_max()), (254, 254 * 31_744));
    }

    #[test]
    fn every_port_of_every_address_is_that_of_one_attempt() {
        for addresses in 1..=Clients::MAX {
            let clients = Clients::new(addresses).expect("within bounds");
            let max = clients.attempts_max();
            for attempt in (0..600).chain(max - 600..max) {
                let (host, ports) = clients.place(attempt).expect("a place");
                assert_eq!(host & 0xff, attempt % u32::from(addresses));
                assert_eq!(ports.map(|port| attempt_of(host, port)), [Some(attempt); 2], "{addresses}");
            }
            assert_eq!(clients.place(max), None);
        }
    }

    #[test]
    fn others_are_no_attempts() {
        let shared = |addresses: u32, turn: u32| 0xff_0000 | addresses << 8 | turn;
        for (host, port) in [
            (shared(4, 0), 2047),
            (shared(4, 4), 5000),
            (shared(0, 0), 5000),
            (shared(255, 0), 5000),
            (0xfe_0400, 5000),
        ] {
            assert_eq!(attempt_of(host, port), None, "{host:x} {port}");
        }
    }
}
