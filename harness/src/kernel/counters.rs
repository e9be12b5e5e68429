//! The TCP counters of a network namespace.
//!
//! They are read from `/proc/thread-self/net/netstat` and `snmp`. What they mean is described in
//! Documentation/networking/snmp_counter.rst; the names are in net/ipv4/proc.c. They count everything
//! in the namespace, so that they belong to a trial only if the namespace does.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use holdline_model::record::TcpCounters;

const NETSTAT: &str = "/proc/thread-self/net/netstat";
const SNMP: &str = "/proc/thread-self/net/snmp";

/// The table's prefix, the kernel's name, and the field it goes to.
type Counter = (&'static str, &'static str, fn(&mut TcpCounters) -> &mut u64);

/// Where each counter stands.
const COUNTERS: [Counter; 13] = [
    ("Tcp:", "ActiveOpens", |counters| &mut counters.active_opens),
    ("Tcp:", "PassiveOpens", |counters| &mut counters.passive_opens),
    ("Tcp:", "AttemptFails", |counters| &mut counters.attempt_fails),
    ("Tcp:", "EstabResets", |counters| &mut counters.estab_resets),
    ("Tcp:", "OutRsts", |counters| &mut counters.out_rsts),
    ("Tcp:", "RetransSegs", |counters| &mut counters.retrans_segs),
    ("TcpExt:", "ListenOverflows", |counters| &mut counters.listen_overflows),
    ("TcpExt:", "ListenDrops", |counters| &mut counters.listen_drops),
    ("TcpExt:", "TCPReqQFullDrop", |counters| &mut counters.req_q_full_drop),
    ("TcpExt:", "TCPReqQFullDoCookies", |counters| &mut counters.req_q_full_do_cookies),
    ("TcpExt:", "EmbryonicRsts", |counters| &mut counters.embryonic_rsts),
    ("TcpExt:", "TCPMigrateReqSuccess", |counters| &mut counters.migrate_req_success),
    ("TcpExt:", "TCPMigrateReqFailure", |counters| &mut counters.migrate_req_failure),
];

/// Why the counters are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum CountersError {
    /// The file cannot be opened or read.
    #[error("failed to read {}: {source}; is /proc mounted?", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not have the form that the kernel writes.
    #[error("failed to read counters: {0}")]
    Malformed(String),
}

/// One reading of the counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// What was counted since the namespace was made.
    pub counters: TcpCounters,
    /// The kernel's names of counters that this kernel does not have; their fields are 0. So
    /// `TCPMigrateReqSuccess` is missing before Linux 5.14.
    pub missing: Vec<&'static str>,
}

/// The open files of one network namespace. They stay with it, whichever thread reads them and
/// wherever that thread goes, so that two readings are always of the same counters.
#[derive(Debug)]
pub struct CounterFiles {
    netstat: File,
    snmp: File,
}

impl CounterFiles {
    /// Opens those of the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// [`CountersError::Read`], if there is no `/proc`.
    pub fn open() -> Result<Self, CountersError> {
        let open = |path| File::open(path).map_err(|source| unreadable(path, source));
        Ok(Self { netstat: open(NETSTAT)?, snmp: open(SNMP)? })
    }

    /// Reads the counters as they are now.
    ///
    /// # Errors
    ///
    /// Any [`CountersError`].
    pub fn read(&self) -> Result<Reading, CountersError> {
        parse(&text(&self.netstat, NETSTAT)?, &text(&self.snmp, SNMP)?)
    }
}

/// Reads the counters of the calling thread's network namespace. Counters that this kernel does not
/// have are 0; [`Reading::missing`] names them.
///
/// # Errors
///
/// Any [`CountersError`].
pub fn read() -> Result<TcpCounters, CountersError> {
    Ok(CounterFiles::open()?.read()?.counters)
}

/// Picks the counters out of the texts of `netstat` and `snmp`.
///
/// # Errors
///
/// [`CountersError::Malformed`], if a line of names is not followed by as many values, or a
/// value is not a number.
pub fn parse(netstat: &str, snmp: &str) -> Result<Reading, CountersError> {
    let mut values = BTreeMap::new();
    for text in [netstat, snmp] {
        let mut lines = text.lines();
        while let Some(names) = lines.next() {
            collect(names, lines.next().unwrap_or_default(), &mut values)?;
        }
    }
    let mut reading = Reading::default();
    for (table, name, field) in COUNTERS {
        match values.get(&(table, name)) {
            Some(value) => {
                *field(&mut reading.counters) = value.parse().map_err(|_| {
                    CountersError::Malformed(format!("{table} {name} is `{value}`, which is no count"))
                })?;
            }
            None => reading.missing.push(name),
        }
    }
    Ok(reading)
}

