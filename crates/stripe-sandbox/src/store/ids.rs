//! Ids in Stripe's format from a seed: the same calls give the same ids.

use std::sync::Arc;

/// An object's id, shared by the object, the indexes and references to it.
pub(crate) type Id = Arc<str>;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A stream of ids. They are distinct, because the mixing function is a permutation of the counter.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    seed: u64,
    counter: u64,
}

impl Ids {
    /// The ids of one account (`scope`) under one seed.
    pub(crate) fn new(seed: u64, scope: &str) -> Self {
        let seed = scope
            .bytes()
            .fold(mix(seed), |hash, byte| mix(hash ^ u64::from(byte)));
        Self { seed, counter: 0 }
    }

    /// The next id with this prefix, such as `cus`. The part after the `_` has `length` characters, at least 11, which
    /// 64 bits need.
    pub(crate) fn next(&mut self, prefix: &str, length: usize) -> Id {
        format!("{prefix}_{}", self.text(length)).into()
    }

    /// Letters and digits that are distinct from all others of this stream.
    pub(crate) fn text(&mut self, length: usize) -> String {
        self.counter += 1;
        let unique = mix(self.seed.wrapping_add(self.counter));
        let filler = mix(unique ^ self.seed);
        let mut text = String::with_capacity(length);
        push_base62(&mut text, filler, length.saturating_sub(11));
        push_base62(&mut text, unique, 11);
        text
    }
}

fn push_base62(text: &mut String, mut number: u64, digits: usize) {
    for _ in 0..digits {
        let digit = usize::try_from(number % 62).expect("below 62");
        text.push(char::from(ALPHABET[digit]));
        number /= 62;
    }
}

/// The finalizer of `SplitMix64`, which is invertible and mixes all bits.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_repeat_with_the_seed_and_never_within_it() {
        let all = |seed| {
            let mut ids = Ids::new(seed, "acct_1");
            (0..10_000).map(|_| ids.next("cus", 14)).collect::<Vec<_>>()
        };
        let first = all(7);
        assert_eq!(first, all(7));
        assert_ne!(first[0], all(8)[0]);
        assert_eq!(first.iter().collect::<HashSet<_>>().len(), first.len());
        assert_eq!(first[0].len(), "cus_".len() + 14);
    }
}
