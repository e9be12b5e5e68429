//! Version receipts: the proof that a supervisor is installed, and which version it is.

use std::process::Stdio;
use std::time::Duration;

use holdline_model::supervisor::Supervisor;
use tokio::process::Command;

/// How long a receipt may take.
const LIMIT: Duration = Duration::from_secs(5);

/// What a supervisor's version command printed, first line.
///
/// # Errors
///
/// Why it counts as not installed, with the command that installs it.
pub async fn version(supervisor: &Supervisor) -> Result<String, String> {
    let Some((program, arguments)) = supervisor.version.split_first() else {
        return Ok(format!("holdline {}", env!("CARGO_PKG_VERSION")));
    };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .output();
    let words = supervisor.version.join(" ");
    let problem = match tokio::time::timeout(LIMIT, output).await {
        Err(_) => format!("`{words}` did not end within {} s", LIMIT.as_secs()),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            format!("{program} is not installed")
        }
        Ok(Err(error)) => format!("`{words}` cannot be run: {error}"),
        Ok(Ok(output)) if !output.status.success() => format!("`{words}` ended with {}", output.status),
        Ok(Ok(output)) => return Ok(first_line(&output.stdout, &output.stderr)),
    };
    Err(match &supervisor.install {
        Some(install) => format!("{problem}; install it with: {install}"),
        None => problem,
    })
}

fn first_line(stdout: &[u8], stderr: &[u8]) -> String {
    let line = [stdout, stderr].into_iter().find_map(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().map(words).find(|line| !line.is_empty()).map(|line| line.chars().take(80).collect())
    });
    line.unwrap_or_else(|| "installed, version not known".to_owned())
}
