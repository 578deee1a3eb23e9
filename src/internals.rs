//! Doors for the fuzz targets in `fuzz/`, and for benchmarks, to what is not part of the crate's interface.

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
