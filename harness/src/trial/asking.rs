//! The watch's eyes: requests that are made outside of all counts, and whether anything is left that could
//! answer one.

use std::sync::Arc;

use holdline_contract::clock::now_ns;
use holdline_model::conductor::Event;
use nix::unistd::Pid;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use super::cast::Companions;
use super::place::{Place, PlaceError};
use super::record::Told;
use crate::load::Asker;
use crate::proc;
use crate::sandbox::Inside;

/// Makes one request after the other, each beside the trial's loop.
pub(super) struct Asking {
    asker: Arc<Asker>,
    sender: UnboundedSender<Told>,
    /// The request that is under way, if one is.
    task: Option<JoinHandle<()>>,
}

impl Asking {
    /// Of the service at this place. What comes of each request is told to `sender`.
    pub(super) fn new(place: &Place, sender: UnboundedSender<Told>) -> Result<Self, PlaceError> {
        Ok(Self { asker: Arc::new(place.asker()?), sender, task: None })
    }

    /// Makes a request. One that is still under way is given up.
    pub(super) fn ask(&mut self) {
        self.give_up();
        let (asker, sender) = (Arc::clone(&self.asker), self.sender.clone());
        self.task = Some(tokio::spawn(async move {
            let answer = asker.ask().await.answer;
            let _ = sender.send((now_ns(), Event::Answered { answer }));
        }));
    }

    fn give_up(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Whether no process of the trial is left that could listen. Asked only where the supervisor has ended; programs behind it
/// have addresses of their own.
pub(super) fn is_nothing_left(inside: &Inside, behind: &Companions) -> bool {
    let runs = |pid: &Pid| *pid != Pid::this() && proc::is_alive(*pid) && !behind.has(*pid);
    !inside.processes().iter().any(runs)
}
