//! What a load thread does just before it sends an attempt: hands out poison, and says that an
//! attempt is due with which another fault strikes. Of several such threads each has hooks of its own.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdline_contract::clock::now_ns;
use holdline_contract::control::ControlPage;
use holdline_model::arrivals::Schedule;
use holdline_model::conductor::{Event, Hit};
use holdline_model::hindrance::Hindrance;
use holdline_model::part::Part;
use holdline_model::record::{ClientRecord, RequestRecord};
use holdline_model::said::Said;
use holdline_model::scenario::Connection;
use holdline_model::secrets::Secrets;
use holdline_model::tls::Certificates;
use holdline_model::wire::Poison;
use holdline_model::words::CrashStep;
use tokio::sync::mpsc::UnboundedSender;

use super::hands::hindered::own;
use super::record::Told;
use crate::kernel::acceptor::Search;
use crate::kernel::custody::Handover;
use crate::load::Hooks;

/// When a fault is due that strikes with an attempt.
#[derive(Debug, Clone)]
pub(super) enum Due {
    /// With this attempt.
    Attempt(u32),
    /// With the first attempt that asks for anything at or after this instant, in CLOCK_MONOTONIC
    /// nanoseconds; `u64::MAX` for as long as it is not known, and once an attempt has taken it on.
    Instant(Arc<AtomicU64>),
}

impl Due {
    /// Whether it is due with an attempt, which takes it on by that: no other has it, whichever thread makes it.
    fn take(&self, attempt: u32, now_ns: u64) -> bool {
        match self {
            Self::Attempt(number) => *number == attempt,
            Self::Instant(at_ns) => {
                let due_ns = at_ns.load(Ordering::Acquire);
                due_ns <= now_ns
                    && at_ns.compare_exchange(due_ns, u64::MAX, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            }
        }
    }
}

/// A fault that strikes with an attempt.
#[derive(Debug, Clone)]
pub(super) struct AttemptFault {
    /// Its index in the scenario.
    pub(super) fault: usize,
    /// When it is due.
    pub(super) due: Due,
    /// What the attempt carries; `None`: the conductor orders it.
    pub(super) poison: Option<Poison>,
}

impl AttemptFault {
    /// Whether it can strike with an attempt that is made by a part of the load: of a schedule that is fixed it is known
    /// who makes which.
    pub(super) fn can_strike_in(&self, part: Part, schedule: &Schedule) -> bool {
        match (&self.due, schedule) {
            (Due::Attempt(number), Schedule::Fixed(_)) => part.has_turn(*number),
            (Due::Attempt(_), Schedule::Sequential { .. } | Schedule::Closed { .. })
            | (Due::Instant(_), _) => true,
        }
    }
}

/// The most requests that room is kept for beforehand: so many take 32 MiB. Beyond that, to grow moves pages
/// and not bytes (mremap(2)).
const ROOM_MAX: u64 = 1 << 20;
/// How many attempts are reckoned with where the schedule does not know.
const ATTEMPTS_UNKNOWN: u64 = 1 << 16;

/// A load thread's side of fault injection.
#[derive(Debug)]
pub(super) struct FaultHooks {
    pending: Vec<AttemptFault>,
    connection: Connection,
    control: Arc<ControlPage>,
    events: UnboundedSender<Told>,
    requests: Vec<RequestRecord>,
    custody: Handover,
    said: Said,
    certificates: Certificates,
    /// Where whoever has an attempt is looked for, where poison has to be done without.
    search: Option<Search>,
    /// Faults and their attempts whose worker is to be killed and was not looked for yet.
    held: Vec<(usize, u32)>,
}

impl FaultHooks {
    pub(super) fn new(
        pending: Vec<AttemptFault>,
        connection: Connection,
        control: Arc<ControlPage>,
        events: UnboundedSender<Told>,
        custody: Handover,
    ) -> Self {
        Self {
            pending,
            connection,
            control,
            events,
            requests: Vec::new(),
            custody,
            said: Said::with_room(),
            certificates: Certificates::default(),
            search: None,
            held: Vec::new(),
        }
    }

    /// Has whoever has an attempt killed by those who search, in place of poison.
    pub(super) fn killing_by(self, search: Option<Search>) -> Self {
        Self { search, ..self }
    }

    /// Takes out the fault that waits for this attempt.
    fn take_held(&mut self, attempt: u32) -> Option<usize> {
        let index = self.held.iter().position(|(_, held)| *held == attempt)?;
        Some(self.held.swap_remove(index).0)
    }

    /// Keeps room for what is recorded while the load runs: for so many attempts, if it is known how many,
    /// of so many requests each.
    pub(super) fn make_room(&mut self, attempts: Option<u64>, requests_each: u32) {
        self.requests.reserve(room_for(attempts, requests_each));
    }

    /// The requests that were answered, of connections that carry several or are slow, what servers
    /// said instead of the answer, and the certificates that they showed.
    pub(super) fn into_parts(mut self, secrets: &Secrets) -> (Vec<RequestRecord>, Said, Certificates) {
        self.said.hide(secrets);
        (self.requests, self.said, self.certificates)
    }

