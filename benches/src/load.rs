//! Runs the load client as a trial would.

use std::time::Duration;

use holdline::load::{self, LoadPlan, Progress, StopFlag};
use holdline_contract::clock::now_ns;
use holdline_model::arrivals::Schedule;
use holdline_model::record::{ClientRecord, Outcome};
use holdline_model::scenario::{Connection, Timeouts};
use holdline_model::supervisor::Protocol;
use holdline_model::wire::Address;

/// How long before its first attempt a load is begun, as a trial does: what sets it up is not to make that late.
const LEAD_NS: u64 = 2_000_000;
const PATIENCE_NS: u64 = 10_000_000_000;

/// A plan with a spread of client addresses, and time-outs that no attempt meets.
#[must_use]
pub fn plan(address: &Address, schedule: Schedule) -> LoadPlan {
    LoadPlan {
        address: address.clone(),
        schedule,
        timeouts: Timeouts { connect_ns: PATIENCE_NS, first_byte_ns: PATIENCE_NS, total_ns: PATIENCE_NS },
        in_flight_max: 10_000,
        spread: true,
        clients: None,
        protocol: Protocol::Square,
        script: Default::default(),
        proxy: None,
        connection: Connection::ONE_SHOT,
        tls: None,
    }
}

/// `count` attempts, `gap` apart.
#[must_use]
pub fn evenly(count: u32, gap: Duration) -> Schedule {
    let gap_ns = u64::try_from(gap.as_nanos()).unwrap_or(u64::MAX);
    Schedule::Fixed((0..u64::from(count)).map(|attempt| attempt * gap_ns).collect())
}

/// Runs the load on the calling thread, from [`LEAD_NS`] after now on.
///
/// # Panics
///
/// If it cannot be run.
#[must_use]
pub fn run(plan: &LoadPlan) -> Vec<ClientRecord> {
    let (progress, stop) = (Progress::default(), StopFlag::new().expect("a descriptor"));
    load::run(plan, now_ns() + LEAD_NS, &mut (), &progress, &stop).expect("a load")
}

/// [`run`], for a load that is to be served as a whole.
///
/// # Panics
///
/// Also if an attempt was not served: then something else was measured.
pub fn run_served(plan: &LoadPlan) {
    let records = run(plan);
    let lost = records.iter().find(|record| record.outcome != Outcome::Replied);
    assert_eq!(lost, None, "an attempt was not served");
}
