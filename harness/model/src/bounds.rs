//! What a file may ask for at most, and why. A trial is a bounded thing: it ends, fits into
//! memory, and harms nobody else on the machine.

use std::ops::RangeInclusive;

use crate::wire::{ATTEMPTS_MAX, Clients, REQUESTS_MAX};

const SECOND_NS: u64 = 1_000_000_000;

/// The default backlog, as many servers have it (and as somaxconn was before Linux 5.4).
pub const BACKLOG_DEFAULT: u32 = 128;
/// `listen` takes an int, but the kernel holds at most somaxconn, which was 16 bits wide for long.
/// A backlog of 0 holds one connection, which is nothing that anybody means.
pub const BACKLOG: RangeInclusive<i64> = 1..=65_535;
/// TCP ports; 0 would mean "any", which is what leaving the key out says.
pub const PORT: RangeInclusive<i64> = 1..=65_535;
/// More workers than this measure the scheduler of the machine, not the supervisor.
pub const WORKERS: RangeInclusive<i64> = 1..=256;
/// A worker needs its standard streams, listener, ledger, control page, a connection, and what its
/// language's runtime opens. The upper end is the kernel's own limit (fs.nr_open).
pub const NOFILE: RangeInclusive<i64> = 16..=1_048_576;
/// Address space counts program text, libraries and stacks, not only what is used: below 64 MiB a
/// worker does not start. Above 4 GiB a worker that allocates to its limit harms the machine.
pub const MEMORY_BYTES: RangeInclusive<u64> = 64 << 20..=4 << 30;
/// The longest boot or work of a worker.
pub const BOOT_NS_MAX: u64 = 120 * SECOND_NS;
/// Client addresses would repeat beyond it.
pub const ATTEMPTS: RangeInclusive<i64> = 1..=ATTEMPTS_MAX as i64;
/// Client addresses that attempts share. See [`Clients`].
pub const CLIENT_ADDRESSES: RangeInclusive<i64> = 1..=Clients::MAX as i64;
/// The longest load. What needs longer is a soak test.
pub const DURATION_NS_MAX: u64 = 600 * SECOND_NS;
/// More than one load client can send; beyond it every trial would be inconclusive.
pub const PER_SECOND_MAX: f64 = 200_000.0;
/// Each is a connection that is always open, with a descriptor here and one in the server.
pub const CLIENTS: RangeInclusive<i64> = 1..=10_000;
/// Threads of the load client. More than this are more than there is a use for processors, and each takes descriptors.
pub const THREADS: RangeInclusive<i64> = 1..=64;
/// The longest time-out. Linux gives up on an unanswered SYN after 127 s (tcp_syn_retries = 6).
pub const TIMEOUT_NS_MAX: u64 = 120 * SECOND_NS;
/// The default time-out: room for SYN retransmits after 1 s and 3 s, which show that a backlog was full.
pub const TIMEOUT_NS_DEFAULT: u64 = 5 * SECOND_NS;
/// The default deadline: what a user does not notice yet.
pub const DEADLINE_NS_DEFAULT: u64 = 50_000_000;
/// The default patience: longer than supervisors wait before they start a worker again, unless they were told
/// to wait long.
pub const PATIENCE_NS_DEFAULT: u64 = 10 * SECOND_NS;
/// The longest patience: as the longest load.
pub const PATIENCE_NS_MAX: u64 = DURATION_NS_MAX;
/// Each connection in flight takes a descriptor of the load client.
pub const IN_FLIGHT: RangeInclusive<i64> = 1..=100_000;
/// The default of it: enough for a second of outage at 10 000/s.
pub const IN_FLIGHT_DEFAULT: u32 = 10_000;
/// The default limit of the send lag: as the default deadline. A generator that lags by more makes
/// attempts late all by itself. It is a thousand times what an idle core needs, so that a busy
/// machine does not void a trial whose numbers are still good.
pub const SEND_LAG_NS_DEFAULT: u64 = 50_000_000;
/// The longest send lag that may be tolerated.
pub const SEND_LAG_NS_MAX: u64 = 10 * SECOND_NS;
/// Users. The last number of 32 bits means "none" to the kernel (setuid(2)).
pub const USER: RangeInclusive<i64> = 0..=4_294_967_294;
/// Requests on a connection. The numbers that a session asks for do not repeat within it.
pub const REQUESTS: RangeInclusive<i64> = 1..=REQUESTS_MAX as i64;
/// Requests that are sent at once on a connection: all of them are kept until they are sent.
pub const PIPELINED: RangeInclusive<i64> = 2..=1_000;
/// Idle connections of a pool, each of which takes a descriptor here and one in the server.
pub const POOL: RangeInclusive<i64> = 1..=10_000;
/// Every n-th attempt.
pub const EVERY: RangeInclusive<i64> = 1..=1_000_000;
/// The body of a request: more than socket buffers hold, so that a server that does not read it makes
/// the client wait.
pub const BODY_BYTES: RangeInclusive<u32> = 1..=64 << 20;
/// Faults in a file. Each is looked at whenever something happens, and shown in every trial; what needs
/// more of them is a load of its own.
pub const FAULTS_MAX: usize = 1_000;
/// Starts that may be told to fail.
pub const BOOT_FAILURES: RangeInclusive<i64> = 1..=1_000_000;

/// The sysctls that a scenario may set: they bear on listening sockets and belong to the trial's
/// own namespaces (Documentation/networking/ip-sysctl.rst).
pub const SYSCTLS: &[&str] = &[
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_migrate_req",
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.tcp_synack_retries",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_tw_reuse",
    "net.unix.max_dgram_qlen",
];
