//! Kills whoever has an attempt that was to carry poison, where a service has no request that crashes a worker.

use std::thread::JoinHandle;
use std::time::Duration;

use holdline_contract::clock::now_ns;
use holdline_model::conductor::{Event, Hit};
use holdline_model::hindrance::Hindrance;
use holdline_model::scenario::Scenario;
use holdline_model::signals::Signal;
use nix::unistd::Pid;
use tokio::sync::mpsc::UnboundedSender;

use super::hindered::not_signalled;
use crate::kernel::acceptor::{Acceptor, Search};
use crate::kernel::observer::ObserverError;
use crate::load;
use crate::proc;
use crate::trial::ends::{self, Reached};
use crate::trial::record::Told;
use crate::trial::sight::Sight;

/// Begins a thread that kills, and says so, for as long as the end of a request is held back.
pub(in crate::trial) fn start(
    sight: &Sight,
    supervisor: Pid,
    scenario: &Scenario,
    sender: UnboundedSender<Told>,
) -> Result<(Search, JoinHandle<()>), ObserverError> {
    let limit = Duration::from_nanos(load::hold_ns(&scenario.load.timeouts));
    Search::start(sight.tested(supervisor), limit, move |fault, attempt, acceptor| {
        let at_ns = now_ns();
        let _ = sender.send((at_ns, event_of(fault, attempt, acceptor)));
    })
}

/// Kills a process, and what there is to tell of it.
fn event_of(fault: usize, attempt: u32, acceptor: Acceptor) -> Event {
    let answer = |hit, error| Event::Fault { fault, hit, pids: Vec::new(), error };
    match acceptor {
        Acceptor::Process { pid, supervises } => match ends::send(pid, Signal::KILL) {
            Ok(Reached::Yes) => Event::HolderKilled { fault, attempt, pid: proc::number(pid), supervises },
            Ok(Reached::Gone) => answer(Hit::Nobody, None),
            Err(error) => answer(Hit::Failed, Some(not_signalled(Signal::KILL, pid, false, &error))),
        },
        Acceptor::Nobody => answer(Hit::Nobody, None),
        Acceptor::Hidden => answer(Hit::Failed, Some(Hindrance::Hidden { attempt })),
    }
}
