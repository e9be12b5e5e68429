//! What people read: a run's result as a terminal table, HTML, Markdown, JUnit XML, and
//! HdrHistogram files; and what other tools read.
//!
//! Each renderer is a pure function of [`RunResult`](holdline_model::result::RunResult), pages also of
//! the [`course`] of its trials: none opens a file, asks the clock or looks at the terminal, so that
//! `holdline report` gives the same bytes as the run did. Reading and writing is for the caller.

#![forbid(unsafe_code)]

mod columns;
pub mod compare;
pub mod course;
mod detail;
pub mod exchange;
pub mod fuzz;
pub mod gate;
pub mod hdr;
pub mod html;
pub mod junit;
pub mod markdown;
mod prose;
mod ratios;
mod rows;
#[cfg(test)]
mod sample;
mod spread;
mod style;
pub mod sweep;
pub mod table;
pub mod text;

pub use prose::summary_line;
pub use style::Style;
