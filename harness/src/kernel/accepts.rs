//! Samples the connections that nobody has accepted, for servers whose workers keep no ledger.
//!
//! A thread of its own, since the look takes longer than one at the listeners: the kernel walks the
//! table of all established connections. On a machine with 24 GiB of memory it has 262 144 places,
//! and a look takes 150 µs and more; in a sandbox with a table of its own of 1024, some 6 µs. The thread
//! makes nobody wait, touches no socket, and knows attempts by their clients' addresses. How often it
//! looks depends on what a look costs and on how idle the machine is: see [`Pace`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use holdline_contract::clock::now_ns;
use holdline_model::record::{AcceptSamples, HalfOpen, Waiting};
use holdline_model::wire::{Address, Peer};
use nix::errno::Errno;
use nix::sys::prctl;

use super::diag::{Diag, DiagError};
use super::intervals::Intervals;
use super::observer::ObserverError;
use super::pace::{Meter, Pace};
use super::ticker::Ticker;

/// How many looks are kept: at 16 bytes each, 8 MB. Of more, every other one is, again and again.
const LOOKS_MAX: usize = 1 << 19;

/// A thread that samples. Dropping it stops the thread.
#[derive(Debug)]
pub struct AcceptSampler {
    ticker: Arc<Ticker>,
    /// Whether the load is about to begin: what is told of intervals counts from the next look on.
    begins: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Sampled, ObserverError>>>,
}

/// What the thread collects.
#[derive(Debug, Default)]
struct Sampled {
    tracker: AcceptTracker,
    intervals: Intervals,
    failed: u64,
    last_failure: Option<DiagError>,
}

impl AcceptSampler {
    /// Begins to sample at this pace, and has looked for the first time when it returns. It is in the
    /// network namespace of the caller. For Unix sockets it sees nobody.
    ///
    /// # Errors
    ///
    /// If there is no timer or no thread, or sock_diag cannot be asked.
    pub fn start(address: Address, pace: Pace) -> Result<Self, ObserverError> {
        let ticker = Arc::new(Ticker::new().map_err(failed_to_start)?);
        let begins = Arc::new(AtomicBool::new(false));
        let (ready, is_ready) = mpsc::channel();
        let thread = {
            let (ticker, begins) = (Arc::clone(&ticker), Arc::clone(&begins));
            let body = move || {
                prctl::set_timerslack(1).map_err(failed_to_start)?;
                let mut diag = Diag::open()?;
                let mut sampled = Sampled::default();
                let began_ns = now_ns();
                sampled.look(&mut diag, &address, began_ns)?;
                ticker.start(began_ns, pace.interval()).map_err(failed_to_start)?;
                ready.send(()).expect("the sampler is being started");
                sampled.run(&ticker, &begins, &mut diag, &address, pace)
            };
            thread::Builder::new().name("accepts".to_owned()).spawn(body).map_err(ObserverError::Start)?
        };
        let mut sampler = Self { ticker, begins, thread: Some(thread) };
        match is_ready.recv() {
            Ok(()) => Ok(sampler),
            Err(_) => Err(sampler.join().err().unwrap_or(ObserverError::Panicked)),
        }
    }

    /// Has the intervals between looks counted from now on. To be called just before the load begins; until then
    /// they count from the start, when the machine may be less busy.
    pub fn begin(&self) {
        self.begins.store(true, Ordering::Release);
    }

    /// Looks once more, stops, and returns who was seen waiting.
    ///
    /// # Errors
    ///
    /// [`ObserverError::Blind`], if more than every tenth look failed; fewer failures are only longer
    /// intervals. Else what came in the way.
    pub fn finish(mut self) -> Result<AcceptSamples, ObserverError> {
        self.join()?.samples()
    }

    fn join(&mut self) -> Result<Sampled, ObserverError> {
        let woken = self.ticker.stop();
        let thread = self.thread.take().ok_or(ObserverError::Panicked)?;
        woken.map_err(|errno| ObserverError::Timer(errno.into()))?;
        thread.join().unwrap_or(Err(ObserverError::Panicked))
    }
}

