//! The worked example of `fixtures/supervisors/FORMAT.md`, taken from the page itself.

use holdline_model::words::{Blame, Fate, Grade};

use crate::support::{Place, conclusive, of, stdout};

const PAGE: &str = include_str!("../../../fixtures/supervisors/FORMAT.md");

/// The section on one's own service.
fn section() -> &'static str {
    let (_, rest) = PAGE.split_once("\n## Your own service, as an example\n").expect("the section");
    rest.split_once("\n## ").expect("a section behind it").0
}

/// The file that the page shows: the block behind the first mention of its name.
#[track_caller]
fn file(name: &str) -> &'static str {
    let (_, rest) = section().split_once(&format!("`{name}`")).unwrap_or_else(|| panic!("{name} is shown"));
    let (_, block) = rest.split_once("\n```").expect("a block");
    let (_, text) = block.split_once('\n').expect("its first line");
    text.split_once("\n```").expect("its end").0
}

/// The commands that it tells users to type.
fn commands() -> Vec<Vec<&'static str>> {
    let (_, block) = section().split_once("\n```sh\n").expect("commands");
    let lines = block.split_once("\n```").expect("their end").0.lines();
    lines.map(|line| line.split(' ').collect()).collect()
}

#[test]
fn the_worked_example_runs_as_the_page_says() {
    let place = Place::new();
    for name in ["myservice/service.py", "myservice/service.conf.in", "myservice/supervisor.toml"] {
        place.write(name, file(name));
    }
    let commands = commands();
    let [["holdline", "run", typed @ ..], ["holdline", "report", ..]] =
        [commands[0].as_slice(), commands[1].as_slice()]
    else {
        panic!("{commands:?}")
    };
    let (output, run) = conclusive(&place, typed);
    let trial = of(&run, "myservice");
    // A machine that is too busy to answer within the deadline delays everybody.
    assert!(matches!(trial.grade, Grade::Held | Grade::Delayed), "{:?}", trial.losses);
    assert_eq!((trial.fates[&Fate::Served], trial.blame[&Blame::Poison]), (19, 1), "{:?}", trial.losses);
    assert_eq!((trial.blame[&Blame::Collateral], trial.books.is_balanced()), (0, true));
    let shown = stdout(&output);
    let heading = |text: &'_ str| -> Vec<String> {
        let line = text.lines().find(|line| line.starts_with("supervisor ")).expect("a table");
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(heading(&shown), heading(section()), "the page shows another table");
    let report = place.holdline(&["report", "out-0", "--trials"]).output().expect("a report");
    assert!(stdout(&report).contains("myservice"), "{}", stdout(&report));
}
