use super::*;
use crate::exit::Exit;
use crate::hindrance::{CommandProblem, PidFileProblem};
use crate::log_tail::LogTail;
use crate::mishap::LeftRunning;
use crate::mishap::NotThere;
use crate::scenario::Target;
use crate::signals::Signal;
use crate::words::CrashStep;
use crate::words::{CrashMode, Verb};

#[test]
fn files_that_say_in_words_what_is_a_value_here_are_read() {
    let text =
        r#"{"kind":"no_right_reply","asked":"x","times":1,"came":"nobody listened","remedy":"write it"}"#;
    let remedy = Remedy::SayProtocol;
    let expected = Reason::NoRightReply { asked: "x".to_owned(), times: 1, answer: None, remedy };
    assert_eq!(serde_json::from_str::<Reason>(text).expect("a reason"), expected);
    let text = r#"{"kind":"not_back","patience_ns":7,"last":"nobody listened"}"#;
    let expected = Reason::NotBack { patience_ns: 7, answer: None };
    assert_eq!(serde_json::from_str::<Reason>(text).expect("a reason"), expected);
    let text = r#"{"kind":"unasked","why":"the request could not be made"}"#;
    assert_eq!(serde_json::from_str::<Reason>(text).expect("a reason"), Reason::Unasked { cause: None });
}

/// Their words are told as they are.
#[test]
fn sentences_of_older_files_are_read_and_told_as_they_are() {
    let reasons = [
        (r#"{"kind":"not_run","what":"it fell over"}"#, "it fell over"),
        (
            r#"{"kind":"fault_failed","fault":1,"action":"TERM to a worker","error":"it fell over"}"#,
            "fault 1 (TERM to a worker) could not be injected: it fell over",
        ),
    ];
    for (text, told) in reasons {
        let reason: Reason = serde_json::from_str(text).expect("a reason");
        assert_eq!(reason.to_string(), told);
        assert_eq!(serde_json::to_string(&reason).expect("JSON"), text);
    }
    let notes = [
        (
            r#"{"kind":"left_behind","status":"status 0","hint":", and left a mess"}"#,
            "the supervisor ended with status 0 while the load ran, and left a mess",
        ),
        (
            r#"{"kind":"killed","limit_s":10,"error":"it fell over"}"#,
            "the supervisor did not stop within 10 s of a stop that failed: it fell over; it was killed",
        ),
        (
            r#"{"kind":"hit_nobody","fault":2,"action":"reload"}"#,
            "fault 2 (reload) hit nobody: no such process ran",
        ),
    ];
    for (text, told) in notes {
        let note: Note = serde_json::from_str(text).expect("a note");
        assert_eq!(note.to_string(), told);
        assert_eq!(serde_json::to_string(&note).expect("JSON"), text);
    }
}

#[test]
fn values_are_read_back_as_they_were_written() {
    let failed = CommandProblem::Failed { status: Exit::Status(2), log: LogTail(vec!["no".to_owned()]) };
    let late = CommandProblem::Late { limit_s: 30 };
    let command = |problem| Hindrance::Command { command: "reload".to_owned(), problem };
    let pid_file = Hindrance::PidFile { path: "/x".to_owned(), problem: PidFileProblem::NoNumber };
    let deeds = [
        Deed::Poison { attempt: Some(5), step: CrashStep::Work, mode: CrashMode::Panic },
        Deed::Signal { to: Target::Worker, signal: Signal::KILL },
        Deed::Pause { whom: Target::Supervisor, for_ns: None },
        Deed::Ask { verb: Verb::Scale, workers: Some(3) },
    ];
    for (deed, error) in
        deeds.into_iter().zip([command(failed), command(late), pid_file, Hindrance::NoneHolds])
    {
        let reason = Reason::FaultFailed { fault: 1, action: deed.into(), error: error.into() };
        let text = serde_json::to_string(&reason).expect("JSON");
        assert_eq!(serde_json::from_str::<Reason>(&text).expect("a reason"), reason, "{text}");
    }
    let address = "127.0.0.1:80".parse().expect("an address");
    let missing = NotThere::Workers { address, ready: 1, wanted: 2 };
    let (needs, log) = (Some("root".to_owned()), LogTail::default());
    let left = Some(LeftRunning::NameOneInPidFile { pid_file: "pid".to_owned() });
    for mishap in [
        Mishap::Ended { program: None, status: Exit::Status(1), left, needs: None, log: log.clone() },
        Mishap::NotReady { program: Some("php".to_owned()), limit_ns: 7, missing, needs, log },
        Mishap::Died { status: Exit::Unknown, wrote: String::new() },
        Mishap::Own { error: "no".to_owned() },
    ] {
        let full = FullFolder { folder: "/tmp".to_owned(), size_mib: 64, files: 9 };
        let reason = Reason::NotRun { what: mishap.into(), full: Some(full) };
        let text = serde_json::to_string(&reason).expect("JSON");
        assert_eq!(serde_json::from_str::<Reason>(&text).expect("a reason"), reason, "{text}");
    }
}

#[test]
fn what_is_quoted_of_a_log_stands_on_lines_of_its_own() {
    let log = LogTail(vec!["first".to_owned(), "second".to_owned()]);
    let mishap = Mishap::Ended {
        program: None,
        status: Exit::Status(1),
        left: None,
        needs: Some("root".to_owned()),
        log,
    };
    assert_eq!(
        mishap.to_string(),
        "the supervisor ended with status 1 before it was ready; it needs root; the last lines of its log:\
         \n    | first\n    | second"
    );
    assert_eq!(LogTail::default().to_string(), "; it wrote nothing to its log");
}
