//! `holdline man`: pages of the manual, made of what `--help` says.

use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::args::ManArgs;
use super::environment::OPTIONS;
use super::terminal::print;
use crate::exit::{self, Failure};

/// Exit codes, as the page of holdline itself says them.
const CODES: [(&str, &str); 6] = [
    ("0", "Every trial met its scenario's expectations."),
    (
        "1",
        "An expectation was violated, something has become worse than in a baseline, or fuzzing found a failure.",
    ),
    ("2", "The command line or a file is wrong: nothing was started; or a service gave not one right reply."),
    ("3", "Inconclusive: it cannot be told, or was interrupted."),
    ("4", "Nothing is selected, nothing of it can be run here, or what --require names could not be run."),
    ("5", "The environment does not allow it: namespaces, disk, permissions."),
];

/// Prints a page, or writes them all. `command` has all verbs.
pub(super) fn main(args: &ManArgs, mut command: Command) -> Result<u8, Failure> {
    command = command.disable_help_subcommand(true);
    command.build();
    if let Some(folder) = &args.all {
        return write_all(&command, folder);
    }
    let shown = match &args.verb {
        None => &command,
        Some(verb) => named(&command, verb)?,
    };
    print(&page(shown, &command).map_err(Failure::environment)?)?;
    Ok(exit::PASS)
}

fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

fn named<'a>(command: &'a Command, name: &str) -> Result<&'a Command, Failure> {
    verbs(command).find(|verb| verb.get_name() == name).ok_or_else(|| {
        let names: Vec<&str> = verbs(command).map(Command::get_name).collect();
        let hint = holdline_model::words::nearest(name, names.iter().copied());
        let hint = hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Failure::usage(format!("`{name}` is no verb of holdline{hint}\n  these are: {}", names.join(", ")))
    })
}

fn write_all(command: &Command, folder: &Path) -> Result<u8, Failure> {
    let pages = verbs(command).chain([command]);
    for shown in pages {
        let path = folder.join(format!("{}.1", title(shown)));
        let text = page(shown, command).map_err(Failure::environment)?;
        crate::rundir::write_atomically(&path, text.as_bytes())
            .map_err(|error| Failure::environment(format!("failed to write {}: {error}", path.display())))?;
    }
    Ok(exit::PASS)
}

fn title(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// The page of a command; `whole` is holdline itself.
fn page(shown: &Command, whole: &Command) -> io::Result<String> {
    let is_whole = shown.get_name() == whole.get_name();
    let version = whole.get_version().unwrap_or_default();
    let man = Man::new(shown.clone()).source(format!("holdline {version}")).manual("Manual of holdline");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if is_whole {
        man.render_subcommands_section(&mut page)?;
    }
    let mut own = Roff::default();
    examples(&mut own, shown);
    if is_whole {
        exit_status(&mut own);
        environment(&mut own);
    }
    see_also(&mut own, shown, whole);
    own.to_writer(&mut page)?;
    String::from_utf8(page).map_err(io::Error::other)
}

/// Line by line, as they are.
fn examples(page: &mut Roff, shown: &Command) {
    let Some(text) = shown.get_after_help().map(ToString::to_string) else { return };
    let text = text.strip_prefix("Examples:\n").unwrap_or(&text).to_owned();
    page.control("SH", ["EXAMPLES"]);
    page.control("nf", []);
    for line in text.lines().take_while(|line| !line.starts_with("Exit codes")) {
        page.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
    }
    page.control("fi", []);
}

fn exit_status(page: &mut Roff) {
    page.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in CODES {
        page.control("TP", []);
        page.text([bold(code)]);
        page.text([roman(meaning)]);
    }
}

fn environment(page: &mut Roff) {
    page.control("SH", ["ENVIRONMENT"]);
    for (option, name) in OPTIONS {
        page.control("TP", []);
        page.text([bold(name)]);
        let option = option.replace('_', "-");
        page.text([roman(format!("Stands for --{option} where that is not given, unless it is empty."))]);
    }
    for (name, meaning) in [
        ("NO_COLOR", "Not empty: no colour, unless --color says otherwise."),
        ("CLICOLOR_FORCE", "Colour also where nothing is a terminal."),
        ("TMPDIR", "Where the work folders of trials are made."),
    ] {
        page.control("TP", []);
        page.text([bold(name)]);
        page.text([roman(meaning)]);
    }
}

fn see_also(page: &mut Roff, shown: &Command, whole: &Command) {
    page.control("SH", ["SEE ALSO"]);
    let others = [whole].into_iter().chain(verbs(whole)).filter(|other| other.get_name() != shown.get_name());
    let others: Vec<String> = others.map(|other| format!("{}(1)", title(other))).collect();
    page.text([roman(others.join(", "))]);
}
