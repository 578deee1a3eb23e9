//! Entry points to private parts of the crate, for the fuzz targets in `fuzz/` and for benchmarks.

use axum::Router;

use crate::api::App;
use crate::domain::FeatureUsage;
use crate::domain::refs::OrgName;

/// Decodes `bytes` as the body of each kind of request that has one.
pub fn request_bodies(bytes: &[u8]) {
    crate::api::decode_all(bytes);
}

/// The body of the answer of `/v1/limits`.
pub fn limits_answer(org: &OrgName, rows: &[FeatureUsage]) -> Vec<u8> {
    crate::api::limits_answer(org, rows)
}

/// Routers with a `/v1/whois` that makes no calls, each with one more of the API's layers than the one before.
pub fn layers(app: App) -> Vec<(&'static str, Router)> {
    crate::api::layered(app)
}
