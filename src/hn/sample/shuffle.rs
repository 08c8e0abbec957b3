//! The numbers below a bound in a random order, each once, without keeping them in memory.

/// Four rounds are enough for a random order (Luby and Rackoff, 1988). Two more cost nothing that is felt beside a request.
const ROUNDS: usize = 6;

/// A permutation of the numbers below `count`, made by a seed.
///
/// It is a Feistel network over the smallest range of 4^n numbers that holds them. A number that comes out too large goes through it
/// again, which keeps the result a permutation.
#[derive(Clone, Debug)]
pub(super) struct Shuffle {
    count: u64,
    keys: [u64; ROUNDS],
    /// The bits of one half of a number.
    half: u32,
}

impl Shuffle {
    pub(super) fn new(count: u64, seed: u64) -> Self {
        let mut state = seed;
        let keys = std::array::from_fn(|_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            mixed(state)
        });
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        Self {
            count,
            keys,
            half: bits.div_ceil(2).max(1),
        }
    }

    /// The number at this place of the order. The place must be below the count.
    pub(super) fn at(&self, place: u64) -> u64 {
        let mut number = self.permuted(place);
        while number >= self.count {
            number = self.permuted(number);
        }
        number
    }

    fn permuted(&self, number: u64) -> u64 {
        let mask = (1_u64 << self.half) - 1;
        let (mut left, mut right) = (number >> self.half, number & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mixed(right ^ key) & mask));
        }
        (left << self.half) | right
    }
}

/// The finalizer of splitmix64: every bit of the result depends on every bit of the number.
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_comes_once_and_the_seed_decides_the_order() {
        for count in [1, 2, 3, 4, 5, 16, 17, 1000, 4097] {
            let order = |seed| {
                let shuffle = Shuffle::new(count, seed);
                (0..count)
                    .map(|place| shuffle.at(place))
                    .collect::<Vec<_>>()
            };
            let mut sorted = order(7);
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..count), "{count}");
            assert_eq!(order(7), order(7));
            assert!(count < 16 || order(7) != order(8), "{count}");
        }
    }

    #[test]
    fn the_largest_bounds_are_permuted_too() {
        for count in [u64::from(u32::MAX) + 2, u64::MAX / 2, u64::MAX] {
            let shuffle = Shuffle::new(count, 1);
            assert!(
                [0, 1, count - 1]
                    .map(|place| shuffle.at(place))
                    .iter()
                    .all(|number| *number < count)
            );
        }
    }

    /// Pearson's test with 99 degrees of freedom: a value above 173 has a probability of less than 0.00001.
    #[test]
    fn every_number_is_as_likely_as_any_other_at_the_first_and_at_later_places() {
        const COUNT: u64 = 100;
        const SEEDS: u64 = 20_000;
        for place in [0, 1, 57] {
            let mut hits = [0_u64; COUNT as usize];
            for seed in 0..SEEDS {
                hits[Shuffle::new(COUNT, seed).at(place) as usize] += 1;
            }
            let expected = (SEEDS / COUNT) as f64;
            let deviations = hits
                .iter()
                .map(|&n| (n as f64 - expected).powi(2) / expected);
            let chi_square: f64 = deviations.sum();
            assert!(chi_square < 173.0, "{place}: {chi_square}");
        }
    }
}
