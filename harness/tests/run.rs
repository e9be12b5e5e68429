//! The library as verbs use it: a plan made of values, run without the command line, and what its sinks
//! are told.

use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use holdline::catalogue::{ScenarioEntry, SupervisorEntry, select_supervisors};
use holdline::run::{Event, Options, Plan, Recorder, RunError, Runner, Sink};
use holdline::rundir::{self, RunDir};
use holdline::sandbox::IsolationChoice;
use holdline_model::plan::TrialPlan;
use holdline_model::result::TrialResult;

const SCENARIO: &str = "name = \"least\"\nasks = \"?\"\n[workers]\nboot = \"0ms\"\n\
    [load]\nsend-lag = \"10s\"\narrivals = { sequential = \"1ms\" }\nattempts = 3\n";

fn scenario(name: &str) -> ScenarioEntry {
    ScenarioEntry::parse(SCENARIO.replace("least", name), format!("{name}.toml")).expect("a scenario")
}

fn supervisors(names: &[&str]) -> Vec<SupervisorEntry> {
    select_supervisors(names).expect("supervisors of the catalogue")
}

fn trials(pairs: &[(&str, &str)]) -> Vec<TrialPlan> {
    let trial = |(index, (supervisor, scenario)): (u32, &(&str, &str))| TrialPlan {
        index,
        supervisor: (*supervisor).to_owned(),
        scenario: (*scenario).to_owned(),
        repetition: index,
        seed: 7,
    };
    (0..).zip(pairs).map(trial).collect()
}

/// A plan of trials in an order of its own, as a comparison would draw it.
fn plan(pairs: &[(&str, &str)]) -> Result<Plan, RunError> {
    let scenarios = vec![scenario("one"), scenario("two")];
    let plan =
        Plan::new(scenarios, supervisors(&["bare", "held-socket"]), trials(pairs), Options::default())?;
    Ok(plan.with_executable(PathBuf::from(env!("CARGO_BIN_EXE_holdline"))))
}

const ORDER: [(&str, &str); 3] = [("held-socket", "two"), ("bare", "one"), ("held-socket", "one")];

/// An event's name.
fn name(event: &Event<'_>) -> &'static str {
    match event {
        Event::RunBegan { .. } => "run began",
        Event::TrialBegan { .. } => "trial began",
        Event::Load { .. } => "load",
        Event::TrialEnded { .. } => "trial ended",
        Event::TrialPostponed { .. } => "trial postponed",
        Event::Interrupted => "interrupted",
        Event::RunEnded { .. } => "run ended",
    }
}

fn identity(trial: &TrialResult) -> (String, String, u32) {
    (trial.supervisor.clone(), trial.scenario.clone(), trial.repetition)
}

#[test]
fn a_plan_of_values_runs_in_its_order_and_each_trial_is_handed_on_as_it_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = RunDir::create(&folder.path().join("out")).expect("a run directory");
    let mut recorder = Recorder::new(dir);
    let path = recorder.path().to_owned();
    let (mut seen, mut told) = (Vec::new(), Vec::new());
    let mut listen = |event: &Event<'_>| {
        if let Event::TrialEnded { trial, so_far } = event {
            assert_eq!(so_far.trials.last(), Some(*trial));
            assert!(rundir::load(&path).is_ok(), "what is recorded can be read at any time");
            seen.push(identity(trial));
        }
        told.push(name(event));
        Ok(())
    };
    let plan = plan(&ORDER).expect("a plan");
    let ended = Runner::new(&plan, &folder.path().join("out"))
        .expect("a runner")
        .run(&mut [&mut recorder, &mut listen])
        .expect("a run");
    assert!(ended.result.complete && !ended.interrupted);
    assert_eq!(rundir::load(&path).expect("run.json"), ended.result);
    assert_eq!(ended.result.trials.iter().map(identity).collect::<Vec<_>>(), seen);
    let order: Vec<(&str, &str)> = seen.iter().map(|(s, c, _)| (s.as_str(), c.as_str())).collect();
    assert_eq!(order, ORDER);
    told.retain(|name| *name != "load");
    let expected = ["run began", "trial began", "trial ended", "trial began", "trial ended"];
    assert_eq!(told[..5], expected);
    assert_eq!(told[5..], ["trial began", "trial ended", "run ended"]);
}

