//! The lives that are swept call by call, each as a scenario: what happens in it, and from when to when its calls
//! are recorded.

use serde::{Deserialize, Serialize};

use super::SweepTarget;
use super::calls::{Call, until_serving, within};
use super::steps::transport;
use crate::supervisor::{Control, Holder, Supervisor};
use crate::words::{Verb, words};

words! {
    /// A part of a process's life whose system calls are recorded.
    Life ("life", "kebab-case") {
        /// A worker serves one request.
        Request = "request",
        /// A worker boots, as the supervisor starts it again.
        Boot = "boot",
        /// The supervisor starts a worker again that has crashed.
        Restart = "restart",
        /// The supervisor reloads.
        Reload = "reload",
        /// The supervisor brings in a new version of its workers.
        Upgrade = "upgrade",
        /// The supervisor is replaced.
        UpgradeSupervisor = "upgrade-supervisor",
    }
}

/// Whose calls are recorded, as far as forks lie between them and the process that tracing begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// The process that tracing begins with.
    pub from: SweepTarget,
    /// The nearest whose calls are recorded: 0 is the process itself.
    pub nearest: u32,
    /// The furthest whose calls are recorded.
    pub furthest: u32,
    /// The furthest that is followed beyond its `execve`; what lies further is let go then.
    pub beyond_exec: u32,
}

impl Follow {
    /// A supervisor and its children, these until they execute another program.
    pub const SUPERVISOR: Self =
        Self { from: SweepTarget::Supervisor, nearest: 0, furthest: 1, beyond_exec: 0 };
}

/// When the life begins, in nanoseconds from the load's start: half-way between two attempts.
const BEGIN_NS: u64 = 120_000_000;
/// How long before that the kill is ordered, which whoever traces makes: nothing else happens until then.
const ORDERED_MS: u64 = 10;
/// Its length for a request: until half-way between the next two attempts.
const REQUEST_NS: u64 = 80_000_000;
/// Its length for all others: until long after a worker has booted.
const STORY_NS: u64 = 560_000_000;
/// From its beginning to what is done to the supervisor, in milliseconds: half a gap of the load.
const STORY_AFTER_MS: u64 = 20;

impl Life {
    /// The lives of a target, with the supervisor's verbs as far as it has them.
    #[must_use]
    pub fn of(target: SweepTarget, supervisor: &Supervisor) -> Vec<Self> {
        let has = |verb| !matches!(supervisor.control.get(&verb), None | Some(Control::Unsupported(_)));
        match target {
            // Where it binds itself, its boot is a part of what a restart costs.
            SweepTarget::Worker
                if supervisor.socket.holder == Holder::Worker && !supervisor.single_process =>
            {
                vec![Self::Request, Self::Boot]
            }
            SweepTarget::Worker => vec![Self::Request],
            SweepTarget::Supervisor => {
                let all = [Self::Restart, Self::Reload, Self::Upgrade, Self::UpgradeSupervisor];
                all.into_iter().filter(|life| life.verb().is_none_or(has)).collect()
            }
        }
    }

    /// Who is killed in it.
    #[must_use]
    pub const fn target(self) -> SweepTarget {
        match self {
            Self::Request | Self::Boot => SweepTarget::Worker,
            Self::Restart | Self::Reload | Self::Upgrade | Self::UpgradeSupervisor => SweepTarget::Supervisor,
        }
    }

    /// The verb that begins it.
    #[must_use]
    pub const fn verb(self) -> Option<Verb> {
        match self {
            Self::Request | Self::Boot | Self::Restart => None,
            Self::Reload => Some(Verb::Reload),
            Self::Upgrade => Some(Verb::Upgrade),
            Self::UpgradeSupervisor => Some(Verb::UpgradeSupervisor),
        }
    }

    /// Whose calls are recorded.
    #[must_use]
    pub const fn follow(self) -> Follow {
        let (from, nearest, furthest) = match self {
            Self::Request => (SweepTarget::Worker, 0, u32::MAX),
            Self::Boot => (SweepTarget::Supervisor, 1, 1),
            Self::Restart | Self::Reload | Self::Upgrade => (SweepTarget::Supervisor, 0, 0),
            Self::UpgradeSupervisor => (SweepTarget::Supervisor, 0, 1),
        };
        Follow { from, nearest, furthest, beyond_exec: furthest }
    }

    /// The calls of this life among all that were recorded.
    #[must_use]
    pub fn calls(self, recorded: Vec<Call>) -> Vec<Call> {
        let (begin_ns, end_ns) = self.span_ns();
        let calls = within(recorded, begin_ns, end_ns);
        match self {
            Self::Boot => until_serving(calls),
            Self::Request | Self::Restart | Self::Reload | Self::Upgrade | Self::UpgradeSupervisor => calls,
        }
    }

