//! Faults as users write them: every action with every kind of moment, in scenarios of one's own.
//! What is checked comes from `events.jsonl`: that each fault struck, when, whom, and that it healed.

use std::path::Path;

use holdline_model::exit::Exit;
use holdline_model::reason::Note;
use holdline_model::result::TrialResult;
use holdline_model::signals::Signal;
use holdline_model::words::{CrashMode, Grade, Verdict};
use serde_json::Value;

use crate::common::{Place, read_result};
use crate::lag::lagged;

/// A trial and what it wrote down while it ran.
struct Run {
    trial: TrialResult,
    events: Vec<Value>,
    attempts: Vec<Row>,
}

/// What `attempts.csv.gz` says of an attempt.
#[derive(Debug, serde::Deserialize)]
struct Row {
    attempt: u32,
    started_ns: Option<u64>,
}

impl Run {
    /// Runs a scenario over one supervisor, again if the machine was too busy.
    #[track_caller]
    fn of(scenario: &str, supervisor: &str) -> Self {
        let place = Place::new();
        std::fs::write(place.path("mine.toml"), scenario).expect("a file");
        for round in 0.. {
            let out = format!("out-{round}");
            let output = place
                .holdline(&["run", "./mine.toml", "-s", supervisor, "--out", &out])
                .output()
                .expect("runs");
            let path = place.path(&out);
            assert!(path.join("run.json").exists(), "{}", String::from_utf8_lossy(&output.stderr));
            let trial = read_result(&path.join("run.json")).trials.remove(0);
            if !lagged(&trial) || round == 2 {
                return Self::read(trial, &path);
            }
        }
        unreachable!("the loop returns");
    }

    fn read(trial: TrialResult, out: &Path) -> Self {
        let folder = out.join(&trial.folder);
        let events = std::fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
        let events = events.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let attempts = std::fs::File::open(folder.join("attempts.csv.gz")).map(|file| {
            let mut csv = csv::Reader::from_reader(flate2::read::GzDecoder::new(file));
            csv.deserialize().map(|row| row.expect("a row")).collect()
        });
        Self { trial, events, attempts: attempts.unwrap_or_default() }
    }

    fn events<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events.iter().filter(move |event| event["event"] == name)
    }

    /// The one event of this name about this fault.
    #[track_caller]
    fn about<'a>(&'a self, name: &'a str, fault: usize) -> &'a Value {
        let found: Vec<&Value> = self.events(name).filter(|event| event["fault"] == fault).collect();
        assert_eq!(found.len(), 1, "{name} of fault {fault}: {:#?}", self.events);
        found[0]
    }

    /// When a fault struck, from the load's start.
    #[track_caller]
    fn struck_ns(&self, fault: usize) -> u64 {
        if let Some(event) = self.events("poisoned").find(|event| event["fault"] == fault) {
            assert!(event["error"].is_null(), "{event}");
            return at_ns(event);
        }
        let event = self.about("fault", fault);
        assert_eq!(event["hit"], "struck", "fault {fault}: {event}");
        at_ns(event)
    }

    /// When a fault was over, from the load's start; as it struck for those that do not last.
    #[track_caller]
    fn over_ns(&self, fault: usize) -> u64 {
        let ends =
            self.events.iter().filter(|event| event["event"] == "healed" || event["event"] == "control_done");
        let ended = ends.filter(|event| event["fault"] == fault).map(at_ns).max();
        ended.unwrap_or_else(|| self.struck_ns(fault))
    }

    fn started_ns(&self, attempt: u32) -> u64 {
        let row = self.attempts.iter().find(|row| row.attempt == attempt);
        row.and_then(|row| row.started_ns).expect("it was sent")
    }

    /// What holds of every trial, whatever was done to it.
    #[track_caller]
    fn check_sound(&self) {
        let why = (&self.trial.grade, &self.trial.reason);
        assert_ne!(self.trial.grade, Grade::Inconclusive, "{why:?}\n{:#?}", self.events);
        assert!(self.trial.books.is_balanced(), "{why:?}");
        let ended = self.events("trial_ended").next().expect("the trial ended");
        assert_eq!(ended["still_stopped"], serde_json::json!([]), "{:#?}", self.events);
    }
}

fn at_ns(event: &Value) -> u64 {
    event["at_ns"].as_u64().expect("an instant at or after the load's start")
}

