//! Masking of secrets and personal data in external text, such as headers and Stripe's messages, before it is logged.

use std::borrow::Cow;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;

/// The prefixes of Stripe's keys.
const KEYS: [&str; 5] = ["sk_test_", "sk_live_", "rk_test_", "rk_live_", "whsec_"];

/// Replaces API keys, e-mail addresses and card numbers in `text` by `***`.
pub fn mask_secrets(text: &str) -> Cow<'_, str> {
    if !words(text).any(|(word, _)| is_secret(word)) {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    for (word, separator) in words(text) {
        masked.push_str(if is_secret(word) { "***" } else { word });
        masked.push_str(separator);
    }
    Cow::Owned(masked)
}

/// Splits text into runs of the characters that secrets consist of, each with the separator that follows it.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let inside = |c: char| c.is_ascii_alphanumeric() || "._+-@%".contains(c);
    text.split_inclusive(move |c| !inside(c)).map(move |piece| {
        let end = piece.trim_end_matches(|c| !inside(c)).len();
        piece.split_at(end)
    })
}

fn is_secret(word: &str) -> bool {
    is_key(word) || is_email(word) || is_card_number(word)
}

fn is_key(word: &str) -> bool {
    KEYS.iter().any(|kind| word.contains(kind)) || encoded_kinds().any(|kind| word.contains(kind))
}

/// The prefixes of keys in Base64, as in Basic authorization. Each has three forms, because a prefix can begin at any
/// byte of a group of three.
fn encoded_kinds() -> impl Iterator<Item = &'static str> {
    static ENCODED: LazyLock<Vec<String>> = LazyLock::new(|| {
        let variants = KEYS
            .iter()
            .flat_map(|kind| (0..3).map(move |before| (kind, before)));
        let encoded = variants.map(|(kind, before)| {
            let bytes = [&[0; 2][..before], kind.as_bytes()].concat();
            let text = BASE64_STANDARD_NO_PAD.encode(&bytes);
            // Without the characters that depend on neighbouring bytes.
            let first = (before * 8).div_ceil(6);
            text[first..bytes.len() * 8 / 6].to_owned()
        });
        encoded.collect()
    });
    ENCODED.iter().map(String::as_str)
}

fn is_email(word: &str) -> bool {
    let parts = word.split_once('@').or_else(|| word.split_once("%40"));
    // Feature names have an `@` too, but no dot after it.
    parts.is_some_and(|(name, host)| !name.is_empty() && host.trim_end_matches('.').contains('.'))
}

fn is_card_number(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let others = word
        .bytes()
        .filter(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'.'));
    (13..=19).contains(&digits) && others.count() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_nothing_else() {
        for (text, masked) in [
            ("usage:jo@acme.example:sk_test_abc", "usage:***:***"),
            (
                "Invalid email address: jo@acme.example.",
                "Invalid email address: ***",
            ),
            ("email=jo%40acme.example&x=1", "email=***&x=1"),
            (
                "/v1/payment_methods/4242424242424242/attach",
                "/v1/payment_methods/***/attach",
            ),
            ("card 4242-4242-4242-4242 é", "card *** é"),
            ("key rk_live_x", "key ***"),
            // "sk_test_abc:", "0sk_live_abc:" and "00rk_test_abc:"
            ("Basic c2tfdGVzdF9hYmM6", "Basic ***"),
            ("Basic MHNrX2xpdmVfYWJjOg==", "Basic ***=="),
            ("MDBya190ZXN0X2FiYzo=", "***="),
        ] {
            assert_eq!(mask_secrets(text), masked);
        }
        for text in [
            "",
            "No such price: 'price_1NfV2A'",
            "feature:x@plan:p@1",
            "2026-11-26T10:00:00.000Z",
            "5f3759df5f3759df5f3759df5f3759df",
            "é, 12 of 9223",
        ] {
            assert!(
                matches!(mask_secrets(text), Cow::Borrowed(same) if same == text),
                "{text}"
            );
        }
    }
}
