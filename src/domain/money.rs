//! Amounts of money as text.

use rust_decimal::Decimal;

use super::pricing::Currency;

/// Currencies whose amounts in Stripe have no decimals. ISK and UGX have no coins either, but Stripe takes them in
/// hundredths.
const ZERO_DECIMAL: &str = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf";

/// Currencies whose amounts in Stripe are in thousandths.
const THOUSANDTHS: &str = "bhd jod kwd omr tnd";

/// The signs of currencies. Currencies without a sign of their own are named by their code.
const SIGNS: [(&str, &str); 6] = [
    ("usd", "$"),
    ("eur", "€"),
    ("gbp", "£"),
    ("jpy", "¥"),
    ("inr", "₹"),
    ("krw", "₩"),
];

impl Currency {
    /// The number of decimals of an amount in whole minor units.
    pub fn decimals(&self) -> u32 {
        let is_in = |list: &str| list.split(' ').any(|code| code == self.as_str());
        if is_in(ZERO_DECIMAL) {
            0
        } else if is_in(THOUSANDTHS) {
            3
        } else {
            2
        }
    }

    /// The currency's sign, or its code and a space.
    pub fn sign(&self) -> String {
        let found = SIGNS.iter().find(|(code, _)| *code == self.as_str());
        match found {
            Some((_, sign)) => (*sign).to_owned(),
            None => format!("{} ", self.as_str().to_uppercase()),
        }
    }

    /// An amount of minor units as text, such as `$1,000.00`. It is not rounded.
    pub fn amount(&self, minor_units: Decimal) -> String {
        let decimals = self.decimals();
        let mut value = shifted(minor_units, decimals).normalize();
        if value.scale() < decimals {
            value.rescale(decimals);
        }
        let text = value.to_string();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{}{}{point}{fraction}", self.sign(), grouped(whole))
    }
}

/// The number with its decimal point moved `places` to the left. A division would round numbers with many digits.
fn shifted(number: Decimal, places: u32) -> Decimal {
    let mut shifted = number;
    let scaled = shifted.set_scale(number.scale() + places);
    scaled.map_or_else(|_| number / Decimal::from(10_u64.pow(places)), |()| shifted)
}

/// A whole number with commas, such as `1,000`.
pub(super) fn count(number: i64) -> String {
    grouped(&number.to_string())
}

fn grouped(digits: &str) -> String {
    let length = digits.len();
    let mut grouped = String::with_capacity(length + length / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (length - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_written_as_in_its_currency() {
        for (minor_units, currency, text) in [
            ("0", "usd", "$0.00"),
            ("1000", "usd", "$10.00"),
            ("0.5", "usd", "$0.005"),
            ("0.05", "usd", "$0.0005"),
            ("0.000000000001", "usd", "$0.00000000000001"),
            (
                "999999999999.000000000001",
                "usd",
                "$9,999,999,999.99000000000001",
            ),
            ("123456789", "eur", "€1,234,567.89"),
            ("100000", "gbp", "£1,000.00"),
            ("1200", "jpy", "¥1,200"),
            ("0.5", "jpy", "¥0.5"),
            ("12340", "kwd", "KWD 12.340"),
            ("5", "bhd", "BHD 0.005"),
            ("500", "isk", "ISK 5.00"),
            ("12340", "ugx", "UGX 123.40"),
            ("1000", "chf", "CHF 10.00"),
            ("999", "krw", "₩999"),
        ] {
            let currency = Currency::new(currency).expect("a currency");
            let minor_units = minor_units.parse().expect("a decimal");
            assert_eq!(currency.amount(minor_units), text);
        }
    }

    #[test]
    fn numbers_have_commas() {
        let numbers = [0, 1, 999, 1_000, 1_234_567, i64::MAX].map(count);
        let expected = [
            "0",
            "1",
            "999",
            "1,000",
            "1,234,567",
            "9,223,372,036,854,775,807",
        ];
        assert_eq!(numbers, expected);
    }
}
