//! A plan change that Stripe carries out late. By then, another server has stopped waiting for it and has made its own
//! change.

use std::time::Duration;

use serde_json::json;

use super::{live, subscribe, two};
use crate::harness::TestApp;
use crate::owed::owed;

const SCHEDULES: &str = "/v1/subscription_schedules";
const SCHEDULE: &str = "/v1/subscription_schedules/*";

async fn two_with_intervals() -> (TestApp, TestApp) {
    let (one, two) = two().await;
    one.push(&json!({"plans": {
        "plan:big@1": {"features": {
            "feature:calls": {"tiers": [{"price": 2}]}, "feature:seats": {"base": 2000}}},
        "plan:year@1": {"interval": "@yearly", "features": {
            "feature:calls": {"tiers": [{"price": 3}]}, "feature:seats": {"base": 12000}}},
    }}))
    .await;
    (one, two)
}

async fn sign_up(app: &TestApp, pays: bool) {
    let mut body = json!({"org": "org:a", "phases": [{"features": ["plan:pro@1"]}]});
    if pays {
        let default = json!({"default_payment_method": "pm_card_visa"});
        body["info"] = json!({"payment_method": "pm_card_visa", "invoice_settings": default});
    }
    app.post_json("/v1/subscribe", &body).await.ok();
}

/// Delays the first change until the second one is done.
async fn late(one: &TestApp, two: &TestApp, path: &str, plans: [&str; 2]) {
    one.slow_down("POST", path, Duration::from_secs(600));
    let meanwhile = async {
        one.until_slow().await;
        let done = subscribe(two, "org:a", &[plans[1]]).await;
        one.sandbox().clear_faults();
        done
    };
    let first = &[plans[0]];
    let (first, second) = tokio::join!(subscribe(one, "org:a", first), meanwhile);
    first.ok();
    second.ok();
    for server in [one, two] {
        server.limits("org:a").await;
        server.settled().await;
    }
    assert_eq!(live(one).await.len(), 1, "{plans:?}");
}

const PLANS: [[&str; 2]; 6] = [
    ["plan:big@1", "plan:year@1"],
    ["plan:year@1", "plan:big@1"],
    ["plan:year@1", "plan:free@1"],
    ["plan:free@1", "plan:year@1"],
    ["plan:free@1", "plan:big@1"],
    ["plan:big@1", "plan:free@1"],
];

/// An org that cancels at once owes only what it used.
#[tokio::test]
async fn a_change_that_stripe_carries_out_late_bills_nothing_twice() {
    for plans in PLANS {
        for (wait, pays) in [(0, false), (0, true), (60, false), (60, true)] {
            let (one, two) = two_with_intervals().await;
            sign_up(&one, pays).await;
            two.limits("org:a").await;
            one.advance(Duration::from_secs(wait));
            late(&one, &two, SCHEDULE, plans).await;
            subscribe(&two, "org:a", &[]).await.ok();
            let owed = owed(&one, None).await;
            let case = format!("{plans:?} after {wait} s, {pays}: {owed}");
            // Each charge and each credit is rounded.
            assert!((-3..=3).contains(&owed), "{case}");
        }
    }
}

#[tokio::test]
async fn a_subscription_that_stripe_makes_late_is_not_a_second_one() {
    for plans in PLANS {
        let (one, two) = two_with_intervals().await;
        subscribe(&one, "org:a", &[]).await.ok();
        two.get("/v1/whois?org=org:a").await.ok();
        late(&one, &two, SCHEDULES, plans).await;
        subscribe(&two, "org:a", &[]).await.ok();
        let owed = owed(&one, None).await;
        assert_eq!(owed, 0, "{plans:?}");
    }
}
