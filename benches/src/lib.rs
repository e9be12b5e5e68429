//! What the benches share: the peers that holdline is measured against, and how ratios are taken.
//!
//! A time alone says more about the machine than about holdline. So wherever there is a peer, it is
//! measured in turn with holdline, in pairs that both see the same machine, and the median of the
//! pairs' ratios is what counts. Nothing here asserts a time: a bench says whether the budget of the
//! design was kept, and never fails because of it.

pub mod accepts;
pub mod bare;
pub mod cpu;
pub mod heap;
pub mod in_turn;
pub mod interval;
pub mod load;
pub mod machine;
pub mod observe;
pub mod ratio;
pub mod records;
pub mod server;
pub mod trials;

/// Whether this is a real measurement (`cargo bench`); else everything is to run once, on little
/// data, to show that it works (`cargo test --benches`).
#[must_use]
pub fn is_measurement() -> bool {
    std::env::args().any(|argument| argument == "--bench")
        && !std::env::args().any(|argument| argument == "--test")
}

/// Prints the lines that a reader is to take away, with the machine they come from; nothing if
/// everything ran once only, since such numbers say nothing.
pub fn print_if_measured(lines: impl IntoIterator<Item = String>) {
    let lines: Vec<String> = lines.into_iter().collect();
    if is_measurement() && !lines.is_empty() {
        println!("{}", machine::line());
        lines.iter().for_each(|line| println!("{line}"));
    }
}
