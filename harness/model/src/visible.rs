//! Text of files and programs as it can be shown: it must not steer a terminal.

/// `text` with everything visible: control characters and those that reverse the direction of a line
/// stand as `\u{…}`. Line breaks and tabs stay.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let is_line_break = c == '\n' || (c == '\r' && rest.peek() == Some(&'\n'));
        if is_line_break || c == '\t' || !steers(c) {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    out
}

/// Whether a terminal might take a character for an order.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown() {
        assert_eq!(
            visible("a\u{1b}[31mb\u{9b}1m\rc\r\n\td\u{202e}"),
            "a\\u{1b}[31mb\\u{9b}1m\\u{d}c\r\n\td\\u{202e}"
        );
    }
}
