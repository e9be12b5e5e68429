//! What becomes of clients that share addresses, of which the service limits each.

use holdline_model::words::Fate;

use crate::planted::run;

const ATTEMPTS: u64 = 60;

/// The service answers ten of each address.
#[test]
fn who_is_turned_away_depends_on_how_many_addresses_there_are() {
    for (scenario, addresses, served) in
        [("one-source", 1, 10), ("four-sources", 4, 40), ("four-sources-v6", 4, 40), ("own-sources", 60, 60)]
    {
        let trial = run(scenario, "limits-10", &[]).trial;
        let fate = |fate| trial.fates.get(&fate).copied().unwrap_or_default();
        assert_eq!(
            (trial.client_addresses, trial.attempts, fate(Fate::Served), fate(Fate::ErrorReply)),
            (addresses, ATTEMPTS, served, ATTEMPTS - served),
            "{scenario}: {:?}",
            trial.losses
        );
        assert!(trial.off.is_empty(), "{scenario}: {:?}", trial.off);
    }
}
