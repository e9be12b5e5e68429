//! The runner's end of the lifeline, on which the outer process asks for an early end.

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::io::unix::AsyncFd;

use crate::waitable::readable;

/// Standard input, on which orders come, could not be listened to.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing}")]
pub(super) struct OrdersError {
    doing: &'static str,
    source: io::Error,
}

impl OrdersError {
    fn listen(error: impl Into<io::Error>) -> Self {
        Self { doing: "listen for orders", source: error.into() }
    }
}

/// Standard input, as far as it can be waited for: a trial that is repeated by hand has none such.
#[derive(Debug)]
pub(super) struct Orders {
    input: Option<AsyncFd<OwnedFd>>,
}

impl Orders {
    /// Takes over standard input.
    pub(super) fn listen() -> Result<Self, OrdersError> {
        let input = nix::unistd::dup(io::stdin())
            .map_err(|errno| OrdersError { doing: "take over standard input", source: errno.into() })?;
        fcntl(&input, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(OrdersError::listen)?;
        Self::on(input)
    }

    fn on(input: OwnedFd) -> Result<Self, OrdersError> {
        match readable(input) {
            Ok(input) => Ok(Self { input: Some(input) }),
            // What always gives an answer at once cannot be waited for: epoll_ctl(2).
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(Self { input: None }),
            Err(error) => Err(OrdersError::listen(error)),
        }
    }

    /// Waits until a byte comes. An end of file is the sandbox's to notice.
    pub(super) async fn stop(&self) {
        if let Some(input) = &self.input {
            while let Ok(mut ready) = input.readable().await {
                match nix::unistd::read(input, &mut [0]) {
                    Ok(1..) => return,
                    Err(Errno::EAGAIN | Errno::EINTR) => ready.clear_ready(),
                    Ok(0) | Err(_) => break,
                }
            }
        }
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;
    use crate::sandbox::Lifeline;

    fn on(input: OwnedFd) -> Orders {
        fcntl(&input, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a descriptor");
        Orders::on(input).expect("orders")
    }

    #[tokio::test]
    async fn a_stop_is_heard_once_it_is_ordered() {
        let (mut lifeline, end) = Lifeline::new().expect("sockets");
        let orders = on(end);
        lifeline.ask_to_stop();
        orders.stop().await;
        drop(lifeline);
        let silent = tokio::time::timeout(Duration::from_millis(1), orders.stop()).await;
        assert!(silent.is_err(), "the end of the lifeline is no order");
    }

    #[tokio::test]
    async fn without_anybody_to_order_it_a_trial_goes_on() {
        let orders = on(File::open("/dev/null").expect("a device").into());
        assert!(tokio::time::timeout(Duration::from_millis(1), orders.stop()).await.is_err());
    }
}
