//! A migration bills an org exactly as `subscribe` would.

use serde_json::{Value, json};

use tier::domain::Generation;

use super::{customer, day, ended, plans, pro, start, start_on, subscription, with};
use crate::harness::{DAY, GENERATIONS, START, TestApp};

/// The org's phases before the migration, and the request that makes the same move by hand.
struct Case {
    name: &'static str,
    /// The org's phases before the migration.
    has: Value,
    /// The phases of the request that moves the org by hand.
    asks: Value,
    has_card: bool,
    quantity: bool,
    used: i64,
}

impl Case {
    fn new(name: &'static str, has: Value, asks: Value) -> Self {
        Self {
            name,
            has,
            asks,
            has_card: true,
            quantity: false,
            used: 7,
        }
    }
}

fn cases() -> Vec<Case> {
    let before = json!([{"features": ["plan:pro@1"]}]);
    let after = json!([{"features": ["plan:pro@2"]}]);
    let plain = |name| Case::new(name, before.clone(), after.clone());
    vec![
        plain("plain"),
        Case {
            used: 0,
            ..plain("unused")
        },
        Case {
            has_card: false,
            ..plain("unpaid")
        },
        Case {
            quantity: true,
            ..plain("quantity")
        },
        Case::new(
            "with others",
            json!([{"features": ["plan:pro@1", "plan:addon@1"]}]),
            json!([{"features": ["plan:pro@2", "plan:addon@1"]}]),
        ),
        Case::new(
            "coupon",
            json!([{"features": ["plan:pro@1"], "coupon": "half"}]),
            after.clone(),
        ),
        Case {
            has_card: false,
            ..Case::new(
                "coupon unpaid",
                json!([{"features": ["plan:pro@1"], "coupon": "half"}]),
                after.clone(),
            )
        },
        Case::new(
            "coupon for a while",
            json!([{"features": ["plan:pro@1"], "coupon": "once"}]),
            after.clone(),
        ),
        Case::new(
            "trial",
            json!([{"features": ["plan:pro@1"], "trial": true}, {"features": ["plan:pro@1"], "effective": day(14)}]),
            json!([{"features": ["plan:pro@2"], "trial": true}, {"features": ["plan:pro@2"], "effective": day(14)}]),
        ),
        Case::new(
            "canceled later",
            json!([{"features": ["plan:pro@1"]}, {"effective": day(40)}]),
            json!([{"features": ["plan:pro@2"]}, {"effective": day(40)}]),
        ),
        Case::new(
            "another plan later",
            json!([{"features": ["plan:pro@1"]}, {"features": ["plan:addon@1"], "effective": day(20), "coupon": "half"}]),
            json!([{"features": ["plan:pro@2"]}, {"features": ["plan:addon@1"], "effective": day(20), "coupon": "half"}]),
        ),
        Case::new(
            "this plan later",
            json!([{"features": ["plan:free@1"]}, {"features": ["plan:pro@1"], "effective": day(20)}]),
            json!([{"features": ["plan:pro@2"], "effective": day(20)}]),
        ),
    ]
}

/// Creates the org of the case, and sets up its phases.
async fn set_up(app: &TestApp, org: &str, case: &Case) {
    if case.has_card {
        super::subscribe(app, org, case.has.clone()).await;
    } else {
        let request = json!({"org": org, "phases": case.has});
        app.post_json("/v1/subscribe", &request).await.ok();
    }
    if case.quantity {
        let items = subscription(app, org).await["items"]["data"].clone();
        let seat = items
            .as_array()
            .expect("items")
            .iter()
            .find(|item| item["quantity"] == 1);
        let id = seat.expect("a licensed item")["id"]
            .as_str()
            .expect("an id");
        app.stripe_post(
            &format!("/v1/subscription_items/{id}"),
            &[("quantity", "3")],
        )
        .await;
    }
    if case.used > 0 {
        app.report(org, "feature:calls", case.used).await;
    }
}

