//! Programs behind the one that has the service's address: PHP behind nginx, a database behind its pooler.

use std::collections::BTreeMap;

use super::control::{checked, pid_file, stop, verbs, words};
use super::file::{FrontFile, ProgramFile};
use super::names::Names;
use super::{Control, READY_NS_DEFAULT};
use crate::bounds;
use crate::file::{At, Problem, time};
use crate::words::Verb;

/// The program that has the service's address.
#[derive(Debug, Clone, PartialEq)]
pub struct Front {
    /// What it is called.
    pub name: String,
    /// What it can be asked to do, where a fault is aimed at it; what the whole service can be asked stands beside it.
    pub control: BTreeMap<Verb, Control>,
}

/// A program that runs behind the one that has the service's address, and is started before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// What it is called.
    pub name: String,
    /// The command that starts it, in the foreground; with placeholders.
    pub start: Vec<String>,
    /// Where it listens once it is ready; with placeholders.
    pub listens: String,
    /// How long that may take, in nanoseconds.
    pub timeout_ns: u64,
    /// How it is stopped.
    pub stop: Control,
    /// What it can be asked to do, where a fault is aimed at it.
    pub control: BTreeMap<Verb, Control>,
    /// The file in which it keeps its process id.
    pub pid_file: Option<String>,
}

pub(super) fn front(file: Option<&At<FrontFile>>, names: &Names) -> Result<Front, Problem> {
    let control = file.map(|file| verbs(&file.value.control, names)).transpose()?;
    Ok(Front { name: names.front.clone(), control: control.unwrap_or_default() })
}

pub(super) fn programs(files: &[At<ProgramFile>], names: &Names) -> Result<Vec<Program>, Problem> {
    files.iter().map(|file| program(&file.value, names)).collect()
}

fn program(file: &ProgramFile, names: &Names) -> Result<Program, Problem> {
    let start = words(&file.start.value)?;
    if start.first().is_none_or(String::is_empty) {
        return Err(file.start.problem("the command is empty").expecting("a program and its arguments"));
    }
    if file.listens.value.is_empty() {
        return Err(file.listens.problem("it listens nowhere").expecting("host:port, or a path"));
    }
    let timeout_ns = time("timeout", file.timeout.as_ref(), 1..=bounds::BOOT_NS_MAX)?;
    Ok(Program {
        name: file.name.value.clone(),
        start,
        listens: checked(&file.listens.value, &file.listens)?.to_owned(),
        timeout_ns: timeout_ns.unwrap_or(READY_NS_DEFAULT),
        stop: stop(file.stop.clone(), names)?,
        control: verbs(&file.control, names)?,
        pid_file: file.pid_file.as_ref().map(pid_file).transpose()?,
    })
}
