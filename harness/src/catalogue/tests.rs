use std::collections::BTreeSet;

use holdline_model::words::Grade;

use super::*;

fn catalogue() -> Vec<ScenarioEntry> {
    scenarios().expect("every embedded scenario is right")
}

fn reference_supervisors() -> BTreeSet<String> {
    let all = supervisors().expect("every embedded description is right");
    let references = all.into_iter().filter(|entry| entry.supervisor.reference);
    references.map(|entry| entry.supervisor.name).collect()
}

#[test]
fn every_scenario_says_what_it_asks_does_and_means() {
    for ScenarioEntry { origin, scenario, .. } in catalogue() {
        assert_eq!(origin, format!("scenarios/{}.toml", scenario.name), "a file is named as its scenario");
        assert!(scenario.asks.ends_with('?'), "{origin}: {:?} is no question", scenario.asks);
        assert!(scenario.about.len() > 100, "{origin}: `about` explains what is done and what to watch");
        let unexplained: Vec<&Grade> =
            Grade::ALL.iter().filter(|grade| !scenario.means.contains_key(grade)).collect();
        assert!(unexplained.is_empty(), "{origin}: [means] lacks {unexplained:?}");
        let expects = !scenario.expect.is_empty() || scenario.about.contains("only measures");
        assert!(expects, "{origin} expects nothing; `about` must say that it only measures");
    }
}

#[test]
fn every_reference_table_names_exactly_the_reference_supervisors() {
    let all = reference_supervisors();
    assert_eq!(all.len(), 10);
    for ScenarioEntry { origin, scenario, .. } in catalogue() {
        let grades = &scenario.reference.grades;
        if !grades.is_empty() {
            assert_eq!(grades.keys().cloned().collect::<BTreeSet<_>>(), all, "{origin}");
        }
    }
}

#[test]
fn every_reference_table_tells_some_supervisor_from_another_or_says_why_not() {
    for ScenarioEntry { origin, scenario, .. } in catalogue() {
        let supported = scenario.reference.grades.values().filter(|grades| **grades != [Grade::Unsupported]);
        // Where something may be unsupported on a machine, what it gets on others is compared.
        let known =
            |grades: &'_ Vec<Grade>| grades.iter().copied().filter(|g| *g != Grade::Unsupported).collect();
        let sets: Vec<BTreeSet<Grade>> = supported.map(known).collect();
        let tells = sets.iter().any(|set| sets.iter().any(|other| set.is_disjoint(other)));
        let is_alike = scenario.reference.alike.is_some();
        assert!(sets.is_empty() || tells != is_alike, "{origin}: tells apart {tells}, alike {is_alike}");
    }
}

fn selected(words: &[&str]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let entries = select_scenarios(&words).expect("something is selected");
    entries.into_iter().map(|entry| entry.scenario.name).collect()
}

#[test]
fn what_is_opt_in_runs_only_where_it_is_named() {
    let long: Vec<String> =
        catalogue().into_iter().map(|e| e.scenario).filter(|s| s.opt_in).map(|s| s.name).collect();
    for name in &long {
        assert_eq!(selected(&[name]), std::slice::from_ref(name));
        assert!(!selected(&["all"]).contains(name) && !selected(&["*"]).contains(name), "{name}");
    }
    assert_eq!(selected(&["all"]).len() + long.len(), catalogue().len());
}

#[test]
fn a_folder_of_scenarios_stands_for_all_in_it() {
    assert_eq!(selected(&["survivor"]), ["survivor/catch", "survivor/die", "survivor/leak"]);
    assert_eq!(selected(&["unix-vs-tcp"]), selected(&["unix-vs-tcp/*"]));
    assert_eq!(selected(&["drain"]), ["drain"]);
    assert!(select_scenarios(&["survivo".to_owned()]).is_err());
}