/// Every action that a user can write, in an order in which each has somebody to hit.
const ACTIONS: [&str; 18] = [
    "pause = { whom = \"worker\", for = \"20ms\" }",
    "pause = { whom = \"workers\", for = \"20ms\" }",
    "pause = { whom = \"supervisor\", for = \"20ms\" }",
    "signal = { to = \"worker\", name = \"KILL\" }",
    "crash = { step = \"idle\", mode = \"kill\" }",
    "poison = { step = \"work\", mode = \"panic\" }",
    "crash = { step = \"boot\", mode = \"exit\", times = 2 }",
    "control = { verb = \"scale\", workers = 6 }",
    "control = \"reload\"",
    "crash = { step = \"drain\", mode = \"kill\" }",
    "control = \"rolling-restart\"",
    "signal = { to = \"worker\", name = \"STOP\" }",
    "signal = { to = \"workers\", name = \"TERM\" }",
    "signal = { to = \"supervisor\", name = \"HUP\" }",
    "control = \"restart\"",
    "control = \"upgrade\"",
    "signal = { to = \"supervisor\", name = \"STOP\" }",
    "pause = { whom = \"supervisor\" }",
];

/// Those that are undone when the load ends, if not before.
fn heals(action: &str) -> bool {
    ["pause", "crash", "\"STOP\"", "control"].iter().any(|part| action.contains(part))
}

/// Two hundred attempts at 100/s, and every action at its moment.
fn scenario(moment: impl Fn(usize) -> String) -> String {
    let mut text = "name = \"mine\"\nasks = \"?\"\n[workers]\ncount = 4\n[load]\n\
                    arrivals = { constant = \"100/s\" }\nduration = \"2s\"\ntimeout = \"4s\"\n\
                    send-lag = \"2s\"\ndeadline = \"4s\"\n"
        .to_owned();
    for (index, action) in ACTIONS.iter().enumerate() {
        text.push_str(&format!("[[fault]]\nat = {}\n{action}\n", moment(index)));
    }
    text
}

#[track_caller]
fn check_struck_and_healed(run: &Run) {
    run.check_sound();
    for (fault, action) in ACTIONS.iter().enumerate() {
        let struck_ns = run.struck_ns(fault);
        if heals(action) {
            let ends = |name| run.events(name).any(|event| event["fault"] == fault);
            assert!(ends("healed") || ends("control_done"), "fault {fault} ({action}): {:#?}", run.events);
            assert!(run.over_ns(fault) >= struck_ns, "{action}");
        }
    }
}

#[test]
fn every_action_strikes_at_a_time_and_heals() {
    let at_ms = |fault: usize| 40 + 100 * fault as u64;
    let run = Run::of(&scenario(|fault| format!("\"{}ms\"", at_ms(fault))), "prefork");
    check_struck_and_healed(&run);
    for fault in 0..ACTIONS.len() {
        assert!(run.struck_ns(fault) >= at_ms(fault) * 1_000_000, "fault {fault}");
    }
}

#[test]
fn every_action_strikes_with_an_attempt_and_heals() {
    let attempt = |fault: usize| u32::try_from(4 + 10 * fault).expect("small");
    let run = Run::of(&scenario(|fault| format!("{{ attempt = {} }}", attempt(fault))), "prefork");
    check_struck_and_healed(&run);
    for fault in 0..ACTIONS.len() {
        check_with_attempt(&run, fault, attempt(fault));
    }
}

#[test]
fn every_action_strikes_at_a_fraction_and_heals() {
    let share = |fault: usize| 2 + 5 * fault;
    let run = Run::of(&scenario(|fault| format!("{{ fraction = 0.{:02} }}", share(fault))), "prefork");
    check_struck_and_healed(&run);
    for fault in 0..ACTIONS.len() {
        check_with_attempt(&run, fault, u32::try_from(2 * share(fault)).expect("small"));
    }
}

/// Poison goes with its attempt; anything else is done as that attempt is about to be sent, by
/// another thread, so that it comes after the attempt before.
#[track_caller]
fn check_with_attempt(run: &Run, fault: usize, attempt: u32) {
    let struck_ns = run.struck_ns(fault);
    assert!(struck_ns >= run.started_ns(attempt - 1), "fault {fault} before attempt {attempt} was due");
    if ACTIONS[fault].starts_with("poison") {
        assert_eq!(run.about("poisoned", fault)["attempt"], attempt);
        assert!(struck_ns <= run.started_ns(attempt), "poison is handed out before it is sent");
    }
}

