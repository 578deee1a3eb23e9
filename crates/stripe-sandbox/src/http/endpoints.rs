//! The list of Stripe's endpoints, to distinguish endpoints that the sandbox does not model from those that do not
//! exist.

use std::sync::LazyLock;

use super::routes::path_params;
use crate::error::Error;
use crate::version::ApiVersion;

/// Path patterns with their methods.
type Endpoints = Vec<(Vec<&'static str>, &'static str)>;

/// The endpoints of 2022-11-15.
static ENDPOINTS: LazyLock<Endpoints> = LazyLock::new(|| {
    let lines = include_str!("endpoints.txt").lines();
    lines.filter_map(endpoint).collect()
});

/// The endpoints that 2026-10-28 has and 2022-11-15 has not, and the other way round.
static CHANGED: LazyLock<(Endpoints, Endpoints)> = LazyLock::new(|| {
    let lines = include_str!("endpoints-2026-10-28.txt").lines();
    let (removed, added): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("- "));
    let removed = removed
        .into_iter()
        .map(|line| line.trim_start_matches("- "));
    (
        added.into_iter().filter_map(endpoint).collect(),
        removed.filter_map(endpoint).collect(),
    )
});

fn endpoint(line: &'static str) -> Option<(Vec<&'static str>, &'static str)> {
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let mut words: Vec<&str> = line.split(' ').collect();
    let path = words.pop()?;
    Some((words, path))
}

/// Whether Stripe has an endpoint for a call.
pub(crate) fn exists_at_stripe(method: &str, path: &str, version: ApiVersion) -> bool {
    let has = |endpoints| has(endpoints, method, path);
    match version {
        ApiVersion::V2022_11_15 => has(&ENDPOINTS),
        ApiVersion::V2026_10_28 => {
            has(&CHANGED.0) || has(&ENDPOINTS) && !is_removed(method, path, version)
        }
    }
}

/// Whether Stripe had removed an endpoint by this version.
pub(crate) fn is_removed(method: &str, path: &str, version: ApiVersion) -> bool {
    version >= ApiVersion::V2026_10_28 && has(&CHANGED.1, method, path)
}

fn has(endpoints: &Endpoints, method: &str, path: &str) -> bool {
    let mut endpoints = endpoints.iter();
    endpoints
        .any(|(methods, pattern)| methods.contains(&method) && path_params(pattern, path).is_some())
}

/// The error for a call without a route.
pub(crate) fn no_route(method: &str, path: &str, version: ApiVersion) -> Error {
    if exists_at_stripe(method, path, version) {
        return Error::invalid(format!(
            "The sandbox does not model the endpoint `{method} {path}`: use Stripe's test mode for it."
        ))
        .before_execution();
    }
    Error::invalid(format!("Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs; the sandbox only has the endpoints that its documentation lists."))
        .status(404)
}

#[cfg(test)]
mod tests {
    use super::exists_at_stripe;
    use crate::version::ApiVersion;

    #[test]
    fn stripes_endpoints_are_known_by_method_and_path() {
        for (method, path, known) in [
            ("POST", "/v1/quotes", true),
            ("GET", "/v1/quotes/qt_1/pdf", true),
            ("DELETE", "/v1/quotes/qt_1", false),
            ("POST", "/v1/invoices/in_1/send", true),
            ("POST", "/v1/refunds/re_1/cancel", true),
            ("GET", "/v1/invoices/search", true),
            ("GET", "/v1/coupons/search", false),
            ("GET", "/v1/customers/cus_1/tax_ids", true),
            ("PUT", "/v1/customers", false),
            ("GET", "/v1/customers/", false),
            ("GET", "/v1/nothing", false),
        ] {
            let exists = exists_at_stripe(method, path, ApiVersion::V2022_11_15);
            assert_eq!(exists, known, "{method} {path}");
        }
    }

    #[test]
    fn endpoints_came_and_went_with_a_version() {
        for (method, path, in_both) in [
            ("POST", "/v1/quotes", [true, true]),
            ("POST", "/v1/billing/meter_events", [false, true]),
            ("POST", "/v2/billing/meter_events", [false, true]),
            (
                "POST",
                "/v1/subscription_items/si_1/usage_records",
                [true, false],
            ),
            ("GET", "/v1/invoices/upcoming/lines", [true, false]),
            ("GET", "/v1/nothing", [false, false]),
        ] {
            let exists = ApiVersion::ALL.map(|version| exists_at_stripe(method, path, version));
            assert_eq!(exists, in_both, "{method} {path}");
        }
    }
}
