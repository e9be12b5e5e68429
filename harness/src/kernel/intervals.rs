//! How regularly something was done: the median and the longest of the times in between.

/// How many intervals are kept. More are thinned evenly, which leaves the median what it is.
const KEPT_MAX: usize = 1 << 16;

/// Times between one look and the next, in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Intervals {
    kept: Vec<u64>,
    /// Of how many intervals one is kept, as a power of two.
    thinning: u32,
    count: u64,
    max_ns: u64,
    last_ns: Option<u64>,
}

impl Intervals {
    /// Forgets all intervals but the one that has begun.
    pub(super) fn begin(&mut self) {
        *self = Self { last_ns: self.last_ns, ..Self::default() };
    }

    /// Marks the instant of a look.
    pub(super) fn mark(&mut self, now_ns: u64) {
        if let Some(last_ns) = self.last_ns.replace(now_ns) {
            self.add(now_ns.saturating_sub(last_ns));
        }
    }

    /// The longest interval; 0 if there is none.
    pub(super) fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The median interval; 0 if there is none.
    pub(super) fn median_ns(mut self) -> u64 {
        if self.kept.is_empty() {
            return 0;
        }
        let middle = self.kept.len() / 2;
        *self.kept.select_nth_unstable(middle).1
    }

    fn add(&mut self, interval_ns: u64) {
        self.max_ns = self.max_ns.max(interval_ns);
        if self.count.is_multiple_of(1 << self.thinning) {
            self.kept.push(interval_ns);
        }
        self.count += 1;
        if self.kept.len() == KEPT_MAX {
            let mut index = 0;
            self.kept.retain(|_| (index % 2 == 0, index += 1).0);
            self.thinning += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_longest_are_told() {
        let mut intervals = Intervals::default();
        for now_ns in [100, 110, 120, 130, 1130] {
            intervals.mark(now_ns);
        }
        intervals.begin();
        for now_ns in [1135, 1140, 1147] {
            intervals.mark(now_ns);
        }
        assert_eq!((intervals.max_ns(), intervals.median_ns()), (7, 5), "of those since then");
        assert_eq!(Intervals::default().median_ns(), 0);
    }

    #[test]
    fn many_intervals_take_little_room_and_leave_the_median() {
        let mut intervals = Intervals::default();
        let mut now_ns = 0;
        for index in 0..1_000_000 {
            now_ns += if index % 10 < 6 { 7 } else { 9 };
            intervals.mark(now_ns);
        }
        assert!(intervals.kept.len() < KEPT_MAX && intervals.count == 999_999);
        assert_eq!(intervals.median_ns(), 7);
    }
}
