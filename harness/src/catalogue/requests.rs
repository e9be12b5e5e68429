//! Whether the requests of a service can be made, before anything is started.

use holdline_model::service::{FillProblem, Origin};

use super::{ScenarioEntry, Source, SupervisorEntry};
use crate::outside;

/// A request that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("{supervisor} cannot be asked what {scenario} asks: {why}")]
pub struct RequestProblem {
    /// The description.
    supervisor: String,
    /// The scenario's file.
    scenario: String,
    /// Why.
    why: FillProblem,
}

/// Makes the requests of a service in a scenario, and throws them away.
///
/// # Errors
///
/// A variable is not set or does not fit, a body cannot be read, or requests that are to be sent at once cannot be.
pub fn check_requests(scenario: &ScenarioEntry, supervisor: &SupervisorEntry) -> Result<(), RequestProblem> {
    let file = |origin, path: &str| match (origin, &supervisor.source) {
        (Origin::Scenario, _) => outside::body_in(scenario.folder.as_deref(), path),
        (Origin::Description, Source::Folder(folder)) => outside::body_in(Some(folder), path),
        (Origin::Description, Source::Embedded(dir)) => {
            let file = dir.get_file(dir.path().join(path));
            file.map(|file| file.contents().to_vec()).ok_or_else(|| "it is not part of holdline".to_owned())
        }
    };
    let problem = |why| RequestProblem {
        supervisor: supervisor.origin.clone(),
        scenario: scenario.origin.clone(),
        why,
    };
    outside::script(&supervisor.supervisor, &scenario.scenario, &file).map(drop).map_err(problem)
}
