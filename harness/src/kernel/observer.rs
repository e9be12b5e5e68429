//! Watches the listeners at an address while a trial runs.
//!
//! A thread of its own looks at them at regular instants, reports what opens and closes as it
//! happens, and keeps the rest for the record. It never touches a listener, and does not wait for
//! whoever hears its events.
//!
//! One look at one TCP listener takes some 8 µs, at several or at a Unix socket some 30 µs (6.18, with
//! the listening hash table of 16 384 buckets that 24 GiB of memory make, after a pause of 1 ms).

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use holdline_contract::clock::now_ns;
use holdline_model::custody::Held;
use holdline_model::record::{KernelRecord, TcpCounters};
use holdline_model::wire::Address;
use nix::sys::prctl;

use super::counters::{CounterFiles, CountersError};
use super::diag::{Diag, DiagError};
use super::gaze::Gaze;
use super::holders;
use super::intervals::Intervals;
use super::ticker::Ticker;
use super::timeline::{ListenerEvent, Look, Tracker};

/// How often the listeners are looked at, unless asked otherwise.
pub const INTERVAL: Duration = Duration::from_millis(1);
/// How many queue samples are kept: at 32 bytes each, some 3 MB.
pub const SAMPLES_MAX: usize = 100_000;

/// When the holders of a new listener are looked up again, in nanoseconds after its opening, for by
/// then workers have inherited it.
const INHERITED_NS: u64 = 20_000_000;
/// More looks than this that fail in a row at the end are an error.
const FAILED_LAST_MAX: u64 = 100;

/// The longest wait for a look, in nanoseconds.
const LOOK_NS_MAX: u64 = 1_000_000_000;
/// How often it is asked whether there was one.
const LOOK_POLL: Duration = Duration::from_micros(200);

