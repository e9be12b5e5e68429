//! Cases as values: drawn, written, read back, aimed, made plainer, judged.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use std::collections::BTreeSet;

use super::case::lasts_ns;
use super::draw::{cases, uniform_cases};
use super::*;
use crate::conductor::{Event, Hit};
use crate::exit::Exit;
use crate::reason::Reason;
use crate::record::NotSent;
use crate::recovery::Recovery;
use crate::result::{BooksResult, SettledResult, TrialResult};
use crate::scenario::{self, Action, Arrivals, Drain, Scenario, Target, Trigger};
use crate::shm::RecordKind;
use crate::signals::Signal;
use crate::summary::{TrialName, not_run};
use crate::supervisor::{self, Supervisor};
use crate::support;
use crate::sweep::calls::Call;
use crate::syscall::When as Side;
use crate::words::{Blame, CrashStep, Fate, Grade, Transport, Verb};

const TERMS: Terms = Terms { recovery_ns: 1_000_000_000, restart_ns: 0, asked_ns: 4_000_000_000 };

fn described(lines: &str) -> Supervisor {
    let text = format!("name = \"t\"\nabout = \"x\"\nstart = [\"x\"]\n{lines}\n");
    supervisor::parse(&text, "t.toml").unwrap_or_else(|error| panic!("{error}"))
}

/// One that can do all that there is.
fn able() -> Supervisor {
    described(
        "socket = { holder = \"supervisor\", passing = \"stdin\" }\nworkers-min = 2\n[control]\n\
         restart = { signal = \"HUP\", to = \"supervisor\" }\nreload = { signal = \"USR1\", to = \"supervisor\" }\n\
         scale = [\"x\", \"{workers}\"]\n",
    )
}

/// One that can do little.
fn unable() -> Supervisor {
    described(
        "socket = { holder = \"worker\", passing = \"bind\" }\nruns = [\"itself\"]\nprotocol = \"http\"\n\
         poison = false\ntransports = [\"tcp\"]\nworkers-max = 1\n",
    )
}

fn abilities(supervisor: &Supervisor) -> Abilities {
    Abilities { pace_ns: 40_000_000, ..Abilities::of(supervisor, false) }
}

fn drawn(supervisor: &Supervisor) -> impl Strategy<Value = Case> + use<> {
    cases(&abilities(supervisor))
}

