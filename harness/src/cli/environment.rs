//! Options that the environment may set: each as `HOLDLINE_` and its name. What is typed counts first.
//!
//! They are those that stay the same for a machine or a pipeline. A variable that is empty says nothing, as CI systems
//! set those that have no value.

use clap::error::{ContextKind, ContextValue, Error};
use clap::{Arg, Command};
use holdline_model::words::nearest;

/// The options, and the variables that set them.
pub(super) const OPTIONS: [(&str, &str); 9] = [
    ("seed", "HOLDLINE_SEED"),
    ("repetitions", "HOLDLINE_REPETITIONS"),
    ("worker", "HOLDLINE_WORKER"),
    ("require", "HOLDLINE_REQUIRE"),
    ("isolation", "HOLDLINE_ISOLATION"),
    ("partition", "HOLDLINE_PARTITION"),
    ("out", "HOLDLINE_OUT"),
    ("show_progress", "HOLDLINE_SHOW_PROGRESS"),
    ("color", "HOLDLINE_COLOR"),
];

/// What else holdline and its tests take from the environment, by names that begin alike.
const OTHERS: [&str; 6] = [
    "HOLDLINE_BIN",
    "HOLDLINE_COMPLETE",
    "HOLDLINE_HOME",
    "HOLDLINE_PRELOAD",
    "HOLDLINE_REQUIRE_SUPERVISORS",
    "HOLDLINE_SUPERVISORS",
];
const PREFIX: &str = "HOLDLINE_";

/// What to say of variables that say nothing here, and look as if they were to: which of the options' is meant.
pub(super) fn misspelt(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let known = || OPTIONS.iter().map(|(_, name)| *name);
    let is_known = |name: &str| known().chain(OTHERS).any(|other| other == name);
    let meant = |name: &String| {
        // Their beginning is alike in any case, and says nothing.
        let rest = name.strip_prefix(PREFIX).filter(|_| !is_known(name))?;
        let near = nearest(rest, known().filter_map(|known| known.strip_prefix(PREFIX)))?;
        Some(format!("{name} is set and says nothing; did you mean {PREFIX}{near}?"))
    };
    names.into_iter().filter_map(|name| meant(&name)).collect()
}

/// The same command, and all below it, which take options from the environment.
pub(super) fn heeded(command: Command) -> Command {
    // What holdline starts is told everything, and asks nobody.
    if command.is_hide_set() {
        return command;
    }
    command.mut_args(of_environment).mut_subcommands(heeded)
}

fn of_environment(arg: Arg) -> Arg {
    match OPTIONS.iter().find(|(option, _)| arg.get_id() == option) {
        Some((_, name)) if std::env::var_os(name).is_none_or(|value| !value.is_empty()) => {
            arg.env(*name).hide_env_values(true)
        }
        Some(_) | None => arg,
    }
}

/// The same error; where a variable is what is wrong, it names the variable.
pub(super) fn explained(mut error: Error) -> Error {
    let text = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let (argument, value) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue));
    let is_meant = |(option, name): &&(&str, &str)| {
        let long = format!("--{}", option.replace('_', "-"));
        argument.split(' ').next() == Some(long.as_str())
            && std::env::var(name).is_ok_and(|set| !set.is_empty() && set.contains(&value))
    };
    if let Some((_, name)) = OPTIONS.iter().find(is_meant) {
        let tip = format!("the environment says so: {name} is set");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn who_misspells_one_is_told_which_is_meant() {
        let said = |name: &str| misspelt([name.to_owned()]);
        for (name, meant) in [
            ("HOLDLINE_REPETITION", "HOLDLINE_REPETITIONS?"),
            ("HOLDLINE_REPEAT", "HOLDLINE_REPETITIONS?"),
            ("HOLDLINE_SEEDS", "HOLDLINE_SEED?"),
            ("HOLDLINE_COLOUR", "HOLDLINE_COLOR?"),
        ] {
            assert!(said(name)[0].ends_with(meant), "{:?}", said(name));
        }
        for name in ["HOLDLINE_TEAM", "HOLDLINE_BIN", "HOLDLINE_REQUIRE_SUPERVISORS", "SEED", "HOLDLINE_SEED"]
        {
            assert_eq!(said(name), [""; 0]);
        }
    }

    #[test]
    fn each_is_an_option_and_named_after_it() {
        let mut command = heeded(Cli::command());
        command.build();
        let run = command.find_subcommand("run").expect("a verb");
        for (option, name) in OPTIONS {
            let arg = run.get_arguments().find(|arg| arg.get_id() == option).expect("an option");
            assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(name));
            let long = arg.get_long().expect("a long one").replace('-', "_").to_uppercase();
            assert_eq!(name, format!("HOLDLINE_{long}"));
        }
        let worker = command.find_subcommand("__worker").expect("a hidden verb");
        assert!(worker.get_arguments().all(|arg| arg.get_env().is_none()));
    }
}
