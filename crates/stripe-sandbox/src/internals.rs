//! Access to private parts for fuzz targets and benchmarks.

use rust_decimal::Decimal;

use crate::money::rating::{Scheme, Tier};
use crate::params::form::Form;

/// Reads `bytes` as a form and writes it as JSON.
pub fn read_form(bytes: &[u8]) {
    let mut form = Form::default();
    if form.read(bytes).is_ok() {
        form.to_json();
    }
}

/// The cost in cents of `quantity` units over graduated tiers of (last unit, unit price, flat amount).
pub fn graduated_cost(tiers: &[(Option<i64>, Decimal, Decimal)], quantity: i64) -> i64 {
    let tiers = tiers.iter().map(|&(up_to, unit, flat)| Tier {
        up_to,
        unit,
        flat: Some(flat),
    });
    Scheme::Graduated(tiers.collect()).amount(quantity)
}
