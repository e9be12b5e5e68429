//! Whom a fault hits, of those who are seen when it is due.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hindrance::Hindrance;
use crate::scenario::Target;

/// Who was seen when a fault was due. Workers are looked for only where they are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sighting {
    /// The process that is the supervisor; absent: it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervisor: Option<u32>,
    /// The workers that live, the oldest first.
    pub workers: Vec<SeenWorker>,
    /// By what they are known.
    pub known_by: KnownBy,
}

/// A worker that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeenWorker {
    /// Its process.
    pub pid: u32,
    /// How far it is.
    pub standing: Standing,
}

/// How far a worker is, from those that clients are sure to meet to those that they cannot yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It was a spare and has taken over: beside it, others that can accept may be spares.
    TookOver,
    /// It can accept.
    Ready,
    /// It still starts.
    Starting,
}

/// By what workers are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KnownBy {
    /// By what they record.
    Ledger,
    /// By the service's listener, which they hold beneath the supervisor.
    Listener,
    /// As child processes of a program behind the front.
    Parent,
}

/// Whom a fault is aimed at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Aim {
    /// The processes, those that are meant first.
    pub(super) among: Vec<u32>,
    /// Whether all of them are meant: else the first that still runs.
    pub(super) each: bool,
}

/// Chooses of those who are seen. One that ends before it is reached leaves its place to the next.
///
/// A worker is one that accepts, if there is such, and of several the oldest: a spare that has taken over
/// before those that may still be spares, and one that still starts last.
pub(super) fn aim(target: Target, seen: &Sighting) -> Result<Aim, Hindrance> {
    match target {
        Target::Supervisor => Ok(Aim { among: seen.supervisor.into_iter().collect(), each: false }),
        Target::Worker | Target::Workers => {
            let are_unknown = seen.workers.is_empty() && seen.known_by == KnownBy::Listener;
            if are_unknown && seen.supervisor.is_some() {
                return Err(Hindrance::NoneHolds);
            }
            let mut workers = seen.workers.clone();
            workers.sort_by_key(|worker| worker.standing);
            let among = workers.into_iter().map(|worker| worker.pid).collect();
            Ok(Aim { among, each: target == Target::Workers })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(workers: &[(u32, Standing)], known_by: KnownBy) -> Sighting {
        let workers = workers.iter().map(|(pid, standing)| SeenWorker { pid: *pid, standing: *standing });
        Sighting { supervisor: Some(4), workers: workers.collect(), known_by }
    }

    #[test]
    fn who_accepts_is_meant_first_and_of_these_the_oldest() {
        let crew =
            [(5, Standing::Starting), (6, Standing::Ready), (7, Standing::Ready), (8, Standing::TookOver)];
        let seen = seen(&crew, KnownBy::Ledger);
        let among = vec![8, 6, 7, 5];
        assert_eq!(aim(Target::Worker, &seen), Ok(Aim { among: among.clone(), each: false }));
        assert_eq!(aim(Target::Workers, &seen), Ok(Aim { among, each: true }));
        assert_eq!(aim(Target::Supervisor, &seen), Ok(Aim { among: vec![4], each: false }));
    }

    #[test]
    fn nobody_is_nobody_but_where_it_is_not_known_who_the_workers_are() {
        let nobody = Ok(Aim { among: vec![], each: false });
        assert_eq!(aim(Target::Worker, &seen(&[], KnownBy::Ledger)), nobody);
        assert_eq!(aim(Target::Worker, &seen(&[], KnownBy::Listener)), Err(Hindrance::NoneHolds));
        let ended = Sighting { supervisor: None, ..seen(&[], KnownBy::Listener) };
        assert_eq!(aim(Target::Worker, &ended), nobody);
        assert_eq!(aim(Target::Supervisor, &ended), nobody);
    }
}
