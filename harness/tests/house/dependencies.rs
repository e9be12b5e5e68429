//! What is depended on, held against the lists of `deny.toml`.

use std::process::Command;

use serde::Deserialize;

use super::{root, text_of};

#[derive(Deserialize)]
struct Lists {
    licenses: Licences,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

/// What `cargo metadata` says.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    license: Option<String>,
    /// None for our own.
    source: Option<String>,
}

fn lists() -> Lists {
    toml::from_str(&text_of(&root().join("deny.toml"))).expect("lists")
}

/// All packages that are built on a machine like this one. Nothing is fetched: what built this test is there.
fn packages() -> Vec<Package> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", &platform])
        .current_dir(root())
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).expect("metadata");
    assert!(metadata.packages.len() > 50);
    metadata.packages
}

/// Whether an expression of SPDX can be met by these licences. `/` is how some crates still write OR.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let met = any(&mut words, allowed);
    met && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

/// AND binds more tightly than OR.
fn any(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut met = all(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all(words, allowed);
    }
    met
}

fn all(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

/// A licence, with its exception if it has one, or what stands in parentheses.
fn one(words: &mut Words<'_>, allowed: &[String]) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let met = any(words, allowed);
        return words.next() == Some(")") && met;
    }
    let Some(licence) = words.next() else { return false };
    let exception = words.next_if_eq(&"WITH").and_then(|_| words.next());
    let whole = exception.map_or(licence.to_owned(), |exception| format!("{licence} WITH {exception}"));
    allowed.contains(&whole)
}

#[test]
fn expressions_are_met_as_spdx_means_them() {
    let allowed = ["MIT", "Zlib"].map(str::to_owned);
    for met in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "(GPL-3.0 OR MIT) AND Zlib", "MIT OR X AND Y"] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for unmet in ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT WITH X", "(MIT", "MIT MIT", "(MIT OR X) AND Y"] {
        assert!(!is_met(unmet, &allowed), "{unmet}");
    }
}

#[test]
fn licences_are_among_those_that_are_allowed() {
    let Lists { licenses, .. } = lists();
    for Package { name, license, .. } in packages() {
        let is_allowed = license.as_ref().is_some_and(|license| is_met(license, &licenses.allow));
        assert!(is_allowed, "{name}: {license:?} is not met by {:?} of deny.toml", licenses.allow);
    }
}

#[test]
fn what_is_not_our_own_comes_from_allowed_registries() {
    let Lists { sources, .. } = lists();
    for Package { name, source, .. } in packages() {
        let from = source.as_ref().map(|source| source.trim_start_matches("registry+"));
        let is_allowed = from.is_none_or(|from| sources.allow_registry.iter().any(|allowed| allowed == from));
        assert!(is_allowed && (from.is_some() || name.starts_with("holdline")), "{name}: {source:?}");
    }
}
