//! JSON Schemas of the two kinds of file, for editors, and of a run's result. They come from the file types themselves, so
//! that they cannot fall behind; words that are keys of a table are added here.

use schemars::SchemaGenerator;
use serde_json::{Value, json};

use crate::bounds;
use crate::compare::Comparison;
use crate::conductor::{Event, Order};
use crate::gate::{Baseline, GateResult};
use crate::listing::Listing;
use crate::metric;
use crate::planned::PlanFile;
use crate::result::RunResult;
use crate::scenario::file::ScenarioFile;
use crate::supervisor::file::SupervisorFile;
use crate::sweep::SweepResult;
use crate::words::{Grade, Verb};

/// The JSON Schema of scenario files.
#[must_use]
pub fn scenario_schema() -> Value {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<ScenarioFile>().to_value();
    let names = metric::metrics().map(|metric| metric.name);
    let dashed = names.clone().filter(|name| name.contains('_')).map(|name| name.replace('_', "-"));
    let metrics: Vec<String> = names.map(str::to_owned).chain(dashed).collect();
    name_keys(&mut schema, "means", &grades());
    name_keys(&mut schema, "sysctl", bounds::SYSCTLS);
    name_keys(&mut schema, "expect", &metrics);
    schema
}

/// The JSON Schema of `run.json`, `holdline.run/1`. Unknown keys are allowed: others may be added.
#[must_use]
pub fn run_schema() -> Value {
    SchemaGenerator::default().into_root_schema_for::<RunResult>().to_value()
}

/// The JSON Schema of a comparison, `holdline.compare/1`. Unknown keys are allowed: others may be added.
#[must_use]
pub fn compare_schema() -> Value {
    SchemaGenerator::default().into_root_schema_for::<Comparison>().to_value()
}

/// The JSON Schema of what a sweep exports, `holdline.sweep/1`. Unknown keys are allowed: others may be added.
#[must_use]
pub fn sweep_schema() -> Value {
    SchemaGenerator::default().into_root_schema_for::<SweepResult>().to_value()
}

/// The JSON Schema of what a gate comes to, `holdline.gate/1`. Unknown keys are allowed: others may be added.
#[must_use]
pub fn gate_schema() -> Value {
    SchemaGenerator::default().into_root_schema_for::<GateResult>().to_value()
}

/// The JSON Schema of `plan.json`, `holdline.plan/1`. Unknown keys are allowed: others may be added.
#[must_use]
pub fn plan_schema() -> Value {
    SchemaGenerator::default().into_root_schema_for::<PlanFile>().to_value()
}

/// The JSON Schema of what `holdline list --json` prints, `holdline.list/1`. Unknown keys are allowed: others may be
/// added.
#[must_use]
pub fn list_schema() -> Value {
    SchemaGenerator::default().into_root_schema_for::<Listing>().to_value()
}

/// The JSON Schema of a gate's baseline, `holdline.baseline/1`.
#[must_use]
pub fn baseline_schema() -> Value {
    SchemaGenerator::default().into_root_schema_for::<Baseline>().to_value()
}

/// The JSON Schema of a line of `events.jsonl`, `holdline.events/1`, the first among them.
#[must_use]
pub fn events_schema() -> Value {
    let schema = |schema: schemars::Schema| {
        let mut schema = schema.to_value();
        if let Some(table) = schema.as_object_mut() {
            table.remove("$schema");
        }
        schema
    };
    let mut event = schema(SchemaGenerator::default().into_root_schema_for::<Event>());
    let mut order = schema(SchemaGenerator::default().into_root_schema_for::<Order>());
    let mut defs = json!({});
    for part in [&mut event, &mut order] {
        let Some(Value::Object(own)) = part.as_object_mut().and_then(|table| table.remove("$defs")) else {
            continue;
        };
        own.into_iter().for_each(|(name, def)| defs[name] = def);
    }
    for part in [&mut event, &mut order] {
        part["properties"]["at_ns"] =
            json!({ "type": "integer", "description": "When, in nanoseconds from the origin." });
        part["required"] = json!(["at_ns"]);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": crate::conductor::SCHEMA,
        "type": "object",
        "anyOf": [event, order, events_header()],
        "$defs": defs,
    })
}

