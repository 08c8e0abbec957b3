//! Randomness that is the same for ever: splitmix64 with integer draws only.
//!
//! Not `fastrand`: the bytes a seed gives are part of what the mock API promises, so they must not hang on a dependency's
//! next version. Faults, which promise nothing of the kind, do use it.

/// What a stream of draws is for, so that two uses of one number never see the same draws.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    /// The shape of a block's threads, by block number.
    Threads = 1,
    /// What an item says, by id.
    Content = 2,
    /// An item's time, by id.
    Clock = 3,
    /// What a user's profile says, by index in the name pool.
    Profile = 4,
}

/// splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub(super) struct Rng(u64);

impl Rng {
    /// The draws that belong to `number` within `stream` under `seed`.
    pub(super) fn new(seed: u64, stream: Stream, number: u64) -> Self {
        Rng(mix(mix(mix(seed) ^ stream as u64) ^ number))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// Below `n`; 0 when `n` is 0.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        // The high half of a 32 × 32 bit product: no division, and a bias nobody sees in test data.
        ((u64::from(n) * (self.next() >> 32)) >> 32) as u32
    }

    /// Below `n`, small numbers far more often than large ones.
    pub(super) fn low(&mut self, n: u32) -> u32 {
        let bound = self.below(n) + 1;
        self.below(bound.min(n))
    }

    /// True in `n` of 10,000 cases.
    pub(super) fn chance(&mut self, n: u32) -> bool {
        self.below(10_000) < n
    }

    /// One of `all`, or the type's empty value when there is none.
    pub(super) fn pick<T: Copy + Default>(&mut self, all: &[T]) -> T {
        let at = self.below(all.len() as u32) as usize;
        all.get(at).copied().unwrap_or_default()
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_draws_are_splitmix64_as_published() {
        // The first outputs of the reference implementation for state 0.
        let mut rng = Rng(0);
        assert_eq!(rng.next(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(rng.next(), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn draws_stay_below_their_bound() {
        let mut rng = Rng::new(1, Stream::Threads, 1);
        for n in 1..500 {
            assert!(rng.below(n) < n && rng.low(n) < n);
        }
        assert_eq!((rng.below(0), rng.low(0), rng.pick::<u8>(&[])), (0, 0, 0));
    }
}
