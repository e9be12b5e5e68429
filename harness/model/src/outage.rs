//! Outages, and outcome over time.

use crate::record::KernelRecord;
use crate::requests::{Request, Service};
use crate::result::{Outage, StripBucket};

/// The longest runs of requests none of which was served in time. Each lasts from the intended
/// start of its first request to that of the next one that was, or to the trial's end.
///
/// Instants are absolute here; results count them from the load's start. Requests that were not
/// sent neither make an outage nor end one.
#[must_use]
pub fn outages(order: &[Request], end_ns: u64) -> Vec<Outage> {
    let mut outages = Vec::new();
    let mut current: Option<Outage> = None;
    for request in order {
        match request.service {
            Service::NotSent => {}
            Service::InTime => {
                if let Some(outage) = current.take() {
                    outages.push(Outage { end_ns: request.due_ns, ..outage });
                }
            }
            Service::Late | Service::Lost => {
                let start_ns = request.due_ns;
                let outage = current.get_or_insert(Outage { start_ns, end_ns, attempts: 0 });
                outage.attempts += 1;
            }
        }
    }
    outages.extend(current.map(|outage| Outage { end_ns: end_ns.max(outage.start_ns), ..outage }));
    outages
}

/// Cuts a trial into `count` parts of equal length and counts what was due in each.
#[must_use]
pub fn strip(
    order: &[Request],
    kernel: &KernelRecord,
    start_ns: u64,
    end_ns: u64,
    count: usize,
) -> Vec<StripBucket> {
    let length_ns = (end_ns.saturating_sub(start_ns) / count.max(1) as u64).max(1);
    let mut buckets: Vec<StripBucket> = (0..count as u64)
        .map(|index| StripBucket { start_ns: index * length_ns, served: 0, late: 0, lost: 0, queue_max: 0 })
        .collect();
    let index_of = |at_ns: u64| {
        let index = at_ns.saturating_sub(start_ns) / length_ns;
        usize::try_from(index).unwrap_or(usize::MAX).min(count.saturating_sub(1))
    };
    for request in order {
        let Some(bucket) = buckets.get_mut(index_of(request.due_ns)) else { break };
        match request.service {
            Service::InTime => bucket.served += 1,
            Service::Late => bucket.late += 1,
            Service::Lost => bucket.lost += 1,
            Service::NotSent => {}
        }
    }
    add_queues(&mut buckets, kernel, start_ns, end_ns, index_of);
    buckets
}

/// Samples are written down when something changes: a queue stays as long as it was seen last.
fn add_queues(
    buckets: &mut [StripBucket],
    kernel: &KernelRecord,
    start_ns: u64,
    end_ns: u64,
    index_of: impl Fn(u64) -> usize,
) {
    for (position, sample) in kernel.samples.iter().enumerate() {
        let next = kernel.samples[position + 1..].iter().find(|later| later.inode == sample.inode);
        let gone_ns = kernel
            .listeners
            .iter()
            .filter(|listener| listener.inode == sample.inode)
            .find_map(|listener| listener.gone_ns);
        let until_ns = next.map(|later| later.at_ns).or(gone_ns).unwrap_or(end_ns);
        if sample.queue == 0 || sample.at_ns > end_ns || until_ns < start_ns {
            continue;
        }
        let last = index_of(until_ns.saturating_sub(1).max(sample.at_ns));
        for bucket in buckets.iter_mut().take(last + 1).skip(index_of(sample.at_ns)) {
            bucket.queue_max = bucket.queue_max.max(sample.queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(services: &[Service]) -> Vec<Request> {
        let request = |(service, at): (&Service, u64)| Request {
            due_ns: at * 10,
            clear_ns: at * 10,
            service: *service,
            is_poison: false,
        };
        services.iter().zip(1..).map(request).collect()
    }

    #[test]
    fn outages_run_from_the_first_unserved_to_the_next_served() {
        use Service::{InTime, Late, Lost, NotSent};
        let found = outages(&order(&[InTime, Lost, Late, NotSent, InTime, InTime, Lost]), 100);
        let expected = [
            Outage { start_ns: 20, end_ns: 50, attempts: 2 },
            Outage { start_ns: 70, end_ns: 100, attempts: 1 },
        ];
        assert_eq!(found, expected);
        assert_eq!(outages(&order(&[InTime, InTime]), 100), []);
    }

    #[test]
    fn a_queue_is_drawn_for_as_long_as_it_stood() {
        let sample =
            |at_ns, queue| crate::record::QueueSample { at_ns, inode: 1, queue, limit: 4, drops: None };
        let kernel =
            KernelRecord { samples: vec![sample(120, 3), sample(150, 0)], ..KernelRecord::default() };
        let queues: Vec<u32> = strip(&[], &kernel, 100, 200, 10).iter().map(|b| b.queue_max).collect();
        assert_eq!(queues, [0, 0, 3, 3, 3, 0, 0, 0, 0, 0]);
    }

    fn services() -> impl Strategy<Value = Vec<Service>> {
        prop::collection::vec(
            prop::sample::select(vec![Service::InTime, Service::Late, Service::Lost, Service::NotSent]),
            0..100,
        )
    }

    proptest! {
        #[test]
        fn outages_hold_every_request_that_was_not_served_in_time(services in services()) {
            let found = outages(&order(&services), 5000);
            let expected = services.iter().filter(|s| matches!(s, Service::Late | Service::Lost)).count() as u64;
            prop_assert_eq!(found.iter().map(|outage| outage.attempts).sum::<u64>(), expected);
            prop_assert!(found.iter().all(|outage| outage.start_ns <= outage.end_ns));
            prop_assert!(found.windows(2).all(|pair| pair[0].end_ns <= pair[1].start_ns));
        }

        #[test]
        fn a_strip_counts_every_request_once(services in services(), count in 1..120_usize) {
            let buckets = strip(&order(&services), &KernelRecord::default(), 10, 1000, count);
            let counted: u64 = buckets.iter().map(|b| b.served + b.late + b.lost).sum();
            let expected = services.iter().filter(|s| **s != Service::NotSent).count() as u64;
            prop_assert_eq!(counted, expected);
        }
    }
}
