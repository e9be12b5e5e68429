//! What puts load on the server, as the rest of the trial sees it: one thread, which has others make parts of the load
//! where the scenario says so.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdline_model::arrivals::Schedule;
use holdline_model::conductor::{Moment, Moments};
use holdline_model::part::Part;
use holdline_model::record::RequestRecord;
use holdline_model::requests;
use holdline_model::said::{NOTHING_SAID, Said};
use holdline_model::scenario::{Action, Scenario, Until};
use holdline_model::secrets::Secrets;
use holdline_model::support;
use holdline_model::tls::Certificates;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::Message;
use super::hooks::{AttemptFault, Due, FaultHooks};
use super::place::Place;
use super::record::Told;
use crate::kernel::acceptor::Search;
use crate::kernel::custody::CustodyWatch;
use crate::load::{self, LoadError, LoadPlan, Progress, RecordLogs, Records, StopFlag};
use crate::tls::TlsError;

/// A load that could not be put on the service, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadThreadError {
    /// The load client could not.
    #[error("failed to run the load")]
    Load(#[from] LoadError),
    /// The service cannot be spoken to over TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no thread to be had.
    #[error("failed to start the load thread")]
    Start(#[source] io::Error),
    /// It panicked.
    #[error("the load thread panicked")]
    Panicked,
}

/// What the load client wrote down.
pub(super) struct ClientLog {
    /// One record for each attempt.
    pub(super) attempts: Records,
    /// The requests that were answered, of connections that carry several or are slow.
    pub(super) requests: Vec<RequestRecord>,
    /// What servers said instead of the answer.
    pub(super) said: Said,
    /// The certificates that servers showed; `None`: TLS is not spoken.
    pub(super) certificates: Option<Certificates>,
}

impl ClientLog {
    /// What a load has left with its records: the first of its hooks have what all of them have kept.
    fn of(attempts: Records, hooks: Vec<FaultHooks>, plan: &LoadPlan, secrets: &Secrets) -> Self {
        let (mut all_requests, mut kept) = (Vec::with_capacity(hooks.len()), None);
        for hooks in hooks {
            let (requests, said, certificates) = hooks.into_parts(secrets);
            all_requests.push(requests);
            kept.get_or_insert((said, certificates));
        }
        let (said, certificates) = kept.unwrap_or_else(|| (NOTHING_SAID.clone(), Certificates::default()));
        let certificates = plan.tls.is_some().then_some(certificates);
        Self { attempts, requests: requests::joined(all_requests), said, certificates }
    }
}

/// A load that runs.
pub(super) struct RunningLoad {
    done: oneshot::Receiver<Result<ClientLog, LoadError>>,
    progress: Arc<Progress>,
    stop: Arc<StopFlag>,
    planned: Option<u64>,
}

impl RunningLoad {
    /// Starts it. Faults that strike with attempts are handed out on its threads.
    pub(super) fn start(
        place: &Place,
        schedule: Schedule,
        start_ns: u64,
        pending: &[AttemptFault],
        sender: &UnboundedSender<Told>,
        custody: &CustodyWatch,
        search: Option<Search>,
    ) -> Result<Self, LoadThreadError> {
        let planned = planned(&place.scenario, &schedule);
        let plan = LoadPlan {
            address: place.workspace.values.address.clone(),
            schedule,
            timeouts: place.scenario.load.timeouts,
            in_flight_max: place.scenario.load.in_flight_max,
            spread: true,
            clients: place.scenario.load.clients,
            protocol: support::protocol(&place.supervisor, &place.scenario),
            // Its searches have room of their own, which this thread alone uses.
            script: Arc::new((*place.script).clone()),
            proxy: place.scenario.load.proxy,
            connection: place.scenario.load.connection,
            tls: place.tls()?,
        };
        let threads = place.scenario.load.threads;
        load::check_nofile(threads)?;
        let control = &place.workspace.control;
        let hooks_of = |(part, search): (Part, Option<Search>)| {
            let pending = pending.iter().filter(|fault| fault.can_strike_in(part, &plan.schedule)).cloned();
            let (control, sender, custody) = (Arc::clone(control), sender.clone(), custody.handover());
            let hooks = FaultHooks::new(pending.collect(), plan.connection, control, sender, custody);
            let mut hooks = hooks.killing_by(search);
            hooks.make_room(
                planned.map(|all| all.div_ceil(part.of().into())),
                plan.connection.requests.into(),
            );
            hooks
        };
        let searches = vec![search; threads as usize];
        let mut hooks: Vec<FaultHooks> = Part::all(threads).zip(searches).map(hooks_of).collect();
        let (progress, stop) = (Arc::new(Progress::default()), Arc::new(StopFlag::new()?));
        let records = RecordLogs::on_disk(&place.folder, threads).map_err(LoadError::Records)?;
        let (done_sender, done) = oneshot::channel();
        let secrets = Arc::clone(&place.secrets);
        let (thread_progress, thread_stop) = (Arc::clone(&progress), Arc::clone(&stop));
        std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || {
                let (progress, stop) = (&*thread_progress, &*thread_stop);
                let attempts = load::run_in_threads(records, &plan, start_ns, &mut hooks, progress, stop);
                let log = attempts.map(|attempts| ClientLog::of(attempts, hooks, &plan, &secrets));
                let _ = done_sender.send(log);
            })
            .map_err(LoadThreadError::Start)?;
        Ok(Self { done, progress, stop, planned })
    }

    /// Waits for its end; to be called until it has given its records, and not again.
    pub(super) async fn ended(&mut self) -> Result<ClientLog, LoadThreadError> {
        let log = (&mut self.done).await.map_err(|_| LoadThreadError::Panicked)?;
        Ok(log?)
    }

    /// Ends it early.
    pub(super) fn stop(&self) {
        self.stop.stop();
    }

    /// Tells the outer process how far it is.
    pub(super) fn tell_progress(&self) {
        let finished = self.progress.finished.load(Ordering::Relaxed).into();
        let lost = self.progress.lost.load(Ordering::Relaxed).into();
        Message::Progress { finished, lost, planned: self.planned }.tell();
    }
}

