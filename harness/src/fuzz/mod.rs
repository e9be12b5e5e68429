//! Fuzzing: draws cases, runs them for real, and makes small what fails.
//!
//! What is drawn, what must hold, when a failure is one and what is plainer is decided in
//! [`holdline_model::fuzz`]; here cases become trials ([`lab`]), in this order ([`hunt`]):
//!
//! 1. *Calm*: the supervisor must come up and serve without a fault, and one death of a worker shows its pace.
//! 2. *Saved*: what earlier runs kept is tried first.
//! 3. *Explored*: cases are drawn and aimed, each once what the ones before told is learnt, until there were enough or
//!    the time is over.
//! 4. Whatever fails on the way is confirmed, made plainer and measured ([`examine`]), and kept at once.

mod error;
mod examine;
mod hunt;
mod interrupt;
mod lab;
mod lanes;
mod notebook;
mod pace;
mod saved;
mod status;

use std::path::PathBuf;
use std::time::Duration;

use holdline_model::fuzz::{FuzzResult, Invariant};
use holdline_model::plan::{Partition, trial_seed};
use holdline_model::result::RunResult;

pub use self::error::FuzzError;
pub use self::saved::{Saved, read_all as read_saved};
pub use self::status::{Status, Watcher};
use crate::catalogue::SupervisorEntry;
use crate::run::Options;

/// What a user asked for, valid: every file was read and is right, and nothing was started.
#[derive(Debug, Clone)]
pub struct FuzzRequest {
    /// The supervisor.
    pub supervisor: SupervisorEntry,
    /// The word by which the user named it, for the commands that repeat a failure.
    pub word: String,
    /// Seed, worker and isolation.
    pub options: Options,
    /// How many cases at most.
    pub cases: Option<u64>,
    /// How long at most.
    pub budget: Option<Duration>,
    /// The share of cases that are aimed, 0 to 1.
    pub aimed: f64,
    /// The part of the cases that is drawn and tried here.
    pub partition: Option<Partition>,
    /// Whether it ends with the first failure that is confirmed.
    pub fail_fast: bool,
    /// For how long a failure is made plainer at most; `None`: a third of the budget, within bounds.
    pub shrinking: Option<Duration>,
    /// What must hold.
    pub invariants: Vec<Invariant>,
    /// Within what time the service must be back; `None`: as its own pace says.
    pub recovery: Option<Duration>,
    /// How many trials run side by side.
    pub lanes: usize,
    /// Whether fewer do where so many disturb each other.
    pub calibrates: bool,
    /// Cases that earlier runs kept.
    pub saved: Vec<Saved>,
    /// Where cases that fail are kept.
    pub keep: PathBuf,
    /// How the folder is named in commands.
    pub keep_word: PathBuf,
    /// Where the files of trials go: an absolute path.
    pub folder: PathBuf,
    /// The holdline that runs the trials; `None`: this program.
    pub executable: Option<PathBuf>,
}

impl FuzzRequest {
    /// The seed of what is drawn: each part draws other cases, while the same case is the same trial in all of them.
    fn drawing_seed(&self) -> u64 {
        let seed = self.options.seed;
        self.partition.map_or(seed, |partition| trial_seed(seed, "", &partition.to_string(), 0))
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Fuzzed {
    /// The result.
    pub result: FuzzResult,
    /// Trials of the plainest cases that fail.
    pub evidence: RunResult,
}

/// Fuzzes a supervisor.
///
/// # Errors
///
/// It does not come up even without a fault, nothing can be done to it, or trials cannot be run or recorded. What
/// had failed until then is kept.
pub fn fuzz(request: &FuzzRequest, watcher: &mut dyn Watcher) -> Result<Fuzzed, FuzzError> {
    hunt::Hunt::new(request, watcher)?.run()
}
