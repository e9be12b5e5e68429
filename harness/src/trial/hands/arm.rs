//! A failure that workers have been told of, until the guard is dropped.

use std::sync::Arc;

use holdline_contract::control::ControlPage;
use holdline_model::words::CrashStep;

/// An armed failure; dropping it takes back what has not struck.
#[derive(Debug)]
#[must_use = "dropping it disarms the failure"]
pub(super) struct Armed {
    control: Arc<ControlPage>,
    step: CrashStep,
    times: u32,
}

impl Armed {
    /// Takes charge of a failure that was armed.
    pub(super) fn of(control: Arc<ControlPage>, step: CrashStep, times: u32) -> Self {
        Self { control, step, times }
    }

    /// Whether it has struck as often as it should. One that waits in an idle worker stays until it is
    /// taken back: it strikes whoever is told to.
    pub(super) fn has_struck(&self) -> bool {
        self.left() == Some(0)
    }

    /// Whether no worker has come to it at all.
    pub(super) fn is_unused(&self) -> bool {
        self.left() == Some(self.times)
    }

    /// How often it is still to strike, where that is counted.
    fn left(&self) -> Option<u32> {
        match self.step {
            CrashStep::Boot => Some(self.control.boot_failures()),
            CrashStep::Drain => Some(u32::from(self.control.is_drain_armed())),
            CrashStep::Idle
            | CrashStep::Accept
            | CrashStep::Read
            | CrashStep::Work
            | CrashStep::Reply
            | CrashStep::Close => None,
        }
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        // The lock is refused only where the file is gone, and with it those who would look.
        let _ = self.control.disarm(self.step);
    }
}

#[cfg(test)]
mod tests {
    use holdline_model::words::CrashMode;

    use super::*;

    #[test]
    fn what_has_not_struck_is_taken_back_when_the_guard_goes() {
        let home = tempfile::tempdir().expect("a folder");
        let control = Arc::new(ControlPage::create(home.path()).expect("a page"));
        control.arm(CrashStep::Boot, CrashMode::Exit, 2).expect("armed");
        let armed = Armed::of(Arc::clone(&control), CrashStep::Boot, 2);
        assert!(armed.is_unused() && !armed.has_struck());
        assert!(control.take_boot_failure().is_some());
        assert!(!armed.is_unused() && !armed.has_struck());
        drop(armed);
        assert_eq!(control.boot_failures(), 0);
        control.arm(CrashStep::Drain, CrashMode::Kill, 1).expect("armed");
        let armed = Armed::of(Arc::clone(&control), CrashStep::Drain, 1);
        assert!(armed.is_unused());
        drop(armed);
        assert!(!control.is_drain_armed());
    }
}
