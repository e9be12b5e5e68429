//! What became of silent clients: attempts that connect and ask for nothing, as browsers do that connect
//! beforehand, and as those do that mean harm.
//!
//! A silent attempt that has connected has the fate `silent`, whatever the server does to it: nothing was
//! asked for, so that nothing can be missing. It is neither served nor lost, makes no outage and ends
//! none, and counts in no rate. One that cannot even connect is as lost as any other.

use crate::latency;
use crate::ledger::Reconciled;
use crate::record::{ClientRecord, Outcome, SilentEnd};
use crate::result::SilentResult;
use crate::scenario::Connection;
use crate::series::Series;

/// Counts a trial's silent clients; `None` where every attempt asks.
#[must_use]
pub fn count(
    connection: &Connection,
    client: Series<'_, ClientRecord>,
    reconciled: &Reconciled,
) -> Option<SilentResult> {
    if !connection.silent {
        return None;
    }
    let mut silent = SilentResult::default();
    let mut borne = latency::histogram();
    for attempt in &reconciled.attempts {
        let Some(record) = client.get(attempt.record as usize) else { continue };
        silent.planned += u64::from(connection.is_silent(record.attempt));
        let Outcome::Silent(end) = record.outcome else { continue };
        match end {
            SilentEnd::Closed => silent.closed += 1,
            SilentEnd::Told => silent.told += 1,
            SilentEnd::Reset => silent.reset += 1,
            SilentEnd::Open => silent.open += 1,
        }
        if let (Some(from), Some(to)) = (record.connected, record.finished)
            && end != SilentEnd::Open
        {
            borne.saturating_record(to.get().saturating_sub(from.get()).max(1));
        }
    }
    silent.borne = latency::quantiles(&borne);
    Some(silent)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::ledger::{Attempt, Books, NO_WORKER};
    use crate::words::Fate;

    #[test]
    fn every_end_of_a_silent_client_has_its_place() {
        let ends = [
            (Outcome::Replied, Fate::Served),
            (Outcome::Silent(SilentEnd::Closed), Fate::Silent),
            (Outcome::Replied, Fate::Served),
            (Outcome::Silent(SilentEnd::Told), Fate::Silent),
            (Outcome::Replied, Fate::Served),
            (Outcome::Silent(SilentEnd::Reset), Fate::Silent),
            (Outcome::Replied, Fate::Served),
            (Outcome::Silent(SilentEnd::Open), Fate::Silent),
            (Outcome::Replied, Fate::Served),
            (Outcome::Refused, Fate::Refused),
        ];
        let (client, attempts): (Vec<ClientRecord>, Vec<Attempt>) = (0..)
            .zip(ends)
            .map(|(attempt, (outcome, fate))| {
                let record = ClientRecord {
                    attempt,
                    intended_ns: 1,
                    started: NonZeroU64::new(1),
                    connected: NonZeroU64::new(10),
                    finished: NonZeroU64::new(110),
                    outcome,
                    poison: false,
                    syn_retransmits: 0,
                    version: 0,
                    requests_answered: 0,
                    ..ClientRecord::planned(0, 0, false)
                };
                let attempt = Attempt {
                    accepted: None,
                    worker: NO_WORKER,
                    record: attempt,
                    fate,
                    blame: None,
                    retry: None,
                    waited_ns: 0,
                };
                (record, attempt)
            })
            .unzip();
        let reconciled = Reconciled { attempts, books: Books::default() };
        let second = Connection { silent: true, every: 2, ..Connection::ONE_SHOT };
        let silent = count(&second, (&client).into(), &reconciled).expect("silent clients");
        assert_eq!((silent.planned, silent.closed, silent.told), (5, 1, 1));
        assert_eq!((silent.reset, silent.open), (1, 1));
        assert_eq!((silent.borne.count, silent.borne.max_ns), (3, 100));
        assert_eq!(count(&Connection::ONE_SHOT, (&client).into(), &reconciled), None);
        let lost = reconciled.attempts.iter().filter(|attempt| attempt.is_lost()).count();
        assert_eq!(lost, 1, "the one that found nobody");
    }
}
