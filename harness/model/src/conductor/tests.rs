use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::answer::{Answer, NotAsked};
use crate::exit::Exit;
use crate::reason::Reason;
use crate::record::NotSent;
use crate::scenario::arrivals::Schedule;
use crate::words::{CrashMode, CrashStep};

const MS: u64 = 1_000_000;
const START: u64 = 1_000 * MS;

/// A conductor of a load of 1 s with these faults, each a line of a scenario file.
fn conductor(faults: &[&str]) -> Conductor {
    let faults: Vec<String> = faults.iter().map(|fault| format!("[[fault]]\n{fault}\n")).collect();
    let text = format!(
        "name = \"x\"\nasks = \"?\"\n[load]\narrivals = {{ constant = \"100/s\" }}\nduration = \"1s\"\n{}",
        faults.concat()
    );
    let scenario = crate::scenario::parse(&text, "x.toml").unwrap_or_else(|error| panic!("{text}\n{error}"));
    let schedule = Schedule::Fixed((0..100).map(|attempt| attempt * 10 * MS).collect());
    Conductor::new(&scenario, Moments::of(&scenario, &schedule, START))
}

fn struck(fault: usize) -> Event {
    Event::Fault { fault, hit: Hit::Struck, pids: vec![7], error: None }
}

/// A supervisor and one worker that can accept.
fn sighted(fault: usize) -> Event {
    let worker = SeenWorker { pid: 7, standing: Standing::Ready };
    let seen = Sighting { supervisor: Some(4), workers: vec![worker], known_by: KnownBy::Ledger };
    Event::Sighted { fault, seen }
}

/// What is ordered at an instant, once it was looked who there is.
fn wake(c: &mut Conductor, now_ns: u64) -> Vec<Order> {
    let orders = c.wake(now_ns);
    let after = |order: Order| match order {
        Order::Look { fault, .. } => c.tell(now_ns, &sighted(fault)),
        order => vec![order],
    };
    orders.into_iter().flat_map(after).collect()
}

fn states(conductor: &Conductor) -> Vec<State> {
    conductor.states().collect()
}

/// The end of a load whose last request was due at its end, and was served.
const SERVED: Event =
    Event::LoadEnded { last: Some(LastRequest { due_ns: START + 990 * MS, served: true, any_served: true }) };
/// And was not.
const LOST: Event = Event::LoadEnded {
    last: Some(LastRequest { due_ns: START + 990 * MS, served: false, any_served: true }),
};

const KILL: &str = "at = \"100ms\"\nsignal = { to = \"worker\", name = \"KILL\" }";
const PAUSE: &str = "at = \"100ms\"\npause = { whom = \"workers\", for = \"50ms\" }";

#[test]
fn a_kill_is_ordered_when_it_is_due_and_is_over_as_soon_as_it_struck() {
    let mut c = conductor(&[KILL]);
    assert_eq!(c.wake_at(), Some(START + 100 * MS));
    assert!(wake(&mut c, START + 99 * MS).is_empty());
    let orders = wake(&mut c, START + 101 * MS);
    assert!(matches!(orders[..], [Order::Signal { fault: 0, .. }]), "{orders:?}");
    assert_eq!(c.wake_at(), None);
    assert!(c.tell(START + 102 * MS, &Event::Signalled { fault: 0, pid: 7 }).is_empty());
    assert!(c.tell(START + 103 * MS, &struck(0)).is_empty());
    assert_eq!(states(&c), [State::Final(End::Over)]);
    assert_eq!(c.end(), [Order::Count]);
    let (facts, deaths) = c.into_facts(|_| false);
    assert_eq!((facts.faults.len(), facts.faults[0].at_ns), (1, START + 101 * MS));
    assert_eq!((deaths.len(), deaths[0].at_ns), (1, START + 102 * MS));
    assert_eq!((facts.environment, facts.notes.as_slice()), (None, [].as_slice()));
}

#[test]
fn whoever_is_killed_in_place_of_poison_is_known_and_those_behind_it_go_on() {
    let poison = "at = { attempt = 5 }\npoison = { step = \"work\", mode = \"panic\" }";
    let mut c = conductor(&[poison, "at = { after = 0 }\ncontrol = \"restart\""]);
    c.tell(START + 50 * MS, &Event::HeldBack { fault: 0, attempt: 5 });
    assert!(matches!(states(&c)[..], [State::Due { .. }, State::Waits(None)]));
    let killed = Event::HolderKilled { fault: 0, attempt: 5, pid: 7, supervises: true };
    c.tell(START + 60 * MS, &killed);
    assert_eq!(states(&c), [State::Final(End::Over), State::Waits(Some(START + 60 * MS))]);
    // Once is enough.
    assert!(c.tell(START + 61 * MS, &killed).is_empty());
    c.end();
    let (facts, deaths) = c.into_facts(|_| false);
    assert_eq!((facts.faults[0].poison, facts.faults[0].killed, facts.faults.len()), (Some(5), true, 1));
    assert_eq!((deaths.len(), deaths[0].pid, deaths[0].had), (1, 7, Some(5)));
    assert!(matches!(facts.notes[0], Note::KilledInstead { attempt: 5, pid: 7, supervises: true, .. }));
}

