//! Attempts that use each other's connections, over workers that keep a ledger.

use holdline_model::record::Afterwards;
use holdline_model::result::PoolResult;
use holdline_model::words::{Blame, Fate};

use crate::support::{Files, Place, Row, conclusive, of, stdout};

/// One worker is killed from outside, one dies of poison, all are restarted.
const FAULTS: &str = "[[fault]]\nat = \"300ms\"\nsignal = { to = \"worker\", name = \"KILL\" }\n\
     [[fault]]\nat = \"600ms\"\ncontrol = \"restart\"\n\
     [[fault]]\nat = { attempt = 270 }\npoison = { step = \"work\", mode = \"panic\" }\n";

#[test]
fn a_pool_over_crashes_and_a_restart_is_reconciled() {
    for (connection, transport) in
        [("pool = 8", "tcp"), ("pool = 8, retry = false", "tcp6"), ("pool = 2, every = 2", "unix")]
    {
        let place = Place::new();
        let text = format!(
            "name = \"mine\"\nasks = \"?\"\n[listen]\ntransport = \"{transport}\"\n[workers]\ncount = 2\nwork = \"1ms\"\n\
             [load]\nprotocol = \"http\"\nconnection = {{ {connection} }}\ndeadline = \"3s\"\nsend-lag = \"2s\"\n\
             arrivals = {{ poisson = \"300/s\" }}\nduration = \"1s\"\n{FAULTS}"
        );
        place.write("mine.toml", &text);
        let (output, run) = conclusive(&place, &["./mine.toml", "-s", "prefork", "-s", "held-socket"]);
        for supervisor in ["prefork", "held-socket"] {
            let trial = of(&run, supervisor);
            assert!(trial.books.is_balanced(), "{connection}: {:?}", trial.books);
            let pool = trial.pool.expect("a pool");
            let rows = Files::of(&output, trial).attempts;
            let count = |is: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count() as u64;
            let reused = |row: &Row| row.carried_by.is_some_and(|by| by != row.attempt);
            let after = |what| count(&|row| row.afterwards == Some(what));
            let retried = count(&|row| row.retried.is_some());
            let lost = |row: &Row| !matches!(row.fate, Fate::Served | Fate::NotSent);
            let expected = PoolResult {
                connections: count(&|row| {
                    row.carried_by.is_some() && (!reused(row) || row.retried.is_some())
                }),
                reused: count(&reused),
                broken: if connection.contains("false") {
                    count(&|row| reused(row) && row.fate == Fate::NoReply)
                } else {
                    retried
                },
                retried,
                retried_lost: count(&|row| row.retried.is_some() && lost(row)),
                read_twice: pool.read_twice,
                closed_idle: after(Afterwards::Closed),
                reset_idle: after(Afterwards::Reset),
                told_idle: 0,
                announced: after(Afterwards::Announced),
                expired: 0,
                surplus: after(Afterwards::Surplus),
            };
            assert_eq!(pool, expected, "{connection}: {:?}", trial.losses);
            assert!(pool.reused > 50 && pool.read_twice <= Some(pool.retried), "{pool:?}");
            // Whoever uses a connection again is accepted by nobody anew.
            assert!(
                rows.iter().all(|row| !reused(row) || row.retried.is_some() || row.accepted_ns.is_none())
            );
            assert_eq!((trial.blame[&Blame::Poison], rows[270].carried_by), (1, None));
            assert_eq!(trial.client_addresses, count(&|row| !reused(row) || row.retried.is_some()));
        }
        let report = place.holdline(&["report", "out-0", "--trials"]).output().expect("a report");
        assert!(stdout(&report).contains("sent over one that had carried others"), "{}", stdout(&report));
    }
}
