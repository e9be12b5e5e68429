//! What is known of real supervisors and servers, and must come out when they are measured.
//!
//! One that is not installed is ignored, as in the tests of the descriptions. Several are measured side by side.

#[path = "../common/mod.rs"]
mod common;
mod fact;
mod holders;
#[path = "../common/machine.rs"]
mod machine;
mod python;
#[path = "../common/real.rs"]
mod real;
mod servers;

use std::process::ExitCode;

use libtest_mimic::Arguments;
use machine::SIDE_BY_SIDE;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(arguments.test_threads.unwrap_or(SIDE_BY_SIDE));
    let tests = [holders::tests(), python::tests(), servers::tests()].into_iter().flatten().collect();
    libtest_mimic::run(&arguments, tests).exit_code()
}