impl Drop for AcceptSampler {
    fn drop(&mut self) {
        if self.thread.is_some() {
            // It is dropped only where something else already failed, which is then what counts.
            let _ = self.join();
        }
    }
}

fn failed_to_start(errno: Errno) -> ObserverError {
    ObserverError::Start(errno.into())
}

impl Sampled {
    fn run(
        mut self,
        ticker: &Ticker,
        begins: &AtomicBool,
        diag: &mut Diag,
        address: &Address,
        mut pace: Pace,
    ) -> Result<Self, ObserverError> {
        let meter = Meter::of_machine();
        loop {
            let stopped = ticker.wait().map_err(|errno| ObserverError::Timer(errno.into()))?;
            if begins.swap(false, Ordering::Acquire) {
                self.intervals.begin();
            }
            if let Err(failure) = self.look(diag, address, now_ns()) {
                self.failed += 1;
                self.last_failure = Some(failure);
            }
            if stopped {
                return Ok(self);
            }
            let at_ns = now_ns();
            if let Some(interval) = pace.looked(at_ns, || meter.read()) {
                ticker.start(at_ns, interval).map_err(|errno| ObserverError::Timer(errno.into()))?;
            }
        }
    }

    fn look(&mut self, diag: &mut Diag, address: &Address, began_ns: u64) -> Result<(), DiagError> {
        let unaccepted = diag.unaccepted(address)?;
        self.intervals.mark(began_ns);
        let peer = |client: std::net::SocketAddr| Peer::Ip(client.ip(), client.port());
        let mut attempts: Vec<u32> = Vec::new();
        for seen in &unaccepted {
            match peer(seen.client).attempt() {
                Some(attempt) if seen.half_open => self.tracker.half_open(began_ns, attempt),
                Some(attempt) => attempts.push(attempt),
                None => {}
            }
        }
        attempts.sort_unstable();
        self.tracker.feed(began_ns, now_ns(), &attempts);
        Ok(())
    }

    fn samples(self) -> Result<AcceptSamples, ObserverError> {
        let looks = self.tracker.count + self.failed;
        if let Some(last) = self.last_failure
            && self.failed * 10 > looks
        {
            return Err(ObserverError::Blind { failed: self.failed, looks, last });
        }
        Ok(AcceptSamples {
            waiting: self.tracker.known.into_values().collect(),
            half_open: self.tracker.half_open.into_values().collect(),
            looks: self.tracker.looks,
            interval_ns_max: self.intervals.max_ns(),
            interval_ns: self.intervals.median_ns(),
        })
    }
}

/// Turns looks into who waited from when to when. It reads no clock and asks nobody.
#[derive(Debug, Default)]
struct AcceptTracker {
    /// Those that are kept: what is worked out from fewer is less exact, and no less true.
    looks: Vec<(u64, u64)>,
    count: u64,
    /// Of how many looks one is kept, as a power of two.
    thinning: u32,
    known: BTreeMap<u32, Waiting>,
    half_open: BTreeMap<u32, HalfOpen>,
    /// Those of the last look, in order.
    waiting: Vec<u32>,
}

impl AcceptTracker {
    /// Adds a look that saw these attempts waiting, in order. One that is seen again after it was
    /// missing had only been overlooked: the kernel's table changed while it was read.
    fn feed(&mut self, began_ns: u64, ended_ns: u64, attempts: &[u32]) {
        for attempt in &self.waiting {
            if attempts.binary_search(attempt).is_err()
                && let Some(waiting) = self.known.get_mut(attempt)
            {
                waiting.gone_ns = Some(ended_ns);
            }
        }
        for attempt in attempts {
            let new = Waiting { attempt: *attempt, first_seen_ns: ended_ns, last_seen_ns: 0, gone_ns: None };
            let waiting = self.known.entry(*attempt).or_insert(new);
            waiting.last_seen_ns = began_ns;
            waiting.gone_ns = None;
        }
        self.waiting.clear();
        self.waiting.extend_from_slice(attempts);
        self.keep((began_ns, ended_ns));
    }

    /// Adds that a look saw this attempt half-open.
    fn half_open(&mut self, began_ns: u64, attempt: u32) {
        self.half_open.insert(attempt, HalfOpen { attempt, last_seen_ns: began_ns });
    }

