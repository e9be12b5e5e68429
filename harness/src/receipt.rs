//! Version receipts: the proof that a supervisor is installed, and which version it is.
//!
//! A receipt runs outside of any sandbox, so it is bounded in time and in what is kept of its output,
//! and whatever it leaves running in its process group is killed.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdline_model::lack::{Missing, VersionProblem};
use holdline_model::supervisor::Supervisor;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::{OnceCell, Semaphore};

use crate::proc;

/// How long a receipt may take. An interpreter that reads its modules from a cold disk, on a machine that has
/// much else to do, was seen to take more than ten seconds.
const LIMIT: Duration = Duration::from_secs(30);
/// How long what it wrote may take to arrive once it has ended.
const LATE: Duration = Duration::from_millis(100);
/// How much of its output is looked at.
const KEPT_BYTES: usize = 4096;
/// How many characters of a version command are quoted.
const WORDS_MAX: usize = 60;
/// What a shell ends with that did not find a command.
const NOT_FOUND: i32 = 127;

/// What a supervisor's version command printed, first line.
///
/// # Errors
///
/// Why it counts as not installed, with the command that installs it.
pub async fn version(supervisor: &Supervisor) -> Result<String, Missing> {
    let Some(program) = supervisor.version.first() else {
        return Ok(format!("holdline {}", env!("CARGO_PKG_VERSION")));
    };
    outcome_of(&supervisor.version).await.map_err(|problem| {
        // What a shell looked for is not its first word.
        let program = if program == "sh" { &supervisor.name } else { program };
        Missing { problem, program: program.clone(), install: supervisor.install.clone() }
    })
}

/// The version that a command printed; or what went wrong, `None` if it is not there.
type Outcome = Result<String, Option<VersionProblem>>;

/// What is known already. Variants of a supervisor share their command, which is asked once.
static KNOWN: Mutex<BTreeMap<Vec<String>, Arc<OnceCell<Outcome>>>> = Mutex::new(BTreeMap::new());

/// Commands run side by side make each other slow, and would exceed their time.
static SIDE_BY_SIDE: Semaphore = Semaphore::const_new(2);

async fn outcome_of(command: &[String]) -> Outcome {
    let known = {
        let mut all = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(command.to_vec()).or_default())
    };
    known.get_or_init(|| ask_for_version(command)).await.clone()
}

async fn ask_for_version(command: &[String]) -> Outcome {
    // It is never closed.
    let _permit = SIDE_BY_SIDE.acquire().await;
    let answer = ask(command).await;
    let command = short(&squeezed(&command.join(" ")));
    match answer {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(None),
        Err(error) => Err(Some(VersionProblem::NotRun { command, error: error.to_string() })),
        Ok(Answer { status: None, .. }) => {
            Err(Some(VersionProblem::Endless { command, limit_s: LIMIT.as_secs() }))
        }
        Ok(Answer { status: Some(status), .. }) if status.code() == Some(NOT_FOUND) => Err(None),
        Ok(Answer { status: Some(status), output, errors }) if !status.success() => {
            let said = first_line(&errors, &output);
            Err(Some(VersionProblem::Failed { command, status: proc::exit_of(status), said }))
        }
        Ok(Answer { output, errors, .. }) => {
            Ok(first_line(&output, &errors).unwrap_or_else(|| "installed, version not known".to_owned()))
        }
    }
}

/// What came of a version command; without a status, it did not end in time.
struct Answer {
    status: Option<ExitStatus>,
    output: Vec<u8>,
    errors: Vec<u8>,
}

/// A process group that is killed when this is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Without any member left, this is ESRCH.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

async fn ask(words: &[String]) -> std::io::Result<Answer> {
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = Group(child.id().and_then(proc::numbered));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let status = {
        let reading =
            async { tokio::join!(keep_first(stdout, &mut output), keep_first(stderr, &mut errors)) };
        tokio::pin!(reading);
        let mut was_read = false;
        let ended = tokio::time::timeout(LIMIT, async {
            loop {
                tokio::select! {
                    status = child.wait() => return status,
                    _ = &mut reading, if !was_read => was_read = true,
                }
            }
        });
        let status = ended.await.ok().transpose()?;
        // Whoever it left behind may hold its output open.
        drop(group);
        if !was_read {
            let _ = tokio::time::timeout(LATE, reading).await;
        }
        status
    };
    Ok(Answer { status, output, errors })
}

/// Reads all of a pipe, so that its writer never waits, and keeps the beginning.
async fn keep_first(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; KEPT_BYTES];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        let room = KEPT_BYTES - kept.len();
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
}

/// A command that is a whole script says little in full.
fn short(words: &str) -> String {
    match words.char_indices().nth(WORDS_MAX) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    }
}

/// Its words, one blank between them.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn first_line(first: &[u8], second: &[u8]) -> Option<String> {
    [first, second].into_iter().find_map(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        text.lines().map(squeezed).find(|line| !line.is_empty()).map(|line| line.chars().take(80).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(script: &str) -> Answer {
        ask(&["sh", "-c", script].map(str::to_owned)).await.expect("a shell")
    }

    #[tokio::test]
    async fn much_output_is_read_and_little_is_kept() {
        let answer = answer("echo version 7; head -c 3000000 /dev/zero | tr '\\0' x").await;
        assert!(answer.status.is_some_and(|status| status.success()));
        assert_eq!(answer.output.len(), KEPT_BYTES);
        assert_eq!(first_line(&answer.output, &answer.errors).as_deref(), Some("version 7"));
    }

    #[test]
    fn long_commands_are_quoted_in_part() {
        assert_eq!(short("circusd --version"), "circusd --version");
        assert_eq!(short(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
    }

    #[tokio::test]
    async fn what_it_leaves_running_is_killed_and_not_waited_for() {
        let answer = answer("sleep 1000 & echo $!").await;
        let pid: u32 = String::from_utf8(answer.output).expect("UTF-8").trim().parse().expect("a pid");
        while proc::is_alive(proc::numbered(pid).expect("a process")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
