//! The paths of the viewer, which are those of Stripe's dashboard.

use axum::http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;

/// A kind of object that has pages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Its segment of the path.
    pub(super) segment: &'static str,
    /// The `object` in its JSON.
    pub(super) object: &'static str,
    /// Its name in prose.
    pub(super) name: &'static str,
    /// The prefix of its ids; empty if clients choose the ids.
    prefix: &'static str,
}

const fn kind(
    segment: &'static str,
    object: &'static str,
    name: &'static str,
    prefix: &'static str,
) -> Kind {
    Kind {
        segment,
        object,
        name,
        prefix,
    }
}

/// All kinds. If two prefixes match an id, the first counts.
pub(super) static KINDS: [Kind; 10] = [
    kind("customers", "customer", "customer", "cus_"),
    kind("products", "product", "product", "prod_"),
    kind("prices", "price", "price", "price_"),
    kind(
        "subscription_schedules",
        "subscription_schedule",
        "subscription schedule",
        "sub_sched_",
    ),
    kind("subscriptions", "subscription", "subscription", "sub_"),
    kind("invoices", "invoice", "invoice", "in_"),
    kind("payments", "payment_intent", "payment", "pi_"),
    kind("coupons", "coupon", "coupon", ""),
    kind("events", "event", "event", "evt_"),
    kind(
        "test-clocks",
        "test_helpers.test_clock",
        "test clock",
        "clock_",
    ),
];

/// The kind of the object with this id, if the prefix tells it.
pub(super) fn kind_of(id: &str) -> Option<&'static Kind> {
    KINDS
        .iter()
        .find(|kind| !kind.prefix.is_empty() && id.starts_with(kind.prefix))
}

/// The target of a viewer path: the page, and the account if the path names one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The account to search, if the path names one.
    pub(super) account: Option<String>,
    pub(super) page: TargetPage,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum TargetPage {
    Overview,
    List(&'static Kind),
    Object(&'static Kind, String),
}

/// The viewer page that a request asks for; `None` if it is for the API. A request with a key is for the API unless it
/// accepts HTML, so that programs that leave out `/v1` get a JSON error.
pub(crate) fn viewer_target(method: &Method, path: &str, headers: &HeaderMap) -> Option<Target> {
    let target = read(path).filter(|_| method.is_safe())?;
    let accepted = headers.get(header::ACCEPT);
    let accepted = accepted.map(|accepted| accepted.to_str().unwrap_or_default());
    let takes_any = accepted.is_none_or(|accepted| accepted.contains("*/*"));
    let has_key = headers.contains_key(header::AUTHORIZATION);
    (accepts_html(headers) || (takes_any && !has_key)).then_some(target)
}

/// Whether a request accepts HTML, as those from browsers do.
pub(crate) fn accepts_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT);
    accepted.is_some_and(|accepted| {
        accepted
            .to_str()
            .is_ok_and(|text| text.contains("text/html"))
    })
}

/// Parses a path. As at Stripe, it may begin with the account and with `/test`.
fn read(path: &str) -> Option<Target> {
    let mut segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let account = segments.first().filter(|first| first.starts_with("acct_"));
    let account = account.map(|account| (*account).to_owned());
    if account.is_some() {
        segments.remove(0);
    }
    if segments.first() == Some(&"test") {
        segments.remove(0);
    }
    // A trailing slash is ignored.
    if segments.last() == Some(&"") {
        segments.pop();
    }
    let kind_at = |segment: &str| KINDS.iter().find(|kind| kind.segment == segment);
    let page = match &*segments {
        [] => TargetPage::Overview,
        [list] => TargetPage::List(kind_at(list)?),
        [kind, id] => {
            let id = percent_decode_str(id).decode_utf8().ok()?;
            TargetPage::Object(kind_at(kind)?, id.into_owned())
        }
        _ => return None,
    };
    Some(Target { account, page })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_dashboard() {
        let customers = &KINDS[0];
        let one = |account: Option<&str>| Target {
            account: account.map(str::to_owned),
            page: TargetPage::Object(customers, "cus_1".to_owned()),
        };
        for (path, target) in [
            ("/customers/cus_1", one(None)),
            ("/test/customers/cus_1", one(None)),
            ("/acct_1/customers/cus_1/", one(Some("acct_1"))),
            ("/acct_1/test/customers/cus%5F1", one(Some("acct_1"))),
        ] {
            assert_eq!(read(path), Some(target), "{path}");
        }
        for path in ["/", "/test", "/test/", "/acct_1", "/acct_1/test"] {
            let overview = read(path).is_some_and(|target| target.page == TargetPage::Overview);
            assert!(overview, "{path}");
        }
        let list = read("/test/customers").map(|target| target.page);
        assert_eq!(list, Some(TargetPage::List(customers)));
        for path in [
            "/v1/customers",
            "/nothing",
            "/customers/a/b",
            "/test/test",
            "/customers/%ff",
        ] {
            assert_eq!(read(path), None, "{path}");
        }
    }
}
