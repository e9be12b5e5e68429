//! What requests of services need from outside of their files: variables of the environment, and bodies in files.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use holdline_model::scenario::{Connection, Scenario};
use holdline_model::secrets::Secrets;
use holdline_model::service::{FillProblem, Outside, ReadFile};
use holdline_model::supervisor::Supervisor;
use holdline_model::support;
use holdline_model::wire::{Can, NotAtOnce, Script};

/// The longest body that is read from a file: it is kept in memory, once.
const BODY_BYTES_MAX: u64 = 1 << 30;

/// What is said to a service in a scenario, and what of it nothing may show. `file` reads a file from the folder of
/// the file that names it.
///
/// # Errors
///
/// A variable is not set or does not fit, a body cannot be read, or requests that are to be sent at once cannot be.
pub(crate) fn script(
    supervisor: &Supervisor,
    scenario: &Scenario,
    file: &ReadFile<'_>,
) -> Result<(Script, Secrets), FillProblem> {
    let variable = |name: &str| std::env::var_os(name).map(OsStringExt::into_vec);
    let protocol = support::protocol(supervisor, scenario);
    let service = support::service(supervisor, scenario);
    let (script, secrets) = service.script(protocol, &Outside { variable: &variable, file })?;
    check(protocol.can(), &scenario.load.connection, &script).map_err(FillProblem::AtOnce)?;
    Ok((script, secrets))
}

/// Whether connections can be used as the scenario wants it.
fn check(can: Can, connection: &Connection, script: &Script) -> Result<(), NotAtOnce> {
    if connection.pipeline {
        match script {
            Script::Messages(_) => return Err(NotAtOnce::Messages),
            Script::Squares | Script::Http(_) | Script::Bytes(_) if !can.pipeline => {
                return Err(NotAtOnce::Streams);
            }
            Script::Squares | Script::Http(_) | Script::Bytes(_) => script.may_be_sent_at_once()?,
        }
    }
    if connection.pool.is_some() && !can.pool {
        return Err(NotAtOnce::Pool);
    }
    if connection.is_session() && script.turns(1).is_empty() {
        return Err(NotAtOnce::Silent);
    }
    Ok(())
}

/// Reads a body from a file in a folder, or from an absolute path.
///
/// # Errors
///
/// Why it cannot be read, in words.
pub(crate) fn body_in(folder: Option<&Path>, path: &str) -> Result<Vec<u8>, String> {
    let Some(folder) = folder else { return Err("it belongs to a file that is in no folder".to_owned()) };
    let path = folder.join(path);
    let read = || -> std::io::Result<Option<Vec<u8>>> {
        let file = File::open(&path)?;
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::other("it is no ordinary file"));
        }
        let mut bytes = Vec::new();
        file.take(BODY_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= BODY_BYTES_MAX))
    };
    match read() {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(format!("it is longer than {} GiB", BODY_BYTES_MAX >> 30)),
        Err(error) => Err(error.to_string()),
    }
}
