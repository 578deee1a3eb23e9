//! The amounts that Stripe can charge: the smallest, the largest, and the steps of some currencies.

use super::currency::Currency;
use super::format::money;
use crate::error::{Error, Result};

/// The smallest amount that Stripe charges, in the currency's smallest unit: about 50 cents. For currencies that are
/// not in Stripe's table, the sandbox uses 50.
fn smallest(currency: Currency) -> i64 {
    match currency.as_str() {
        "aed" | "ron" | "myr" | "pln" => 200,
        "bgn" => 100,
        "gbp" => 30,
        "czk" => 1500,
        "dkk" => 250,
        "hkd" => 400,
        "huf" => 17_500,
        "mxn" | "thb" => 1000,
        "nok" | "sek" => 300,
        _ => 50,
    }
}

/// The largest amount: Stripe allows eight digits, and twelve for rupiahs.
fn largest(currency: Currency) -> i64 {
    match currency.as_str() {
        "idr" => 999_999_999_999,
        _ => 99_999_999,
    }
}

/// The step of charged amounts. In currencies with three decimals, the last digit must be 0. Icelandic krónur and
/// Ugandan shillings have no decimals, but Stripe counts them in hundredths.
fn step(currency: Currency) -> i64 {
    match currency.as_str() {
        "bhd" | "jod" | "kwd" | "omr" | "tnd" => 10,
        "isk" | "ugx" => 100,
        _ => 1,
    }
}

/// The amount due of an invoice on which `owed` is owed. The rest goes to the customer's balance: a debt below the
/// smallest charge, a credit, or the rounding difference (our choice: Stripe requires rounded amounts but does not say
/// how it rounds invoices).
pub(crate) fn due(owed: i64, currency: Currency) -> i64 {
    if owed < smallest(currency) {
        return 0;
    }
    let step = step(currency);
    let over = owed % step;
    let down = owed - over;
    if over * 2 >= step && over > 0 {
        down.saturating_add(step)
    } else {
        down
    }
}

/// Whether an amount is too large to be charged at once.
pub(crate) fn too_large(amount: i64, currency: Currency) -> bool {
    amount > largest(currency)
}

/// Checks the amount that a request asks to charge.
///
/// # Errors
/// Stripe's, if the amount cannot be charged.
pub(crate) fn check(amount: i64, currency: Currency) -> Result<()> {
    let word = currency.as_str();
    if amount < smallest(currency) {
        let least = money(smallest(currency).into(), word);
        return Err(
            Error::invalid(format!("Amount must be at least {least} {word}"))
                .code("amount_too_small")
                .param("amount"),
        );
    }
    check_largest(amount, currency)?;
    check_step(amount, currency, "amount")
}

/// Checks that an amount is not too large to be charged at once.
pub(crate) fn check_largest(amount: i64, currency: Currency) -> Result<()> {
    if too_large(amount, currency) {
        return Err(above_largest(currency));
    }
    Ok(())
}

/// The error for an amount that is too large to be charged at once.
pub(crate) fn above_largest(currency: Currency) -> Error {
    let most = money(largest(currency).into(), currency.as_str());
    Error::invalid(format!("Amount must be no more than {}", grouped(&most)))
        .code("amount_too_large")
        .param("amount")
}

/// Checks that the amount of a charge or a refund is a multiple of the currency's step.
pub(crate) fn check_step(amount: i64, currency: Currency, param: &str) -> Result<()> {
    let step = step(currency);
    if amount % step == 0 {
        return Ok(());
    }
    let code = currency.as_str().to_uppercase();
    let error = match step {
        // Stripe's message for Icelandic krónur.
        100 => Error::invalid(format!(
            "Invalid amount. Currency {code} has become effectively zero-decimal and charged amounts must be evenly divisible by 100. See https://stripe.com/docs/currencies#special-cases for more information."
        ))
        .code("invalid_charge_amount_no_decimal_compatible"),
        _ => Error::invalid(format!(
            "Invalid amount. The last digit of amounts in {code} must be 0: round them to the nearest ten. See https://stripe.com/docs/currencies#three-decimal for more information."
        ))
        .code("invalid_charge_amount"),
    };
    Err(error.param(param))
}

/// The amount with commas between thousands: `$99,999.99`.
fn grouped(amount: &str) -> String {
    let (integer, decimals) = amount.split_at(amount.find('.').unwrap_or(amount.len()));
    let digits = integer.bytes().filter(u8::is_ascii_digit).count();
    let mut left = digits;
    let mut text = String::new();
    for character in integer.chars() {
        if character.is_ascii_digit() {
            if left < digits && left % 3 == 0 {
                text.push(',');
            }
            left -= 1;
        }
        text.push(character);
    }
    text + decimals
}

#[cfg(test)]
mod tests {
    use super::{check, due, grouped};
    use crate::money::currency;
    use crate::params::Params;
    use crate::params::tests::form;

    fn of(code: &str) -> currency::Currency {
        let form = form(&format!("currency={code}"));
        let read = Params::new(&form).currency("currency");
        read.expect("a currency").expect("given")
    }

    #[test]
    fn amounts_that_cannot_be_charged_are_not_due() {
        for (code, owed, expected) in [
            ("usd", 49, 0),
            ("usd", -5, 0),
            ("usd", 1234, 1234),
            ("kwd", 1234, 1230),
            ("kwd", 1235, 1240),
            ("bhd", 1240, 1240),
            ("ugx", 12_340, 12_300),
            ("isk", 12_350, 12_400),
            ("jpy", 12_351, 12_351),
            ("kwd", i64::MAX, i64::MAX),
        ] {
            assert_eq!(due(owed, of(code)), expected, "{owed} {code}");
        }
    }

    #[test]
    fn amounts_that_cannot_be_charged_are_refused() {
        for (code, amount, refused) in [
            ("usd", 49, Some("amount_too_small")),
            ("usd", 50, None),
            ("usd", 99_999_999, None),
            ("usd", 100_000_000, Some("amount_too_large")),
            ("idr", 100_000_000, None),
            ("idr", 1_000_000_000_000, Some("amount_too_large")),
            ("tnd", 1001, Some("invalid_charge_amount")),
            ("omr", 1010, None),
            (
                "ugx",
                1050,
                Some("invalid_charge_amount_no_decimal_compatible"),
            ),
            ("ugx", 1100, None),
        ] {
            let code_of = check(amount, of(code)).err().and_then(|error| error.code);
            assert_eq!(code_of, refused, "{amount} {code}");
        }
        assert_eq!(grouped("$999999.99"), "$999,999.99");
        assert_eq!(grouped("¥99999999"), "¥99,999,999");
        assert_eq!(grouped("KWD 99999.999"), "KWD 99,999.999");
        assert_eq!(grouped("$5"), "$5");
    }
}