fn read(case: &Case) -> Scenario {
    let text = case.file(TERMS, Purpose::default());
    scenario::parse(&text, "case").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn kill(when: When) -> Strike {
    Strike { when, action: Action::Signal { to: Target::Worker, signal: Signal::KILL } }
}

fn after(delay_ns: u64) -> When {
    When::After { back: 1, delay_ns }
}

fn case(strikes: Vec<Strike>) -> Case {
    Case { strikes, around: abilities(&able()).plainest_around(50_000_000) }
}

#[test]
fn who_is_asked_for_something_has_the_time_that_this_takes() {
    let strike = |action| case(vec![Strike { when: When::Share(500), action }]);
    let asked = strike(abilities(&able()).control(Verb::Restart, 1));
    let (asked, killed) =
        (read(&asked).load.patience_ns, read(&case(vec![kill(When::Share(500))])).load.patience_ns);
    assert_eq!(asked - killed, TERMS.asked_ns - TERMS.recovery_ns);
    let quick = Terms { asked_ns: 1, ..TERMS };
    let within =
        |action| scenario::parse(&strike(action).file(quick, Purpose::default()), "case").unwrap().load;
    assert_eq!(within(abilities(&able()).control(Verb::Restart, 1)).patience_ns, killed);
}

#[track_caller]
fn check_read_back(case: &Case) -> Result<(), TestCaseError> {
    let scenario = read(case);
    let Surroundings { transport, workers, boot_ns, work_ns, drain, arrivals, session, .. } = case.around;
    prop_assert_eq!(scenario.listen.transport, transport);
    prop_assert_eq!(scenario.listen.backlog, case.backlog());
    prop_assert_eq!(&scenario.name, &case.name(TERMS));
    let found = &scenario.workers;
    prop_assert_eq!(
        (found.count, found.boot_ns, found.work_ns, found.drain),
        (workers, boot_ns, work_ns, drain)
    );
    prop_assert_eq!(scenario.load.arrivals, arrivals);
    prop_assert_eq!(scenario.load.until, scenario::Until::Elapsed(case.length_ns()));
    let asked = (scenario.load.connection.requests, scenario.load.connection.gap_ns);
    prop_assert_eq!(asked, session.map_or((1, 0), |session| (session.requests, session.gap_ns)));
    let actions: Vec<&Action> = scenario.faults.iter().map(|fault| &fault.action).collect();
    prop_assert_eq!(actions, case.strikes.iter().map(|strike| &strike.action).collect::<Vec<_>>());
    let triggers: Vec<Trigger> = scenario.faults.iter().map(|fault| fault.at).collect();
    prop_assert_eq!(triggers, case.due().iter().map(|due| due.trigger).collect::<Vec<_>>());
    Ok(())
}

/// 2700 connections at most, each of which keeps one worker for three times 2 ms and twice 1 ms.
#[test]
fn who_asks_for_more_than_workers_can_do_waits_for_it() {
    let mut case = case(vec![kill(When::Share(0))]);
    case.around.arrivals = Arrivals::Constant { per_second: 900.0 };
    case.around.length_ns = 3_000_000_000;
    assert_eq!(case.worked_off_ns(), 0);
    let timeout_ns = read(&case).load.timeouts.total_ns;
    case.around.work_ns = 2_000_000;
    case.around.session = Some(Session { requests: 3, gap_ns: 1_000_000 });
    assert_eq!(case.worked_off_ns(), 2700 * 8_000_000);
    assert!(read(&case).load.timeouts.total_ns > timeout_ns + 2700 * 8_000_000);
    let tidy = case.clone().tidy().around;
    assert_eq!((tidy.session, tidy.work_ns), (None, 0), "22 s, or 5.4 s without the session, are too long");
    // A tenth of a worker's time is soon made up for.
    (case.around.session, case.around.work_ns) = (None, 111_000);
    assert_eq!(case.worked_off_ns(), 0);
}

proptest! {
    // A case is large: a few of them say as much as many.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_case_is_read_back_from_its_file_as_it_was_drawn(case in drawn(&able())) {
        check_read_back(&case)?;
    }

    #[test]
    fn uniform_times_count_from_no_other_fault(case in uniform_cases(&abilities(&able()))) {
        check_read_back(&case)?;
        prop_assert!(case.strikes.iter().all(|strike| matches!(strike.when, When::Share(_))), "{:?}", case);
    }

    #[test]
    fn what_is_drawn_is_supported(strong in drawn(&able()), weak in drawn(&unable())) {
        prop_assert_eq!(support::lack(&able(), &read(&strong), false), None);
        prop_assert_eq!(support::lack(&unable(), &read(&weak), false), None);
        let is_to_one = |strike: &Strike| matches!(strike.action, Action::Signal { .. } | Action::Pause { .. });
        prop_assert!(weak.strikes.iter().all(is_to_one), "{:?}", weak);
    }

    #[test]
    fn every_fault_strikes_while_there_is_a_load(case in drawn(&able())) {
        for (due, strike) in case.due().iter().zip(&case.strikes) {
            prop_assert!(due.about_ns + lasts_ns(&strike.action) < case.length_ns(), "{:?}", case);
        }
        // Nobody is called lost who would have been served in the end.
        let load = read(&case).load;
        prop_assert!(load.timeouts.total_ns > case.worked_off_ns() && load.patience_ns > case.worked_off_ns());
        let scales = |strike: &&Strike| matches!(strike.action, Action::Control { verb: Verb::Scale, .. });
        prop_assert!(case.strikes.iter().filter(scales).count() <= 1);
    }

    #[test]
    fn what_is_plainer_is_read_back_as_well(case in drawn(&able()), verdicts in prop::collection::vec(any::<bool>(), 60)) {
        let mut shrinking = Shrinking::new(&case, &abilities(&able()), TERMS);
        for fails in verdicts {
            let Some(pending) = shrinking.pending() else { break };
            check_read_back(pending)?;
            prop_assert!(!pending.strikes.is_empty());
            shrinking.note(fails);
        }
    }

    /// Whatever fails only with two deaths of workers at most so long apart ends as these two deaths and nothing else.
    #[test]
    fn a_failure_ends_as_what_it_is(mut case in drawn(&able()), place in 0..6_usize, delay_us in 1..20_000_u64) {
        let place = place.min(case.strikes.len());
        case.strikes.splice(place..place, [kill(When::Share(300)), kill(after(delay_us * 1000))]);
        prop_assert!(two_deaths_are_near(&case));
        let best = &shrunk(&case, two_deaths_are_near);
        prop_assert!(two_deaths_are_near(best));
        prop_assert_eq!(best.strikes.len(), 2, "{:?}", best);
        prop_assert_eq!(&best.around, &Surroundings {
            length_ns: best.around.length_ns, ..case_plainest(&case)
        });
    }

    #[test]
    fn the_same_seed_draws_the_same_cases(seed: u64) {
        let draw = || {
            let mut explorer = Explorer::new(abilities(&able()), seed, 0.0);
            (0..5).map(|_| explorer.next_case().case).collect::<Vec<_>>()
        };
        prop_assert_eq!(draw(), draw());
    }

    #[test]
    fn a_failure_as_frequent_as_it_was_is_confirmed_again(rate in 0.05..1.0_f64) {
        let failed = (rate * 20.0).round() as u32;
        prop_assume!(failed >= 2);
        let rule = Rule::CONFIRM.at_rate(failed, 20);
        prop_assert!((rule.needed..=20).contains(&rule.of));
        // What comes each time needs few trials to be missed.
        prop_assert!(failed < 20 || rule.of <= 5, "{rule:?}");
    }
}

