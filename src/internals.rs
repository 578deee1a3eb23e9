//! Doors for the fuzz targets in `fuzz/`, and for benchmarks, to what is not part of the crate's interface.

use rust_decimal::Decimal;

use crate::domain::FeatureUsage;
use crate::domain::refs::OrgName;

/// Reads `bytes` as the body of every request that has one.
pub fn request_bodies(bytes: &[u8]) {
    crate::api::decode_all(bytes);
}

/// Reads `bytes` as a form, as the sandbox does.
pub fn sandbox_form(bytes: &[u8]) {
    crate::sandbox::read_form(bytes);
}

/// What `quantity` units cost, in cents, over graduated tiers of (last unit, price of a unit, flat amount).
pub fn graduated_cost(tiers: &[(Option<i64>, Decimal, Decimal)], quantity: i64) -> i64 {
    crate::sandbox::graduated_cost(tiers, quantity)
}

/// The answer of `/v1/limits`.
pub fn limits_answer(org: &OrgName, rows: &[FeatureUsage]) -> Vec<u8> {
    crate::api::limits_answer(org, rows)
}