#[test]
fn one_that_nobody_had_is_noted() {
    let mut c = conductor(&["at = { attempt = 5 }\npoison = { step = \"work\", mode = \"panic\" }"]);
    c.tell(START + 50 * MS, &Event::HeldBack { fault: 0, attempt: 5 });
    c.tell(START + 60 * MS, &Event::Fault { fault: 0, hit: Hit::Nobody, pids: vec![], error: None });
    let (facts, deaths) = c.into_facts(|_| false);
    assert_eq!((facts.faults[0].poison, deaths.len()), (Some(5), 0));
    assert!(matches!(facts.notes[0], Note::NobodyHadIt { attempt: 5, .. }));
}

#[test]
fn a_fault_that_hits_nobody_is_noted_and_those_behind_it_go_on() {
    let mut c = conductor(&[KILL, "at = { after = 0 }\ncontrol = \"restart\""]);
    wake(&mut c, START + 100 * MS);
    let nobody = Event::Fault { fault: 0, hit: Hit::Nobody, pids: vec![], error: None };
    c.tell(START + 100 * MS, &nobody);
    assert_eq!(states(&c), [State::Final(End::HitNobody), State::Waits(Some(START + 100 * MS))]);
    assert!(matches!(wake(&mut c, START + 100 * MS)[..], [Order::Ask { fault: 1, .. }]));
    c.tell(START + 100 * MS, &struck(1));
    c.tell(START + 200 * MS, &SERVED);
    assert!(wake(&mut c, START + 200 * MS).is_empty());
    assert!(!c.is_over());
    c.tell(START + 300 * MS, &Event::ControlDone { fault: 1, error: None });
    assert_eq!(wake(&mut c, START + 300 * MS), [Order::Count]);
    assert!(c.is_over());
    c.end();
    let (facts, _) = c.into_facts(|_| false);
    assert_eq!(facts.environment, None);
    assert!(matches!(facts.notes[..], [Note::HitNobody { fault: 1, .. }]), "{:?}", facts.notes);
}

#[test]
fn a_pause_is_undone_when_its_time_is_over_and_else_when_the_trial_ends() {
    let mut c = conductor(&[PAUSE, "at = \"120ms\"\npause = { whom = \"workers\" }"]);
    wake(&mut c, START + 100 * MS);
    c.tell(START + 100 * MS, &struck(0));
    assert_eq!(c.wake_at(), Some(START + 120 * MS));
    wake(&mut c, START + 120 * MS);
    c.tell(START + 120 * MS, &struck(1));
    assert_eq!(c.wake_at(), Some(START + 150 * MS));
    assert_eq!(
        wake(&mut c, START + 150 * MS),
        [Order::Heal { fault: 0, why: Why::TimeOver, resume: vec![] }]
    );
    c.tell(START + 151 * MS, &Event::Healed { fault: 0, unused: false });
    let last = Order::Heal { fault: 1, why: Why::TrialEnds, resume: vec![7] };
    assert_eq!(c.end(), [Order::Count, last], "who is held twice goes on with the last");
    c.tell(START + 999 * MS, &Event::Healed { fault: 1, unused: false });
    assert_eq!(states(&c), [State::Final(End::Over); 2]);
    let (facts, _) = c.into_facts(|_| false);
    assert_eq!(facts.faults[0].done_ns, Some(START + 151 * MS));
}

#[test]
fn who_stays_stopped_is_known_before_anybody_goes_on() {
    let mut c = conductor(&[PAUSE, "at = \"120ms\"\npause = { whom = \"workers\" }"]);
    wake(&mut c, START + 100 * MS);
    c.tell(START + 100 * MS, &struck(0));
    wake(&mut c, START + 120 * MS);
    assert!(wake(&mut c, START + 150 * MS).is_empty(), "what became of the other is not known");
    assert_eq!(c.wake_at(), None);
    c.tell(START + 151 * MS, &Event::Fault { fault: 1, hit: Hit::Nobody, pids: vec![], error: None });
    let heal = Order::Heal { fault: 0, why: Why::TimeOver, resume: vec![7] };
    assert_eq!(wake(&mut c, START + 151 * MS), [heal]);
}

#[test]
fn who_was_stopped_by_a_fault_that_failed_with_others_goes_on_at_once() {
    let mut c = conductor(&[PAUSE]);
    wake(&mut c, START + 100 * MS);
    let failed =
        Event::Fault { fault: 0, hit: Hit::Failed, pids: vec![7], error: Some(Hindrance::NoDescriptor) };
    let heal = Order::Heal { fault: 0, why: Why::Failed, resume: vec![7] };
    assert!(c.tell(START + 100 * MS, &failed).is_empty());
    assert_eq!(c.wake_at(), Some(START + 100 * MS));
    assert_eq!(wake(&mut c, START + 100 * MS), [heal]);
    c.tell(START + 101 * MS, &Event::Healed { fault: 0, unused: false });
    assert_eq!(states(&c), [State::Final(End::Failed)]);
    c.end();
    assert!(matches!(c.into_facts(|_| false).0.environment, Some(Reason::FaultFailed { fault: 1, .. })));
}

