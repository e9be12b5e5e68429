//! How often a comparison is right, on repetitions that are drawn instead of measured.
//!
//! Every drawing is seeded. What runs with the other tests draws few comparisons; the table of METHODOLOGY.md is
//! printed by `cargo test --release -p holdline-model --lib compare::tests::simulated -- --ignored --nocapture`.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution, Exp1, Normal, StandardNormal, StudentT};

use super::super::exact;
use super::super::{Counts, ERROR, Estimate, Logs, Words, confidences};

/// How a supervisor's times vary from one repetition to the next.
#[derive(Debug, Clone, Copy)]
enum World {
    /// By 10 %, as measurements do.
    Even,
    /// With far outliers: Student's t with 3 degrees of freedom.
    Heavy,
    /// By 3 %, and one in ten takes up to four times as long, as where a machine is busy.
    Hiccups,
    /// All in multiples of one time, as where arrivals are the ruler.
    Steps,
    /// Long to one side only.
    Skewed,
}

const WORLDS: [World; 5] = [World::Even, World::Heavy, World::Hiccups, World::Steps, World::Skewed];

impl World {
    /// The logarithm of a time.
    fn draw(self, random: &mut ChaCha8Rng) -> f64 {
        let normal = |random: &mut ChaCha8Rng| -> f64 { StandardNormal.sample(random) };
        match self {
            Self::Even => 0.1 * normal(random),
            Self::Heavy => 0.1 * StudentT::new(3.0).expect("freedom").sample(random),
            Self::Hiccups => {
                let late: f64 = if random.random_bool(0.1) { random.random_range(0.0..3.0) } else { 0.0 };
                0.03 * normal(random) + late.ln_1p()
            }
            Self::Steps => f64::from(random.random_range(5..=8_u8)).ln(),
            Self::Skewed => {
                let one_sided: f64 = Exp1.sample(random);
                (0.5 + one_sided).ln()
            }
        }
    }

    /// Repetitions of a reference and of one that takes `shift` times as long.
    fn repetitions(self, count: usize, shift: f64, is_paired: bool, random: &mut ChaCha8Rng) -> Logs {
        let mut side = |shift: f64| -> Vec<f64> { (0..count).map(|_| self.draw(random) + shift).collect() };
        let (reference, contender) = (side(0.0), side(shift.ln()));
        if is_paired {
            Logs::Paired(contender.iter().zip(&reference).map(|(own, beside)| own - beside).collect())
        } else {
            Logs::Apart { reference, contender }
        }
    }
}

/// How much is drawn.
#[derive(Clone, Copy)]
struct Size {
    comparisons: usize,
    resamples: usize,
    repetitions: &'static [usize],
}

const SHORT: Size = Size { comparisons: 120, resamples: 50, repetitions: &[10] };
const LONG: Size = Size { comparisons: 10_000, resamples: 500, repetitions: &[5, 10, 20] };
/// Comparisons of which it is counted how often a planted difference is seen.
const POWER: usize = 1_000;

/// Ratios in each simulated comparison: three contenders, four metrics.
const RATIOS: usize = 12;

/// In what share of comparisons the 95 % interval held the ratio.
fn coverage(world: World, repetitions: usize, is_paired: bool, size: Size) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let shift = 1.5;
    let held = (0..size.comparisons).filter(|_| {
        let logs = world.repetitions(repetitions, shift, is_paired, &mut random);
        let (low, high) = Estimate::of(&logs, 0.0, size.resamples).expect("repetitions").interval(0.95);
        (low..=high).contains(&shift)
    });
    held.count() as f64 / size.comparisons as f64
}

/// What is said of all ratios of a comparison.
type Said = [Words; RATIOS];

/// What is said in each comparison, for each of several shifts of the first of [`RATIOS`]. What is drawn is the same
/// for each of them, so that the other ratios are estimated once.
fn said(world: World, repetitions: usize, (firsts, others): (&[f64], f64), size: Size) -> Vec<Vec<Said>> {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut all = vec![Vec::new(); firsts.len()];
    for _ in 0..size.comparisons {
        let estimate = |shift: f64, random: &mut ChaCha8Rng| {
            let logs = world.repetitions(repetitions, shift, true, random);
            Estimate::of(&logs, 0.0, size.resamples).expect("repetitions")
        };
        let first: Vec<Estimate> = firsts.iter().map(|shift| estimate(*shift, &mut random.clone())).collect();
        estimate(others, &mut random);
        let rest: Vec<Estimate> = (1..RATIOS).map(|_| estimate(others, &mut random)).collect();
        for (all, first) in all.iter_mut().zip(first) {
            let estimates: Vec<&Estimate> = std::iter::once(&first).chain(&rest).collect();
            let ps: Vec<f64> = estimates.iter().map(|estimate| estimate.p()).collect();
            let confidences = confidences(&ps, ERROR);
            all.push(std::array::from_fn(|index| {
                let (low, high) = estimates[index].interval(confidences[index]);
                Words::of(low, high, false)
            }));
        }
    }
    all
}

/// In what share of comparisons it is so.
fn share(said: &[Said], is_so: impl Fn(&Said) -> bool) -> f64 {
    said.iter().filter(|said| is_so(said)).count() as f64 / said.len() as f64
}

fn differs(words: Words) -> bool {
    match words {
        Words::Slower | Words::Faster => true,
        Words::Same | Words::CannotTell => false,
    }
}

/// How losses come about.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// One by one, at this rate, of 200 in each repetition.
    Alone(f64),
    /// In one outage for each repetition, of about 250 of 1 500, that is longer or shorter by 10 %.
    Outages,
    /// An outage of 50 of 1 500 in one repetition of five.
    Seldom,
}

