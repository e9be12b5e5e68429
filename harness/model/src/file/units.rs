//! Values with a unit, as files write them: times, rates, sizes.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Never, OneOf, read_one_of};
use crate::duration;

/// A time, written as `"100ms"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// In nanoseconds.
    pub ns: u64,
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ns =
            duration::parse(text).map_err(|error| format!("{error}, expected {}", duration::EXPECTED))?;
        Ok(Self { ns })
    }
}

/// A rate, written as `"500/s"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Per second; finite and not negative.
    pub per_second: f64,
}

const RATE_EXPECTED: &str = "a rate per second such as \"500/s\"";

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.strip_suffix("/s")
            .and_then(|number| number.trim().parse().ok())
            .filter(|per_second: &f64| per_second.is_finite() && !per_second.is_sign_negative())
            .map(|per_second| Self { per_second })
            .ok_or_else(|| format!("`{text}` is not a rate, expected {RATE_EXPECTED}"))
    }
}

/// A size, written as `"64MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes {
    /// In bytes.
    pub bytes: u64,
}

const BYTES_EXPECTED: &str = "a size such as \"64MiB\"";

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let factor: Option<u64> = match text[digits.len()..].trim() {
            "B" => Some(1),
            "KiB" => Some(1 << 10),
            "MiB" => Some(1 << 20),
            "GiB" => Some(1 << 30),
            _ => None,
        };
        let bytes = digits.parse().ok().zip(factor).and_then(|(n, factor): (u64, _)| n.checked_mul(factor));
        bytes
            .map(|bytes| Self { bytes })
            .ok_or_else(|| format!("`{text}` is not a size, expected {BYTES_EXPECTED}"))
    }
}

read_one_of!(Time, OneOf::<Self, Never>::new(duration::EXPECTED).text(str::parse));
read_one_of!(Rate, OneOf::<Self, Never>::new(RATE_EXPECTED).text(str::parse));
read_one_of!(Bytes, OneOf::<Self, Never>::new(BYTES_EXPECTED).text(str::parse));

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time with its unit.",
            "type": "string",
            "pattern": r"^\s*(0|([0-9.]+\s*[a-zA-Zµμ]+\s*)+)$",
            "examples": ["100ms", "1.5s", "2min"],
        })
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A rate per second.",
            "type": "string",
            "pattern": r"^\s*[0-9.eE+]+\s*/s$",
            "examples": ["500/s", "0.5/s"],
        })
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A size with its unit.",
            "type": "string",
            "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB)$",
            "examples": ["64MiB", "1GiB"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_sizes_have_units() {
        assert_eq!("500/s".parse(), Ok(Rate { per_second: 500.0 }));
        assert_eq!("0.5/s".parse(), Ok(Rate { per_second: 0.5 }));
        assert_eq!("64MiB".parse(), Ok(Bytes { bytes: 64 << 20 }));
        assert_eq!("1 GiB".parse(), Ok(Bytes { bytes: 1 << 30 }));
        assert_eq!("17B".parse(), Ok(Bytes { bytes: 17 }));
        for wrong in ["500", "500/min", "-1/s", "inf/s", "NaN/s", "/s", ""] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
        for wrong in ["64MB", "x", "", "17", "MiB", "99999999999999999999", "9999999999999GiB"] {
            assert!(wrong.parse::<Bytes>().is_err(), "{wrong}");
        }
    }
}
