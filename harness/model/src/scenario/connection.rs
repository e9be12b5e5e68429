//! What an attempt does with its connection: one request or a session of several, in which protocol,
//! and how slowly.

use super::file::{ConnectionFile, ConnectionTableFile, LoadFile};
use super::{Connection, Pool, Timeouts};
use crate::bounds;
use crate::duration;
use crate::file::{At, Problem, integer, time};

impl Connection {
    /// One request, sent and read at once.
    pub const ONE_SHOT: Self = Self {
        requests: 1,
        pipeline: false,
        gap_ns: 0,
        connect_pause_ns: 0,
        silent: false,
        send_pause_ns: 0,
        read_pause_ns: 0,
        body_bytes: 0,
        half_close: false,
        pool: None,
        every: 1,
    };

    /// Whether a connection carries several requests.
    #[must_use]
    pub const fn is_session(&self) -> bool {
        self.requests > 1
    }

    /// Whether the server is to expect more requests on a connection than one, and to have many open at once.
    #[must_use]
    pub const fn keeps_alive(&self) -> bool {
        self.is_session() || self.pool.is_some()
    }

    /// What this attempt does with its connection: all but every n-th are one-shot.
    #[must_use]
    pub const fn of_attempt(&self, attempt: u32) -> Self {
        if attempt % self.every == self.every - 1 { *self } else { Self::ONE_SHOT }
    }

    /// How long the client itself pauses within each request, in nanoseconds.
    #[must_use]
    pub const fn pauses_ns(&self) -> u64 {
        self.send_pause_ns + self.read_pause_ns
    }

    /// Whether this attempt asks for nothing.
    #[must_use]
    pub const fn is_silent(&self, attempt: u32) -> bool {
        self.of_attempt(attempt).silent
    }

    /// How long a connection lasts on the client's own account, in nanoseconds.
    #[must_use]
    pub const fn shortest_ns(&self) -> u64 {
        let requests = self.requests as u64;
        self.connect_pause_ns + requests * self.pauses_ns() + (requests - 1) * self.gap_ns
    }

    /// How long a connection lasts at most, if each request may take `total_ns`.
    #[must_use]
    pub const fn longest_ns(&self, total_ns: u64) -> u64 {
        // Those that are sent at once have begun at once.
        let requests = if self.pipeline { 1 } else { self.requests as u64 };
        requests * total_ns + (requests - 1) * self.gap_ns
    }
}

impl Default for Connection {
    fn default() -> Self {
        Self::ONE_SHOT
    }
}

/// Checks the connection of a load.
pub(super) fn connection(file: &LoadFile, timeouts: Timeouts) -> Result<Connection, Problem> {
    let Some(At { value: ConnectionFile::Table(table), span }) = &file.connection else {
        return Ok(Connection::ONE_SHOT);
    };
    let pause = |key, value| time(key, value, 0..=bounds::TIMEOUT_NS_MAX).map(Option::unwrap_or_default);
    let connection = Connection {
        requests: integer("requests", table.requests.as_ref(), bounds::REQUESTS)?.unwrap_or(1),
        pipeline: pipeline(table)?,
        gap_ns: pause("gap", table.gap.as_ref())?,
        connect_pause_ns: pause("connect-pause", table.connect_pause.as_ref())?,
        silent: silent(table)?,
        send_pause_ns: pause("send-pause", table.send_pause.as_ref())?,
        read_pause_ns: pause("read-pause", table.read_pause.as_ref())?,
        body_bytes: body(table, file)?,
        half_close: table.half_close.unwrap_or(false),
        pool: pool(table)?,
        every: integer("every", table.every.as_ref(), bounds::EVERY)?.unwrap_or(1),
    };
    check_gap(table, &connection)?;
    let whole = At { value: (), span: span.clone() };
    check_times(&whole, &connection, timeouts)?;
    Ok(connection)
}

fn body(table: &ConnectionTableFile, file: &LoadFile) -> Result<u32, Problem> {
    let Some(body) = &table.body else { return Ok(0) };
    if !file.protocol.is_some_and(|protocol| protocol.can().body) {
        return Err(body
            .problem("only HTTP requests have a body")
            .expecting("`protocol = \"http\"` in [load] beside it"));
    }
    u32::try_from(body.value.bytes).ok().filter(|bytes| bounds::BODY_BYTES.contains(bytes)).ok_or_else(|| {
        body.problem("body is outside of its bounds")
            .expecting(format!("1B to {}MiB", bounds::BODY_BYTES.end() >> 20))
    })
}