/// Whether two workers die less than 20 ms apart.
fn two_deaths_are_near(case: &Case) -> bool {
    let is_death =
        |strike: &Strike| matches!(&strike.action, Action::Signal { signal, .. } if signal.is_crash());
    let due = case.due();
    let struck = case.strikes.iter().zip(&due).filter(|(strike, _)| is_death(strike));
    let deaths: Vec<u64> = struck.map(|(_, due)| due.about_ns).collect();
    let is_near = |(i, one): (usize, &u64)| deaths[..i].iter().any(|other| one.abs_diff(*other) < 20_000_000);
    deaths.iter().enumerate().any(is_near)
}

/// The plainest that fails.
fn shrunk(case: &Case, fails: impl Fn(&Case) -> bool) -> Case {
    let mut shrinking = Shrinking::new(case, &abilities(&able()), TERMS);
    while let Some(pending) = shrinking.pending() {
        let verdict = fails(pending);
        shrinking.note(verdict);
    }
    shrinking.best().clone()
}

/// The second death counts from a restart that has nothing to do with it: it strikes when it did where that is gone.
#[test]
fn a_fault_strikes_when_it_did_where_what_it_counts_from_is_gone() {
    let restart = Action::Control { verb: Verb::Restart, workers: None };
    let restart = Strike { when: When::Share(0), action: restart };
    let mut case = case(vec![kill(When::Share(500)), restart, kill(after(45_000_000))]);
    case.around.length_ns = 53_000_000;
    assert!(two_deaths_are_near(&case));
    let best = shrunk(&case, two_deaths_are_near);
    assert!(two_deaths_are_near(&best) && best.strikes.len() == 2, "{best:?}");
}

/// The plainest surroundings of a case's load.
fn case_plainest(case: &Case) -> Surroundings {
    let arrivals = Arrivals::Constant { per_second: 100.0 };
    Surroundings { arrivals, ..abilities(&able()).plainest_around(case.around.length_ns) }
}

#[test]
fn delays_count_from_what_is_over_at_once_and_else_from_the_beginning() {
    let control =
        Strike { when: after(2_000_000), action: Action::Control { verb: Verb::Reload, workers: None } };
    let case = case(vec![kill(When::Share(200)), kill(after(3_000_000)), control, kill(after(4_000_000))]);
    let triggers: Vec<Trigger> = case.due().iter().map(|due| due.trigger).collect();
    assert_eq!(
        triggers,
        [
            Trigger::Elapsed(10_000_000),
            Trigger::After { fault: 0, delay_ns: 3_000_000 },
            Trigger::After { fault: 1, delay_ns: 2_000_000 },
            // The reload may take longer than that.
            Trigger::Elapsed(19_000_000),
        ]
    );
    assert_eq!(read(&case).faults.len(), 4);
}

#[test]
fn nobody_is_turned_away_by_the_kernel() {
    let mut case = case(vec![kill(When::Share(500))]);
    case.around.backlog = 1;
    case.around.arrivals = Arrivals::Burst { size: 10, every_ns: 10_000_000 };
    assert_eq!((case.length_ns(), case.backlog()), (105_000_000, 111));
}