/// Everything that an org is billed, and its final state.
async fn outcome(app: &TestApp, org: &str) -> Value {
    let id = customer(app, org).await;
    let invoices = app
        .stripe_get(&format!("/v1/invoices?customer={id}&limit=100"))
        .await;
    let invoices: Vec<Value> = invoices["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|invoice| {
            let lines = invoice["lines"]["data"].as_array().expect("lines");
            let mut lines: Vec<String> = lines
                .iter()
                .map(|line| format!("{} {}", line["amount"], line["description"]))
                .collect();
            lines.sort();
            json!([
                invoice["created"],
                invoice["status"],
                invoice["total"],
                invoice["amount_remaining"],
                lines
            ])
        })
        .collect();
    let phases = app.get(&format!("/v1/phases?org={org}")).await.ok().json();
    let limits = app.limits(org).await;
    let balance = app.stripe_get(&format!("/v1/customers/{id}")).await["balance"].clone();
    json!({"invoices": invoices, "phases": phases, "limits": format!("{limits:?}"), "balance": balance})
}

async fn coupons(app: &TestApp) {
    for (id, duration) in [("half", "forever"), ("once", "once")] {
        let params = [("id", id), ("percent_off", "50"), ("duration", duration)];
        app.stripe_post("/v1/coupons", &params).await;
    }
}

/// Compares two equal orgs, of which a migration moves one, and a request moves the other by hand.
async fn compare(case: &Case, at: &str, asks: &Value) {
    let app = start().await;
    coupons(&app).await;
    for org in ["org:migrated", "org:by-hand"] {
        set_up(&app, org, case).await;
    }
    app.advance(3 * DAY);
    let request = with(
        with(pro(), "orgs", json!(["org:migrated"])),
        "at",
        json!(at),
    );
    let begun = app.post_json("/v1/migrate", &request).await.ok().json();
    let done = ended(&app, &begun).await;
    assert_eq!(
        (&done["done"], &done["failed"]),
        (&json!(1), &json!([])),
        "{}",
        case.name
    );
    let by_hand = json!({"org": "org:by-hand", "phases": asks});
    app.post_json("/v1/subscribe", &by_hand).await.ok();
    for (days, used) in [(4, 5), (25, 0), (33, 6), (70, 0)] {
        app.set_clock(START + days * 86_400);
        for org in ["org:migrated", "org:by-hand"] {
            // A read completes what a change has left undone.
            app.limits(org).await;
            app.settled().await;
            let has_calls = app
                .limits(org)
                .await
                .iter()
                .any(|row| row.0 == "feature:calls");
            if used > 0 && has_calls {
                app.report(org, "feature:calls", used).await;
            }
        }
        let migrated = outcome(&app, "org:migrated").await;
        let by_hand = outcome(&app, "org:by-hand").await;
        assert_eq!(migrated, by_hand, "{} {at}, after {days} days", case.name);
    }
}

#[tokio::test]
async fn a_migration_now_bills_like_a_change_by_hand() {
    for case in cases() {
        compare(&case, "now", &case.asks).await;
    }
}

#[tokio::test]
async fn a_migration_at_the_period_end_bills_like_a_change_by_hand() {
    for case in cases()
        .into_iter()
        .filter(|case| case.has.as_array().map(Vec::len) == Some(1))
    {
        let mut asks = case.asks.clone();
        asks[0]["effective"] = json!(day(31));
        compare(&case, "period_end", &asks).await;
    }
}

#[tokio::test]
async fn a_migration_at_a_given_time_bills_like_a_change_by_hand() {
    for case in cases()
        .into_iter()
        .filter(|case| case.has.as_array().map(Vec::len) == Some(1))
    {
        let mut asks = case.asks.clone();
        asks[0]["effective"] = json!(day(10));
        compare(&case, &day(10), &asks).await;
    }
}

/// What Stripe's previews leave out: credit notes, credits to the customer's balance, and changes that are scheduled
/// for later.
const NOT_PREVIEWED: [&str; 4] = [
    "unpaid",
    "coupon unpaid",
    "coupon for a while",
    "another plan later",
];

