//! A run as a value: from what is valid to a plan, and from a plan to finished trials.
//!
//! [`RunRequest`] holds what is valid, [`Plan`] what will run, and [`Runner`] runs it and hands each
//! finished trial to [`Sink`]s. Every verb that runs trials goes this way: it makes a plan, of
//! catalogue entries or of values of its own, and says with sinks what it wants to know.
//!
//! Nothing here prints or knows the command line.

mod again;
mod error;
mod limits;
mod plan;
mod record;
mod recorded;
mod runner;
mod sink;

pub use self::again::Again;
pub use self::error::RunError;
pub use self::limits::check as check_limits;
pub(crate) use self::limits::survive_file_size_limit;
pub use self::plan::{Options, Plan, RunRequest};
pub use self::record::Recorder;
pub use self::recorded::{Files, PLAN_JSON, RecordedError, read_plan, scenarios_of, supervisors_of};
pub use self::runner::{Ended, Runner};
pub use self::sink::{Event, Sink, SinkError};
