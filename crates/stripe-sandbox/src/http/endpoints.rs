//! The list of Stripe's endpoints, which tells endpoints that are not modelled from those that do not exist.

use std::sync::LazyLock;

use super::routes::path_params;
use crate::error::Error;

/// Each path pattern with its methods.
static ENDPOINTS: LazyLock<Vec<(Vec<&'static str>, &'static str)>> = LazyLock::new(|| {
    let lines = include_str!("endpoints.txt").lines();
    let lines = lines.filter(|line| !line.starts_with('#'));
    let endpoint = |line: &'static str| {
        let mut words: Vec<&str> = line.split(' ').collect();
        let path = words.pop()?;
        Some((words, path))
    };
    lines.filter_map(endpoint).collect()
});

/// Whether Stripe has an endpoint for a call.
pub(crate) fn exists_at_stripe(method: &str, path: &str) -> bool {
    ENDPOINTS
        .iter()
        .any(|(methods, pattern)| methods.contains(&method) && path_params(pattern, path).is_some())
}

/// The error for a call without a route.
pub(crate) fn no_route(method: &str, path: &str) -> Error {
    if exists_at_stripe(method, path) {
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
            assert_eq!(exists_at_stripe(method, path), known, "{method} {path}");
        }
    }
}
