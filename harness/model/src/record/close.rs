//! How a server closed a connection of WebSocket.

use std::fmt;
use std::num::NonZeroU16;

/// A status code of a close (RFC 6455, section 7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(NonZeroU16);

impl CloseCode {
    /// It closed, and named no code.
    pub const NONE: Self = Self(NonZeroU16::new(1005).expect("it is not 0"));
    /// It ended the connection without a close.
    pub const CUT: Self = Self(NonZeroU16::new(1006).expect("it is not 0"));

    /// The one that a server named; 0, which none can, is none.
    #[must_use]
    pub const fn new(code: u16) -> Self {
        match NonZeroU16::new(code) {
            Some(code) => Self(code),
            None => Self::NONE,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// Whether a server closes like this that is done or goes away, and has failed at nothing: its client may ask
    /// anew, at once or later.
    #[must_use]
    pub const fn is_in_order(self) -> bool {
        matches!(self.get(), 1000 | 1001 | 1005 | 1012 | 1013)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_away_has_not_failed() {
        let in_order = [1000, 1001, 1012].map(|code| CloseCode::new(code).is_in_order());
        assert_eq!(in_order, [true; 3]);
        assert!(!CloseCode::CUT.is_in_order() && !CloseCode::new(1011).is_in_order());
        assert_eq!(CloseCode::new(0), CloseCode::NONE);
    }
}