fn planned(scenario: &Scenario, schedule: &Schedule) -> Option<u64> {
    match (schedule, scenario.load.until) {
        (Schedule::Fixed(offsets), _) => Some(offsets.len() as u64),
        (Schedule::Sequential { .. } | Schedule::Closed { .. }, Until::Attempts(count)) => Some(count.into()),
        (Schedule::Sequential { .. } | Schedule::Closed { .. }, Until::Elapsed(_)) => None,
    }
}

/// The faults that strike with attempts, and for poison that follows another fault where the load thread
/// looks for its instant.
pub(super) fn with_attempts(
    scenario: &Scenario,
    moments: &Moments,
) -> (Vec<AttemptFault>, BTreeMap<usize, Arc<AtomicU64>>) {
    let (mut pending, mut instants) = (Vec::new(), BTreeMap::new());
    for (fault, (what, moment)) in scenario.faults.iter().zip(&moments.due).enumerate() {
        let poison = match what.action {
            Action::Poison(poison) => Some(poison),
            Action::Crash { .. } | Action::Signal { .. } | Action::Pause { .. } | Action::Control { .. } => {
                None
            }
        };
        let due = match (*moment, poison) {
            (Moment::Attempt(number), _) => Due::Attempt(number),
            (Moment::At(at_ns), Some(_)) => Due::Instant(Arc::new(AtomicU64::new(at_ns))),
            (Moment::After { .. }, Some(_)) => {
                let instant = Arc::new(AtomicU64::new(u64::MAX));
                instants.insert(fault, Arc::clone(&instant));
                Due::Instant(instant)
            }
            (Moment::BeforeStart | Moment::At(_) | Moment::After { .. } | Moment::Call(_), _) => continue,
        };
        pending.push(AttemptFault { fault, due, poison });
    }
    (pending, instants)
}
