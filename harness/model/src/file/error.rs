//! The one error that a wrong file gets: what is wrong, where, what was expected.

use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;

use crate::visible::visible;
use crate::words;

/// What is wrong with a scenario or supervisor file.
///
/// Its `Display` is laid out as rustc does it: the message, the place, the line with a caret, what
/// was expected, and the nearest valid word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The path of the file, or another name for where the text came from.
    pub origin: Box<str>,
    /// The line of the offending key or value, from 1.
    pub line: u32,
    /// Its column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What was expected there, where it is not clear from the message.
    pub expected: Option<String>,
    /// The nearest valid word, where one is near.
    pub nearest: Option<String>,
    /// The line itself.
    pub source_line: Box<str>,
    /// How many characters of the line are meant.
    pub width: u32,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.to_string();
        let margin = " ".repeat(line.len());
        let Excerpt { text, indent, width } = self.excerpt();
        writeln!(f, "{}", shortened(&self.message))?;
        writeln!(f, "{margin}--> {}:{}:{}", self.origin, self.line, self.column)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{line} | {text}")?;
        write!(f, "{margin} | {indent}{}", "^".repeat(width))?;
        if let Some(expected) = &self.expected {
            write!(f, "\nexpected {expected}")?;
        }
        if let Some(nearest) = &self.nearest {
            write!(f, "\ndid you mean `{nearest}`?")?;
        }
        Ok(())
    }
}

impl std::error::Error for FileError {}

/// How many characters of a line are shown before its offending place, and from there on.
const BEFORE: usize = 60;
const FROM_THERE: usize = 120;
/// How long a message may be, which may quote what is wrong.
const MESSAGE_MAX: usize = 400;

/// The part of a line that is shown.
struct Excerpt {
    text: String,
    /// What stands below it, up to the caret. Tabs stay tabs, so that the caret stands below what it
    /// means.
    indent: String,
    width: usize,
}

impl FileError {
    /// The offending place with what stands around it; of a long line, not all.
    fn excerpt(&self) -> Excerpt {
        let at = self.column as usize - 1;
        let first = at.saturating_sub(BEFORE);
        let part = |from: usize, count: usize| -> String {
            visible(&self.source_line.chars().skip(from).take(count).collect::<String>())
        };
        let before = format!("{}{}", if first > 0 { "…" } else { "" }, part(first, at - first));
        let meant = part(at, FROM_THERE.min(self.width as usize)).chars().count().max(1);
        let is_cut = self.source_line.chars().nth(at + FROM_THERE).is_some();
        Excerpt {
            indent: before.chars().map(|c| if c == '\t' { c } else { ' ' }).collect(),
            text: format!("{before}{}{}", part(at, FROM_THERE), if is_cut { "…" } else { "" }),
            width: meant,
        }
    }
}

/// A message may quote a whole file.
fn shortened(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_MAX) {
        Some((end, _)) => visible(&format!("{}…", &message[..end])),
        None => visible(message),
    }
}

/// Something wrong at a place of a file whose text is not at hand.
#[derive(Debug)]
pub(crate) struct Problem {
    span: Range<usize>,
    message: String,
    expected: Option<String>,
    nearest: Option<String>,
}

impl Problem {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), expected: None, nearest: None }
    }

    /// Says what was expected; fits "expected …".
    pub(crate) fn expecting(self, expected: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), ..self }
    }

    /// Names the nearest valid word.
    pub(crate) fn nearest(self, nearest: Option<impl Into<String>>) -> Self {
        Self { nearest: nearest.map(Into::into), ..self }
    }

    /// Takes apart a message of the form "…, expected …".
    pub(crate) fn worded(span: Range<usize>, message: &str) -> Self {
        match message.split_once(", expected ") {
            Some((message, expected)) => Self::new(span, message).expecting(expected),
            None => Self::new(span, message),
        }
    }

    /// A word that is not one of those allowed.
    pub(crate) fn unknown_word(span: Range<usize>, word: &words::UnknownWord) -> Self {
        Self::new(span, format!("unknown {} `{}`", word.what, word.given))
            .expecting(format!("one of {}", in_backticks(&word.allowed)))
            .nearest(word.nearest.clone())
    }
}

/// The text of a file and its name.
pub(crate) struct Source<'a> {
    pub(crate) text: &'a str,
    pub(crate) origin: &'a str,
}

