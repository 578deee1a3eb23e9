//! A credit never exceeds what was paid.

use serde_json::{Value, json};

use std::time::Duration;

use stripe_sandbox::{Action, Rule};

use super::{schedule, subscriptions};
use crate::harness::{DAY, Settings, TestApp};

const BAD_CARD: &str = "pm_card_chargeCustomerFail";

/// An org whose card is declined, or which has none, on a plan of 3100 a month that also counts calls.
async fn start(card: &str) -> TestApp {
    start_with(Settings::default(), card, 0).await
}

/// Likewise, on an account with other settings, where the customer has a `balance`.
async fn start_with(settings: Settings, card: &str, balance: i64) -> TestApp {
    let app = TestApp::with(settings).await;
    app.push(&json!({"plans": {
        "plan:big@1": {"features": {"feature:k": {"base": 3100}, "feature:calls": {"tiers": [{"price": 10}]}}},
        "plan:small@1": {"features": {"feature:k": {"base": 310}, "feature:calls": {"tiers": [{"price": 10}]}}},
        "plan:tiny@1": {"features": {"feature:k": {"base": 31}}},
        "plan:yearly@1": {"interval": "@yearly", "features": {"feature:k": {"base": 31000}}},
    }}))
    .await;
    if balance != 0 {
        let body = json!({"org": "org:a", "info": {"name": "A"}});
        app.post_json("/v1/subscribe", &body).await.ok();
        let path = format!("/v1/customers/{}", id(&customer(&app).await));
        let balance = balance.to_string();
        app.stripe_post(&path, &[("balance", &balance)]).await;
    }
    let mut body = json!({"org": "org:a", "phases": [{"features": ["plan:big@1"]}]});
    if !card.is_empty() {
        body["info"] =
            json!({"payment_method": card, "invoice_settings": {"default_payment_method": card}});
    }
    app.post_json("/v1/subscribe", &body).await.ok();
    app
}

fn id(object: &Value) -> &str {
    object["id"].as_str().expect("an id")
}

async fn customer(app: &TestApp) -> Value {
    let org = app.get("/v1/whois?org=org:a").await.ok().json();
    let id = org["stripe_id"].as_str().expect("an id");
    app.stripe_get(&format!("/v1/customers/{id}")).await
}

/// Of each invoice, oldest first: its status and what remains due.
async fn invoices(app: &TestApp) -> Vec<(String, i64)> {
    let list = app.stripe_get("/v1/invoices?limit=100").await;
    let list = list["data"].as_array().expect("a list").iter().rev();
    let row = |invoice: &Value| {
        let status = invoice["status"].as_str().expect("a status").to_owned();
        (status, invoice["amount_remaining"].as_i64().expect("cents"))
    };
    list.map(row).collect()
}

fn row(status: &str, due: i64) -> (String, i64) {
    (status.to_owned(), due)
}

#[tokio::test]
async fn an_invoice_for_nothing_but_unused_time_is_voided() {
    for card in [BAD_CARD, ""] {
        let app = start(card).await;
        schedule(&app, json!([{}])).await.ok();
        assert_eq!(customer(&app).await["balance"], 0);
        assert_eq!(invoices(&app).await[0], row("void", 3100), "{card:?}");
    }
}

#[tokio::test]
async fn what_was_used_stays_due() {
    for card in [BAD_CARD, ""] {
        let app = start(card).await;
        app.report("org:a", "feature:calls", 5).await;
        app.advance(10 * DAY);
        schedule(&app, json!([{}])).await.ok();
        assert_eq!(customer(&app).await["balance"], 0);
        // Ten days of 31, and the calls.
        assert_eq!(
            invoices(&app).await,
            [row("open", 1000), row("open", 50)],
            "{card:?}"
        );
    }
}

#[tokio::test]
async fn what_was_paid_is_given_back_as_before() {
    let app = start("pm_card_visa").await;
    app.advance(10 * DAY);
    schedule(&app, json!([{}])).await.ok();
    assert_eq!(customer(&app).await["balance"], -2100);
}

