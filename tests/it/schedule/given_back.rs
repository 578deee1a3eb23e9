//! Time that is given back, where not all of it was paid: what the org owes is what it has used.

use std::time::Duration;

use chrono::DateTime;
use serde_json::{Value, json};

use super::{schedule, subscriptions};
use crate::harness::{DAY, Settings, TestApp};

/// What is to be done on one day of January 2023, which has 31.
enum Step {
    /// From now on, payments are declined.
    Decline,
    /// Subscribes now: to plans or features.
    To(&'static [&'static str]),
    /// Subscribes now, with a coupon.
    With(&'static str, &'static [&'static str]),
    /// Subscribes a minute later, by a schedule; nothing ends the subscription.
    Later(&'static [&'static str]),
    /// Ends the subscription.
    Cancel,
    /// Makes it 50 seats in Stripe, and invoices them at once.
    Raise,
    /// Voids the newest invoice in Stripe.
    Void,
}

use Step::{Cancel, Decline, Later, Raise, To, Void, With};

/// A day costs 100 cents on A and on the yearly plan, 300 on B, and 500 on X.
const A: &str = "plan:a@1";
const B: &str = "plan:b@1";
const X: &str = "plan:x@1";
const YEAR: &str = "plan:year@1";
const FREE: &str = "plan:free@1";

/// A name, what is done on which day, and the cents that are owed in the end.
type List = (&'static str, &'static [(u32, Step)], i64);

const LISTS: &[List] = &[
    // A scheduled change, or end, of what nobody has paid.
    (
        "a scheduled end",
        &[(0, Decline), (0, To(&[A])), (0, Later(&[]))],
        0,
    ),
    (
        "a scheduled downgrade",
        &[(0, Decline), (0, To(&[B])), (0, Later(&[A])), (10, Cancel)],
        1000,
    ),
    (
        "a year, and then a scheduled month",
        &[
            (0, Decline),
            (0, To(&[YEAR])),
            (0, Later(&[A])),
            (10, Cancel),
        ],
        1000,
    ),
    (
        "a scheduled year",
        &[
            (0, Decline),
            (0, To(&[A])),
            (10, Later(&[YEAR])),
            (20, Cancel),
        ],
        2000,
    ),
    (
        "a scheduled end of what was paid",
        &[(0, To(&[A])), (10, Later(&[]))],
        1000,
    ),
    // A discount that is gone.
    (
        "a coupon for one time",
        &[(0, With("free", &[B])), (10, To(&[FREE]))],
        0,
    ),
    (
        "a coupon for one time, then a year",
        &[(0, With("free", &[B])), (10, To(&[YEAR])), (20, Cancel)],
        1000,
    ),
    (
        "a coupon for one time, then an end",
        &[(0, With("free", &[B])), (10, Cancel)],
        0,
    ),
    (
        "a coupon that is taken away",
        &[(0, With("half", &[B])), (10, With("", &[FREE]))],
        1500,
    ),
    (
        "a coupon for one time, then a schedule",
        &[(0, With("free", &[B])), (10, Later(&[FREE]))],
        0,
    ),
    (
        "a coupon that goes on",
        &[(0, With("half", &[B])), (10, To(&[A])), (20, Cancel)],
        2000,
    ),
    // Paid time that an unpaid invoice has credited.
    (
        "a month, then a year",
        &[
            (0, To(&[B])),
            (10, Decline),
            (10, To(&[YEAR])),
            (20, Cancel),
        ],
        4000,
    ),
    (
        "a month, a year, then free",
        &[
            (0, To(&[B])),
            (10, Decline),
            (10, To(&[YEAR])),
            (20, To(&[FREE])),
        ],
        4000,
    ),
    (
        "two months, then a year",
        &[
            (0, To(&[A])),
            (5, To(&[B])),
            (10, Decline),
            (10, To(&[YEAR])),
            (20, Cancel),
        ],
        3000,
    ),
    (
        "a raise",
        &[(0, To(&[A])), (10, Decline), (10, Raise), (20, Cancel)],
        51_000,
    ),
    (
        "a raise, then free",
        &[(0, To(&[A])), (10, Decline), (10, Raise), (20, To(&[FREE]))],
        51_000,
    ),
    (
        "a void raise",
        &[
            (0, To(&[A])),
            (10, Decline),
            (10, Raise),
            (10, Void),
            (20, Cancel),
        ],
        2000,
    ),
    // More than one thing on one unpaid invoice.
    (
        "one of two goes, then the other",
        &[
            (0, Decline),
            (0, To(&[A, X])),
            (10, To(&[X])),
            (20, To(&[FREE])),
        ],
        11_000,
    ),
    (
        "both go in one second",
        &[
            (0, Decline),
            (0, To(&[A, X])),
            (10, To(&[X])),
            (10, To(&[FREE])),
        ],
        6000,
    ),
    (
        "one goes, the other ends",
        &[(0, Decline), (0, To(&[A, X])), (10, To(&[A])), (20, Cancel)],
        7000,
    ),
    // Beside what is not paid, what waits for the next invoice.
    (
        "unpaid beside waiting",
        &[(0, Decline), (0, To(&[A])), (10, To(&[A, X])), (20, Cancel)],
        7000,
    ),
    (
        "unpaid beside waiting, then a year",
        &[
            (0, Decline),
            (0, To(&[A])),
            (10, To(&[A, X])),
            (20, To(&[YEAR])),
            (30, Cancel),
        ],
        8000,
    ),
    (
        "there and back",
        &[
            (0, Decline),
            (0, To(&[A])),
            (10, To(&[B])),
            (20, To(&[A])),
            (30, Cancel),
        ],
        5000,
    ),
];

