//! The location of a customer for automatic taxes. The sandbox computes no taxes; it only checks whether Stripe could.

use serde_json::{Value, json};

use super::Customer;
use crate::error::{Error, Result};

/// The address that Stripe uses, and its `source`: shipping, else billing, whether or not it is precise enough.
fn address(customer: &Customer) -> Option<(&Value, &'static str)> {
    let rare = customer.rare.as_deref()?;
    let shipping = rare.shipping.as_ref().map(|shipping| &shipping["address"]);
    let shipping = shipping.map(|address| (address, "shipping_destination"));
    let billing = rare.address.as_ref();
    let billing = billing.map(|address| (address, "billing_address"));
    let given = |(address, _): &(&Value, &str)| {
        let fields = address.as_object();
        fields.is_some_and(|fields| fields.values().any(|field| !field.is_null()))
    };
    shipping.filter(given).or(billing.filter(given))
}

/// Whether the address is precise enough for taxes. It needs a country, in the United States also a ZIP code, and in
/// Canada a postal code or a province.
fn is_precise(address: &Value) -> bool {
    let text = |key: &str| address[key].as_str().filter(|text| !text.is_empty());
    match text("country") {
        None => false,
        Some("US") => text("postal_code").is_some_and(|code| {
            let digits = code.bytes().take_while(u8::is_ascii_digit);
            digits.count() == 5
        }),
        Some("CA") => text("postal_code").or(text("state")).is_some(),
        Some(_) => true,
    }
}

/// Whether Stripe recognizes the customer's location.
pub(crate) fn is_recognized(customer: &Customer) -> bool {
    address(customer).is_some_and(|(address, _)| is_precise(address))
}

/// Checks that a subscription of the customer may have automatic taxes.
///
/// # Errors
/// Stripe's, if it does not recognize the customer's location.
pub(crate) fn check(customer: &Customer) -> Result<()> {
    if is_recognized(customer) {
        return Ok(());
    }
    Err(Error::invalid(
        "The customer's location isn't recognized. Set a valid customer address in order to automatically calculate tax.",
    )
    .code("customer_tax_location_invalid"))
}

/// The value of `tax` when it is expanded.
pub(crate) fn to_json(customer: &Customer) -> Value {
    let precise = address(customer).filter(|(address, _)| is_precise(address));
    let location = precise.map(|(address, source)| {
        json!({
            "country": address["country"],
            "source": source,
            "state": address["state"],
        })
    });
    json!({
        "automatic_tax": if location.is_some() { "supported" } else { "unrecognized_location" },
        "ip_address": null,
        "location": location,
    })
}

/// The country of the address that a checkout fills in.
const CHECKOUT_COUNTRY: &str = "US";

const CHECKOUT_POSTAL_CODE: &str = "94103";

/// The address that a checkout fills in.
pub(crate) fn checkout_address() -> Value {
    json!({
        "city": null,
        "country": CHECKOUT_COUNTRY,
        "line1": null,
        "line2": null,
        "postal_code": CHECKOUT_POSTAL_CODE,
        "state": null,
    })
}
