//! Credits for unused time that was partly paid. In the end, the org owes exactly what it used.

mod lists;

use std::time::Duration;

use chrono::DateTime;
use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};
use tier::domain::Generation::{self, Classic, Meters};
use tier::domain::GenerationSetting;

use self::lists::Step::{Cancel, Decline, ForTenDays, Later, Raise, Read, To, Void, With};
use self::lists::{A, B, FREE, LISTS, List, Step, X, YEAR};
use super::{schedule, subscriptions};
use crate::harness::{Answer, DAY, Settings, TestApp};
use crate::owed::owed;

/// A list that is skipped on meters, where a plan cannot change to another interval in its first second.
const IN_ONE_SECOND: &str = "a year and back in one second";

/// The lists whose steps Stripe allows in this generation.
fn lists(generation: Generation) -> impl Iterator<Item = &'static List> {
    let refuses = generation == Generation::Meters;
    let lists = LISTS.iter();
    lists.filter(move |(name, ..)| !refuses || *name != IN_ONE_SECOND)
}

async fn start(generation: Generation, invoice_draft: Duration) -> TestApp {
    let app = TestApp::with(Settings {
        invoice_draft,
        generation: GenerationSetting::Fixed(generation),
        ..Settings::default()
    })
    .await;
    let plan =
        |name: &str, base: i64| json!({"features": {format!("feature:{name}"): {"base": base}}});
    let mut year = plan("seat", 36_500);
    year["interval"] = json!("@yearly");
    app.push(&json!({"plans": {
        A: plan("seat", 3100), B: plan("seat", 9300), X: plan("extra", 15_500), YEAR: year,
        FREE: {"features": {"feature:seat": {}}},
    }}))
    .await;
    for (id, percent, duration) in [("free", "100", "once"), ("half", "50", "forever")] {
        let coupon = [("id", id), ("percent_off", percent), ("duration", duration)];
        app.stripe_post("/v1/coupons", &coupon).await;
    }
    pay_with(&app, "pm_card_visa").await;
    app
}

async fn pay_with(app: &TestApp, card: &str) {
    let info =
        json!({"payment_method": card, "invoice_settings": {"default_payment_method": card}});
    let body = json!({"org": "org:a", "info": info});
    app.post_json("/v1/subscribe", &body).await.ok();
}

/// Performs a step. Returns the answer if the step subscribes.
async fn take(app: &TestApp, step: &Step) -> Option<Answer> {
    let phases = match step {
        To(features) => json!([{"features": features}]),
        With(coupon, features) => json!([{"features": features, "coupon": coupon}]),
        ForTenDays(features) => {
            let end = in_seconds(app, 10 * 24 * 60 * 60);
            json!([{"features": features}, {"effective": end}])
        }
        Later(features) => json!([{"features": features, "effective": in_seconds(app, 60)}]),
        Cancel => json!([{}]),
        Decline => {
            pay_with(app, "pm_card_chargeCustomerFail").await;
            return None;
        }
        Read => {
            read(app).await;
            return None;
        }
        Raise => {
            let subscription = subscriptions(app).await[0].clone();
            let item = subscription["items"]["data"][0]["id"].as_str();
            let path = format!("/v1/subscription_items/{}", item.expect("an id"));
            let raise = [("quantity", "50"), ("proration_behavior", "always_invoice")];
            app.stripe_post(&path, &raise).await;
            return None;
        }
        Void => {
            let invoices = list(app, "/v1/invoices?limit=100").await;
            let newest = invoices[0]["id"].as_str().expect("an id");
            let path = format!("/v1/invoices/{newest}/void");
            app.stripe_post(&path, &[]).await;
            return None;
        }
    };
    let answer = schedule(app, phases).await;
    if matches!(step, Later(_)) {
        app.advance(Duration::from_secs(120));
        read(app).await;
    }
    Some(answer)
}

/// Reads the org, which settles earlier changes.
async fn read(app: &TestApp) {
    app.get("/v1/phases?org=org:a").await.ok();
    app.settled().await;
}

fn in_seconds(app: &TestApp, seconds: i64) -> String {
    let at = app.sandbox().clock().unix() + seconds;
    let at = DateTime::from_timestamp(at, 0).expect("a time");
    at.to_rfc3339()
}