#[test]
fn a_fault_fails_where_it_is_not_known_who_the_workers_are() {
    let mut c = conductor(&[KILL]);
    assert!(matches!(c.wake(START + 100 * MS)[..], [Order::Look { fault: 0, .. }]));
    let seen = Sighting { supervisor: Some(4), workers: vec![], known_by: KnownBy::Listener };
    assert!(c.tell(START + 100 * MS, &Event::Sighted { fault: 0, seen }).is_empty());
    assert_eq!(states(&c), [State::Final(End::Failed)]);
    c.end();
    assert!(matches!(c.into_facts(|_| false).0.environment, Some(Reason::FaultFailed { fault: 1, .. })));
}

#[test]
fn poison_behind_a_fault_is_handed_out_with_its_instant_as_soon_as_that_is_over() {
    let mut c = conductor(&[
        PAUSE,
        "at = { after = 0, delay = \"20ms\" }\npoison = { step = \"work\", mode = \"panic\" }",
    ]);
    wake(&mut c, START + 100 * MS);
    c.tell(START + 100 * MS, &struck(0));
    wake(&mut c, START + 150 * MS);
    let orders = c.tell(START + 151 * MS, &Event::Healed { fault: 0, unused: false });
    assert_eq!(orders, [Order::HandOut { fault: 1, due_ns: START + 171 * MS }]);
    let poisoned =
        Event::Poisoned { fault: 1, attempt: 18, step: CrashStep::Work, mode: CrashMode::Panic, error: None };
    c.tell(START + 180 * MS, &poisoned);
    c.end();
    let (facts, _) = c.into_facts(|attempt| attempt == 18);
    assert_eq!(facts.faults[1].poison, Some(18));
    assert_eq!(facts.environment, Some(Reason::PoisonNotSent { attempt: 18 }));
}

#[test]
fn failing_starts_are_armed_beforehand_and_noted_where_no_worker_comes_to_them() {
    let mut c = conductor(&["at = \"0s\"\ncrash = { step = \"boot\", mode = \"exit\", times = 2 }"]);
    assert_eq!(c.armed().collect::<Vec<_>>(), [0]);
    c.tell(START + 900 * MS, &SERVED);
    assert_eq!(wake(&mut c, START + 900 * MS), [Order::Count]);
    assert!(c.is_over());
    assert_eq!(c.end(), [Order::Heal { fault: 0, why: Why::TrialEnds, resume: vec![] }]);
    c.tell(START + 900 * MS, &Event::Healed { fault: 0, unused: true });
    assert_eq!(states(&c), [State::Final(End::HitNobody)]);
    let (facts, _) = c.into_facts(|_| false);
    assert!(matches!(facts.notes[..], [Note::NobodyCame { fault: 1, step: CrashStep::Boot, .. }]));
}

#[test]
fn what_a_supervisor_was_asked_for_that_was_killed_before_is_noted() {
    let ask = "at = \"100ms\"\ncontrol = \"restart\"";
    let kill = |ms: u64| format!("at = \"{ms}ms\"\nsignal = {{ to = \"supervisor\", name = \"KILL\" }}");
    let failed = |after_ms: u64, hit: Hit| {
        let kill = kill(after_ms);
        let mut c = conductor(&[ask, &kill]);
        wake(&mut c, START + 100 * MS);
        c.tell(START + 100 * MS, &struck(0));
        wake(&mut c, START + after_ms * MS);
        let done = Event::ControlDone { fault: 0, error: Some(Hindrance::NoDescriptor) };
        c.tell(START + 150 * MS, &done);
        // Whoever kills may tell of it later.
        if hit == Hit::Struck {
            c.tell(START + after_ms * MS, &Event::Signalled { fault: 1, pid: 9 });
        }
        c.tell(START + after_ms * MS, &Event::Fault { fault: 1, hit, pids: vec![], error: None });
        c.end();
        let (facts, _) = c.into_facts(|_| false);
        let is_noted = |note: &Note| matches!(note, Note::AskFailed { fault: 1, killed: 2, .. });
        (facts.environment.is_some(), facts.notes.iter().any(is_noted))
    };
    assert_eq!(failed(120, Hit::Struck), (false, true));
    assert_eq!(failed(120, Hit::Nobody), (true, false), "it killed nobody");
    assert_eq!(failed(160, Hit::Struck), (true, false), "it had failed before");
}

