//! The cards that Stripe's test tokens and test numbers stand for.

use super::error::{Error, Result};

/// A card that a test token or number stands for.
#[derive(Debug)]
pub(crate) struct Card {
    /// The part of the token after `pm_card_`.
    token: &'static str,
    pub(super) brand: &'static str,
    pub(super) last4: &'static str,
    pub(super) country: &'static str,
    pub(super) funding: &'static str,
    /// Whether it can be attached, but not charged.
    pub(super) declines: bool,
}

const fn card(token: &'static str, brand: &'static str, last4: &'static str) -> Card {
    Card {
        token,
        brand,
        last4,
        country: "US",
        funding: "credit",
        declines: false,
    }
}

/// The tokens that the sandbox knows; Stripe has more, which differ in nothing that it acts out.
const CARDS: &[Card] = &[
    card("visa", "visa", "4242"),
    card("us", "visa", "4242"),
    Card {
        funding: "debit",
        ..card("visa_debit", "visa", "5556")
    },
    card("mastercard", "mastercard", "4444"),
    Card {
        funding: "debit",
        ..card("mastercard_debit", "mastercard", "8210")
    },
    Card {
        funding: "prepaid",
        ..card("mastercard_prepaid", "mastercard", "5100")
    },
    card("amex", "amex", "8431"),
    card("discover", "discover", "1117"),
    card("diners", "diners", "0004"),
    Card {
        country: "JP",
        ..card("jcb", "jcb", "0505")
    },
    Card {
        country: "CN",
        ..card("unionpay", "unionpay", "0005")
    },
    Card {
        country: "GB",
        ..card("gb", "visa", "0005")
    },
    Card {
        country: "DE",
        ..card("de", "visa", "0016")
    },
    Card {
        country: "FR",
        ..card("fr", "visa", "0003")
    },
    Card {
        country: "CA",
        ..card("ca", "visa", "0000")
    },
    Card {
        declines: true,
        ..card("chargeCustomerFail", "visa", "0341")
    },
];

/// The card of a token: `pm_card_visa` with the prefix `pm_card_`, `tok_visa` with `tok_`.
pub(super) fn by_token(token: &str, prefix: &str) -> Option<&'static Card> {
    let token = token.strip_prefix(prefix)?;
    CARDS.iter().find(|card| card.token == token)
}

/// The card of a number.
pub(super) fn by_number(number: &str) -> Result<&'static Card> {
    let digits: String = number.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let brand = match digits.as_bytes().first() {
        Some(b'4') => "visa",
        Some(b'5' | b'2') => "mastercard",
        Some(b'3') => "amex",
        Some(b'6') => "discover",
        _ => "",
    };
    let valid =
        (12..=19).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    let same = |card: &&Card| card.brand == brand && digits.ends_with(card.last4);
    let found = CARDS.iter().find(same).filter(|_| valid);
    found.ok_or_else(|| card_error("Your card number is incorrect, or not one of the test cards that the sandbox knows, such as 4242 4242 4242 4242.", "incorrect_number", "number"))
}

pub(super) fn card_error(message: &str, code: &'static str, param: &str) -> Error {
    Error::invalid(message)
        .kind("card_error")
        .code(code)
        .param(param)
        .status(402)
}
