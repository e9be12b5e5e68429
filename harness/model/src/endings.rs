//! How connections ended, as their clients saw it.

use crate::record::{ClientRecord, Ending, Outcome};
use crate::result::EndingsResult;
use crate::series::Series;

/// How connections ended.
#[must_use]
pub(crate) fn endings(client: Series<'_, ClientRecord>) -> EndingsResult {
    let count = |is: fn(&ClientRecord) -> bool| client.iter().filter(|record| is(record)).count() as u64;
    EndingsResult {
        fin: count(|record| record.ended == Some(Ending::Fin)),
        resets: count(|record| record.ended == Some(Ending::Reset)),
        resets_in_reply: count(|record| {
            record.ended == Some(Ending::Reset) && record.outcome == Outcome::Truncated
        }),
        send_failed: count(ClientRecord::was_answered_unsent),
        half_closed: count(|record| record.half_closed),
    }
}
