//! holdline and its peer, measured in turn, for criterion.

use std::time::Duration;

use criterion::{Criterion, SamplingMode};

use crate::ratio::{Ratios, Summary, median};

/// Pairs of times, one of holdline and one of its peer each.
#[derive(Debug, Default)]
pub struct InTurn {
    ours_first: bool,
    ratios: Ratios,
    ours: Vec<Duration>,
    peers: Vec<Duration>,
}

impl InTurn {
    /// Measures both, which each give the time that they took, and gives holdline's. Each pair begins with the side with
    /// which the one before ended, so that neither always profits from what the other left behind.
    pub fn measure(&mut self, ours: impl FnOnce() -> Duration, peer: impl FnOnce() -> Duration) -> Duration {
        self.ours_first = !self.ours_first;
        let (ours, peer) = if self.ours_first {
            let ours = ours();
            (ours, peer())
        } else {
            let peer = peer();
            (ours(), peer)
        };
        self.ratios.add(ours, peer);
        self.ours.push(ours);
        self.peers.push(peer);
        ours
    }

    /// Their ratios, and the median times of holdline and of its peer; `None` if there is no pair.
    #[must_use]
    pub fn summary(&self) -> Option<(Summary, Duration, Duration)> {
        Some((self.ratios.summary()?, median(&self.ours), median(&self.peers)))
    }
}

/// Lets criterion take samples of what takes many milliseconds each time.
pub fn bench(criterion: &mut Criterion, group: &str, name: &str, mut run: impl FnMut() -> Duration) {
    let mut group = criterion.benchmark_group(group);
    group.sampling_mode(SamplingMode::Flat).sample_size(20).measurement_time(Duration::from_secs(3));
    group.bench_function(name, |bencher| bencher.iter_custom(|rounds| (0..rounds).map(|_| run()).sum()));
    group.finish();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_side_is_always_first() {
        let (mut pairs, order) = (InTurn::default(), std::cell::RefCell::new(String::new()));
        let took = |side: char, ms| {
            order.borrow_mut().push(side);
            Duration::from_millis(ms)
        };
        assert_eq!(pairs.summary().map(|it| it.1), None);
        for _ in 0..2 {
            assert_eq!(pairs.measure(|| took('o', 3), || took('p', 2)), Duration::from_millis(3));
        }
        assert_eq!(order.into_inner(), "oppo");
        let (summary, ours, peer) = pairs.summary().expect("pairs");
        assert_eq!((summary.median, summary.pairs), (1.5, 2));
        assert_eq!((ours, peer), (Duration::from_millis(3), Duration::from_millis(2)));
    }
}
