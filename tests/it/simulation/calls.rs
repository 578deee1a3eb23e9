//! Turns operations into calls to the servers, and to the sandbox that stands for Stripe.

use serde_json::{Value, json};
use stripe_sandbox::{Action, Frequency, Rule, When};
use tower::ServiceExt as _;

use super::ops::{COMBINATIONS, Combination, FEATURES, Fault, HOUR, Request, Reservation};
use crate::harness::{Answer, TestApp};

/// A reservation that a list has made.
#[derive(Clone, Debug, Default)]
pub(super) struct Reserved {
    pub(super) org: u8,
    /// The server's id of the reservation. None until it is granted.
    pub(super) id: Option<String>,
}

/// Path and body of a request, made at `now`.
pub(super) fn body(
    request: Request,
    org: &str,
    now: i64,
    reservations: &[Reserved],
) -> (&'static str, Value) {
    let features = |of: Combination| json!(COMBINATIONS[usize::from(of)]);
    let time = |hours: u8| {
        let at = chrono::DateTime::from_timestamp(now + i64::from(hours) * HOUR, 0);
        json!(at.expect("a time").to_rfc3339())
    };
    let id = |number: Reservation| &reservations[usize::from(number)].id;
    let phases = match request {
        Request::Card { declines } => {
            let card = if declines {
                "pm_card_chargeCustomerFail"
            } else {
                "pm_card_visa"
            };
            let body = json!({"org": org, "payment_method_id": card});
            return ("/v1/subscribe", body);
        }
        Request::Subscribe { to, trial } => json!([{"features": features(to), "trial": trial}]),
        Request::TrialThenPaid { to, hours } => json!([
            {"features": features(to), "trial": true},
            {"features": features(to), "effective": time(hours)}]),
        Request::Schedule { to, hours } => {
            json!([{"features": features(to), "effective": time(hours)}])
        }
        Request::Phases { now, then, hours } => json!([
            {"features": features(now)},
            {"features": features(then), "effective": time(hours)}]),
        Request::CancelLater { hours } => json!([{"effective": time(hours)}]),
        Request::Cancel => json!([{}]),
        Request::Report { feature, n, .. } => {
            let feature = FEATURES[usize::from(feature)];
            return (
                "/v1/report",
                json!({"org": org, "feature": feature, "n": n}),
            );
        }
        Request::ReportAt { feature, n, ago } => {
            let at = chrono::DateTime::from_timestamp(now - i64::from(ago) * 60, 0);
            let at = at.expect("a time").to_rfc3339();
            let feature = FEATURES[usize::from(feature)];
            let body = json!({"org": org, "feature": feature, "n": n, "at": at});
            return ("/v1/report", body);
        }
        Request::Clobber { feature, n } => {
            let feature = FEATURES[usize::from(feature)];
            let body = json!({"org": org, "feature": feature, "n": n, "clobber": true});
            return ("/v1/report", body);
        }
        Request::Reserve {
            feature, n, hours, ..
        } => {
            let feature = FEATURES[usize::from(feature)];
            let ttl = format!("{hours}h");
            let body = json!({"org": org, "feature": feature, "n": n, "ttl": ttl});
            return ("/v1/reserve", body);
        }
        Request::Commit { number, n } => {
            return ("/v1/reserve/commit", json!({"id": id(number), "n": n}));
        }
        Request::Release { number } => {
            return ("/v1/reserve/release", json!({"id": id(number)}));
        }
    };
    ("/v1/subscribe", json!({"org": org, "phases": phases}))
}

/// Whether Stripe failed, and the effect of the call is unknown.
pub(super) fn is_unsure(answer: &Answer) -> bool {
    answer.status == 502 || answer.status == 503 && answer.json()["code"] == "outcome_unknown"
}

/// Pays on a Checkout page. Returns whether the payment succeeded: a page can be paid only once.
pub(super) async fn pay(server: &TestApp, opened: &Answer) -> bool {
    let url = opened.json()["url"].as_str().unwrap_or_default().to_owned();
    let page = url.strip_prefix(server.stripe_url()).unwrap_or_default();
    let request = axum::http::Request::post(page).body(axum::body::Body::empty());
    let router = server.sandbox().router();
    let paid = router.oneshot(request.expect("a request")).await;
    paid.expect("the router answers everything").status() == 303
}

/// A rule that cuts off all calls to Stripe after the first `calls`.
pub(super) fn no_calls_after(calls: u8) -> Rule {
    Rule::new("*", "/v1/*", Action::Drop).skipping(calls.into())
}

/// A rule by which the next `calls` calls to Stripe fail.
pub(super) fn rule(fault: Fault, calls: u8) -> Rule {
    let (action, when) = match fault {
        Fault::DropBefore => (Action::Drop, When::Before),
        Fault::DropAfter => (Action::Drop, When::After),
        Fault::CutBody => (Action::CutBody, When::After),
        Fault::TooMany => (Action::Status(429, None), When::Before),
        Fault::ServerError => (Action::Status(500, None), When::After),
        Fault::Conflict => (Action::Status(409, None), When::Before),
        Fault::Garbage => (Action::GarbageJson, When::After),
    };
    Rule {
        when,
        frequency: Frequency::Count(calls.into()),
        ..Rule::new("*", "/v1/*", action)
    }
}
