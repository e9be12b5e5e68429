//! Wakes at an instant, by a timerfd: tokio's own timers are true to a millisecond.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

use crate::load::clock::Timer;
use crate::waitable::readable;

/// A timer that could not be had, set or waited for.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing} a timer")]
pub(super) struct AlarmError {
    doing: &'static str,
    source: io::Error,
}

fn to(doing: &'static str) -> impl FnOnce(io::Error) -> AlarmError {
    move |source| AlarmError { doing, source }
}

/// A timer that can be waited for.
pub(super) struct Alarm {
    timer: Timer,
    /// The same timer.
    fires: AsyncFd<OwnedFd>,
}

impl Alarm {
    pub(super) fn new() -> Result<Self, AlarmError> {
        let timer = Timer::new().map_err(|errno| to("create")(errno.into()))?;
        let fires = timer.as_fd().try_clone_to_owned().and_then(readable);
        Ok(Self { timer, fires: fires.map_err(to("wait for"))? })
    }

    /// Waits until this instant, in CLOCK_MONOTONIC nanoseconds, and for ever where there is none. It may
    /// come back early: whoever waits looks at the clock.
    pub(super) async fn at(&mut self, instant_ns: Option<u64>) -> Result<(), AlarmError> {
        let Some(instant_ns) = instant_ns else { return std::future::pending().await };
        self.timer.fire_by(instant_ns).map_err(|errno| to("set")(errno.into()))?;
        let mut ready = self.fires.readable().await.map_err(to("wait for"))?;
        // Setting it anew takes back what it has counted.
        ready.clear_ready();
        self.timer.fired();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use holdline_contract::clock::now_ns;

    use super::*;

    #[tokio::test]
    async fn it_goes_off_at_each_instant_that_it_is_set_to() {
        let mut alarm = Alarm::new().expect("a timer");
        for _ in 0..3 {
            let due_ns = now_ns() + 2_000_000;
            while now_ns() < due_ns {
                alarm.at(Some(due_ns)).await.expect("waited");
            }
        }
        alarm.at(Some(1)).await.expect("what is past goes off at once");
    }
}
