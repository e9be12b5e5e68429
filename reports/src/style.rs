//! How a terminal report looks: whether it may use colour, and how wide it may be.
//!
//! Whether standard output is a terminal, and what `NO_COLOR` says, is for the caller to find out.

use anstyle::{AnsiColor, Style as Ansi};
use holdline_model::words::Grade;

use crate::rows::GRADES_APART;

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
    #[must_use]
    pub fn grade(self, grade: Grade, text: &str) -> String {
        self.paint(ansi(grade), text)
    }

    /// Grades in their colours, as a row has them.
    pub(crate) fn grades(self, parts: &[(Grade, String)]) -> String {
        let painted: Vec<String> = parts.iter().map(|(grade, text)| self.grade(*grade, text)).collect();
        painted.join(GRADES_APART)
    }

    /// Paints the grades that end `line`, which holds their words as a row has them.
    pub(crate) fn last_grades(self, parts: &[(Grade, String)], line: &str) -> String {
        let texts: Vec<&str> = parts.iter().map(|(_, text)| text.as_str()).collect();
        match line.strip_suffix(&texts.join(GRADES_APART)) {
            Some(head) => format!("{head}{}", self.grades(parts)),
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
        let held = [(Grade::Held, "held".to_owned())];
        assert_eq!(plain.last_grades(&held, "held-socket  held"), "held-socket  held");
        assert_eq!(
            colour.last_grades(&held, "held-socket  held"),
            "held-socket  \u{1b}[32mheld\u{1b}[0m",
            "the name is left alone"
        );
        let both = [(Grade::Held, "held 2 of 3".to_owned()), (Grade::Lossy, "lossy 1".to_owned())];
        assert_eq!(
            colour.last_grades(&both, "x  held 2 of 3, lossy 1"),
            "x  \u{1b}[32mheld 2 of 3\u{1b}[0m, \u{1b}[31mlossy 1\u{1b}[0m"
        );
        assert_eq!(colour.strong(""), "");
    }
}
