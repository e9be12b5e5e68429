//! `holdline.sweep/1`: what `--export-json` of `holdline sweep` holds. Documented keys do not change; others may be
//! added.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::life::Life;
use super::{Costs, SweepTarget, When};
use crate::result::Manifest;
use crate::words::{Blame, CrashMode, CrashStep, Fate, Grade, Mark};

/// The value of `schema`.
pub const SCHEMA: &str = "holdline.sweep/1";

/// A sweep over one supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SweepResult {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// How it came about.
    pub manifest: Manifest,
    /// Name of the supervisor.
    pub supervisor: String,
    /// What its version receipt printed.
    pub supervisor_version: String,
    /// Whether every place was tried that was to be; false where the sweep was interrupted.
    pub complete: bool,
    /// Whether it is a part of a sweep (`--partition`): windows are as wide as the places that are in it show.
    pub partial: bool,
    /// Each crash step × mode, in the order of the table; empty with `--syscalls`.
    pub cells: Vec<CellResult>,
    /// The lives whose system calls were recorded; empty without `--syscalls`.
    pub lives: Vec<LifeResult>,
    /// Each side of each recorded call; empty without `--syscalls`.
    pub boundaries: Vec<BoundaryResult>,
    /// Between which calls a kill costs something.
    pub windows: Vec<WindowResult>,
}

/// What a crash at a step, by a mode, comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellResult {
    /// Who crashed.
    pub target: SweepTarget,
    /// When.
    pub step: CrashStep,
    /// How.
    pub mode: CrashMode,
    /// The supervisor's mark: the worst of all trials of this cell that say anything.
    pub grade: Grade,
    /// Why the grade is no evidence of what a crash does.
    pub mark: Option<Mark>,
    /// What the crash cost.
    pub costs: Costs,
    /// Requests that had nothing to do with the fault and were lost, in that trial.
    pub lost: u64,
    /// The same by fate; fates that none had are absent.
    pub fates: BTreeMap<Fate, u64>,
    /// What became of the request that carried the fault, or that the crashed worker had; `null`: it was served, or
    /// there was none.
    pub own_fate: Option<Fate>,
    /// How many lost requests were lost for each reason.
    pub blame: BTreeMap<Blame, u64>,
    /// How many trials there were.
    pub trials: u32,
    /// How many of them said nothing, and were repeated as far as there is patience for it.
    pub inconclusive: u32,
    /// Why it is unsupported, inconclusive or down.
    pub reason: Option<String>,
}

/// A life whose calls were recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LifeResult {
    /// Who is killed in it.
    pub target: SweepTarget,
    /// Which.
    pub life: Life,
    /// Calls that were recorded.
    pub calls: u32,
    /// Of these, calls that nobody outside of the process can see: no kill is tried there.
    pub invisible: u32,
    /// Places that are left out for their number.
    pub left_out: u32,
    /// Why it could not be recorded; absent: it could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a kill at one side of a system call comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BoundaryResult {
    /// Who was killed.
    pub target: SweepTarget,
    /// In which life.
    pub life: Life,
    /// The call's number in the recorded life, from 0.
    pub index: u32,
    /// The call's name.
    pub call: String,
    /// The how-many-th of this name since the life began, from 1.
    pub occurrence: u32,
    /// The last call before it in its thread that others can see, by which it is found again; `null`: not known.
    pub previous: Option<String>,
    /// On which side of it.
    pub when: When,
    /// How many forks lie between the process that tracing began with and the one that made the call.
    pub depth: u32,
    /// When it came in the recorded life, from the life's beginning.
    pub at_ns: Option<u64>,
    /// Whether it came again in the trial in which somebody was to be killed there.
    pub reached: bool,
    /// The supervisor's mark.
    pub grade: Grade,
    /// The worst that a request met with; `null`: it is not known.
    pub fate: Option<Fate>,
    /// What the kill cost.
    pub costs: Costs,
    /// Requests that had nothing to do with the killed process and were lost.
    pub lost: u64,
    /// The same by fate; fates that none had are absent.
    pub fates: BTreeMap<Fate, u64>,
    /// How often the trial was repeated, since it said nothing or the place did not come.
    pub repeated: u32,
    /// Why it is inconclusive or down.
    pub reason: Option<String>,
}

/// A side of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallResult {
    /// The call's number in the recorded life, from 0.
    pub index: u32,
    /// Its name.
    pub call: String,
    /// The how-many-th of this name since the life began, from 1.
    pub occurrence: u32,
    /// On which side.
    pub when: When,
}

/// Places next to each other at which a kill costs the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WindowResult {
    /// Who was killed.
    pub target: SweepTarget,
    /// In which life.
    pub life: Life,
    /// What it cost.
    pub costs: Costs,
    /// The first place.
    pub first: CallResult,
    /// The last.
    pub last: CallResult,
    /// How many there are.
    pub boundaries: u32,
}
