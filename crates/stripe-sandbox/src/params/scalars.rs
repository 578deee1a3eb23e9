//! Parameters with plain values: numbers, times, enums, URLs.

use std::str::FromStr;

use rust_decimal::Decimal;

use super::Params;
use crate::error::{Error, Result};
use crate::money::currency::{Currency, SUPPORTED};

impl Params<'_> {
    fn parsed<T: FromStr>(
        &self,
        key: &str,
        what: &str,
        code: Option<&'static str>,
    ) -> Result<Option<T>> {
        let Some(text) = self.string(key)? else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            let mut error = Error::malformed(self.name(key), format!("Invalid {what}: {text}"));
            error.code = code;
            error
        })
    }

    pub(crate) fn integer(&self, key: &str) -> Result<Option<i64>> {
        self.parsed(key, "integer", Some("parameter_invalid_integer"))
    }

    /// An integer that is at least `least`.
    pub(crate) fn integer_from(&self, key: &str, least: i64) -> Result<Option<i64>> {
        match self.integer(key)? {
            Some(number) if number < least => Err(Error::malformed(
                self.name(key),
                format!("This value must be greater than or equal to {least}."),
            )
            .code("parameter_invalid_integer")),
            number => Ok(number),
        }
    }

    pub(crate) fn boolean(&self, key: &str) -> Result<Option<bool>> {
        self.parsed(key, "boolean", None)
    }

    /// A decimal with at most 12 places, as `unit_amount_decimal` has.
    pub(crate) fn decimal(&self, key: &str) -> Result<Option<Decimal>> {
        let number: Option<Decimal> = self.parsed(key, "decimal", None)?;
        match number {
            Some(number) if number.normalize().scale() > 12 => Err(Error::malformed(
                self.name(key),
                format!("Invalid decimal: {number}; must contain at most 12 decimal places."),
            )),
            // A larger one could overflow the arithmetic with quantities.
            Some(number) if number.abs() > Decimal::from(1_000_000_000_000_i64) => {
                Err(Error::malformed(
                    self.name(key),
                    format!("Invalid decimal: {number} is too large."),
                ))
            }
            number => Ok(number),
        }
    }

    /// Seconds since 1970, up to the year 9999.
    pub(crate) fn timestamp(&self, key: &str) -> Result<Option<i64>> {
        let Some(text) = self.string(key)? else {
            return Ok(None);
        };
        match text.parse::<i64>() {
            Ok(at) if (0..253_402_300_800).contains(&at) => Ok(Some(at)),
            _ => Err(Error::malformed(
                self.name(key),
                format!("Invalid timestamp: must be an integer Unix timestamp, not {text}."),
            )),
        }
    }

    /// Like [`timestamp`](Self::timestamp), or the word `now`, which means `now`.
    pub(crate) fn timestamp_or_now(&self, key: &str, now: i64) -> Result<Option<i64>> {
        if self.text(key)? == Some("now") {
            return Ok(Some(now));
        }
        self.timestamp(key)
    }

    /// One of the listed words.
    pub(crate) fn one_of(
        &self,
        key: &str,
        choices: &[&'static str],
    ) -> Result<Option<&'static str>> {
        let Some(text) = self.string(key)? else {
            return Ok(None);
        };
        let found = choices.iter().find(|choice| **choice == text);
        found.copied().map(Some).ok_or_else(|| {
            let name = self.name(key);
            let message = format!("Invalid {name}: must be one of {}", listed(choices));
            Error::malformed(name, message)
        })
    }

    /// One of the `modelled` words. `others` are valid at Stripe, but the sandbox does not model them.
    pub(crate) fn one_of_modelled(
        &self,
        key: &str,
        modelled: &[&'static str],
        others: &[&'static str],
    ) -> Result<Option<&'static str>> {
        let given = self.one_of(key, &[modelled, others].concat())?;
        match given {
            Some(word) if others.contains(&word) => {
                Err(Error::unmodelled_value(&self.name(key), word))
            }
            given => Ok(given),
        }
    }

    /// One of the values in `all`, by Stripe's name for it.
    pub(crate) fn variant<T: Copy>(
        &self,
        key: &str,
        all: &[T],
        word: fn(T) -> &'static str,
    ) -> Result<Option<T>> {
        let words: Vec<&'static str> = all.iter().map(|value| word(*value)).collect();
        let given = self.one_of(key, &words)?;
        Ok(given.and_then(|given| all.iter().copied().find(|value| word(*value) == given)))
    }

    /// The JSON of an address; missing fields are null.
    pub(crate) fn address(&self) -> Result<serde_json::Value> {
        let mut address = serde_json::Map::new();
        for key in ["city", "country", "line1", "line2", "postal_code", "state"] {
            address.insert(key.into(), self.nullable(key)?.value().into());
        }
        Ok(address.into())
    }

    /// A URL to send the customer to. It must be a web address, because the page links to it.
    pub(crate) fn web_address(&self, key: &str) -> Result<Option<String>> {
        let Some(url) = self.string(key)? else {
            return Ok(None);
        };
        let web = ["http://", "https://"]
            .iter()
            .any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
        if !web || url.len() > 5000 || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Error::malformed(
                key,
                format!("Not a valid URL: {key} must begin with http:// or https://."),
            )
            .code("url_invalid"));
        }
        Ok(Some(url.to_owned()))
    }

    /// The code of a currency that Stripe supports.
    pub(crate) fn currency(&self, key: &str) -> Result<Option<Currency>> {
        let Some(code) = self.string(key)? else {
            return Ok(None);
        };
        Currency::parse(code).map(Some).ok_or_else(|| {
            let code = code.to_lowercase();
            Error::malformed(
                self.name(key),
                format!(
                    "Invalid currency: {code}. Stripe currently supports these currencies: {SUPPORTED}"
                ),
            )
        })
    }
}

/// `a, b, or c`, as in Stripe's errors.
fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first, second] => format!("{first} or {second}"),
        [others @ .., last] => format!("{}, or {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use crate::error::{Error, Result};
    use crate::params::Params;
    use crate::params::tests::form;

    #[test]
    fn bad_words_are_refused_with_stripes_errors() {
        let form = form("a=x&b=later");
        let params = Params::new(&form);
        let message = |result: Result<Option<&'static str>>| result.expect_err("refused").message;
        assert_eq!(
            message(params.one_of("a", &["p", "q", "r"])),
            "Invalid a: must be one of p, q, or r"
        );
        assert_eq!(
            message(params.one_of("a", &["p", "q"])),
            "Invalid a: must be one of p or q"
        );
        assert_eq!(
            message(params.one_of_modelled("a", &["now"], &["later"])),
            "Invalid a: must be one of now or later"
        );
        assert_eq!(
            message(params.one_of_modelled("b", &["now"], &["later"])),
            "The sandbox does not model `later` as `b`: leave it out, or use Stripe's test mode for it."
        );
    }

    #[test]
    fn bad_numbers_are_refused_with_stripes_errors() {
        let form = form("i=1.5&big=99999999999999999999&neg=-1&t=tomorrow&d=1e400&far=1e30&no=");
        let params = Params::new(&form);
        let message = |error: Error| error.message;
        assert_eq!(
            params.integer("i").map_err(message),
            Err("Invalid integer: 1.5".to_owned())
        );
        assert!(params.integer("big").is_err());
        assert!(params.integer_from("neg", 0).is_err());
        assert!(params.timestamp("t").is_err());
        assert!(params.decimal("d").is_err());
        assert!(params.decimal("far").is_err());
        assert!(params.integer("no").is_err());
    }
}
