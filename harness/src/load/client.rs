//! The load client's loop: who begins, who goes on, whose time is up, and when to wake next.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use holdline_contract::clock::now_ns;
use holdline_model::arrivals::Schedule;
use holdline_model::record::{Afterwards, ClientRecord, NotSent, Outcome};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::clock::{Timer, stamp};
use super::connection::{Connection, End, SCRATCH_BYTES, Step};
use super::deadlines::Deadlines;
use super::descriptors::Share;
use super::errno::{At, outcome_of};
use super::lead::Lead;
use super::lot::{InFlight, Lot};
use super::pacer::{Due, Pacer};
use super::pauses::{Pause, Pauses};
use super::pool::IdlePool;
use super::records::{Attempts, RecordLog, Records};
use super::room::Room;
use super::slab::{Slab, Token};
use super::socket::Route;
use super::talk::{Manner, Talk};
use super::transport::{Carrier, Transport};
use super::{Hooks, LoadError, Progress, Run, STOP_GRACE_NS, StopFlag, hold_ns, no_route};

mod apart;
mod ends;
mod reuse;

use self::apart::Apart;
use self::ends::show_overdue;

/// Events that one `epoll_wait` takes. Between two of them, what is due begins.
const EVENTS_MAX: usize = 64;
/// Attempts that begin before events are looked at again, so that neither starves the other.
const BEGIN_MAX: u32 = 32;
/// How often an attempt that waits for room in a Unix server's accept queue calls `connect` again.
const ROOM_RETRY_NS: u64 = 1_000_000;
/// Tokens of the descriptors that are no connections. No slab gets as large as that.
const TIMER_TOKEN: u64 = u64::MAX;
const STOP_TOKEN: u64 = u64::MAX - 1;

/// A load client at work, over one transport.
pub(super) struct Client<'a, H, C: Carrier> {
    carrier: C,
    hooks: &'a mut H,
    progress: &'a Progress,
    stop: &'a StopFlag,
    route: Route,
    share: Share,
    manner: Manner,
    may_be_in_flight: InFlight<'a>,
    pacer: Pacer<'a>,
    epoll: Epoll,
    timer: Timer,
    lead: Lead,
    connections: Slab<Connection<C::Over>>,
    apart: Apart,
    room: Room,
    deadlines: Deadlines,
    pauses: Pauses,
    pool: IdlePool,
    /// Attempts that had to give way to others, and can go on.
    unfinished: VecDeque<Token>,
    /// Attempts that wait for room in a Unix server's accept queue, in the order they came.
    waiting_for_room: VecDeque<Token>,
    /// One for each attempt that has begun.
    records: RecordLog,
    in_flight: u32,
    /// After a stop: until when attempts in flight are waited for.
    cut_off_ns: Option<u64>,
    scratch: Box<[u8; SCRATCH_BYTES]>,
}

impl<'a, H: Hooks, C: Carrier> Client<'a, H, C> {
    pub(super) fn new(run: Run<'a, H>, carrier: C) -> Result<Self, LoadError> {
        let Run { log, plan, script, lot, start_ns, hooks, progress, stop } = run;
        let share = Share::of_limit(lot.part().of())?;
        let route = Route::new(&plan.address, plan.spread).map_err(|errno| no_route(&plan.address, errno))?;
        let route = route.shared_by(plan.clients);
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(setup("epoll"))?;
        let timer = Timer::new().map_err(setup("timer"))?;
        let edge = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        epoll.add(timer.as_fd(), EpollEvent::new(edge, TIMER_TOKEN)).map_err(setup("timer"))?;
        epoll.add(stop, EpollEvent::new(edge, STOP_TOKEN)).map_err(setup("stop flag"))?;
        let idle_max = plan.connection.pool.map_or(0, |pool| pool.idle_max);
        Ok(Self {
            carrier,
            hooks,
            progress,
            stop,
            route,
            share,
            manner: Manner::new(plan.protocol, &script, plan.connection).hold_for(hold_ns(&plan.timeouts)),
            may_be_in_flight: lot.room(&plan.schedule, plan.in_flight_max),
            records: log.of_those(attempts_of(lot, &plan.schedule)),
            pacer: Pacer::new(&plan.schedule, start_ns, lot).at_most(plan.attempts_max()),
            epoll,
            timer,
            lead: Lead::new(),
            connections: Slab::default(),
            apart: Apart::default(),
            room: Room::default(),
            deadlines: Deadlines::new(&plan.timeouts),
            pauses: Pauses::default(),
            pool: IdlePool::new(lot.part().share_of(idle_max)),
            unfinished: VecDeque::new(),
            waiting_for_room: VecDeque::new(),
            in_flight: 0,
            cut_off_ns: None,
            scratch: Box::new([0; SCRATCH_BYTES]),
        })
    }