/// Each trial with a scenario that measures times stands alone; the others overlap, and the result is in the plan's order.
#[test]
fn trials_run_side_by_side_but_for_those_that_measure_times() {
    let folder = tempfile::tempdir().expect("a folder");
    let timed = SCENARIO.replace("least", "timed") + "[expect]\n\"accept.p99\" = \"< 10s\"\n";
    let timed = ScenarioEntry::parse(timed, "timed.toml".to_owned()).expect("a scenario");
    let order = [
        ("held-socket", "one"),
        ("bare", "timed"),
        ("bare", "one"),
        ("held-socket", "timed"),
        ("bare", "one"),
    ];
    let plan = Plan::new(
        vec![scenario("one"), timed],
        supervisors(&["bare", "held-socket"]),
        trials(&order),
        Options::default(),
    );
    let plan = plan.expect("a plan").with_executable(PathBuf::from(env!("CARGO_BIN_EXE_holdline")));
    let plan = plan.side_by_side(3, false);
    let (mut running, mut most) = (Vec::new(), 0);
    let mut listen = |event: &Event<'_>| {
        match event {
            Event::TrialBegan { plan } => {
                running.push((plan.scenario.clone(), plan.repetition));
                most = most.max(running.len());
                let is_timed = |(scenario, _): &(String, u32)| scenario == "timed";
                assert!(running.len() == 1 || !running.iter().any(is_timed), "{running:?}");
            }
            Event::TrialEnded { trial, .. } => {
                running.retain(|(_, repetition)| *repetition != trial.repetition);
            }
            Event::TrialPostponed { plan } => {
                running.retain(|(_, repetition)| *repetition != plan.repetition);
            }
            Event::RunBegan { .. } | Event::Load { .. } | Event::Interrupted | Event::RunEnded { .. } => {}
        }
        Ok(())
    };
    let ended = Runner::new(&plan, folder.path()).expect("a runner").run(&mut [&mut listen]).expect("a run");
    assert!(ended.result.complete && running.is_empty());
    assert!((2..=3).contains(&most), "{most}");
    let trials = &ended.result.trials;
    assert_eq!(trials.iter().map(|trial| trial.repetition).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert!(trials.iter().all(|trial| trial.attempts == 3), "{trials:?}");
    assert_eq!(ended.result.manifest.jobs, 3);
}

