//! Values in numbered slots, found again by tokens that fit into an epoll event.

/// Names a value in a [`Slab`]. A slot that is used again gets another token, so that an event or a
/// deadline that comes late finds nothing rather than somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    slot: u32,
    generation: u32,
}

impl Token {
    pub(super) fn from_bits(bits: u64) -> Self {
        let [slot, generation] = [bits, bits >> 32].map(|half| (half & u64::from(u32::MAX)) as u32);
        Self { slot, generation }
    }

    pub(super) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }
}

/// Values in numbered slots.
#[derive(Debug)]
pub(super) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, value: T) -> Token {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, value: None });
            u32::try_from(self.slots.len() - 1).expect("there are fewer descriptors than that")
        });
        let entry = &mut self.slots[slot as usize];
        entry.value = Some(value);
        Token { slot, generation: entry.generation }
    }

    pub(super) fn get(&self, token: Token) -> Option<&T> {
        let entry = self.slots.get(token.slot as usize)?;
        entry.value.as_ref().filter(|_| entry.generation == token.generation)
    }

    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        let entry = self.slots.get_mut(token.slot as usize)?;
        entry.value.as_mut().filter(|_| entry.generation == token.generation)
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<T> {
        self.get(token)?;
        let entry = &mut self.slots[token.slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(token.slot);
        entry.value.take()
    }

    /// The tokens of all values.
    pub(super) fn tokens(&self) -> Vec<Token> {
        let used = self.slots.iter().enumerate().filter(|(_, entry)| entry.value.is_some());
        used.map(|(slot, entry)| Token { slot: slot as u32, generation: entry.generation }).collect()
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
        assert_eq!(slab.remove(first), None);
        let third = slab.insert('c');
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!((slab.get(second), slab.get(third)), (Some(&'b'), Some(&'c')));
        assert_eq!(slab.tokens(), [third, second]);
        assert_eq!(Token::from_bits(third.to_bits()), third);
    }
}
