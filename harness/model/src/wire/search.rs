//! Regular expressions over replies. Searching allocates nothing: that is why this is the engine itself
//! (`regex-automata`), whose results go into slots of ours, and not the crate `regex` on top of it.

use regex_automata::Input;
use regex_automata::meta::{BuildError, Config, Regex};
use regex_automata::util::syntax;

/// A regular expression over bytes, in the syntax of the crate `regex`.
#[derive(Debug, Clone)]
pub struct Search {
    regex: Regex,
    text: String,
}

/// A text that is no regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAnExpression(String);

impl Search {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// It is none, or needs more room than the engine gives one.
    pub fn new(text: &str) -> Result<Self, NotAnExpression> {
        let syntax = syntax::Config::new().utf8(false);
        let config = Config::new().utf8_empty(false).nfa_size_limit(Some(10 << 20));
        let regex = Regex::builder().syntax(syntax).configure(config).build(text);
        let regex = regex.map_err(|error| NotAnExpression(why(&error)))?;
        Ok(Self { regex, text: text.to_owned() })
    }

    /// How many groups it has that are captured, all of it not counted.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.regex.captures_len().saturating_sub(1)
    }

    /// Whether some content matches it anywhere.
    pub(super) fn is_in(&self, content: &[u8]) -> bool {
        self.regex.is_match(content)
    }

    /// What its first group captures.
    pub(super) fn first_group<'a>(&self, content: &'a [u8]) -> Option<&'a [u8]> {
        let mut slots = [None; 4];
        self.regex.search_slots(&Input::new(content), &mut slots)?;
        content.get(slots[2]?.get()..slots[3]?.get())
    }
}

impl PartialEq for Search {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Search {}

/// In one line.
fn why(error: &BuildError) -> String {
    match error.syntax_error() {
        Some(error) => {
            let text = error.to_string();
            text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_over_bytes() {
        let search = Search::new(r"v=(\d+)").expect("an expression");
        assert_eq!(search.groups(), 1);
        assert_eq!(search.first_group(b"\xff v=12."), Some(&b"12"[..]));
        assert_eq!(search.first_group(b"v=x"), None);
        assert!(Search::new(r"(?-u)\xff$").expect("an expression").is_in(b"a\xff"));
        assert_eq!(Search::new("x").expect("an expression").first_group(b"x"), None);
    }

    #[test]
    fn what_is_no_expression_says_why_in_a_line() {
        for wrong in ["(", "[a", "a{2,1}", "\\q"] {
            let why = Search::new(wrong).expect_err("no expression").to_string();
            assert!(!why.is_empty() && !why.contains('\n'), "{why}");
        }
        assert!(Search::new(r"(\w{500}){500}").is_err());
    }
}
