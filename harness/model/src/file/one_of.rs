//! Values that may be written in several ways: a string, a number, a list or a table.
//!
//! serde's `untagged` would do, but loses the places of what is inside, and answers a slip with
//! "data did not match any variant".

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Unexpected, Visitor};

/// The ways in which a `T` may be written. `M` is what a table is read as.
pub(crate) struct OneOf<T, M = Never> {
    expected: &'static str,
    text: Option<ReadText<T>>,
    number: Option<fn(i64) -> T>,
    boolean: Option<fn(bool) -> T>,
    list: Option<fn(Vec<String>) -> T>,
    table: Option<fn(M) -> T>,
}

/// Reads a string. The error is a message that fits "…, expected …".
type ReadText<T> = fn(&str) -> Result<T, String>;

/// There is none: for values that cannot be tables.
#[derive(serde::Deserialize)]
pub(crate) enum Never {}

impl<T, M> OneOf<T, M> {
    /// `expected` names all ways that are added, and fits "expected …".
    pub(crate) const fn new(expected: &'static str) -> Self {
        Self { expected, text: None, number: None, boolean: None, list: None, table: None }
    }

    /// A string.
    pub(crate) const fn text(self, read: ReadText<T>) -> Self {
        Self { text: Some(read), ..self }
    }

    /// An integer.
    pub(crate) const fn number(self, make: fn(i64) -> T) -> Self {
        Self { number: Some(make), ..self }
    }

    /// `true` or `false`.
    pub(crate) const fn boolean(self, make: fn(bool) -> T) -> Self {
        Self { boolean: Some(make), ..self }
    }

    /// A list of strings.
    pub(crate) const fn list(self, make: fn(Vec<String>) -> T) -> Self {
        Self { list: Some(make), ..self }
    }

    /// A table.
    pub(crate) const fn table(self, make: fn(M) -> T) -> Self {
        Self { table: Some(make), ..self }
    }
}

impl<'de, T, M: Deserialize<'de>> OneOf<T, M> {
    pub(crate) fn read<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T, M: Deserialize<'de>> Visitor<'de> for OneOf<T, M> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        let read = self.text.ok_or_else(|| E::invalid_type(Unexpected::Str(text), &self))?;
        read(text).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        let make = self.number.ok_or_else(|| E::invalid_type(Unexpected::Signed(number), &self))?;
        Ok(make(number))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<T, E> {
        let make = self.boolean.ok_or_else(|| E::invalid_type(Unexpected::Bool(value), &self))?;
        Ok(make(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        let make = self.list.ok_or_else(|| de::Error::invalid_type(Unexpected::Seq, &self))?;
        let mut words = Vec::new();
        while let Some(word) = seq.next_element()? {
            words.push(word);
        }
        Ok(make(words))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        let make = self.table.ok_or_else(|| de::Error::invalid_type(Unexpected::Map, &self))?;
        M::deserialize(MapAccessDeserializer::new(map)).map(make)
    }
}

/// Implements `Deserialize` by a [`OneOf`].
macro_rules! read_one_of {
    ($type:ty, $ways:expr) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $ways.read(deserializer)
            }
        }
    };
}
pub(crate) use read_one_of;
