//! How a terminal report looks: whether it may use colour, and how wide it may be.
//!
//! Whether standard output is a terminal, and what `NO_COLOR` says, is for the caller to find out.

use anstyle::{AnsiColor, Style as Ansi};
use holdline_model::words::Grade;

/// What a terminal report may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether to colour; if not, the text holds no escape codes at all.
    pub color: bool,
    /// Columns that the terminal has; `None`: as many as it takes.
    pub width: Option<u16>,
}

impl Style {
    /// `text` in `ansi`, or as it is where colour is off.
    pub(crate) fn paint(self, ansi: Ansi, text: &str) -> String {
        if self.color && !text.is_empty() { format!("{ansi}{text}{ansi:#}") } else { text.to_owned() }
    }

    /// A heading.
    pub(crate) fn strong(self, text: &str) -> String {
        self.paint(Ansi::new().bold(), text)
    }

    /// What may be overlooked.
    pub(crate) fn faint(self, text: &str) -> String {
        self.paint(Ansi::new().dimmed(), text)
    }

    /// A grade's own colour on `text`.
    pub(crate) fn grade(self, grade: Grade, text: &str) -> String {
        self.paint(ansi(grade), text)
    }

    /// Paints the last occurrence of `grade`'s word in `line`.
    pub(crate) fn last_grade(self, grade: Grade, line: &str) -> String {
        match line.rfind(grade.as_str()) {
            Some(at) => format!("{}{}", &line[..at], self.grade(grade, &line[at..])),
            None => line.to_owned(),
        }
    }
}

/// The colour of a grade.
const fn ansi(grade: Grade) -> Ansi {
    match grade {
        Grade::Held => AnsiColor::Green.on_default(),
        Grade::Delayed => AnsiColor::Yellow.on_default(),
        Grade::Lossy => AnsiColor::Red.on_default(),
        Grade::Down => AnsiColor::Red.on_default().bold(),
        Grade::Unsupported => Ansi::new().dimmed(),
        Grade::Inconclusive => AnsiColor::Magenta.on_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_there_only_when_asked_for() {
        let plain = Style::default();
        let colour = Style { color: true, width: None };
        assert_eq!(plain.last_grade(Grade::Held, "held-socket  held"), "held-socket  held");
        assert_eq!(
            colour.last_grade(Grade::Held, "held-socket  held"),
            "held-socket  \u{1b}[32mheld\u{1b}[0m",
            "the name is left alone"
        );
        assert_eq!(colour.strong(""), "");
    }
}
