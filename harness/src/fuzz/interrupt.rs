//! The user's wish to end early, which concerns what comes between trials as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use crate::run::RunError;

/// How often the user has asked for the end.
#[derive(Debug, Clone)]
pub(super) struct Interrupts(Arc<AtomicU32>);

impl Interrupts {
    /// Begins to listen for SIGINT and SIGTERM, to the end of the process.
    pub(super) fn listen() -> Result<Self, RunError> {
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Runtime)?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            let interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
            (interrupt, signal(SignalKind::terminate()).map_err(RunError::Signals)?)
        };
        let listen = move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            });
        };
        std::thread::Builder::new()
            .name("interrupts".to_owned())
            .spawn(listen)
            .map_err(|_| RunError::Processes)?;
        Ok(Self(count))
    }

    /// Whether the user has asked for the end.
    pub(super) fn came(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }

    /// Whether the user has asked for the end twice.
    pub(super) fn came_twice(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 1
    }
}
