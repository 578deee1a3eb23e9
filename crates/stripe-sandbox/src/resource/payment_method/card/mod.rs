//! Test cards: what a token such as `pm_card_visa`, or a number, stands for, and how the card behaves.
//!
//! The cards themselves are listed in [`catalogue`].

mod catalogue;

use serde_json::json;

use self::catalogue::{CARDS, UNMODELLED};
use crate::error::{Error, Result};

/// A card that a test token or number stands for.
#[derive(Debug)]
pub(crate) struct Card {
    /// What follows `pm_card_` or `tok_` in its tokens; a card may be known by its number alone.
    tokens: &'static [&'static str],
    number: &'static str,
    pub(crate) brand: &'static str,
    pub(crate) country: &'static str,
    pub(crate) funding: &'static str,
    pub(crate) behavior: Behavior,
}

/// What the card's bank does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// It pays.
    Pays,
    /// It declines whenever it is asked: to attach the card, and to charge it.
    Declines(Decline),
    /// It lets the card be attached, and declines charges.
    DeclinesCharges(Decline),
    /// It wants the customer to authenticate, and then pays or declines.
    Authenticates {
        off_session: OffSession,
        then: Option<Decline>,
    },
}

/// When a card that authenticates does so while the customer is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OffSession {
    Always,
    /// Only until it has been set up for future payments.
    UnlessSetUp,
    Never,
}

/// Why a bank declines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decline {
    pub(crate) code: &'static str,
    /// Stripe's `decline_code`.
    pub(crate) reason: Option<&'static str>,
    pub(crate) message: &'static str,
    /// Stripe names the field that is at fault, or nothing.
    param: &'static str,
}

impl Decline {
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

    /// The bank wants the customer to authenticate, who is not there.
    pub(crate) const fn authentication_required() -> Self {
        Self {
            code: "authentication_required",
            reason: Some("authentication_required"),
            message: "Your card was declined. This transaction requires authentication.",
            param: "",
        }
    }

    /// 402: what the caller is told.
    pub(crate) fn error(self) -> Error {
        let error = card_error(self.message, self.code, self.param);
        match self.reason {
            Some(code) => error.field("decline_code", json!(code)),
            None => error,
        }
    }
}

/// The customer's part in a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// They are away, as when a subscription renews.
    OffSession,
    /// They are there, and can authenticate.
    OnSession,
    /// They have authenticated.
    Authenticated,
}

/// What a charge of the card comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charged {
    Paid,
    Declined(Decline),
    /// The customer has to authenticate first.
    NeedsAuthentication,
}

impl Card {
    pub(crate) fn last4(&self) -> &'static str {
        &self.number[self.number.len() - 4..]
    }

    /// Refuses a card whose bank does not let it be attached.
    pub(crate) fn check_attachable(&self) -> Result<()> {
        match self.behavior {
            Behavior::Declines(decline) => Err(decline.error()),
            _ => Ok(()),
        }
    }

    /// Whether the customer has to authenticate before the card is set up for charges without them.
    pub(crate) fn authenticates_set_up(&self) -> bool {
        matches!(
            self.behavior,
            Behavior::Authenticates {
                off_session: OffSession::Always | OffSession::UnlessSetUp,
                ..
            }
        )
    }

    /// What a charge comes to; a card may have been set up for charges without the customer.
    pub(crate) fn charge(&self, presence: Presence, set_up: bool) -> Charged {
        let then = match self.behavior {
            Behavior::Pays => None,
            Behavior::Declines(decline) | Behavior::DeclinesCharges(decline) => Some(decline),
            Behavior::Authenticates { off_session, then } => {
                let free = match off_session {
                    OffSession::Always => false,
                    OffSession::UnlessSetUp => set_up,
                    OffSession::Never => true,
                };
                if !presence.suffices(free) {
                    return Charged::NeedsAuthentication;
                }
                then
            }
        };
        then.map_or(Charged::Paid, Charged::Declined)
    }
}

impl Presence {
    /// Whether a card that authenticates is satisfied, if it is `free` to pay without the customer.
    fn suffices(self, free: bool) -> bool {
        match self {
            Self::OffSession => free,
            Self::OnSession => false,
            Self::Authenticated => true,
        }
    }
}

/// The card of a token: `pm_card_visa` with the prefix `pm_card_`, `tok_visa` with `tok_`.
///
/// # Errors
/// If Stripe has such a card, and the sandbox does not act out what it does.
pub(super) fn by_token(token: &str, prefix: &str, param: &str) -> Result<Option<&'static Card>> {
    let Some(name) = token.strip_prefix(prefix) else {
        return Ok(None);
    };
    if UNMODELLED.iter().any(|(known, _)| *known == name) {
        return Err(unmodelled(token, param));
    }
    Ok(CARDS.iter().find(|card| card.tokens.contains(&name)))
}

/// The card of a number.
pub(super) fn by_number(number: &str) -> Result<&'static Card> {
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

/// The check digit of card numbers.
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
    fn authentication_depends_on_who_is_there() {
        use Presence::{Authenticated, OffSession, OnSession};
        let card = |token| by_token(token, "pm_card_", "p").unwrap().expect("known");
        let always = card("pm_card_authenticationRequired");
        assert_eq!(
            always.charge(OffSession, true),
            Charged::NeedsAuthentication
        );
        assert_eq!(always.charge(Authenticated, false), Charged::Paid);
        let unless_set_up = card("pm_card_authenticationRequiredOnSetup");
        let charge = |presence, set_up| unless_set_up.charge(presence, set_up);
        assert_eq!(charge(OffSession, false), Charged::NeedsAuthentication);
        assert_eq!(charge(OffSession, true), Charged::Paid);
        assert_eq!(charge(OnSession, true), Charged::NeedsAuthentication);
        let set_up = card("pm_card_authenticationRequiredSetupForOffSession");
        assert_eq!(set_up.charge(OffSession, false), Charged::Paid);
        assert_eq!(
            set_up.charge(OnSession, false),
            Charged::NeedsAuthentication
        );
        let poor = card("pm_card_authenticationRequiredChargeDeclinedInsufficientFunds");
        let Charged::Declined(decline) = poor.charge(Authenticated, false) else {
            panic!("paid");
        };
        assert_eq!(decline.reason, Some("insufficient_funds"));
    }
}
