//! Healing: every fault that lasts is undone when its time is over, and at the latest when the load
//! has ended. A trial never ends broken.

use holdline_contract::clock::now_ns;
use holdline_model::reason::Note;
use holdline_model::words::CrashStep;
use serde_json::json;

use super::faults::{self, Pause, ordinal};
use super::inner::Trial;
use super::measure::Dispatch;

/// A failure that workers have been told of and that has not struck as often as it is to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Armed {
    /// Its index in the scenario.
    pub(super) fault: usize,
    /// Boot, idle or drain.
    pub(super) step: CrashStep,
    /// How many starts are to fail.
    pub(super) times: u32,
}

impl Trial {
    /// Heals what is over by now.
    pub(super) fn heal_due(&mut self, dispatch: &mut Dispatch) {
        let now = now_ns();
        while let Some(index) = dispatch.pauses.iter().position(|(_, until_ns)| *until_ns <= now) {
            let (pause, _) = dispatch.pauses.swap_remove(index);
            self.resume(pause, "its time was over", dispatch);
        }
        while let Some(index) = dispatch.armed.iter().position(|armed| self.has_struck(*armed)) {
            let armed = dispatch.armed.swap_remove(index);
            self.healed(armed.fault, "it has struck", dispatch);
        }
    }

    /// Heals everything: the load has ended.
    pub(super) fn heal_all(&mut self, dispatch: &mut Dispatch) -> anyhow::Result<()> {
        self.heal_due(dispatch);
        while let Some((pause, _)) = dispatch.pauses.pop() {
            self.resume(pause, "the load has ended", dispatch);
        }
        for armed in std::mem::take(&mut dispatch.armed) {
            if armed.step != CrashStep::Idle && self.has_struck_nobody(armed) {
                let action = faults::in_words(&self.scenario.faults[armed.fault].action);
                let note = Note::NobodyCame { fault: ordinal(armed.fault), action, step: armed.step };
                dispatch.facts.notes.push(note);
            }
            self.workspace.control.disarm(armed.step)?;
            self.healed(armed.fault, "the load has ended", dispatch);
        }
        Ok(())
    }

    /// Resumes what a pause stopped, but for what another still stops.
    fn resume(&mut self, mut pause: Pause, why: &str, dispatch: &mut Dispatch) {
        let fault = pause.fault;
        pause.leave_to(dispatch.pauses.iter().map(|(other, _)| other));
        drop(pause);
        self.healed(fault, why, dispatch);
    }

    fn healed(&mut self, fault: usize, why: &str, dispatch: &mut Dispatch) {
        let at_ns = now_ns();
        self.log.write(at_ns, "heal", json!({ "fault": fault, "why": why }));
        if let Some(fact) = dispatch.facts.faults.iter_mut().find(|fact| fact.fault == fault) {
            fact.done_ns = Some(at_ns);
        }
        self.complete(fault, at_ns, dispatch);
    }

    fn has_struck(&self, armed: Armed) -> bool {
        match armed.step {
            CrashStep::Boot => self.workspace.control.boot_failures() == 0,
            CrashStep::Drain => !self.workspace.control.is_drain_armed(),
            _ => false,
        }
    }

    fn has_struck_nobody(&self, armed: Armed) -> bool {
        match armed.step {
            CrashStep::Boot => self.workspace.control.boot_failures() == armed.times,
            _ => !self.has_struck(armed),
        }
    }
}
