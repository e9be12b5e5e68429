//! What shells offer, asked of the shells themselves with the script that holdline prints for them.
//!
//! A shell that is not installed tells nothing; where all programs must be there
//! (HOLDLINE_REQUIRE_SUPERVISORS=1), that is a failure.

use std::process::Command;

use crate::support::{Place, is_installed, stderr, stdout};

/// Runs words after the script of completions as a shell would, and prints what it offers, one in each line.
const BASH: &str = r#"
source "$1"; shift
[[ $(complete -p holdline) == *_clap_complete_holdline* ]] || exit 9
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9
_clap_complete_holdline holdline "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// zsh calls its own widgets only while somebody types: what the script hands to them is printed instead.
const ZSH: &str = r#"
compdef() { [[ $2 == holdline ]] || exit 9 }
_describe() { print -rl -- "${(@)${(P)3}}" }
source "$1"; shift
words=("$@"); CURRENT=$#
_clap_dynamic_completer_holdline || :
"#;

const FISH: &str = r#"
source $argv[1]
complete --do-complete (string join ' ' -- $argv[2..-1])
"#;

/// What a shell offers for the last of these words, without what it says of each.
#[track_caller]
fn offered(place: &Place, shell: &str, words: &[&str]) -> Vec<String> {
    let script = place.holdline(&["completions", shell]).output().expect("holdline runs");
    assert_eq!(script.status.code(), Some(0), "{}", stderr(&script));
    offered_by(place, shell, &stdout(&script), words)
}

/// The same, by this script.
#[track_caller]
fn offered_by(place: &Place, shell: &str, script: &str, words: &[&str]) -> Vec<String> {
    let script = place.write(&format!("script.{shell}"), script);
    let mut command = Command::new(shell);
    match shell {
        "bash" => command.args(["--norc", "-c", BASH, "bash"]),
        "zsh" => command.args(["-f", "-c", ZSH, "zsh"]),
        _ => command.args(["--no-config", "-c", FISH]),
    };
    command.arg(script).args(words).current_dir(place.path("")).env("HOME", place.path(""));
    let output = command.output().expect("the shell runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {}", stderr(&output));
    let about = if shell == "zsh" { ':' } else { '\t' };
    let shown = stdout(&output);
    shown.lines().map(|line| line.split(about).next().unwrap_or(line).to_owned()).collect()
}

/// Asks a shell everything that it is to know.
#[track_caller]
fn check(shell: &str) {
    if !is_installed(shell) {
        eprintln!("{shell} is not installed: it tells nothing");
        return;
    }
    let place = Place::new();
    place.write("mine.toml", "");
    place.write("runs/x", "");
    let offered = |words: &[&str]| offered(&place, shell, words);
    let has = |words: &[&str], wanted: &[&str]| {
        let offered = offered(words);
        for wanted in wanted {
            assert!(
                offered.iter().any(|word| word == wanted),
                "{shell} {words:?}: {wanted} is not in {offered:?}"
            );
        }
        offered
    };
    has(&["holdline", "swe"], &["sweep"]);
    has(&["holdline", "crash-h"], &["crash-hard"]);
    assert_eq!(offered(&["holdline", "run", "crash-h"]), ["crash-hard"]);
    let steps = has(&["holdline", "run", "crash-steps/acc"], &["crash-steps/accept-kill"]);
    assert!(steps.iter().all(|name| name.starts_with("crash-steps/accept-")), "{steps:?}");
    let supervisors = has(&["holdline", "run", "crash", "-s", ""], &["held-socket", "circus", "all"]);
    assert!(!supervisors.iter().any(|name| name == "crash"), "{supervisors:?}");
    assert_eq!(offered(&["holdline", "fuzz", "-s", "held-"]), ["held-socket"]);
    assert_eq!(offered(&["holdline", "run", "crash", "-s", "bare", "-s", "held-"]), ["held-socket"]);
    has(&["holdline", "show", "cra"], &["crash"]);
    has(&["holdline", "show", "circ"], &["circus"]);
    has(&["holdline", "compare", "crash", "--metric", "out"], &["outage.max"]);
    has(&["holdline", "run", "--isol"], &["--isolation"]);
    has(&["holdline", "run", "--isolation", ""], &["auto", "full", "none"]);
    has(&["holdline", "man", "rep"], &["report"]);
    has(&["holdline", "run", "./mi"], &["./mine.toml"]);
    let runs = offered(&["holdline", "report", "ru"]);
    assert!(runs.iter().any(|run| run.trim_end_matches('/') == "runs"), "{runs:?}");
    assert!(offered(&["holdline", "run", "no-such-scenario"]).concat().is_empty());
    let hidden = offered(&["holdline", ""]);
    assert!(!hidden.iter().any(|word| word.starts_with("__")), "{hidden:?}");
}

#[test]
fn bash_knows_names() {
    check("bash");
}

#[test]
fn zsh_knows_names() {
    check("zsh");
}

#[test]
fn fish_knows_names() {
    check("fish");
}

/// A holdline that was named by its path is asked by it, whatever the path is.
#[test]
fn one_that_is_not_on_the_path_is_asked_where_it_is() {
    let place = Place::new();
    std::fs::create_dir(place.path("a folder")).expect("a folder");
    let odd = place.path("a folder/hold'line");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_holdline"), &odd).expect("a link");
    for shell in ["bash", "zsh", "fish"].into_iter().filter(|shell| is_installed(shell)) {
        let script = Command::new(&odd).args(["completions", shell]).output().expect("holdline runs");
        let words = ["holdline", "run", "crash-h"];
        assert_eq!(offered_by(&place, shell, &stdout(&script), &words), ["crash-hard"]);
    }
}

#[test]
fn nobody_who_only_has_the_variable_is_answered() {
    let place = Place::new();
    // Empty, it asks for nothing; and trials do not take it for a question.
    place.holdline(&["list", "--names"]).env("_HOLDLINE_COMPLETE", "").assert().code(0);
    let wrong = place.holdline(&["list"]).env("_HOLDLINE_COMPLETE", "tcsh").assert();
    wrong.code(2).stdout("");
}
