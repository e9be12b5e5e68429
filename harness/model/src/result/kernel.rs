//! What the kernel counted in a trial, as a result says it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the kernel counted in a trial.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KernelResult {
    /// `ListenOverflows`.
    pub listen_overflows: u64,
    /// `ListenDrops`.
    pub listen_drops: u64,
    /// Every listener at the service's address that was seen, in order of opening.
    #[serde(default)]
    pub listeners: Vec<ListenerResult>,
    /// The longest accept queue that was sampled.
    pub queue_max: u32,
    /// The limit of the last listener.
    pub queue_limit: u32,
    /// Listeners that were closed during the load.
    pub listeners_closed: u32,
    /// All counters, by the kernel's names; absent where they are the whole host's.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
    /// Median time between two looks at the listeners.
    #[serde(default)]
    pub interval_ns: u64,
    /// SYNs that the clients' side sent again, since the first was dropped: by `TCP_INFO`, of attempts
    /// whose handshake took noticeably long or was given up.
    #[serde(default)]
    pub syn_retransmits: u64,
}

impl KernelResult {
    /// The drops that the trial's listeners counted themselves, which needs no namespace of their own;
    /// `None` if one of them counts none.
    #[must_use]
    pub fn listener_drops(&self) -> Option<u64> {
        self.listeners.iter().map(|listener| listener.drops.map(u64::from)).sum()
    }
}

/// A socket that listened at the service's address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListenerResult {
    /// Its inode.
    pub inode: u32,
    /// When it was first seen, from the start of the load; negative before it.
    pub opened_ns: i64,
    /// When it was found to be gone, from the start of the load; `None`: it was open to the end.
    pub closed_ns: Option<i64>,
    /// The longest accept queue that was sampled.
    pub queue_max: u32,
    /// The last limit that was sampled.
    pub limit: u32,
    /// Connections that this listener counted as dropped (`sk_drops`, which sock_diag reports);
    /// `None` for Unix sockets, which count none.
    pub drops: Option<u32>,
}