#[test]
fn what_waits_for_a_fault_that_is_not_over_is_noted_and_what_was_never_due_decides() {
    let follower = "at = { after = 0 }\ncontrol = \"restart\"";
    let mut c = conductor(&["at = \"100ms\"\ncrash = { step = \"drain\", mode = \"kill\" }", follower]);
    wake(&mut c, START + 100 * MS);
    c.tell(START + 100 * MS, &struck(0));
    c.tell(START + 999 * MS, &SERVED);
    for fault in c.end().iter().filter_map(Order::fault) {
        c.tell(START + 999 * MS, &Event::Healed { fault, unused: true });
    }
    let (facts, _) = c.into_facts(|_| false);
    assert!(facts.notes.iter().any(|note| matches!(note, Note::NeverStruck { fault: 2, waited_for: 1, .. })));
    assert_eq!(facts.environment, None);
    let mut c = conductor(&[KILL]);
    c.tell(START + 50 * MS, &SERVED);
    wake(&mut c, START + 50 * MS);
    assert!(!c.is_over(), "it is due within the load's length");
    c.end();
    let (facts, _) = c.into_facts(|_| false);
    assert!(matches!(facts.environment, Some(Reason::FaultNeverDue { fault: 1, .. })));
}

#[test]
fn an_early_stop_ends_the_load_once_and_strikes_nothing_more() {
    let mut c = conductor(&[KILL]);
    assert_eq!(c.tell(START + 10 * MS, &Event::StopAsked), [Order::StopLoad]);
    assert!(c.tell(START + 11 * MS, &Event::StopAsked).is_empty());
    assert_eq!(c.wake_at(), None);
    assert!(wake(&mut c, START + 500 * MS).is_empty());
    c.tell(START + 20 * MS, &LOST);
    assert_eq!(wake(&mut c, START + 20 * MS), [Order::Count]);
    assert!(c.is_over(), "what is interrupted is not watched");
    c.end();
    assert_eq!(c.into_facts(|_| false).0.environment, Some(Reason::Interrupted));
}

#[test]
fn what_could_not_be_injected_or_failed_makes_the_trial_inconclusive() {
    let mut c = conductor(&[KILL]);
    wake(&mut c, START + 100 * MS);
    let failed =
        Event::Fault { fault: 0, hit: Hit::Failed, pids: vec![], error: Some(Hindrance::NoDescriptor) };
    c.tell(START + 100 * MS, &failed);
    c.end();
    assert!(matches!(c.into_facts(|_| false).0.environment, Some(Reason::FaultFailed { fault: 1, .. })));
}

/// A watch that began at the end of a load of 1 s, and has asked for the first time.
fn watched(faults: &[&str]) -> Conductor {
    let mut c = conductor(faults);
    wake(&mut c, START + 100 * MS);
    c.tell(START + 100 * MS, &struck(0));
    c.tell(START + 1_000 * MS, &LOST);
    assert_eq!(wake(&mut c, START + 1_000 * MS), [Order::Count]);
    assert!(c.is_watching() && !c.is_over());
    assert_eq!(c.wake_at(), Some(START + 1_000 * MS + 1), "as soon as what is counted was counted");
    assert_eq!(wake(&mut c, START + 1_000 * MS + 1), [Order::Request]);
    c
}

/// Since when the service was back, from the load's start, and how long the watch lasted, in milliseconds.
fn found(mut c: Conductor) -> (Option<Found>, Option<u64>) {
    assert!(c.is_over() && !c.is_watching());
    c.end();
    let watched = c.into_facts(|_| false).0.watched;
    let lasted_ms = watched.as_ref().map(|watched| watched.lasted_ns() / MS);
    (watched.map(|watched| watched.found), lasted_ms)
}

#[test]
fn a_service_that_is_not_back_is_asked_now_and_then_until_it_is() {
    let mut c = watched(&[KILL]);
    c.tell(START + 1_001 * MS, &Event::Answered { answer: Answer::Refused });
    assert_eq!(c.wake_at(), Some(START + 1_101 * MS));
    assert!(wake(&mut c, START + 1_100 * MS).is_empty());
    assert_eq!(wake(&mut c, START + 1_101 * MS), [Order::Request]);
    assert!(wake(&mut c, START + 1_300 * MS).is_empty(), "one after the other");
    c.tell(START + 1_400 * MS, &Event::Answered { answer: Answer::Served { waited_ns: 3 * MS } });
    assert_eq!(found(c), (Some(Found::Back { at_ns: START + 1_397 * MS }), Some(400)));
}

#[test]
fn a_service_that_answers_late_is_back_once_it_has_answered() {
    let mut c = watched(&[KILL]);
    c.tell(START + 1_400 * MS, &Event::Answered { answer: Answer::Late { waited_ns: 300 * MS } });
    assert_eq!(found(c), (Some(Found::Back { at_ns: START + 1_400 * MS }), Some(400)));
}

