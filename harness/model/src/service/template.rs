//! Texts of requests and replies: `{n}` stands for a request's number, `{env.NAME}` for an environment variable.
//! Whatever else is in braces is the service's own, as in JSON; `{{n}}` stands for the text `{n}`.

use crate::wire::Text;

/// A text before its placeholders are filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Bytes(Vec<u8>),
    Number,
    /// The variable's name.
    Env(String),
}

/// Why a text is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotATemplate {
    #[error("{{env.{0}}} names no variable: its name has letters, digits and `_`")]
    Variable(String),
    #[error("`\\{0}` is no escape: it is one of \\r \\n \\t \\0 \\\\ and \\x with two hexadecimal digits")]
    Escape(String),
    #[error(
        "this is not hexadecimal: pairs of digits 0 to 9 and a to f, with or without spaces between them"
    )]
    Hex,
}

impl Template {
    /// Reads a text that is sent as it is.
    pub(super) fn plain(text: &str) -> Result<Self, NotATemplate> {
        Self::read(text, false)
    }

    /// Reads a text that may have escapes for bytes that cannot be written.
    pub(super) fn escaped(text: &str) -> Result<Self, NotATemplate> {
        Self::read(text, true)
    }

    /// Reads bytes in hexadecimal.
    pub(super) fn hex(text: &str) -> Result<Self, NotATemplate> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let pair = |pair: &[u8]| {
            let [high, low] = pair else { return None };
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
        };
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
        Ok(Self { pieces: vec![Piece::Bytes(bytes.ok_or(NotATemplate::Hex)?)] })
    }

    /// Reads the contents of a file: one that is text may have placeholders.
    pub(super) fn of_file(bytes: Vec<u8>) -> Result<Self, NotATemplate> {
        match std::str::from_utf8(&bytes) {
            Ok(text) if text.contains("{n}") || text.contains("{env.") => Self::plain(text),
            Ok(_) | Err(_) => Ok(Self { pieces: vec![Piece::Bytes(bytes)] }),
        }
    }

    fn read(text: &str, escapes: bool) -> Result<Self, NotATemplate> {
        let (mut template, mut rest) = (Self::default(), text);
        while let Some(at) = rest.find(if escapes { &['{', '\\'][..] } else { &['{'][..] }) {
            let (before, from) = rest.split_at(at);
            template.push(before.as_bytes());
            rest = if let Some(after) = from.strip_prefix('\\') {
                let (byte, after) = escape(after)?;
                template.push(&[byte]);
                after
            } else if let Some((inner, after)) = doubled(from) {
                template.push(inner.as_bytes());
                after
            } else if let Some(after) = from.strip_prefix("{n}") {
                template.pieces.push(Piece::Number);
                after
            } else if let Some(after) = from.strip_prefix("{env.") {
                let (name, after) =
                    after.split_once('}').filter(|(name, _)| is_variable(name)).ok_or_else(|| {
                        let name = after.split(['}', ' ', '"']).next().unwrap_or_default();
                        NotATemplate::Variable(name.chars().take(40).collect())
                    })?;
                template.pieces.push(Piece::Env(name.to_owned()));
                after
            } else {
                template.push(b"{");
                &from[1..]
            };
        }
        template.push(rest.as_bytes());
        Ok(template)
    }

    fn push(&mut self, bytes: &[u8]) {
        match self.pieces.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Piece::Bytes(last)) => last.extend_from_slice(bytes),
            Some(Piece::Number | Piece::Env(_)) | None => self.pieces.push(Piece::Bytes(bytes.to_vec())),
        }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Bytes(bytes) if bytes.is_empty()))
    }

    /// How many bytes it has at least.
    pub(super) fn bytes_min(&self) -> usize {
        let bytes = self.pieces.iter().map(|piece| match piece {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Number | Piece::Env(_) => 0,
        });
        bytes.sum()
    }

    /// Whether all bytes of the text itself are of some kind.
    pub(super) fn all(&self, is_right: impl Fn(u8) -> bool) -> bool {
        self.pieces.iter().all(|piece| match piece {
            Piece::Bytes(bytes) => bytes.iter().all(|byte| is_right(*byte)),
            Piece::Number | Piece::Env(_) => true,
        })
    }

    /// Fills in variables. `value` gives them, or says why it cannot.
    pub(super) fn fill<E>(&self, mut value: impl FnMut(&str) -> Result<Vec<u8>, E>) -> Result<Text, E> {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(own) => bytes.extend_from_slice(own),
                Piece::Number => places.push(bytes.len()),
                Piece::Env(name) => bytes.extend_from_slice(&value(name)?),
            }
        }
        Ok(Text::new(bytes, places))
    }
}