impl Source<'_> {
    /// Reads the text as a file type.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, FileError> {
        toml::from_str(self.text).map_err(|error| self.locate(problem_of(&error)))
    }

    /// Finds line and column of a problem.
    pub(crate) fn locate(&self, problem: Problem) -> FileError {
        let start = floor_char_boundary(self.text, problem.span.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let source_line = self.text[line_start..].lines().next().unwrap_or_default();
        let before = self.text[line_start..start].chars().count();
        let end = floor_char_boundary(self.text, problem.span.end.max(start));
        let meant = self.text[start..end].lines().next().unwrap_or_default().chars().count();
        FileError {
            origin: self.origin.into(),
            line: count(self.text[..start].matches('\n').count() + 1),
            column: count(before + 1),
            message: problem.message,
            expected: problem.expected,
            nearest: problem.nearest,
            source_line: source_line.into(),
            width: count(meant.clamp(1, source_line.chars().count().saturating_sub(before).max(1))),
        }
    }
}

/// A file has neither four billion lines nor columns; if it had, the last one would do.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The message of an unknown word, in the form in which serde words its own.
pub(crate) fn unknown_word(word: &words::UnknownWord) -> String {
    format!("unknown {} `{}`, expected one of {}", word.what, word.given, in_backticks(&word.allowed))
}

/// Words as serde lists them in its own messages.
fn in_backticks(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn floor_char_boundary(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Takes apart what serde and toml say: their messages are texts of a fixed form, "…, expected …",
/// that names words in backticks.
fn problem_of(error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(0..0);
    let message = in_toml_words(error.message());
    let (message, expected) = match message.split_once(", expected ") {
        Some((message, expected)) => (message, Some(expected)),
        None => (message.as_str(), None),
    };
    if let Some(rest) = message.strip_prefix("missing field ") {
        // The span of what misses it is a whole table; its beginning is enough.
        return Problem::new(span.start..span.start + 1, format!("missing key {rest}"));
    }
    let Some(expected) = expected else { return Problem::new(span, message) };
    let expected = match expected {
        "i64" => "an integer",
        "f64" => "a number",
        "a map" => "a table",
        "a sequence" => "an array",
        "newtype variant" => "a table of one key, as in { key = value }",
        other => other,
    };
    let given = message.strip_prefix("unknown ").and_then(|rest| rest.split('`').nth(1));
    let allowed = expected.split('`').skip(1).step_by(2);
    let nearest = given.and_then(|given| words::nearest(given, allowed)).map(str::to_owned);
    Problem::new(span, message).expecting(expected).nearest(nearest)
}

/// serde speaks of Rust's types; people who write files know TOML's.
fn in_toml_words(message: &str) -> String {
    [
        ("unknown field ", "unknown key "),
        ("unknown variant ", "unknown word "),
        ("invalid type: map", "invalid type: table"),
        ("invalid type: sequence", "invalid type: array"),
        ("invalid type: unit variant", "a word alone is not enough here"),
        ("wanted string or table", "a number cannot be here, expected a string or a table"),
        ("wanted exactly 1 element, more than 1 element", "exactly one key must be here, there are several"),
        ("wanted exactly 1 element, found 0 elements", "exactly one key must be here, there is none"),
    ]
    .into_iter()
    .fold(message.to_owned(), |message, (theirs, ours)| message.replacen(theirs, ours, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_points_at_its_place() {
        let source = Source { text: "a = 1\n\tbä = \"wörk\"\n", origin: "x.toml" };
        let start = source.text.find("\"w").expect("there");
        let problem = Problem::new(start..start + 7, "no").expecting("work").nearest(Some("work"));
        let error = source.locate(problem);
        assert_eq!((error.line, error.column, error.width), (2, 7, 6));
        assert_eq!(
            error.to_string(),
            "no\n --> x.toml:2:7\n  |\n2 | \tbä = \"wörk\"\n  | \t     ^^^^^^\nexpected work\ndid you mean `work`?"
        );
    }

    #[test]
    fn of_a_long_line_only_what_stands_around_is_shown() {
        let text = format!("a = \"{}\u{1b}[2J{}\"", "x".repeat(5_000), "y".repeat(500_000));
        let start = text.find('\u{1b}').expect("there");
        let source = Source { text: &text, origin: "x.toml" };
        let shown = source.locate(Problem::new(start..text.len(), text.clone())).to_string();
        assert!(shown.chars().count() < 1_500, "{}", shown.chars().count());
        assert!(!shown.contains('\u{1b}') && shown.contains("…xxx") && shown.contains("yyy…"), "{shown}");
        let lines: Vec<&str> = shown.lines().collect();
        let caret = lines[4].chars().position(|c| c == '^');
        assert_eq!(caret, lines[3].chars().position(|c| c == '\\'), "{shown}");
    }

    #[test]
    fn a_place_outside_the_text_is_its_end() {
        for text in ["", "a", "a\n", "ä"] {
            let error = Source { text, origin: "x" }.locate(Problem::new(7..9, "no"));
            assert_eq!(error.width, 1, "{error}");
        }
    }
}