#[test]
fn patience_counts_from_the_loads_end_and_is_not_prolonged_by_a_request_under_way() {
    let mut c = watched(&[KILL]);
    c.tell(START + 1_001 * MS, &Event::Answered { answer: Answer::Refused });
    assert_eq!(wake(&mut c, START + 6_000 * MS), [Order::Request]);
    assert_eq!(c.wake_at(), Some(START + 11_000 * MS));
    assert!(wake(&mut c, START + 11_000 * MS).is_empty());
    assert_eq!(found(c), (Some(Found::NotBack { last: Some(Answer::Refused) }), Some(10_000)));
}

#[test]
fn a_watch_ends_at_once_where_nothing_is_left_or_the_user_asks_for_it() {
    let mut c = watched(&[KILL]);
    c.tell(START + 1_001 * MS, &Event::NothingLeft);
    assert_eq!(found(c), (Some(Found::NothingLeft), Some(1)));
    let mut c = watched(&[KILL]);
    assert!(c.tell(START + 1_500 * MS, &Event::StopAsked).is_empty(), "the load has ended");
    c.end();
    let (facts, _) = c.into_facts(|_| false);
    assert_eq!(facts.environment, Some(Reason::WatchInterrupted));
}

#[test]
fn who_cannot_ask_cannot_tell() {
    let mut c = watched(&[KILL]);
    c.tell(
        START + 1_001 * MS,
        &Event::Answered { answer: Answer::NotAsked { cause: NotAsked::Lacks(NotSent::Descriptors) } },
    );
    wake(&mut c, START + 12_000 * MS);
    assert_eq!(found(c).0, Some(Found::Unasked { cause: NotAsked::Lacks(NotSent::Descriptors) }));
}

#[test]
fn where_the_load_has_shown_the_end_there_is_no_watch() {
    let end = |faults: &[&str], event: &Event| {
        let mut c = conductor(faults);
        wake(&mut c, START + 100 * MS);
        c.tell(START + 100 * MS, &struck(0));
        c.tell(START + 1_000 * MS, event);
        assert_eq!(wake(&mut c, START + 1_000 * MS), [Order::Count]);
        c.is_watching()
    };
    assert!(!end(&[KILL], &SERVED));
    assert!(!end(&[], &SERVED));
    assert!(end(&[], &LOST), "it may have ended all by itself");
    let never = LastRequest { due_ns: START + 990 * MS, served: false, any_served: false };
    assert!(!end(&[], &Event::LoadEnded { last: Some(never) }), "who never served cannot come back");
    let before = Event::LoadEnded {
        last: Some(LastRequest { due_ns: START + 90 * MS, served: true, any_served: true }),
    };
    assert!(end(&[KILL], &before), "nothing was due after the fault");
    assert!(end(&[KILL], &Event::LoadEnded { last: None }));
    let mut c = conductor(&[]);
    c.tell(START, &Event::StopAsked);
    c.end();
    assert_eq!(c.into_facts(|_| false).0.watched, None);
}

#[test]
fn a_fault_that_lasts_is_undone_at_its_time_also_during_the_watch() {
    let pause = "at = \"100ms\"\npause = { whom = \"workers\", for = \"2s\" }";
    let mut c = watched(&[pause]);
    c.tell(START + 1_001 * MS, &Event::Answered { answer: Answer::Refused });
    let orders = wake(&mut c, START + 2_100 * MS);
    let heal = Order::Heal { fault: 0, why: Why::TimeOver, resume: vec![7] };
    assert_eq!(orders, [heal, Order::Request]);
    c.tell(START + 2_100 * MS, &Event::Healed { fault: 0, unused: false });
    assert_eq!(states(&c), [State::Final(End::Over)]);
}

const ACTIONS: [&str; 8] = [
    "signal = { to = \"worker\", name = \"KILL\" }",
    "signal = { to = \"workers\", name = \"STOP\" }",
    "pause = { whom = \"supervisor\" }",
    "pause = { whom = \"workers\", for = \"50ms\" }",
    "crash = { step = \"boot\", mode = \"exit\", times = 2 }",
    "crash = { step = \"idle\", mode = \"kill\" }",
    "control = \"restart\"",
    "poison = { step = \"work\", mode = \"panic\" }",
];

/// Faults of every kind at every kind of moment.
fn schedules() -> impl Strategy<Value = Vec<String>> {
    let moment = prop_oneof![
        (0..300_u64).prop_map(|ms| format!("at = \"{ms}ms\"")),
        // Completed by the fault's index: an attempt carries one poison at the most.
        (1..4_u32).prop_map(|ten| format!("at = {{ attempt = {ten}")),
        Just("at = { fraction = 0.3".to_owned()),
        (0..60_u64).prop_map(|ms| format!("after {ms}")),
    ];
    let faults = proptest::collection::vec((moment, 0..ACTIONS.len()), 1..8);
    faults.prop_map(|faults| {
        let lasts = |action: usize| ACTIONS[action] == "pause = { whom = \"supervisor\" }";
        let line = |(index, (at, action)): (usize, &(String, usize))| {
            let at = match (at.strip_prefix("after "), index.checked_sub(1)) {
                // What lasts to the end has nobody behind it: the file says so.
                (Some(ms), Some(other)) if !lasts(faults[other].1) => {
                    format!("at = {{ after = {other}, delay = \"{ms}ms\" }}")
                }
                (Some(ms), _) => format!("at = \"{ms}ms\""),
                (None, _) if at.contains('{') => format!("{at}{index} }}"),
                (None, _) => at.clone(),
            };
            format!("{at}\n{}", ACTIONS[*action])
        };
        faults.iter().enumerate().map(line).collect()
    })
}

