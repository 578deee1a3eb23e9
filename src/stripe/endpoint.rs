//! The endpoint behind a path: ids replaced, so that there are few, and none names a customer.

use std::sync::LazyLock;

use matchit::Router;

/// Every endpoint that is called, by its path; `*` stands for an id.
const ENDPOINTS: &[&str] = &[
    "/v1/account",
    "/v1/accounts",
    "/v1/accounts/*",
    "/v1/checkout/sessions",
    "/v1/coupons/*",
    "/v1/credit_notes",
    "/v1/customers",
    "/v1/customers/*",
    "/v1/customers/*/payment_methods",
    "/v1/customers/search",
    "/v1/invoiceitems",
    "/v1/invoiceitems/*",
    "/v1/invoices",
    "/v1/invoices/*",
    "/v1/invoices/*/finalize",
    "/v1/invoices/*/lines",
    "/v1/invoices/*/void",
    "/v1/invoices/upcoming/lines",
    "/v1/payment_methods/*",
    "/v1/payment_methods/*/attach",
    "/v1/payment_methods/*/detach",
    "/v1/prices",
    "/v1/products",
    "/v1/products/*",
    "/v1/subscription_items/*/usage_record_summaries",
    "/v1/subscription_items/*/usage_records",
    "/v1/subscription_schedules",
    "/v1/subscription_schedules/*",
    "/v1/subscription_schedules/*/cancel",
    "/v1/subscriptions",
    "/v1/subscriptions/*",
    "/v1/test_helpers/test_clocks",
    "/v1/test_helpers/test_clocks/*",
    "/v1/test_helpers/test_clocks/*/advance",
];

/// The endpoint of `path`; exact words win over ids.
pub(super) fn endpoint(path: &str) -> &'static str {
    static ROUTES: LazyLock<Router<&'static str>> = LazyLock::new(|| {
        let mut routes = Router::new();
        for endpoint in ENDPOINTS {
            let added = routes.insert(endpoint.replace('*', "{id}"), *endpoint);
            added.expect("no two endpoints have the same path");
        }
        routes
    });
    ROUTES.at(path).map_or("other", |found| *found.value)
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    #[test]
    fn ids_are_replaced_and_words_kept() {
        for (path, expected) in [
            ("/v1/customers", "/v1/customers"),
            ("/v1/customers/search", "/v1/customers/search"),
            ("/v1/customers/cus_1", "/v1/customers/*"),
            (
                "/v1/subscription_items/si_1/usage_records",
                "/v1/subscription_items/*/usage_records",
            ),
            ("/v1/nobody/knows", "other"),
        ] {
            assert_eq!(endpoint(path), expected);
        }
    }
}
