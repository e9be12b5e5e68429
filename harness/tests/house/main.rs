//! The house's own rules, as ARCHITECTURE states them: which crate knows which, that no two modules import
//! each other, that each invariant names the tests that hold it, what may be depended on, and how large files
//! may be.
//!
//! Where a rule does not hold everywhere yet, what breaks it is listed. Such a list may only get shorter: an
//! exception that no longer applies fails the test as well.

mod dependencies;
mod modules;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The packages' folders, and which of our packages each may use.
const CRATES: &[(&str, &[&str])] = &[
    ("harness/model", &[]),
    ("harness/contract", &["holdline-model"]),
    ("fixtures", &["holdline-model", "holdline-contract"]),
    ("reports", &["holdline-model"]),
    ("harness", &["holdline-model", "holdline-contract", "holdline-fixtures", "holdline-reports"]),
    (
        "benches",
        &["holdline-model", "holdline-contract", "holdline-fixtures", "holdline-reports", "holdline"],
    ),
];

/// What does I/O, starts something or reads a clock. The addresses of `std::net` are values.
const DEEDS: &[&str] = &[
    "std::fs",
    "std::process",
    "std::thread",
    "std::env",
    "std::os",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "Instant::now",
    "SystemTime",
    "File::open",
    "println!",
];

/// Where `anyhow` may be: the binary's own files, which say what went wrong and need not tell it apart.
const BINARY: &[&str] = &["harness/src/main.rs", "harness/src/exit.rs", "harness/src/cli"];

/// Invariants that no test holds yet, by their first words.
const UNHELD: &[&str] = &[];

const LINES_MAX: usize = 450;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("failed to read {}: {error}", path.display()))
}

/// Every file of Rust below a folder of the repository, by its path from the root.
fn sources(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let path = path.strip_prefix(root()).expect("below the root");
                found.push(path.to_str().expect("a name in UTF-8").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// All sources of our packages.
fn all_sources() -> impl Iterator<Item = String> {
    CRATES.iter().flat_map(|(folder, _)| sources(&format!("{folder}/src")))
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

#[track_caller]
fn only(what: &str, found: impl IntoIterator<Item = String>, excepted: &[&str]) {
    let found: BTreeSet<String> = found.into_iter().collect();
    let excepted: BTreeSet<String> = excepted.iter().map(|&text| text.to_owned()).collect();
    let new: Vec<_> = found.difference(&excepted).collect();
    assert!(new.is_empty(), "{what}: {new:#?}");
    let mended: Vec<_> = excepted.difference(&found).collect();
    assert!(mended.is_empty(), "mended; take it from the list of exceptions ({what}): {mended:#?}");
}

#[test]
fn nothing_points_back() {
    for (folder, allowed) in CRATES {
        let manifest: toml::Table =
            toml::from_str(&text_of(&root().join(folder).join("Cargo.toml"))).expect("a manifest");
        let used = ["dependencies", "build-dependencies", "dev-dependencies"]
            .iter()
            .filter_map(|section| manifest.get(*section)?.as_table())
            .flat_map(toml::Table::keys);
        for name in used.filter(|name| name.starts_with("holdline")) {
            assert!(allowed.contains(&name.as_str()), "{folder} must not use {name}");
        }
    }
}

#[test]
fn the_model_does_nothing_itself() {
    let forbids = text_of(&root().join("harness/model/src/lib.rs"));
    assert!(forbids.contains("#![forbid(unsafe_code)]"));
    for path in sources("harness/model/src").iter().filter(|path| !is_test(path)) {
        let code = modules::code_of(&text_of(&root().join(path)));
        for deed in DEEDS {
            assert!(!code.contains(deed), "{path} says {deed}");
        }
    }
}

#[test]
fn there_is_one_executable() {
    let mut found = Vec::new();
    for (folder, _) in CRATES {
        let manifest: toml::Table =
            toml::from_str(&text_of(&root().join(folder).join("Cargo.toml"))).expect("a manifest");
        let named = manifest.get("bin").and_then(toml::Value::as_array).map_or(0, Vec::len);
        let main = root().join(folder).join("src/main.rs").exists();
        let bins = root().join(folder).join("src/bin").exists();
        if named > 0 || main || bins {
            assert!(named <= 1 && !bins, "{folder} has more than one executable");
            found.push((*folder).to_owned());
        }
    }
    assert_eq!(found, ["harness"]);
    // Worker, supervisors and planted server are what this one can be told to be.
    let verbs =
        text_of(&root().join("harness/src/main.rs")) + &text_of(&root().join("harness/src/cli/args.rs"));
    for verb in ["__worker", "__supervise", "__plant", "__trial", "__trace"] {
        assert!(verbs.contains(verb), "{verb} is no verb");
    }
}

#[test]
fn each_invariant_names_tests_that_exist() {
    let architecture = text_of(&root().join("harness/ARCHITECTURE.md"));
    let unheld = invariants(&architecture).into_iter().filter_map(|invariant| {
        let tests: Vec<&str> =
            invariant.split('`').skip(1).step_by(2).filter(|word| word.contains(".rs::")).collect();
        for test in &tests {
            let (path, name) = test.split_once("::").expect("path and name");
            let is_there =
                root().join(path).exists() && text_of(&root().join(path)).contains(&format!("fn {name}("));
            assert!(is_there, "there is no {test}, which is to hold: {invariant}");
        }
        let known = UNHELD.iter().find(|known| invariant.starts_with(*known));
        tests.is_empty().then(|| known.copied().unwrap_or(invariant).to_owned())
    });
    only("invariants that name no test", unheld, UNHELD);
}

/// The text of each, to the end of its paragraph.
fn invariants(architecture: &str) -> Vec<&str> {
    let parts = architecture.split("**Invariant:**").skip(1);
    parts.map(|part| part.split("\n\n").next().unwrap_or(part).trim()).collect()
}

#[test]
fn no_two_modules_import_each_other() {
    let found = CRATES.iter().flat_map(|(folder, _)| modules::pairs(folder));
    only("modules that import each other", found, modules::EXCEPTIONS);
}

#[test]
fn anyhow_is_the_binarys_own() {
    let says = |path: &String| modules::code_of(&text_of(&root().join(path))).contains("anyhow");
    let is_library = |path: &String| !BINARY.iter().any(|own| path.starts_with(own));
    let users = all_sources().filter(|path| !is_test(path) && is_library(path) && says(path));
    only("files that use anyhow outside of the binary's own", users, &[]);
}

#[test]
fn files_and_functions_are_small() {
    let long = all_sources()
        .filter(|path| !is_test(path))
        .filter(|path| text_of(&root().join(path)).lines().count() > LINES_MAX);
    only("files that are too long", long, &[]);
    // Clippy measures functions; nobody may tell it not to.
    let excused = all_sources().filter(|path| text_of(&root().join(path)).contains("clippy::too_many_lines"));
    only("functions that are excused for their length", excused, &[]);
}