#[test]
fn sessions_and_restarts_go_with_workers_that_are_patient() {
    let mut case = case(vec![Strike {
        when: When::Share(500),
        action: Action::Control { verb: Verb::Restart, workers: None },
    }]);
    case.around.session = Some(Session { requests: 3, gap_ns: 1_000_000 });
    assert_eq!(case.tidy().around.drain, Drain::Patient);
}

#[test]
fn two_of_twenty_confirm_and_what_tells_nothing_is_repeated() {
    let decided = |verdicts: &[Verdict]| {
        let mut tally = Tally::new(Rule::CONFIRM);
        verdicts.iter().for_each(|verdict| tally.note(*verdict));
        tally.decision()
    };
    use Verdict::{Fails, Passes, Unclear};
    assert_eq!(decided(&[]), None);
    assert_eq!(decided(&[Fails]), None);
    assert_eq!(decided(&[Fails, Passes, Fails]), Some(Decision::Fails));
    assert_eq!(decided(&[Passes; 18]), None);
    assert_eq!(decided(&[Passes; 19]), Some(Decision::Passes));
    assert_eq!(decided(&[[Unclear; 20].as_slice(), &[Fails; 2]].concat()), Some(Decision::Fails));
    assert_eq!(decided(&[Unclear; 21]), Some(Decision::Unclear));
    let mut tally = Tally::new(Rule::CONFIRM);
    assert_eq!(tally.wants(2), 2);
    (0..19).for_each(|_| tally.note(Passes));
    assert_eq!(tally.wants(2), 0);
}

#[test]
fn bound_and_rate_are_exact() {
    assert_eq!(format!("{:.4}", Bound::of(412).high), "0.0072");
    assert_eq!(Bound::of(0).high, 1.0);
    let rate = FailureRate::of(17, 20);
    assert_eq!((format!("{:.2}", rate.low), format!("{:.2}", rate.high)), ("0.62".into(), "0.97".into()));
}

fn struck(fault: usize) -> Event {
    Event::Fault { fault, hit: Hit::Struck, pids: vec![7], error: None }
}

fn wrote(kind: RecordKind) -> Event {
    Event::Worker { pid: 7, generation: 1, kind, detail: 0 }
}

fn story() -> Story {
    Story::of([
        (-5, wrote(RecordKind::Ready)),
        (0, Event::LoadStarted),
        (10_000_000, struck(0)),
        (10_200_000, Event::WorkerEnded { pid: 7 }),
        (12_000_000, wrote(RecordKind::Boot)),
        (14_000_000, wrote(RecordKind::Ready)),
        (13_000_000, struck(1)),
        (50_000_000, Event::LoadEnded { last: None }),
        (60_000_000, wrote(RecordKind::Exit)),
    ])
}

#[test]
fn a_story_is_told_in_the_order_of_its_moments() {
    let actions: Vec<Action> = [kill(When::Share(1)), kill(after(1))].map(|strike| strike.action).to_vec();
    let orders: Vec<String> = story().orders(&actions).iter().map(ToString::to_string).collect();
    assert_eq!(orders, ["start → death of worker → died, began → death of worker → ready"]);
    assert_eq!((story().struck(), story().struck_at(1)), (2, Some(13_000_000)));
    let course = Course::of(&story(), &actions);
    assert_eq!(course.to_string(), "a worker ends, a worker ends amid a restart");
    let one = Story::of([(0, Event::LoadStarted), (9, struck(0)), (10, Event::WorkerEnded { pid: 7 })]);
    let one = Course::of(&one, &actions);
    assert!(one.is_in(&course) && !course.is_in(&one) && course.is_in(&course));
    assert!(!Course::default().is_in(&course), "what has no fault is no part of anything");
}

#[test]
fn a_story_is_read_from_the_events_of_a_trial() {
    let text = "{\"schema\":\"holdline.events/1\",\"origin\":\"load\",\"origin_monotonic_ns\":5}\n\
                {\"at_ns\":0,\"event\":\"load_started\"}\n{\"at_ns\":3,\"order\":\"signal\",\"fault\":0}\n\
                {\"at_ns\":4,\"event\":\"fault\",\"fault\":0,\"hit\":\"struck\",\"pids\":[7]}\n\
                {\"at_ns\":9,\"event\":\"worker\",\"pid\":7,\"generation\":2,\"kind\":\"ready\",\"detail\":0}\nnothing\n";
    let beats: Vec<Beat> = Story::read(text).moments.iter().map(|moment| moment.beat).collect();
    assert_eq!(beats, [Beat::Start, Beat::Struck, Beat::Ready]);
}

