//! A random generator whose draws never change: splitmix64, with integers only.
//!
//! The mock API promises that a seed always gives the same bytes. So it does not use `fastrand`, whose next version may draw
//! differently. Faults promise no such thing and use `fastrand`.

/// What the draws are for. Two purposes never have the same draws, even for the same number.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// The shape of a block's threads, by block number.
    Threads = 1,
    /// What an item says, by id.
    Content = 2,
    /// An item's time, by id.
    Clock = 3,
    /// What a user's profile says, by index in the name pool.
    Profile = 4,
    /// What happens to an item of a live API, by id.
    Life = 5,
    /// What an item said before it was edited, by id.
    FirstText = 6,
    /// How a profile of a live API changes, by index in the name pool.
    ProfileChanges = 7,
    /// What a profile of a live API says, by index in the name pool and number of the change.
    ProfileText = 8,
}

/// splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub(super) struct Rng(u64);

impl Rng {
    /// The draws that belong to this number, for this purpose, under this seed.
    pub(super) fn new(seed: u64, purpose: Purpose, number: u64) -> Self {
        Rng(mix(mix(mix(seed) ^ purpose as u64) ^ number))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// Below `n`; 0 when `n` is 0.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        // The high half of a product of two 32-bit numbers. It needs no division, and its bias is too small for test data.
        ((u64::from(n) * (self.next() >> 32)) >> 32) as u32
    }

    /// Below `n`. Small numbers come far more often than large ones.
    pub(super) fn skewed_below(&mut self, n: u32) -> u32 {
        let bound = self.below(n) + 1;
        self.below(bound.min(n))
    }

    /// True in `n` of 10,000 cases.
    pub(super) fn chance_in_10_000(&mut self, n: u32) -> bool {
        self.below(10_000) < n
    }

    /// One of `all`, or the default value if `all` is empty.
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
        let mut rng = Rng::new(1, Purpose::Threads, 1);
        for n in 1..500 {
            assert!(rng.below(n) < n && rng.skewed_below(n) < n);
        }
        assert_eq!(
            (rng.below(0), rng.skewed_below(0), rng.pick::<u8>(&[])),
            (0, 0, 0)
        );
    }
}