    fn keep(&mut self, look: (u64, u64)) {
        if self.count.is_multiple_of(1 << self.thinning) {
            self.looks.push(look);
        }
        self.count += 1;
        if self.looks.len() == LOOKS_MAX {
            let mut index = 0;
            self.looks.retain(|_| (index % 2 == 0, index += 1).0);
            self.thinning += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, OwnedFd};

    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrStorage, bind, connect, socket,
    };

    use super::*;

    #[test]
    fn who_is_overlooked_once_is_not_gone() {
        let mut tracker = AcceptTracker::default();
        for (look, attempts) in [&[3, 5][..], &[3], &[3, 5, 6], &[6], &[]].into_iter().enumerate() {
            let began_ns = look as u64 * 1000;
            tracker.feed(began_ns, began_ns + 10, attempts);
        }
        let waiting: Vec<_> =
            tracker.known.values().map(|w| (w.attempt, w.first_seen_ns, w.last_seen_ns, w.gone_ns)).collect();
        assert_eq!(
            waiting,
            [(3, 10, 2000, Some(3010)), (5, 10, 2000, Some(3010)), (6, 2010, 3000, Some(4010))]
        );
        assert_eq!(tracker.looks.len(), 5);
    }

    #[test]
    fn of_many_looks_fewer_are_kept_at_even_distances() {
        let mut tracker = AcceptTracker::default();
        for look in 0..3 * LOOKS_MAX as u64 {
            tracker.feed(look * 1000, look * 1000 + 10, &[]);
        }
        assert!(tracker.looks.len() < LOOKS_MAX && tracker.count == 3 * LOOKS_MAX as u64);
        let distances: Vec<u64> = tracker.looks.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(distances.iter().all(|distance| *distance == 4000), "as far as they were thinned");
    }

    fn connected(attempts: std::ops::Range<u32>, address: std::net::SocketAddr) -> Vec<OwnedFd> {
        attempts
            .map(|attempt| {
                let flags = SockFlag::SOCK_CLOEXEC;
                let client = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
                let own = std::net::SocketAddrV4::new(holdline_model::wire::client_v4(attempt), 0);
                bind(client.as_raw_fd(), &SockaddrIn::from(own)).unwrap();
                connect(client.as_raw_fd(), &SockaddrStorage::from(address)).unwrap();
                client
            })
            .collect()
    }

    #[test]
    fn a_connection_is_seen_until_it_is_accepted() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let (mut diag, mut sampled) = (Diag::open().unwrap(), Sampled::default());
        let mut look = |at_ns| sampled.look(&mut diag, &Address::Tcp(address), at_ns).unwrap();
        let clients = connected(0..3, address);
        let waiting_ns = now_ns();
        look(waiting_ns);
        let accepting_ns = now_ns();
        let accepted = [server.accept().unwrap(), server.accept().unwrap()];
        look(now_ns());
        let samples = sampled.samples().unwrap();
        let attempts: Vec<u32> = samples.waiting.iter().map(|waiting| waiting.attempt).collect();
        assert_eq!(attempts, [0, 1, 2]);
        for waiting in &samples.waiting[..2] {
            assert!(waiting.last_seen_ns == waiting_ns && waiting.gone_ns.unwrap() >= accepting_ns);
            assert!(waiting.first_seen_ns <= waiting.gone_ns.unwrap());
        }
        assert_eq!(samples.waiting[2].gone_ns, None);
        drop((accepted, clients));
    }

    #[test]
    fn the_last_look_is_at_the_end() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let sampler = AcceptSampler::start(Address::Tcp(address), Pace::of_machine()).unwrap();
        let clients = connected(0..1, address);
        let connected_ns = now_ns();
        let samples = sampler.finish().unwrap();
        assert_eq!(samples.waiting.len(), 1);
        assert!(samples.waiting[0].last_seen_ns >= connected_ns && samples.waiting[0].gone_ns.is_none());
        assert!(samples.interval_ns > 0 && samples.interval_ns <= samples.interval_ns_max);
        drop(clients);
    }
}