    /// Takes out the first pending fault that strikes with this attempt. An attempt carries at
    /// most one poison; what else is due goes with the next one.
    fn take_due(&mut self, attempt: u32, now_ns: u64, carries: bool) -> Option<AttemptFault> {
        let is_due =
            |fault: &AttemptFault| fault.poison.is_some() == carries && fault.due.take(attempt, now_ns);
        let index = self.pending.iter().position(is_due)?;
        Some(self.pending.swap_remove(index))
    }
}

fn room_for(attempts: Option<u64>, requests_each: u32) -> usize {
    let requests = attempts.unwrap_or(ATTEMPTS_UNKNOWN).saturating_mul(requests_each.into());
    usize::try_from(requests.min(ROOM_MAX)).unwrap_or(0)
}

impl Hooks for FaultHooks {
    fn before_attempt(&mut self, attempt: u32, now_ns: u64) -> Option<Poison> {
        if self.pending.is_empty() {
            return None;
        }
        while let Some(fault) = self.take_due(attempt, now_ns, false) {
            let _ = self.events.send((now_ns, Event::AttemptDue { fault: fault.fault, attempt }));
        }
        if self.connection.is_silent(attempt) {
            return None;
        }
        let fault = self.take_due(attempt, now_ns, true)?;
        let poison = fault.poison?;
        if self.search.is_some() {
            self.held.push((fault.fault, attempt));
            let _ = self.events.send((now_ns, Event::HeldBack { fault: fault.fault, attempt }));
            return Some(poison);
        }
        let armed = match poison.step {
            // The worker fails before it reads, so it must know beforehand which attempt it is.
            CrashStep::Accept => self.control.arm_accept(attempt, poison.mode).map_err(|e| own(&e)),
            CrashStep::Boot
            | CrashStep::Idle
            | CrashStep::Read
            | CrashStep::Work
            | CrashStep::Reply
            | CrashStep::Close
            | CrashStep::Drain => Ok(()),
        };
        let Poison { step, mode } = poison;
        let event = Event::Poisoned { fault: fault.fault, attempt, step, mode, error: armed.err() };
        let _ = self.events.send((now_ns, event));
        Some(poison)
    }

    fn after_request(&mut self, request: &RequestRecord) {
        self.requests.push(*request);
    }

    fn overdue(&mut self, attempt: u32, socket: BorrowedFd<'_>, sent: u64) {
        self.custody.give(attempt, socket, sent);
    }

    fn said(&mut self) -> Option<&mut Said> {
        Some(&mut self.said)
    }

    fn certificates(&mut self) -> Option<&mut Certificates> {
        Some(&mut self.certificates)
    }

    fn held_back(&mut self, attempt: u32, socket: BorrowedFd<'_>) {
        let Some(fault) = self.take_held(attempt) else { return };
        if !self.search.as_ref().is_some_and(|search| search.give(fault, attempt, socket)) {
            let error = Some(Hindrance::NoDescriptor);
            let event = Event::Fault { fault, hit: Hit::Failed, pids: Vec::new(), error };
            let _ = self.events.send((now_ns(), event));
        }
    }

    fn after_attempt(&mut self, record: &ClientRecord) {
        if self.held.is_empty() {
            return;
        }
        // It ended before all but its end was sent: refused, for instance.
        if let Some(fault) = self.take_held(record.attempt) {
            let event = Event::Fault { fault, hit: Hit::Nobody, pids: Vec::new(), error: None };
            let _ = self.events.send((now_ns(), event));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use holdline_model::words::CrashMode;

    use super::*;

    const POISON: Poison = Poison { step: CrashStep::Work, mode: CrashMode::Panic };

    #[test]
    fn what_is_due_at_an_instant_is_taken_on_once_by_whichever_thread() {
        for _ in 0..200 {
            let due = Due::Instant(Arc::new(AtomicU64::new(1_000)));
            assert!(!due.take(7, 999));
            let taken = thread::scope(|scope| {
                let due = &due;
                let threads: Vec<_> =
                    (0..3).map(|attempt| scope.spawn(move || due.take(attempt, 1_000))).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().expect("a look"))
                    .filter(|taken| *taken)
                    .count()
            });
            assert_eq!(taken, 1);
            assert!(!due.take(9, u64::MAX - 1));
        }
    }

    #[test]
    fn what_is_due_with_an_attempt_is_for_whoever_may_make_it() {
        let parts: Vec<Part> = Part::all(3).collect();
        let fault = |due| AttemptFault { fault: 0, due, poison: Some(POISON) };
        let can = |due: Due, schedule: &Schedule| {
            let fault = fault(due);
            parts.iter().map(|part| fault.can_strike_in(*part, schedule)).collect::<Vec<_>>()
        };
        let fixed = Schedule::Fixed(vec![0; 9]);
        let closed = Schedule::Closed { clients: 3, until: holdline_model::scenario::Until::Attempts(9) };
        assert_eq!(can(Due::Attempt(7), &fixed), [false, true, false]);
        assert_eq!(can(Due::Attempt(7), &closed), [true; 3]);
        assert_eq!(can(Due::Instant(Arc::default()), &fixed), [true; 3]);
    }

    #[test]
    fn room_is_kept_for_all_requests_up_to_a_bound() {
        assert_eq!(room_for(Some(200), 3), 600);
        assert_eq!(room_for(None, 1), 65_536);
        for (attempts, requests) in [(None, 10_000), (Some(u64::MAX), 2)] {
            assert_eq!(room_for(attempts, requests) * size_of::<RequestRecord>(), 32 << 20);
        }
    }
}