/// Whoever asks for nothing can do nothing else.
fn silent(table: &ConnectionTableFile) -> Result<bool, Problem> {
    let Some(silent) = table.silent.as_ref().filter(|silent| silent.value) else { return Ok(false) };
    let asks = [
        ("requests", table.requests.is_some()),
        ("pipeline", table.pipeline.is_some()),
        ("gap", table.gap.is_some()),
        ("connect-pause", table.connect_pause.is_some()),
        ("send-pause", table.send_pause.is_some()),
        ("read-pause", table.read_pause.is_some()),
        ("body", table.body.is_some()),
        ("half-close", table.half_close.is_some()),
        ("pool", table.pool.is_some()),
    ];
    match asks.into_iter().find(|(_, is_there)| *is_there) {
        Some((key, _)) => Err(silent
            .problem(format!("a silent client asks for nothing, so that `{key}` means nothing"))
            .expecting("`silent` alone, or with `every`")),
        None => Ok(true),
    }
}

/// Whoever sends all requests at once does nothing between them.
fn pipeline(table: &ConnectionTableFile) -> Result<bool, Problem> {
    let Some(pipeline) = table.pipeline.as_ref().filter(|pipeline| pipeline.value) else { return Ok(false) };
    let between = [
        ("gap", table.gap.is_some()),
        ("send-pause", table.send_pause.is_some()),
        ("read-pause", table.read_pause.is_some()),
        ("body", table.body.is_some()),
    ];
    if let Some((key, _)) = between.into_iter().find(|(_, is_there)| *is_there) {
        return Err(pipeline
            .problem(format!("all requests are sent at once, so that `{key}` means nothing"))
            .expecting("`pipeline` with `requests`, `connect-pause`, `half-close` and `every` at most"));
    }
    match &table.requests {
        None => Err(pipeline
            .problem("one request alone is no pipeline")
            .expecting("`requests` of 2 to 1000 beside it")),
        Some(requests) => integer::<u16>("requests", Some(requests), bounds::PIPELINED).map(|_| true),
    }
}

/// Attempts of a pool send one request each, at once, over whichever connection is free.
fn pool(table: &ConnectionTableFile) -> Result<Option<Pool>, Problem> {
    let idle_timeout_ns = time("idle-timeout", table.idle_timeout.as_ref(), 1..=bounds::TIMEOUT_NS_MAX)?;
    let Some(pool) = &table.pool else {
        let timeout = table.idle_timeout.as_ref().map(|given| (given.span.clone(), "idle-timeout"));
        let retry = table.retry.as_ref().map(|given| (given.span.clone(), "retry"));
        return match timeout.or(retry) {
            Some((span, key)) => Err(At { value: (), span }
                .problem(format!("`{key}` is about connections that are used again, and none is"))
                .expecting("`pool` beside it")),
            None => Ok(None),
        };
    };
    let others = [
        ("requests", table.requests.is_some()),
        ("pipeline", table.pipeline.is_some()),
        ("gap", table.gap.is_some()),
        ("connect-pause", table.connect_pause.is_some()),
        ("silent", table.silent.is_some()),
        ("send-pause", table.send_pause.is_some()),
        ("read-pause", table.read_pause.is_some()),
        ("half-close", table.half_close.is_some()),
    ];
    if let Some((key, _)) = others.into_iter().find(|(_, is_there)| *is_there) {
        return Err(pool
            .problem(format!(
                "attempts of a pool send one request each, at once, so that `{key}` means nothing"
            ))
            .expecting("`pool` with `idle-timeout`, `retry`, `body` and `every` at most"));
    }
    let idle_max = integer("pool", Some(pool), bounds::POOL)?.unwrap_or(1);
    let retry = table.retry.as_ref().is_none_or(|retry| retry.value);
    Ok(Some(Pool { idle_max, idle_timeout_ns, retry }))
}

fn check_gap(table: &ConnectionTableFile, connection: &Connection) -> Result<(), Problem> {
    match &table.gap {
        Some(gap) if !connection.is_session() => Err(gap
            .problem("a gap lies between two requests, and this connection has one")
            .expecting("`requests` of 2 or more beside it")),
        _ => Ok(()),
    }
}

/// The client must have time for its own pauses, and a trial must come to an end.
fn check_times(table: &At<()>, connection: &Connection, timeouts: Timeouts) -> Result<(), Problem> {
    if connection.connect_pause_ns + connection.pauses_ns() >= timeouts.first_byte_ns {
        let timeout = duration::exact(timeouts.first_byte_ns);
        let message =
            format!("no request could be served: the client pauses for its time-out ({timeout}) or longer");
        return Err(table.problem(message).expecting("shorter pauses, or a longer `timeout`"));
    }
    if connection.shortest_ns() > bounds::DURATION_NS_MAX {
        let (shortest, limit) = (connection.shortest_ns(), duration::exact(bounds::DURATION_NS_MAX));
        let message = format!("a connection would last {} or longer", duration::show_ns(shortest));
        return Err(table.problem(message).expecting(format!("at most {limit}")));
    }
    Ok(())
}
