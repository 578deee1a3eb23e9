//! Test cards, by token (`pm_card_visa`) or number, and how their bank behaves.
//!
//! The cards themselves are listed in [`catalogue`].

mod catalogue;

use serde_json::json;

use self::catalogue::{CARDS, UNMODELLED};
use crate::error::{Error, Result};

/// The card of a test token or number.
#[derive(Debug)]
pub(crate) struct Card {
    /// The part after `pm_card_` or `tok_` of its tokens. A card may have only a number.
    tokens: &'static [&'static str],
    number: &'static str,
    pub(crate) brand: &'static str,
    pub(crate) country: &'static str,
    pub(crate) funding: &'static str,
    pub(crate) behavior: CardBehavior,
}

/// How the card's bank behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CardBehavior {
    /// It accepts charges.
    Pays,
    /// It declines attaching the card and charging it.
    Declines(Decline),
    /// It allows attaching the card and declines charges.
    DeclinesCharges(Decline),
    /// It requires authentication, and then accepts or declines.
    Authenticates {
        off_session: OffSession,
        then: Option<Decline>,
    },
}

/// When the card requires authentication while the customer is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OffSession {
    Always,
    /// Until it has been set up for future payments.
    UnlessSetUp,
    Never,
}

/// The reason of a decline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decline {
    pub(crate) code: &'static str,
    /// Stripe's `decline_code`.
    pub(crate) reason: Option<&'static str>,
    pub(crate) message: &'static str,
    /// The field that Stripe names; empty for none.
    param: &'static str,
}

impl Decline {
    /// A decline without a specific reason.
    pub(crate) const GENERIC: Self =
        Self::card_declined("generic_decline", "Your card was declined.");

    const fn card_declined(decline_code: &'static str, message: &'static str) -> Self {
        Self {
            code: "card_declined",
            reason: Some(decline_code),
            message,
            param: "",
        }
    }

    const fn other(code: &'static str, message: &'static str, param: &'static str) -> Self {
        Self {
            code,
            reason: None,
            message,
            param,
        }
    }

    /// The bank requires authentication, but the customer is absent.
    pub(crate) const fn authentication_required() -> Self {
        Self {
            code: "authentication_required",
            reason: Some("authentication_required"),
            message: "Your card was declined. This transaction requires authentication.",
            param: "",
        }
    }

    /// 402: the error for the caller.
    pub(crate) fn error(self) -> Error {
        let error = card_error(self.message, self.code, self.param);
        match self.reason {
            Some(code) => error.field("decline_code", json!(code)),
            None => error,
        }
    }
}

/// The presence of the customer during a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The customer is absent, as when a subscription renews.
    OffSession,
    /// The customer is present and can authenticate.
    OnSession,
    /// The customer has authenticated.
    Authenticated,
}

/// The outcome of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChargeOutcome {
    Paid,
    Declined(Decline),
    /// The customer has to authenticate first.
    NeedsAuthentication,
}

impl Card {
    pub(crate) fn last4(&self) -> &'static str {
        &self.number[self.number.len() - 4..]
    }

    /// Refuses a card that cannot be attached.
    pub(crate) fn check_attachable(&self) -> Result<()> {
        match self.behavior {
            CardBehavior::Declines(decline) => Err(decline.error()),
            _ => Ok(()),
        }
    }

    /// Whether the customer has to authenticate before the card is set up for later charges.
    pub(crate) fn authenticates_set_up(&self) -> bool {
        matches!(
            self.behavior,
            CardBehavior::Authenticates {
                off_session: OffSession::Always | OffSession::UnlessSetUp,
                ..
            }
        )
    }

    /// The outcome of a charge. `is_set_up` tells whether the card was set up for charges without the customer.
    pub(crate) fn charge(&self, presence: Presence, is_set_up: bool) -> ChargeOutcome {
        let then = match self.behavior {
            CardBehavior::Pays => None,
            CardBehavior::Declines(decline) | CardBehavior::DeclinesCharges(decline) => {
                Some(decline)
            }
            CardBehavior::Authenticates { off_session, then } => {
                let free = match off_session {
                    OffSession::Always => false,
                    OffSession::UnlessSetUp => is_set_up,
                    OffSession::Never => true,
                };
                if !presence.suffices(free) {
                    return ChargeOutcome::NeedsAuthentication;
                }
                then
            }
        };
        then.map_or(ChargeOutcome::Paid, ChargeOutcome::Declined)
    }
}

