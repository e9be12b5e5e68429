//! Real servers and proxies that are run as `fixtures/chains` describes them: what holdline counts is what they
//! themselves wrote to their logs.
//!
//! What is not installed is ignored, as in the tests of the descriptions.

#[path = "../trials/tls/authority.rs"]
mod authority;
mod certificates;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/copied.rs"]
mod copied;
#[path = "../common/lag.rs"]
mod lag;
#[path = "../common/neighbours.rs"]
mod neighbours;
mod pooled;
mod programs;
mod proxied;
#[path = "../common/real.rs"]
mod real;
mod statuses;
mod told;

use std::process::ExitCode;

use libtest_mimic::Arguments;

/// How many tests run side by side: several programs of each are at work.
const SIDE_BY_SIDE: usize = 3;

fn main() -> ExitCode {
    let tests =
        [statuses::tests(), programs::tests(), proxied::tests(), pooled::tests(), certificates::tests()]
            .into_iter()
            .flatten()
            .collect();
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(arguments.test_threads.unwrap_or(SIDE_BY_SIDE));
    libtest_mimic::run(&arguments, tests).exit_code()
}
