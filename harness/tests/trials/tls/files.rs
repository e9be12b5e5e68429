//! What is wrong with files that `[tls]` names, or with the table itself.

use std::fs;

use super::authority::Authority;
use crate::common::Place;

const SCENARIO: &str =
    "name = \"x\"\nasks = \"?\"\n[load]\narrivals = { constant = \"10/s\" }\nattempts = 1\n";
const SERVICE: &str = "name = \"x\"\nabout = \"never started\"\nruns = [\"itself\"]\nprotocol = \"http\"\n\
                       socket = { holder = \"worker\", passing = \"own\" }\n\
                       start = [\"touch\", \"{source}/started\"]\n";

/// Runs a service with these lines, and a scenario with those: the exit code, and what was said.
#[track_caller]
fn refused(service: &str, scenario: &str) -> String {
    let place = Place::new();
    let authority = Authority::new();
    let (one, other) = (authority.sign("one"), authority.sign("other"));
    for (name, text) in [
        ("ca.pem", authority.certificate()),
        ("one.pem", one.both()),
        ("one.crt", one.certificate),
        ("other.key", other.key),
        ("empty.pem", String::new()),
        ("torn.pem", authority.certificate()[..200].to_owned()),
        ("false.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned()),
        ("x.toml", format!("{SCENARIO}{scenario}")),
        ("service.toml", format!("{SERVICE}{service}")),
    ] {
        fs::write(place.path(name), text).expect("room");
    }
    let output = place
        .holdline(&["run", "./x.toml", "-s", "./service.toml", "--out", "out"])
        .output()
        .expect("holdline runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(!place.path("started").exists() && !place.path("out").exists(), "something was started: {said}");
    said
}

#[test]
fn what_is_wrong_with_a_file_is_said_before_anything_starts() {
    for (lines, file) in [
        ("ca = \"absent.pem\"", "absent.pem"),
        ("ca = \"/nowhere/ca.pem\"", "/nowhere/ca.pem"),
        ("ca = \"empty.pem\"", "empty.pem"),
        ("ca = \"torn.pem\"", "torn.pem"),
        ("ca = \"false.pem\"", "false.pem"),
        ("ca = \"service.toml\"", "service.toml"),
        ("ca = \"ca.pem\"\nclient-cert = \"one.crt\"", "one.crt"),
        ("ca = \"ca.pem\"\nclient-cert = \"one.crt\"\nclient-key = \"one.crt\"", "one.crt"),
        ("ca = \"ca.pem\"\nclient-cert = \"one.crt\"\nclient-key = \"other.key\"", "other.key"),
        ("insecure = true\nclient-cert = \"other.key\"\nclient-key = \"other.key\"", "other.key"),
    ] {
        let said = refused(&format!("[tls]\n{lines}\n"), "");
        assert!(said.contains(file) && said.lines().count() == 1, "{lines}: {said}");
    }
}

#[test]
fn a_scenario_names_files_beside_itself_and_says_so() {
    let said = refused("[tls]\ninsecure = true\n", "[tls]\nca = \"absent.pem\"\n");
    assert!(said.contains("absent.pem") && said.contains("x.toml"), "{said}");
}

#[test]
fn a_table_that_contradicts_itself_is_shown_with_its_place() {
    for (lines, place) in [
        ("ca = \"ca.pem\"\ninsecure = true", "service.toml:8:6"),
        ("client-key = \"other.key\"", "service.toml:8:14"),
        ("server-name = \"https://shop.test\"", "service.toml:8:15"),
        ("server-name = \"\"", "service.toml:8:15"),
        ("alpn = [\"\"]", "service.toml:8:9"),
        ("ca = \"\"", "service.toml:8:6"),
        ("cert = \"x\"", "service.toml:8:1"),
    ] {
        let said = refused(&format!("[tls]\n{lines}\n"), "");
        assert!(said.contains(place), "{lines}: {said}");
    }
}

#[test]
fn workers_of_our_own_speak_no_tls() {
    let place = Place::new();
    fs::write(place.path("x.toml"), format!("{SCENARIO}[tls]\ninsecure = true\n")).expect("room");
    let output =
        place.holdline(&["run", "./x.toml", "-s", "bare", "--out", "out"]).output().expect("holdline runs");
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
}