#[test]
fn every_action_strikes_after_another_and_heals() {
    // What follows failures that workers are told of waits until they have struck, which here is
    // brought about by the fault that comes next.
    let before = |fault: usize| {
        if ACTIONS[fault - 1].contains("boot") || ACTIONS[fault - 1].contains("drain") {
            fault - 2
        } else {
            fault - 1
        }
    };
    let moment = |fault: usize| match fault {
        0 => "\"20ms\"".to_owned(),
        _ => format!("{{ after = {}, delay = \"25ms\" }}", before(fault)),
    };
    let text = scenario(moment).replace("duration = \"2s\"", "duration = \"4s\"");
    let run = Run::of(&text, "prefork");
    check_struck_and_healed(&run);
    for fault in 1..ACTIONS.len() {
        // A signal that stops a process is over at once, as is a crash of an idle worker; what is
        // healed of it comes later.
        let other = before(fault);
        let lasts = !ACTIONS[other].starts_with("signal") && !ACTIONS[other].contains("idle");
        let over_ns = if lasts { run.over_ns(other) } else { run.struck_ns(other) };
        assert!(run.struck_ns(fault) >= over_ns + 25_000_000, "fault {fault} after {other}");
    }
}

#[test]
fn what_follows_failing_starts_waits_until_they_have_failed() {
    let run = Run::of(
        "name = \"mine\"\nasks = \"?\"\n[workers]\ncount = 2\n[load]\narrivals = { constant = \"50/s\" }\n\
         duration = \"1500ms\"\nsend-lag = \"2s\"\ndeadline = \"4s\"\n\
         [[fault]]\nname = \"broken\"\nat = \"100ms\"\ncrash = { step = \"boot\", mode = \"exit\", times = 3 }\n\
         [[fault]]\nat = { after = \"broken\" }\ncontrol = \"reload\"\n\
         [[fault]]\nat = \"300ms\"\nsignal = { to = \"worker\", name = \"KILL\" }\n",
        "prefork",
    );
    run.check_sound();
    let mut orders = run.events.iter().filter(|line| line["order"] == "heal" && line["fault"] == 0);
    assert_eq!(orders.next().expect("it is healed")["why"], "has_struck");
    let failed = run.events("worker").filter(|event| event["kind"] == "boot_failed");
    let failed_ns: Vec<u64> = failed.map(at_ns).collect();
    assert_eq!(failed_ns.len(), 3);
    assert!(failed_ns.iter().all(|ns| run.struck_ns(2) <= *ns && *ns <= run.struck_ns(1)), "{failed_ns:?}");
}

#[test]
fn poison_strikes_at_each_step_in_each_mode() {
    for step in ["accept", "read", "work", "reply", "close"] {
        let mut text =
            "name = \"mine\"\nasks = \"?\"\n[workers]\ncount = 8\nnofile = 64\nmemory = \"128MiB\"\n\
                        [load]\narrivals = { sequential = \"10ms\" }\nattempts = 100\ntimeout = \"1s\"\n\
                        deadline = \"1s\"\nsend-lag = \"2s\"\n"
                .to_owned();
        // Those of `catch` are of the worker's steps with a request in hand.
        let modes: Vec<CrashMode> =
            CrashMode::ALL.iter().copied().filter(|mode| *mode != CrashMode::Catch).collect();
        for (index, mode) in modes.iter().enumerate() {
            let attempt = 5 + 10 * index;
            text.push_str(&format!(
                "[[fault]]\nat = {{ attempt = {attempt} }}\npoison = {{ step = \"{step}\", mode = \"{mode}\" }}\n"
            ));
        }
        let run = Run::of(&text, "prefork");
        run.check_sound();
        for (fault, mode) in modes.iter().enumerate() {
            run.struck_ns(fault);
            let line = format!("fails ({mode} at step {step})");
            let told = run.trial.timeline.iter().filter(|entry| entry.text.ends_with(&line)).count();
            assert_eq!(told, 1, "{line}: {:#?}", run.trial.timeline);
        }
    }
}