    pub(super) fn run(mut self) -> Result<Records, LoadError> {
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        loop {
            self.heed_stop();
            self.begin_due();
            self.connect_waiting();
            self.resume_due();
            let now_ns = self.end_overdue();
            if self.in_flight == 0 && self.pacer.next_ns().is_none() {
                return self.records.finish().map_err(LoadError::Records);
            }
            let count = self.wait(now_ns, &mut events)?;
            for event in &events[..count] {
                self.handle(event);
                self.begin_due();
            }
            self.go_on();
        }
    }

    /// Sleeps until something happens or is due; at most `EVENTS_MAX` events are handed over. `now_ns`: a moment ago.
    fn wait(&mut self, now_ns: u64, events: &mut [EpollEvent; EVENTS_MAX]) -> Result<usize, LoadError> {
        let connections = &self.connections;
        let concerns = |token, limit, started_ns| {
            connections.get(token).is_some_and(|it| it.is_subject_to(limit, started_ns))
        };
        let retry_ns = (!self.waiting_for_room.is_empty()).then_some(now_ns + ROOM_RETRY_NS);
        let deadline_ns = self.deadlines.next_ns(concerns);
        // What is due already waits for nothing but its turn.
        let lead = &mut self.lead;
        let awake_ns = self.pacer.next_ns().map(|due_ns| match due_ns > now_ns {
            true => due_ns - lead.ns(now_ns, due_ns),
            false => due_ns,
        });
        let wake_ns = [awake_ns, deadline_ns, self.pauses.next_ns(), retry_ns, self.cut_off_ns];
        let wake_ns = wake_ns.into_iter().flatten().min();
        let timeout = match wake_ns {
            _ if !self.unfinished.is_empty() => EpollTimeout::ZERO,
            Some(wake_ns) if wake_ns <= now_ns => EpollTimeout::ZERO,
            Some(wake_ns) => {
                self.timer.fire_by(wake_ns).map_err(setup("timer"))?;
                EpollTimeout::NONE
            }
            None => EpollTimeout::NONE,
        };
        match self.await_events(events, timeout) {
            Err(Errno::EINTR) => Ok(0),
            result => result.map_err(setup("epoll")),
        }
    }

