//! The golden ladder: what a crash costs under each strategy, counted to the last connection.

use holdline_model::recovery::Recovery;
use holdline_model::result::TrialResult;
use holdline_model::words::{Blame, Fate, Grade, Verdict};

use crate::support::{Files, Place, conclusive, of, stdout};

fn count(trial: &TrialResult, fate: Fate) -> u64 {
    trial.fates[&fate]
}

/// Everything that holds of any trial of `crash`, whatever the supervisor.
#[track_caller]
fn adds_up(trial: &TrialResult) {
    assert!(trial.books.is_balanced(), "{}", trial.supervisor);
    assert_eq!(trial.attempts, 20, "{}", trial.supervisor);
    assert_eq!(trial.fates.values().sum::<u64>(), 20);
    assert_eq!(trial.blame[&Blame::Poison], 1, "{}: {:?}", trial.supervisor, trial.losses);
    assert_eq!(trial.kernel.listen_overflows, 0);
    assert_eq!(trial.workers.leaked_fds, 0, "{}", trial.supervisor);
    assert_eq!(trial.workers.orphans, Some(0), "{}", trial.supervisor);
}

#[test]
fn every_reference_supervisor_gets_its_grade_in_crash() {
    let place = Place::new();
    let (output, run) = conclusive(&place, &["crash"]);
    assert_eq!(output.status.code(), Some(1), "bare fails the scenario's expectations");
    assert_eq!(run.trials.len(), 10);
    run.trials.iter().for_each(adds_up);

    let bare = of(&run, "bare");
    assert_eq!((bare.grade, bare.verdict), (Grade::Down, Verdict::Fail));
    assert_eq!((count(bare, Fate::Served), count(bare, Fate::Refused)), (5, 14));
    assert_eq!(count(bare, Fate::NoReply), 1);
    assert_eq!(bare.recoveries, [Recovery::Never]);

    let looped = of(&run, "restart-loop");
    assert_eq!(looped.verdict, Verdict::Fail);
    only_the_restart_is_refused(looped, &Files::of(&output, looped));

    for name in ["held-socket", "inherited-fd", "backoff", "rolling", "handover"] {
        let trial = of(&run, name);
        assert_eq!(trial.grade, Grade::Delayed, "{name}");
        assert_eq!(count(trial, Fate::Served), 19, "{name}: {:?}", trial.losses);
        assert_eq!(trial.kernel.listeners_closed, 0, "{name}");
        assert_eq!(trial.kernel.queue_max, 1, "{name}: attempt 6 waits in the queue");
        let files = Files::of(&output, trial);
        let accepted_ns = files.attempts[6].accepted_ns.expect("accepted");
        assert!(
            i128::from(accepted_ns) >= files.ready_ns(2).expect("ready"),
            "{name}: attempt 6 waits for the boot"
        );
    }
    for (name, replacement) in [("prefork", 3), ("standby", 3), ("reuse-port", 3)] {
        let trial = of(&run, name);
        assert_eq!(count(trial, Fate::Served), 19, "{name}: {:?}", trial.losses);
        nobody_waits_for_a_boot(trial, &Files::of(&output, trial), replacement);
    }
    let table = stdout(&output);
    for needle in ["14 refused: nobody listened", "run directory: "] {
        assert!(table.contains(needle), "{needle:?} is not in\n{table}");
    }
}

/// Where the listener dies with its worker: whoever comes before the next worker listens is refused,
/// whoever comes after it is served. On an idle machine that is 8 to 10 attempts at 100 ms to boot.
#[track_caller]
fn only_the_restart_is_refused(trial: &TrialResult, files: &Files) {
    // A machine that is busy may not restart a worker while the load lasts.
    let ready_ns = files.ready_ns(2).unwrap_or(i128::MAX);
    for row in files.attempts.iter().filter(|row| row.attempt > 5) {
        match row.fate {
            Fate::Refused => assert!(i128::from(row.started_ns) < ready_ns, "{row:?}, ready at {ready_ns}"),
            Fate::Served => assert!(i128::from(row.finished_ns) > ready_ns, "{row:?}, ready at {ready_ns}"),
            other => panic!("attempt {}: {other}", row.attempt),
        }
    }
    let (served, refused) = (count(trial, Fate::Served), count(trial, Fate::Refused));
    assert!(refused >= 1 && served + refused == 19, "{:?}", trial.fates);
    // On a machine that is too busy to restart a worker within 14 attempts, the watch sees it.
    assert_eq!((trial.grade, trial.kernel.listeners_closed), (Grade::Lossy, 1));
    assert!(served > 5 || trial.back_after_ns.is_some(), "{:?}", trial.timeline);
}