/// The first line, which says from when instants count.
fn events_header() -> Value {
    json!({
        "description": "The first line.",
        "properties": {
            "schema": { "const": crate::conductor::SCHEMA },
            "origin": { "enum": ["load", "trial"], "description": "What begins at the origin." },
            "origin_monotonic_ns": {
                "type": "integer", "minimum": 0, "description": "The origin on CLOCK_MONOTONIC, in nanoseconds."
            },
        },
        "required": ["schema", "origin", "origin_monotonic_ns"],
        "additionalProperties": false,
    })
}

/// The JSON Schema of the result of fuzzing.
#[must_use]
pub fn fuzz_schema() -> Value {
    SchemaGenerator::default().into_root_schema_for::<crate::fuzz::FuzzResult>().to_value()
}

/// The JSON Schema of descriptions of supervisors.
#[must_use]
pub fn supervisor_schema() -> Value {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<SupervisorFile>().to_value();
    let verbs: Vec<&str> = Verb::ALL.iter().map(|verb| verb.as_str()).collect();
    name_keys(&mut schema, "control", &verbs);
    schema["properties"]["expected"]["additionalProperties"] = json!({ "enum": grades() });
    schema
}

fn grades() -> Vec<&'static str> {
    Grade::ALL.iter().map(|grade| grade.as_str()).collect()
}

