//! The programs behind the front: each is started once those before it listen, and all are stopped after the front.

use std::process::ExitStatus;
use std::time::Duration;

use holdline_contract::clock::now_ns;
use holdline_model::conductor::Event;
use holdline_model::mishap::{Mishap, NotThere};
use holdline_model::reason::Note;
use holdline_model::supervisor::Program;
use holdline_model::template;
use holdline_model::wire::Address;
use tokio::time::timeout;

use super::cast::{Cast, Companion};
use super::hands::ask;
use super::place::PlaceError;
use super::process::Supervised;
use super::sight::SightError;
use super::stage::{NotReady, Stage};
use super::workspace::WorkspaceError;
use crate::kernel::observer::{INTERVAL, Observer};
use crate::proc;

/// How often it is looked whether a program listens.
const LOOKS: Duration = Duration::from_millis(5);
/// How long one may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Starts all programs, one after the other. The error says why one never listened.
pub(super) async fn start(stage: &mut Stage) -> Result<(), NotReady> {
    for program in stage.place.supervisor.programs.clone() {
        let (companion, address) = begin(stage, program)?;
        stage.companions.all.push(companion);
        await_listener(stage, address).await?;
    }
    Ok(())
}

fn begin(stage: &mut Stage, program: Program) -> Result<(Companion, Address), PlaceError> {
    let (process, command) = stage.place.start_program(&program)?;
    let values = &stage.place.workspace.values;
    let address = template::argument(&program.listens, values).map_err(WorkspaceError::from)?;
    let pid = proc::number(process.started());
    stage.log.event(now_ns(), &Event::ProgramStarted { program: program.name.clone(), pid, command });
    let address =
        address.parse().map_err(|_| PlaceError::NoAddress { program: program.name.clone(), address })?;
    Ok((Companion::new(program, process), address))
}

/// Waits until somebody listens where the program that was started last should.
async fn await_listener(stage: &mut Stage, address: Address) -> Result<(), NotReady> {
    let observer = Observer::start(address.clone(), INTERVAL, |_| {}).map_err(SightError::from)?;
    let Some(index) = stage.companions.all.len().checked_sub(1) else { return Ok(()) };
    let Program { name, timeout_ns, .. } = stage.companions.all[index].program.clone();
    let deadline_ns = now_ns() + timeout_ns;
    while !observer.is_listening() {
        let process = &mut stage.companions.all[index].process;
        process.cut_log();
        let ended = process.has_ended_alone().filter(|status| !process.may_be_replaced(*status));
        if let Some(status) = ended {
            return Err(ended_early(stage, &name, status));
        }
        if now_ns() > deadline_ns {
            let (needs, log) = (stage.place.supervisor.needs.clone(), stage.place.program_log_tail(&name));
            let missing = NotThere::Listener { address, elsewhere: Vec::new() };
            let mishap = Mishap::NotReady { program: Some(name), limit_ns: timeout_ns, missing, needs, log };
            return Err(NotReady::Failed(mishap));
        }
        tokio::time::sleep(LOOKS).await;
    }
    stage.log.event(now_ns(), &Event::ProgramReady { program: name });
    Ok(())
}

fn ended_early(stage: &Stage, program: &str, status: ExitStatus) -> NotReady {
    let needs = stage.place.supervisor.needs.clone();
    let log = stage.place.program_log_tail(program);
    NotReady::Failed(Mishap::Ended {
        program: Some(program.to_owned()),
        status: proc::exit_of(status),
        left: None,
        needs,
        log,
    })
}

/// Stops all of them, the last first, and says what is amiss.
pub(super) async fn stop(stage: &mut Stage, front: &Supervised) -> Vec<Note> {
    let mut notes = Vec::new();
    for index in (0..stage.companions.all.len()).rev() {
        let companion = &stage.companions.all[index];
        let (name, control) = (companion.program.name.clone(), companion.program.stop.clone());
        let cast = Cast { front, behind: &stage.companions };
        let prepared = ask::prepare(&control, &stage.place, &stage.sight, cast, Some(&name));
        // One that has ended needs not be asked, and one that cannot be asked goes with the trial.
        let asked = match prepared {
            Ok(prepared) => prepared.run().await.is_ok(),
            Err(_) => false,
        };
        let process = &mut stage.companions.all[index].process;
        let is_gone = process.has_ended().is_some();
        let ended = is_gone || asked && timeout(STOP_LIMIT, process.wait()).await.is_ok();
        if !ended {
            notes.push(Note::ProgramKilled { program: name });
        }
    }
    notes
}
