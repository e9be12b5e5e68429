//! What is told of replies, and of how connections end.

use holdline_model::result::{LossKind, TrialResult};
use holdline_model::words::{Fate, Grade};

use crate::planted::run;

fn fate(trial: &TrialResult, fate: Fate) -> u64 {
    trial.fates.get(&fate).copied().unwrap_or(0)
}

fn examples(trial: &TrialResult, kind: LossKind) -> Vec<&str> {
    trial.causes.iter().filter(|loss| loss.kind == kind).filter_map(|loss| loss.example.as_deref()).collect()
}

#[test]
fn one_that_answers_503_while_it_drains_is_quoted_and_safe_to_retry() {
    let planted = run("asked-to-restart", "draining", &[]);
    let trial = &planted.trial;
    assert_eq!(trial.grade, Grade::Lossy, "{:?}", trial.losses);
    assert!(fate(trial, Fate::ErrorReply) > 0, "{:?}", trial.fates);
    assert_eq!(
        (fate(trial, Fate::ErrorReply), trial.ambiguous),
        (trial.safe_to_retry, 0),
        "{:?}",
        trial.fates
    );
    assert_eq!(examples(trial, LossKind::ErrorReply), ["draining, come again\\n"]);
}

#[test]
fn one_whose_path_was_removed_is_not_said_to_be_away() {
    let planted = run("asked-to-restart-unix", "unlinks-its-successors-path", &[]);
    let trial = &planted.trial;
    assert!(fate(trial, Fate::Refused) > 0, "{:?}", trial.fates);
    let refused: Vec<String> =
        trial.causes.iter().filter(|loss| loss.kind == LossKind::Refused).map(ToString::to_string).collect();
    assert!(refused.iter().any(|said| said.contains("path")), "{refused:?}");
    assert!(!refused.iter().any(|said| said.contains("nobody listened")), "{refused:?}");
}

#[test]
fn who_closes_with_an_upload_unread_is_told_from_who_lingers() {
    for (service, send_failed) in [("closes-unread", 20), ("lingers-unread", 0)] {
        let planted = run("uploads", service, &[]);
        let trial = &planted.trial;
        assert_eq!(
            (trial.grade, fate(trial, Fate::Served)),
            (Grade::Held, 20),
            "{service}: {:?}",
            trial.losses
        );
        assert_eq!(trial.endings.send_failed, send_failed, "{service}: {:?}", trial.endings);
        // Whether the end of its side was there before all was sent is a matter of luck.
        assert!(trial.endings.half_closed == 0 || send_failed == 0, "{service}: {:?}", trial.endings);
        let is_said = trial.causes.iter().any(|loss| loss.kind == LossKind::SendFailed);
        assert_eq!(is_said, send_failed > 0, "{:?}", trial.losses);
    }
}

#[test]
fn large_replies_are_read_to_their_end() {
    let planted = run("downloads", "large-replies", &[]);
    assert_eq!(planted.trial.grade, Grade::Held, "{:?}", planted.trial.losses);
}
