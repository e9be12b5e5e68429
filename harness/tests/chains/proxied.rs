//! The PROXY protocol, sent to servers that want it and to those that know nothing of it.

use std::net::IpAddr;

use holdline_model::wire::{client_v4, client_v6};
use holdline_model::words::Fate;
use libtest_mimic::{Failed, Trial};

use crate::told::{Told, run, test};

/// How many attempts each of the scenarios has.
const ATTEMPTS: u32 = 30;
const VERSIONS: [&str; 2] = ["v1", "v2"];

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("nginx-knows-clients-by-their-addresses", "nginx-wants-proxy", || knows_clients("nginx")),
        test("haproxy-knows-clients-by-their-addresses", "haproxy-wants-proxy", || knows_clients("haproxy")),
        test("nginx-serves-proxied-unix-clients", "nginx-wants-proxy", || {
            serves_unix_clients("nginx", &VERSIONS)
        }),
        // It refuses the second version's header that names Unix sockets (2.6).
        test("haproxy-serves-proxied-unix-clients", "haproxy-wants-proxy", || {
            serves_unix_clients("haproxy", &VERSIONS[..1])
        }),
        test("nginx-without-the-option", "nginx-takes-no-proxy", || turns_headers_down("nginx")),
        test("haproxy-without-the-option", "haproxy-takes-no-proxy", || turns_headers_down("haproxy")),
        test("nginx-without-the-header", "nginx-wants-proxy", || misses_headers("nginx", "broken header")),
        test("haproxy-without-the-header", "haproxy-wants-proxy", || {
            misses_headers("haproxy", "does not look like a PROXY protocol header")
        }),
    ]
}

/// Everybody is served, and is to the server who it is.
fn knows_clients(server: &str) -> Result<(), Failed> {
    let description = format!("{server}-wants-proxy");
    for version in VERSIONS {
        for (transport, address) in [("tcp", v4 as fn(u32) -> IpAddr), ("tcp6", v6)] {
            let told = run(&format!("proxied-{version}-{transport}"), &description)?;
            all_served(&told)?;
            let seen = clients(&told.log);
            let expected: Vec<(u32, IpAddr)> = (0..ATTEMPTS).map(|order| (order, address(order))).collect();
            if seen != expected {
                return Err(format!("{version} over {transport}: it saw {seen:?}").into());
            }
            let mistaken = told.log.lines().find(|line| is_mistaken(line));
            if let Some(line) = mistaken {
                return Err(format!("{version} over {transport}: {line}").into());
            }
        }
    }
    Ok(())
}

fn v4(attempt: u32) -> IpAddr {
    client_v4(attempt).into()
}

fn v6(attempt: u32) -> IpAddr {
    client_v6(attempt).into()
}

/// Who asked for which order, by the server's own log; but those who ask outside of all counts.
fn clients(log: &str) -> Vec<(u32, IpAddr)> {
    let client = |line: &str| -> Option<(u32, IpAddr)> {
        let (order, rest) = line.split_once("order ")?.1.split_once(" from ")?;
        Some((order.parse().ok()?, rest.split_once(' ')?.0.parse().ok()?))
    };
    let mut clients: Vec<_> = log.lines().filter_map(client).filter(|(order, _)| *order < ATTEMPTS).collect();
    clients.sort_unstable();
    clients
}

/// Whether a client's end is another than the connection's, where the server writes both.
fn is_mistaken(line: &str) -> bool {
    let ends = || -> Option<[&str; 2]> {
        let (named, rest) = line.split_once(" from ")?.1.split_once(" peer ")?;
        Some([named, rest.split_once(" status ")?.0])
    };
    ends().is_some_and(|[named, real]| named != real)
}

fn serves_unix_clients(server: &str, versions: &[&str]) -> Result<(), Failed> {
    for version in versions {
        all_served(&run(&format!("proxied-{version}-unix"), &format!("{server}-wants-proxy"))?)?;
    }
    Ok(())
}

fn all_served(told: &Told) -> Result<(), Failed> {
    match (told.same_failures()?, told.count(Fate::Served)) {
        (0, served) if served == u64::from(ATTEMPTS) => Ok(()),
        (failed, served) => Err(format!("{served} served, {failed} not: {:?}", told.trial.losses).into()),
    }
}

/// A header is no request, and is answered as such.
fn turns_headers_down(server: &str) -> Result<(), Failed> {
    for version in VERSIONS {
        let told = run(&format!("proxied-{version}-tcp"), &format!("{server}-takes-no-proxy"))?;
        if told.same_failures()? != u64::from(ATTEMPTS) {
            return Err(format!("{version}: {:?}", told.trial.fates).into());
        }
    }
    all_served(&run("unannounced-tcp", &format!("{server}-takes-no-proxy"))?)
}

/// Whoever comes without a header is closed without an answer, of which the server's log says this.
fn misses_headers(server: &str, said: &str) -> Result<(), Failed> {
    let told = run("unannounced-tcp", &format!("{server}-wants-proxy-unasked"))?;
    let refused = told.log.matches(said).count();
    match (told.count(Fate::NoReply), u32::try_from(refused)) {
        (lost, Ok(ATTEMPTS)) if lost == u64::from(ATTEMPTS) => Ok(()),
        (lost, _) => Err(format!("{lost} lost, {refused} refused: {:?}", told.trial.losses).into()),
    }
}
