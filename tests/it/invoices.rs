//! `GET /v1/invoices`: what an org has been billed, and what its next invoice will bill.

use serde_json::{Value, json};

use tier::domain::Generation;

use crate::harness::{DAY, GENERATIONS, TestApp};

/// A plan with a seat, and with calls of which two are included.
async fn start() -> TestApp {
    start_on(Generation::Classic).await
}

async fn start_on(generation: Generation) -> TestApp {
    let app = TestApp::of(generation).await;
    let calls = json!({"title": "Calls", "tiers": [{"upto": 2}, {"price": 50}]});
    let seat = json!({"title": "Seat", "base": 1000});
    app.push(&json!({"plans": {
        "plan:pro@1": {"title": "Pro", "features": {"feature:seat": seat, "feature:calls": calls}},
        "plan:free@1": {"features": {"feature:calls": {"tiers": [{"upto": 2}]}}},
    }}))
    .await;
    app
}

/// Subscribes an org that has a card.
async fn subscribe(app: &TestApp) {
    let card = json!({"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}});
    let request =
        json!({"org": "org:acme", "info": card, "phases": [{"features": ["plan:pro@1"]}]});
    app.post_json("/v1/subscribe", &request).await.ok();
}

async fn invoices(app: &TestApp, query: &str) -> Value {
    let path = format!("/v1/invoices?org=org:acme{query}");
    app.get(&path).await.ok().json()
}

fn ids(answer: &Value) -> Vec<&str> {
    let all = answer["invoices"].as_array().expect("a list");
    all.iter().filter_map(|one| one["id"].as_str()).collect()
}

#[tokio::test]
async fn a_paid_invoice_and_the_next_one_to_the_byte() {
    let app = start().await;
    subscribe(&app).await;
    app.report("org:acme", "feature:calls", 5).await;
    let path = "/v1/invoices?org=org:acme&include=upcoming";
    let answer = app.get(path).await.ok();
    let invoice = &answer.json()["invoices"][0];
    let text = |field: &str| invoice[field].as_str().expect("a text").to_owned();
    let body = answer
        .body
        .replace(&text("url"), "https://stripe.example/in_1")
        .replace(&text("number"), "N-0001")
        .replace(&text("id"), "in_1");
    insta::assert_snapshot!(body);
}

#[tokio::test]
async fn a_month_that_was_used_is_on_the_next_invoice_and_then_billed() {
    for generation in GENERATIONS {
        let app = start_on(generation).await;
        subscribe(&app).await;
        app.report("org:acme", "feature:calls", 5).await;
        app.forget_calls();
        let next = invoices(&app, "&include=upcoming").await["upcoming"].clone();
        let (old, new) = (
            app.sent("GET /v1/invoices/upcoming").len(),
            app.sent("POST /v1/invoices/create_preview").len(),
        );
        match generation {
            Generation::Classic => assert_eq!((old, new), (1, 0)),
            Generation::Meters => assert_eq!((old, new), (0, 1)),
        }
        assert_eq!(
            (&next["total"], &next["remaining"]),
            (&json!(1150), &json!(1150))
        );
        assert_eq!(next.get("id"), None, "it is not an invoice yet");
        app.advance(31 * DAY);
        let after = invoices(&app, "").await;
        let billed = &after["invoices"][0];
        assert_eq!(after.get("upcoming"), None, "it was not requested");
        assert_eq!(billed["lines"], next["lines"], "{generation:?}");
        assert_eq!(
            (&billed["total"], &billed["paid"]),
            (&json!(1150), &json!(1150))
        );
        assert_eq!(
            (&billed["status"], &billed["remaining"]),
            (&json!("paid"), &json!(0))
        );
    }
}

#[tokio::test]
async fn a_next_invoice_of_many_lines_is_whole() {
    for generation in GENERATIONS {
        let app = start_on(generation).await;
        let seats = (0..13).map(|i| (format!("feature:seat{i}"), json!({"base": 100 + i})));
        let seats: serde_json::Map<String, Value> = seats.collect();
        let calls = json!({"tiers": [{"price": 1}]});
        app.push(&json!({"plans": {
            "plan:wide@1": {"features": seats}, "plan:calls@1": {"features": {"feature:used": calls}},
        }}))
        .await;
        app.subscribe("org:acme", &["plan:wide@1", "plan:calls@1"])
            .await;
        app.report("org:acme", "feature:used", 3).await;
        let next = invoices(&app, "&include=upcoming").await["upcoming"].clone();
        let lines = next["lines"].as_array().expect("a list");
        let features = lines.iter().filter_map(|line| line["feature"].as_str());
        assert_eq!(features.count(), 14, "{generation:?}: {lines:?}");
        let sum: i64 = lines
            .iter()
            .filter_map(|line| line["amount"].as_i64())
            .sum();
        assert_eq!(next["total"], json!(sum));
    }
}

#[tokio::test]
async fn an_invoice_that_cannot_be_paid_stays_open() {
    let app = start().await;
    let info = json!({"payment_method": "pm_card_chargeCustomerFail"});
    let request =
        json!({"org": "org:acme", "info": info, "phases": [{"features": ["plan:free@1"]}]});
    app.post_json("/v1/subscribe", &request).await.ok();
    app.subscribe("org:acme", &["plan:pro@1"]).await;
    app.advance(31 * DAY);
    let answer = invoices(&app, "").await;
    let open = &answer["invoices"][0];
    assert_eq!(
        (&open["status"], &open["paid"]),
        (&json!("open"), &json!(0))
    );
    assert_eq!(open["remaining"], open["total"]);
}

#[tokio::test]
async fn pages_go_back_in_time() {
    let app = start().await;
    app.subscribe("org:acme", &["plan:pro@1"]).await;
    for _ in 0..4 {
        app.advance(31 * DAY);
    }
    let all = invoices(&app, "").await;
    let all = ids(&all);
    assert_eq!(all.len(), 5);
    let (mut paged, mut query) = (Vec::new(), "&limit=2".to_owned());
    for _ in 0..3 {
        let page = invoices(&app, &query).await;
        paged.extend(ids(&page).into_iter().map(str::to_owned));
        query = match page["next"].as_str() {
            Some(next) => format!("&limit=2&after={next}"),
            None => String::new(),
        };
    }
    assert_eq!(paged, all);
    assert_eq!(query, "", "the last page says that it is the last");
}

#[tokio::test]
async fn all_lines_are_there_however_many() {
    let app = TestApp::start().await;
    let seat = json!({"base": 100});
    let features: serde_json::Map<String, Value> = (0..15)
        .map(|number| (format!("feature:f{number}"), seat.clone()))
        .collect();
    app.push(&json!({"plans": {"plan:big@1": {"features": features}}}))
        .await;
    app.subscribe("org:acme", &["plan:big@1"]).await;
    let answer = invoices(&app, "&include=upcoming").await;
    for invoice in [&answer["invoices"][0], &answer["upcoming"]] {
        let lines = invoice["lines"].as_array().expect("lines");
        assert_eq!((lines.len(), &invoice["total"]), (15, &json!(1500)));
    }
}

#[tokio::test]
async fn an_org_that_is_billed_nothing_more_has_no_next_invoice() {
    let app = start().await;
    let none = json!({"org": "org:acme", "invoices": []});
    let request = json!({"org": "org:acme", "info": {}});
    app.post_json("/v1/subscribe", &request).await.ok();
    assert_eq!(invoices(&app, "&include=upcoming").await, none);
    app.subscribe("org:acme", &["plan:pro@1"]).await;
    let cancel = json!({"org": "org:acme", "phases": [{}]});
    app.post_json("/v1/subscribe", &cancel).await.ok();
    let ended = invoices(&app, "&include=upcoming").await;
    assert_eq!(ended.get("upcoming"), None);
    assert!(!ids(&ended).is_empty(), "what was billed stays");
}

#[tokio::test]
async fn what_others_bill_the_customer_is_listed_without_a_feature() {
    let app = start().await;
    app.subscribe("org:acme", &["plan:free@1"]).await;
    let whois = app.get("/v1/whois?org=org:acme").await.ok().json();
    let customer = whois["stripe_id"].as_str().expect("an id");
    let params = [
        ("customer", customer),
        ("amount", "700"),
        ("currency", "usd"),
    ];
    app.stripe_post("/v1/invoiceitems", &params).await;
    let next = invoices(&app, "&include=upcoming").await["upcoming"].clone();
    assert_eq!(next["total"], 700);
    let others = next["lines"].as_array().expect("lines").iter();
    let others: Vec<_> = others
        .filter(|line| line.get("feature").is_none())
        .collect();
    assert_eq!(others.len(), 1);
    assert_eq!(others[0]["amount"], 700);
}

#[tokio::test]
async fn invoices_of_a_deleted_customer_are_org_not_found() {
    let app = start().await;
    app.subscribe("org:acme", &["plan:pro@1"]).await;
    let whois = app.get("/v1/whois?org=org:acme").await.ok().json();
    let id = whois["stripe_id"].as_str().expect("an id");
    app.stripe_delete(&format!("/v1/customers/{id}")).await;
    app.get("/v1/invoices?org=org:acme")
        .await
        .fails(400, "org_not_found");
}

#[tokio::test]
async fn invalid_limits_and_cursors_are_refused() {
    let app = start().await;
    app.subscribe("org:acme", &["plan:pro@1"]).await;
    for query in ["limit=0", "limit=101", "limit=x", "after=in_nobody"] {
        let path = format!("/v1/invoices?org=org:acme&{query}");
        app.get(&path).await.fails(400, "invalid_request");
    }
}
