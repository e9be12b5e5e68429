//! Whether a service replies as it should, before anything is measured. A process that has a listener may
//! still be loading what it serves: what it makes the first of its clients wait for is no fault's doing.

use std::collections::BTreeSet;
use std::time::Duration;

use holdline_contract::clock::now_ns;
use holdline_model::answer::Answer;
use holdline_model::reason::Reason;
use holdline_model::support;
use holdline_model::wire::Protocol;
use tokio::time::timeout;

use super::hint::remedy;
use super::place::{Place, PlaceError};
use super::process::Supervised;
use super::stage::{NotReady, Stage};
use crate::load::{Asked, Asker};

/// How often what wakes nobody is looked at while a supervisor gets ready: the log's length, a pid-file, workers
/// that record without touching their ledger.
pub(super) const CHORES: Duration = Duration::from_millis(10);
/// From the end of one request to the next, at first and once it has replied. It doubles with each that is not
/// served, up to the other.
const APART: Duration = Duration::from_millis(20);
const APART_MAX: Duration = Duration::from_millis(250);
/// So many replies in a row that name no worker that has not answered before, and those that have not may be
/// none that answer.
const NOTHING_NEW_MAX: u32 = 32;
/// So many late replies in a row, and late is what the service is.
const LATE_MAX: u32 = 5;
/// So many certificates in a row that the client will not have, and the service has no other.
const CERTIFICATES_MAX: u32 = 5;
/// How long it may take to ask once in another way.
const OTHERWISE: Duration = Duration::from_secs(2);

/// How asking went.
pub(super) enum Replied {
    /// It replies as it should.
    Right,
    /// Not once.
    Never(Reason),
}

/// Asks a service, one request after the other, until it replies in time, and each worker that can be told
/// apart has. The error says that the supervisor ended.
pub(super) async fn wait(
    stage: &mut Stage,
    supervised: &mut Supervised,
    deadline_ns: u64,
) -> Result<Replied, NotReady> {
    let mut enquiry = Enquiry::of(&stage.place)?;
    while !enquiry.is_over() {
        let asked = once(&enquiry.asker, stage, supervised, deadline_ns).await?;
        let is_asked = asked.is_some();
        enquiry.take(asked.as_ref());
        if !is_asked || enquiry.is_hopeless() || now_ns() > deadline_ns {
            return Ok(enquiry.give_up().await);
        }
        if !enquiry.is_over() {
            tokio::time::sleep(enquiry.apart()).await;
        }
    }
    Ok(Replied::Right)
}

/// Asks once. `None`: the time was over first.
async fn once(
    asker: &Asker,
    stage: &mut Stage,
    supervised: &mut Supervised,
    deadline_ns: u64,
) -> Result<Option<Asked>, NotReady> {
    let ask = asker.ask();
    tokio::pin!(ask);
    loop {
        tokio::select! {
            biased;
            asked = &mut ask => return Ok(Some(asked)),
            () = tokio::time::sleep(CHORES) => {}
        }
        supervised.cut_log();
        stage.look()?;
        let ended = supervised.has_ended_alone();
        if let Some(status) = ended.filter(|status| !supervised.may_be_replaced(*status)) {
            return Err(stage.ended_early(status));
        }
        if now_ns() > deadline_ns {
            return Ok(None);
        }
    }
}

/// What has come so far.
struct Enquiry {
    asker: Asker,
    protocol: Protocol,
    /// How many workers are to answer, where replies name them.
    wanted: usize,
    pids: BTreeSet<u32>,
    nothing_new: u32,
    times: u32,
    right: u32,
    late: u32,
    /// How many certificates in a row would not do.
    distrusted: u32,
    /// What came last that was not right.
    came: Option<Answer>,
}

impl Enquiry {
    fn of(place: &Place) -> Result<Self, PlaceError> {
        Ok(Self {
            asker: place.asker()?,
            protocol: support::protocol(&place.supervisor, &place.scenario),
            wanted: place.scenario.workers.count as usize,
            pids: BTreeSet::new(),
            nothing_new: 0,
            times: 0,
            right: 0,
            late: 0,
            distrusted: 0,
            came: None,
        })
    }

    fn take(&mut self, asked: Option<&Asked>) {
        let Some(asked) = asked else { return };
        self.times += 1;
        let is_distrusted =
            matches!(&asked.answer, Answer::Tls { failure, .. } if failure.is_of_certificate());
        self.distrusted = if is_distrusted { self.distrusted + 1 } else { 0 };
        if !asked.answer.is_served() {
            self.came = Some(asked.answer.clone());
            return;
        }
        self.right += 1;
        self.late = if asked.answer.is_late() { self.late + 1 } else { 0 };
        let is_new = asked.pid.is_some_and(|pid| self.pids.insert(pid));
        self.nothing_new = if is_new { 0 } else { self.nothing_new + 1 };
    }

    /// How long to wait until the next.
    fn apart(&self) -> Duration {
        let failures = self.times.saturating_sub(self.right).min(8);
        if self.right > 0 { APART } else { APART_MAX.min(APART * 2_u32.pow(failures)) }
    }

    /// Whether it is known that the service replies. Where replies name nobody, one tells as much as many.
    fn is_over(&self) -> bool {
        let all_answered =
            self.pids.is_empty() || self.pids.len() >= self.wanted || self.nothing_new >= NOTHING_NEW_MAX;
        self.right > 0 && all_answered && (self.late == 0 || self.late >= LATE_MAX)
    }

    /// Whether to ask on would tell nothing new: what the client will not have is a matter of its description.
    fn is_hopeless(&self) -> bool {
        self.right == 0 && self.distrusted >= CERTIFICATES_MAX
    }

    /// The time is over: whoever has replied is asked no more.
    async fn give_up(self) -> Replied {
        if self.right > 0 {
            return Replied::Right;
        }
        let mut otherwise = Vec::new();
        for (way, asker) in self.asker.otherwise() {
            if let Ok(asked) = timeout(OTHERWISE, asker.ask()).await {
                otherwise.push((way, asked.answer));
            }
        }
        Replied::Never(Reason::NoRightReply {
            asked: self.asker.in_words(),
            times: self.times.max(1),
            remedy: remedy(self.came.as_ref(), &otherwise, self.protocol),
            answer: self.came,
        })
    }
}
