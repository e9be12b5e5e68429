//! The client addresses of a trial.

use std::collections::BTreeSet;

use crate::record::ClientRecord;
use crate::series::Series;
use crate::wire::Clients;

/// From how many addresses attempts were sent.
pub(crate) fn used(clients: Option<Clients>, client: Series<'_, ClientRecord>) -> u64 {
    let sent = client.iter().filter(|record| record.opened());
    let addresses = match clients {
        None => sent.count(),
        Some(clients) => sent.map(|record| clients.turn(record.attempt)).collect::<BTreeSet<_>>().len(),
    };
    addresses as u64
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::record::{NotSent, Outcome};

    fn records(sent: u32) -> Vec<ClientRecord> {
        let record = |attempt| ClientRecord {
            started: NonZeroU64::new(1),
            outcome: Outcome::Replied,
            ..ClientRecord::planned(attempt, 0, false)
        };
        let stopped = ClientRecord { outcome: Outcome::NotSent(NotSent::Stopped), ..record(sent) };
        (0..sent).map(record).chain([stopped]).collect()
    }

    #[test]
    fn an_address_is_used_once_it_has_sent() {
        assert_eq!(used(None, (&records(7)).into()), 7);
        assert_eq!(used(Clients::new(4), (&records(7)).into()), 4);
        assert_eq!(used(Clients::new(4), (&records(3)).into()), 3);
        assert_eq!(used(Clients::new(4), (&records(0)).into()), 0);
    }
}
