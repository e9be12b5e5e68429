//! Values that no report, log or error may show: those of environment variables that requests are made with.

use std::borrow::Cow;

/// Values, and the placeholders that are shown in their place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(Vec<(Vec<u8>, String)>);

impl Secrets {
    /// Keeps the value of an environment variable. An empty one is none to be kept.
    pub fn keep(&mut self, variable: &str, value: &[u8]) {
        let is_known = self.0.iter().any(|(known, _)| known == value);
        if !value.is_empty() && !is_known {
            self.0.push((value.to_vec(), format!("{{env.{variable}}}")));
            // Of values that are parts of each other, the longest is found first.
            self.0.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes in which placeholders stand for the values. `is_cut`: the bytes may have been cut off at their end,
    /// in the midst of a value.
    #[must_use]
    pub fn hidden<'a>(&self, bytes: &'a [u8], is_cut: bool) -> Cow<'a, [u8]> {
        let (mut out, mut from, mut at) = (Vec::new(), 0, 0);
        while at < bytes.len() {
            let left = &bytes[at..];
            let is_here = |value: &[u8]| left.starts_with(value) || is_cut && value.starts_with(left);
            match self.0.iter().find(|(value, _)| is_here(value)) {
                Some((value, placeholder)) => {
                    out.extend_from_slice(&bytes[from..at]);
                    out.extend_from_slice(placeholder.as_bytes());
                    at = bytes.len().min(at + value.len());
                    from = at;
                }
                None => at += 1,
            }
        }
        if from == 0 && out.is_empty() {
            return Cow::Borrowed(bytes);
        }
        out.extend_from_slice(&bytes[from..]);
        Cow::Owned(out)
    }

    /// A text in which placeholders stand for the values.
    #[must_use]
    pub fn hidden_in(&self, text: String, is_cut: bool) -> String {
        match self.hidden(text.as_bytes(), is_cut) {
            Cow::Borrowed(_) => text,
            Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_shown() {
        let mut secrets = Secrets::default();
        secrets.keep("A", b"s3cret");
        secrets.keep("B", b"s3");
        secrets.keep("C", b"");
        secrets.keep("D", b"s3cret");
        let hidden = |text: &str, is_cut| secrets.hidden_in(text.to_owned(), is_cut);
        assert_eq!(hidden("token s3cret, s3cre and s3", false), "token {env.A}, {env.B}cre and {env.B}");
        assert_eq!(hidden("nothing", true), "nothing");
        assert_eq!(hidden("token s3cr", true), "token {env.A}");
        assert_eq!(hidden("is", true), "i{env.A}");
        assert_eq!(Secrets::default().hidden(b"s3", true).as_ref(), b"s3");
    }
}
