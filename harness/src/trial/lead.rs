//! The one loop of a trial: turns what comes in into events, tells them to the conductor, and has its
//! orders carried out. It is woken by what happens: the load thread, the observer, ledgers, the ends of
//! processes, and the instants that the conductor asks for.

use std::collections::VecDeque;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result};
use holdline_contract::clock::now_ns;
use holdline_model::conductor::{Conductor, Event, Order};
use nix::unistd::Pid;

use super::alarm::Alarm;
use super::ends;
use super::hands::Hands;
use super::load_thread::{ClientLog, RunningLoad};
use super::orders::Orders;
use super::process::{Supervised, status_in_words};
use super::record::Told;
use super::stage::Stage;
use crate::proc;

/// How often what wakes nobody is looked at: the log's length, workers that record without touching their
/// ledger, how far the load is.
const CHORES: Duration = Duration::from_millis(20);
/// How often progress is told.
const PROGRESS_NS: u64 = 100_000_000;

/// What came in.
enum Input {
    Told(Told),
    LoadEnded(ClientLog),
    SupervisorEnded(ExitStatus),
    SuccessorEnded,
    StopAsked,
    /// A ledger changed, an instant has come, or it is time for chores.
    Woken,
}

/// Leads a trial while its load runs.
pub(super) struct Lead<'a> {
    stage: &'a mut Stage,
    supervised: &'a mut Supervised,
    hands: &'a mut Hands,
    conductor: Conductor,
    load: RunningLoad,
    client: Option<ClientLog>,
    orders: Orders,
    alarm: Alarm,
    supervisor_lives: bool,
    /// The process that has taken over from the one that was started.
    successor: Option<Pid>,
    progress_ns: u64,
}

impl<'a> Lead<'a> {
    pub(super) fn new(
        stage: &'a mut Stage,
        supervised: &'a mut Supervised,
        hands: &'a mut Hands,
        conductor: Conductor,
        load: RunningLoad,
    ) -> Result<Self> {
        let supervisor_lives = supervised.has_ended().is_none();
        // One that went to the background at its start is none that was replaced.
        let successor = if supervisor_lives { None } else { supervised.successor_of(supervised.started()) };
        Ok(Self {
            stage,
            supervised,
            hands,
            conductor,
            load,
            client: None,
            orders: Orders::listen()?,
            alarm: Alarm::new()?,
            supervisor_lives,
            successor,
            progress_ns: 0,
        })
    }

    /// Leads until the load has ended and nothing is left to be waited for, then undoes what lasts.
    pub(super) async fn until_the_end(mut self) -> Result<(Conductor, ClientLog)> {
        while !self.conductor.is_over() {
            let input = self.next().await?;
            self.take(input)?;
            self.chores()?;
            let now = now_ns();
            let due = self.conductor.wake(now);
            self.carry_out(due, now);
        }
        // What was sent while the load thread ended is no less true.
        while let Ok(told) = self.stage.told.try_recv() {
            self.tell(told);
        }
        let undo = self.conductor.end();
        self.carry_out(undo, now_ns());
        Ok((self.conductor, self.client.context("the load thread gave no records")?))
    }

    /// Waits for what comes next.
    async fn next(&mut self) -> Result<Input> {
        let wake_at = self.conductor.wake_at();
        let successor = self.successor;
        Ok(tokio::select! {
            biased;
            log = self.load.ended(), if self.client.is_none() => Input::LoadEnded(log?),
            told = self.stage.told.recv() => told.map_or(Input::Woken, Input::Told),
            status = self.supervised.wait(), if self.supervisor_lives => Input::SupervisorEnded(status),
            () = end_of(successor), if successor.is_some() => Input::SuccessorEnded,
            () = self.orders.stop(), if !self.conductor.is_stopping() => Input::StopAsked,
            woken = self.alarm.at(wake_at) => { woken?; Input::Woken }
            () = self.stage.ledgers.changed() => Input::Woken,
            () = tokio::time::sleep(CHORES) => Input::Woken,
        })
    }