/// Performs all steps but the last, and moves the clock to the time of the last step.
async fn take_all_but_one(
    generation: Generation,
    steps: &[(u32, Step)],
    draft: Duration,
) -> TestApp {
    let app = start(generation, draft).await;
    let mut today = 0;
    for (i, (day, step)) in steps.iter().enumerate() {
        app.advance((*day - today) * DAY);
        today = *day;
        if i + 1 < steps.len()
            && let Some(answer) = take(&app, step).await
        {
            answer.ok();
        }
    }
    app
}

async fn list(app: &TestApp, path: &str) -> Vec<Value> {
    let list = app.stripe_get(path).await;
    list["data"].as_array().expect("a list").clone()
}

/// Whether the debt is as expected, except for rounding and the price of a minute.
fn is_about(owed: i64, expected: i64) -> bool {
    (owed - expected).abs() <= 4
}

#[tokio::test]
async fn the_org_owes_what_it_used() {
    let mut wrong = Vec::new();
    for (generation, draft) in [(Classic, 0), (Classic, 3600), (Meters, 0)] {
        for (name, steps, expected) in lists(generation) {
            let app = take_all_but_one(generation, steps, Duration::from_secs(draft)).await;
            let (_, last) = steps.last().expect("a step");
            if let Some(answer) = take(&app, last).await {
                answer.ok();
            }
            let owed = owed(&app, None).await;
            if !is_about(owed, *expected) {
                wrong.push(format!(
                    "{name}, {generation:?}, {draft}: {owed} in place of {expected}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn on_meters_another_interval_has_to_wait_for_the_next_second() {
    let app = start(Meters, Duration::ZERO).await;
    take(&app, &Decline).await;
    take(&app, &To(&[B])).await;
    app.advance(DAY);
    take(&app, &To(&[YEAR])).await.expect("an answer").ok();
    let refused = take(&app, &To(&[B])).await.expect("an answer");
    let refused = refused.fails(503, "stripe_unavailable");
    assert_eq!(refused.headers["retry-after"], "1");
    app.advance(Duration::from_secs(1));
    take(&app, &To(&[B])).await.expect("an answer").ok();
    app.advance(2 * DAY);
    take(&app, &Cancel).await.expect("an answer").ok();
    let owed = owed(&app, None).await;
    assert!(is_about(owed, 900), "{owed}");
}

/// The calls that settle a plan change: the sandbox's name, the method and the path.
const SETTLING: [(&str, &str, &str); 5] = [
    ("POST /v1/credit_notes", "POST", "/v1/credit_notes"),
    ("POST /v1/invoiceitems", "POST", "/v1/invoiceitems"),
    (
        "DELETE /v1/invoiceitems/:id",
        "DELETE",
        "/v1/invoiceitems/*",
    ),
    ("POST /v1/invoices/:id/void", "POST", "/v1/invoices/*/void"),
    ("POST /v1/subscriptions/:id", "POST", "/v1/subscriptions/*"),
];

/// A call fails before or after its effect. The next request completes the settlement.
#[tokio::test]
async fn an_interrupted_settlement_is_completed_once() {
    let mut wrong = Vec::new();
    // Each list takes long, so each runs in one generation only.
    let classic = lists(Classic).step_by(2).map(|list| (Classic, list));
    let meters = lists(Meters).skip(1).step_by(2);
    let meters = meters.map(|list| (Meters, list));
    for (generation, (name, steps, expected)) in classic.chain(meters) {
        let (_, last) = steps.last().expect("a step");
        let whole = take_all_but_one(generation, steps, Duration::ZERO).await;
        whole.forget_calls();
        take(&whole, last).await;
        let called = |(endpoint, ..): &&(&str, &str, &str)| !whole.sent(endpoint).is_empty();
        for (endpoint, method, path) in SETTLING.iter().filter(called) {
            for after in [false, true] {
                let app = take_all_but_one(generation, steps, Duration::ZERO).await;
                let rule = Rule::new(method, path, Action::Status(500, None));
                let rule = if after { rule.after() } else { rule };
                app.sandbox().add_fault(rule);
                take(&app, last).await;
                app.sandbox().clear_faults();
                // The request is repeated at another server, which knows nothing of the first attempt.
                let other_server = app.second_server();
                if !matches!(last, Later(_))
                    && let Some(answer) = take(&other_server, last).await
                {
                    answer.ok();
                }
                read(&other_server).await;
                read(&other_server).await;
                let owed = owed(&app, None).await;
                if !is_about(owed, *expected) {
                    wrong.push(format!(
                        "{name}, {generation:?}, {endpoint}, after: {after}: {owed} in place of {expected}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// One server notes the unpaid time of a plan. Before it ends the subscription, a second server changes the plan.
#[tokio::test]
async fn an_end_during_a_change_credits_what_the_change_charges() {
    let app = start(Classic, Duration::ZERO).await;
    let other = app.second_server();
    take(&app, &Decline).await;
    take(&app, &To(&[A])).await;
    app.advance(10 * DAY);
    app.slow_down("DELETE", "/v1/subscriptions/*", Duration::from_secs(600));
    let change = async {
        app.until_slow().await;
        take(&other, &To(&[B])).await;
        app.sandbox().clear_faults();
    };
    tokio::join!(take(&app, &Cancel), change);
    assert_eq!(
        list(&app, "/v1/subscriptions?limit=100").await,
        Vec::<Value>::new()
    );
    assert_eq!(owed(&app, None).await, 1000);
}

/// A server is about to delete Stripe's pending credit. Before that, the subscription ends, which invoices the credit.
#[tokio::test]
async fn a_credit_that_is_invoiced_before_it_is_deleted() {
    let app = start(Classic, Duration::ZERO).await;
    take(&app, &Decline).await;
    take(&app, &To(&[A])).await;
    app.advance(10 * DAY);
    app.slow_down("DELETE", "/v1/invoiceitems/*", Duration::from_secs(600));
    let subscription = subscriptions(&app).await[0]["id"].clone();
    let subscription = subscription.as_str().expect("an id").to_owned();
    let end = async {
        app.until_slow().await;
        let path = format!("/v1/subscriptions/{subscription}?prorate=true&invoice_now=true");
        app.stripe_delete(&path).await;
        app.sandbox().clear_faults();
    };
    let (changed, ()) = tokio::join!(take(&app, &To(&[X])), end);
    changed.expect("an answer").ok();
    take(&app, &Cancel).await.expect("an answer").ok();
    read(&app).await;
    let owed = owed(&app, None).await;
    assert!(is_about(owed, 1000), "{owed}");
}

/// Stripe refuses to reduce an invoice for a while.
#[tokio::test]
async fn the_next_request_retries_a_refused_credit() {
    let app = start(Classic, Duration::ZERO).await;
    take(&app, &Decline).await;
    take(&app, &To(&[A])).await;
    app.advance(10 * DAY);
    let refuse = Rule::new("POST", "/v1/credit_notes", Action::Status(400, None));
    app.sandbox().add_fault(refuse);
    let ended = take(&app, &Cancel).await;
    ended.expect("an answer").ok();
    assert_eq!(owed(&app, None).await, 3100);
    app.sandbox().clear_faults();
    let other_server = app.second_server();
    read(&other_server).await;
    assert_eq!(owed(&app, None).await, 1000);
}

/// A change credits unpaid time, and charges the credit back after the subscription has ended.
#[tokio::test]
async fn a_cancellation_on_one_server_while_another_changes_the_plan() {
    let app = start(Classic, Duration::ZERO).await;
    let other = app.second_server();
    pay_with(&app, "pm_card_chargeCustomerFail").await;
    let later = in_seconds(&app, 100 * 60 * 60);
    let phases = |plan: &str| json!({"org": "org:a", "phases": [{"features": [plan]}, {"features": [FREE], "effective": later}]});
    app.post_json("/v1/subscribe", &phases(A)).await.ok();
    let (change, cancel) = (phases(X), json!({"org": "org:a", "phases": [{}]}));
    let (changed, cancelled) = futures::join!(
        app.post_json("/v1/subscribe", &change),
        other.post_json("/v1/subscribe", &cancel)
    );
    changed.ok();
    cancelled.ok();
    app.post_json("/v1/subscribe", &cancel).await.ok();
    app.settled().await;
    other.settled().await;
    let owed = owed(&app, None).await;
    assert!(is_about(owed, 0), "{owed}");
}
