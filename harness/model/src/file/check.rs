//! Checks of single values that scenario and supervisor files share.

use std::ops::RangeInclusive;
use std::str::FromStr;

use super::{At, Problem, Time};
use crate::duration;
use crate::words::UnknownWord;

/// Names become folders, arguments and parts of reports; `all` selects every scenario.
pub(crate) fn check_name(name: &At<String>) -> Result<(), Problem> {
    if is_name(&name.value) {
        return Ok(());
    }
    Err(name
        .problem(format!("`{}` cannot be a name", name.value))
        .expecting("up to 64 small letters, digits, `-`, `_` and `.`, and not `all`"))
}

/// Scenarios may stand in folders, whose names come before theirs: `backlog/1`.
pub(crate) fn check_scenario_name(name: &At<String>) -> Result<(), Problem> {
    if name.value.len() <= 64 && name.value.split('/').all(is_name) {
        return Ok(());
    }
    Err(name
        .problem(format!("`{}` cannot be the name of a scenario", name.value))
        .expecting("up to 64 small letters, digits, `-`, `_`, `.`, and `/` between them, and not `all`"))
}

fn is_name(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let rest_is_word = name.chars().all(|c| is_word(c) || "-_.".contains(c));
    name.starts_with(is_word) && rest_is_word && name.len() <= 64 && name != "all"
}

/// Reads a key as one of our words.
pub(crate) fn word<T: FromStr<Err = UnknownWord>>(text: &At<String>) -> Result<T, Problem> {
    text.value.parse().map_err(|word| Problem::unknown_word(text.span.clone(), &word))
}

/// Checks an integer against its bounds, which are within those of `T`.
pub(crate) fn integer<T: TryFrom<i64>>(
    key: &str,
    value: Option<&At<i64>>,
    bounds: RangeInclusive<i64>,
) -> Result<Option<T>, Problem> {
    let Some(value) = value else { return Ok(None) };
    let checked = T::try_from(value.value).ok().filter(|_| bounds.contains(&value.value));
    checked.map(Some).ok_or_else(|| {
        value.problem(format!("{key} is {}, which is outside of its bounds", value.value)).expecting(format!(
            "{} to {}",
            bounds.start(),
            bounds.end()
        ))
    })
}

/// Checks a time against its bounds.
pub(crate) fn time(
    key: &str,
    value: Option<&At<Time>>,
    bounds: RangeInclusive<u64>,
) -> Result<Option<u64>, Problem> {
    let Some(value) = value else { return Ok(None) };
    if bounds.contains(&value.value.ns) {
        return Ok(Some(value.value.ns));
    }
    let given = duration::exact(value.value.ns);
    let end = duration::exact(*bounds.end());
    let expected =
        if *bounds.start() == 1 { format!("more than 0, at most {end}") } else { format!("at most {end}") };
    Err(value.problem(format!("{key} is {given}, which is outside of its bounds")).expecting(expected))
}
