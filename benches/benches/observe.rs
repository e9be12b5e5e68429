//! What observing costs the server, and how close sampled accept latencies come to stamped ones.

use std::process::ExitCode;

use holdline_benches::{accepts, is_measurement, observe, print_if_measured, server, trials};

fn main() -> ExitCode {
    server::serve_if_asked();
    if let Some(code) = observe::be_inside_if_asked().or_else(trials::be_the_program_if_asked) {
        return code;
    }
    let pairs = if is_measurement() { 20 } else { 1 };
    let cost = observe::cost(pairs).expect("a sandbox");
    let closeness = accepts::closeness(if is_measurement() { "3s" } else { "200ms" }).expect("a trial");
    print_if_measured([cost, closeness]);
    ExitCode::SUCCESS
}
