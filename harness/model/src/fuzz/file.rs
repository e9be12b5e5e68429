//! From a case to a scenario file: an ordinary one, which `holdline run` takes.

use std::fmt::Write as _;

use super::case::{Case, Due, Session, Surroundings, hundredths};
use crate::duration::exact;
use crate::plan::trial_seed;
use crate::scenario::{Action, Arrivals, AtCall, Drain, Target, Trigger};
use crate::syscall::{Meeting, When};
use crate::words::{CrashStep, Transport, word_of};

/// How much longer than a service may take to recover a client waits for its answer.
const WAIT_PERCENT: u64 = 150;

/// What a supervisor is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Within what time the service must be back, and its workers must be there again, in nanoseconds.
    pub recovery_ns: u64,
    /// How much longer for each start that is to fail, beyond what workers take to boot: what the supervisor takes to
    /// start another, in nanoseconds.
    pub restart_ns: u64,
    /// Within what time it must all be back where the supervisor is asked for something, such as a restart of the whole,
    /// if that is longer, in nanoseconds.
    pub asked_ns: u64,
}

/// What a file is written for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purpose<'a> {
    /// The lines of its `[expect]`: see [`super::Breach::expectation`].
    pub expects: &'a [String],
    /// What stands above it, each line as a comment.
    pub comment: &'a str,
}

impl Case {
    /// The scenario file of this case, with the name that [`Case::name`] gives it.
    #[must_use]
    pub fn file(&self, terms: Terms, purpose: Purpose<'_>) -> String {
        let mut text = String::new();
        for line in purpose.comment.lines() {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "name = \"{}\"", self.name(terms));
        let _ = writeln!(text, "asks = \"Does anything go wrong if faults strike just then?\"");
        text += &self.body(terms);
        if !purpose.expects.is_empty() {
            text += "\n[expect]\n";
            text.extend(purpose.expects.iter().map(|line| format!("{line}\n")));
        }
        text
    }

    /// The name of its scenario, which depends on all that it says and nothing else.
    #[must_use]
    pub fn name(&self, terms: Terms) -> String {
        format!("fuzz-{:012x}", trial_seed(0, "", &self.body(terms), 0) & 0xffff_ffff_ffff)
    }

    /// What it says, without a name.
    #[must_use]
    pub fn body(&self, terms: Terms) -> String {
        let mut text = String::new();
        self.listen(&mut text);
        self.workers(&mut text, terms);
        self.load(&mut text, terms);
        for (due, strike) in self.due().iter().zip(&self.strikes) {
            let _ = writeln!(text, "\n[[fault]]\nat = {}\n{}", at(due), action(&strike.action));
        }
        text
    }

    fn listen(&self, text: &mut String) {
        let _ = writeln!(text, "\n[listen]");
        if self.around.transport != Transport::Tcp {
            let _ = writeln!(text, "transport = \"{}\"", self.around.transport);
        }
        let _ = writeln!(text, "backlog = {}", self.backlog());
    }

    fn workers(&self, text: &mut String, terms: Terms) {
        let Surroundings { workers, boot_ns, work_ns, drain, .. } = self.around;
        let _ = writeln!(text, "\n[workers]\ncount = {workers}");
        for (key, ns) in [("boot", boot_ns), ("work", work_ns)] {
            if ns > 0 {
                let _ = writeln!(text, "{key} = \"{}\"", exact(ns));
            }
        }
        if drain != Drain::Graceful {
            let _ = writeln!(text, "drain = \"{}\"", word_of(&drain));
        }
        let _ = writeln!(text, "settle = \"{}\"", exact(self.recovery_ns(terms)));
    }

    fn load(&self, text: &mut String, terms: Terms) {
        let recovery_ns = self.recovery_ns(terms);
        let _ = writeln!(text, "\n[load]\narrivals = {}", arrivals(self.around.arrivals));
        let _ = writeln!(text, "duration = \"{}\"", exact(self.length_ns()));
        let _ = writeln!(text, "timeout = \"{}\"", exact(recovery_ns / 100 * WAIT_PERCENT));
        let _ = writeln!(text, "deadline = \"{}\"", exact(recovery_ns));
        let _ = writeln!(text, "patience = \"{}\"", exact(recovery_ns));
        if let Some(Session { requests, gap_ns }) = self.around.session {
            let gap = exact(gap_ns);
            let _ = writeln!(text, "connection = {{ requests = {requests}, gap = \"{gap}\" }}");
        }
    }

