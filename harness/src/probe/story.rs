//! The short story that a probe is: step by step, each a trial of its own.

use std::time::Duration;

use holdline_model::file::FileError;
use holdline_model::plan::{TrialPlan, trial_seed};
use holdline_model::wire::Address;
use holdline_model::words::Verb;

use super::{Asks, Do, Service, Subject, quoted, time};
use crate::catalogue::{ScenarioEntry, Source, SupervisorEntry};

/// The step in which nothing is done.
pub const NOISE: &str = "nothing";
/// The step after which nobody is to listen any more.
pub const STOPPED: &str = "stopped";

/// One step of the story: its name, and what is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name, which is also its scenario's.
    pub name: String,
    /// What is done, in words.
    pub what: String,
}

/// All that is to be run.
pub struct Story {
    /// In their order.
    pub steps: Vec<Step>,
    /// Their scenarios.
    pub scenarios: Vec<ScenarioEntry>,
    /// The service, once for each thing that is done to it.
    pub supervisors: Vec<SupervisorEntry>,
    /// Their trials.
    pub trials: Vec<TrialPlan>,
}

/// A step, and what it takes.
struct Planned<'a> {
    step: Step,
    /// What the scenario has beside the load.
    more: String,
    /// What is done to the service by a command.
    done: Option<&'a Do>,
}

impl Subject<'_> {
    /// The story: nothing, a worker killed, whatever is to be done, nobody accepts, and TERM. Of one that runs
    /// already: nothing, and whatever is to be done.
    ///
    /// # Errors
    ///
    /// What was given makes no valid description or scenario.
    pub fn story(&self, dos: &[Do], seed: u64) -> Result<Story, Box<FileError>> {
        let name = self.name();
        let mut story =
            Story { steps: Vec::new(), scenarios: Vec::new(), supervisors: Vec::new(), trials: Vec::new() };
        for (index, Planned { step, more, done }) in (0_u32..).zip(self.planned(dos)) {
            let asks = format!("What does it lose? {}", step.what);
            let text = self.scenario(&step.name, &asks, &more);
            story.scenarios.push(ScenarioEntry::parse(text, format!("probe: {}", step.name))?);
            let service = if done.is_some() { format!("{name}.{index}") } else { name.clone() };
            if done.is_some() || index == 0 {
                let verbs: Vec<(Verb, &Do)> = done.into_iter().map(|it| (it.verb(), it)).collect();
                let text = self.description(&service, &verbs);
                let (origin, source) =
                    ("probe: the description".to_owned(), Source::Folder(self.folder.into()));
                story.supervisors.push(SupervisorEntry::parse(text, origin, source)?);
            }
            story.trials.push(TrialPlan {
                index,
                seed: trial_seed(seed, &service, &step.name, 0),
                supervisor: service,
                scenario: step.name.clone(),
                repetition: 0,
            });
            story.steps.push(step);
        }
        Ok(story)
    }

    fn planned<'d>(&self, dos: &'d [Do]) -> Vec<Planned<'d>> {
        let third = time(self.duration / 3);
        let plain =
            |name: &str, what: &str, more: String| Planned { step: step(name, what), more, done: None };
        let done = dos.iter().map(|it| Planned {
            step: step(&format!("do-{}", it.name), &it.command),
            more: format!("[[fault]]\nat = \"{third}\"\ncontrol = \"{}\"\n", it.verb()),
            done: Some(it),
        });
        let mut planned = vec![plain(NOISE, "nothing is done, which shows the noise", String::new())];
        let Service::Started { has_workers, .. } = self.service else {
            planned.extend(done);
            return planned;
        };
        let (killed, whom, everybody) = match has_workers {
            true => ("a worker is killed (SIGKILL)", "worker", "workers"),
            false => ("its only process is killed (SIGKILL)", "supervisor", "supervisor"),
        };
        let kill = format!("[[fault]]\nat = \"{third}\"\nsignal = {{ to = \"{whom}\", name = \"KILL\" }}\n");
        let freeze =
            format!("[[fault]]\nat = \"{third}\"\npause = {{ whom = \"{everybody}\", for = \"1s\" }}\n");
        // Some connections stay open, to be found idle.
        let sessions = match self.asks {
            // Each stays open by itself, and asks for nothing more.
            Asks::WebSocket { message: None, .. } => "",
            Asks::Http(_) | Asks::Http2(_) | Asks::WebSocket { .. } | Asks::Bytes { .. } => {
                "connection = { requests = 4, gap = \"200ms\", every = 10 }\n"
            }
        };
        let stop = format!("{sessions}[[fault]]\nat = \"{third}\"\ncontrol = \"stop\"\n");
        planned.push(plain("killed", killed, kill));
        planned.extend(done);
        planned.push(plain("frozen", "nobody accepts for 1 s (SIGSTOP)", freeze));
        planned.push(plain(STOPPED, "it is asked to stop (SIGTERM), with some sessions open", stop));
        planned
    }

    fn scenario(&self, name: &str, asks: &str, more: &str) -> String {
        let (duration, rate) = (time(self.duration), self.rate);
        let place = match &self.address {
            Address::Tcp(address) => format!("port = {}", address.port()),
            Address::Unix(_) => format!("path = {}", quoted(&self.address.to_string())),
        };
        format!(
            "name = {}\nasks = {}\n[listen]\ntransport = \"{}\"\n{place}\n[load]\narrivals = {{ constant = \"{rate}/s\" }}\n\
             duration = \"{duration}\"\ndeadline = \"250ms\"\nsend-lag = \"250ms\"\npatience = \"{}\"\ntimeout = \"5s\"\n{more}",
            quoted(name),
            quoted(asks),
            self.transport(),
            time(self.patience()),
        )
    }
}

impl Subject<'_> {
    /// For how long it is watched whether it is back. What redeploys a service that runs already may take its time.
    fn patience(&self) -> Duration {
        match self.service {
            Service::Started { .. } => Duration::from_secs(3),
            Service::Attached => Duration::from_secs(10),
        }
    }
}

fn step(name: &str, what: &str) -> Step {
    Step { name: name.to_owned(), what: what.to_owned() }
}
