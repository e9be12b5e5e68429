//! What scenario and supervisor files have in common: values that know where they stand, units,
//! and the one error that a wrong file gets.
//!
//! File types are not domain types. What is read here may still be nonsense; `scenario::parse` and
//! `supervisor::parse` turn it into types that hold only what is valid.

mod at;
mod check;
mod error;
mod one_of;
mod units;

pub use at::{At, Table};
pub(crate) use check::{check_name, check_scenario_name, integer, time, word};
pub use error::FileError;
pub(crate) use error::{Problem, Source, unknown_word};
pub(crate) use one_of::{Never, OneOf, read_one_of};
pub use units::{Bytes, Rate, Time};
