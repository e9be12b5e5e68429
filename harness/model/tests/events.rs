//! Holds `reports/EVENTS.md` to the types: its rows come from their own documentation.

use holdline_model::schema::events_schema;
use serde_json::Value;

/// The rows of a table: each event, or each order, and its fields; those with `?` may be absent.
fn rows(schema: &Value, tag: &str) -> Vec<String> {
    let variants = schema["oneOf"].as_array().expect("variants");
    let row = |variant: &Value| {
        let properties = variant["properties"].as_object().expect("fields");
        let required: Vec<&str> =
            variant["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let field = |(name, what): (&String, &Value)| {
            let absent = if required.contains(&name.as_str()) { "" } else { "?" };
            format!("`{name}`{absent}: {}", what["description"].as_str().expect("documentation"))
        };
        let fields: Vec<String> = properties.iter().filter(|(name, _)| *name != tag).map(field).collect();
        let name = properties[tag]["const"].as_str().expect("a name");
        let what = variant["description"].as_str().expect("documentation");
        let links = [
            ("[`Event::Sighted`]", "`sighted`"),
            ("[`Event::Fault`]", "`fault`"),
            ("[`Event::ControlDone`]", "`control_done`"),
            ("[`Event::Healed`]", "`healed`"),
            ("[`Event::Answered`]", "`answered`"),
        ];
        let what = links.iter().fold(what.to_owned(), |what, (link, word)| what.replace(link, word));
        format!("| `{name}` | {what} | {} |", fields.join("<br>"))
    };
    variants.iter().map(row).collect()
}

#[test]
fn the_document_has_every_event_and_order_and_no_other() {
    let schema = events_schema();
    let events = rows(&schema["anyOf"][0], "event");
    let orders = rows(&schema["anyOf"][1], "order");
    let expected: Vec<String> = events.into_iter().chain(orders).collect();
    let document = include_str!("../../../reports/EVENTS.md");
    let found: Vec<&str> = document.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(found, expected, "the rows should be:\n{}", expected.join("\n"));
}
