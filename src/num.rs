//! Reads decimals from JSON exactly, without floats, and writes them in two formats.
//!
//! Existing clients expect numbers as Go's `encoding/json` prints them ([`go`]). Stripe accepts plain decimals only
//! ([`plain`]).

use std::fmt::Write as _;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes everything");
        hex
    })
}

/// The largest number of significant digits of a decimal.
const MAX_DIGITS: usize = 28;

/// Why a text is not a number that a [`Decimal`] can hold exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The text is not a JSON number.
    #[error("not a number")]
    Invalid,
    /// The number is too large, or too small.
    #[error("number out of range")]
    OutOfRange,
    /// It has too many decimals.
    #[error("too many decimals")]
    TooPrecise,
}

/// Parses a JSON number exactly. It may have an exponent. Trailing zeros are dropped (`1.50` is `1.5`).
pub fn parse(text: &str) -> Result<Decimal, NumberError> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return Err(NumberError::Invalid),
        Some((whole, fraction)) => (whole, fraction),
        None => (mantissa, ""),
    };
    if whole.is_empty() || !(whole.bytes().chain(fraction.bytes())).all(|b| b.is_ascii_digit()) {
        return Err(NumberError::Invalid);
    }
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Ok(Decimal::ZERO);
    }
    let trailing_zeros = digits.len() - digits.trim_end_matches('0').len();
    let shift = exponent.saturating_add(signed_len(trailing_zeros) - signed_len(fraction.len()));
    let number = scaled(significant, shift)?;
    Ok(if negative { -number } else { number })
}

/// `digits` × 10^`shift`.
fn scaled(digits: &str, shift: i64) -> Result<Decimal, NumberError> {
    let too_long = if shift < 0 {
        NumberError::TooPrecise
    } else {
        NumberError::OutOfRange
    };
    let zeros = usize::try_from(shift.max(0)).unwrap_or(usize::MAX);
    if digits.len().saturating_add(zeros) > MAX_DIGITS {
        return Err(too_long);
    }
    let value: i128 = format!("{digits}{}", "0".repeat(zeros))
        .parse()
        .map_err(|_| NumberError::Invalid)?;
    let scale = u32::try_from(shift.min(0).unsigned_abs()).unwrap_or(u32::MAX);
    Decimal::try_from_i128_with_scale(value, scale).map_err(|_| too_long)
}

fn parse_exponent(text: &str) -> Result<i64, NumberError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NumberError::Invalid);
    }
    // An exponent of more than 18 digits counts as infinite. Adding to it must not overflow.
    let size: i64 = digits.parse().unwrap_or(i64::MAX / 4);
    let size = size.min(i64::MAX / 4);
    Ok(if text.starts_with('-') { -size } else { size })
}

fn signed_len(len: usize) -> i64 {
    i64::try_from(len).expect("a text in memory is shorter than 2^63 bytes")
}

/// The number as Stripe accepts it: a plain decimal without exponent or trailing zeros.
pub fn plain(number: Decimal) -> String {
    if number.is_zero() {
        return "0".to_owned(); // never "-0"
    }
    number.normalize().to_string()
}

/// The number as Go's `encoding/json` prints it: plain, but with an exponent below 1e-6 and from 1e21.
pub fn go(number: Decimal) -> String {
    let plain = plain(number);
    let (sign, unsigned) = match plain.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", plain.as_str()),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let leading_zeros = fraction.len() - fraction.trim_start_matches('0').len();
    let exponent = if whole.len() > 21 {
        signed_len(whole.len()) - 1
    } else if whole == "0" && leading_zeros >= 6 && !fraction.is_empty() {
        -signed_len(leading_zeros) - 1
    } else {
        return plain;
    };
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_matches('0');
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let plus = if exponent > 0 { "+" } else { "" };
    format!("{sign}{first}{point}{rest}e{plus}{exponent}")
}

/// Serialises as the JSON number that [`go`] writes; for `#[serde(serialize_with = "num::serialize")]`.
pub fn serialize<S: Serializer>(number: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    RawValue::from_string(go(*number))
        .map_err(serde::ser::Error::custom)?
        .serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_exactly() {
        for (text, plain_text) in [
            ("0", "0"),
            ("-0", "0"),
            ("0.000e99999999999999999999", "0"),
            ("10", "10"),
            ("10.0", "10"),
            ("1e3", "1000"),
            ("1.50", "1.5"),
            ("-2.5E-1", "-0.25"),
            ("0.1", "0.1"),
            ("1e-12", "0.000000000001"),
            ("123456789.123456789012", "123456789.123456789012"),
            ("9223372036854775807", "9223372036854775807"),
            ("100000e-5", "1"),
            ("1e27", "1000000000000000000000000000"),
        ] {
            assert_eq!(parse(text).map(plain), Ok(plain_text.to_owned()), "{text}");
        }
    }

    #[test]
    fn numbers_that_a_decimal_cannot_hold_are_refused() {
        for (text, error) in [
            ("", NumberError::Invalid),
            ("-", NumberError::Invalid),
            ("+1", NumberError::Invalid),
            (".5", NumberError::Invalid),
            ("5.", NumberError::Invalid),
            ("1e", NumberError::Invalid),
            ("1e+", NumberError::Invalid),
            ("0x10", NumberError::Invalid),
            ("NaN", NumberError::Invalid),
            ("1_000", NumberError::Invalid),
            ("1e28", NumberError::OutOfRange),
            ("1e999999999999999999999", NumberError::OutOfRange),
            ("-1e400", NumberError::OutOfRange),
            ("1e-29", NumberError::TooPrecise),
            ("1e-999999999999999999999", NumberError::TooPrecise),
            ("0.12345678901234567890123456789", NumberError::TooPrecise),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn numbers_are_written_as_go_does() {
        for (text, written) in [
            ("0", "0"),
            ("10.0", "10"),
            ("-1.5", "-1.5"),
            ("0.1", "0.1"),
            ("0.000001", "0.000001"),
            ("0.0000012", "0.0000012"),
            ("0.0000001", "1e-7"),
            ("0.00000012", "1.2e-7"),
            ("-0.000000000001", "-1e-12"),
            ("0.000000123456", "1.23456e-7"),
            ("100000000000000000000", "100000000000000000000"),
            ("1000000000000000000000", "1e+21"),
            ("1234500000000000000000", "1.2345e+21"),
            ("9223372036854775807", "9223372036854775807"),
        ] {
            assert_eq!(parse(text).map(go), Ok(written.to_owned()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn both_formats_can_be_parsed(mantissa in any::<i64>(), scale in 0_u32..=28) {
            let number = Decimal::from_i128_with_scale(mantissa.into(), scale);
            prop_assert_eq!(parse(&go(number)), Ok(number));
            prop_assert_eq!(parse(&plain(number)), Ok(number));
            prop_assert!(!plain(number).contains('e'));
        }

        /// Go and Rust both print the shortest digits of a float, so a number that a float can hold looks the same.
        #[test]
        fn small_numbers_look_like_floats(mantissa in 1_i64..1_000_000, scale in 0_u32..=12) {
            let number = Decimal::new(mantissa, scale);
            let float: f64 = plain(number).parse().unwrap();
            let expected = if float < 1e-6 { format!("{float:e}") } else { format!("{float}") };
            prop_assert_eq!(go(number), expected);
        }

        #[test]
        fn any_text_is_refused_or_read(text in "[-+0-9.eE]{0,40}") {
            let kept = parse(&text).map(plain);
            prop_assert!(kept.is_err() || !kept.unwrap().is_empty());
        }
    }
}