/// Says which keys a table may have.
fn name_keys<T: serde::Serialize>(schema: &mut Value, table: &str, keys: &[T]) {
    schema["properties"][table]["propertyNames"] = json!({ "enum": keys });
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUPERVISOR: &str = r#"
        name = "x"
        about = "x"
        reference = true
        version = ["x", "--version"]
        install = "apt install x"
        runs = ["command"]
        worker = "rust"
        protocol = "square"
        socket = { holder = "supervisor", passing = "stdin" }
        transports = ["tcp"]
        workers-min = 2
        start = ["x", "{worker}"]
        ready = { listening = true, workers = true, timeout = "10s" }
        stop = { signal = "TERM", to = { pidfile = "x.pid" } }
        private = ["/run"]
        trap = "none"
        needs-root = false
        needs = "none"
        [files."x.ini"]
        template = "x.ini"
        executable = true
        [control]
        restart = ["x", "restart"]
        reload = { signal = "HUP", to = "group" }
        scale = { unsupported = "it cannot" }
        [env]
        A = "{dir}"
        [expected]
        crash = "held"
    "#;

    fn example() -> String {
        let format = include_str!("../../../scenarios/FORMAT.md");
        format
            .split("```toml")
            .nth(1)
            .and_then(|rest| rest.split("```").next())
            .expect("an example")
            .to_owned()
    }

    fn read(text: &str) -> Value {
        serde_json::to_value(toml::from_str::<toml::Table>(text).expect("TOML")).expect("JSON")
    }

    /// The schema itself with everything that it refers to or chooses from.
    fn alternatives<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
        let mut all = vec![schema];
        if let Some(path) = schema["$ref"].as_str() {
            let target = root.pointer(&path[1..]).unwrap_or_else(|| panic!("{path} leads nowhere"));
            all.extend(alternatives(root, target));
        }
        for choice in ["anyOf", "oneOf", "allOf"].iter().filter_map(|key| schema[key].as_array()).flatten() {
            all.extend(alternatives(root, choice));
        }
        all
    }

    fn property<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
        let is_named =
            schema["propertyNames"]["enum"].as_array().is_none_or(|names| names.contains(&json!(key)));
        let additional = schema.get("additionalProperties").filter(|other| other.is_object() && is_named);
        schema["properties"].get(key).or(additional)
    }

    /// The first key of a value that its schema does not have.
    fn unknown_key(root: &Value, schema: &Value, value: &Value) -> Option<String> {
        let alternatives = alternatives(root, schema);
        match value {
            Value::Object(table) => table.iter().find_map(|(key, value)| {
                let inner: Vec<_> = alternatives.iter().filter_map(|schema| property(schema, key)).collect();
                let Some(first) = inner.first() else { return Some(key.clone()) };
                if inner.iter().any(|schema| unknown_key(root, schema, value).is_none()) {
                    return None;
                }
                unknown_key(root, first, value)
            }),
            Value::Array(items) => {
                let of_items: Vec<_> = alternatives.iter().filter_map(|schema| schema.get("items")).collect();
                items
                    .iter()
                    .find_map(|item| of_items.iter().find_map(|schema| unknown_key(root, schema, item)))
            }
            _ => None,
        }
    }

    #[test]
    fn schemas_know_every_key_of_the_examples() {
        let scenario = scenario_schema();
        for text in [include_str!("../../../scenarios/crash.toml"), &example()] {
            crate::scenario::parse(text, "example").expect("right");
            assert_eq!(unknown_key(&scenario, &scenario, &read(text)), None);
        }
        crate::supervisor::parse(SUPERVISOR, "example").expect("right");
        let supervisor = supervisor_schema();
        assert_eq!(unknown_key(&supervisor, &supervisor, &read(SUPERVISOR)), None);
    }

    #[test]
    fn committed_schemas_are_those_of_the_types() {
        for (committed, schema, what, file) in [
            (include_str!("../../../reports/schema/holdline.run-1.json"), run_schema(), "run", "run"),
            (
                include_str!("../../../reports/schema/holdline.compare-1.json"),
                compare_schema(),
                "compare",
                "compare",
            ),
            (include_str!("../../../reports/schema/holdline.gate-1.json"), gate_schema(), "gate", "gate"),
            (include_str!("../../../reports/schema/holdline.list-1.json"), list_schema(), "list", "list"),
            (include_str!("../../../reports/schema/holdline.plan-1.json"), plan_schema(), "plan", "plan"),
            (
                include_str!("../../../reports/schema/holdline.events-1.json"),
                events_schema(),
                "events",
                "events",
            ),
            (
                include_str!("../../../reports/schema/holdline.baseline-1.json"),
                baseline_schema(),
                "baseline",
                "baseline",
            ),
        ] {
            let committed: Value = serde_json::from_str(committed).expect("JSON");
            let command = format!("holdline schema {what} > reports/schema/holdline.{file}-1.json");
            assert!(committed == schema, "write it anew: {command}");
        }
    }

    #[test]
    fn the_committed_schema_of_fuzzing_is_that_of_the_types() {
        let committed = include_str!("../../../reports/schema/holdline.fuzz-1.json");
        let committed: Value = serde_json::from_str(committed).expect("JSON");
        assert!(
            committed == fuzz_schema(),
            "write it anew: holdline schema fuzz > reports/schema/holdline.fuzz-1.json"
        );
    }

    #[test]
    fn the_committed_schema_of_a_sweep_is_that_of_the_types() {
        let committed = include_str!("../../../reports/schema/holdline.sweep-1.json");
        let committed: Value = serde_json::from_str(committed).expect("JSON");
        assert!(
            committed == sweep_schema(),
            "write it anew: holdline schema sweep > reports/schema/holdline.sweep-1.json"
        );
    }

    #[test]
    fn schemas_do_not_know_other_keys() {
        let scenario = scenario_schema();
        for (text, key) in [
            ("nme = 1", "nme"),
            ("listen = { backlok = 1 }", "backlok"),
            ("load = { arrivals = { sequentil = 1 } }", "sequentil"),
            ("[[fault]]\nat = { atempt = 1 }", "atempt"),
            ("[expect]\ncolateral = 0", "colateral"),
            ("[means]\nhled = 0", "hled"),
        ] {
            assert_eq!(unknown_key(&scenario, &scenario, &read(text)).as_deref(), Some(key));
        }
        let supervisor = supervisor_schema();
        for (text, key) in [("[control]\nrelod = []", "relod"), ("files.x = { mode = 1 }", "mode")] {
            assert_eq!(unknown_key(&supervisor, &supervisor, &read(text)).as_deref(), Some(key));
        }
    }

    #[test]
    fn schemas_refuse_other_keys_and_need_what_is_required() {
        assert_eq!(scenario_schema()["additionalProperties"], false);
        assert_eq!(scenario_schema()["required"], json!(["name", "asks", "load"]));
        let metrics = &scenario_schema()["properties"]["expect"]["propertyNames"]["enum"];
        for metric in ["queue-wait.p99", "queue_wait.p99", "collateral"] {
            assert!(metrics.as_array().expect("a list").contains(&json!(metric)), "{metric}");
        }
        assert_eq!(supervisor_schema()["required"], json!(["name", "about", "socket", "start"]));
    }
}
