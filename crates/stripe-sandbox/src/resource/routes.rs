//! The route table: every endpoint of the API, by method and path.

use std::sync::LazyLock;

use super::route::Route;
use super::{
    account, balance_transaction, charge, checkout_session, coupon, credit_note, customer,
    customer_balance, discount, event, invoice, invoice_item, payment_intent, payment_method,
    price, product, promotion_code, refund, setup_intent, subscription, subscription_item,
    subscription_schedule, test_clock,
};

/// The endpoints, by resource. Of two that match, the first is taken.
static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let resources = [
        account::routes::routes(),
        balance_transaction::routes::routes(),
        charge::routes::routes(),
        checkout_session::routes::routes(),
        coupon::routes::routes(),
        credit_note::routes::routes(),
        customer::routes::routes(),
        customer_balance::routes::routes(),
        discount::routes::routes(),
        event::routes::routes(),
        invoice::routes::routes(),
        invoice_item::routes::routes(),
        payment_intent::routes::routes(),
        payment_method::routes::routes(),
        price::routes::routes(),
        product::routes::routes(),
        promotion_code::routes::routes(),
        refund::routes::routes(),
        setup_intent::routes::routes(),
        subscription::routes::routes(),
        subscription_item::routes::routes(),
        subscription_schedule::routes::routes(),
        test_clock::routes::routes(),
    ];
    resources.into_iter().flatten().collect()
});

/// The route for a call, and what stands in the holes of its path.
pub(crate) fn find(method: &str, path: &str) -> Option<(&'static Route, Vec<String>)> {
    ROUTES
        .iter()
        .filter(|route| route.method == method)
        .find_map(|route| Some((route, holes(route.path, path)?)))
}

/// What stands in the holes of a pattern, if the path is one of it.
pub(crate) fn holes(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut holes = Vec::new();
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        let segment = segments.next()?;
        if !expected.starts_with(':') {
            if expected != segment {
                return None;
            }
            continue;
        }
        // `search` is no id, but an endpoint of its own.
        if segment.is_empty() || segment == "search" {
            return None;
        }
        let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
        holes.push(decoded.ok()?.into_owned());
    }
    segments.next().is_none().then_some(holes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::endpoints;

    #[test]
    fn every_route_is_an_endpoint_of_stripe() {
        for route in ROUTES.iter() {
            let path = route.path.replace(":id", "x");
            let known = endpoints::is_stripes(route.method, &path);
            assert!(known, "{}", route.endpoint());
        }
    }

    #[test]
    fn words_go_before_holes() {
        let (route, holes) = find("GET", "/v1/customers/search").expect("a route");
        assert_eq!((route.path, holes.len()), ("/v1/customers/search", 0));
        let (route, holes) = find("GET", "/v1/customers/cus%5F1/payment_methods").expect("a route");
        assert_eq!(route.endpoint(), "GET /v1/customers/:id/payment_methods");
        assert_eq!(holes, ["cus_1"]);
        assert!(find("GET", "/v1/customers/").is_none());
        assert!(find("GET", "/v1/prices/search").is_none());
        assert!(find("PUT", "/v1/customers").is_none());
        assert!(find("GET", "/v1/customers/a/b").is_none());
        assert!(find("GET", "/v1/customers/%ff").is_none());
    }
}