#[test]
fn aimed_faults_strike_close_to_moments_of_the_story() {
    let base = case(vec![kill(When::Share(200))]);
    let mut aimed = aimed(&base, &story());
    // From the load's start to the fault, and from the fault to the load's end.
    let (mut before, mut after, mut close) = (0, 0, 0);
    for _ in 0..200 {
        let case = aimed();
        let last = case.strikes.len() - 1;
        let When::After { back, delay_ns } = case.strikes[last].when else { panic!("{case:?}") };
        if back > last {
            before += u32::from(delay_ns <= 15_000_000);
            continue;
        }
        assert_eq!((last, back), (1, 1), "{case:?}");
        after += u32::from(delay_ns <= 40_000_000);
        let moments = [200_000, 2_000_000, 3_000_000, 4_000_000_u64];
        let off_ns = moments.iter().map(|moment| moment.abs_diff(delay_ns)).min();
        close += u32::from(off_ns.is_some_and(|off| off <= 100_000));
    }
    assert_eq!(before + after, 200, "all of them strike while its story is told");
    assert!(before > 10, "{before} of 200 before the fault");
    assert!(close > 40, "{close} of 200 within 100 µs");
    assert!(aim::shots(&base, &Story::default(), &abilities(&able())).is_none());
}

/// Cases with one aimed fault each.
fn aimed(base: &Case, story: &Story) -> impl FnMut() -> Case + use<> {
    let (base, story) = (base.clone(), story.clone());
    let strategy = aim::shots(&base, &story, &abilities(&able())).expect("moments");
    let mut runner = TestRunner::deterministic();
    move || {
        let shot = strategy.new_tree(&mut runner).expect("a shot").current();
        let strikes = shot.volley(&base, &story, None).expect("a volley");
        Case { strikes, around: base.around.clone() }
    }
}

#[test]
fn a_volley_that_follows_another_strikes_as_the_first_did() {
    let base = case(vec![kill(When::Share(200)), kill(after(3_000_000))]);
    let strategy = aim::shots(&base, &story(), &abilities(&able())).expect("moments");
    let mut runner = TestRunner::deterministic();
    let mut lengths = BTreeSet::new();
    for _ in 0..100 {
        let shot = strategy.new_tree(&mut runner).expect("a shot").current();
        let first = shot.volley(&base, &story(), None).expect("all of them struck");
        let Some(second) = shot.volley(&base, &story(), Some(80_000_000)) else {
            assert_eq!(first.len(), 1, "what counts from the load's start comes once");
            continue;
        };
        let delays: Vec<When> = second.iter().map(|strike| strike.when).collect();
        let expected = [after(80_000_000), after(3_000_000)];
        assert_eq!(delays[..delays.len() - 1], expected[..delays.len() - 1]);
        assert_eq!((second.len(), delays.last()), (first.len(), first.last().map(|strike| &strike.when)));
        check_read_back(&Case { strikes: [first, second].concat(), around: base.around.clone() }.tidy())
            .expect("it is read back");
        lengths.insert(delays.len());
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [2, 3]);
    let missed = Story::of([
        (0, Event::LoadStarted),
        (9_000_000, struck(1)),
        (40_000_000, Event::LoadEnded { last: None }),
    ]);
    let shots = aim::shots(&base, &missed, &abilities(&able())).expect("moments");
    let shot = shots.new_tree(&mut runner).expect("a shot").current();
    assert!(shot.volley(&base, &missed, Some(1)).is_none(), "the first of its faults did not strike");
}

/// What was not tried yet comes before what was.
#[test]
fn each_kind_of_shot_is_tried_before_one_is_tried_often() {
    let mut explorer = Explorer::new(abilities(&able()), 1, 1.0);
    assert!(explorer.learn(&case(vec![kill(When::Share(200))]), story()));
    let cases: Vec<Drawn> = (0..200).map(|_| explorer.next_case()).collect();
    let aimed: Vec<&Case> =
        cases.iter().filter(|drawn| drawn.how == How::Aimed).map(|drawn| &drawn.case).collect();
    assert!(aimed.iter().any(|case| case.strikes.len() >= 5), "several volleys in a case");
    for case in aimed {
        assert!(case.strikes.len() <= 8, "{case:?}");
        check_read_back(case).expect("it is read back");
    }
    let tried = explorer.tried();
    let (most, all) = (tried.iter().max().copied().unwrap_or(0), tried.iter().sum::<u32>());
    assert!(tried.len() > 30 && most as usize * tried.len() <= 3 * all as usize, "{tried:?}");
}