/// A trial that is in doubt beside others is measured again when nobody else is left, and is told of once.
#[test]
fn what_is_in_doubt_beside_others_is_measured_again_alone_and_last() {
    let folder = tempfile::tempdir().expect("a folder");
    // Nobody keeps to a microsecond.
    let doubtful = SCENARIO
        .replace("least", "doubtful")
        .replace("sequential = \"1ms\"", "constant = \"1000/s\"")
        .replace("send-lag = \"10s\"", "send-lag = \"1us\"");
    let doubtful = ScenarioEntry::parse(doubtful, "doubtful.toml".to_owned()).expect("a scenario");
    let order = [("bare", "doubtful"), ("bare", "one"), ("bare", "one"), ("bare", "one")];
    let supervisors = supervisors(&["bare"]);
    let plan = Plan::new(vec![scenario("one"), doubtful], supervisors, trials(&order), Options::default());
    let plan = plan.expect("a plan").with_executable(PathBuf::from(env!("CARGO_BIN_EXE_holdline")));
    let plan = plan.side_by_side(2, true);
    let (mut began, mut postponed, mut ended_before_last) = (Vec::new(), Vec::new(), 0);
    let mut listen = |event: &Event<'_>| {
        match event {
            Event::TrialBegan { plan } => {
                began.push(plan.repetition);
                ended_before_last = 0;
            }
            Event::TrialEnded { trial, .. } => {
                ended_before_last += 1;
                assert_eq!(trial.scenario == "doubtful", trial.reason.is_some(), "{trial:?}");
            }
            Event::TrialPostponed { plan } => postponed.push(plan.repetition),
            Event::RunBegan { .. } | Event::Load { .. } | Event::Interrupted | Event::RunEnded { .. } => {}
        }
        Ok(())
    };
    let ended = Runner::new(&plan, folder.path()).expect("a runner").run(&mut [&mut listen]).expect("a run");
    assert!(ended.result.complete);
    assert_eq!((began.len(), postponed), (5, vec![0]), "one is measured twice: {began:?}");
    assert_eq!((began.last(), ended_before_last), (Some(&0), 1), "{began:?}");
    let trials = &ended.result.trials;
    assert_eq!(trials.iter().map(|trial| trial.repetition).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn a_sink_that_fails_ends_the_run_and_all_are_told_of_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = plan(&ORDER).expect("a plan");
    let mut told = Vec::new();
    let mut fail = |event: &Event<'_>| match event {
        Event::TrialEnded { .. } => Err("enough".into()),
        _ => Ok(()),
    };
    let mut listen = |event: &Event<'_>| {
        told.push((
            name(event),
            if let Event::RunEnded { so_far } = event { so_far.trials.len() } else { 0 },
        ));
        Ok(())
    };
    let sinks: &mut [&mut dyn Sink] = &mut [&mut fail, &mut listen];
    let error = Runner::new(&plan, folder.path()).expect("a runner").run(sinks).expect_err("it ends");
    assert!(matches!(&error, RunError::Sink(why) if why.to_string() == "enough"), "{error}");
    assert_eq!(told.iter().filter(|(name, _)| *name == "trial ended").count(), 1);
    assert_eq!(told.last(), Some(&("run ended", 1)), "the trial that had ended is kept");
}

#[test]
fn what_cannot_run_is_no_plan() {
    assert!(matches!(plan(&[]), Err(RunError::Empty)));
    assert!(matches!(plan(&[("bare", "three")]), Err(RunError::NotPlanned { what: "scenario", .. })));
    assert!(matches!(plan(&[("circus", "one")]), Err(RunError::NotPlanned { what: "supervisor", .. })));
    let none = Options { isolation: IsolationChoice::None, ..Options::default() };
    let plan = Plan::new(vec![scenario("one")], supervisors(&["bare"]), trials(&[("bare", "one")]), none);
    assert!(plan.expect("a plan").notice().is_none(), "it was asked for");
    assert!(Runner::new(&self::plan(&ORDER).expect("a plan"), Path::new("/")).is_ok());
}

/// The most memory that a run of so many attempts takes, of the process that takes most, in bytes: by so many threads.
#[expect(clippy::zombie_processes, reason = "wait4 waits for it, and tells what it used")]
fn peak_bytes(attempts: u32, threads: u32) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = SCENARIO.replace("sequential = \"1ms\"", "closed = 16");
    let scenario = scenario.replace("attempts = 3", &format!("attempts = {attempts}\nthreads = {threads}"));
    let file = folder.path().join("many.toml");
    std::fs::write(&file, scenario).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdline"));
    command.arg("run").arg(&file).args(["-s", "held-socket", "--out"]).arg(folder.path().join("out"));
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("holdline");
    let pid = libc::pid_t::try_from(child.id()).expect("a process id");
    let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::uninit());
    // SAFETY: both places are there to be written to, and nobody else waits for this child.
    let ended = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    assert_eq!((ended, status), (pid, 0));
    // SAFETY: wait4 has written it, as it has found the child.
    let usage = unsafe { usage.assume_init() };
    // In KiB, the largest of it and of all that it has waited for, and so on (getrusage(2)).
    u64::try_from(usage.ru_maxrss).expect("a size") * 1024
}

#[test]
fn an_attempt_takes_at_most_a_hundred_bytes_of_memory() {
    const FEW: u32 = 5_000;
    const MANY: u32 = 50_000;
    for threads in [1, 3] {
        let (few, many) = (peak_bytes(FEW, threads), peak_bytes(MANY, threads));
        let more = many.saturating_sub(few);
        assert!(more <= u64::from(MANY - FEW) * 100, "{few} bytes for {FEW} attempts, {many} for {MANY}");
    }
}
