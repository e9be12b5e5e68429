//! The load of a scenario file: arrivals, end, time-outs.

use super::arrivals::Extent;
use super::connection::connection;
use super::file::{ArrivalsFile, LoadFile, TimeoutFile};
use super::{Arrivals, Load, Timeouts, Until};
use crate::bounds;
use crate::duration;
use crate::file::{At, Problem, Rate, Time, integer, time};
use crate::wire::{ATTEMPTS_MAX, Clients};

/// Checks a load.
pub(super) fn load(file: &At<LoadFile>) -> Result<Load, Problem> {
    let (file, table) = (&file.value, file);
    let arrivals = arrivals(&file.arrivals.value)?;
    let until = until(table)?;
    if let (Arrivals::Ramp { .. }, Until::Attempts(_)) = (arrivals, until) {
        return Err(file
            .arrivals
            .problem("a ramp changes over a duration")
            .expecting("`duration` instead of `attempts`"));
    }
    let timeouts = timeouts(file.timeout.as_ref())?;
    let deadline = time("deadline", file.deadline.as_ref(), 1..=timeouts.total_ns)?;
    let load = Load {
        arrivals,
        until,
        timeouts,
        deadline_ns: deadline.unwrap_or(bounds::DEADLINE_NS_DEFAULT.min(timeouts.total_ns)),
        patience_ns: time("patience", file.patience.as_ref(), 0..=bounds::PATIENCE_NS_MAX)?
            .unwrap_or(bounds::PATIENCE_NS_DEFAULT),
        clients: integer("clients", file.clients.as_ref(), bounds::CLIENT_ADDRESSES)?.and_then(Clients::new),
        in_flight_max: integer("in-flight", file.in_flight.as_ref(), bounds::IN_FLIGHT)?
            .unwrap_or(bounds::IN_FLIGHT_DEFAULT),
        threads: integer("threads", file.threads.as_ref(), bounds::THREADS)?.unwrap_or(1),
        send_lag_max_ns: time("send-lag", file.send_lag.as_ref(), 1..=bounds::SEND_LAG_NS_MAX)?
            .unwrap_or(bounds::SEND_LAG_NS_DEFAULT),
        protocol: file.protocol,
        proxy: file.proxy,
        connection: connection(file, timeouts)?,
    };
    check_extent(file, &load)?;
    check_clients(file, &load)?;
    check_threads(file, &load)?;
    Ok(load)
}

fn arrivals(file: &ArrivalsFile) -> Result<Arrivals, Problem> {
    Ok(match file {
        ArrivalsFile::Sequential(gap) => Arrivals::Sequential {
            gap_ns: time("sequential", Some(gap), 0..=bounds::DURATION_NS_MAX)?.unwrap_or_default(),
        },
        ArrivalsFile::Constant(rate) => Arrivals::Constant { per_second: positive(rate)? },
        ArrivalsFile::Poisson(rate) => Arrivals::Poisson { per_second: positive(rate)? },
        ArrivalsFile::Ramp(ramp) => {
            let (from, to) = (rate(&ramp.from)?, rate(&ramp.to)?);
            if from == 0.0 && to == 0.0 {
                return Err(ramp.to.problem("a ramp from 0 to 0 sends nothing").expecting("a rate above 0"));
            }
            Arrivals::Ramp { from_per_second: from, to_per_second: to }
        }
        ArrivalsFile::Burst(burst) => Arrivals::Burst {
            size: required("size", &burst.size, bounds::CLIENTS)?,
            every_ns: time("every", Some(&burst.every), 1..=bounds::DURATION_NS_MAX)?.unwrap_or_default(),
        },
        ArrivalsFile::Closed(clients) => {
            Arrivals::Closed { clients: required("closed", clients, bounds::CLIENTS)? }
        }
    })
}

fn required(key: &str, value: &At<i64>, bounds: std::ops::RangeInclusive<i64>) -> Result<u32, Problem> {
    integer(key, Some(value), bounds).map(Option::unwrap_or_default)
}

