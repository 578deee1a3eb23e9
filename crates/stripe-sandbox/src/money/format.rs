//! Amounts of money as text.

use rust_decimal::Decimal;

/// Currencies without decimals. UGX and ISK are not among them, because Stripe still counts them in hundredths.
const ZERO_DECIMAL: [&str; 15] = [
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf",
    "xof", "xpf",
];

/// Currencies with three decimals.
const THREE_DECIMAL: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

/// An amount in a currency's smallest unit as text: `$10.00`, `KWD 1.250`, or `$0.036` for fractions of the unit. The
/// currency is an ISO code in lower case.
pub(crate) fn money(amount: Decimal, currency: &str) -> String {
    let places = if ZERO_DECIMAL.contains(&currency) {
        0
    } else if THREE_DECIMAL.contains(&currency) {
        3
    } else {
        2
    };
    let mut value = (amount.abs() / Decimal::from(10_i64.pow(places))).normalize();
    if value.scale() < places {
        value.rescale(places);
    }
    let symbol = match currency {
        "usd" => "$".to_owned(),
        "eur" => "€".to_owned(),
        "gbp" => "£".to_owned(),
        "jpy" => "¥".to_owned(),
        other => format!("{} ", other.to_uppercase()),
    };
    let sign = if amount.is_sign_negative() && !amount.is_zero() {
        "-"
    } else {
        ""
    };
    format!("{sign}{symbol}{value}")
}

#[cfg(test)]
mod tests {
    use super::money;

    #[test]
    fn money_reads_in_its_currency() {
        for (amount, currency, text) in [
            ("3.6", "usd", "$0.036"),
            ("0", "usd", "$0.00"),
            ("100000", "eur", "€1000.00"),
            ("5", "gbp", "£0.05"),
            ("900", "jpy", "¥900"),
            ("0.5", "krw", "KRW 0.5"),
            ("12340", "mga", "MGA 12340"),
            ("-150.0", "chf", "-CHF 1.50"),
            ("12340", "ugx", "UGX 123.40"),
            ("500", "isk", "ISK 5.00"),
            ("12340", "kwd", "KWD 12.340"),
            ("5", "bhd", "BHD 0.005"),
            ("1000", "jod", "JOD 1.000"),
            ("-12.5", "omr", "-OMR 0.0125"),
            ("1250", "tnd", "TND 1.250"),
        ] {
            let amount = amount.parse().expect("a decimal");
            assert_eq!(money(amount, currency), text);
        }
    }
}
