//! Standard output and standard error: a reader that has gone is no error, and ends nothing.

use std::io::{self, IsTerminal, Write};

use holdline_model::visible::visible;
use holdline_reports::Style;

use super::args::ColorWhen;
use crate::exit::Failure;

/// Prints to standard output. A reader that has gone, as `head` does, is no error.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::environment(format!("failed to write to standard output: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints text that has parts of files or of what programs said, and no colours of ours.
pub(super) fn print_text(text: &str) -> Result<(), Failure> {
    print(&visible(text))
}

/// Prints a file: as it is, but to a terminal visibly.
pub(super) fn print_file(text: &str) -> Result<(), Failure> {
    if io::stdout().is_terminal() { print_text(text) } else { print(text) }
}

/// Says something on standard error. Where nobody hears it, that is not worth ending a run for.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", visible(text));
}

/// Says what went wrong, once. Returns the exit code.
pub(super) fn say_failure(failure: &Failure) -> u8 {
    let style = anstyle::AnsiColor::Red.on_default().bold();
    let mut stderr = anstream::stderr().lock();
    let _ = writeln!(stderr, "{style}error{style:#}: {}", visible(&failure.in_words()));
    failure.code
}

/// How a report looks on standard output.
pub(super) fn style(when: ColorWhen) -> Style {
    Style { color: wants_color(when), width: width() }
}

/// Whether standard output gets colour.
fn wants_color(when: ColorWhen) -> bool {
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto => anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
    }
}

/// The width of the terminal on standard output, in columns.
pub(super) fn width() -> Option<u16> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0)
}
