//! Truncated files and flipped bits.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

/// The bytes of a small ledger file, and its totals.
static SMALL: LazyLock<(Vec<u8>, Vec<Total>)> = LazyLock::new(|| {
    let (_folder, path) = folder();
    let mut ledger = Ledger::open(&path);
    for n in 1..=40 {
        let org = format!("org-{}", n % 5);
        ledger
            .report(&org, n, Some(&format!("key-{n}")))
            .expect("room");
    }
    drop(ledger);
    let totals = read(&path).expect("a ledger").totals();
    (
        std::fs::read(&path).expect("a file"),
        totals.expect("totals"),
    )
});

/// Whether damage is noticed, at the latest by `verify`.
fn is_noticed(bytes: &[u8], totals: &[Total]) -> bool {
    let (_folder, path) = folder();
    std::fs::write(&path, bytes).expect("a copy");
    let Ok(ledger) = Ledger::try_open(&path) else {
        return true;
    };
    drop(ledger);
    let Ok(reader) = read(&path) else {
        return true;
    };
    let mut problems = 0;
    let is_sound = reader.verify(|_| problems += 1).is_ok() && problems == 0;
    // Damage that is not noticed must not change the contents.
    let is_same = reader.totals().is_ok_and(|found| found == totals)
        && reader.status().is_ok_and(|status| status.entries == 40);
    !is_sound || !is_same && panic!("an unnoticed change")
}

#[test]
fn a_truncated_file_is_noticed() {
    let (bytes, totals) = &*SMALL;
    for pages in 1..bytes.len() / 4096 {
        assert!(is_noticed(&bytes[..pages * 4096], totals), "{pages} pages");
        // The end of the last page may be unused.
        is_noticed(&bytes[..pages * 4096 + 100], totals);
    }
}

proptest! {
    #[test]
    fn a_flipped_bit_that_changes_contents_is_noticed(indexes in prop::collection::vec(any::<prop::sample::Index>(), 4)) {
        let (bytes, totals) = &*SMALL;
        for index in indexes {
            let bit = index.index(bytes.len() * 8);
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            is_noticed(&damaged, totals);
        }
    }
}
