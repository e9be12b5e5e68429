//! What runs record is what the committed schema says of it.

use std::collections::BTreeSet;
use std::fs;

use holdline_model::words::Grade;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::support::{Place, beside_others, held_socket_from, result, stderr};

fn committed() -> Validator {
    let schema: Value =
        serde_json::from_str(include_str!("../../../reports/schema/holdline.run-1.json")).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema")
}

/// Everything in a value that its schema does not have, by where it stands.
fn errors(schema: &Validator, value: &Value) -> Vec<String> {
    schema.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// One supervisor that loses what a fault hits, one that never is ready, and one that is not there.
fn all_kinds(place: &Place) -> Value {
    place.write(
        "crash.toml",
        "name = \"crash\"\nasks = \"?\"\n[load]\narrivals = { sequential = \"10ms\" }\nattempts = 20\n\
         deadline = \"4s\"\nsend-lag = \"4s\"\n[[fault]]\nat = { attempt = 5 }\n\
         poison = { step = \"work\", mode = \"panic\" }\n[expect]\ncollateral = 0\nserved = 20\n",
    );
    place.write("ends/supervisor.toml", &held_socket_from("ends"));
    place.write("ends/run.sh", "exit 3\n");
    let absent = held_socket_from("absent") + "version = [\"no-such-program-zz\", \"--version\"]\n";
    place.write("absent/supervisor.toml", &absent);
    let supervisors = ["bare", "held-socket", "./ends", "./absent"].map(|name| ["-s", name]);
    let mut arguments = vec!["run", "./crash.toml", "--out", "out"];
    arguments.extend(supervisors.as_flattened());
    let _beside = beside_others();
    let output = place.holdline(&arguments).output().expect("holdline runs");
    let path = place.path("out/run.json");
    serde_json::from_str(&fs::read_to_string(&path).unwrap_or_else(|_| panic!("{}", stderr(&output))))
        .expect("JSON")
}

#[test]
fn runs_are_as_the_committed_schema_says() {
    let place = Place::new();
    let run = all_kinds(&place);
    let grades: BTreeSet<Grade> = result(&place.path("out")).trials.iter().map(|trial| trial.grade).collect();
    assert!(grades.contains(&Grade::Unsupported) && grades.contains(&Grade::Inconclusive), "{grades:?}");
    assert!(grades.len() >= 3, "none was measured: {grades:?}");
    assert_eq!(errors(&committed(), &run), Vec::<String>::new());
}

#[test]
fn what_is_no_result_of_a_run_is_refused() {
    let schema = committed();
    let recorded: Value = serde_json::from_str(include_str!("recorded/run.json")).expect("JSON");
    assert_eq!(errors(&schema, &recorded), Vec::<String>::new());
    for (pointer, wrong) in [
        ("/schema", json!(1)),
        ("/complete", json!("yes")),
        ("/manifest", json!({})),
        ("/trials/0/grade", json!("perfect")),
        ("/trials/0/attempts", json!(-1)),
        ("/trials/0/kernel", json!(null)),
        ("/trials/0/timeline/0", json!("it began")),
    ] {
        let mut changed = recorded.clone();
        *changed.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} leads nowhere")) = wrong;
        let found = errors(&schema, &changed);
        assert!(found.iter().any(|error| error.starts_with(pointer)), "{pointer}: {found:?}");
    }
}
