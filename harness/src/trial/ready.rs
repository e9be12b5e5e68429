//! Waits until a supervisor serves: a listener is seen through `sock_diag`, and workers have recorded that
//! they can accept. Services that bring their own workers are asked, too, whether they reply (`replies.rs`),
//! unless their description says otherwise; nobody else is connected to, since a server would count it.

use std::collections::BTreeSet;

use holdline_contract::clock::now_ns;
use holdline_model::conductor::Event;
use holdline_model::mishap::{Mishap, NotThere};
use holdline_model::reason::Reason;
use holdline_model::support;
use holdline_model::wire::Address;

use super::place::Place;
use super::process::Supervised;
use super::replies::{self, CHORES, Replied};
use super::stage::{NotReady, Stage};
use crate::kernel::diag::Diag;

/// The most addresses that are named where nobody listens as he should.
const LISTENING_MAX: usize = 3;

/// How the wait for a supervisor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Readiness {
    /// It serves.
    Ready,
    /// Its workers run as the user that the scenario names, and may not bind the port.
    Denied,
    /// It listens, and does not reply as it should.
    Mute(Reason),
}

/// Waits for the listener and the workers, and for replies. The error says why it never got ready.
pub(super) async fn wait(stage: &mut Stage, supervised: &mut Supervised) -> Result<Readiness, NotReady> {
    // What a worker takes to boot is the scenario's doing.
    let limit_ns = stage.place.supervisor.ready.timeout_ns + stage.place.scenario.workers.boot_ns;
    let deadline_ns = now_ns() + limit_ns;
    let readiness = wait_for_listener(stage, supervised, limit_ns, deadline_ns).await?;
    if readiness == Readiness::Ready
        && support::asks_before_load(&stage.place.supervisor, &stage.place.scenario)
        && let Replied::Never(reason) = replies::wait(stage, supervised, deadline_ns).await?
    {
        return Ok(Readiness::Mute(reason));
    }
    if readiness == Readiness::Ready {
        stage.log.event(now_ns(), &Event::Ready);
    }
    Ok(readiness)
}

async fn wait_for_listener(
    stage: &mut Stage,
    supervised: &mut Supervised,
    limit_ns: u64,
    deadline_ns: u64,
) -> Result<Readiness, NotReady> {
    loop {
        supervised.cut_log();
        stage.look()?;
        let ended = supervised.has_ended_alone();
        if ended.is_none() && is_ready(stage) {
            return Ok(Readiness::Ready);
        }
        if stage.sight.is_denied {
            stage.log.event(now_ns(), &Event::Denied);
            return Ok(Readiness::Denied);
        }
        if let Some(status) = ended.filter(|status| !supervised.may_be_replaced(*status)) {
            return Err(stage.ended_early(status));
        }
        if now_ns() > deadline_ns {
            return Err(match ended {
                Some(status) => stage.ended_early(status),
                None => too_late(stage, limit_ns),
            });
        }
        let still_runs = ended.is_none() && supervised.has_ended().is_none();
        tokio::select! {
            () = stage.ledgers.changed() => {}
            told = stage.told.recv() => {
                if let Some(told) = told { stage.note(&told); }
            }
            _ = supervised.wait(), if still_runs => {}
            () = tokio::time::sleep(CHORES) => {}
        }
    }
}

fn is_ready(stage: &Stage) -> bool {
    let ready = &stage.place.supervisor.ready;
    let listening = !ready.listening || stage.sight.observer.is_listening();
    listening && (!ready.workers || stage.sight.workers.ready() >= stage.place.workers_wanted())
}

fn too_late(stage: &Stage, limit_ns: u64) -> NotReady {
    let (needs, log) = (stage.place.supervisor.needs.clone(), stage.place.log_tail());
    NotReady::Failed(Mishap::NotReady {
        program: None,
        limit_ns,
        missing: missing(stage, &stage.place),
        needs,
        log,
    })
}

fn missing(stage: &Stage, place: &Place) -> NotThere {
    let address = place.workspace.values.address.clone();
    if !stage.sight.observer.is_listening() {
        let elsewhere = if stage.sight.is_exclusive() { listening() } else { Vec::new() };
        return NotThere::Listener { address, elsewhere };
    }
    let (ready, wanted) = (stage.sight.workers.ready() as u64, place.workers_wanted() as u64);
    NotThere::Workers { address, ready, wanted }
}

/// Where anybody listens in this namespace; nowhere, if that cannot be told.
fn listening() -> Vec<Address> {
    let all = Diag::open().and_then(|mut diag| diag.listening_tcp()).unwrap_or_default();
    let addresses: BTreeSet<Address> = all.into_iter().map(|listening| listening.address).collect();
    addresses.into_iter().take(LISTENING_MAX).collect()
}
