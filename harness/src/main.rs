//! The one program of holdline.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdline::cli::main()
}
