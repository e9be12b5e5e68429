//! What a pool of connections meets when it uses them again.

use holdline_model::result::PoolResult;
use holdline_model::words::{Fate, Grade};

use crate::planted::{Planted, run};

#[track_caller]
fn check(scenario: &str, service: &str, expected: PoolResult) -> Planted {
    let planted = run(scenario, service, &[]);
    let trial = &planted.trial;
    assert_eq!(trial.pool, Some(expected), "{service}: {:?}", trial.losses);
    assert!(trial.books.is_balanced(), "{service}: {:?}", trial.books);
    planted
}

const NONE: PoolResult = PoolResult {
    connections: 1,
    reused: 0,
    broken: 0,
    retried: 0,
    retried_lost: 0,
    read_twice: None,
    closed_idle: 0,
    reset_idle: 0,
    told_idle: 0,
    announced: 0,
    expired: 0,
    surplus: 0,
};

/// Every fifth request that finds a connection used before finds it at its end.
#[test]
fn the_race_with_a_servers_close_is_met_as_often_as_it_was_planted() {
    for service in ["races-close", "races-reset", "races-unread"] {
        let raced = PoolResult { connections: 10, reused: 49, broken: 9, retried: 9, ..NONE };
        let retried = check("pool", service, raced);
        assert_eq!((retried.trial.grade, retried.trial.fates[&Fate::Served]), (Grade::Held, 50), "{service}");
        retried.said("raced", 8);
        let raced = PoolResult { connections: 9, reused: 41, broken: 8, ..NONE };
        let lost = check("pool-without-retries", service, raced);
        let trial = &lost.trial;
        assert_eq!((trial.fates[&Fate::NoReply], trial.ambiguous), (8, 8), "{service}: {:?}", trial.losses);
        lost.said("raced", 7);
    }
}

#[test]
fn a_server_that_keeps_connections_has_one_for_all() {
    let held = check("pool", "keeps", PoolResult { reused: 49, ..NONE });
    assert_eq!((held.trial.grade, held.trial.fates[&Fate::Served]), (Grade::Held, 50));
    assert_eq!(held.trial.client_addresses, 1);
}

#[test]
fn what_a_server_does_to_idle_connections_is_seen_before_they_are_used_again() {
    let fresh = PoolResult { connections: 4, ..NONE };
    for (service, expected) in [
        ("keeps-briefly-close", PoolResult { closed_idle: 3, ..fresh }),
        ("keeps-briefly-reset", PoolResult { reset_idle: 3, ..fresh }),
        ("keeps-briefly-tell", PoolResult { told_idle: 3, ..fresh }),
    ] {
        check("pool-after-a-lull", service, expected).said("idle", 2);
    }
}

#[test]
fn what_a_server_says_of_its_connections_is_heeded() {
    let announced = PoolResult { connections: 10, reused: 40, announced: 10, ..NONE };
    check("pool", "keeps-and-says-close", announced);
    check("pool", "keeps-and-says-no-more", announced);
    let expired = PoolResult { connections: 4, expired: 3, ..NONE };
    check("pool-after-a-lull", "keeps-and-says-how-long", expired);
    check("pool-with-a-limit", "keeps", expired);
    // Where nothing is said, they are used again.
    check("pool-after-a-lull", "keeps", PoolResult { reused: 3, ..NONE });
}