fn answer_of(outcome: u8) -> Answer {
    match outcome % 8 {
        0 => Answer::Served { waited_ns: MS },
        1 => Answer::Late { waited_ns: 99 * MS },
        2 => Answer::NotAsked { cause: NotAsked::Lacks(NotSent::Descriptors) },
        _ => Answer::Refused,
    }
}

/// Plays the harness: carries out orders as they come, answers them sometime, in any order, and says what
/// nobody asked for.
struct Play {
    conductor: Conductor,
    now_ns: u64,
    orders: Vec<Order>,
    heals: BTreeMap<usize, u32>,
    counts: u32,
    finals: BTreeMap<usize, End>,
    dice: u64,
    /// What came of each pause.
    paused: BTreeMap<usize, (Hit, Vec<u32>)>,
    /// Whom each pause has stopped, until it is undone.
    held: BTreeMap<usize, Vec<u32>>,
    /// The pauses of which the conductor knows what came of them.
    known: BTreeSet<usize>,
    ended: bool,
}

impl Play {
    fn of(conductor: Conductor, dice: u64) -> Self {
        Self {
            conductor,
            now_ns: START,
            orders: Vec::new(),
            heals: BTreeMap::new(),
            counts: 0,
            finals: BTreeMap::new(),
            dice,
            paused: BTreeMap::new(),
            held: BTreeMap::new(),
            known: BTreeSet::new(),
            ended: false,
        }
    }

    fn take(&mut self, orders: Vec<Order>) {
        for order in &orders {
            self.counts += u32::from(*order == Order::Count);
            assert!(*order != Order::Request || self.counts == 1, "asked before what is counted was counted");
            match order {
                Order::Pause { fault, among, each, .. } => self.pause(*fault, among, *each),
                Order::Signal { fault, signal, among, each, .. } if signal.stops() => {
                    self.pause(*fault, among, *each);
                }
                Order::Heal { fault, resume, .. } => self.heal(*fault, resume),
                _ => {}
            }
        }
        self.orders.extend(orders);
        for (fault, state) in self.conductor.states().enumerate() {
            if let State::Final(end) = state {
                let first = *self.finals.entry(fault).or_insert(end);
                assert_eq!(first, end, "fault {fault} ended twice");
            }
        }
    }

    /// Stops all, the first, one before another could not be stopped, or nobody.
    fn pause(&mut self, fault: usize, among: &[u32], each: bool) {
        self.dice = self.dice.rotate_left(2);
        let first = || among.iter().copied().take(1).collect();
        let (hit, reached) = match self.dice % 4 {
            _ if among.is_empty() => (Hit::Nobody, Vec::new()),
            0 => (Hit::Nobody, Vec::new()),
            1 => (Hit::Failed, first()),
            _ if each => (Hit::Struck, among.to_vec()),
            _ => (Hit::Struck, first()),
        };
        self.held.insert(fault, reached.clone());
        assert!(self.paused.insert(fault, (hit, reached)).is_none(), "fault {fault} was injected twice");
    }

    /// Who goes on is stopped by nobody else any more, and who does not is.
    fn heal(&mut self, fault: usize, resume: &[u32]) {
        *self.heals.entry(fault).or_default() += 1;
        let Some(held) = self.held.remove(&fault) else {
            assert!(resume.is_empty(), "fault {fault} stopped nobody");
            return;
        };
        // A pause that is ordered as the trial ends is undone by its guard.
        let counts = |other: &usize| !self.ended || self.known.contains(other);
        for pid in held {
            let others = self.held.iter().filter(|(other, _)| counts(other));
            let stays = others.into_iter().any(|(_, pids)| pids.contains(&pid));
            assert_eq!(resume.contains(&pid), !stays, "process {pid}, as fault {fault} is over");
        }
    }

    fn tell(&mut self, event: &Event) {
        let orders = self.conductor.tell(self.now_ns, event);
        self.take(orders);
    }

    fn wake(&mut self) {
        let orders = self.conductor.wake(self.now_ns);
        self.take(orders);
        let next = self.conductor.wake_at();
        assert!(next.is_none_or(|at_ns| at_ns > self.now_ns), "{next:?} is past at {}", self.now_ns);
    }

    fn end(&mut self) {
        self.ended = true;
        let orders = self.conductor.end();
        self.take(orders);
    }

