//! Entry points for the fuzz targets in `fuzz/` and for benchmarks to private parts of the crate.

use axum::Router;

use crate::api::App;
use crate::domain::FeatureUsage;
use crate::domain::refs::OrgName;

/// Reads `bytes` as the body of every request that has one.
pub fn request_bodies(bytes: &[u8]) {
    crate::api::decode_all(bytes);
}

/// The answer of `/v1/limits`.
pub fn limits_answer(org: &OrgName, rows: &[FeatureUsage]) -> Vec<u8> {
    crate::api::limits_answer(org, rows)
}

/// Routers with a `/v1/whois` that makes no calls, each behind one more of the API's layers.
pub fn layers(app: App) -> Vec<(&'static str, Router)> {
    crate::api::layered(app)
}