    /// Within what time the service must be back: what is asked of a supervisor may take longer than a restart of a
    /// worker, every start takes the time that workers take to boot, each that
    /// fails has to be noticed by the supervisor, and whoever has waited meanwhile is served one after the other.
    fn recovery_ns(&self, terms: Terms) -> u64 {
        let starts = |action: &Action| match action {
            Action::Crash { times, .. } => u64::from(*times),
            Action::Poison(_) | Action::Signal { .. } | Action::Pause { .. } | Action::Control { .. } => 1,
        };
        let fail = |action: &Action| match action {
            Action::Crash { step: CrashStep::Boot, times, .. } => u64::from(*times),
            Action::Crash { .. }
            | Action::Poison(_)
            | Action::Signal { .. }
            | Action::Pause { .. }
            | Action::Control { .. } => 0,
        };
        let count =
            |of: &dyn Fn(&Action) -> u64| self.strikes.iter().map(|strike| of(&strike.action)).sum::<u64>();
        let failing_ns = hundredths(terms.restart_ns * count(&fail));
        let is_asked = self.strikes.iter().any(|strike| matches!(strike.action, Action::Control { .. }));
        let within_ns = if is_asked { terms.recovery_ns.max(terms.asked_ns) } else { terms.recovery_ns };
        within_ns + failing_ns + self.around.boot_ns * (count(&starts) + 1) + self.worked_off_ns()
    }
}

fn at(due: &Due) -> String {
    match due.trigger {
        Trigger::Elapsed(ns) => format!("\"{}\"", exact(ns)),
        Trigger::After { fault, delay_ns: 0 } => format!("{{ after = {fault} }}"),
        Trigger::After { fault, delay_ns } => {
            format!("{{ after = {fault}, delay = \"{}\" }}", exact(delay_ns))
        }
        Trigger::Call(at_call) => call(&at_call),
        Trigger::Attempt(attempt) => format!("{{ attempt = {attempt} }}"),
        Trigger::Fraction(share) => format!("{{ fraction = {share} }}"),
    }
}

fn call(at_call: &AtCall) -> String {
    let AtCall { since, meeting: Meeting { call, following, nth, side }, optional } = at_call;
    let mut keys = Vec::new();
    keys.extend(since.map(|fault| format!("after = {fault}")));
    keys.push(format!("call = \"{call}\""));
    keys.extend(following.map(|following| format!("following = \"{following}\"")));
    if *nth > 1 {
        keys.push(format!("nth = {nth}"));
    }
    if *side != When::After {
        keys.push(format!("side = \"{side}\""));
    }
    if *optional {
        keys.push("optional = true".to_owned());
    }
    format!("{{ {} }}", keys.join(", "))
}

fn action(action: &Action) -> String {
    let whom = |target: &Target| word_of(target);
    match action {
        Action::Poison(poison) => {
            format!("poison = {{ step = \"{}\", mode = \"{}\" }}", poison.step, poison.mode)
        }
        Action::Crash { step: CrashStep::Boot, mode, times } => {
            format!("crash = {{ step = \"boot\", mode = \"{mode}\", times = {times} }}")
        }
        Action::Crash { step, mode, .. } => format!("crash = {{ step = \"{step}\", mode = \"{mode}\" }}"),
        Action::Signal { to, signal } => format!("signal = {{ to = \"{}\", name = \"{signal}\" }}", whom(to)),
        Action::Pause { whom: target, for_ns: None } => format!("pause = {{ whom = \"{}\" }}", whom(target)),
        Action::Pause { whom: target, for_ns: Some(ns) } => {
            format!("pause = {{ whom = \"{}\", for = \"{}\" }}", whom(target), exact(*ns))
        }
        Action::Control { verb, workers: None } => format!("control = \"{verb}\""),
        Action::Control { verb, workers: Some(workers) } => {
            format!("control = {{ verb = \"{verb}\", workers = {workers} }}")
        }
    }
}

fn arrivals(arrivals: Arrivals) -> String {
    match arrivals {
        Arrivals::Sequential { gap_ns } => format!("{{ sequential = \"{}\" }}", exact(gap_ns)),
        Arrivals::Closed { clients } => format!("{{ closed = {clients} }}"),
        Arrivals::Constant { per_second } => format!("{{ constant = \"{per_second}/s\" }}"),
        Arrivals::Poisson { per_second } => format!("{{ poisson = \"{per_second}/s\" }}"),
        Arrivals::Ramp { from_per_second, to_per_second } => {
            format!("{{ ramp = {{ from = \"{from_per_second}/s\", to = \"{to_per_second}/s\" }} }}")
        }
        Arrivals::Burst { size, every_ns } => {
            format!("{{ burst = {{ size = {size}, every = \"{}\" }} }}", exact(every_ns))
        }
    }
}
