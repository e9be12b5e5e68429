//! The words of a result: what its sentences, moments and checks are about.

use crate::words::words;

words! {
    /// What a sentence about losses is about.
    LossKind ("kind of loss", "snake_case") {
        /// Carried the fault.
        Poison = "poison",
        /// In the hands of a worker that crashed.
        InFlight = "in_flight",
        /// Nobody listened.
        Refused = "refused",
        /// Connected, and reset in the queue.
        QueueReset = "queue_reset",
        /// Never connected.
        SynDropped = "syn_dropped",
        /// No TLS came about.
        Tls = "tls",
        /// A stream that was ended without a reply.
        Stream = "stream",
        /// Closed without a complete reply.
        CutShort = "cut_short",
        /// Sessions that were ended between two requests, which is none.
        ClosedIdle = "closed_idle",
        /// A reply that is longer than what is read.
        TooLong = "too_long",
        /// No reply in time.
        TimedOut = "timed_out",
        /// A reply whose status says that the service failed.
        ErrorReply = "error_reply",
        /// A reply that was not the answer.
        WrongReply = "wrong_reply",
        /// An errno without a meaning of its own.
        Errno = "errno",
        /// A request that could not be sent to its end although its reply came, which is none.
        SendFailed = "send_failed",
        /// A server that ended its side before it had all of a request, which is none.
        HalfClosed = "half_closed",
        /// A request that was sent once more over a fresh connection, which is none.
        SentTwice = "sent_twice",
        /// A SYN that was sent again, which is none.
        SentAgain = "sent_again",
        /// A queue that was full.
        QueueFull = "queue_full",
        /// Never sent, for reasons of the load client.
        NotSent = "not_sent",
        /// Served late, which is none.
        Late = "late",
    }
}

words! {
    /// What a moment of a trial happened to.
    MomentKind ("kind of moment", "snake_case") {
        /// A fault struck.
        Fault = "fault",
        /// A fault was over.
        Heal = "heal",
        /// A listener changed.
        Listener = "listener",
        /// A worker wrote something down.
        Worker = "worker",
        /// The supervisor ended.
        Supervisor = "supervisor",
        /// The watch after the load came to its end.
        Watch = "watch",
        /// There were more.
        More = "more",
    }
}

words! {
    /// What happened at a moment of a trial.
    What ("event", "snake_case") {
        /// A fault struck, or could not.
        Struck = "struck",
        /// It was over.
        Over = "over",
        /// A listener or a worker's process began.
        Opened = "opened",
        /// A listener was closed.
        Closed = "closed",
        /// An accept queue was full.
        QueueFull = "queue_full",
        /// A worker could accept.
        Ready = "ready",
        /// A worker took over from another.
        TookOver = "took_over",
        /// A worker finishes what it has.
        Drains = "drains",
        /// A process ended.
        Ended = "ended",
        /// A worker could not listen.
        BindFailed = "bind_failed",
        /// A worker could not start.
        BootFailed = "boot_failed",
        /// A worker accepts nothing more.
        StoppedAccepting = "stopped_accepting",
        /// A worker failed.
        Crashed = "crashed",
        /// The service was back, or was not.
        Watched = "watched",
        /// More than fit here.
        More = "more",
    }
}

words! {
    /// What is checked of what workers inherited.
    Check ("check", "kebab-case") {
        /// The listener.
        Listener = "listener",
        /// LISTEN_PID.
        ListenPid = "listen-pid",
        /// LISTEN_FDNAMES.
        ListenFdnames = "listen-fdnames",
        /// Descriptors.
        Descriptors = "descriptors",
        /// 0, 1 and 2.
        StandardStreams = "standard-streams",
        /// The user.
        User = "user",
        /// The cgroup.
        Cgroup = "cgroup",
    }
}