/// Where another worker takes over: the attempt after the poison is accepted before the dead
/// worker's replacement can accept anything.
#[track_caller]
fn nobody_waits_for_a_boot(trial: &TrialResult, files: &Files, replacement: u64) {
    let accepted_ns = files.attempts[6].accepted_ns.expect("accepted");
    let ready_ns = files.ready_ns(replacement).unwrap_or(i128::MAX);
    assert!(i128::from(accepted_ns) < ready_ns, "{}: {accepted_ns}", trial.supervisor);
    // A machine that is too busy to answer within 50 ms delays them all the same.
    assert!(matches!(trial.grade, Grade::Held | Grade::Delayed), "{}: {:?}", trial.supervisor, trial.losses);
}

#[test]
fn the_articles_ladder_in_python_gives_the_same_counts() {
    let place = Place::new();
    let selection = ["crash", "-s", "bash-{loop,held-socket,inherited-fd}", "-s", "python-inlined-loop"];
    let (output, run) = conclusive(&place, &selection);
    assert_eq!(run.trials.len(), 4);
    run.trials.iter().for_each(adds_up);
    let looped = of(&run, "bash-loop");
    only_the_restart_is_refused(looped, &Files::of(&output, looped));
    for name in ["bash-held-socket", "bash-inherited-fd", "python-inlined-loop"] {
        let trial = of(&run, name);
        assert_eq!(trial.grade, Grade::Delayed, "{name}: {:?}", trial.losses);
        assert_eq!((count(trial, Fate::Served), count(trial, Fate::Refused)), (19, 0), "{name}");
    }
}

#[test]
fn ipv6_and_unix_sockets_show_the_same_ladder() {
    let place = Place::new();
    let crash = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/crash.toml"));
    let crash = crash.expect("crash.toml");
    for transport in ["tcp6", "unix"] {
        let text = crash
            .replace("name = \"crash\"", &format!("name = \"crash-{transport}\""))
            .replace("transport = \"tcp\"", &format!("transport = \"{transport}\""));
        assert!(text.contains(&format!("transport = \"{transport}\"")), "crash.toml names its transport");
        let path = place.write(&format!("crash-{transport}.toml"), &text);
        let path = path.to_str().expect("UTF-8");
        let place = Place::new();
        let selection = [path, "-s", "bare", "-s", "restart-loop", "-s", "held-socket", "-s", "prefork"];
        let (output, run) = conclusive(&place, &selection);
        run.trials.iter().for_each(adds_up);
        assert_eq!(count(of(&run, "bare"), Fate::Refused), 14, "{transport}");
        assert_eq!(of(&run, "bare").grade, Grade::Down, "{transport}");
        let looped = of(&run, "restart-loop");
        only_the_restart_is_refused(looped, &Files::of(&output, looped));
        assert_eq!(of(&run, "held-socket").grade, Grade::Delayed, "{transport}");
        let prefork = of(&run, "prefork");
        nobody_waits_for_a_boot(prefork, &Files::of(&output, prefork), 3);
    }
}

#[test]
fn without_isolation_the_counts_are_the_same_and_the_result_says_what_is_not_known() {
    let place = Place::new();
    let selection = ["crash", "-s", "bare", "-s", "held-socket", "--isolation", "none"];
    let (output, run) = conclusive(&place, &selection);
    assert_eq!(count(of(&run, "bare"), Fate::Refused), 14);
    assert_eq!(of(&run, "held-socket").grade, Grade::Delayed);
    assert!(run.manifest.counters_host_wide);
    assert!(stdout(&output).contains("host"), "{}", stdout(&output));
}
