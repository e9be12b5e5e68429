//! Who plays in a trial: the supervisor, which has the service's address, and the programs behind it.

use holdline_contract::clock::now_ns;
use holdline_model::conductor::{Event, KnownBy, SeenWorker, Sighting, Standing};
use holdline_model::exit::Exit;
use holdline_model::supervisor::{Control, Program};
use holdline_model::words::Verb;
use nix::unistd::Pid;

use super::process::Supervised;
use super::record::Told;
use crate::proc;

/// A program behind the front that was started.
#[derive(Debug)]
pub(super) struct Companion {
    pub(super) program: Program,
    pub(super) process: Supervised,
    /// When it was seen to have ended, and how.
    ended: Option<(u64, Exit)>,
}

impl Companion {
    pub(super) const fn new(program: Program, process: Supervised) -> Self {
        Self { program, process, ended: None }
    }

    /// How it is asked for a verb, if it is known how.
    pub(super) fn control(&self, verb: Verb) -> Option<&Control> {
        if verb == Verb::Stop { Some(&self.program.stop) } else { self.program.control.get(&verb) }
    }

    /// Its child processes, the oldest first: what its workers are is not known otherwise.
    pub(super) fn children(&self) -> Vec<Pid> {
        let mut children = proc::children(self.process.pid()).ok().flatten().unwrap_or_default();
        let started = |pid: &Pid| proc::stat(*pid).ok().flatten().map(|stat| stat.started_ticks);
        children.sort_by_key(|pid| (started(pid), *pid));
        children
    }

    /// Who of it there is to be hit by a fault.
    pub(super) fn seen(&self) -> Sighting {
        let pid = self.process.pid();
        let worker = |pid| SeenWorker { pid: proc::number(pid), standing: Standing::Ready };
        Sighting {
            supervisor: proc::is_alive(pid).then(|| proc::number(pid)),
            workers: self.children().into_iter().map(worker).collect(),
            known_by: KnownBy::Parent,
        }
    }
}

/// The programs behind the front, in the order in which they were started.
#[derive(Debug, Default)]
pub(super) struct Companions {
    pub(super) all: Vec<Companion>,
}

impl Companions {
    /// The one of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Companion> {
        self.all.iter().find(|companion| companion.program.name == name)
    }

    /// Keeps their logs from filling the disk, and says which have ended since the last look.
    pub(super) fn look(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        for companion in &mut self.all {
            companion.process.cut_log();
            let ended = companion.process.has_ended_alone();
            let Some(status) = ended.filter(|_| companion.ended.is_none()).map(proc::exit_of) else {
                continue;
            };
            let at_ns = now_ns();
            companion.ended = Some((at_ns, status));
            let (program, pid) = (companion.program.name.clone(), proc::number(companion.process.started()));
            told.push((at_ns, Event::ProgramEnded { program, pid, status }));
        }
        told
    }

    /// Whether a process is one of theirs.
    pub(super) fn has(&self, pid: Pid) -> bool {
        let started_by = |leader: Pid| pid == leader || proc::descends_from(pid, leader);
        self.all.iter().any(|it| started_by(it.process.pid()) || started_by(it.process.started()))
    }

    /// Their processes that live, and those that they have started.
    pub(super) fn alive(&self) -> Vec<u32> {
        let of = |companion: &Companion| [vec![companion.process.pid()], companion.children()].concat();
        self.all.iter().flat_map(of).filter(|pid| proc::is_alive(*pid)).map(proc::number).collect()
    }

    /// Those that were seen to have ended: what they are called, when, and how.
    pub(super) fn ended(&self) -> impl Iterator<Item = (&str, u64, Exit)> {
        self.all.iter().filter_map(|it| it.ended.map(|(at_ns, exit)| (it.program.name.as_str(), at_ns, exit)))
    }
}

/// All who can be asked for something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cast<'a> {
    /// The supervisor.
    pub(super) front: &'a Supervised,
    /// The programs behind it.
    pub(super) behind: &'a Companions,
}
