//! A pool of connections against Node's own server: the race between the end of an idle connection and the next
//! request over it.

use std::collections::BTreeSet;

use holdline_model::result::PoolResult;
use holdline_model::words::Fate;
use libtest_mimic::{Failed, Trial};

use crate::told::{Told, run, test};

/// How often a stop is tried that hit nobody: whether a request is on its way just then is up to chance.
const STOPS: usize = 5;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("node-races-a-pool-that-asks-again", "node-says-nothing", races_one_that_asks_again),
        test("node-races-a-pool-that-does-not", "node-says-nothing", races_one_that_does_not),
        test("node-is-heeded-where-it-says-how-long", "node-announces", is_heeded),
        test("node-stops-beneath-a-busy-pool", "node-stops", stops_beneath_a_busy_pool),
    ]
}

/// What is cut by a time-out is sent once more, and done once: Node has not read what it cut.
fn races_one_that_asks_again() -> Result<(), Failed> {
    let told = run("pool-in-time", "node-says-nothing")?;
    let pool = raced(&told)?;
    let answered = told.answered();
    let all: Vec<u64> = (0..told.trial.attempts).collect();
    check(&told, pool.retried == pool.broken && pool.retried_lost == 0)?;
    check(&told, told.count(Fate::Served) == told.trial.attempts && answered == all)
}

/// What is cut by a time-out is lost, and whether it was read is more than a client can know.
fn races_one_that_does_not() -> Result<(), Failed> {
    let told = run("pool-in-time-without-retries", "node-says-nothing")?;
    let pool = raced(&told)?;
    check(&told, pool.retried == 0 && told.count(Fate::NoReply) == pool.broken)?;
    check(&told, (told.trial.safe_to_retry, told.trial.ambiguous) == (0, pool.broken))?;
    // All others were answered, and none of those.
    let served: Vec<u64> =
        told.attempts.iter().filter(|row| row.fate == Fate::Served.as_str()).map(|row| row.attempt).collect();
    check(&told, told.answered() == served)
}

/// Each connection whose time ran out was seen to end: under way, or while it was idle.
fn raced(told: &Told) -> Result<PoolResult, Failed> {
    let pool = told.trial.pool.ok_or("there was no pool")?;
    let timed_out = told.log.lines().filter(|line| line.starts_with("timed out ")).count() as u64;
    check(told, pool.broken > 0 && pool.broken + pool.closed_idle + pool.reset_idle == timed_out)?;
    Ok(pool)
}

/// It closes idle connections later than it says, so that whoever keeps to what it says meets no race.
fn is_heeded() -> Result<(), Failed> {
    let told = run("pool-too-late", "node-announces")?;
    let pool = told.trial.pool.ok_or("there was no pool")?;
    check(&told, (pool.broken, pool.reused, pool.connections) == (0, 0, told.trial.attempts))?;
    check(&told, pool.expired + pool.closed_idle == told.trial.attempts - 1 && pool.expired > 0)
}

/// `server.close()` ends all connections on which Node has nothing in hand, with what is on its way over them.
fn stops_beneath_a_busy_pool() -> Result<(), Failed> {
    for scenario in ["pool-at-a-stop", "pool-at-a-stop-without-retries"] {
        let told = cut(scenario)?;
        let pool = told.trial.pool.ok_or("there was no pool")?;
        let retries = !scenario.ends_with("without-retries");
        check(&told, pool.retried == if retries { pool.broken } else { 0 })?;
        let answered: BTreeSet<u64> = told.answered().into_iter().collect();
        let lost_unread =
            |row: &&crate::told::Row| row.fate == Fate::NoReply.as_str() && !answered.contains(&row.attempt);
        let unread = told.attempts.iter().filter(lost_unread).count() as u64;
        check(&told, unread >= pool.broken - pool.retried)?;
        check(&told, told.count(Fate::Served) + told.trial.lost() == told.trial.attempts)?;
    }
    Ok(())
}

/// A stop that cut some under way.
fn cut(scenario: &str) -> Result<Told, Failed> {
    for _ in 0..STOPS {
        let told = run(scenario, "node-stops")?;
        if told.trial.pool.as_ref().is_some_and(|pool| pool.broken > 0) {
            return Ok(told);
        }
    }
    Err("no stop cut anybody under way".into())
}

#[track_caller]
fn check(told: &Told, holds: bool) -> Result<(), Failed> {
    if holds {
        return Ok(());
    }
    let line = std::panic::Location::caller().line();
    Err(format!("line {line}: {:?} {:?} {:?}", told.trial.pool, told.trial.fates, told.trial.losses).into())
}

impl Told {
    /// Which attempts the server has answered, in order, each as often as it has.
    fn answered(&self) -> Vec<u64> {
        let numbers = self.log.lines().filter_map(|line| line.strip_prefix("answered ")?.parse().ok());
        let mut answered: Vec<u64> = numbers.filter(|number| *number < self.trial.attempts).collect();
        answered.sort_unstable();
        answered
    }
}
