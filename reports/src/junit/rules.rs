//! What Jenkins's and Maven Surefire's schemas of JUnit XML have in common, as a check: an element, an attribute or an
//! order that either refuses is refused here.

use quick_xml::events::{BytesStart, Event};

/// A case, as a reader sees it.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) class: String,
    pub(crate) status: Option<String>,
    pub(crate) message: Option<String>,
}

/// What may stand in an element: its name, the attributes that it must have, those that it may have besides, its
/// children in their order, and whether it may have text.
struct Rule(&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str], bool);

const RULES: [Rule; 8] = [
    Rule(
        "testsuite",
        &["name", "tests", "errors", "skipped", "failures"],
        &["time", "timestamp", "group"],
        &["properties", "testcase"],
        false,
    ),
    Rule("properties", &[], &[], &["property"], false),
    Rule("property", &["name", "value"], &[], &[], false),
    Rule(
        "testcase",
        &["name", "time"],
        &["classname", "group"],
        &["failure", "skipped", "error", "system-out", "system-err"],
        false,
    ),
    Rule("failure", &[], &["message", "type"], &[], true),
    Rule("error", &[], &["message", "type"], &[], true),
    Rule("skipped", &[], &["message"], &[], true),
    Rule("system-out", &[], &[], &[], true),
];

/// Elements that may stand in their parent more than once.
const MANY: [&str; 3] = ["property", "testcase", "failure"];

fn rule(name: &str) -> &'static Rule {
    RULES.iter().find(|rule| rule.0 == name).unwrap_or_else(|| panic!("no schema knows {name}"))
}

/// The value of an attribute, unescaped.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.try_get_attribute(name).expect("an attribute")?;
    let raw = String::from_utf8(found.value.into_owned()).expect("UTF-8");
    Some(quick_xml::escape::unescape(&raw).expect("escaped well").into_owned())
}

fn name_of(tag: &BytesStart<'_>) -> String {
    String::from_utf8(tag.name().as_ref().to_vec()).expect("UTF-8")
}

#[track_caller]
fn check_tag(tag: &BytesStart<'_>) {
    let Rule(name, required, optional, ..) = rule(&name_of(tag));
    for attribute in tag.attributes() {
        let attribute = attribute.expect("an attribute");
        let key = str::from_utf8(attribute.key.as_ref()).expect("UTF-8");
        assert!(required.contains(&key) || optional.contains(&key), "{name} may have no {key}");
    }
    for key in *required {
        assert!(attribute(tag, key).is_some(), "{name} must have {key}");
    }
    if let Some(time) = attribute(tag, "time") {
        let (whole, part) = time.split_once('.').expect("a fraction");
        let are_digits = [whole, part].iter().all(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        assert!(are_digits && !whole.is_empty() && part.len() == 3, "{time} is no time");
    }
    if let Some(timestamp) = attribute(tag, "timestamp") {
        timestamp.parse::<jiff::Timestamp>().expect("an instant");
    }
}

/// Holds the document to the rules, and returns its cases.
#[track_caller]
pub(crate) fn check(text: &str) -> Vec<Case> {
    let mut reader = quick_xml::Reader::from_str(text);
    // Each open element, with the children that it has had.
    let mut open: Vec<(String, Vec<String>)> = Vec::new();
    let (mut cases, mut counts) = (Vec::<Case>::new(), None);
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(tag) => {
                enter(&tag, &mut open, &mut cases, &mut counts);
                open.push((name_of(&tag), Vec::new()));
            }
            Event::Empty(tag) => enter(&tag, &mut open, &mut cases, &mut counts),
            Event::End(_) => drop(open.pop()),
            Event::Text(said) if !said.is_empty() => {
                let is_blank = said.iter().all(u8::is_ascii_whitespace);
                let may = open.last().is_some_and(|(name, _)| rule(name).4);
                assert!(is_blank || may, "text in {open:?}");
            }
            Event::Eof => break,
            _ => {}
        }
    }
    let of = |kind: &str| cases.iter().filter(|case| case.status.as_deref() == Some(kind)).count();
    let counted = [cases.len(), of("error"), of("skipped"), of("failure")].map(|count| count.to_string());
    assert_eq!(counts.expect("a suite"), counted, "tests, errors, skipped, failures");
    cases
}

#[track_caller]
fn enter(
    tag: &BytesStart<'_>,
    open: &mut [(String, Vec<String>)],
    cases: &mut Vec<Case>,
    counts: &mut Option<[String; 4]>,
) {
    check_tag(tag);
    let name = name_of(tag);
    match open.last_mut() {
        None => {
            assert_eq!(name, "testsuite", "the root");
            let count = |key| attribute(tag, key).expect("a count");
            *counts = Some(["tests", "errors", "skipped", "failures"].map(count));
        }
        Some((parent, before)) => {
            let order = rule(parent).3;
            let place = |name: &str| order.iter().position(|it| *it == name);
            let here = place(&name).unwrap_or_else(|| panic!("{parent} may have no {name}"));
            let last = before.last().and_then(|last| place(last));
            let many = MANY.contains(&name.as_str());
            assert!(last.is_none_or(|last| last < here || (many && last == here)), "{name} after {before:?}");
            before.push(name.clone());
        }
    }
    match name.as_str() {
        "testcase" => cases.push(Case {
            name: attribute(tag, "name").unwrap_or_default(),
            class: attribute(tag, "classname").unwrap_or_default(),
            ..Case::default()
        }),
        "failure" | "error" | "skipped" => {
            let case = cases.last_mut().expect("a case");
            (case.status, case.message) = (Some(name), attribute(tag, "message"));
        }
        _ => {}
    }
}