impl Loss {
    fn draw(self, random: &mut ChaCha8Rng) -> (u64, u64) {
        match self {
            Self::Alone(rate) => (Binomial::new(200, rate).expect("a rate").sample(random), 200),
            Self::Outages => {
                let lost: f64 = Normal::new(250.0, 25.0).expect("a width").sample(random);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundreds")]
                let lost = lost.clamp(0.0, 1500.0) as u64;
                (lost, 1500)
            }
            Self::Seldom => (if random.random_bool(0.2) { 50 } else { 0 }, 1500),
        }
    }

    fn counts(self, repetitions: usize, random: &mut ChaCha8Rng) -> Counts {
        Counts { trials: (0..repetitions).map(|_| self.draw(random)).collect() }
    }
}

/// In what share of comparisons two rates of loss are called different, at 5 %.
fn losses_differ(reference: Loss, contender: Loss, repetitions: usize, size: Size) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(13);
    let differ = (0..size.comparisons).filter(|_| {
        let (reference, contender) =
            (reference.counts(repetitions, &mut random), contender.counts(repetitions, &mut random));
        exact::p(&reference, &contender) <= ERROR
    });
    differ.count() as f64 / size.comparisons as f64
}

/// Three standard errors above a share: what chance allows of so many.
fn at_most(share: f64, size: Size) -> f64 {
    share + 3.0 * (share * (1.0 - share) / size.comparisons as f64).sqrt()
}

/// The skewed world is the hardest: means of few repetitions are further from normal there.
fn least_coverage(size: Size) -> f64 {
    1.0 - at_most(0.07, size)
}

fn check(size: Size, show: bool) {
    let print = |line: String| {
        if show {
            println!("{line}");
        }
    };
    print(format!("{} comparisons each, {} resamples", size.comparisons, size.resamples));
    print(
        "| times | repetitions | coverage, paired | coverage, two runs | any of 12 called different |".into(),
    );
    print("|:--|--:|--:|--:|--:|".into());
    for world in WORLDS {
        for &repetitions in size.repetitions {
            let paired = coverage(world, repetitions, true, size);
            let apart = coverage(world, repetitions, false, size);
            let said = &said(world, repetitions, (&[1.0], 1.0), size)[0];
            let alarm = share(said, |said| said.iter().any(|words| differs(*words)));
            print(format!(
                "| {world:?} | {repetitions} | {:.1} % | {:.1} % | {:.2} % |",
                paired * 100.0,
                apart * 100.0,
                alarm * 100.0
            ));
            let least = least_coverage(size);
            assert!(paired >= least, "{world:?} × {repetitions}: {paired}");
            assert!(apart >= least, "{world:?} × {repetitions}, apart: {apart}");
            assert!(alarm <= at_most(ERROR, size), "{world:?} × {repetitions}: {alarm} alarms");
        }
    }
    print("| called slower, of times | repetitions | 1.1 × | 1.25 × | 2 × |".into());
    print("|:--|--:|--:|--:|--:|".into());
    for world in WORLDS {
        for &repetitions in size.repetitions {
            let size = Size { comparisons: size.comparisons.min(POWER), ..size };
            let said = said(world, repetitions, (&[1.1, 1.25, 2.0], 1.0), size);
            let power: Vec<f64> =
                said.iter().map(|said| share(said, |said| said[0] == Words::Slower)).collect();
            let shares: Vec<String> = power.iter().map(|share| format!("{:.0} %", share * 100.0)).collect();
            let shares = shares.join(" | ");
            print(format!("| {world:?} | {repetitions} | {shares} |"));
            assert!(power.is_sorted(), "{world:?} × {repetitions}: {power:?}");
        }
    }
    check_losses(size, &print);
    let size = Size { comparisons: size.comparisons.min(POWER), ..size };
    let even = share(&said(World::Even, 10, (&[2.0], 2.0), size)[0], |said| said[0] == Words::Slower);
    assert!(even > 0.99, "twice as long is seen: {even}");
}

fn check_losses(size: Size, print: &impl Fn(String)) {
    print("| losses of the reference | of the other | repetitions | called different |".into());
    print("|:--|:--|--:|--:|".into());
    let alike = [Loss::Alone(0.0), Loss::Alone(0.005), Loss::Alone(0.2), Loss::Outages, Loss::Seldom];
    for losses in alike {
        for repetitions in [5, 10, 50] {
            let alarm = losses_differ(losses, losses, repetitions, size);
            print(format!("| {losses:?} | {losses:?} | {repetitions} | {:.2} % |", alarm * 100.0));
            assert!(alarm <= at_most(ERROR, size), "{losses:?} × {repetitions}: {alarm}");
        }
    }
    for (rate, repetitions) in [(0.005, 10), (0.005, 25), (0.005, 100), (0.001, 100), (0.05, 10)] {
        let power = losses_differ(Loss::Alone(0.0), Loss::Alone(rate), repetitions, size);
        print(format!("| none | Alone({rate}) | {repetitions} | {:.0} % |", power * 100.0));
        assert!(power > 0.99 || rate * (repetitions as f64) < 0.4, "{rate} × {repetitions}: {power}");
    }
}

#[test]
fn intervals_hold_what_they_claim_and_alarms_are_as_rare_as_stated() {
    check(SHORT, false);
}

#[test]
#[ignore = "draws ten thousand comparisons of each kind; for a release build"]
fn ten_thousand_comparisons() {
    check(LONG, true);
}
