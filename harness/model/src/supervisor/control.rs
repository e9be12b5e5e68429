//! Commands and signals as descriptions say them: words with placeholders, whom a signal goes to, what is not possible.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::file::{ControlFile, ControlTableFile, KnownTarget, SignalTableFile, SignalToFile};
use super::names::Names;
use super::{Control, SignalTo};
use crate::file::{At, Problem, Table, word};
use crate::signals::Signal;
use crate::template::{self, PLACEHOLDERS, TemplateError};
use crate::words::Verb;

pub(super) fn words(list: &[At<String>]) -> Result<Vec<String>, Problem> {
    list.iter().map(|word| checked(&word.value, word).map(str::to_owned)).collect()
}

/// A text whose placeholders all exist; `place` is where an error points.
pub(super) fn checked<'a, T>(text: &'a str, place: &At<T>) -> Result<&'a str, Problem> {
    template::check(text).map(|()| text).map_err(|error| match error {
        TemplateError::Unknown { given, nearest } => place
            .problem(format!("unknown placeholder {{{given}}}"))
            .expecting(format!(
                "one of {}; {{{{{given}}}}} stands for the text itself",
                PLACEHOLDERS.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(", ")
            ))
            .nearest(nearest.map(|name| format!("{{{name}}}"))),
        other @ TemplateError::NoValue { .. } => place.problem(other.to_string()),
    })
}

pub(super) fn stop(stop: Option<At<ControlFile>>, names: &Names) -> Result<Control, Problem> {
    let Some(stop) = stop else {
        return Ok(Control::Signal { signal: Signal::TERM, to: SignalTo::Supervisor });
    };
    match control(&stop, names)? {
        Control::Unsupported(_) => {
            Err(stop.problem("every supervisor can be stopped").expecting("a command or a signal"))
        }
        control @ (Control::Command(_) | Control::Signal { .. }) => Ok(control),
    }
}

pub(super) fn verbs(table: &Table<ControlFile>, names: &Names) -> Result<BTreeMap<Verb, Control>, Problem> {
    table.entries.iter().map(|(verb, file)| Ok((word(verb)?, control(file, names)?))).collect()
}

fn control(file: &At<ControlFile>, names: &Names) -> Result<Control, Problem> {
    let table = match &file.value {
        ControlFile::Command(words) => return command(words, file).map(Control::Command),
        ControlFile::Table(table) => table,
    };
    match table {
        ControlTableFile { signal: Some(signal), to, unsupported: None } => {
            let signal = Signal::from_str(&signal.value)
                .map_err(|word| Problem::unknown_word(signal.span.clone(), &word))?;
            Ok(Control::Signal { signal, to: signal_to(to.as_ref(), names)? })
        }
        ControlTableFile { signal: None, to: None, unsupported: Some(reason) } => match reason.value.trim() {
            "" => Err(reason.problem("the reason is empty").expecting("why this is not possible")),
            reason => Ok(Control::Unsupported(reason.to_owned())),
        },
        _ => Err(file
            .problem("a table here is a signal, or the reason why there is none")
            .expecting("`signal` and perhaps `to`, or `unsupported` alone")),
    }
}

fn command(words: &[String], place: &At<ControlFile>) -> Result<Vec<String>, Problem> {
    if words.first().is_none_or(String::is_empty) {
        return Err(place.problem("the command is empty").expecting("a program and its arguments"));
    }
    words.iter().map(|word| checked(word, place).map(str::to_owned)).collect()
}

fn signal_to(to: Option<&At<SignalToFile>>, names: &Names) -> Result<SignalTo, Problem> {
    let Some(to) = to else { return Ok(SignalTo::Supervisor) };
    Ok(match &to.value {
        SignalToFile::Known(KnownTarget::Supervisor) => SignalTo::Supervisor,
        SignalToFile::Known(KnownTarget::Group) => SignalTo::Group,
        SignalToFile::Known(KnownTarget::Workers) => SignalTo::Workers,
        SignalToFile::Table(SignalTableFile { pidfile: Some(file), program: None }) => {
            SignalTo::PidFile(pid_file(file)?)
        }
        SignalToFile::Table(SignalTableFile { pidfile: None, program: Some(program) }) => {
            SignalTo::Program(names.behind(program)?)
        }
        SignalToFile::Table(_) => {
            return Err(to
                .problem("a table here names one process")
                .expecting("either `pidfile` or `program`"));
        }
    })
}

pub(super) fn pid_file(path: &At<String>) -> Result<String, Problem> {
    if path.value.is_empty() {
        return Err(path.problem("the path is empty"));
    }
    if path.value.contains('{') {
        return Err(path
            .problem("a pidfile has no placeholders")
            .expecting("a path from the trial's folder"));
    }
    Ok(path.value.clone())
}
