//! Jobs that run side by side, each on a thread of its own: begun where there is room, and taken as they end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, Scope};

use crate::run::RunError;

/// Runs a job in a lane, and gives what came of it the job's number; `None`: the user asked for the end meanwhile.
pub(super) type Run<'a, J, D> = dyn Fn(usize, usize, &J) -> Result<Option<D>, RunError> + Sync + 'a;

/// The lanes in which jobs run.
pub(super) struct Lanes<'scope, 'env, J, D> {
    scope: &'scope Scope<'scope, 'env>,
    run: &'env Run<'env, J, D>,
    /// Lanes in which nothing runs.
    free: Vec<usize>,
    running: usize,
    begun: usize,
    end: Sender<Ended<D>>,
    ends: Receiver<Ended<D>>,
}

struct Ended<D> {
    lane: usize,
    done: Result<Option<D>, RunError>,
}

/// Has `body` run jobs in so many lanes; comes back once all that it began have ended.
pub(super) fn with<'env, J: Send + 'env, D: Send + 'env, T>(
    count: usize,
    run: &'env Run<'env, J, D>,
    body: impl FnOnce(&mut Lanes<'_, 'env, J, D>) -> T,
) -> T {
    thread::scope(|scope| {
        let (end, ends) = channel();
        // The first is taken first.
        let free = (0..count).rev().collect();
        body(&mut Lanes { scope, run, free, running: 0, begun: 0, end, ends })
    })
}

impl<J: Send, D: Send> Lanes<'_, '_, J, D> {
    /// Whether another can begin.
    pub(super) fn have_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Begins a job, for which there must be room, and gives it the next number.
    pub(super) fn begin(&mut self, job: J) -> usize {
        let lane = self.free.pop().expect("there is room");
        let (number, run, end) = (self.begun, self.run, self.end.clone());
        self.begun += 1;
        self.running += 1;
        self.scope.spawn(move || {
            let done = catch_unwind(AssertUnwindSafe(|| run(lane, number, &job)));
            // Nobody hears it only where the others' end is not waited for either.
            let _ = end.send(Ended { lane, done: done.unwrap_or(Err(RunError::Processes)) });
        });
        number
    }

    /// Waits for one to end; `None`: none runs, or the user asked for the end while the last ones did.
    pub(super) fn next(&mut self) -> Result<Option<D>, RunError> {
        while self.running > 0 {
            let Ok(Ended { lane, done }) = self.ends.recv() else { return Ok(None) };
            self.running -= 1;
            self.free.push(lane);
            if let Some(done) = done? {
                return Ok(Some(done));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Begins as many as there is room for, until so many were begun and have ended.
    fn run_all(lanes: &mut Lanes<'_, '_, (), ()>, count: usize) -> Result<(), RunError> {
        let mut begun = 0;
        loop {
            while begun < count && lanes.have_room() {
                assert_eq!(lanes.begin(()), begun);
                begun += 1;
            }
            match lanes.next()? {
                Some(_) => {}
                None if begun == count => return Ok(()),
                None => {}
            }
        }
    }

    #[test]
    fn every_job_runs_once_and_each_lane_has_one_at_a_time() {
        let ran = Mutex::new(Vec::new());
        let busy = [Mutex::new(()), Mutex::new(())];
        let run = |lane: usize, number: usize, (): &()| {
            let _lane = busy[lane].try_lock().expect("nobody else is in this lane");
            ran.lock().expect("nobody panics").push(number);
            Ok(None)
        };
        with(2, &run, |lanes| run_all(lanes, 9)).expect("nothing fails");
        let mut ran = ran.into_inner().expect("nobody panics");
        ran.sort_unstable();
        assert_eq!(ran, (0..9).collect::<Vec<_>>());
    }

    #[test]
    fn one_that_panics_is_an_error_and_nobody_waits_for_it() {
        let run = |_: usize, _: usize, (): &()| panic!("planted");
        let ended = with(2, &run, |lanes| run_all(lanes, 3));
        assert!(matches!(ended, Err(RunError::Processes)), "{ended:?}");
    }
}