fn rate(rate: &At<Rate>) -> Result<f64, Problem> {
    let per_second = rate.value.per_second;
    if per_second <= bounds::PER_SECOND_MAX {
        return Ok(per_second);
    }
    Err(rate
        .problem(format!("{per_second}/s is more than one load client can send"))
        .expecting(format!("at most {}/s", bounds::PER_SECOND_MAX)))
}

fn positive(given: &At<Rate>) -> Result<f64, Problem> {
    match rate(given)? {
        0.0 => Err(given.problem("a rate of 0 sends nothing").expecting("a rate above 0")),
        per_second => Ok(per_second),
    }
}

fn until(table: &At<LoadFile>) -> Result<Until, Problem> {
    let file = &table.value;
    match (&file.attempts, &file.duration) {
        (Some(attempts), None) => Ok(Until::Attempts(required("attempts", attempts, bounds::ATTEMPTS)?)),
        (None, Some(duration)) => {
            let ns = time("duration", Some(duration), 1..=bounds::DURATION_NS_MAX)?;
            Ok(Until::Elapsed(ns.unwrap_or_default()))
        }
        (Some(_), Some(duration)) => Err(duration
            .problem("the load ends after attempts or after a duration, not both")
            .expecting("one of `attempts`, `duration`")),
        (None, None) => Err(file
            .arrivals
            .problem("the load has no end")
            .expecting("one of `attempts`, `duration` in [load]")),
    }
}

fn timeouts(file: Option<&At<TimeoutFile>>) -> Result<Timeouts, Problem> {
    let each = match file {
        None => return Ok(same(bounds::TIMEOUT_NS_DEFAULT)),
        Some(At { value: TimeoutFile::Total(total), span }) => {
            let total = At { value: *total, span: span.clone() };
            return Ok(same(limited("timeout", Some(&total))?.unwrap_or_default()));
        }
        Some(At { value: TimeoutFile::Each(each), .. }) => each,
    };
    let total_ns = limited("total", each.total.as_ref())?.unwrap_or(bounds::TIMEOUT_NS_DEFAULT);
    let connect_ns = within("connect", each.connect.as_ref(), total_ns)?;
    let first_byte_ns = within("first-byte", each.first_byte.as_ref(), total_ns)?;
    if let Some(first_byte) = &each.first_byte
        && each.connect.is_some()
        && first_byte_ns < connect_ns
    {
        return Err(first_byte
            .problem("first-byte is shorter than connect, though both count from the attempt's start")
            .expecting(format!("at least {}", duration::exact(connect_ns))));
    }
    Ok(Timeouts { connect_ns: connect_ns.min(first_byte_ns), first_byte_ns, total_ns })
}

fn same(ns: u64) -> Timeouts {
    Timeouts { connect_ns: ns, first_byte_ns: ns, total_ns: ns }
}

fn limited(key: &str, value: Option<&At<Time>>) -> Result<Option<u64>, Problem> {
    time(key, value, 1..=bounds::TIMEOUT_NS_MAX)
}

fn within(key: &str, value: Option<&At<Time>>, total_ns: u64) -> Result<u64, Problem> {
    let Some(given) = value else { return Ok(total_ns) };
    let ns = limited(key, value)?.unwrap_or_default();
    if ns > total_ns {
        let message = format!("{key} is longer than total, though both count from the attempt's start");
        return Err(given.problem(message).expecting(format!("at most {}", duration::exact(total_ns))));
    }
    Ok(ns)
}

/// Addresses that attempts share have ports for so many attempts.
fn check_clients(file: &LoadFile, load: &Load) -> Result<(), Problem> {
    let (Some(clients), Some(given)) = (load.clients, &file.clients) else { return Ok(()) };
    let max = clients.attempts_max();
    match attempts_most(load) {
        None => Err(given
            .problem(format!(
                "addresses that are shared have room for {max} attempts in all, and nobody knows how many come"
            ))
            .expecting("`attempts` instead of `duration`")),
        Some(most) if most > f64::from(max) => Err(given
            .problem(format!(
                "addresses that are shared have room for {max} attempts in all, and up to {most:.0} may come"
            ))
            .expecting("more addresses, or a lower rate or fewer attempts")),
        Some(_) => Ok(()),
    }
}