fn call(name: &str, entered_us: u64, left_us: u64) -> Call {
    Call {
        name: name.to_owned(),
        occurrence: 1,
        previous: None,
        nth: 1,
        pid: 1,
        thread: 1,
        depth: 0,
        entered_ns: entered_us * 1000,
        left_ns: Some(left_us * 1000),
        result: Some(7),
    }
}

/// A supervisor that accepts and hands over, twice before anything is done to it and once after.
#[test]
fn what_only_tracing_shows_is_aimed_at_and_rare_moments_as_often_as_frequent_ones() {
    let at = |us: u64| [call("accept4", us - 900, us), call("sendmsg", us + 300, us + 310)];
    let story = story().with_calls(&[at(2_000), at(7_000), at(12_500)].concat());
    assert_eq!(story.done.len(), 6);
    let base = case(vec![kill(When::Share(200))]);
    let mut aimed = aimed(&base, &story);
    // From the load's start, or from the fault at 10 ms.
    let windows = [(false, 2_000), (false, 7_000), (true, 2_500)];
    let (mut hits, mut met) = ([0_u32; 3], BTreeSet::new());
    for _ in 0..800 {
        let case = aimed();
        check_read_back(&case).expect("it is read back");
        let last = case.strikes.len() - 1;
        let (back, delay_ns) = match case.strikes[last].when {
            When::After { back, delay_ns } => (back, delay_ns),
            When::AtCall { back, meeting, .. } => {
                met.insert((back <= last, meeting.call, meeting.nth, meeting.side));
                continue;
            }
            When::Share(_) => panic!("{case:?}"),
        };
        for (hits, (is_after_fault, us)) in hits.iter_mut().zip(windows) {
            let is_within = (us * 1000..=us * 1000 + 300_000).contains(&delay_ns);
            *hits += u32::from(is_within && (back <= last) == is_after_fault);
        }
    }
    assert!(hits.iter().all(|hits| *hits > 5), "{hits:?} of 800 between `accept` and `sendmsg`");
    let sides = [Side::Before, Side::After].map(|side| ("sendmsg", side));
    let of = |(call, side): (&'static str, Side)| {
        [(false, call, 1, side), (false, call, 2, side), (true, call, 1, side)]
    };
    let expected: BTreeSet<_> = sides.into_iter().chain([("accept4", Side::After)]).flat_map(of).collect();
    assert_eq!(met, expected);
}

#[test]
fn what_has_a_new_story_is_kept_and_aimed_at() {
    let mut explorer = Explorer::new(abilities(&able()), 1, 1.0);
    assert_eq!(explorer.next_case().how, How::Close, "there is no story yet");
    let base = case(vec![kill(When::Share(200)), kill(after(3_000_000))]);
    assert!(explorer.learn(&base, story()));
    assert!(!explorer.learn(&base, story()), "the same order again");
    assert_eq!(explorer.orders(), 1);
    let hows: Vec<How> = (0..40).map(|_| explorer.next_case().how).collect();
    assert!(
        hows.contains(&How::Aimed) && hows.contains(&How::Varied) && !hows.contains(&How::Drawn),
        "{hows:?}"
    );
}

fn trial() -> TrialResult {
    let mut trial = not_run(&TrialName::default(), Reason::NoAttempt);
    (trial.grade, trial.why, trial.reason) = (Grade::Held, None, None);
    trial.books = BooksResult::Balanced;
    trial.workers.ledger = true;
    trial.workers.orphans = Some(0);
    let settled = SettledResult { workers: 2, wanted: Some(2), ..SettledResult::default() };
    trial.workers.settled =
        Some(SettledResult { descriptors_before: Some(5), descriptors: Some(5), ..settled });
    trial.recoveries = vec![Recovery::NotInterrupted];
    trial
}

/// What is violated of a trial of two deaths.
#[track_caller]
fn violated(supervisor: &Supervisor, change: impl FnOnce(&mut TrialResult)) -> Vec<Invariant> {
    let mut trial = trial();
    change(&mut trial);
    let scenario = read(&case(vec![kill(When::Share(200)), kill(after(3_000_000))]));
    let all = judge_all(Invariant::ALL, supervisor, &scenario, &trial).expect("something is known");
    let is_violated = |(_, judgement): &&(Invariant, Judgement)| matches!(judgement, Judgement::Violated(_));
    all.iter().filter(is_violated).map(|(invariant, _)| *invariant).collect()
}

