//! Which modules of a package import which, read from its sources.

use std::collections::BTreeSet;

use super::{is_test, root, sources, text_of};

/// Pairs that still import each other.
pub(super) const EXCEPTIONS: &[&str] = &[];

/// Code without comments, and without the unit tests at its end.
pub(super) fn code_of(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

type Module = Vec<String>;

/// Siblings of a package of which each imports the other, whatever lies below them. A parent and its own
/// children may know each other.
pub(super) fn pairs(folder: &str) -> Vec<String> {
    let source = format!("{folder}/src");
    let files: Vec<(Module, String)> = sources(&source)
        .into_iter()
        .filter(|path| !is_test(path))
        .map(|path| (module_of(&path[source.len() + 1..]), code_of(&text_of(&root().join(&path)))))
        .collect();
    let all: BTreeSet<&Module> = files.iter().map(|(module, _)| module).collect();
    let mut edges = BTreeSet::new();
    for (module, code) in &files {
        for target in imports(module, code) {
            edges.extend(edge(module, existing(&target, &all)));
        }
    }
    let mutual = edges.iter().filter(|(a, b)| a < b && edges.contains(&(b.clone(), a.clone())));
    mutual.map(|(a, b)| format!("{folder}: {} and {}", a.join("::"), b.join("::"))).collect()
}

/// The longest beginning of a path that is a module; the rest names what is in it.
fn existing<'a>(path: &'a [String], all: &BTreeSet<&Module>) -> &'a [String] {
    let is_module = |length: &usize| all.contains(&path[..*length].to_vec());
    &path[..(0..=path.len()).rev().find(is_module).unwrap_or(0)]
}

/// From sibling to sibling, at the level at which the two paths part; none between a module and what is in it.
fn edge(from: &[String], to: &[String]) -> Option<(Module, Module)> {
    let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    if shared == from.len() || shared == to.len() {
        return None;
    }
    Some((from[..=shared].to_vec(), to[..=shared].to_vec()))
}

fn module_of(path: &str) -> Module {
    let parts = path.trim_end_matches(".rs").split('/');
    parts.filter(|part| !matches!(*part, "mod" | "lib" | "main")).map(str::to_owned).collect()
}

/// Every path that begins at the package, or at a module above.
fn imports(module: &[String], code: &str) -> Vec<Module> {
    let mut found = Vec::new();
    for (root, start) in [("crate::", Vec::new()), ("super::", parent(module))] {
        for (at, _) in code.match_indices(root) {
            if code[..at].ends_with(|before: char| before.is_alphanumeric() || "_:$".contains(before)) {
                continue;
            }
            let mut start = start.clone();
            let mut rest = &code[at + root.len()..];
            while let Some(above) = rest.strip_prefix("super::") {
                start = parent(&start);
                rest = above;
            }
            tree(rest, &start, &mut found);
        }
    }
    found
}

fn parent(module: &[String]) -> Module {
    module[..module.len().saturating_sub(1)].to_vec()
}

/// Reads `a::b::{c, d::e}` to its end, and returns what follows.
fn tree<'a>(text: &'a str, prefix: &[String], found: &mut Vec<Module>) -> &'a str {
    if let Some(inner) = text.strip_prefix('{') {
        let mut rest = inner.trim_start();
        while !rest.is_empty() && !rest.starts_with('}') {
            let after = tree(rest, prefix, found);
            let after = after.trim_start_matches(|c: char| c != ',' && c != '}');
            rest = after.trim_start_matches(',').trim_start();
        }
        return rest.strip_prefix('}').unwrap_or(rest);
    }
    let length = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let path: Module = prefix.iter().cloned().chain([text[..length].to_owned()]).collect();
    match text[length..].strip_prefix("::") {
        Some(below) if !below.starts_with('<') => tree(below, &path, found),
        _ => {
            found.push(path);
            &text[length..]
        }
    }
}

#[test]
fn paths_are_read_as_they_are_meant() {
    let module: Module = ["a", "b"].map(str::to_owned).to_vec();
    let code =
        "use crate::c::{self, d::{E, f}, G};\nuse super::h::I;\nfn x() { super::super::j::k::<u8>(1) }";
    let found: BTreeSet<String> = imports(&module, code).iter().map(|path| path.join("::")).collect();
    let expected = ["c::self", "c::d::E", "c::d::f", "c::G", "a::h::I", "j::k"];
    for path in expected {
        assert!(found.contains(path), "{path} is not among {found:?}");
    }
}

#[test]
fn siblings_are_what_imports_lie_between() {
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Module>();
    assert_eq!(edge(&path("a::b"), &path("c::d")), Some((path("a"), path("c"))));
    assert_eq!(edge(&path("a::b"), &path("a::c::d")), Some((path("a::b"), path("a::c"))));
    assert_eq!(edge(&path("a::b"), &path("a")), None);
    assert_eq!(edge(&path("a"), &path("a::b")), None);
}