/// A dry run shows what is billed up to and including the next regular invoice, provided that no more is used.
#[tokio::test]
async fn a_dry_run_shows_the_next_bill() {
    let mut others = Vec::new();
    for generation in GENERATIONS {
        for case in cases() {
            for at in ["now", "period_end"] {
                let is_previewed = at != "now" || !NOT_PREVIEWED.contains(&case.name);
                if is_previewed && let Some(other) = other_bill(generation, &case, at).await {
                    others.push(format!("{generation:?} {} {at}: {other}", case.name));
                }
            }
        }
    }
    assert!(others.is_empty(), "{others:#?}");
}

/// How the next bill differs from the dry run's bill, if they differ.
async fn other_bill(generation: Generation, case: &Case, at: &str) -> Option<String> {
    let app = start_on(generation).await;
    coupons(&app).await;
    set_up(&app, "org:a", case).await;
    app.advance(3 * DAY);
    let request = with(with(pro(), "at", json!(at)), "dry_run", json!(true));
    let plan = app.post_json("/v1/migrate", &request).await.ok().json();
    let planned = plan["orgs"].as_array()?.first()?.clone();
    let before = invoices(&app).await.len();
    super::migrate(&app, &with(pro(), "at", json!(at))).await;
    let at_once = invoices(&app).await.len();
    for days in 4..45 {
        app.set_clock(START + days * 86_400);
        app.limits("org:a").await;
        app.settled().await;
        if invoices(&app).await.len() > at_once {
            break;
        }
    }
    let mut billed = invoices(&app).await;
    billed.truncate(billed.len() - before);
    let sum: i64 = billed.iter().sum();
    let planned = &planned["next_bill"];
    (*planned != sum).then(|| format!("{planned} planned, {billed:?} billed"))
}

/// The totals of the org's invoices, newest first.
async fn invoices(app: &TestApp) -> Vec<i64> {
    let id = customer(app, "org:a").await;
    let invoices = app
        .stripe_get(&format!("/v1/invoices?customer={id}&limit=100"))
        .await;
    let invoices = invoices["data"].as_array().expect("a list").iter();
    invoices
        .map(|invoice| invoice["total"].as_i64().expect("cents"))
        .collect()
}

#[tokio::test]
async fn with_a_ledger_usage_is_billed_at_the_price_before_the_move() {
    let folder = tempfile::tempdir().expect("a folder");
    let stripe = start().await;
    let app = stripe.with_ledger(&folder.path().join("ledger")).await;
    super::subscribe(&app, "org:a", json!([{"features": ["plan:pro@1"]}])).await;
    app.report("org:a", "feature:calls", 40).await;
    app.advance(2 * DAY);
    app.report("org:a", "feature:calls", 2).await;
    super::migrate(&app, &pro()).await;
    app.report("org:a", "feature:calls", 3).await;
    assert_eq!(plans(&app, "org:a").await, json!(["plan:pro@2"]));
    let calls = app
        .limits("org:a")
        .await
        .into_iter()
        .find(|row| row.0 == "feature:calls");
    assert_eq!(calls, Some(("feature:calls".to_owned(), 45, 10)));
    for _ in 0..3 {
        app.advance(DAY);
        app.domain().deliver().await.expect("Stripe takes it");
    }
    app.set_clock(START + 32 * 86_400);
    let id = customer(&app, "org:a").await;
    let lists = app
        .stripe_get(&format!("/v1/invoices?customer={id}&limit=100"))
        .await;
    let lines = lists["data"].as_array().expect("a list").iter();
    let lines = lines.flat_map(|invoice| invoice["lines"]["data"].as_array().expect("lines"));
    let metered = lines.filter(|line| {
        line["price"]["recurring"]["usage_type"] == "metered"
            || line["description"]
                .as_str()
                .is_some_and(|text| text.contains("calls"))
    });
    let total: i64 = metered.filter_map(|line| line["amount"].as_i64()).sum();
    assert_eq!(total, 42 + 6);
}