#[test]
fn each_invariant_is_violated_by_what_it_says_and_by_nothing_else() {
    let settled = |trial: &mut TrialResult, change: fn(&mut SettledResult)| {
        change(trial.workers.settled.as_mut().expect("settled"));
    };
    let held = able();
    assert_eq!(violated(&held, |_| {}), []);
    assert_eq!(violated(&held, |trial| trial.supervisor_ended = Some(Exit::Status(1))), [Invariant::Lives]);
    assert_eq!(violated(&held, |trial| trial.supervisor_stopped = true), [Invariant::Lives]);
    assert_eq!(violated(&held, |trial| trial.kernel.listeners_closed = 1), [Invariant::Holds]);
    let refused = |trial: &mut TrialResult| {
        trial.fates.insert(Fate::Refused, 3);
        trial.blame.insert(Blame::Collateral, 3);
    };
    assert_eq!(violated(&held, refused), [Invariant::Holds, Invariant::Collateral]);
    assert_eq!(violated(&unable(), refused), [Invariant::Collateral], "it holds no socket");
    assert_eq!(violated(&held, |trial| trial.grade = Grade::Down), [Invariant::Recovers]);
    let late = |trial: &mut TrialResult| {
        trial.recoveries = vec![Recovery::Back { after_ns: 9_000_000_000 }];
    };
    assert_eq!(violated(&held, late), [Invariant::Recovers]);
    let changes: [fn(&mut SettledResult); 3] =
        [|it| it.workers = 1, |it| it.workers = 3, |it| it.zombies = 1];
    for change in changes {
        assert_eq!(violated(&held, |trial| settled(trial, change)), [Invariant::Workers]);
    }
    assert_eq!(violated(&held, |trial| trial.workers.orphans = Some(1)), [Invariant::Workers]);
    assert_eq!(violated(&held, |trial| trial.workers.leaked_fds = 1), [Invariant::Descriptors]);
    let gained = |starts: u32, descriptors: u64| {
        violated(&held, |trial| {
            trial.workers.starts = starts;
            trial.workers.settled.as_mut().expect("settled").descriptors = Some(descriptors);
        })
    };
    assert_eq!(gained(2, 7), [Invariant::Descriptors]);
    assert_eq!(gained(1, 7), [], "one restart opens what it opens");
    assert_eq!(gained(2, 6), [], "one may have been opened for good");
    assert_eq!(gained(5, 8), [], "it does not grow with each restart");
    let off = |trial: &mut TrialResult| {
        trial.grade = Grade::Inconclusive;
        trial.why = Some(Reason::BooksOff { lines: Vec::new() });
        trial.books = BooksResult::Off("something".into());
    };
    assert_eq!(violated(&held, off), [Invariant::Books]);
}

/// Whoever adds workers one by one counts from what is there, which another request may have changed.
#[test]
fn how_many_there_should_be_is_open_where_they_are_counted_amid_something_else() {
    let scale = Strike { action: abilities(&able()).control(Verb::Scale, 4), ..kill(When::Share(300)) };
    let judged = |supervisor: &Supervisor, strikes: Vec<Strike>, change: fn(&mut TrialResult)| {
        let mut trial = trial();
        change(&mut trial);
        judge(Invariant::Workers, supervisor, &read(&case(strikes)), &trial)
    };
    let more = |trial: &mut TrialResult| trial.workers.settled.as_mut().expect("settled").workers += 1;
    let both = || vec![kill(When::Share(200)), scale.clone()];
    let by_one = Supervisor { scales_by_one: true, ..able() };
    assert_eq!(judged(&by_one, both(), more), Judgement::NotKnown(Unknown::CountedMeanwhile));
    assert!(matches!(judged(&able(), both(), more), Judgement::Violated(_)));
    assert!(matches!(judged(&by_one, vec![scale.clone()], more), Judgement::Violated(_)));
    let orphan = |trial: &mut TrialResult| trial.workers.orphans = Some(1);
    assert_eq!(judged(&by_one, both(), orphan), Judgement::Violated(vec![Breach::Orphans(1)]));
}

