//! The route table: every endpoint of the API, by method and path.

use super::{
    account, billing, coupon, customer, customer_balance, discount, event, payment_method,
    payments, price, product, promotion_code, setup_intent, test_clock,
};
use crate::store::context::Handler;

/// One endpoint. Its name, `METHOD /path/:with/holes`, is what calls are counted under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// Segments that begin with a colon match anything; see [`Ctx::arg`](crate::store::context::Ctx::arg).
    pub(crate) path: &'static str,
    pub(crate) handler: Handler,
    /// The type of the object in the answer, for `expand[]`; see [`expand`](crate::resource::expand).
    pub(crate) object: &'static str,
}

/// A route's entry; `object` is the answer's `object`, or `list:` and that of its elements.
pub(crate) const fn route(
    method: &'static str,
    path: &'static str,
    handler: Handler,
    object: &'static str,
) -> Route {
    Route {
        method,
        path,
        handler,
        object,
    }
}

/// The endpoints of this half; those of subscriptions and what follows from them are
/// [`billing::ROUTES`]. Of two that match, the first is taken.
const ROUTES: &[Route] = &[
    route("GET", "/v1/account", account::own, "account"),
    route("POST", "/v1/accounts", account::create, "account"),
    route("GET", "/v1/accounts", account::list, "list:account"),
    route("GET", "/v1/accounts/:id", account::retrieve, "account"),
    route("DELETE", "/v1/accounts/:id", account::delete, "account"),
    route("POST", "/v1/products", product::create, "product"),
    route("GET", "/v1/products", product::list, "list:product"),
    route("GET", "/v1/products/:id", product::retrieve, "product"),
    route("POST", "/v1/products/:id", product::update, "product"),
    route("DELETE", "/v1/products/:id", product::delete, "product"),
    route("POST", "/v1/prices", price::create, "price"),
    route("GET", "/v1/prices", price::list::list, "list:price"),
    route("GET", "/v1/prices/:id", price::retrieve, "price"),
    route("POST", "/v1/prices/:id", price::update, "price"),
    route("POST", "/v1/customers", customer::create, "customer"),
    route("GET", "/v1/customers", customer::list, "list:customer"),
    route(
        "GET",
        "/v1/customers/search",
        customer::search::customers,
        "list:customer",
    ),
    route("GET", "/v1/customers/:id", customer::retrieve, "customer"),
    route("POST", "/v1/customers/:id", customer::update, "customer"),
    route("DELETE", "/v1/customers/:id", customer::delete, "customer"),
    route(
        "GET",
        "/v1/customers/:id/payment_methods",
        payment_method::routes::list_of_customer,
        "list:payment_method",
    ),
    route(
        "GET",
        "/v1/customers/:id/payment_methods/:id",
        payment_method::routes::retrieve_of_customer,
        "payment_method",
    ),
    route(
        "POST",
        "/v1/payment_methods",
        payment_method::routes::create,
        "payment_method",
    ),
    route(
        "GET",
        "/v1/payment_methods",
        payment_method::routes::list,
        "list:payment_method",
    ),
    route(
        "GET",
        "/v1/payment_methods/:id",
        payment_method::routes::retrieve,
        "payment_method",
    ),
    route(
        "POST",
        "/v1/payment_methods/:id",
        payment_method::routes::update,
        "payment_method",
    ),
    route(
        "POST",
        "/v1/payment_methods/:id/attach",
        payment_method::routes::attach,
        "payment_method",
    ),
    route(
        "POST",
        "/v1/payment_methods/:id/detach",
        payment_method::routes::detach,
        "payment_method",
    ),
    route(
        "POST",
        "/v1/setup_intents",
        setup_intent::routes::create,
        "setup_intent",
    ),
    route(
        "GET",
        "/v1/setup_intents/:id",
        setup_intent::routes::retrieve,
        "setup_intent",
    ),
    route(
        "POST",
        "/v1/setup_intents/:id/confirm",
        setup_intent::routes::confirm,
        "setup_intent",
    ),
    route("POST", "/v1/coupons", coupon::create, "coupon"),
    route("GET", "/v1/coupons", coupon::list, "list:coupon"),
    route("GET", "/v1/coupons/:id", coupon::retrieve, "coupon"),
    route("POST", "/v1/coupons/:id", coupon::update, "coupon"),
    route("DELETE", "/v1/coupons/:id", coupon::delete, "coupon"),
    route(
        "POST",
        "/v1/test_helpers/test_clocks",
        test_clock::create,
        CLOCK,
    ),
    route(
        "GET",
        "/v1/test_helpers/test_clocks",
        test_clock::list,
        "list:test_helpers.test_clock",
    ),
    route(
        "GET",
        "/v1/test_helpers/test_clocks/:id",
        test_clock::retrieve,
        CLOCK,
    ),
    route(
        "DELETE",
        "/v1/test_helpers/test_clocks/:id",
        test_clock::delete,
        CLOCK,
    ),
    route(
        "POST",
        "/v1/test_helpers/test_clocks/:id/advance",
        test_clock::advance,
        CLOCK,
    ),
    route("GET", "/v1/events", event::list, "list:event"),
    route("GET", "/v1/events/:id", event::retrieve, "event"),
];

const CLOCK: &str = "test_helpers.test_clock";

/// All routes.
fn all() -> impl Iterator<Item = &'static Route> {
    let own = [
        ROUTES,
        promotion_code::ROUTES,
        customer_balance::ROUTES,
        discount::routes::ROUTES,
    ];
    let halves = billing::ROUTES.iter().chain(payments::ROUTES).copied();
    own.into_iter().chain(halves).flatten()
}

/// The route for a call, and what stands in the holes of its path.
pub(crate) fn find(method: &str, path: &str) -> Option<(&'static Route, Vec<String>)> {
    all()
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

impl Route {
    /// What calls are counted under.
    pub(crate) fn endpoint(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::endpoints;

    #[test]
    fn every_route_is_an_endpoint_of_stripe() {
        for route in all() {
            let path = route.path.replace(":id", "x");
            assert!(endpoints::is_stripes(route.method, &path), "{route:?}");
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
