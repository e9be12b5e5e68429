//! Whether a real supervisor can be measured here.

use holdline::receipt;
use holdline_model::supervisor::Supervisor;
use libtest_mimic::{Completion, Failed};

/// Runs a test of a supervisor that is installed. A test of another one is ignored, unless
/// HOLDLINE_REQUIRE_SUPERVISORS=1 makes that a failure.
pub(crate) fn if_installed(
    supervisor: &Supervisor,
    test: impl FnOnce() -> Result<(), Failed>,
) -> Result<Completion, Failed> {
    if_there(installed(supervisor), test)
}

/// The same, of whatever it is that is there or lacks.
pub(crate) fn if_there(
    there: Result<(), String>,
    test: impl FnOnce() -> Result<(), Failed>,
) -> Result<Completion, Failed> {
    match there {
        Ok(()) => test().map(|()| Completion::Completed),
        Err(lack) if is_required() => Err(lack.into()),
        Err(lack) => Ok(Completion::ignored_with(lack)),
    }
}

fn is_required() -> bool {
    std::env::var("HOLDLINE_REQUIRE_SUPERVISORS").is_ok_and(|value| value == "1")
}

pub(crate) fn installed(supervisor: &Supervisor) -> Result<(), String> {
    if supervisor.needs_root && !nix::unistd::geteuid().is_root() {
        return Err("it must be started by root".to_owned());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(receipt::version(supervisor)).map(drop).map_err(|missing| missing.to_string())
}
