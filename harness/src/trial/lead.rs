//! The one loop of a trial: turns what comes in into events, tells them to the conductor, and has its
//! orders carried out. It is woken by what happens: the load thread, the observer, ledgers, the ends of
//! processes, and the instants that the conductor asks for.

use std::collections::VecDeque;
use std::process::ExitStatus;
use std::time::Duration;

use holdline_contract::clock::now_ns;
use holdline_model::conductor::{Conductor, Event, Order};
use holdline_model::exit::Exit;
use holdline_model::watch::last_request;
use nix::unistd::Pid;

use super::alarm::{Alarm, AlarmError};
use super::asking::{self, Asking};
use super::cast::Cast;
use super::cost::Meter;
use super::counted::Counted;
use super::ends;
use super::hands::Hands;
use super::load_thread::{ClientLog, LoadThreadError, RunningLoad};
use super::orders::{Orders, OrdersError};
use super::place::PlaceError;
use super::process::Supervised;
use super::record::Told;
use super::sight::SightError;
use super::stage::Stage;
use crate::proc;

/// How often what wakes nobody is looked at: the log's length, workers that record without touching their
/// ledger, how far the load is.
const CHORES: Duration = Duration::from_millis(20);
/// So long before a fault is due it is prepared for, and nothing is begun but to look whom it can hit: a processor that has been idle for long takes
/// some tenths of a millisecond to wake, and so does what is done now and then.
const READY_NS: u64 = 600_000;
/// And the last of it is waited for awake: who sleeps is woken tens of microseconds too late, now more and now less.
const AWAKE_NS: u64 = 200_000;
/// How often progress is told.
const PROGRESS_NS: u64 = 100_000_000;
/// How long after the end of a supervisor its pid-file may still be written by the process that takes over.
const SUCCESSION_NS: u64 = 2_000_000_000;