/// Each thread has clients of a closed loop, and idle connections of a pool, of its own.
fn check_threads(file: &LoadFile, load: &Load) -> Result<(), Problem> {
    let Some(given) = file.threads.as_ref().filter(|_| load.threads > 1) else { return Ok(()) };
    let threads = load.threads;
    match load.arrivals {
        Arrivals::Sequential { .. } => {
            return Err(given
                .problem("attempts that come one after the other are made by one thread")
                .expecting("no such key, or other `arrivals`"));
        }
        Arrivals::Closed { clients } if clients < threads => {
            return Err(given
                .problem(format!("{threads} threads are more than there are clients ({clients})"))
                .expecting(format!("at most {clients}, or more clients")));
        }
        Arrivals::Closed { .. }
        | Arrivals::Constant { .. }
        | Arrivals::Poisson { .. }
        | Arrivals::Ramp { .. }
        | Arrivals::Burst { .. } => {}
    }
    match load.connection.pool {
        Some(pool) if pool.idle_max < threads => Err(given
            .problem(format!(
                "{threads} threads cannot share a pool of {}: each keeps connections of its own",
                pool.idle_max
            ))
            .expecting(format!("at most {}, or a larger `pool`", pool.idle_max))),
        Some(_) | None => Ok(()),
    }
}

/// How many attempts a load can have at most, if there is a bound.
fn attempts_most(load: &Load) -> Option<f64> {
    let planned = Extent::of(load).attempts_planned;
    match (load.arrivals, load.until) {
        (_, Until::Attempts(attempts)) => Some(attempts.into()),
        // Six times the standard deviation above the mean is never reached.
        (Arrivals::Poisson { .. }, Until::Elapsed(_)) => planned.map(|mean| mean + 6.0 * mean.sqrt()),
        (Arrivals::Sequential { gap_ns: 0 } | Arrivals::Closed { .. }, Until::Elapsed(_)) => None,
        (Arrivals::Sequential { gap_ns }, Until::Elapsed(ns)) => Some((ns / gap_ns) as f64 + 1.0),
        (Arrivals::Constant { .. } | Arrivals::Ramp { .. } | Arrivals::Burst { .. }, Until::Elapsed(_)) => {
            planned.map(f64::ceil)
        }
    }
}

/// A load must fit into the attempts and the time that a trial may have, and into its own cap.
fn check_extent(file: &LoadFile, load: &Load) -> Result<(), Problem> {
    let extent = Extent::of(load);
    if extent.attempts_planned.is_some_and(|attempts| attempts > f64::from(ATTEMPTS_MAX)) {
        return Err(file
            .arrivals
            .problem("rate and duration make more attempts than a trial can have addresses for")
            .expecting(format!("at most {ATTEMPTS_MAX} attempts")));
    }
    if extent.end_ns_min > bounds::DURATION_NS_MAX as f64 {
        let limit = duration::exact(bounds::DURATION_NS_MAX);
        return Err(file
            .arrivals
            .problem(format!("that many attempts take longer than {limit} at this pace"))
            .expecting("fewer attempts, or a faster pace"));
    }
    let at_once = match load.arrivals {
        Arrivals::Closed { clients } => clients,
        Arrivals::Burst { size, .. } => size,
        Arrivals::Sequential { .. }
        | Arrivals::Constant { .. }
        | Arrivals::Poisson { .. }
        | Arrivals::Ramp { .. } => 1,
    };
    if at_once > load.in_flight_max {
        return Err(file
            .arrivals
            .problem(format!(
                "{at_once} attempts at once are more than may be in flight ({})",
                load.in_flight_max
            ))
            .expecting("a larger `in-flight`"));
    }
    Ok(())
}