/// `{{n}}` and `{{env.NAME}}`, which stand for themselves less a pair of braces.
fn doubled(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('{')?;
    let end = inner.find('}')?;
    let is_placeholder =
        &inner[..=end] == "{n}" || inner[..end].strip_prefix("{env.").is_some_and(is_variable);
    let after = inner[end + 1..].strip_prefix('}')?;
    is_placeholder.then_some((&inner[..=end], after))
}

fn is_variable(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| is_word(c) && !c.is_ascii_digit()) && name.chars().all(is_word)
}

/// The byte that an escape stands for, and what follows it.
fn escape(text: &str) -> Result<(u8, &str), NotATemplate> {
    let mut chars = text.chars();
    let byte = match chars.next() {
        Some('r') => b'\r',
        Some('n') => b'\n',
        Some('t') => b'\t',
        Some('0') => 0,
        Some('\\') => b'\\',
        Some('x') => {
            let digits = text.get(1..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            let byte = byte.ok_or_else(|| NotATemplate::Escape(text.chars().take(3).collect()))?;
            return Ok((byte, &text[3..]));
        }
        other => return Err(NotATemplate::Escape(other.map(String::from).unwrap_or_default())),
    };
    Ok((byte, chars.as_str()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(template: &Template) -> Text {
        let value = |name: &str| Ok::<_, ()>(format!("<{name}>").into_bytes());
        template.fill(value).expect("all variables are set")
    }

    #[track_caller]
    fn check(text: &str, bytes: &str, places: &[usize]) {
        let template = Template::plain(text).expect("a template");
        assert_eq!(filled(&template), Text::new(bytes.as_bytes().to_vec(), places.to_vec()), "{text}");
    }

    #[test]
    fn placeholders_stand_for_something_and_braces_for_themselves() {
        check("/orders/{n}?try=1", "/orders/?try=1", &[8]);
        check(r#"{"id": {n}, "to": {"k": {n}}}"#, r#"{"id": , "to": {"k": }}"#, &[7, 21]);
        check("Bearer {env.A_1}", "Bearer <A_1>", &[]);
        check("{{n}} {{env.A}} {m} {} {", "{n} {env.A} {m} {} {", &[]);
        check("a\\r", "a\\r", &[]);
        for wrong in ["{env.}", "{env.1}", "{env.A", "{env.A-B}"] {
            assert!(matches!(Template::plain(wrong), Err(NotATemplate::Variable(_))), "{wrong}");
        }
    }

    #[test]
    fn escapes_stand_for_bytes() {
        let bytes = |text: &str| Template::escaped(text).map(|template| filled(&template));
        assert_eq!(bytes(r"PING\r\n\0\xff\\"), Ok(Text::new(b"PING\r\n\0\xff\\".to_vec(), Vec::new())));
        for wrong in [r"\q", r"\", r"\x1", r"\xgg", "\\x\u{e4}"] {
            assert!(matches!(bytes(wrong), Err(NotATemplate::Escape(_))), "{wrong}");
        }
        let hex = Template::hex("00 00 0aFF\n").expect("hexadecimal");
        assert_eq!(filled(&hex), Text::new(vec![0, 0, 10, 255], Vec::new()));
        assert!(Template::hex("0").is_err() && Template::hex("0g").is_err());
    }

    #[test]
    fn a_file_that_is_no_text_is_sent_as_it_is() {
        let file = |bytes: &[u8]| filled(&Template::of_file(bytes.to_vec()).expect("a file"));
        assert_eq!(file(b"\xff{n}"), Text::new(b"\xff{n}".to_vec(), Vec::new()));
        assert_eq!(file(b"a{n}"), Text::new(b"a".to_vec(), vec![1]));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r"[{}\\a-znx.0ü]{0,30}") {
            let _ = (Template::plain(&text), Template::escaped(&text), Template::hex(&text));
        }
    }
}