impl Presence {
    /// Whether the charge needs no authentication. `free` tells whether the card can be charged without the customer.
    fn suffices(self, free: bool) -> bool {
        match self {
            Self::OffSession => free,
            Self::OnSession => false,
            Self::Authenticated => true,
        }
    }
}

/// The card of a token: of `pm_card_visa` with the prefix `pm_card_`, of `tok_visa` with `tok_`.
///
/// # Errors
/// If Stripe has such a card but the sandbox does not model it.
pub(super) fn by_token(token: &str, prefix: &str, param: &str) -> Result<Option<&'static Card>> {
    let Some(name) = token.strip_prefix(prefix) else {
        return Ok(None);
    };
    if UNMODELLED.iter().any(|(known, _)| *known == name) {
        return Err(unmodelled(token, param));
    }
    Ok(CARDS.iter().find(|card| card.tokens.contains(&name)))
}

/// The card with a number.
pub(crate) fn by_number(number: &str) -> Result<&'static Card> {
    let digits: String = number.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    if let Some(card) = CARDS.iter().find(|card| card.number == digits) {
        return Ok(card);
    }
    if UNMODELLED.iter().any(|(_, known)| *known == digits) {
        return Err(unmodelled(&digits, "card[number]"));
    }
    if (12..=19).contains(&digits.len()) && passes_luhn(&digits) {
        return Err(Decline::card_declined("test_mode_live_card", "Your card was declined. Your request was in test mode, but used a non test (live) card. For a list of valid test cards, visit: https://stripe.com/docs/testing.").error());
    }
    Err(card_error(
        "Your card number is incorrect.",
        "incorrect_number",
        "number",
    ))
}

fn unmodelled(card: &str, param: &str) -> Error {
    Error::malformed(
        param,
        format!(
            "The sandbox does not model what the test card `{card}` does: use another one, or Stripe's test mode for it."
        ),
    )
}

/// Checks the check digit of a card number.
fn passes_luhn(digits: &str) -> bool {
    let mut sum = 0;
    for (index, digit) in digits.chars().rev().enumerate() {
        let Some(digit) = digit.to_digit(10) else {
            return false;
        };
        sum += match digit * 2 {
            _ if index % 2 == 0 => digit,
            double if double > 9 => double - 9,
            double => double,
        };
    }
    sum % 10 == 0
}

pub(super) fn card_error(message: &str, code: &'static str, param: &str) -> Error {
    Error::invalid(message)
        .kind("card_error")
        .code(code)
        .param(param)
        .status(402)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_numbers_name_one_card_each() {
        let mut tokens: Vec<_> = CARDS.iter().flat_map(|card| card.tokens).collect();
        tokens.extend(UNMODELLED.iter().map(|(token, _)| token));
        let mut numbers: Vec<_> = CARDS.iter().map(|card| card.number).collect();
        numbers.extend(UNMODELLED.iter().map(|(_, number)| *number));
        for number in &numbers {
            assert!(passes_luhn(number), "{number}");
        }
        for names in [&mut numbers, &mut tokens.into_iter().copied().collect()] {
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }

    #[test]
    fn authentication_depends_on_presence() {
        use Presence::{Authenticated, OffSession, OnSession};
        let card = |token| by_token(token, "pm_card_", "p").unwrap().expect("known");
        let always = card("pm_card_authenticationRequired");
        assert_eq!(
            always.charge(OffSession, true),
            ChargeOutcome::NeedsAuthentication
        );
        assert_eq!(always.charge(Authenticated, false), ChargeOutcome::Paid);
        let unless_set_up = card("pm_card_authenticationRequiredOnSetup");
        let charge = |presence, is_set_up| unless_set_up.charge(presence, is_set_up);
        assert_eq!(
            charge(OffSession, false),
            ChargeOutcome::NeedsAuthentication
        );
        assert_eq!(charge(OffSession, true), ChargeOutcome::Paid);
        assert_eq!(charge(OnSession, true), ChargeOutcome::NeedsAuthentication);
        let never = card("pm_card_authenticationRequiredSetupForOffSession");
        assert_eq!(never.charge(OffSession, false), ChargeOutcome::Paid);
        assert_eq!(
            never.charge(OnSession, false),
            ChargeOutcome::NeedsAuthentication
        );
        let poor = card("pm_card_authenticationRequiredChargeDeclinedInsufficientFunds");
        let ChargeOutcome::Declined(decline) = poor.charge(Authenticated, false) else {
            panic!("paid");
        };
        assert_eq!(decline.reason, Some("insufficient_funds"));
    }
}