#[test]
fn faults_hit_the_supervisor_that_has_taken_over() {
    let run = Run::of(
        "name = \"mine\"\nasks = \"?\"\n[load]\narrivals = { constant = \"50/s\" }\nduration = \"3s\"\n\
         send-lag = \"2s\"\ndeadline = \"4s\"\n\
         [[fault]]\nat = \"100ms\"\ncontrol = \"upgrade-supervisor\"\n\
         [[fault]]\nat = \"1500ms\"\npause = { whom = \"supervisor\", for = \"50ms\" }\n\
         [[fault]]\nat = \"1700ms\"\nsignal = { to = \"supervisor\", name = \"KILL\" }\n",
        "handover",
    );
    run.check_sound();
    let first = run.events("supervisor_started").next().expect("one")["pid"].clone();
    let ends: Vec<&Value> = run.events("supervisor_ended").collect();
    assert_eq!(ends.len(), 2, "{:#?}", run.events);
    assert_eq!((&ends[0]["pid"], &ends[0]["status"]), (&first, &"status 0".into()));
    let second = &ends[0]["successor"];
    assert!(second.is_i64() && *second != first, "{:#?}", ends[0]);
    for fault in [1, 2] {
        run.struck_ns(fault);
        assert_eq!(run.about("fault", fault)["pids"], serde_json::json!([second]));
    }
    assert_eq!((&ends[1]["pid"], &ends[1]["status"]), (second, &"SIGKILL".into()));
    assert_eq!(run.trial.supervisor_ended, Some(Exit::Signal(Signal::KILL)));
    assert_eq!(run.trial.workers.orphans, Some(1));
    assert_eq!(run.trial.grade, Grade::Held, "{:?}", run.trial.losses);
}

#[test]
fn a_supervisor_that_was_replaced_has_not_ended() {
    let run = Run::of(
        "name = \"mine\"\nasks = \"?\"\n[load]\narrivals = { constant = \"50/s\" }\nduration = \"2s\"\n\
         send-lag = \"2s\"\ndeadline = \"4s\"\n\
         [[fault]]\nat = \"100ms\"\ncontrol = \"upgrade-supervisor\"\n[expect]\n\"supervisor.ended\" = 0\n",
        "handover",
    );
    run.check_sound();
    assert_eq!((run.trial.verdict, &run.trial.supervisor_ended), (Verdict::Pass, &None));
    assert!(run.trial.timeline.iter().any(|entry| entry.text.ends_with("had taken over")));
    assert_eq!(run.trial.workers.orphans, Some(0));
}

#[test]
fn a_fault_whose_victims_have_all_ended_hits_nobody() {
    let run = Run::of(
        "name = \"mine\"\nasks = \"?\"\n[load]\narrivals = { constant = \"50/s\" }\nduration = \"1s\"\n\
         send-lag = \"2s\"\ndeadline = \"4s\"\n\
         [[fault]]\nat = \"200ms\"\nsignal = { to = \"supervisor\", name = \"KILL\" }\n\
         [[fault]]\nat = \"600ms\"\nsignal = { to = \"worker\", name = \"KILL\" }\n\
         [[fault]]\nat = \"700ms\"\npause = { whom = \"supervisor\", for = \"50ms\" }\n",
        "bare",
    );
    run.check_sound();
    assert_eq!(run.trial.grade, Grade::Down);
    for fault in [1, 2] {
        assert!(run.about("fault", fault)["hit"] == "nobody");
        let is_about =
            |note: &Note| matches!(note, Note::HitNobody { fault: of, .. } if *of == fault as u64 + 1);
        assert!(run.trial.noted.iter().any(is_about), "{:?}", run.trial.notes);
    }
}

#[test]
fn what_a_supervisor_cannot_be_asked_for_is_unsupported_before_anything_starts() {
    let base =
        "name = \"mine\"\nasks = \"?\"\n[load]\narrivals = { constant = \"50/s\" }\nduration = \"1s\"\n";
    let fault = |control: &str| format!("{base}[[fault]]\nat = \"100ms\"\ncontrol = {control}\n");
    for (supervisor, control, reason) in [
        ("bare", "\"restart\"", "it has no `restart`: nobody would start the worker again"),
        (
            "held-socket",
            "\"rolling-restart\"",
            "it has no `rolling-restart`: it restarts all its workers at once",
        ),
        (
            "restart-loop",
            "{ verb = \"scale\", workers = 2 }",
            "it has no `scale`: a second worker could not bind",
        ),
    ] {
        let run = Run::of(&fault(control), supervisor);
        assert_eq!((run.trial.grade, run.trial.verdict), (Grade::Unsupported, Verdict::Unsupported));
        assert!(
            run.trial.reason.as_deref().is_some_and(|text| text.starts_with(reason)),
            "{:?}",
            run.trial.reason
        );
        assert!(run.events.is_empty(), "nothing was started");
    }
}