    /// When it begins and ends, in nanoseconds from the load's start.
    #[must_use]
    pub const fn span_ns(self) -> (u64, u64) {
        match self {
            Self::Request => (BEGIN_NS, BEGIN_NS + REQUEST_NS),
            Self::Boot | Self::Restart | Self::Reload | Self::Upgrade | Self::UpgradeSupervisor => {
                (BEGIN_NS, BEGIN_NS + STORY_NS)
            }
        }
    }

    /// The scenario in which it is lived, as a file. Its first fault is the kill at a place of it, which whoever
    /// traces makes.
    #[must_use]
    pub fn scenario(self, name: &str, supervisor: &Supervisor) -> String {
        let begin_ms = BEGIN_NS / 1_000_000;
        let (rate, duration) = match self {
            Self::Request => ("12.5/s", "480ms"),
            Self::Boot | Self::Restart | Self::Reload | Self::Upgrade | Self::UpgradeSupervisor => {
                ("25/s", "760ms")
            }
        };
        // A worker that is killed as it boots is one that was started because another had ended.
        let begins = match (self, self.verb()) {
            (Self::Request, _) => None,
            (_, Some(verb)) => Some(format!("control = \"{verb}\"")),
            (_, None) => Some("signal = { to = \"worker\", name = \"KILL\" }".to_owned()),
        };
        let begins = begins.map_or_else(String::new, |what| {
            format!("\n[[fault]]\nat = \"{}ms\"\n{what}\n", begin_ms + STORY_AFTER_MS)
        });
        format!(
            "name = \"{name}\"\nasks = \"What is lost if a {target} is killed at this system call?\"\n\n\
             [listen]\ntransport = \"{transport}\"\nbacklog = 128\n\n[workers]\ncount = 1\nboot = \"200ms\"\n\n\
             [load]\narrivals = {{ constant = \"{rate}\" }}\nduration = \"{duration}\"\ntimeout = \"1s\"\n\
             deadline = \"100ms\"\nsend-lag = \"100ms\"\npatience = \"1500ms\"\n\n\
             [[fault]]\nat = \"{ordered_ms}ms\"\nsignal = {{ to = \"{target}\", name = \"KILL\" }}\n{begins}",
            ordered_ms = begin_ms - ORDERED_MS,
            target = self.target(),
            transport = transport(supervisor),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{self, Trigger};
    use crate::{supervisor, support};

    fn supervisor(lines: &str) -> Supervisor {
        let text = format!("name = \"t\"\nabout = \"x\"\nstart = [\"x\"]\n{lines}\n");
        supervisor::parse(&text, "t.toml").unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn every_life_is_a_scenario_whose_first_fault_is_the_kill() {
        let all = "socket = { holder = \"worker\", passing = \"bind\" }\n[control]\nreload = [\"a\"]\n\
                   upgrade = [\"b\"]\nupgrade-supervisor = [\"c\"]\n";
        let supervisor = supervisor(all);
        for life in Life::ALL {
            let text = life.scenario("sweep/x", &supervisor);
            let parsed =
                scenario::parse(&text, "life").unwrap_or_else(|error| panic!("{life}: {error}\n{text}"));
            assert_eq!(support::lack(&supervisor, &parsed, true), None, "{life}");
            let (begin_ns, end_ns) = life.span_ns();
            assert!(matches!(parsed.faults[0].at, Trigger::Elapsed(at_ns) if at_ns < begin_ns), "{life}");
            assert!(
                parsed.faults[1..]
                    .iter()
                    .all(|fault| matches!(fault.at, Trigger::Elapsed(at) if at > begin_ns))
            );
            let scenario::Until::Elapsed(load_ns) = parsed.load.until else { panic!("it has no end") };
            assert!(end_ns < load_ns, "{life}");
        }
    }

    #[test]
    fn a_supervisor_lives_through_what_it_can_and_a_worker_boots_where_it_binds() {
        let binds = "socket = { holder = \"worker\", passing = \"bind\" }\n";
        let holds = "socket = { holder = \"supervisor\", passing = \"stdin\" }\n";
        let worker = |lines| Life::of(SweepTarget::Worker, &supervisor(lines));
        assert_eq!(worker(binds), [Life::Request, Life::Boot]);
        assert_eq!(worker(holds), [Life::Request]);
        let verbs = format!("{holds}[control]\nreload = {{ unsupported = \"x\" }}\nupgrade = [\"y\"]\n");
        assert_eq!(Life::of(SweepTarget::Supervisor, &supervisor(&verbs)), [Life::Restart, Life::Upgrade]);
    }
}
