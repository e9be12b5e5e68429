//! What a shell is offered in place of a word: names of the catalogue, and paths where a word begins as one.
//!
//! The script of `holdline completions` asks holdline itself, at each press of the key, so that it knows what this
//! holdline has. A catalogue that cannot be read offers nothing.

use std::ffi::OsStr;
use std::io;

use clap_complete::Shell;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::Shells;
use holdline_model::compare::QUANTITIES;

use crate::catalogue;

/// By this variable the script asks. It has no meaning to users.
pub(super) const ASKED_BY: &str = "_HOLDLINE_COMPLETE";

/// Scenarios, `all`, and paths.
pub(super) fn scenarios(current: &OsStr) -> Vec<CompletionCandidate> {
    let entries = catalogue::scenarios().unwrap_or_default();
    let named = entries.iter().map(|entry| (entry.scenario.name.as_str(), entry.scenario.asks.as_str()));
    among(current, named.chain([("all", "Every scenario but the long ones")]))
}

/// Supervisors, `all`, and paths.
pub(super) fn supervisors(current: &OsStr) -> Vec<CompletionCandidate> {
    let entries = catalogue::supervisors().unwrap_or_default();
    let named = entries.iter().map(|entry| (entry.supervisor.name.as_str(), entry.supervisor.about.as_str()));
    among(current, named.chain([("all", "Every supervisor")]))
}

/// Scenarios and recorded runs.
pub(super) fn scenarios_or_runs(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut candidates = scenarios(current);
    if !is_begun_as_path(current) {
        candidates.extend(PathCompleter::dir().complete(current));
    }
    candidates
}

/// Scenarios and supervisors.
pub(super) fn either(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut candidates = scenarios(current);
    if !is_begun_as_path(current) {
        candidates.extend(supervisors(current));
        // What is shown is one.
        candidates.retain(|candidate| candidate.get_value() != "all");
    }
    candidates
}

/// `NAME=SUPERVISOR`, once the name is there.
pub(super) fn named_supervisors(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some((name, rest)) = current.to_str().and_then(|current| current.split_once('=')) else {
        return Vec::new();
    };
    let candidates = supervisors(OsStr::new(rest)).into_iter();
    candidates.map(|candidate| candidate.add_prefix(format!("{name}="))).collect()
}

/// What is compared.
pub(super) fn quantities() -> Vec<CompletionCandidate> {
    QUANTITIES.iter().map(|quantity| CompletionCandidate::new(quantity.name)).collect()
}

fn is_begun_as_path(current: &OsStr) -> bool {
    let bytes = current.as_encoded_bytes();
    bytes.starts_with(b".") || bytes.starts_with(b"/")
}

fn among<'a>(current: &OsStr, named: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<CompletionCandidate> {
    if is_begun_as_path(current) {
        return PathCompleter::any().complete(current);
    }
    let begun = current.as_encoded_bytes();
    named
        .filter(|(name, _)| name.as_bytes().starts_with(begun))
        .map(|(name, about)| CompletionCandidate::new(name).help(Some(about.to_owned().into())))
        .collect()
}

/// The script for a shell; `program` is what it runs to ask.
pub(super) fn script(shell: Shell, program: &str) -> io::Result<String> {
    let shells = Shells::builtins();
    let name = shell.to_string();
    let completer =
        shells.completer(&name).ok_or_else(|| io::Error::other(format!("{name} is not known")))?;
    let mut script = Vec::new();
    completer.write_registration(ASKED_BY, "holdline", "holdline", program, &mut script)?;
    let script = String::from_utf8(script).map_err(io::Error::other)?;
    // clap quotes what it puts between quotes already, which bash takes for a part of the name.
    let quoted = shlex::try_quote(program).map_err(io::Error::other)?;
    Ok(match shell {
        Shell::Bash => script.replace(&format!("\"{quoted}\""), &quoted),
        _ => script,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(candidates: &[CompletionCandidate]) -> Vec<&str> {
        candidates.iter().filter_map(|candidate| candidate.get_value().to_str()).collect()
    }

    #[test]
    fn names_begin_as_the_word_does_and_paths_are_paths() {
        let found = scenarios(OsStr::new("crash-h"));
        assert_eq!(values(&found), ["crash-hard"]);
        assert!(found[0].get_help().is_some());
        assert!(values(&scenarios(OsStr::new(""))).contains(&"all"));
        assert!(values(&supervisors(OsStr::new("held"))).contains(&"held-socket"));
        assert!(supervisors(OsStr::new("no-such")).is_empty());
        assert_eq!(values(&named_supervisors(OsStr::new("old=held-s"))), ["old=held-socket"]);
        assert!(named_supervisors(OsStr::new("ol")).is_empty());
        let both = either(OsStr::new(""));
        let both = values(&both);
        assert!(both.contains(&"crash") && both.contains(&"circus") && !both.contains(&"all"));
        let place = tempfile::tempdir().expect("a folder");
        std::fs::write(place.path().join("mine.toml"), "").expect("a file");
        let begun = place.path().join("mi");
        let whole = place.path().join("mine.toml");
        assert_eq!(values(&scenarios(begun.as_os_str())), [whole.to_str().expect("UTF-8")]);
    }

    #[test]
    fn every_shell_has_a_script_that_names_the_program() {
        use clap::ValueEnum;
        for shell in Shell::value_variants() {
            let script = script(*shell, "/a b/holdline").expect("a script");
            assert!(script.contains(ASKED_BY) && script.contains("/a b/holdline"), "{shell}: {script}");
        }
        let bash = script(Shell::Bash, "/a b/holdline").expect("a script");
        assert!(!bash.contains("\"'"), "{bash}");
    }
}
