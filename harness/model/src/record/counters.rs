//! The kernel's TCP counters.

use serde::{Deserialize, Serialize};

/// The network namespace's TCP counters, as differences between two readings.
///
/// Names and meaning are the kernel's: Documentation/networking/snmp_counter.rst.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpCounters {
    /// Connections begun here by `connect`.
    pub active_opens: u64,
    /// Handshakes completed by a listener here.
    pub passive_opens: u64,
    /// Handshakes that failed.
    pub attempt_fails: u64,
    /// Resets of established connections.
    pub estab_resets: u64,
    /// Resets sent.
    pub out_rsts: u64,
    /// Segments retransmitted.
    pub retrans_segs: u64,
    /// SYNs or final ACKs that met a full accept queue.
    pub listen_overflows: u64,
    /// SYNs dropped by listeners for any reason.
    pub listen_drops: u64,
    /// SYNs dropped because the SYN queue was full and cookies are off.
    pub req_q_full_drop: u64,
    /// SYN cookies sent because the SYN queue was full.
    pub req_q_full_do_cookies: u64,
    /// Handshakes that a listener gave up with a reset. The kernel has no counter of its own for
    /// `tcp_abort_on_overflow`; its resets count here (`tcp_check_req` in net/ipv4/tcp_minisocks.c).
    pub embryonic_rsts: u64,
    /// Connections moved to another listener as theirs closed (`tcp_migrate_req`).
    pub migrate_req_success: u64,
    /// Connections that could not be moved.
    pub migrate_req_failure: u64,
}

impl TcpCounters {
    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            active_opens: self.active_opens.saturating_sub(earlier.active_opens),
            passive_opens: self.passive_opens.saturating_sub(earlier.passive_opens),
            attempt_fails: self.attempt_fails.saturating_sub(earlier.attempt_fails),
            estab_resets: self.estab_resets.saturating_sub(earlier.estab_resets),
            out_rsts: self.out_rsts.saturating_sub(earlier.out_rsts),
            retrans_segs: self.retrans_segs.saturating_sub(earlier.retrans_segs),
            listen_overflows: self.listen_overflows.saturating_sub(earlier.listen_overflows),
            listen_drops: self.listen_drops.saturating_sub(earlier.listen_drops),
            req_q_full_drop: self.req_q_full_drop.saturating_sub(earlier.req_q_full_drop),
            req_q_full_do_cookies: self.req_q_full_do_cookies.saturating_sub(earlier.req_q_full_do_cookies),
            embryonic_rsts: self.embryonic_rsts.saturating_sub(earlier.embryonic_rsts),
            migrate_req_success: self.migrate_req_success.saturating_sub(earlier.migrate_req_success),
            migrate_req_failure: self.migrate_req_failure.saturating_sub(earlier.migrate_req_failure),
        }
    }
}