#[test]
fn what_cannot_be_told_is_not_known_and_not_held() {
    let scenario = read(&case(vec![kill(When::Share(200))]));
    let of = |invariant, supervisor: &Supervisor, scenario: &Scenario, trial: &TrialResult| {
        judge(invariant, supervisor, scenario, trial)
    };
    let mut blind = trial();
    blind.workers.settled = None;
    for invariant in [Invariant::Workers, Invariant::Descriptors] {
        assert_eq!(of(invariant, &able(), &scenario, &blind), Judgement::NotKnown(Unknown::NoRecord));
    }
    assert_eq!(of(Invariant::Holds, &unable(), &scenario, &trial()), Judgement::NotKnown(Unknown::NotHeld));
    let calm = read(&case(Vec::new()));
    let mut nothing = trial();
    nothing.recoveries.clear();
    assert_eq!(of(Invariant::Recovers, &able(), &calm, &nothing), Judgement::NotKnown(Unknown::NoFault));
    let mut lagged = trial();
    lagged.grade = Grade::Inconclusive;
    lagged.why = Some(Reason::NotSent { cause: NotSent::Stopped, attempts: 1 });
    assert_eq!(judge_all(Invariant::ALL, &able(), &scenario, &lagged), None);
    // Whoever kills the supervisor has ended the service, which is then no failing of the supervisor's.
    let to = Target::Supervisor;
    let ended = Strike { when: When::Share(200), action: Action::Signal { to, signal: Signal::KILL } };
    let mut gone = trial();
    gone.supervisor_ended = Some(Exit::Signal(Signal::KILL));
    let judgement = of(Invariant::Lives, &able(), &read(&case(vec![ended])), &gone);
    assert_eq!(judgement, Judgement::NotKnown(Unknown::EndedByCase));
    // A channel to each worker is no leak where there are more of them, and one where there are as many.
    let scaled = |workers| {
        let scale = Action::Control { verb: Verb::Scale, workers: Some(workers) };
        read(&case(vec![Strike { when: When::Share(200), action: scale }, kill(after(1_000))]))
    };
    let mut opened = trial();
    opened.workers.starts = 3;
    opened.workers.settled =
        Some(SettledResult { descriptors_before: Some(5), descriptors: Some(9), ..SettledResult::default() });
    let of_scaled = |workers| of(Invariant::Descriptors, &able(), &scaled(workers), &opened);
    assert_eq!(of_scaled(9), Judgement::NotKnown(Unknown::MoreWorkers));
    assert_eq!(of_scaled(1), Judgement::Violated(vec![Breach::Gained(4)]));
}

#[test]
fn the_expectations_of_breaches_are_such_as_files_have() {
    let breaches = [
        Breach::Refused(1),
        Breach::ListenersClosed(1),
        Breach::Lost(1, vec![(Fate::Refused, 1)]),
        Breach::NotBack { within_ns: 5_000_000 },
        Breach::BackLate { after_ns: 9, within_ns: 5_000_000 },
        Breach::WorkerCount { found: 1, wanted: 2 },
        Breach::Zombies(1),
        Breach::Orphans(1),
        Breach::Inherited(1),
        Breach::Gained(2),
        Breach::Ended("status 1".into()),
    ];
    for breach in breaches {
        let expects = [breach.expectation().expect("a line")];
        let purpose = Purpose { expects: &expects, comment: "one\ntwo" };
        let text = case(vec![kill(When::Share(200))]).file(TERMS, purpose);
        let scenario = scenario::parse(&text, "case").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(scenario.expect.len(), 1);
        assert!(text.starts_with("# one\n# two\nname = "), "{text}");
    }
}

#[test]
fn what_is_drawn_for_a_supervisor_is_what_it_can_bear() {
    let able = Abilities::of(&able(), false);
    assert_eq!((able.workers, able.transports.len()), (2..=4, 3));
    assert_eq!(able.verbs, [Verb::Restart, Verb::Reload, Verb::Scale]);
    assert_eq!((able.poisons.len(), able.signals.len(), able.crashes.len()), (30, 8, 15));
    assert!(
        able.harmless.iter().all(|action| matches!(action, Action::Signal { to: Target::Supervisor, .. }))
    );
    let unable = Abilities::of(&unable(), false);
    assert_eq!((unable.workers, unable.transports), (1..=1, vec![Transport::Tcp]));
    assert!(unable.poisons.is_empty() && unable.crashes.is_empty() && unable.verbs.is_empty());
    let wsgi = described("runs = [\"wsgi\"]\nsocket = { holder = \"supervisor\", passing = \"own\" }\n");
    let is_at_accept = |action: &Action| matches!(action, Action::Poison(it) if it.step == CrashStep::Accept);
    assert!(!Abilities::of(&wsgi, false).poisons.iter().any(is_at_accept));
}