/// Why a listener cannot be watched, or was not.
#[derive(Debug, thiserror::Error)]
pub enum ObserverError {
    /// sock_diag cannot be asked.
    #[error(transparent)]
    Diag(#[from] DiagError),
    /// The TCP counters cannot be read.
    #[error(transparent)]
    Counters(#[from] CountersError),
    /// There is no timer, or no thread.
    #[error("failed to start the kernel observer: {0}")]
    Start(#[source] io::Error),
    /// The timer failed while the thread was waiting for it.
    #[error("failed to pace the kernel observer: {0}")]
    Timer(#[source] io::Error),
    /// Too many looks failed for the record to be trusted.
    #[error("failed to observe the kernel in {failed} of {looks} looks, the last time thus: {last}")]
    Blind {
        /// How many looks failed.
        failed: u64,
        /// How many looks were made.
        looks: u64,
        /// Why the last one failed that did.
        last: DiagError,
    },
    /// A thread panicked; most likely in what it called for an event.
    #[error("failed to observe the kernel: an observer's thread panicked")]
    Panicked,
}

/// A thread that watches the listeners at an address. Dropping it stops the thread.
#[derive(Debug)]
pub struct Observer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<Watched, ObserverError>>>,
    counters: CounterFiles,
    readings: Mutex<Readings>,
}

/// What both threads use.
#[derive(Debug)]
struct Shared {
    ticker: Ticker,
    listening: AtomicBool,
    /// When the last look began that succeeded, in CLOCK_MONOTONIC nanoseconds.
    looked_ns: AtomicU64,
    /// Whether the load is over: the look that begins next is the last that counts.
    is_over: AtomicBool,
}

/// The counters before and after the load.
#[derive(Debug)]
struct Readings {
    begin: TcpCounters,
    end: Option<TcpCounters>,
}

impl Observer {
    /// Begins to watch, and has looked for the first time when it returns.
    ///
    /// The thread, and with it everything that is read, is in the network namespace of the caller;
    /// the holders' process ids are those of the `/proc` that the caller sees. `events` is called on the
    /// thread, in order, and should return soon, since there is no look meanwhile.
    ///
    /// # Errors
    ///
    /// Any [`ObserverError`] but `Blind` and `Panicked`, if even the first look is not possible.
    pub fn start(
        address: Address,
        interval: Duration,
        events: impl Fn(ListenerEvent) + Send + 'static,
    ) -> Result<Self, ObserverError> {
        let counters = CounterFiles::open()?;
        let readings = Mutex::new(Readings { begin: counters.read()?.counters, end: None });
        let ticker = Ticker::new().map_err(|errno| ObserverError::Start(errno.into()))?;
        let shared = Arc::new(Shared {
            ticker,
            listening: AtomicBool::new(false),
            looked_ns: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let (ready, is_ready) = mpsc::channel();
        let thread = {
            let shared = Arc::clone(&shared);
            let body = move || {
                let watch = Watch::begin(shared, address, interval, events)?;
                ready.send(()).expect("the observer is being started");
                watch.run()
            };
            thread::Builder::new().name("observer".to_owned()).spawn(body).map_err(ObserverError::Start)?
        };
        let mut observer = Self { shared, thread: Some(thread), counters, readings };
        match is_ready.recv() {
            Ok(()) => Ok(observer),
            Err(_) => Err(observer.join().err().unwrap_or(ObserverError::Panicked)),
        }
    }

    /// Whether anybody was listening at the last look.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.shared.listening.load(Ordering::Acquire)
    }

    /// Reads the counters from which the record counts. To be called just before the load begins; until
    /// then it counts from the start.
    ///
    /// # Errors
    ///
    /// [`ObserverError::Counters`].
    pub fn begin(&self) -> Result<(), ObserverError> {
        let reading = self.counters.read()?.counters;
        *self.readings() = Readings { begin: reading, end: None };
        Ok(())
    }

    /// Reads the counters to which the record counts, and waits until the listeners have been looked at
    /// once more: what is found gone after that was closed later than this was called, and queues and drops
    /// count for nothing. To be called when the load is over, before anything else is asked of the service;
    /// without it the record counts to its end.
    ///
    /// # Errors
    ///
    /// [`ObserverError::Counters`].
    pub fn end(&self) -> Result<(), ObserverError> {
        let reading = self.counters.read()?.counters;
        self.readings().end = Some(reading);
        self.shared.is_over.store(true, Ordering::Release);
        self.await_look();
        Ok(())
    }

    /// Waits for a look that began after the call. Where none succeeds for long, the record says so in the
    /// end.
    fn await_look(&self) {
        let asked_ns = now_ns();
        let until_ns = asked_ns + LOOK_NS_MAX;
        while self.shared.looked_ns.load(Ordering::Acquire) < asked_ns && now_ns() < until_ns {
            thread::sleep(LOOK_POLL);
        }
    }

    /// Looks once more, stops, and returns what was seen. `exclusive` says whether the network
    /// namespace, and with it the counters, belong to this trial alone.
    ///
    /// # Errors
    ///
    /// [`ObserverError::Blind`], if more than every tenth look failed or none succeeded at the end;
    /// fewer failures are only gaps. Any other but `Start`, if what it names came in the way.
    pub fn finish(mut self, exclusive: bool) -> Result<KernelRecord, ObserverError> {
        let watched = self.join()?;
        if self.readings().end.is_none() {
            self.readings().end = Some(self.counters.read()?.counters);
        }
        let readings = self.readings();
        let counters = readings.end.unwrap_or_default().since(&readings.begin);
        watched.record(counters, exclusive)
    }

    fn readings(&self) -> MutexGuard<'_, Readings> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread and waits for it to end.
    fn join(&mut self) -> Result<Watched, ObserverError> {
        let woken = self.shared.ticker.stop();
        let thread = self.thread.take().ok_or(ObserverError::Panicked)?;
        woken.map_err(|errno| ObserverError::Timer(errno.into()))?;
        thread.join().unwrap_or(Err(ObserverError::Panicked))
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        if self.thread.is_some() {
            // It is dropped only where something else already failed, which is then what counts.
            let _ = self.join();
        }
    }
}

/// The thread's side.
struct Watch<E> {
    shared: Arc<Shared>,
    gaze: Gaze,
    events: E,
    diag: Diag,
    watched: Watched,
    /// Listeners whose holders are looked up again, and when, in order of time.
    look_again: Vec<(u64, u32)>,
}

/// What it saw.
#[derive(Debug)]
struct Watched {
    tracker: Tracker,
    intervals: Intervals,
    looks: u64,
    failed: u64,
    failed_last: u64,
    last_failure: Option<DiagError>,
}

impl<E: Fn(ListenerEvent)> Watch<E> {
    /// Looks for the first time, and sets the timer.
    fn begin(
        shared: Arc<Shared>,
        address: Address,
        interval: Duration,
        events: E,
    ) -> Result<Self, ObserverError> {
        prctl::set_timerslack(1).map_err(|errno| ObserverError::Start(errno.into()))?;
        let watched = Watched::new();
        let mut watch = Self {
            shared,
            gaze: Gaze::new(address),
            events,
            diag: Diag::open()?,
            watched,
            look_again: Vec::new(),
        };
        let began_ns = now_ns();
        watch.watched.intervals.mark(began_ns);
        watch.look(began_ns)?;
        let set = watch.shared.ticker.start(began_ns, interval);
        set.map_err(|errno| ObserverError::Start(errno.into()))?;
        Ok(watch)
    }

    /// Looks at each tick until it is stopped, and then once more. Ticks that were missed are not
    /// made up for.
    fn run(mut self) -> Result<Watched, ObserverError> {
        loop {
            let stopped = self.shared.ticker.wait().map_err(|errno| ObserverError::Timer(errno.into()))?;
            let began_ns = now_ns();
            if !stopped {
                self.watched.intervals.mark(began_ns);
            }
            if let Err(failure) = self.look(began_ns) {
                self.watched.fail(failure);
            }
            self.look_again_for_holders(began_ns, stopped);
            if stopped {
                return Ok(self.watched);
            }
        }
    }

    fn look(&mut self, began_ns: u64) -> Result<(), DiagError> {
        self.watched.looks += 1;
        let is_over = self.shared.is_over.load(Ordering::Acquire);
        let seen = self.gaze.look(&mut self.diag)?;
        self.watched.failed_last = 0;
        let ended_ns = now_ns();
        let events = self.watched.tracker.feed(Look { began_ns, ended_ns, seen });
        if is_over {
            self.watched.tracker.stop_counting();
        }
        self.shared.listening.store(!seen.is_empty(), Ordering::Release);
        self.shared.looked_ns.store(began_ns, Ordering::Release);
        let mut opened = Vec::new();
        for event in events {
            if let ListenerEvent::Opened { inode, at_ns, .. } = event {
                opened.push(inode);
                self.look_again.push((at_ns + INHERITED_NS, inode));
            }
            (self.events)(event);
        }
        self.look_for_holders(&opened);
        Ok(())
    }

    /// Looks up again who holds the listeners whose time has come, or all that are left.
    fn look_again_for_holders(&mut self, now_ns: u64, all: bool) {
        let due = self.look_again.partition_point(|(due_ns, _)| all || *due_ns <= now_ns);
        let inodes: Vec<u32> = self.look_again.drain(..due).map(|(_, inode)| inode).collect();
        self.look_for_holders(&inodes);
    }

    fn look_for_holders(&mut self, inodes: &[u32]) {
        if inodes.is_empty() {
            return;
        }
        for (inode, holders) in holders::scan(inodes) {
            if let Some(event) = self.watched.tracker.add_holders(inode, &holders) {
                (self.events)(event);
            }
        }
    }
}

impl Watched {
    fn new() -> Self {
        Self {
            tracker: Tracker::new(SAMPLES_MAX),
            intervals: Intervals::default(),
            looks: 0,
            failed: 0,
            failed_last: 0,
            last_failure: None,
        }
    }

    fn fail(&mut self, failure: DiagError) {
        self.failed += 1;
        self.failed_last += 1;
        self.last_failure = Some(failure);
    }

    fn record(self, counters: TcpCounters, exclusive: bool) -> Result<KernelRecord, ObserverError> {
        let (looks, failed) = (self.looks, self.failed);
        if let Some(last) = self.last_failure
            && (failed * 10 > looks || self.failed_last > FAILED_LAST_MAX)
        {
            return Err(ObserverError::Blind { failed, looks, last });
        }
        let timeline = self.tracker.finish();
        Ok(KernelRecord {
            listeners: timeline.listeners,
            samples: timeline.samples,
            thinned: timeline.thinned,
            counters,
            exclusive,
            interval_ns_max: self.intervals.max_ns(),
            interval_ns: self.intervals.median_ns(),
            accepts: None,
            held: Held::default(),
            somaxconn: sysctl("core/somaxconn"),
            tcp_migrate_req: sysctl("ipv4/tcp_migrate_req").map(|value| value != 0),
        })
    }
}

/// A sysctl of this network namespace, by its path below `net`; not every sandbox that holdline itself is in has the
/// file, nor every kernel.
fn sysctl(path: &str) -> Option<u32> {
    std::fs::read_to_string(format!("/proc/sys/net/{path}")).ok()?.trim().parse().ok()
}
