//! The port in a command that is saved: in its place stands `{port}`, so that the service listens where a scenario says,
//! and more than one of it can run at a time.

use super::quoted;

/// Whether a command names this port, once and by itself: who reads it elsewhere, as in a file, keeps it.
pub(super) fn is_named(command: &[String], port: u16) -> bool {
    let port = port.to_string();
    command.iter().map(|word| places(word, &port, |_| true).len()).sum::<usize>() == 1
}

/// A word of a command, in which braces stand for themselves, and `{port}` for this port.
pub(super) fn word(text: &str, port: Option<u16>) -> String {
    with_port(text, port, |_| true)
}

/// The same of a line for a shell, in which numbers mean many things: a port only behind a colon.
pub(super) fn line(text: &str, port: Option<u16>) -> String {
    with_port(text, port, |before| before.ends_with(':'))
}

fn with_port(text: &str, port: Option<u16>, is_meant: impl Fn(&str) -> bool) -> String {
    let literal = |text: &str| text.replace('{', "{{").replace('}', "}}");
    let port = port.map(|port| port.to_string()).unwrap_or_default();
    let mut template = String::new();
    let mut from = 0;
    for place in places(text, &port, is_meant) {
        template.push_str(&literal(&text[from..place]));
        template.push_str("{port}");
        from = place + port.len();
    }
    template.push_str(&literal(&text[from..]));
    quoted(&template)
}

/// Where a number stands by itself, and what is before it says that it is meant.
fn places(text: &str, number: &str, is_meant: impl Fn(&str) -> bool) -> Vec<usize> {
    if number.is_empty() {
        return Vec::new();
    }
    let is_part_before = |c: char| c.is_ascii_digit() || c == '.';
    let is_part_behind = |c: char| c.is_alphanumeric() || c == '.' || c == ':';
    let stands_alone = |place: &usize| {
        let (before, behind) = (&text[..*place], &text[place + number.len()..]);
        !before.ends_with(is_part_before) && !behind.starts_with(is_part_behind) && is_meant(before)
    };
    text.match_indices(number).map(|(place, _)| place).filter(stands_alone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_a_command_names_is_the_scenarios_to_give() {
        for (text, wanted) in [
            ("8000", "{port}"),
            ("127.0.0.1:8000", "127.0.0.1:{port}"),
            ("[::]:8000", "[::]:{port}"),
            ("--port=8000", "--port={port}"),
            ("-p8000", "-p{port}"),
            ("tcp://*:8000/{a}", "tcp://*:{port}/{{a}}"),
            ("80001", "80001"),
            ("18000", "18000"),
            ("0.8000", "0.8000"),
            ("8000ms", "8000ms"),
            ("8000:80", "8000:80"),
        ] {
            assert_eq!(word(text, Some(8000)), format!("\"{wanted}\""));
            assert_eq!(is_named(&["serve".to_owned(), text.to_owned()], 8000), wanted.contains("{port}"));
        }
        assert_eq!(word("127.0.0.1:8000", None), "\"127.0.0.1:8000\"");
    }

    #[test]
    fn one_that_is_named_twice_or_not_at_all_stays() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(is_named(&words("serve --workers 2 --port 80"), 80));
        assert!(!is_named(&words("serve --wait 80 --port 80"), 80));
        assert!(!is_named(&words("serve --config web.conf"), 80));
    }

    #[test]
    fn of_a_shells_line_it_is_what_stands_behind_a_colon() {
        let text = "sleep 80; curl localhost:80/reload";
        assert_eq!(line(text, Some(80)), "\"sleep 80; curl localhost:{port}/reload\"");
    }
}