async fn start() -> TestApp {
    let app = TestApp::with(Settings::default()).await;
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

async fn take(app: &TestApp, step: &Step) {
    match step {
        Decline => pay_with(app, "pm_card_chargeCustomerFail").await,
        To(features) => app.subscribe("org:a", features).await,
        With(coupon, features) => {
            let phase = json!({"features": features, "coupon": coupon});
            schedule(app, json!([phase])).await.ok();
        }
        Later(features) => {
            let minute = Duration::from_secs(60);
            let clock = app.sandbox().clock();
            let at = DateTime::from_timestamp(clock.unix() + 60, 0).expect("a time");
            let phase = json!({"features": features, "effective": at.to_rfc3339()});
            schedule(app, json!([phase])).await.ok();
            app.advance(minute + minute);
            // Who reads next settles what happened meanwhile.
            app.get("/v1/phases?org=org:a").await.ok();
            app.settled().await;
        }
        Cancel => drop(schedule(app, json!([{}])).await.ok()),
        Raise => {
            let subscription = subscriptions(app).await[0].clone();
            let item = subscription["items"]["data"][0]["id"].as_str();
            let path = format!("/v1/subscription_items/{}", item.expect("an id"));
            let raise = [("quantity", "50"), ("proration_behavior", "always_invoice")];
            app.stripe_post(&path, &raise).await;
        }
        Void => {
            let invoices = list(app, "/v1/invoices?limit=100").await;
            let newest = invoices[0]["id"].as_str().expect("an id");
            app.stripe_post(&format!("/v1/invoices/{newest}/void"), &[])
                .await;
        }
    }
}

async fn list(app: &TestApp, path: &str) -> Vec<Value> {
    let list = app.stripe_get(path).await;
    list["data"].as_array().expect("a list").clone()
}

/// What all invoices charge, and what waits for the next one, without what was credited.
async fn owed(app: &TestApp) -> i64 {
    let sum = |list: &[Value], field: &str| -> i64 {
        let live = list.iter().filter(|one| one["status"] != "void");
        live.filter_map(|one| one[field].as_i64()).sum()
    };
    let invoices = list(app, "/v1/invoices?limit=100").await;
    let waiting = list(app, "/v1/invoiceitems?limit=100&pending=true").await;
    let mut notes = list(app, "/v1/credit_notes?limit=100").await;
    let is_void = |note: &Value| {
        let own = invoices
            .iter()
            .find(|invoice| invoice["id"] == note["invoice"]);
        own.is_some_and(|invoice| invoice["status"] == "void")
    };
    notes.retain(|note| !is_void(note));
    sum(&invoices, "total") + sum(&waiting, "amount") - sum(&notes, "amount")
}

#[tokio::test]
async fn what_is_owed_is_what_was_used() {
    let mut wrong = Vec::new();
    for (name, steps, expected) in LISTS {
        let app = start().await;
        let mut today = 0;
        for (day, step) in *steps {
            app.advance((*day - today) * DAY);
            today = *day;
            take(&app, step).await;
        }
        let owed = owed(&app).await;
        // Each credit is rounded, and a minute costs something.
        if (owed - expected).abs() > 4 {
            wrong.push(format!("{name}: {owed} in place of {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// One server has noted what is not paid of a plan, and ends another one, to which a second server has changed it.
#[tokio::test]
async fn an_end_that_meets_a_change_gives_back_what_that_charges() {
    let app = start().await;
    let other = app.twin();
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
    assert_eq!(owed(&app).await, 1000);
}