    /// Answers one of the orders that are open.
    fn answer(&mut self, choice: usize, outcome: u8) {
        if self.orders.is_empty() {
            return;
        }
        let order = self.orders.swap_remove(choice % self.orders.len());
        let fault = order.fault().unwrap_or_default();
        match order {
            Order::Heal { .. } => self.tell(&Event::Healed { fault, unused: outcome % 2 == 1 }),
            Order::HandOut { .. } => self.poison(fault, outcome),
            Order::Look { .. } => self.look(fault, outcome),
            Order::Signal { .. } | Order::Pause { .. } | Order::Arm { .. } | Order::Ask { .. } => {
                self.injected(fault, outcome);
            }
            Order::StopLoad | Order::Count => {}
            Order::Request => self.tell(&Event::Answered { answer: answer_of(outcome) }),
        }
    }

    fn look(&mut self, fault: usize, outcome: u8) {
        let is_seen = |pid: &u32| outcome >> (pid - 7) & 1 == 1;
        let workers = (7..10).filter(is_seen).map(|pid| SeenWorker { pid, standing: Standing::Ready });
        let known_by = if outcome > 127 { KnownBy::Listener } else { KnownBy::Ledger };
        let seen = Sighting { supervisor: Some(4), workers: workers.collect(), known_by };
        self.tell(&Event::Sighted { fault, seen });
    }

    /// Says what came of a fault: of a pause what did, of others anything.
    fn injected(&mut self, fault: usize, outcome: u8) {
        let hit = [Hit::Struck, Hit::Struck, Hit::Nobody, Hit::Failed][usize::from(outcome % 4)];
        let (hit, pids) = self.paused.get(&fault).cloned().unwrap_or((hit, Vec::new()));
        let error = (hit == Hit::Failed).then_some(Hindrance::NoDescriptor);
        if !self.ended && self.paused.contains_key(&fault) {
            self.known.insert(fault);
        }
        self.tell(&Event::Fault { fault, hit, pids, error });
    }

    fn poison(&mut self, fault: usize, outcome: u8) {
        let error = (outcome % 4 == 3).then_some(Hindrance::NoDescriptor);
        // What came of a pause is told as it was, and only so.
        if outcome & 4 > 0 && !self.paused.contains_key(&fault) {
            // Whoever has it is killed, or nobody has it.
            self.tell(&Event::HeldBack { fault, attempt: 1 });
            return self.tell(&match outcome & 8 {
                0 => Event::HolderKilled { fault, attempt: 1, pid: 9, supervises: false },
                _ => Event::Fault { fault, hit: Hit::Nobody, pids: vec![], error: None },
            });
        }
        let (step, mode) = (CrashStep::Work, CrashMode::Panic);
        self.tell(&Event::Poisoned { fault, attempt: 1, step, mode, error });
    }

    fn say(&mut self, kind: u8, fault: usize, outcome: u8) {
        match kind % 11 {
            0 => self.tell(&Event::AttemptDue { fault, attempt: 3 }),
            1 => self.poison(fault, outcome),
            2 => self.tell(&Event::ArmedStruck { fault }),
            3 => self.tell(&Event::ControlDone { fault, error: None }),
            4 => self.tell(&Event::Healed { fault, unused: false }),
            5 if outcome > 250 => self.tell(&Event::StopAsked),
            6 => self.injected(fault, 0),
            7 => self.tell(&Event::Signalled { fault, pid: 9 }),
            8 => self.tell(&Event::Answered { answer: answer_of(outcome) }),
            9 if outcome > 250 => self.tell(&Event::NothingLeft),
            10 => self.look(fault, outcome),
            _ => self.tell(&Event::WorkerEnded { pid: 9 }),
        }
    }
}