    fn handle(&mut self, event: &EpollEvent) {
        match event.data() {
            TIMER_TOKEN => self.timer.fired(),
            STOP_TOKEN => {}
            bits => {
                let token = Token::from_bits(bits);
                let happened = event.events();
                let is_over = happened.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP);
                let in_order =
                    happened.contains(EpollFlags::EPOLLRDHUP) && !happened.contains(EpollFlags::EPOLLERR);
                if in_order && let Some(connection) = self.connections.get_mut(token) {
                    connection.note_end();
                }
                if self.proceed(token) && (is_over || C::Over::LAYERED) {
                    // The close came along with the reply, so that no other event will tell of it.
                    self.proceed(token);
                }
            }
        }
    }

    /// Lets those go on that had given way, once each.
    fn go_on(&mut self) {
        for _ in 0..self.unfinished.len() {
            let Some(token) = self.unfinished.pop_front() else { return };
            if self.proceed(token) {
                // The close may have come along with the reply, as an event that is past.
                self.proceed(token);
            }
            self.begin_due();
        }
    }

    fn begin_due(&mut self) {
        for _ in 0..BEGIN_MAX {
            // Without anything to come there is no need to ask for the time.
            if self.pacer.next_ns().is_none() || self.stop.is_stopped() {
                return;
            }
            let now_ns = now_ns();
            let Some(due) = self.pacer.take(now_ns) else { return };
            self.begin(due, now_ns);
        }
    }

    fn begin(&mut self, Due { attempt, intended_ns }: Due, now_ns: u64) {
        self.progress.due.fetch_add(1, Ordering::Relaxed);
        let poison = self.hooks.before_attempt(attempt, now_ns);
        self.records.push(ClientRecord::planned(attempt, intended_ns, poison.is_some()));
        if !self.may_be_in_flight.take(self.in_flight) {
            return self.record_not_sent(attempt, Outcome::NotSent(NotSent::InFlightCap));
        }
        let talk = self.manner.talk(attempt, intended_ns, poison, self.room.for_request());
        if talk.pool().is_some()
            && let Some(token) = self.take_idle(now_ns)
        {
            return self.use_again(token, attempt, talk);
        }
        let talk = if talk.pool().is_some() { self.join(attempt, talk) } else { Some(talk) };
        let Some(talk) = talk else { return };
        match self.route.open(attempt).and_then(|socket| self.share.keep(socket)) {
            Ok(socket) => {
                let reply = self.room.for_reply();
                let transport = self.carrier.over(socket, attempt);
                self.launch(Connection::new(transport, attempt, talk, reply));
            }
            Err(errno) => {
                self.room.take_back_request(talk.into_head());
                self.may_be_in_flight.give_back();
                self.record_not_sent(attempt, outcome_of(errno, At::Socket));
            }
        }
    }

    /// First come, first served: an attempt does not overtake those that wait for room.
    fn launch(&mut self, mut connection: Connection<C::Over>) {
        self.connect_waiting();
        let queues = !self.waiting_for_room.is_empty();
        self.in_flight += 1;
        self.progress.started.fetch_add(1, Ordering::Relaxed);
        self.progress.in_flight.fetch_add(1, Ordering::Relaxed);
        let record = self.records.of(connection.attempt());
        connection.note_carried(record);
        let step = connection.begin(&self.route, record, queues);
        let (started_ns, is_connected) = (connection.started_ns(), connection.is_connected());
        let waits_for_room = connection.waits_for_room();
        let token = self.connections.insert(connection);
        if matches!(step, Step::Wait | Step::Pause(..)) {
            self.deadlines.watch(token, started_ns, is_connected);
        }
        if waits_for_room && matches!(step, Step::Wait) {
            self.waiting_for_room.push_back(token);
        }
        self.settle(token, step);
    }

    /// Lets those that wait for room try again, in order, until one of them finds none.
    fn connect_waiting(&mut self) {
        while let Some(&token) = self.waiting_for_room.front() {
            if self.waits_for_room(token) {
                self.proceed(token);
                if self.waits_for_room(token) {
                    return;
                }
            }
            self.waiting_for_room.pop_front();
        }
    }

    fn waits_for_room(&self, token: Token) -> bool {
        self.connections.get(token).is_some_and(Connection::waits_for_room)
    }

    /// Lets those go on whose pause is over, and watches requests that begin by that.
    fn resume_due(&mut self) {
        if self.pauses.next_ns().is_none() {
            return;
        }
        let now_ns = now_ns();
        while let Some(token) = self.pauses.take(now_ns) {
            let Some(connection) = self.connections.get_mut(token) else { continue };
            let before_ns = connection.started_ns();
            let record = self.records.of(connection.attempt());
            let step = connection.resume(&self.route, record, &mut self.scratch[..]);
            let started_ns = connection.started_ns();
            if started_ns != before_ns {
                self.deadlines.watch(token, started_ns, true);
            }
            self.settle(token, step);
            if matches!(step, Step::Ended(_)) {
                // The server's close may have been reported during the pause, and will not be again.
                self.proceed(token);
            }
        }
    }

    /// Ends those whose time has run out by now, an instant that it gives.
    fn end_overdue(&mut self) -> u64 {
        let now_ns = now_ns();
        loop {
            let connections = &self.connections;
            let concerns = |token, limit, started_ns| {
                connections.get(token).is_some_and(|it| it.is_subject_to(limit, started_ns))
            };
            let Some((token, limit)) = self.deadlines.take(now_ns, concerns) else { return now_ns };
            let started_ns = self.connections.get(token).map_or(0, Connection::started_ns);
            // What came in time counts, even if its event has not been handled yet.
            self.hear_out(token);
            let is_overdue = |it: &&Connection<C::Over>| it.is_subject_to(limit, started_ns);
            if let Some(connection) = self.connections.get(token).filter(is_overdue) {
                show_overdue(self.hooks, connection);
                let end = connection.timed_out();
                connection.note_retransmits(&self.route, self.records.of(connection.attempt()));
                self.settle(token, if connection.lingers() { Step::Closed } else { Step::Ended(end) });
            }
        }
    }

    fn heed_stop(&mut self) {
        match self.cut_off_ns {
            None if self.stop.is_stopped() => {
                self.pacer.stop();
                self.cut_off_ns = Some(now_ns() + STOP_GRACE_NS);
            }
            Some(cut_off_ns) if cut_off_ns <= now_ns() => {
                for token in self.connections.keys().collect::<Vec<_>>() {
                    self.hear_out(token);
                    if let Some(connection) = self.connections.get(token).filter(|it| !it.is_clear()) {
                        show_overdue(self.hooks, connection);
                        let end = connection.stopped();
                        self.settle(token, Step::Ended(end));
                    }
                }
            }
            _ => {}
        }
    }

    /// Lets a connection go on as far as it can, whoever else waits.
    fn hear_out(&mut self, token: Token) {
        self.proceed(token);
        while self.connections.get(token).is_some_and(Connection::has_unheard) {
            self.proceed(token);
        }
    }

    /// Lets a connection go on as far as it can, if it is still there. Says whether its outcome became
    /// clear.
    fn proceed(&mut self, token: Token) -> bool {
        let Some(connection) = self.connections.get_mut(token) else { return false };
        let record = self.records.of(connection.attempt());
        let step = connection.advance(&self.route, record, &mut self.scratch[..]);
        let is_clear = matches!(step, Step::Ended(_) | Step::Pause(Pause::Rest, _));
        self.settle(token, step);
        is_clear
    }

    /// Draws the consequences of a step.
    fn settle(&mut self, token: Token, step: Step) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        if let Some(request) = connection.take_request_record() {
            self.hooks.after_request(&request);
        }
        if connection.take_held_back() {
            self.hooks.held_back(connection.attempt(), connection.transport().as_fd());
        }
        if let Step::Pause(pause, until_ns) = step {
            self.pauses.begin(pause, until_ns, token);
        }
        match step {
            Step::Yield => self.unfinished.push_back(token),
            Step::Wait | Step::Pause(..) => {
                // Unwatched it could never go on, so that a refusal ends the attempt.
                if let Err(errno) = self.watch(token) {
                    self.fail(token, errno);
                }
            }
            Step::Closed => self.let_go_for_good(token),
            Step::Ended(end) if connection.is_to_be_retried(&end) && self.retry(token, &end) => {}
            Step::Ended(end) => {
                let Some(connection) = self.connections.get_mut(token) else { return };
                let end = connection.end_of(end, self.records.of(connection.attempt()));
                let (attempt, answered) = (connection.attempt(), connection.answered());
                if let Some(until_ns) = end.reusable_ns {
                    let has_room = self.pool.put(token, until_ns);
                    if has_room { connection.idle() } else { connection.not_used_again(Afterwards::Surplus) }
                }
                connection.note_ending(self.records.of(attempt));
                let freed_ns = if connection.was_owed() { now_ns() } else { end.at_ns };
                if end.outcome.is_mistaken()
                    && let Some(said) = self.hooks.said()
                {
                    self.records.of(attempt).said = said.keep(&connection.said());
                }
                if let Some(shown) = connection.transport().shown(|shown| {
                    let kept = |shown: &[u8]| self.hooks.certificates()?.keep(shown);
                    (shown.certificate.and_then(kept), shown.is_resumed)
                }) {
                    let record = self.records.of(attempt);
                    (record.certificate, record.resumed) = shown;
                }
                // Likewise, there is no waiting for a close that nobody would notice.
                let stays = end.lingers || connection.is_idle_in_pool();
                if !stays || self.watch(token).is_err() {
                    self.let_go(token);
                }
                self.in_flight -= 1;
                self.may_be_in_flight.give_back();
                self.progress.in_flight.fetch_sub(1, Ordering::Relaxed);
                self.record_end(attempt, end, answered, freed_ns);
                if !self.connections.contains_key(token) {
                    self.records.is_over(attempt);
                }
            }
        }
    }
}

/// Of which attempts a client with this lot has records.
fn attempts_of(lot: Lot<'_>, schedule: &Schedule) -> Attempts {
    match (lot, schedule) {
        (Lot::Whole, _) => Attempts::All,
        (Lot::One(part, _), Schedule::Fixed(_)) => Attempts::Turns(part),
        (Lot::One(..), Schedule::Sequential { .. } | Schedule::Closed { .. }) => Attempts::Some,
    }
}

fn setup(what: &'static str) -> impl Fn(Errno) -> LoadError {
    move |errno| LoadError::Setup { what, errno }
}