/// The counters by the kernel's names.
#[must_use]
pub fn as_map(counters: &TcpCounters) -> BTreeMap<String, u64> {
    let mut counters = *counters;
    COUNTERS.iter().map(|(_, name, field)| ((*name).to_owned(), *field(&mut counters))).collect()
}

fn unreadable(path: &str, source: io::Error) -> CountersError {
    CountersError::Read { path: Path::new(path).to_owned(), source }
}

/// Reads a file of `/proc` from its beginning, which makes the kernel write it anew.
fn text(file: &File, path: &str) -> Result<String, CountersError> {
    let mut bytes = vec![0; 8192];
    let mut length = 0;
    loop {
        match file.read_at(&mut bytes[length..], length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(unreadable(path, source)),
        }
        bytes.resize(bytes.len().max(length + 4096), 0);
    }
    bytes.truncate(length);
    String::from_utf8(bytes).map_err(|_| CountersError::Malformed(format!("{path} is not text")))
}

/// Reads a line of names and the line of values below it, both of which begin with the table's prefix.
fn collect<'a>(
    names: &'a str,
    values: &'a str,
    into: &mut BTreeMap<(&'a str, &'a str), &'a str>,
) -> Result<(), CountersError> {
    let (mut names, mut values) = (names.split_ascii_whitespace(), values.split_ascii_whitespace());
    let table = names.next().unwrap_or_default();
    if values.next().unwrap_or_default() != table {
        return Err(CountersError::Malformed(format!("no values follow the names of `{table}`")));
    }
    loop {
        match (names.next(), values.next()) {
            (None, None) => return Ok(()),
            (Some(name), Some(value)) => {
                into.insert((table, name), value);
            }
            _ => return Err(CountersError::Malformed(format!("`{table}` has not one value for each name"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NETSTAT_TEXT: &str = "\
TcpExt: SyncookiesSent EmbryonicRsts ListenOverflows ListenDrops TCPReqQFullDoCookies TCPReqQFullDrop
TcpExt: 0 9 3 4 5 6
IpExt: InNoRoutes ListenDrops
IpExt: 7 99
";
    const SNMP_TEXT: &str = "\
Ip: Forwarding DefaultTTL
Ip: 2 64
Tcp: MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets RetransSegs OutRsts
Tcp: -1 107 3 1 95 8 18446744073709551615
";

    #[test]
    fn counters_are_found_by_their_names() {
        let reading = parse(NETSTAT_TEXT, SNMP_TEXT).unwrap();
        let expected = TcpCounters {
            active_opens: 107,
            passive_opens: 3,
            attempt_fails: 1,
            estab_resets: 95,
            out_rsts: u64::MAX,
            retrans_segs: 8,
            listen_overflows: 3,
            listen_drops: 4,
            req_q_full_drop: 6,
            req_q_full_do_cookies: 5,
            embryonic_rsts: 9,
            migrate_req_success: 0,
            migrate_req_failure: 0,
        };
        assert_eq!(reading.counters, expected);
        assert_eq!(reading.missing, ["TCPMigrateReqSuccess", "TCPMigrateReqFailure"]);
        let map = as_map(&reading.counters);
        assert_eq!(map.len(), COUNTERS.len());
        assert_eq!((map["ListenDrops"], map["EmbryonicRsts"], map["ActiveOpens"]), (4, 9, 107));
    }

    #[test]
    fn texts_of_another_form_are_refused() {
        let refused = |netstat| parse(netstat, SNMP_TEXT).unwrap_err().to_string();
        assert!(refused("TcpExt: ListenDrops\n").contains("no values"));
        assert!(refused("TcpExt: ListenDrops\nIpExt: 3\n").contains("no values"));
        assert!(refused("TcpExt: ListenDrops\nTcpExt: 3 4\n").contains("one value for each"));
        assert!(refused("TcpExt: ListenDrops\nTcpExt: many\n").contains("`many`"));
    }

    #[test]
    fn this_kernel_has_the_counters() {
        let files = CounterFiles::open().unwrap();
        let reading = files.read().unwrap();
        assert!(!reading.missing.contains(&"ListenOverflows"), "{:?}", reading.missing);
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let since = files.read().unwrap().counters.since(&reading.counters);
        assert!(since.active_opens >= 1 && since.passive_opens >= 1, "{since:?}");
        assert!(read().unwrap().active_opens > reading.counters.active_opens);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(netstat: String, snmp: String) {
            let _ = parse(&netstat, &snmp);
        }
    }
}
