//! Every command that `scenarios/ANSWERS.md` and the README tell users to type names what exists.

use holdline::catalogue::{select_scenarios, select_supervisors};

const PAGES: [(&str, &str); 2] = [
    ("scenarios/ANSWERS.md", include_str!("../../../scenarios/ANSWERS.md")),
    ("README.md", include_str!("../../../README.md")),
];

/// The `holdline run` commands in a page's shell blocks, as words, with continued lines joined.
fn commands(page: &str) -> Vec<Vec<String>> {
    let blocks = page.split("\n```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks
        .flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>())
        .map(|line| line.split('#').next().unwrap_or_default().replace('\'', ""))
        .map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|words| {
            let start = words.windows(2).position(|pair| pair == ["holdline", "run"])?;
            Some(words[start + 2..].to_vec())
        })
        .collect()
}

#[test]
fn commands_that_users_are_told_to_type_name_what_exists() {
    for (name, page) in PAGES {
        let commands = commands(page);
        assert!(commands.len() >= 3, "{name} has commands");
        for words in commands {
            let (mut scenarios, mut supervisors) = (Vec::new(), Vec::new());
            let mut rest = words.iter();
            while let Some(word) = rest.next() {
                match word.as_str() {
                    "-s" => supervisors.extend(rest.next().cloned()),
                    "-r" | "--jobs" | "--seed" | "--partition" | "--out" | "--resume" | "--failed" => {
                        _ = rest.next();
                    }
                    "--dry-run" => {}
                    word if word.starts_with("./") => {}
                    word => scenarios.push(word.to_owned()),
                }
            }
            supervisors.retain(|word| !word.starts_with("./"));
            let typed = words.join(" ");
            if !scenarios.is_empty() {
                select_scenarios(&scenarios).unwrap_or_else(|error| panic!("{name}: {typed}: {error}"));
            }
            if !supervisors.is_empty() {
                select_supervisors(&supervisors).unwrap_or_else(|error| panic!("{name}: {typed}: {error}"));
            }
        }
    }
}
