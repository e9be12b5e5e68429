//! Values in numbered slots, found again by tokens that fit into an epoll event.

use slotmap::{Key, KeyData, SlotMap, new_key_type};

new_key_type! {
    /// Names a value in a [`Slab`]. A slot that is used again gets another token, so that an event or a
    /// deadline that comes late finds nothing rather than somebody else.
    pub(super) struct Token;
}

/// Values in numbered slots.
pub(super) type Slab<T> = SlotMap<Token, T>;

impl Token {
    pub(super) fn from_bits(bits: u64) -> Self {
        KeyData::from_ffi(bits).into()
    }

    pub(super) fn to_bits(self) -> u64 {
        self.data().as_ffi()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_is_used_again_has_another_token() {
        let mut slab = Slab::default();
        let first = slab.insert('a');
        let second = slab.insert('b');
        assert_eq!(slab.remove(first), Some('a'));
        let third = slab.insert('c');
        assert_eq!(slab.get(Token::from_bits(first.to_bits())), None);
        assert_eq!((slab.get(second), slab.get(third)), (Some(&'b'), Some(&'c')));
        for token in [second, third] {
            assert_eq!(Token::from_bits(token.to_bits()), token);
        }
        let slot = |token: Token| token.to_bits() & u64::from(u32::MAX);
        assert_eq!(slot(third), slot(first), "a slot that is free is used again");
    }

    #[test]
    fn what_names_no_value_finds_none() {
        let mut slab = Slab::default();
        slab.insert('a');
        for bits in [0, u64::MAX, u64::MAX - 1] {
            assert_eq!(slab.get(Token::from_bits(bits)), None, "{bits}");
        }
    }
}