/// A trial could not be led to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum LeadError {
    /// It could not be watched.
    #[error(transparent)]
    Sight(#[from] SightError),
    /// The service could not be asked.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The load failed.
    #[error(transparent)]
    Load(#[from] LoadThreadError),
    /// Nobody can order an early end.
    #[error(transparent)]
    Orders(#[from] OrdersError),
    /// Nobody can be woken in time.
    #[error(transparent)]
    Alarm(#[from] AlarmError),
    /// The load ended without records.
    #[error("the load thread gave no records")]
    NoRecords,
    /// The trial ended before what is counted was.
    #[error("what is counted was not counted")]
    NotCounted,
}

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

/// A process that was the supervisor and has ended.
struct Left {
    pid: Pid,
    /// How; `None`: nobody knows.
    status: Option<ExitStatus>,
    /// When that was noticed, in CLOCK_MONOTONIC nanoseconds.
    at_ns: u64,
    /// Whether it ended as one does that has handed over.
    is_clean: bool,
    /// Until when another may take over.
    until_ns: u64,
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
    asking: Asking,
    /// What the trial's processes had cost before the load.
    meter: Option<Meter>,
    start_ns: u64,
    /// Whether what is counted is to be counted now.
    is_to_count: bool,
    counted: Option<Counted>,
    supervisor_lives: bool,
    /// The process that has taken over from the one that was started.
    successor: Option<Pid>,
    /// The last of them, where it has ended and another may be about to take over.
    left: Option<Left>,
    progress_ns: u64,
}

impl<'a> Lead<'a> {
    pub(super) fn new(
        stage: &'a mut Stage,
        supervised: &'a mut Supervised,
        hands: &'a mut Hands,
        conductor: Conductor,
        load: RunningLoad,
        (meter, start_ns): (Option<Meter>, u64),
    ) -> Result<Self, LeadError> {
        let supervisor_lives = supervised.has_ended().is_none();
        // One that went to the background at its start is none that was replaced.
        let successor = if supervisor_lives { None } else { supervised.successor_of(supervised.started()) };
        let asking = Asking::new(&stage.place, stage.sender.clone())?;
        Ok(Self {
            asking,
            meter,
            start_ns,
            is_to_count: false,
            counted: None,
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
            left: None,
            progress_ns: 0,
        })
    }

    /// Leads until the load is over and it is known how the story ends, then undoes what lasts.
    pub(super) async fn until_the_end(mut self) -> Result<(Conductor, ClientLog, Counted), LeadError> {
        while !self.conductor.is_over() || self.left.is_some() {
            let input = self.next().await?;
            self.take(input)?;
            // Whom a fault can hit is known by what was seen last.
            if self.is_about_to_strike() {
                self.look()?;
            } else {
                self.chores()?;
            }
            let now = self.at_its_instant();
            let due = self.conductor.wake(now);
            self.carry_out(due, now);
            if std::mem::take(&mut self.is_to_count) {
                self.counted = Some(Counted::now(self.stage, self.supervised, self.meter, self.start_ns)?);
            }
        }
        // What was sent while the load thread ended is no less true.
        while let Ok(told) = self.stage.told.try_recv() {
            self.tell(told);
        }
        let undo = self.conductor.end();
        self.carry_out(undo, now_ns());
        let client = self.client.ok_or(LeadError::NoRecords)?;
        Ok((self.conductor, client, self.counted.ok_or(LeadError::NotCounted)?))
    }

    /// Whether a fault is due within so little time that there is none for anything else.
    fn is_about_to_strike(&self) -> bool {
        self.conductor.fault_at().is_some_and(|at_ns| at_ns <= now_ns() + READY_NS)
    }

    /// What the clock says; where a fault is just about to strike, once that is its instant.
    fn at_its_instant(&self) -> u64 {
        let now = now_ns();
        let strikes = self.conductor.fault_at().filter(|at_ns| (now..=now + AWAKE_NS).contains(at_ns));
        let Some(at_ns) = strikes else { return now };
        while now_ns() < at_ns {
            std::hint::spin_loop();
        }
        now_ns()
    }

    /// When to wake: early enough for the next fault.
    fn wake_at(&self) -> Option<u64> {
        let until_fault = self.conductor.fault_at().map(|at_ns| {
            let ready_at = at_ns.saturating_sub(READY_NS);
            if ready_at > now_ns() { ready_at } else { at_ns.saturating_sub(AWAKE_NS) }
        });
        until_fault.into_iter().chain(self.conductor.wake_at()).min()
    }

    /// Waits for what comes next.
    async fn next(&mut self) -> Result<Input, LeadError> {
        let wake_at = self.wake_at();
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

    fn take(&mut self, input: Input) -> Result<(), SightError> {
        match input {
            Input::Told(told) => {
                // Whom it can hit is known by what was seen last.
                if matches!(told.1, Event::CallReached { .. }) {
                    self.look()?;
                }
                self.tell(told);
            }
            Input::LoadEnded(log) => {
                let gap_ns = self.stage.place.scenario.load.connection.gap_ns;
                let last = last_request(log.attempts.series(), &log.requests, gap_ns);
                self.client = Some(log);
                // What was sent before its end came before it.
                while let Ok(told) = self.stage.told.try_recv() {
                    self.tell(told);
                }
                self.tell((now_ns(), Event::LoadEnded { last }));
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
    fn chores(&mut self) -> Result<(), SightError> {
        self.supervised.cut_log();
        for told in self.stage.companions.look() {
            self.tell(told);
        }
        self.look()?;
        let struck: Vec<usize> =
            self.conductor.armed().filter(|fault| self.hands.has_struck(*fault)).collect();
        for fault in struck {
            self.tell((now_ns(), Event::ArmedStruck { fault }));
        }
        self.look_for_a_successor();
        let is_ended = !self.supervisor_lives && self.successor.is_none() && self.left.is_none();
        let is_alone = self.conductor.is_watching() && is_ended;
        if is_alone && asking::is_nothing_left(&self.stage.sight.inside, &self.stage.companions) {
            self.tell((now_ns(), Event::NothingLeft));
        }
        if now_ns() > self.progress_ns + PROGRESS_NS {
            self.progress_ns = now_ns();
            self.load.tell_progress();
        }
        Ok(())
    }

    /// What workers have written, and who has come and gone.
    fn look(&mut self) -> Result<(), SightError> {
        for told in self.stage.sight.look()? {
            self.tell(told);
        }
        Ok(())
    }

    /// Tells the conductor an event, writes it down, and has carried out what it orders.
    fn tell(&mut self, told: Told) {
        let mut queue = VecDeque::from([told]);
        while let Some(told) = queue.pop_front() {
            self.stage.note(&told);
            let (at_ns, event) = told;
            match event {
                Event::ControlDone { fault, .. } => self.hands.is_done(fault),
                Event::Poisoned { fault, .. } | Event::HolderKilled { fault, .. } => {
                    self.hands.strikes(fault);
                }
                _ => {}
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
            match order {
                Order::StopLoad => self.load.stop(),
                Order::Count => self.is_to_count = true,
                Order::Request => self.asking.ask(),
                Order::HandOut { .. }
                | Order::Look { .. }
                | Order::Signal { .. }
                | Order::Pause { .. }
                | Order::Arm { .. }
                | Order::Ask { .. }
                | Order::Heal { .. } => {}
            }
            let Stage { place, sight, companions, .. } = &mut *self.stage;
            let cast = Cast { front: self.supervised, behind: companions };
            told.extend(self.hands.carry_out(order, place, sight, cast));
        }
        told
    }

    /// The end of the process that was started. With status 0 and a successor that runs, it was replaced.
    fn supervisor_ended(&mut self, status: ExitStatus) {
        let started = self.supervised.started();
        self.left(started, Some(status));
    }

    /// The end of the process that took over from the one that was started, or from one that did.
    fn successor_ended(&mut self) -> Result<(), SightError> {
        let Some(watched) = self.successor else { return Ok(()) };
        // Its end reaches init and then us; until then it is a zombie.
        self.stage.sight.note_adoptions()?;
        let adopted = &self.stage.sight.adopted;
        let status = adopted.iter().find(|adopted| adopted.pid == watched);
        let status = status.map(|adopted| adopted.status);
        if status.is_none() && matches!(proc::stat(watched), Ok(Some(_))) {
            return Ok(());
        }
        self.left(watched, status);
        Ok(())
    }

    /// A process that was the supervisor has ended. Where it keeps its process id in a file, one that takes
    /// over may not have written its own yet.
    fn left(&mut self, pid: Pid, status: Option<ExitStatus>) {
        self.successor = None;
        let is_clean = status.is_none_or(|status| status.success());
        let until_ns = now_ns() + if is_clean && self.supervised.has_pid_file() { SUCCESSION_NS } else { 0 };
        self.left = Some(Left { pid, status, at_ns: now_ns(), is_clean, until_ns });
        self.look_for_a_successor();
    }

    /// Notes the end of a process that was the supervisor, once it is known whether another has taken over.
    fn look_for_a_successor(&mut self) {
        let Some(left) = &self.left else { return };
        let successor = if left.is_clean { self.supervised.successor_of(left.pid) } else { None };
        let may_come = left.until_ns > now_ns()
            && !asking::is_nothing_left(&self.stage.sight.inside, &self.stage.companions);
        if successor.is_none() && may_come {
            return;
        }
        if let Some(left) = self.left.take() {
            self.note_end(&left, successor);
        }
    }

    fn note_end(&mut self, left: &Left, successor: Option<Pid>) {
        // As one ends that daemonises, or that was asked to stop.
        let has_left = successor.is_none() && left.status.is_some_and(|status| status.success());
        let left_running = || self.stage.place.left_running(&self.stage.sight.inside);
        let hint = if has_left { left_running() } else { None };
        let status = left.status.map_or(Exit::Unknown, proc::exit_of);
        self.successor = successor;
        let successor = successor.map(proc::number);
        let pid = proc::number(left.pid);
        self.tell((left.at_ns, Event::SupervisorEnded { pid, status, successor, hint }));
    }
}

/// Waits for the end of a process, and then until it is reaped: only then is it known how it ended. That
/// takes init a moment, which is not worth waking for more than now and then.
async fn end_of(pid: Option<Pid>) {
    let Some(pid) = pid else { return std::future::pending().await };
    ends::ended(pid).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
}
