//! What the programs of a description are called.

use super::file::SupervisorFile;
use crate::file::{At, Problem, check_name};
use crate::words::nearest;

/// Names of logs and words that no program may have for its own.
const TAKEN: [&str; 2] = ["supervisor", "control"];

/// What programs are called.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) front: String,
    behind: Vec<String>,
}

impl Names {
    /// A program behind the front, by its name.
    pub(super) fn behind(&self, name: &At<String>) -> Result<String, Problem> {
        if self.behind.contains(&name.value) {
            return Ok(name.value.clone());
        }
        let names = self.behind.iter().map(String::as_str);
        let expected = match self.behind.as_slice() {
            [] => "a [[program]] of that name".to_owned(),
            behind => format!("one of {}", behind.join(", ")),
        };
        Err(name
            .problem(format!("no program is named `{}`", name.value))
            .expecting(expected)
            .nearest(nearest(&name.value, names).map(str::to_owned)))
    }
}

/// The names of all programs of a description, of which no two are alike.
pub(super) fn names(file: &SupervisorFile) -> Result<Names, Problem> {
    if let (Some(front), true) = (&file.front, file.program.is_empty()) {
        return Err(front.problem("nothing is behind it").expecting("a [[program]], or no `front`"));
    }
    let front = file.front.as_ref().map_or(&file.name, |front| &front.value.name);
    check_name(front)?;
    let mut names = Names { front: front.value.clone(), behind: Vec::new() };
    for program in &file.program {
        let name = &program.value.name;
        check_name(name)?;
        let is_taken = TAKEN.contains(&name.value.as_str())
            || names.front == name.value
            || names.behind.contains(&name.value);
        if is_taken {
            return Err(name
                .problem(format!("`{}` is taken", name.value))
                .expecting("a name of its own for each program, neither `supervisor` nor `control`"));
        }
        names.behind.push(name.value.clone());
    }
    Ok(names)
}
