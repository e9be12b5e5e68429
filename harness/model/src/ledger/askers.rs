//! What was asked outside of all counts: no attempt made those connections, and none sent those requests.

use std::collections::BTreeSet;

use super::WorkerLog;
use crate::shm::{RecordKind, WorkerRecord};
use crate::wire::is_askers;

impl WorkerLog {
    /// The log without what was asked outside of all counts. The client's address tells of a connection, and
    /// its serial number of what was recorded of it; where a server does not say who the client is, the
    /// number that was asked for tells.
    #[must_use]
    pub fn without_askers(mut self) -> Self {
        let accepted = self.records.iter().filter(|record| record.kind == RecordKind::Accepted);
        let connections: BTreeSet<u32> = accepted.filter(is_named).map(|record| record.connection).collect();
        let is_askers = |record: &WorkerRecord| {
            is_named(record)
                || connections.contains(&record.connection)
                || record.peer.is_none() && is_askers(record.detail)
        };
        self.records.retain(|record| record.kind.is_rare() || !is_askers(record));
        self
    }
}

fn is_named(record: &WorkerRecord) -> bool {
    record.peer.is_some_and(|peer| peer.is_asker())
}

#[cfg(test)]
mod tests {
    use RecordKind::{Accepted, Boot, Closed, Drain, Read, Replied};

    use super::*;
    use crate::wire::{Peer, asker, client_v4, number_of};

    fn record(kind: RecordKind, connection: u32, detail: u64, client: Option<u32>) -> WorkerRecord {
        let peer = client.map(|client| Peer::Ip(client_v4(client).into(), 5));
        WorkerRecord { kind, pid: 7, generation: 1, connection, at_ns: 1, detail, peer }
    }

    fn kept(records: &[WorkerRecord]) -> Vec<(RecordKind, u32)> {
        let log = WorkerLog { pid: 7, generation: 1, window_open: false, records: records.to_vec().into() };
        log.without_askers().records.iter().map(|record| (record.kind, record.connection)).collect()
    }

    #[test]
    fn connections_that_no_attempt_made_are_left_out_with_all_that_was_said_on_them() {
        let asked = number_of(asker(3), 0);
        let records = [
            record(Boot, 0, 1, None),
            record(Accepted, 1, 0, Some(asker(3))),
            record(Accepted, 2, 0, Some(9)),
            record(Read, 1, asked, None),
            record(Read, 2, 9, None),
            record(Replied, 1, asked, None),
            record(Closed, 1, 0, None),
            record(Closed, 2, 0, None),
            record(Drain, 0, asked, None),
        ];
        assert_eq!(kept(&records), [(Boot, 0), (Accepted, 2), (Read, 2), (Closed, 2), (Drain, 0)]);
    }

    #[test]
    fn an_application_is_asked_by_number_where_it_knows_no_address() {
        let asked = number_of(asker(0), 0);
        let records = [
            record(Read, 0, asked, None),
            record(Replied, 0, asked, None),
            record(Read, 0, asked, Some(asker(0))),
            record(Read, 0, 5, None),
            record(Read, 0, u64::MAX, None),
        ];
        assert_eq!(kept(&records), [(Read, 0), (Read, 0)]);
    }
}