    fn take(&mut self, input: Input) -> Result<()> {
        match input {
            Input::Told(told) => self.tell(told),
            Input::LoadEnded(log) => {
                self.client = Some(log);
                // What was sent before its end came before it.
                while let Ok(told) = self.stage.told.try_recv() {
                    self.tell(told);
                }
                self.tell((now_ns(), Event::LoadEnded));
            }
            Input::SupervisorEnded(status) => {
                self.supervisor_lives = false;
                self.supervisor_ended(status);
            }
            Input::SuccessorEnded => self.successor_ended()?,
            Input::StopAsked => self.tell((now_ns(), Event::StopAsked)),
            Input::Woken => {}
        }
        Ok(())
    }

    /// What is due whatever woke us.
    fn chores(&mut self) -> Result<()> {
        self.supervised.cut_log();
        for told in self.stage.sight.look()? {
            self.tell(told);
        }
        let struck: Vec<usize> =
            self.conductor.armed().filter(|fault| self.hands.has_struck(*fault)).collect();
        for fault in struck {
            self.tell((now_ns(), Event::ArmedStruck { fault }));
        }
        if now_ns() > self.progress_ns + PROGRESS_NS {
            self.progress_ns = now_ns();
            self.load.tell_progress();
        }
        Ok(())
    }

    /// Tells the conductor an event, writes it down, and has carried out what it orders.
    fn tell(&mut self, told: Told) {
        let mut queue = VecDeque::from([told]);
        while let Some(told) = queue.pop_front() {
            self.stage.note(&told);
            let (at_ns, event) = told;
            if let Event::ControlDone { fault, .. } = event {
                self.hands.is_done(fault);
            }
            let orders = self.conductor.tell(at_ns, &event);
            queue.extend(self.deeds(orders, at_ns));
        }
    }

    fn carry_out(&mut self, orders: Vec<Order>, at_ns: u64) {
        for told in self.deeds(orders, at_ns) {
            self.tell(told);
        }
    }

    fn deeds(&mut self, orders: Vec<Order>, at_ns: u64) -> Vec<Told> {
        let mut told = Vec::new();
        for order in orders {
            self.stage.log.order(at_ns, &order);
            if order == Order::StopLoad {
                self.load.stop();
            }
            let Stage { place, sight, .. } = &mut *self.stage;
            told.extend(self.hands.carry_out(order, place, sight, self.supervised));
        }
        told
    }

    /// The end of the process that was started. With status 0 and a successor that runs, it was replaced.
    fn supervisor_ended(&mut self, status: ExitStatus) {
        let started = self.supervised.started();
        let successor = if status.success() { self.supervised.successor_of(started) } else { None };
        self.note_end(started, Some(status), successor);
    }

    /// The end of the process that took over from the one that was started, or from one that did.
    fn successor_ended(&mut self) -> Result<()> {
        let Some(watched) = self.successor else { return Ok(()) };
        // Its end reaches init and then us; until then it is a zombie.
        self.stage.sight.note_adoptions()?;
        let adopted = &self.stage.sight.adopted;
        let status = adopted.iter().find(|adopted| adopted.pid == watched);
        let status = status.map(|adopted| adopted.status);
        if status.is_none() && matches!(proc::stat(watched), Ok(Some(_))) {
            return Ok(());
        }
        let left = status.is_none_or(|status| status.success());
        let next = if left { self.supervised.successor_of(watched) } else { None };
        self.note_end(watched, status, next);
        Ok(())
    }

    fn note_end(&mut self, pid: Pid, status: Option<ExitStatus>, successor: Option<Pid>) {
        // As one ends that daemonises, or that was asked to stop.
        let has_left = successor.is_none() && status.is_some_and(|status| status.success());
        let hint = self.stage.place.hint_of_background(&self.stage.sight.inside);
        let hint = (has_left && !hint.is_empty()).then_some(hint);
        let status = status.map_or_else(|| "an unknown status".to_owned(), status_in_words);
        self.successor = successor;
        let successor = successor.map(proc::number);
        let pid = proc::number(pid);
        self.tell((now_ns(), Event::SupervisorEnded { pid, status, successor, hint }));
    }
}

/// Waits for the end of a process, and then until it is reaped: only then is it known how it ended. That
/// takes init a moment, which is not worth waking for more than now and then.
async fn end_of(pid: Option<Pid>) {
    let Some(pid) = pid else { return std::future::pending().await };
    ends::ended(pid).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
}