proptest! {
    #[test]
    fn every_fault_ends_once_every_undo_happens_once_and_nothing_is_ordered_after_the_end(
        faults in schedules(),
        steps in proptest::collection::vec((0..4_u8, any::<u8>(), 0..9_usize, any::<u8>(), 0..40_u64), 0..120),
        is_served: bool,
        watched in proptest::collection::vec((0..5_u8, any::<u8>(), any::<u8>(), 0..2_000_u64), 0..40),
        dice: u64,
    ) {
        let lines: Vec<&str> = faults.iter().map(String::as_str).collect();
        let conductor = conductor(&lines);
        let count = conductor.states().count();
        let mut play = Play::of(conductor, dice);
        for (what, kind, fault, outcome, ms) in steps {
            play.now_ns += ms * MS;
            match what {
                0 | 1 => play.answer(fault, outcome),
                2 => play.say(kind, fault, outcome),
                _ => play.wake(),
            }
        }
        play.tell(if is_served { &SERVED } else { &LOST });
        for (what, kind, outcome, ms) in watched {
            play.now_ns += ms * MS;
            match what {
                0 | 1 => play.answer(usize::from(kind), outcome),
                2 => play.say(kind, 0, outcome),
                _ => play.wake(),
            }
        }
        play.end();
        prop_assert_eq!(play.conductor.wake_at(), None);
        let before = play.heals.clone();
        // Answers that come late, and whatever else happens.
        while !play.orders.is_empty() {
            play.answer(0, 0);
        }
        for fault in 0..count {
            (0..11).for_each(|kind| play.say(kind, fault, 255));
        }
        let late = play.conductor.wake(u64::MAX);
        play.take(late);
        prop_assert_eq!(&play.heals, &before, "undone after the end");
        prop_assert!(play.orders.is_empty(), "{:?}", play.orders);
        prop_assert!(play.conductor.end().is_empty());
        prop_assert!(play.heals.values().all(|times| *times == 1), "{:?}", play.heals);
        let stopped = play.held.iter().filter(|(fault, pids)| play.known.contains(fault) && !pids.is_empty());
        prop_assert_eq!(stopped.count(), 0, "{:?} stay stopped", play.held);
        prop_assert_eq!(play.counts, 1);
        prop_assert_eq!(play.finals.len(), count, "{:?}", states(&play.conductor));
    }

    #[test]
    fn events_and_orders_are_read_back_as_they_were_written(pid: u32, fault in 0..9_usize, due_ns: u64) {
        let events = [
            Event::WorkerEnded { pid },
            LOST,
            Event::LoadEnded { last: None },
            Event::Answered { answer: Answer::Wrong { status: Some(503), said: "x".to_owned() } },
            Event::Fault { fault, hit: Hit::Nobody, pids: vec![pid], error: Some(Hindrance::NoDescriptor) },
            Event::SupervisorEnded { pid, status: Exit::Status(0), successor: None, hint: None },
        ];
        for event in events {
            let text = serde_json::to_string(&event).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<Event>(&text).expect("an event"), event);
        }
        let orders = [Order::HandOut { fault, due_ns }, Order::Heal { fault, why: Why::TimeOver, resume: vec![pid] }, Order::StopLoad];
        for order in orders {
            let text = serde_json::to_string(&order).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<Order>(&text).expect("an order"), order);
        }
    }
}

const AT_CALL: &str =
    "at = { after = 0, call = \"wait4\" }\nsignal = { to = \"supervisor\", name = \"HUP\" }";

/// Conducts until the supervisor stands at the call of the second fault, or would have.
fn held_at_call(fault: &str, comes_ns: Option<u64>) -> Conductor {
    let mut c = conductor(&[KILL, fault]);
    wake(&mut c, START + 100 * MS);
    c.tell(START + 100 * MS, &struck(0));
    assert_eq!(states(&c)[1], State::WithCall);
    if let Some(at_ns) = comes_ns {
        let orders = c.tell(at_ns, &Event::CallReached { fault: 1, pid: 4 });
        assert!(matches!(orders[..], [Order::Look { fault: 1, .. }]), "{orders:?}");
        let orders = c.tell(at_ns, &sighted(1));
        assert!(matches!(orders[..], [Order::Signal { fault: 1, .. }]), "{orders:?}");
        c.tell(at_ns, &struck(1));
        c.tell(at_ns, &Event::CallLeft { fault: 1, held_ns: 7 });
        assert!(c.tell(at_ns, &Event::CallReached { fault: 1, pid: 4 }).is_empty(), "once is enough");
    }
    c
}

#[test]
fn a_fault_at_a_call_strikes_as_the_supervisor_comes_there_and_it_is_noted_that_it_was_held() {
    let mut c = held_at_call(AT_CALL, Some(START + 101 * MS));
    assert_eq!(states(&c), [State::Final(End::Over); 2]);
    c.end();
    let (facts, _) = c.into_facts(|_| false);
    assert_eq!((facts.faults.len(), facts.faults[1].at_ns), (2, START + 101 * MS));
    assert!(matches!(facts.notes[..], [Note::StoodStill { fault: 2, .. }]), "{:?}", facts.notes);
    assert_eq!(facts.environment, None);
}

#[test]
fn a_call_that_does_not_come_concludes_nothing_unless_it_is_optional() {
    let mut c = held_at_call(AT_CALL, None);
    c.end();
    let (facts, _) = c.into_facts(|_| false);
    assert!(matches!(facts.environment, Some(Reason::CallNotMade { fault: 2, .. })));
    let mut c = held_at_call(&AT_CALL.replace("\"wait4\"", "\"wait4\", optional = true"), None);
    c.end();
    let (facts, _) = c.into_facts(|_| false);
    assert_eq!(facts.environment, None);
    assert!(matches!(&facts.notes[..], [Note::CallNotMade { fault: 2, call, .. }] if call == "leaves wait4"));
}

#[test]
fn whoever_comes_to_a_call_once_the_load_is_over_goes_on() {
    let mut c = held_at_call(AT_CALL, None);
    c.tell(START + 1_000 * MS, &SERVED);
    assert!(c.tell(START + 1_001 * MS, &Event::CallReached { fault: 1, pid: 4 }).is_empty());
}
