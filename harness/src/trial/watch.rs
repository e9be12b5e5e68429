//! Notices that workers have recorded something: new ledgers, and rare records, after which writers touch
//! their ledger (`fixtures/LEDGER.md`). Records of single connections wake nobody, where they are stores
//! into a mapping; a writer that uses `pwrite` wakes with each, which is why looks have a least distance.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use super::paths::{PathError, to};
use crate::sandbox;
use crate::waitable::readable;

/// The least time between two looks.
const DISTANCE: Duration = Duration::from_millis(1);

/// The folder of ledgers could not be watched.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchError {
    /// There is no inotify instance to be had.
    #[error("failed to watch for files (fs.inotify.max_user_instances may be used up)")]
    Instance(#[source] Errno),
    /// The folder could not be watched.
    #[error(transparent)]
    Folder(#[from] PathError),
}

/// A watch on the folder of ledgers.
#[derive(Debug)]
pub(super) struct LedgerWatch {
    /// `None`: it is over.
    notices: Option<AsyncFd<OwnedFd>>,
    next: Instant,
}

impl LedgerWatch {
    /// Watches a folder.
    pub(super) fn on(folder: &Path) -> Result<Self, WatchError> {
        let notices =
            inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(WatchError::Instance)?;
        let what = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MODIFY | WatchFlags::ATTRIB;
        inotify::add_watch(&notices, folder, what).map_err(|errno| to("watch", folder)(errno.into()))?;
        let notices = readable(notices).map_err(to("wait for changes of", folder))?;
        Ok(Self { notices: Some(notices), next: Instant::now() })
    }

    /// Waits until something may have been recorded. What is awaited is not lost if the future is dropped.
    pub(super) async fn changed(&mut self) {
        let Some(notices) = &self.notices else { return std::future::pending().await };
        tokio::time::sleep_until(self.next).await;
        match notices.readable().await {
            Ok(mut ready) => {
                drain(notices.get_ref());
                ready.clear_ready();
                self.next = Instant::now() + DISTANCE;
            }
            Err(_) => std::future::pending().await,
        }
    }

    /// Ends the watch. To release an inotify instance, the kernel waits until nobody can look at its marks any
    /// more (fsnotify_destroy_group), which takes some 10 ms, and the end of the trial's process would wait
    /// for that: so it is left with the outer process.
    pub(super) fn end(&mut self) {
        if let Some(notices) = self.notices.take() {
            // A trial that is repeated by hand has nobody to leave it with.
            drop(sandbox::leave(notices.into_inner()));
        }
    }
}

fn drain(notices: &OwnedFd) {
    let mut buffer = [0_u8; 4096];
    while matches!(rustix::io::read(notices, &mut buffer), Ok(1..)) {}
}
