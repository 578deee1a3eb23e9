//! The account's owner refunds an invoice, the balance pays it, or a discount reduces it. Then a change credits time.

use super::*;

/// Time that the account's owner refunded or credited in Stripe counts as unpaid.
#[tokio::test]
async fn time_that_the_owner_refunded_is_not_credited_again() {
    for generation in GENERATIONS {
        let note = |more: &[(&'static str, &str)]| {
            let more = more.iter().map(|(key, value)| (*key, (*value).to_owned()));
            ("/v1/credit_notes", more.collect::<Vec<_>>())
        };
        let refund = |amount: &str| ("/v1/refunds", vec![("amount", amount.to_owned())]);
        // Each row has the owner's action, and the cents that the customer is owed ten days later.
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
                let app = start(generation, card).await;
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
}

#[tokio::test]
async fn time_paid_from_the_balance_is_credited_to_the_balance() {
    for generation in GENERATIONS {
        for (balance, due, back) in [(-1000, 0, 0), (-500, 500, 0), (-2000, 0, -1000)] {
            for cancel in [false, true] {
                let app = start_with(generation, Settings::default(), "", balance).await;
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
}

#[tokio::test]
async fn voiding_an_invoice_restores_the_balance() {
    for generation in GENERATIONS {
        let app = start_with(generation, Settings::default(), "", -1000).await;
        schedule(&app, json!([{}])).await.ok();
        assert_eq!(invoices(&app).await[0].0, "void");
        assert_eq!(customer(&app).await["balance"], -1000);
    }
}

#[tokio::test]
async fn a_reduction_includes_the_discount() {
    for generation in GENERATIONS {
        let app = start(generation, "").await;
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
}