#[tokio::test]
async fn the_same_plan_again_is_paid_for() {
    let app = start(BAD_CARD).await;
    schedule(&app, json!([{}])).await.ok();
    let info = json!({"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}});
    let body = json!({"org": "org:a", "info": info, "phases": [{"features": ["plan:big@1"]}]});
    app.post_json("/v1/subscribe", &body).await.ok();
    let list = app.stripe_get("/v1/invoices?limit=100").await;
    let paid = list["data"].as_array().expect("a list").iter();
    let paid: i64 = paid
        .filter_map(|invoice| invoice["amount_paid"].as_i64())
        .sum();
    assert_eq!(paid, 3100);
}

#[tokio::test]
async fn a_period_that_restarts_brings_no_credit() {
    let app = start("").await;
    app.advance(10 * DAY);
    app.subscribe("org:a", &["plan:yearly@1"]).await;
    assert_eq!(customer(&app).await["balance"], 0);
    assert_eq!(
        invoices(&app).await.first(),
        Some(&row("open", 1000)),
        "the days that were used"
    );
    assert_eq!(invoices(&app).await.last(), Some(&row("open", 31000)));
    assert_eq!(subscriptions(&app).await.len(), 1);
}

/// What waits for the next invoice, smallest first, in cents.
async fn pending(app: &TestApp) -> Vec<i64> {
    let list = app
        .stripe_get("/v1/invoiceitems?pending=true&limit=100")
        .await;
    let list = list["data"].as_array().expect("a list").iter();
    let mut amounts: Vec<i64> = list.filter_map(|item| item["amount"].as_i64()).collect();
    amounts.sort_unstable();
    amounts
}

/// The first invoice, as the org's owner may treat it in Stripe's dashboard.
async fn treat(app: &TestApp, action: &str) {
    let first = &app.stripe_get("/v1/invoices").await["data"][0];
    let path = format!("/v1/invoices/{}/{action}", id(first));
    app.stripe_post(&path, &[]).await;
}

#[tokio::test]
async fn a_downgrade_takes_unused_time_off_what_is_not_paid() {
    for (card, action, first) in [
        (BAD_CARD, "", row("open", 1000)),
        ("", "", row("open", 1000)),
        ("", "mark_uncollectible", row("uncollectible", 1000)),
        ("", "void", row("void", 3100)),
    ] {
        let app = start(card).await;
        app.advance(10 * DAY);
        if !action.is_empty() {
            treat(&app, action).await;
        }
        app.subscribe("org:a", &["plan:small@1"]).await;
        let case = format!("{card:?} {action:?}");
        assert_eq!(invoices(&app).await[0], first, "{case}");
        assert_eq!(pending(&app).await, [210], "{case}");
        // There and back: what the next invoice charges is credited there.
        app.advance(5 * DAY);
        app.subscribe("org:a", &["plan:big@1"]).await;
        app.advance(5 * DAY);
        app.subscribe("org:a", &["plan:small@1"]).await;
        assert_eq!(invoices(&app).await[0], first, "{case}");
        assert_eq!(pending(&app).await, [-1100, -160, 110, 210, 1600], "{case}");
        assert_eq!(customer(&app).await["balance"], 0, "{case}");
        assert_eq!(subscriptions(&app).await.len(), 1);
    }
}

/// However late somebody comes, each change takes off what it gave back.
#[tokio::test]
async fn scheduled_changes_that_nobody_saw_are_settled_one_by_one() {
    for (second, due) in [("plan:tiny@1", 1000), ("plan:big@1", 1000)] {
        let mut seen = Vec::new();
        for reads in [true, false] {
            let app = start(BAD_CARD).await;
            let later = json!([
                {"effective": "2023-01-11T00:00:00Z", "features": ["plan:small@1"]},
                {"effective": "2023-01-21T00:00:00Z", "features": [second]},
            ]);
            schedule(&app, later).await.ok();
            for _ in 0..2 {
                app.advance(10 * DAY);
                if reads {
                    app.get("/v1/limits?org=org:a").await.ok();
                    app.settled().await;
                }
            }
            app.advance(DAY);
            app.get("/v1/limits?org=org:a").await.ok();
            app.settled().await;
            assert_eq!(
                invoices(&app).await[0],
                row("open", due),
                "{second} {reads}"
            );
            seen.push((pending(&app).await, customer(&app).await["balance"].clone()));
        }
        assert_eq!(seen[0], seen[1], "{second}");
    }
}

/// What Stripe refuses to take off at first is taken off by who comes later.
#[tokio::test]
async fn a_scheduled_change_whose_settlement_is_refused_is_settled_later() {
    let app = start(BAD_CARD).await;
    let later = json!([{"effective": "2023-01-11T00:00:00Z", "features": ["plan:small@1"]}]);
    schedule(&app, later).await.ok();
    app.advance(11 * DAY);
    let refuse = Rule::new("POST", "/v1/credit_notes", Action::Status(400, None));
    app.sandbox().add_fault(refuse);
    for due in [3100, 1000] {
        app.get("/v1/limits?org=org:a").await.ok();
        app.settled().await;
        assert_eq!(invoices(&app).await[0], row("open", due));
        app.sandbox().clear_faults();
        app.advance(DAY);
    }
}

#[tokio::test]
async fn a_downgrade_of_what_was_paid_is_credited_by_stripe() {
    let app = start("pm_card_visa").await;
    app.advance(10 * DAY);
    app.subscribe("org:a", &["plan:small@1"]).await;
    assert_eq!(invoices(&app).await[0], row("paid", 0));
    assert_eq!(pending(&app).await, [-2100, 210]);
}

/// Nobody has paid an invoice that is a draft yet.
#[tokio::test]
async fn unused_time_is_taken_off_a_draft_before_it_is_charged() {
    for (card, status) in [("pm_card_visa", "paid"), ("", "open")] {
        for cancel in [false, true] {
            let settings = Settings {
                invoice_draft: Duration::from_secs(3600),
                ..Settings::default()
            };
            let app = start_with(settings, card, 0).await;
            app.report("org:a", "feature:calls", 5).await;
            app.advance(Duration::from_secs(1860));
            assert_eq!(invoices(&app).await, [row("draft", 3100)]);
            let phase = if cancel {
                json!({})
            } else {
                json!({"features": ["plan:small@1"]})
            };
            schedule(&app, json!([phase])).await.ok();
            app.advance(DAY);
            let first = app.stripe_get("/v1/invoices").await["data"].clone();
            let first = first.as_array().expect("a list").last().expect("one");
            // 1860 s of 31 days.
            let used = 3100 - (3100_i64 * (31 * 86_400 - 1860) + 31 * 86_400 - 1) / (31 * 86_400);
            let seen = (&first["status"], &first["total"]);
            let due = first["amount_due"].as_i64();
            assert_eq!(
                (seen.0, due),
                (&json!(status), Some(used)),
                "{card} {cancel} {first:#}"
            );
            assert_eq!(customer(&app).await["balance"], 0);
        }
    }
}

/// What the owner has given back in Stripe was not paid for in the end.
#[tokio::test]
async fn what_the_owner_has_given_back_is_not_given_back_again() {
    let note = |more: &[(&'static str, &str)]| {
        let more = more.iter().map(|(key, value)| (*key, (*value).to_owned()));
        ("/v1/credit_notes", more.collect::<Vec<_>>())
    };
    let refund = |amount: &str| ("/v1/refunds", vec![("amount", amount.to_owned())]);
    // What is done, and the cents that are owed to the customer ten days later.
    for (card, (path, given), credit) in [
        ("pm_card_visa", refund("3100"), 0),
        ("pm_card_visa", refund("1000"), 2100),
        ("pm_card_visa", refund("2000"), 1100),
        (
            "pm_card_visa",
            note(&[("amount", "3100"), ("refund_amount", "3100")]),
            0,
        ),
        (
            "pm_card_visa",
            note(&[("amount", "2000"), ("out_of_band_amount", "2000")]),
            1100,
        ),
        ("", note(&[("amount", "3100")]), 0),
        (
            "",
            note(&[
                ("lines[0][type]", "invoice_line_item"),
                ("lines[0][amount]", "3100"),
            ]),
            0,
        ),
    ] {
        for cancel in [true, false] {
            let app = start(card).await;
            let invoice = app.stripe_get("/v1/invoices").await["data"][0].clone();
            let mut params: Vec<(&'static str, &str)> = given
                .iter()
                .map(|(key, value)| (*key, value.as_str()))
                .collect();
            if path == "/v1/refunds" {
                params.push(("charge", invoice["charge"].as_str().expect("a charge")));
            } else {
                params.push(("invoice", id(&invoice)));
            }
            let lines = invoice["lines"]["data"].as_array().expect("a list");
            if given.iter().any(|(key, _)| *key == "lines[0][type]") {
                let line = lines.iter().find(|line| line["amount"] == 3100);
                params.push(("lines[0][invoice_line_item]", id(line.expect("a line"))));
            }
            app.stripe_post(path, &params).await;
            app.advance(10 * DAY);
            let phase = if cancel {
                json!({})
            } else {
                json!({"features": ["plan:small@1"]})
            };
            schedule(&app, json!([phase])).await.ok();
            let balance = customer(&app).await["balance"].as_i64().expect("cents");
            let waiting: i64 = pending(&app).await.iter().sum();
            let new = if cancel { 0 } else { 210 };
            assert_eq!(
                balance + waiting - new,
                -credit,
                "{path} {given:?} {cancel}"
            );
        }
    }
}

/// Stripe keeps fifty pairs of metadata, and what cannot be noted would be lost.
#[tokio::test]
async fn a_subscription_whose_metadata_is_full_is_not_changed_but_can_be_cancelled() {
    for count in [35, 47, 48, 49, 50] {
        let app = start("").await;
        app.report("org:a", "feature:calls", 20).await;
        app.advance(10 * DAY);
        let subscription = subscriptions(&app).await[0].clone();
        let path = format!("/v1/subscriptions/{}", id(&subscription));
        let ours = subscription["metadata"].as_object().expect("pairs").len();
        for i in ours..count {
            let key: &'static str = Box::leak(format!("metadata[app{i}]").into_boxed_str());
            app.stripe_post(&path, &[(key, "x")]).await;
        }
        let small = json!([{"features": ["plan:small@1"]}]);
        let answer = schedule(&app, small).await;
        if count > 35 {
            let message = answer.fails(400, "invalid_request").json()["message"].clone();
            assert!(
                message
                    .as_str()
                    .is_some_and(|text| text.contains("metadata")),
                "{message}"
            );
            assert_eq!(invoices(&app).await[0], row("open", 3100));
        } else {
            answer.ok();
        }
        schedule(&app, json!([{}])).await.ok();
        let due: i64 = invoices(&app).await.iter().map(|row| row.1).sum();
        assert!(
            (1200..=1201).contains(&due),
            "{count}: {:?}",
            invoices(&app).await
        );
        assert_eq!(customer(&app).await["balance"], 0, "{count}");
    }
}

/// Stripe credits unused time that nobody has paid as it ends a subscription, and takes what was used off that.
#[tokio::test]
async fn usage_before_a_scheduled_end_of_what_was_not_paid_is_charged() {
    for reads in [false, true] {
        let app = start("").await;
        app.report("org:a", "feature:calls", 20).await;
        let end = json!([{"effective": "2023-01-11T00:00:00Z"}]);
        schedule(&app, end).await.ok();
        app.advance(11 * DAY);
        app.get("/v1/limits?org=org:a").await.ok();
        app.settled().await;
        if reads {
            let twin = app.twin();
            twin.get("/v1/limits?org=org:a").await.ok();
            twin.settled().await;
        }
        app.advance(DAY);
        let due: i64 = invoices(&app).await.iter().map(|row| row.1).sum();
        let balance = customer(&app).await["balance"].as_i64().expect("cents");
        assert_eq!(pending(&app).await, [0; 0], "{reads}");
        // Ten days, and twenty calls.
        assert_eq!(
            due + balance,
            1000 + 200,
            "{reads} {:?}",
            invoices(&app).await
        );
        assert_eq!(balance, 0, "{reads}");
    }
}

/// The period begins again, minutes after it was charged and not paid.
#[tokio::test]
async fn a_trial_soon_after_what_was_not_paid() {
    for minutes in [1, 4, 6] {
        let app = start("").await;
        app.advance(Duration::from_secs(60 * minutes));
        let trial = json!([{"trial": true, "features": ["plan:big@1"]}]);
        schedule(&app, trial).await.ok();
        let first = invoices(&app).await[0].clone();
        assert!(first.0 == "void" || first.1 <= 1, "{minutes}: {first:?}");
        assert_eq!(customer(&app).await["balance"], 0);
        assert_eq!(pending(&app).await, [0; 0]);
    }
}

/// A draft that is finalized so that something can be taken off it is collected, whatever fails in between.
#[tokio::test]
async fn a_draft_that_was_held_back_is_collected() {
    let fails = |path| Rule::new("POST", path, Action::Status(500, None));
    for (rule, what) in [
        (fails("/v1/invoices/*/finalize"), "finalize"),
        (fails("/v1/invoices/*/finalize").after(), "finalize after"),
        (fails("/v1/credit_notes"), "credit note"),
        (fails("/v1/credit_notes").after(), "credit note after"),
        (fails("/v1/subscriptions/*"), "settled"),
    ] {
        for cancel in [false, true] {
            let settings = Settings {
                invoice_draft: Duration::from_secs(3600),
                ..Settings::default()
            };
            let app = start_with(settings, "pm_card_visa", 0).await;
            app.advance(Duration::from_secs(1860));
            let phase = if cancel {
                json!({})
            } else {
                json!({"features": ["plan:small@1"]})
            };
            app.sandbox().add_fault(rule.clone());
            schedule(&app, json!([phase])).await;
            app.sandbox().clear_faults();
            let twin = app.twin();
            schedule(&twin, json!([phase])).await.ok();
            twin.get("/v1/limits?org=org:a").await.ok();
            twin.settled().await;
            app.advance(DAY);
            assert_eq!(invoices(&app).await[0], row("paid", 0), "{what} {cancel}");
        }
    }
}

/// What the customer's balance has paid of an invoice goes back there.
#[tokio::test]
async fn what_the_balance_has_paid_is_given_back() {
    for (balance, due, back) in [(-1000, 0, 0), (-500, 500, 0), (-2000, 0, -1000)] {
        for cancel in [false, true] {
            let app = start_with(Settings::default(), "", balance).await;
            assert_eq!(invoices(&app).await, [row("open", 3100 + balance)]);
            app.advance(10 * DAY);
            let phase = if cancel {
                json!({})
            } else {
                json!({"features": ["plan:small@1"]})
            };
            schedule(&app, json!([phase])).await.ok();
            let case = format!("{balance} {cancel}");
            assert_eq!(invoices(&app).await[0].1, due, "{case}");
            assert_eq!(customer(&app).await["balance"], back, "{case}");
        }
    }
}

#[tokio::test]
async fn an_invoice_that_is_voided_gives_the_balance_back() {
    let app = start_with(Settings::default(), "", -1000).await;
    schedule(&app, json!([{}])).await.ok();
    assert_eq!(invoices(&app).await[0].0, "void");
    assert_eq!(customer(&app).await["balance"], -1000);
}

/// A discount is taken off what is credited too.
#[tokio::test]
async fn what_is_taken_off_has_its_discount() {
    let app = start("").await;
    schedule(&app, json!([{}])).await.ok();
    let half = [
        ("id", "half"),
        ("percent_off", "50"),
        ("duration", "forever"),
    ];
    app.stripe_post("/v1/coupons", &half).await;
    schedule(
        &app,
        json!([{"features": ["plan:big@1"], "coupon": "half"}]),
    )
    .await
    .ok();
    app.advance(10 * DAY);
    app.subscribe("org:a", &["plan:small@1"]).await;
    assert!(invoices(&app).await.contains(&row("open", 500)));
}

/// Whatever fails after the time was given back, the next call for the org makes up for it, once.
#[tokio::test]
async fn what_could_not_be_taken_off_is_taken_off_by_the_next_call() {
    let cut = |action| Rule::new("POST", "/v1/credit_notes", action);
    let fails = |method, path| Rule::new(method, path, Action::Status(500, None));
    for cancel in [false, true] {
        for (rule, what) in [
            (cut(Action::Status(500, None)), "500"),
            (cut(Action::Drop), "drop"),
            (cut(Action::Drop).after(), "drop after"),
            (fails("DELETE", "/v1/invoiceitems/*"), "credit"),
        ] {
            if cancel && what == "credit" {
                continue;
            }
            for next in ["same", "limits", "phases", "late"] {
                if what != "drop after" && matches!(next, "phases" | "late") {
                    continue;
                }
                let app = start(BAD_CARD).await;
                app.report("org:a", "feature:calls", 5).await;
                app.advance(10 * DAY);
                app.sandbox().add_fault(rule.clone());
                let phases = if cancel {
                    json!([{}])
                } else {
                    json!([{"features": ["plan:small@1"]}])
                };
                let answer = schedule(&app, phases.clone()).await;
                let case = format!("{cancel} {what} {next}");
                assert_eq!(answer.status, 502, "{case}");
                app.sandbox().clear_faults();
                // Another server knows nothing of it.
                let app = app.twin();
                let get = async |path: &str| {
                    app.get(path).await.ok();
                    app.settled().await;
                };
                match next {
                    "same" => drop(schedule(&app, phases).await.ok()),
                    "limits" => get("/v1/limits?org=org:a").await,
                    "phases" => get("/v1/phases?org=org:a").await,
                    _ => {
                        app.advance(DAY + DAY);
                        get("/v1/phases?org=org:a").await;
                    }
                }
                assert_eq!(invoices(&app).await[0], row("open", 1000), "{case}");
                let credits = pending(&app).await.into_iter().filter(|amount| *amount < 0);
                assert_eq!(credits.count(), 0, "{case}");
                assert_eq!(customer(&app).await["balance"], 0, "{case}");
                get("/v1/phases?org=org:a").await;
                assert_eq!(invoices(&app).await[0], row("open", 1000), "{case}");
            }
        }
    }
}
